//! What may be put into force: a policy is read, resolved and compiled into a world, away from traffic. Every mistake is told.
//! Owns no swap; that is `reload`'s.

use super::services::ProcessServices;
use super::source::Disk;
use super::source::Seen;
use super::source::Trust;
use super::source::Watched;
use crate::net::Address;
use crate::net::ClientTls;
use crate::net::ListenerTls;
use crate::net::ServerTls;
use crate::net::tls::TlsError;
use crate::net::tls::TlsVersion;
use crate::pipeline;
use crate::pipeline::StatsRegistry;
use crate::policy;
use crate::policy::Files;
use crate::policy::ListenerTlsMode;
use crate::policy::NodeAddress;
use crate::policy::NodeTlsMode;
use crate::policy::Report;
use crate::policy::Severity;
use crate::pool::Target;
use crate::session::NodeTarget;
use crate::session::World;
use crate::statement::Analyzer;
use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// Where the policy lies.
#[derive(Clone, Debug)]
pub struct Source {
    /// The root file.
    pub path: PathBuf,
    /// The environment, `--env`.
    pub environment: Option<String>,
    /// Whose signatures of plugins count.
    pub trust: Trust,
}

/// Reads and compiles a policy. Does blocking I/O.
///
/// # Errors
/// Every mistake in all its files.
pub fn build(
    source: &Source,
    stages: &StatsRegistry,
    analyzer: &Arc<Analyzer>,
) -> Result<World, Report> {
    let (world, report) = review(source, stages, analyzer, SystemTime::now());
    world.ok_or(report)
}

/// The same with everything that was found, also of a policy that can be served, as of `now`: what has an end may be past.
pub fn review(
    source: &Source,
    stages: &StatsRegistry,
    analyzer: &Arc<Analyzer>,
    now: SystemTime,
) -> (Option<World>, Report) {
    let disk = Disk {
        trust: &source.trust,
    };
    build_at(source, &disk, stages, analyzer, now)
}

/// The same as [`build`], and the files as they were found.
pub fn build_and_watch(
    source: &Source,
    stages: &StatsRegistry,
    analyzer: &Arc<Analyzer>,
) -> (Result<World, Report>, Seen) {
    let files = Watched::new(&source.trust);
    let (world, report) = build_from(source, &files, stages, analyzer);
    (world.ok_or(report), Seen(files.into_parts().0))
}

/// The environments a policy has, whatever else is wrong with it.
#[must_use]
pub fn environments(source: &Source) -> Vec<String> {
    let disk = Disk {
        trust: &source.trust,
    };
    policy::environments(&source.path, &disk)
}

/// The same, reading through `files`. There is a world unless the report has errors.
pub fn build_from(
    source: &Source,
    files: &dyn Files,
    stages: &StatsRegistry,
    analyzer: &Arc<Analyzer>,
) -> (Option<World>, Report) {
    build_at(source, files, stages, analyzer, SystemTime::now())
}

/// The same as if it were another time, by which waivers end.
pub fn build_at(
    source: &Source,
    files: &dyn Files,
    stages: &StatsRegistry,
    analyzer: &Arc<Analyzer>,
    now: SystemTime,
) -> (Option<World>, Report) {
    let now = now.duration_since(SystemTime::UNIX_EPOCH);
    let now = i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
    let (policy, mut report) = policy::load(&source.path, source.environment.as_deref(), files);
    let policy = match policy {
        Ok(policy) => policy,
        Err(draft) => {
            policy::review_waivers(&draft.waivers, now, &mut report);
            pipeline::review_guests(&draft, &mut report);
            listeners_tls(&draft.listeners, &mut report);
            nodes(&draft.nodes, &mut report);
            return (None, report);
        }
    };
    policy::review_waivers(&policy.waivers(), now, &mut report);
    let pipelines = pipeline::compile(&policy, &mut report, stages, analyzer);
    let listeners = listeners_tls(&policy.listeners, &mut report);
    let nodes = nodes(&policy.nodes, &mut report);
    let pipelines = pipelines.filter(|_| !report.has_errors());
    if let Some(pipelines) = &pipelines {
        policy::lint_grants(&policy, &pipeline::uses(pipelines), &mut report);
    }
    let world = pipelines.map(|pipelines| World {
        pipelines,
        listeners,
        nodes,
        services: Arc::new(ProcessServices::new()), // reaches no node, until it is attached to what does
        decisions: None,
        commit: None, // told by whoever has the bytes that were read
        loaded: SystemTime::now(),
        shadow: None,
        canary: None,
        tally: None,
        policy: Arc::new(policy),
    });
    (world, report)
}

/// Says in the log what a policy that is served is warned of.
pub(super) fn log_warnings(report: &Report) {
    for warning in report.lines_of(Severity::Warning) {
        tracing::warn!(warning, "policy warning");
    }
}

fn listeners_tls(listeners: &[policy::Listener], report: &mut Report) -> Vec<ListenerTls> {
    let of = |listener: &policy::Listener| -> Result<ListenerTls, TlsError> {
        let tls = &listener.tls;
        let (Some(cert), Some(key)) = (&tls.cert, &tls.key) else {
            return Ok(ListenerTls::Disable);
        };
        let min = match tls.min {
            policy::TlsVersion::V1_2 => TlsVersion::V1_2,
            policy::TlsVersion::V1_3 => TlsVersion::V1_3,
        };
        let server = || ServerTls::from_pem(cert, key.expose(), min).map(Arc::new);
        Ok(match tls.mode {
            ListenerTlsMode::Disable => ListenerTls::Disable,
            ListenerTlsMode::Allow => ListenerTls::Allow(server()?),
            ListenerTlsMode::Require => ListenerTls::Require(server()?),
        })
    };
    let mut made = Vec::new();
    for listener in listeners {
        match of(listener) {
            Ok(tls) => made.push(tls),
            Err(error) => {
                report.error(
                    policy::TLS_UNUSABLE,
                    policy::At::from(&listener.place),
                    format!("TLS of listener `{}`: {error}", listener.name),
                );
            }
        }
    }
    made
}

fn nodes(nodes: &[policy::Node], report: &mut Report) -> Vec<NodeTarget> {
    let mut made = Vec::new();
    for node in nodes {
        let tls = match node.tls.mode {
            NodeTlsMode::Disable => Ok(None),
            NodeTlsMode::Require => ClientTls::require().map(Some),
            NodeTlsMode::VerifyFull => ClientTls::verify_full(node.tls.ca.as_deref()).map(Some),
        };
        let address = match &node.address {
            NodeAddress::Tcp { host, port } => Address::Tcp {
                host: Arc::clone(host),
                port: *port,
            },
            NodeAddress::Unix(folder, port) => Address::Unix {
                folder: folder.clone(),
                port: *port,
            },
        };
        let mut hasher = DefaultHasher::new();
        (&address, &node.tls.mode, &node.tls.ca).hash(&mut hasher);
        match tls {
            Ok(tls) => made.push(NodeTarget {
                target: Arc::new(Target {
                    address,
                    tls: tls.map(Arc::new),
                    connect_timeout: node.connect_timeout,
                }),
                identity: hasher.finish(),
            }),
            Err(error) => {
                report.error(
                    policy::TLS_UNUSABLE,
                    policy::At::from(&node.place),
                    format!("TLS of node `{}`: {error}", node.name),
                );
            }
        }
    }
    made
}
