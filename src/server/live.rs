//! The swapped pointer: a policy is read, resolved, compiled and its sockets are bound away from traffic; then one store.
//! A failure at any step changes nothing, and says why.

use super::aside::has_others;
use super::decisions::Sinks;
use super::git;
use super::listener::Listeners;
use super::load::Outside;
use super::services::ProcessServices;
use super::source::Disk;
use super::source::Stamps;
use super::source::Trust;
use super::source::Watched;
use super::status::Status;
use crate::net::Address;
use crate::net::ClientTls;
use crate::net::ListenerTls;
use crate::net::ServerTls;
use crate::net::tls::TlsError;
use crate::net::tls::TlsVersion;
use crate::pipeline;
use crate::pipeline::Pipeline;
use crate::pipeline::StatsRegistry;
use crate::policy;
use crate::policy::Files;
use crate::policy::Gate;
use crate::policy::ListenerTlsMode;
use crate::policy::NodeAddress;
use crate::policy::NodeTlsMode;
use crate::policy::Policy;
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
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
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
    let disk = Disk {
        trust: &source.trust,
    };
    build_from(source, &disk, stages, analyzer)
}

/// The same, reading through `files`.
///
/// # Errors
/// Every mistake in all its files.
pub fn build_from(
    source: &Source,
    files: &dyn Files,
    stages: &StatsRegistry,
    analyzer: &Arc<Analyzer>,
) -> Result<World, Report> {
    let (policy, mut report) = policy::load(&source.path, source.environment.as_deref(), files);
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
            services: Arc::new(ProcessServices::new()), // reaches no node, until it is attached to what does
            decisions: None,
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

/// Runs the tests a policy carries on pipelines that serve nobody; what fails, one line each. They belong to the verb
/// `test`, which stands above the server.
pub type PolicyTests = fn(&Policy, &[Arc<Pipeline>], &Arc<Analyzer>) -> Vec<String>;

/// A revision that is not in force any more goes when its last session has left it.
type Retired = Vec<Arc<World>>;

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
    status: Arc<Status>,
    tests: PolicyTests,
    /// The files of the last attempt, as it found them.
    stamps: Mutex<Stamps>,
    retired: Mutex<Retired>,
    outside: Outside,
}

/// What a [`Reloader`] is made of.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) source: Source,
    pub(super) analyzer: Arc<Analyzer>,
    pub(super) listeners: Listeners,
    pub(super) status: Arc<Status>,
    pub(super) tests: PolicyTests,
    pub(super) stamps: Stamps,
    pub(super) outside: Outside,
}

impl Reloader {
    /// For a process that serves already.
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            shared: parts.shared,
            source: parts.source,
            analyzer: parts.analyzer,
            listeners: ReloadLock::new(parts.listeners),
            status: parts.status,
            tests: parts.tests,
            stamps: Mutex::new(parts.stamps),
            retired: Mutex::default(),
            outside: parts.outside,
        }
    }

    /// The policy's root file.
    pub(super) fn path(&self) -> &Path {
        &self.source.path
    }

    /// Whether a change of a file reloads the policy.
    pub(super) fn watches(&self) -> bool {
        self.shared.live.load().policy.reload.watch
    }

    /// The files of the last attempt, as it found them.
    pub(super) fn stamps(&self) -> Stamps {
        lock(&self.stamps).clone()
    }

    /// Builds the next world whole, away from traffic, then swaps it in. Not cancel safe.
    pub async fn reload(&self) -> Reload {
        let started = Instant::now();
        let mut listeners = self.listeners.lock().await;
        let outcome = self.try_reload(&mut listeners).await;
        let took = started.elapsed();
        match &outcome {
            Reload::Swapped { from, to } => {
                let world = self.shared.live.load();
                log_swap(&world, from, to, took);
                if world.policy.has_guests() && !has_others() {
                    tracing::warn!(
                        "this process began without scripts and plugins, so those that take long hold up other sessions: restart it"
                    );
                }
            }
            Reload::Kept { reasons } => {
                for reason in reasons {
                    tracing::error!(reason, "policy mistake");
                }
                let revision = self.shared.live.load().policy.revision.short();
                tracing::error!(mistakes = reasons.len(), %revision, ?took, "reload refused, the running policy stays");
            }
        }
        self.status.reloaded(&outcome, SystemTime::now());
        outcome
    }

    async fn try_reload(&self, listeners: &mut Listeners) -> Reload {
        let (shared, source, analyzer, tests) = (
            Arc::clone(&self.shared),
            self.source.clone(),
            Arc::clone(&self.analyzer),
            self.tests,
        );
        let built = tokio::task::spawn_blocking(move || {
            let files = Watched::new(&source.trust);
            let built = build_from(&source, &files, &shared.stages, &analyzer);
            let built = built.map_err(|report| report.lines());
            let gate = shared.live.load().policy.reload.gate;
            let built = built.and_then(|next| match gate.max(next.policy.reload.gate) {
                Gate::Check => Ok(next),
                Gate::Tests => pass_tests(next, tests, &analyzer),
            });
            (built, files.into_stamps())
        });
        let built = built.await.map(|(built, stamps)| {
            *lock(&self.stamps) = stamps;
            built
        });
        let next = match built {
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
        let next = match self.outside.attach(next) {
            Ok(next) => next,
            Err(reason) => {
                return Reload::Kept {
                    reasons: vec![reason],
                };
            }
        };
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
        let world = self.shared.live.load();
        listeners.adopt(bound, &world.policy);
        self.shared.stages.in_force(&world.policy);
        let from = old.policy.revision;
        lock(&self.retired).push(old);
        self.unload_retired().await;
        Reload::Swapped { from, to }
    }

    /// Tells the guests of revisions that no session is in any more that they go. Not cancel safe: what it has taken is not
    /// told again.
    pub(super) async fn unload_retired(&self) {
        self.outside.sinks.close_unused();
        let unused: Vec<Arc<World>> = lock(&self.retired)
            .extract_if(.., |world| is_unused(world))
            .collect();
        if !unused.is_empty() {
            self.unload(unused).await;
        }
    }

    /// The same at the end of the process, for the revision in force as well. Guests that may still be asked are left alone.
    pub(super) async fn unload_all(&self) {
        self.unload_retired().await;
        if self.shared.clients.count() == 0 {
            self.unload(vec![self.shared.live.load_full()]).await;
        }
    }

    async fn unload(&self, worlds: Vec<Arc<World>>) {
        let shared = Arc::clone(&self.shared);
        let told = tokio::task::spawn_blocking(move || {
            for world in worlds {
                pipeline::unload(&world.pipelines, &shared.services);
                shared
                    .stages
                    .unloaded(&world.policy, &shared.live.load().policy);
            }
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "unloading a revision failed");
        }
    }

    /// Where decisions are written.
    pub(super) fn sinks(&self) -> Arc<Sinks> {
        Arc::clone(&self.outside.sinks)
    }

    /// Stops accepting clients.
    pub async fn close_listeners(&self) {
        self.listeners.lock().await.close();
    }

    /// Stops serving figures.
    pub(super) async fn close_figures(&self) {
        self.listeners.lock().await.close_figures();
    }
}

/// Whether nothing but the list of retired revisions leads to it. What is not in force can be found by nobody new.
fn is_unused(world: &Arc<World>) -> bool {
    let pipelines = &mut world.pipelines.iter();
    Arc::strong_count(world) == 1 && pipelines.all(|pipeline| Arc::strong_count(pipeline) == 1)
}

/// Runs the policy's tests on guests of their own, so that nothing of them is left in those that will serve.
fn pass_tests(
    next: World,
    tests: PolicyTests,
    analyzer: &Arc<Analyzer>,
) -> Result<World, Vec<String>> {
    let (mut report, stats) = (Report::default(), StatsRegistry::default());
    let Some(pipelines) = pipeline::compile(&next.policy, &mut report, &stats, analyzer) else {
        return Err(report.lines());
    };
    let failures = tests(&next.policy, &pipelines, analyzer);
    if failures.is_empty() {
        Ok(next)
    } else {
        Err(failures)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
