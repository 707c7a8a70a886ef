//! The swapped pointer: a policy is read, resolved, compiled and its sockets are bound away from traffic; then one store.
//! A failure at any step changes nothing, and says why.

use super::git;
use super::listener::Listeners;
use super::source::Disk;
use crate::net::Address;
use crate::net::ClientTls;
use crate::net::ListenerTls;
use crate::net::ServerTls;
use crate::net::tls::TlsError;
use crate::net::tls::TlsVersion;
use crate::pipeline;
use crate::pipeline::StatsRegistry;
use crate::policy;
use crate::policy::ListenerTlsMode;
use crate::policy::NodeAddress;
use crate::policy::NodeTlsMode;
use crate::policy::Report;
use crate::policy::Revision;
use crate::pool::Target;
use crate::session::NodeTarget;
use crate::session::Shared;
use crate::session::World;
use crate::statement::Analyzer;
use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// What a reload came to.
#[derive(Debug)]
pub enum Reload {
    /// The new policy is in force.
    Swapped {
        /// The revision before.
        from: Revision,
        /// The revision now.
        to: Revision,
    },
    /// The old policy stays.
    Kept {
        /// Every reason, one line each.
        reasons: Vec<String>,
    },
}

/// Where the policy lies.
#[derive(Clone, Debug)]
pub struct Source {
    /// The root file.
    pub path: PathBuf,
    /// The environment, `--env`.
    pub environment: Option<String>,
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
    let (policy, mut report) = policy::load(&source.path, source.environment.as_deref(), &Disk);
    let policy = match policy {
        Ok(policy) => policy,
        Err(draft) => {
            pipeline::review_guests(&draft, &mut report);
            listeners_tls(&draft.listeners, &mut report);
            nodes(&draft.nodes, &mut report);
            return Err(report);
        }
    };
    let pipelines = pipeline::compile(&policy, &mut report, stages, analyzer);
    let listeners = listeners_tls(&policy.listeners, &mut report);
    let nodes = nodes(&policy.nodes, &mut report);
    match pipelines {
        Some(pipelines) if !report.has_errors() => Ok(World {
            pipelines,
            listeners,
            nodes,
            commit: git::commit_of(&source.path).map(Arc::from),
            loaded: SystemTime::now(),
            policy,
        }),
        _ => Err(report),
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

/// Held for a whole reload, across its awaits: that is its purpose, and no session ever waits for it.
#[expect(
    clippy::disallowed_types,
    reason = "reloads are serialized, and a reload awaits"
)]
type ReloadLock = tokio::sync::Mutex<Listeners>;

/// Reloads the policy, one at a time.
pub struct Reloader {
    shared: Arc<Shared>,
    source: Source,
    analyzer: Arc<Analyzer>,
    listeners: ReloadLock,
}

impl Reloader {
    /// For a process that serves already.
    pub(super) fn new(
        shared: Arc<Shared>,
        source: Source,
        analyzer: Arc<Analyzer>,
        listeners: Listeners,
    ) -> Self {
        Self {
            shared,
            source,
            analyzer,
            listeners: ReloadLock::new(listeners),
        }
    }

    /// Builds the next world whole, away from traffic, then swaps it in. Not cancel safe.
    pub async fn reload(&self) -> Reload {
        let started = Instant::now();
        let mut listeners = self.listeners.lock().await;
        let outcome = self.try_reload(&mut listeners).await;
        let took = started.elapsed();
        match &outcome {
            Reload::Swapped { from, to } => log_swap(&self.shared.live.load(), from, to, took),
            Reload::Kept { reasons } => {
                for reason in reasons {
                    tracing::error!(reason, "policy mistake");
                }
                let revision = self.shared.live.load().policy.revision.short();
                tracing::error!(mistakes = reasons.len(), %revision, ?took, "reload refused, the running policy stays");
            }
        }
        outcome
    }

    async fn try_reload(&self, listeners: &mut Listeners) -> Reload {
        let (shared, source, analyzer) = (
            Arc::clone(&self.shared),
            self.source.clone(),
            Arc::clone(&self.analyzer),
        );
        let built = tokio::task::spawn_blocking(move || {
            build(&source, &shared.stages, &analyzer).map_err(|report| report.lines())
        });
        let next = match built.await {
            Ok(Ok(next)) => next,
            Ok(Err(reasons)) => return Reload::Kept { reasons },
            Err(panic) => {
                return Reload::Kept {
                    reasons: vec![format!("building the policy failed: {panic}")],
                };
            }
        };
        if let Err(error) = super::run::prepare_passwords(&next, &self.shared.login_keys).await {
            return Reload::Kept {
                reasons: vec![error.to_string()],
            };
        }
        let bound = match listeners.bind_new(&next.policy) {
            Ok(bound) => bound,
            Err(error) => {
                return Reload::Kept {
                    reasons: vec![error.to_string()],
                };
            }
        };
        let to = next.policy.revision;
        let old = self.shared.live.swap(Arc::new(next)); // the only write in the program
        listeners.adopt(bound, &self.shared.live.load().policy);
        Reload::Swapped {
            from: old.policy.revision,
            to,
        }
    }

    /// Stops accepting.
    pub async fn close_listeners(&self) {
        self.listeners.lock().await.close();
    }
}

fn log_swap(world: &World, from: &Revision, to: &Revision, took: Duration) {
    tracing::info!(
        policy = %world.policy.name,
        from = %from.short(),
        revision = %to.short(),
        commit = world.commit.as_deref().unwrap_or("none"),
        ?took,
        "policy reloaded"
    );
}
