//! The swapped pointer: the next world is built whole and its sockets are bound away from traffic; then one store. A failure at
//! any step changes nothing, and says why. Owns the order of steps; building is `live`'s, what is kept for a way back `history`'s.

use super::aside::has_others;
use super::decisions::Sinks;
use super::history::Entry;
use super::listener::Listeners;
use super::live::Source;
use super::live::build_from;
use super::live::log_warnings;
use super::load::Outside;
use super::snapshot::Snapshot;
use super::snapshot::Stored;
use super::source::Stamps;
use super::source::Watched;
use super::status::Status;
use crate::pipeline;
use crate::pipeline::Pipeline;
use crate::pipeline::StatsRegistry;
use crate::policy::Files;
use crate::policy::Gate;
use crate::policy::Policy;
use crate::policy::Report;
use crate::policy::Revision;
use crate::policy::Severity;
use crate::session::Shared;
use crate::session::World;
use crate::statement::Analyzer;
use std::path::Path;
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
    Kept(Mistakes),
}

/// Why the running policy stays.
#[derive(Debug)]
pub struct Mistakes {
    /// Every reason, one line each.
    pub reasons: Vec<String>,
    /// The same for people, where the policy's text is at fault.
    pub report: Option<Box<Report>>,
}

impl From<Report> for Mistakes {
    fn from(report: Report) -> Self {
        Self {
            reasons: report.lines_of(Severity::Error),
            report: Some(Box::new(report)),
        }
    }
}

impl From<Vec<String>> for Mistakes {
    fn from(reasons: Vec<String>) -> Self {
        Self {
            reasons,
            report: None,
        }
    }
}

impl From<String> for Mistakes {
    fn from(reason: String) -> Self {
        vec![reason].into()
    }
}

/// By what a revision came into force, or should have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The start of the process.
    Start,
    /// SIGHUP.
    Signal,
    /// A file has changed.
    Watch,
    /// RELOAD on the console.
    Console,
    /// `pgwarden reload`.
    Control,
    /// `pgwarden rollback`.
    Rollback,
}

impl Cause {
    /// The word for it in `history` and `SHOW POLICY`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Signal => "SIGHUP",
            Self::Watch => "watch",
            Self::Console => "console",
            Self::Control => "reload",
            Self::Rollback => "rollback",
        }
    }
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

/// Which bytes the next world is built from.
#[derive(Clone, Copy)]
enum Wanted {
    /// Those on disk.
    Files,
    /// Those of a revision this many back.
    Back(usize),
}

/// A world that may be put into force, and the bytes it was built from.
struct Built {
    world: World,
    source: Source,
    snapshot: Snapshot,
}

/// What is needed to build, apart from the files.
struct Workshop {
    shared: Arc<Shared>,
    source: Source,
    analyzer: Arc<Analyzer>,
    status: Arc<Status>,
    tests: PolicyTests,
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

    /// What the process shares.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// What became of reloads.
    pub(super) fn status(&self) -> &Arc<Status> {
        &self.status
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
    pub async fn reload(&self, by: Cause) -> Reload {
        self.take(Wanted::Files, by).await
    }

    /// The same from the bytes of a revision that was in force before; 1 is the last one. Not cancel safe.
    pub async fn rollback(&self, back: usize) -> Reload {
        self.take(Wanted::Back(back), Cause::Rollback).await
    }

    async fn take(&self, wanted: Wanted, by: Cause) -> Reload {
        let started = Instant::now();
        let mut listeners = self.listeners.lock().await;
        let outcome = match self.try_take(&mut listeners, wanted, by).await {
            Ok((from, to)) => Reload::Swapped { from, to },
            Err(mistakes) => Reload::Kept(mistakes),
        };
        let took = started.elapsed();
        match &outcome {
            Reload::Swapped { from, to } => {
                let world = self.shared.live.load();
                log_swap(&world, from, to, by, took);
                if world.policy.has_guests() && !has_others() {
                    tracing::warn!(
                        "this process began without scripts and plugins, so those that take long hold up other sessions: restart it"
                    );
                }
            }
            Reload::Kept(Mistakes { reasons, .. }) => {
                for reason in reasons {
                    tracing::error!(reason, "policy mistake");
                }
                let revision = self.shared.live.load().policy.revision.short();
                tracing::error!(mistakes = reasons.len(), by = by.name(), %revision, ?took, "reload refused, the running policy stays");
            }
        }
        self.status.reloaded(&outcome, by, SystemTime::now());
        outcome
    }

    async fn try_take(
        &self,
        listeners: &mut Listeners,
        wanted: Wanted,
        by: Cause,
    ) -> Result<(Revision, Revision), Mistakes> {
        if self.status.is_draining() {
            return Err("the process is stopping".to_owned().into());
        }
        let Built {
            world,
            source,
            snapshot,
        } = self.build(wanted).await?;
        let prepared = super::run::prepare_passwords(&world, &self.shared.login_keys).await;
        prepared.map_err(|error| error.to_string())?;
        let next = self.outside.attach(world)?;
        let bound = listeners.bind_new(&next.policy);
        let bound = bound.map_err(|error| error.to_string())?;
        let entry = Entry::of(&next, &source, by);
        let to = next.policy.revision;
        let old = self.shared.live.swap(Arc::new(next)); // the only write in the program
        let world = self.shared.live.load_full();
        listeners.adopt(bound, &world.policy);
        self.shared.stages.in_force(&world.policy);
        let from = old.policy.revision;
        lock(&self.retired).push(old);
        self.unload_retired().await;
        let status = Arc::clone(&self.status);
        let keep = world.policy.reload.keep;
        let kept = tokio::task::spawn_blocking(move || status.history.put(entry, snapshot, keep));
        if let Err(error) = kept.await {
            tracing::error!(%error, "keeping the revision failed");
        }
        Ok((from, to))
    }

    async fn build(&self, wanted: Wanted) -> Result<Built, Mistakes> {
        let workshop = Workshop {
            shared: Arc::clone(&self.shared),
            source: self.source.clone(),
            analyzer: Arc::clone(&self.analyzer),
            status: Arc::clone(&self.status),
            tests: self.tests,
        };
        let built = tokio::task::spawn_blocking(move || match wanted {
            Wanted::Files => workshop.of_files(),
            Wanted::Back(back) => (workshop.of_history(back), None),
        });
        match built.await {
            Ok((built, stamps)) => {
                if let Some(stamps) = stamps {
                    *lock(&self.stamps) = stamps;
                }
                built
            }
            Err(panic) => Err(format!("building the policy failed: {panic}").into()),
        }
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

    /// Stops serving figures and the admin socket.
    pub(super) async fn close_rest(&self) {
        self.listeners.lock().await.close_rest();
    }
}

impl Workshop {
    fn of_files(self) -> (Result<Built, Mistakes>, Option<Stamps>) {
        let files = Watched::new(&self.source.trust);
        let built = self.world(&self.source, &files);
        let (stamps, snapshot) = files.into_parts();
        let source = self.source;
        let built = built.map(|world| Built {
            world,
            source,
            snapshot,
        });
        (built, Some(stamps))
    }

    /// From stored bytes; secrets are read where they lie.
    fn of_history(self, back: usize) -> Result<Built, Mistakes> {
        let (entry, snapshot) = self.status.history.back(back)?;
        entry.fits(&self.source)?;
        let source = Source {
            path: entry.root,
            ..self.source.clone()
        };
        let files = Stored::new(&snapshot, &source.trust);
        let mut world = self.world(&source, &files)?;
        world.commit = entry.commit.map(Arc::from);
        Ok(Built {
            world,
            source,
            snapshot,
        })
    }

    /// The world, once it has passed what the running and the new policy ask of it.
    fn world(&self, source: &Source, files: &dyn Files) -> Result<World, Mistakes> {
        let (next, report) = build_from(source, files, &self.shared.stages, &self.analyzer);
        log_warnings(&report);
        let next = next.ok_or(report)?;
        let gate = self.shared.live.load().policy.reload.gate;
        match gate.max(next.policy.reload.gate) {
            Gate::Check => Ok(next),
            Gate::Tests => pass_tests(next, self.tests, &self.analyzer),
        }
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
) -> Result<World, Mistakes> {
    let (mut report, stats) = (Report::default(), StatsRegistry::default());
    let Some(pipelines) = pipeline::compile(&next.policy, &mut report, &stats, analyzer) else {
        return Err(report.into());
    };
    let failures = tests(&next.policy, &pipelines, analyzer);
    if failures.is_empty() {
        Ok(next)
    } else {
        Err(failures.into())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log_swap(world: &World, from: &Revision, to: &Revision, by: Cause, took: Duration) {
    tracing::info!(
        policy = %world.policy.name,
        from = %from.short(),
        revision = %to.short(),
        commit = world.commit.as_deref().unwrap_or("none"),
        by = by.name(),
        ?took,
        "policy reloaded"
    );
}
