//! What is tried beside the policy in force: a shadow, which decides and does not act, or a canary, which serves some of the
//! sessions. Owns their beginning and their end, and what a canary may not change; what they do is `session`'s.

use super::Mistakes;
use super::Reload;
use super::Reloader;
use super::lock;
use super::workshop::Built;
use super::workshop::Wanted;
use crate::pipeline::StatsRegistry;
use crate::policy::Policy;
use crate::policy::Secret;
use crate::server::history::Entry;
use crate::server::load::Part;
use crate::server::reload::Cause;
use crate::server::snapshot::Snapshot;
use crate::session::Canary;
use crate::session::Shadow;
use crate::session::World;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::MutexGuard;

/// What is tried, and from which files. The world has the part that sessions need.
#[derive(Default)]
pub(in crate::server) struct Trials {
    pub(in crate::server) shadow: Option<Entry>,
    /// With the bytes that it was built from.
    pub(in crate::server) canary: Option<(Entry, Snapshot)>,
}

/// What is no longer tried.
#[derive(Debug)]
pub(in crate::server) struct Ended {
    /// `shadow` or `canary`.
    pub(in crate::server) what: &'static str,
    /// Which policy is no longer tried.
    pub(in crate::server) entry: Entry,
}

/// Parts of the policy that belong to the process: both policies would share them.
const PROCESS_WIDE: [&str; 4] = ["listener.", "node.", "pool.", "admin."];

impl Reloader {
    /// What is tried now.
    pub(in crate::server) fn trials(&self) -> MutexGuard<'_, Trials> {
        lock(&self.trials)
    }

    /// Has every statement decided by a policy beside the one in force, which goes on to act alone. Not cancel safe.
    pub(in crate::server) async fn shadow(&self, path: PathBuf) -> Result<Entry, Mistakes> {
        let _turn = self.turn.lock().await;
        let tried = self.try_shadow(path).await;
        tried.inspect_err(|mistakes| log_refused("shadow", mistakes))
    }

    async fn try_shadow(&self, path: PathBuf) -> Result<Entry, Mistakes> {
        self.may_change()?;
        let stages = Arc::new(StatsRegistry::default());
        let wanted = Wanted::Tried(Some(path), Arc::clone(&stages));
        let Built { world, source, .. } = self.build(wanted).await?;
        reaches_the_same_nodes(&self.shared.live.load(), &world)?;
        let world = self.outside.attach(world, Part::Shadow).await?;
        let entry = Entry::of(&world, &source, Cause::Control);
        self.warn_of_guests(&world);
        let live = self.shared.live.load_full();
        let next = World {
            shadow: Some(Arc::new(Shadow::new(Arc::new(world), stages))),
            ..World::clone(&live)
        };
        self.put(next)?;
        lock(&self.trials).shadow = Some(entry.clone());
        tracing::info!(
            policy = entry.policy,
            revision = entry.revision,
            "a shadow decides beside the running policy"
        );
        Ok(entry)
    }

    /// Serves a share of the sessions that begin by a candidate, until it is promoted or withdrawn. Without a path it is what the
    /// process's own files hold now. The candidate that serves already gets another share. Not cancel safe.
    pub(in crate::server) async fn canary(
        &self,
        percent: f64,
        path: Option<PathBuf>,
    ) -> Result<Entry, Mistakes> {
        let _turn = self.turn.lock().await;
        let tried = self.try_canary(percent, path).await;
        tried.inspect_err(|mistakes| log_refused("canary", mistakes))
    }

    async fn try_canary(&self, percent: f64, path: Option<PathBuf>) -> Result<Entry, Mistakes> {
        self.is_stopping()?;
        let live = self.shared.live.load_full();
        if live.shadow.is_some() {
            let why = "a shadow is set: end it first (`reload --shadow none`, or `withdraw`)";
            return Err(why.to_owned().into());
        }
        let stages = Arc::new(self.shared.stages.beside());
        let built = self.build(Wanted::Tried(path, Arc::clone(&stages))).await?;
        if let Some(canary) = &live.canary {
            return self.share(canary, percent, &built.world.policy);
        }
        let Built {
            world,
            source,
            snapshot,
        } = built;
        own_to_the_process(&live, &world)?;
        super::prepare(&world, &self.shared).await?;
        let mut world = self.outside.attach(world, Part::Serves).await?;
        world.tally = Some(Arc::default());
        let entry = Entry::of(&world, &source, Cause::Control);
        self.warn_of_guests(&world);
        let next = World {
            canary: Some(Arc::new(Canary::new(Arc::new(world), stages, percent))),
            tally: Some(Arc::default()),
            ..World::clone(&live)
        };
        self.put(next)?;
        lock(&self.trials).canary = Some((entry.clone(), snapshot));
        tracing::info!(
            policy = entry.policy,
            revision = entry.revision,
            percent,
            "a canary serves some of the sessions that begin"
        );
        Ok(entry)
    }

    fn share(&self, canary: &Canary, percent: f64, policy: &Policy) -> Result<Entry, Mistakes> {
        let runs = &canary.world.policy;
        let same = (runs.revision, &runs.bundle) == (policy.revision, &policy.bundle);
        let trials = lock(&self.trials);
        let entry = trials.canary.as_ref().map(|(entry, _)| entry.clone());
        drop(trials);
        let Some(entry) = entry.filter(|_| same) else {
            return Err(canary_runs(canary).into());
        };
        let live = self.shared.live.load_full();
        self.put(World {
            canary: Some(Arc::new(canary.with_share(percent))),
            ..World::clone(&live)
        })?;
        tracing::info!(
            revision = entry.revision,
            percent,
            "the canary has another share"
        );
        Ok(entry)
    }

    /// Puts the canary into force, built anew from the same bytes so that its figures and limits are those of the process. Not
    /// cancel safe.
    pub(in crate::server) async fn promote(&self) -> Reload {
        self.take(None, Cause::Promote).await
    }

    /// What the canary was built from, for as long as there is one.
    pub(super) fn candidate(&self) -> Result<Wanted, Mistakes> {
        self.is_stopping()?;
        let candidate = lock(&self.trials).canary.clone();
        let candidate = candidate.map(|kept| Wanted::Candidate(Box::new(kept)));
        candidate.ok_or_else(|| {
            let why = "there is no canary to promote: `reload --canary PERCENT` begins one";
            why.to_owned().into()
        })
    }

    /// Ends the canary, or the shadow. The sessions of a canary move to the policy in force. Not cancel safe.
    pub(in crate::server) async fn withdraw(&self) -> Result<Ended, Mistakes> {
        let _turn = self.turn.lock().await;
        let trials = lock(&self.trials);
        let (what, entry) = match (&trials.shadow, &trials.canary) {
            (Some(entry), _) => ("shadow", entry.clone()),
            (None, Some((entry, _))) => ("canary", entry.clone()),
            (None, None) => return Err("nothing is tried".to_owned().into()),
        };
        drop(trials);
        self.end(what, entry)
    }

    /// Ends the shadow, and no canary. Not cancel safe.
    pub(in crate::server) async fn end_shadow(&self) -> Result<Ended, Mistakes> {
        let _turn = self.turn.lock().await;
        let entry = lock(&self.trials).shadow.clone();
        let entry = entry.ok_or_else(|| Mistakes::from("no shadow is set".to_owned()))?;
        self.end("shadow", entry)
    }

    /// There is never more than one of them.
    fn end(&self, what: &'static str, entry: Entry) -> Result<Ended, Mistakes> {
        let live = self.shared.live.load_full();
        self.put(World {
            shadow: None,
            canary: None,
            tally: None,
            ..World::clone(&live)
        })?;
        *lock(&self.trials) = Trials::default();
        tracing::info!(what, revision = entry.revision, "withdrawn");
        Ok(Ended { what, entry })
    }

    /// Whether another policy may come into force or be tried.
    pub(super) fn may_change(&self) -> Result<(), Mistakes> {
        self.is_stopping()?;
        match &self.shared.live.load().canary {
            Some(canary) => Err(canary_runs(canary).into()),
            None => Ok(()),
        }
    }

    pub(super) fn is_stopping(&self) -> Result<(), Mistakes> {
        if self.status.is_draining() {
            return Err("the process is stopping".to_owned().into());
        }
        Ok(())
    }
}

fn canary_runs(canary: &Canary) -> String {
    format!(
        "a canary runs (revision {}, {} %): `pgwarden promote` it or `pgwarden withdraw` it first",
        canary.world.policy.revision.short(),
        canary.percent
    )
}

fn log_refused(what: &str, mistakes: &Mistakes) {
    for reason in &mistakes.reasons {
        tracing::error!(reason, "policy mistake");
    }
    tracing::error!(mistakes = mistakes.reasons.len(), "{what} refused");
}

/// Refuses a candidate that says something else about what both policies would share.
fn own_to_the_process(live: &World, candidate: &World) -> Result<(), Mistakes> {
    let difference = live.policy.difference(&candidate.policy);
    let changes = difference.changes.iter().filter(|change| {
        let mut parts = PROCESS_WIDE.iter();
        parts.any(|part| change.path.starts_with(part))
    });
    let mut found: Vec<String> = changes
        .map(|change| format!("`{}`: {}", change.path, change.what))
        .collect();
    let (running, tried) = (&live.policy, &candidate.policy);
    for pool in &running.pools {
        let other = tried.pools.iter().find(|other| other.name == pool.name);
        if let Some(other) = other
            && password(pool) != password(other)
        {
            let name = &pool.name;
            found.push(format!("`pool.{name}.login.password`: another password"));
        }
    }
    let refused = found.into_iter().map(|what| {
        format!("{what}: both policies share it, so a canary cannot have its own; `reload` it, or leave it as it is")
    });
    match refused.collect::<Vec<_>>() {
        refused if refused.is_empty() => Ok(()),
        refused => Err(refused.into()),
    }
}

/// Refuses a shadow that has another server under the name of one that serves: how nodes are is known by their names.
fn reaches_the_same_nodes(live: &World, shadow: &World) -> Result<(), Mistakes> {
    let named = |world: &World| -> BTreeMap<Arc<str>, u64> {
        let nodes = world.policy.nodes.iter().zip(&world.nodes);
        nodes
            .map(|(node, target)| (Arc::clone(&node.name), target.identity))
            .collect()
    };
    let (running, tried) = (named(live), named(shadow));
    let others = tried.iter().filter(|(name, identity)| {
        let known = running.get(*name);
        known.is_some_and(|known| known != *identity)
    });
    let refused: Vec<String> = others
        .map(|(name, _)| format!("`node.{name}`: the running policy has another server under that name: give this one its own"))
        .collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(refused.into()),
    }
}

fn password(pool: &crate::policy::Pool) -> Option<&[u8]> {
    let login = pool.login.as_ref()?;
    login.password.as_ref().map(Secret::expose)
}
