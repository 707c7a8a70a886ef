//! Nodes: whom statements are sent to. Less certainty about who a node is widens; everything else is different, no more.

use super::Differs;
use super::Findings;
use super::Way;
use crate::policy::Node;
use crate::policy::NodeAddress;
use crate::policy::NodeTlsMode;
use crate::policy::Policy;
use std::time::Duration;

fn of<'p>(policy: &'p Policy, name: &str) -> Option<&'p Node> {
    policy.nodes.iter().find(|known| &*known.name == name)
}

pub(super) fn differs(found: &mut Findings<'_>, differs: &Differs<'_>) -> bool {
    let (Some(old), Some(new)) = (of(found.old, differs.name), of(found.new, differs.name)) else {
        return false;
    };
    match differs.key {
        "address" => {
            let what = format!("{} -> {}", address(&old.address), address(&new.address));
            found.add(Way::Changes, differs.path(), what, "");
        }
        "tls.mode" => {
            let way = Way::of_rise(certainty(new.tls.mode), certainty(old.tls.mode));
            let what = format!("{} -> {}", word(old.tls.mode), word(new.tls.mode));
            let why = match new.tls.mode {
                NodeTlsMode::Disable => "nothing sent to it is encrypted",
                NodeTlsMode::Require => "whoever answers is taken for it",
                NodeTlsMode::VerifyFull => "it must prove who it is",
            };
            found.add(way, differs.path(), what, why);
        }
        "max_lag" => {
            let bound = |node: &Node| node.max_lag.unwrap_or(Duration::MAX);
            let way = Way::of_rise(bound(old), bound(new));
            let why = match way {
                Way::Widens => "takes statements when it is further behind",
                _ => "takes no statements when it is further behind",
            };
            found.add(way, differs.path(), differs.values(), why);
        }
        "tls.ca" => found.add(Way::Changes, differs.path(), "other authority", ""),
        _ => return false,
    }
    true
}

/// How certain it is that nobody else reads, and that it is the node.
fn certainty(mode: NodeTlsMode) -> u8 {
    match mode {
        NodeTlsMode::Disable => 0,
        NodeTlsMode::Require => 1,
        NodeTlsMode::VerifyFull => 2,
    }
}

fn word(mode: NodeTlsMode) -> &'static str {
    match mode {
        NodeTlsMode::Disable => "disable",
        NodeTlsMode::Require => "require",
        NodeTlsMode::VerifyFull => "verify-full",
    }
}

fn address(address: &NodeAddress) -> String {
    match address {
        NodeAddress::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
        NodeAddress::Tcp { host, port } => format!("{host}:{port}"),
        NodeAddress::Unix(folder, port) => format!("{}:{port}", folder.display()),
    }
}
