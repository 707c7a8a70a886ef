//! `[node.NAME]` and `[branch.NAME]`: the PostgreSQL servers, and the other places statements can be routed to.

use super::canonical::Canonical;
use super::code;
use super::keys::BRANCH;
use super::keys::NODE;
use super::keys::NODE_TLS;
use super::listener::pem;
use super::reading::Table;
use super::report::Diagnostic;
use super::report::Place;
use super::scope::Scope;
use crate::unit;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const PORT: u16 = 5432;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Several measurements must fit in it.
const MAX_LAG_MIN: Duration = Duration::from_millis(500);

/// One PostgreSQL server.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// The name in the policy.
    pub name: Arc<str>,
    /// What it is.
    pub role: Role,
    /// Where it is.
    pub address: NodeAddress,
    /// TLS towards it.
    pub tls: NodeTls,
    /// How long connecting and logging in may take.
    pub connect_timeout: Duration,
    /// Its share of what goes to several nodes in turn, from 1.
    pub weight: u32,
    /// How far behind it may be and still take statements; `None`: however far. Of standbys only.
    pub max_lag: Option<Duration>,
    /// Where it is written; what is wrong with its TLS is told there.
    pub place: Place,
}

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Takes writes.
    Primary,
    /// Takes reads.
    Standby,
}

/// Where a node is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum NodeAddress {
    /// TCP.
    Tcp {
        /// A host name or an address.
        host: Arc<str>,
        /// The port.
        port: u16,
    },
    /// The folder of its Unix socket, and the port that is part of the socket's name.
    Unix(PathBuf, u16),
}

/// Whether a node is asked for TLS, and how sure it must be that it is the node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NodeTlsMode {
    /// No TLS.
    Disable,
    /// TLS, with whoever answers.
    Require,
    /// TLS, and its certificate must be valid for the host.
    VerifyFull,
}

/// TLS towards a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeTls {
    /// Whether, and how sure.
    pub mode: NodeTlsMode,
    /// The authority, PEM; `None`: the system's.
    pub ca: Option<Arc<[u8]>>,
}

/// Nodes and a database that a statement can be routed to.
#[derive(Clone, PartialEq, Debug)]
pub struct Branch {
    /// The name in the policy.
    pub name: Arc<str>,
    /// Indices of `Policy::nodes`.
    pub nodes: Vec<usize>,
    /// The database there; `None`: the session's.
    pub database: Option<Arc<str>>,
}

pub(super) const ROLES: [(&str, Role); 2] =
    [("primary", Role::Primary), ("standby", Role::Standby)];

impl Role {
    /// The word in the policy.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut roles = ROLES.into_iter();
        roles
            .find(|(_, role)| *role == self)
            .map_or("", |(name, _)| name)
    }
}

pub(super) const MODES: [(&str, NodeTlsMode); 3] = [
    ("disable", NodeTlsMode::Disable),
    ("require", NodeTlsMode::Require),
    ("verify-full", NodeTlsMode::VerifyFull),
];

pub(super) fn read(scope: Scope<'_, '_>) -> Vec<Node> {
    scope.each(&NODE, node)
}

fn node(scope: Scope<'_, '_>, name: &str, table: &Table<'_, '_>) -> Option<Node> {
    let role = table.choice("role", &ROLES);
    let port = table
        .integer("port", 1..=65_535)
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or(PORT);
    let tls = tls(table);
    let connect_timeout = table.timeout("connect_timeout").unwrap_or(CONNECT_TIMEOUT);
    let weight = table.integer("weight", 1..=1_000);
    let weight = weight.and_then(|weight| u32::try_from(weight).ok());
    let max_lag = max_lag(table, role);
    let host = table.text("host")?;
    let address = if host.value.starts_with('/') {
        if tls.mode != NodeTlsMode::Disable {
            table.reading.error(
                code::CONTRADICTION,
                table.key_at("tls"),
                "there is no TLS over a Unix socket",
            );
        }
        NodeAddress::Unix(PathBuf::from(host.value), port)
    } else {
        if host.value.contains([':', '/', ' ']) && host.value.parse::<std::net::Ipv6Addr>().is_err()
        {
            let found = Diagnostic::error(
                code::BAD_ADDRESS,
                host.at,
                format!("`{}` is not a host", host.value),
            );
            table
                .reading
                .add(found.label("a name or an address; the port has its own key"));
        }
        NodeAddress::Tcp {
            host: host.value.into(),
            port,
        }
    };
    Some(Node {
        name: name.into(),
        role: role?,
        address,
        tls,
        connect_timeout,
        weight: weight.unwrap_or(1),
        max_lag,
        place: scope.reading.place(table.at),
    })
}

fn max_lag(table: &Table<'_, '_>, role: Option<Role>) -> Option<Duration> {
    let max_lag = table.timeout("max_lag")?;
    if role == Some(Role::Primary) {
        let message = "`max_lag` has no effect: a primary is behind nobody";
        table
            .reading
            .error(code::NO_EFFECT, table.key_at("max_lag"), message);
    }
    if max_lag < MAX_LAG_MIN {
        let least = unit::format_duration(MAX_LAG_MIN);
        let message = format!("lag is measured too seldom for less than {least}");
        table
            .reading
            .error(code::OUT_OF_RANGE, table.value_at("max_lag"), message);
    }
    Some(max_lag)
}

fn tls(table: &Table<'_, '_>) -> NodeTls {
    let none = NodeTls {
        mode: NodeTlsMode::Disable,
        ca: None,
    };
    if matches!(table.word("tls").as_deref(), Some(word) if word.entries().is_empty()) {
        return NodeTls {
            mode: table.choice("tls", &MODES).unwrap_or(none.mode),
            ca: None,
        };
    }
    let Some(inner) = table.table("tls", &NODE_TLS) else {
        return none;
    };
    let mode = inner.choice("mode", &MODES).unwrap_or(none.mode);
    let ca = inner
        .file("ca")
        .map(|(_, bytes)| bytes)
        .filter(|bytes| pem(&inner, "ca", bytes, "CERTIFICATE"));
    if inner.has("ca") && mode != NodeTlsMode::VerifyFull {
        let found = Diagnostic::error(
            code::NO_EFFECT,
            inner.key_at("ca"),
            "`ca` has no effect without mode = \"verify-full\"",
        );
        table.reading.add(found);
    }
    inner.finish();
    NodeTls { mode, ca }
}

pub(super) fn branches(scope: Scope<'_, '_>) -> Vec<Branch> {
    scope.each(&BRANCH, |scope, name, table| {
        let mut nodes: Vec<usize> = scope.several(table, "nodes", &NODE);
        let one = scope.one(table, "node", &NODE);
        if table.has("node") == table.has("nodes") {
            let message = format!("{} needs exactly one of `node` and `nodes`", table.title());
            scope.reading.error(code::EXACTLY_ONE, table.at, message);
        }
        nodes.extend(one);
        let database = table.arc("database");
        Some(Branch {
            name: name.into(),
            nodes,
            database,
        })
    })
}

impl Node {
    pub(super) fn write(&self, canonical: &mut Canonical) {
        let Self {
            name,
            role,
            address,
            tls: NodeTls { mode, ca },
            connect_timeout,
            weight,
            max_lag,
            place: _,
        } = self;
        let mut section = canonical.section("node", name);
        section.debug("role", role);
        section.debug("address", address);
        section.debug("tls.mode", mode);
        section.bytes("tls.ca", ca.as_deref());
        section.duration("connect_timeout", Some(*connect_timeout));
        section.debug("weight", weight);
        section.duration("max_lag", *max_lag);
    }
}

impl Branch {
    pub(super) fn write(&self, canonical: &mut Canonical, all_nodes: &[Node]) {
        let Self {
            name,
            nodes,
            database,
        } = self;
        let mut section = canonical.section("branch", name);
        let names: Vec<&str> = nodes
            .iter()
            .filter_map(|id| all_nodes.get(*id))
            .map(|node| &*node.name)
            .collect();
        section.list("nodes", &names);
        section.debug("database", database);
    }
}
