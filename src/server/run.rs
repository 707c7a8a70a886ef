//! Start to stop, told top to bottom: load, bind, serve, reload on SIGHUP, drain on SIGTERM.

use super::admin::AdminConsole;
use super::control::Desk;
use super::decisions::Sinks;
use super::figures::Figures;
use super::history::Entry;
use super::history::History;
use super::lag::measure;
use super::listener::Listeners;
use super::live::Source;
use super::live::build_from;
use super::live::log_warnings;
use super::load::Outside;
use super::load::Part;
use super::reload::Cause;
use super::reload::Parts;
use super::reload::PolicyTests;
use super::reload::Reloader;
use super::reload::commit_of;
use super::services::ProcessServices;
use super::snapshot::Snapshot;
use super::source::Stamps;
use super::source::Watched;
use super::status::Status;
use super::watch::watch;
use crate::kernel;
use crate::pipeline::StatsRegistry;
use crate::policy::Credential;
use crate::policy::Report;
use crate::pool::CancelKeys;
use crate::pool::Pools;
use crate::sandbox::Services;
use crate::session::Clients;
use crate::session::LoginKeys;
use crate::session::Shared;
use crate::session::World;
use crate::statement::Analyzer;
use arc_swap::ArcSwap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;
use std::time::SystemTime;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Distinct statements whose analysis is kept.
const STATEMENTS_MAX: usize = 10_000;

/// How often pools look for connections that are too old.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What is killed at the end of the drain gets this long to say so.
const KILL_WAIT: Duration = Duration::from_secs(2);

/// The last decisions get this long to be written.
const SINKS_WAIT: Duration = Duration::from_secs(5);

/// What `pgwarden run` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the policy lies.
    pub source: Source,
    /// How long a stop waits for transactions.
    pub drain: Duration,
    /// Runs the tests a policy carries.
    pub tests: PolicyTests,
    /// The folder that keeps revisions across restarts.
    pub state: Option<PathBuf>,
}

/// Why the process did not start.
#[derive(Debug, thiserror::Error)]
pub enum Start {
    /// The policy has mistakes.
    #[error("the policy has mistakes")]
    Policy(Box<Report>),
    /// A socket, a signal, randomness.
    #[error("{0}")]
    System(String),
}

impl From<io::Error> for Start {
    fn from(error: io::Error) -> Self {
        Self::System(error.to_string())
    }
}

/// A policy that is ready to be served.
pub struct Loaded {
    world: World,
    stamps: Stamps,
    snapshot: Snapshot,
    analyzer: Arc<Analyzer>,
    stages: StatsRegistry,
}

impl Loaded {
    /// Whether it asks scripts or plugins, which may take long: then there must be threads beside those that carry messages.
    #[must_use]
    pub fn has_guests(&self) -> bool {
        self.world.policy.has_guests()
    }
}

/// Reads and compiles the policy. Does blocking I/O, and needs no runtime: which one is right follows from the policy.
///
/// # Errors
/// Every mistake of the policy.
pub fn load(source: &Source) -> Result<Loaded, Start> {
    kernel::ignore_hangup(); // until there is something to reload
    let analyzer = Arc::new(Analyzer::new(STATEMENTS_MAX));
    let stages = StatsRegistry::default();
    let files = Watched::new(&source.trust);
    let (world, report) = build_from(source, &files, &stages, &analyzer);
    log_warnings(&report);
    let mut world = world.ok_or_else(|| Start::Policy(Box::new(report)))?;
    let (stamps, snapshot) = files.into_parts();
    world.commit = commit_of(source, &world.policy, &snapshot);
    Ok(Loaded {
        world,
        stamps,
        snapshot,
        analyzer,
        stages,
    })
}

/// Serves until the process is told to stop.
///
/// # Errors
/// When it cannot start.
pub async fn run(options: Options, loaded: Loaded) -> Result<(), Start> {
    let (mut signals, hangups) = (Signals::new()?, signal(SignalKind::hangup())?);
    let source = options.source;
    let Loaded {
        world,
        stamps,
        snapshot,
        analyzer,
        stages,
    } = loaded;
    let history = History::open(options.state.as_deref()).map_err(Start::System)?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Start::System(error.to_string()))?;
    let login_keys = LoginKeys::new(random);
    prepare_passwords(&world, &login_keys).await?;
    log_start(&world);
    let services = Arc::new(ProcessServices::new());
    let pools = Arc::new(Pools::new(Instant::now()));
    let outside = Outside {
        process: Arc::clone(&services),
        pools: Arc::clone(&pools),
        sinks: Arc::default(),
    };
    let attached = outside.attach(world, Part::Serves).await;
    let world = attached.map_err(Start::System)?;
    let entry = Entry::of(&world, &source, Cause::Start);
    let keep = world.policy.reload.keep;
    let shared = Arc::new(Shared {
        live: ArcSwap::from_pointee(world),
        pools,
        cancel: CancelKeys::default(),
        clients: Arc::new(Clients::default()),
        stages,
        services: Arc::clone(&services) as Arc<dyn Services>,
        login_keys,
    });
    let status = Arc::new(Status::new(SystemTime::now(), history));
    let doors = Doors::new(&shared, &services, &status);
    let listeners = doors.open(&shared)?;
    status.history.put(entry, snapshot, keep);
    let reloader = Arc::new(Reloader::new(Parts {
        shared: Arc::clone(&shared),
        source,
        analyzer,
        listeners,
        status: Arc::clone(&status),
        tests: options.tests,
        stamps,
        outside,
    }));
    let watcher = tokio::spawn(watch(Arc::downgrade(&reloader)));
    let measuring = tokio::spawn(measure(Arc::clone(&shared)));
    doors.console.set_reloader(&reloader);
    doors.desk.set_reloader(&reloader);
    // A task of its own: a signal to stop is heard however long a reload takes.
    let hangups = tokio::spawn(reload_on_hangup(hangups, Arc::downgrade(&reloader)));
    tracing::info!(pid = std::process::id(), "ready");
    serve(&mut signals, &reloader, &shared).await;
    status.drain();
    stop(&mut signals, &reloader, &shared, options.drain).await;
    watcher.abort();
    hangups.abort();
    measuring.abort();
    reloader.unload_all().await;
    reloader.close_rest();
    close_sinks(reloader.sinks()).await;
    tracing::info!("stopped");
    Ok(())
}

/// Who answers those that are no clients.
struct Doors {
    console: Arc<AdminConsole>,
    figures: Arc<Figures>,
    desk: Arc<Desk>,
}

impl Doors {
    fn new(shared: &Arc<Shared>, services: &Arc<ProcessServices>, status: &Arc<Status>) -> Self {
        let (shared_too, status_too) = (Arc::clone(shared), Arc::clone(status));
        Self {
            console: Arc::new(AdminConsole::new(
                shared_too,
                Arc::clone(services),
                status_too,
            )),
            figures: Arc::new(Figures::new(shared, services, status)),
            desk: Arc::default(),
        }
    }

    /// Opens the sockets of the policy in force.
    fn open(&self, shared: &Arc<Shared>) -> Result<Listeners, Start> {
        let mut listeners = Listeners::new(
            Arc::clone(shared),
            Arc::clone(&self.console) as _,
            Arc::clone(&self.figures),
            Arc::clone(&self.desk),
        );
        let world = shared.live.load();
        let bound = listeners.bind_new(&world.policy);
        let bound = bound.map_err(|error| Start::System(error.to_string()))?;
        listeners.adopt(bound, &world.policy);
        Ok(listeners)
    }
}

/// Computes what password logins need now, so that no login takes longer than another.
pub(super) async fn prepare_passwords(world: &World, keys: &LoginKeys) -> Result<(), Start> {
    for user in world.policy.users.values() {
        if let Credential::Password(secret) = &user.credential
            && let Some(text) = secret.expose_text()
        {
            let password = Zeroizing::new(text.to_owned());
            keys.verifier(&user.name, &password)
                .await
                .map_err(|error| Start::System(error.to_string()))?;
        }
    }
    Ok(())
}

/// Waits until the last decisions are written, for as long as a disk may take.
async fn close_sinks(sinks: Arc<Sinks>) {
    let closed = tokio::task::spawn_blocking(move || sinks.close());
    if tokio::time::timeout(SINKS_WAIT, closed).await.is_err() {
        tracing::error!("the last decisions could not be written in time");
    }
}

fn log_start(world: &World) {
    tracing::info!(
        policy = %world.policy.name,
        revision = %world.policy.revision.short(),
        commit = world.commit.as_deref().unwrap_or("none"),
        version = env!("CARGO_PKG_VERSION"),
        "policy loaded"
    );
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}

/// One reload for all the signals that come while another is under way.
async fn reload_on_hangup(mut hangups: Signal, reloader: Weak<Reloader>) {
    while hangups.recv().await.is_some() {
        let Some(reloader) = reloader.upgrade() else {
            return;
        };
        drop(reloader.reload(Cause::Signal).await);
    }
}

/// Until the first signal to stop.
async fn serve(signals: &mut Signals, reloader: &Arc<Reloader>, shared: &Arc<Shared>) {
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            _ = sweep.tick() => {
                shared.pools.all().iter().for_each(|pool| pool.sweep());
                reloader.unload_retired().await;
            }
        }
    }
}

/// Lets transactions end, within `drain`; a second signal ends the wait.
async fn stop(
    signals: &mut Signals,
    reloader: &Arc<Reloader>,
    shared: &Arc<Shared>,
    drain: Duration,
) {
    tracing::info!(clients = shared.clients.count(), ?drain, "stopping");
    reloader.close_listeners();
    shared.clients.drain();
    tokio::select! {
        () = shared.clients.all_closed() => (),
        () = tokio::time::sleep(drain) => tracing::warn!(clients = shared.clients.count(), "drain ran out of time"),
        () = signals.stop() => tracing::warn!(clients = shared.clients.count(), "stopping now"),
    }
    shared.clients.kill();
    if tokio::time::timeout(KILL_WAIT, shared.clients.all_closed())
        .await
        .is_err()
    {
        tracing::warn!(
            clients = shared.clients.count(),
            "some clients could not be told"
        );
    }
}
