//! The swapped pointer: the next world is built whole and its sockets are bound away from traffic; then one store. A failure at
//! any step changes nothing, and says why. Owns the order of steps; building is `workshop`'s and `live`'s, what is tried first
//! `trial`'s, what is kept for a way back `history`'s.

mod retired;
mod trial;
mod workshop;

pub(super) use trial::Ended;
pub(super) use workshop::commit_of;

use super::aside::has_others;
use super::decisions::Sinks;
use super::history::Entry;
use super::listener::Listeners;
use super::live::Source;
use super::load::Outside;
use super::load::Part;
use super::source::Stamps;
use super::status::Status;
use crate::pipeline::Pipeline;
use crate::policy::Policy;
use crate::policy::Report;
use crate::policy::Revision;
use crate::policy::Severity;
use crate::session::Shared;
use crate::session::World;
use crate::statement::Analyzer;
use retired::Retired;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use trial::Trials;
use workshop::Built;
use workshop::Wanted;
use workshop::Workshop;

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
    /// `pgwarden promote`.
    Promote,
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
            Self::Promote => "promote",
        }
    }
}

/// Runs the tests a policy carries on pipelines that serve nobody; what fails, one line each. They belong to the verb
/// `test`, which stands above the server.
pub type PolicyTests = fn(&Policy, &[Arc<Pipeline>], &Arc<Analyzer>) -> Vec<String>;

/// Held for a whole reload, across its awaits: that is its purpose, and no session ever waits for it.
#[expect(
    clippy::disallowed_types,
    reason = "reloads are serialized, and a reload awaits"
)]
type Turn = tokio::sync::Mutex<()>;

/// Reloads the policy, one at a time.
pub struct Reloader {
    shared: Arc<Shared>,
    source: Source,
    analyzer: Arc<Analyzer>,
    turn: Turn,
    /// Never held across an await, so that a stop can close them whatever a reload is at.
    listeners: Mutex<Listeners>,
    status: Arc<Status>,
    tests: PolicyTests,
    /// The files of the last attempt, as it found them.
    stamps: Mutex<Stamps>,
    retired: Mutex<Vec<Retired>>,
    trials: Mutex<Trials>,
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
            turn: Turn::new(()),
            listeners: Mutex::new(parts.listeners),
            status: parts.status,
            tests: parts.tests,
            stamps: Mutex::new(parts.stamps),
            retired: Mutex::default(),
            trials: Mutex::default(),
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

    /// Whether a change of a file reloads the policy. It waits for the end of a canary, which a reload would not survive.
    pub(super) fn watches(&self) -> bool {
        let live = self.shared.live.load();
        live.policy.reload.watch && live.canary.is_none() && !self.status.is_draining()
    }

    /// The files of the last attempt, as it found them.
    pub(super) fn stamps(&self) -> Stamps {
        lock(&self.stamps).clone()
    }

    /// Builds the next world whole, away from traffic, then swaps it in. Not cancel safe.
    pub async fn reload(&self, by: Cause) -> Reload {
        self.take(Some(Wanted::Files), by).await
    }

    /// The same from the bytes of a revision that was in force before; 1 is the last one. Not cancel safe.
    pub async fn rollback(&self, back: usize) -> Reload {
        self.take(Some(Wanted::Back(back)), Cause::Rollback).await
    }

    /// What is wanted, or the canary's files, which are looked for only when it is its turn.
    async fn take(&self, wanted: Option<Wanted>, by: Cause) -> Reload {
        let started = Instant::now();
        let _turn = self.turn.lock().await;
        let outcome = match self.try_take(wanted, by).await {
            Ok((from, to)) => Reload::Swapped { from, to },
            Err(mistakes) => Reload::Kept(mistakes),
        };
        let took = started.elapsed();
        match &outcome {
            Reload::Swapped { from, to } => {
                let world = self.shared.live.load();
                log_swap(&world, from, to, by, took);
                self.warn_of_guests(&world);
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

    fn warn_of_guests(&self, world: &World) {
        if world.policy.has_guests() && !has_others() {
            tracing::warn!(
                "this process began without scripts and plugins, so those that take long hold up other sessions: restart it"
            );
        }
    }

    async fn try_take(
        &self,
        wanted: Option<Wanted>,
        by: Cause,
    ) -> Result<(Revision, Revision), Mistakes> {
        let wanted = match wanted {
            Some(wanted) => {
                self.may_change()?;
                wanted
            }
            None => self.candidate()?,
        };
        let Built {
            world,
            source,
            snapshot,
        } = self.build(wanted).await?;
        prepare(&world, &self.shared).await?;
        let next = self.outside.attach(world, Part::Serves).await?;
        let entry = Entry::of(&next, &source, by);
        let (keep, to) = (next.policy.reload.keep, next.policy.revision);
        let from = self.put(next)?;
        let Trials { shadow, .. } = std::mem::take(&mut *lock(&self.trials));
        if let Some(shadow) = shadow {
            tracing::info!(
                revision = shadow.revision,
                "the shadow ends with the policy it stood beside"
            );
        }
        self.unload_retired().await;
        let status = Arc::clone(&self.status);
        let kept = tokio::task::spawn_blocking(move || status.history.put(entry, snapshot, keep));
        if let Err(error) = kept.await {
            tracing::error!(%error, "keeping the revision failed");
        }
        Ok((from, to))
    }

    /// Puts a world into force with its sockets, and gives the revision that was. A process that stops takes none over.
    fn put(&self, next: World) -> Result<Revision, Mistakes> {
        let mut listeners = lock(&self.listeners);
        self.is_stopping()?;
        let bound = listeners.bind_new(&next.policy);
        let bound = bound.map_err(|error| error.to_string())?;
        let old = self.shared.live.swap(Arc::new(next)); // the only write in the program
        let world = self.shared.live.load_full();
        listeners.adopt(bound, &world.policy);
        drop(listeners);
        self.shared.stages.in_force(&world.policy);
        self.outside.process.keep_metrics(&world.policy);
        let from = old.policy.revision;
        self.retire(old, &world);
        Ok(from)
    }

    async fn build(&self, wanted: Wanted) -> Result<Built, Mistakes> {
        let workshop = Workshop {
            shared: Arc::clone(&self.shared),
            source: self.source.clone(),
            analyzer: Arc::clone(&self.analyzer),
            status: Arc::clone(&self.status),
            tests: self.tests,
        };
        let built = tokio::task::spawn_blocking(move || workshop.build(wanted));
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

    /// Where decisions are written.
    pub(super) fn sinks(&self) -> Arc<Sinks> {
        Arc::clone(&self.outside.sinks)
    }

    /// Stops accepting clients. A reload that is under way does not hold this up, and comes too late from then on.
    pub fn close_listeners(&self) {
        lock(&self.listeners).close();
    }

    /// Stops serving figures and the admin socket.
    pub(super) fn close_rest(&self) {
        lock(&self.listeners).close_rest();
    }
}

/// Computes what logins need, so that none takes longer than another.
async fn prepare(world: &World, shared: &Shared) -> Result<(), Mistakes> {
    let prepared = super::run::prepare_passwords(world, &shared.login_keys).await;
    prepared.map_err(|error| error.to_string().into())
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
