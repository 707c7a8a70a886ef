//! What is tried beside the policy in force, as it is asked for and told over the admin socket. Both sides know these types; a field
//! may be added, none may change.

use crate::pipeline::StatsRegistry;
use crate::server::history::Entry;
use crate::session;
use crate::session::Canary;
use crate::session::Shadow;
use crate::session::Tally;
use crate::session::World;
use crate::unit::format_time;
use serde::Deserialize;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

/// What is tried from now on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tried {
    /// `shadow` or `canary`.
    pub what: String,
    /// The policy's name.
    pub policy: String,
    /// Its revision.
    pub revision: String,
    /// The git commit it lies in.
    pub commit: Option<String>,
    /// The share of the sessions that begin, of a canary.
    pub percent: Option<f64>,
    /// The revision in force.
    pub running: String,
    /// How long it took.
    pub millis: u64,
}

/// What is no longer tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Withdrawn {
    /// `shadow` or `canary`.
    pub what: String,
    /// The policy's name.
    pub policy: String,
    /// Its revision.
    pub revision: String,
    /// The revision in force.
    pub running: String,
}

/// Which policy is tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// Its name.
    pub policy: String,
    /// The hash of what it means.
    pub revision: String,
    /// The hash of its files.
    pub bundle: String,
    /// The git commit it lay in.
    pub commit: Option<String>,
    /// When it was loaded; RFC 3339.
    pub loaded: String,
    /// Its root file.
    pub from: PathBuf,
}

/// A policy that decides beside the one in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShadowReport {
    /// Which.
    pub candidate: Candidate,
    /// Statements that both decided.
    pub compared: u64,
    /// Of those, decided otherwise by the shadow.
    pub differing: u64,
    /// Stages of the shadow that failed while deciding.
    pub faults: u64,
    /// Not compared: the shadow waited too long for what it loads.
    pub late: u64,
    /// Not compared: the shadow had just taken long.
    pub rested: u64,
    /// Not compared: refused before any stage, or unreadable.
    pub unread: u64,
    /// What it decided otherwise.
    pub differences: Vec<Difference>,
    /// Its stages.
    pub stages: Vec<StageCounts>,
}

/// Decisions that differ in one way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Difference {
    /// `deny`, `allow`, `reply`, `route`, `text` or `timeout`: what the shadow does instead.
    pub difference: String,
    /// Who decided in the policy in force.
    pub running: String,
    /// Who decided in the shadow.
    pub shadow: String,
    /// How many there were.
    pub count: u64,
    /// The last of them, oldest first.
    pub last: Vec<Sample>,
}

/// One statement that was decided otherwise; its text is not kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// When; RFC 3339.
    pub at: String,
    /// The decision's id, as in the client's error and in the log of decisions.
    pub decision: String,
    /// Whose statement.
    pub user: String,
    /// In which database.
    pub database: String,
    /// How it came.
    pub protocol: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// What became of it.
    pub running: String,
    /// What the shadow would have made of it.
    pub shadow: String,
}

/// Figures of one stage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StageCounts {
    /// Its name.
    pub stage: String,
    /// Times it was asked.
    pub calls: u64,
    /// Times it refused.
    pub refusals: u64,
    /// Times it failed.
    pub faults: u64,
}

/// A policy that serves some of the sessions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CanaryReport {
    /// Which.
    pub candidate: Candidate,
    /// Of the sessions that begin.
    pub percent: f64,
    /// What has come of sessions of the policy in force since.
    pub running: SideCounts,
    /// What has come of its own.
    pub canary: SideCounts,
    /// Its stages.
    pub stages: Vec<StageCounts>,
}

/// What has come of the sessions of one policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SideCounts {
    /// Sessions now.
    pub open: usize,
    /// Sessions that began.
    pub sessions: u64,
    /// Logins refused.
    pub logins_refused: u64,
    /// Statements decided.
    pub statements: u64,
    /// Statements refused, by whatever.
    pub refusals: u64,
    /// Stages that failed while deciding.
    pub faults: u64,
}

impl From<Entry> for Candidate {
    fn from(entry: Entry) -> Self {
        Self {
            policy: entry.policy,
            revision: entry.revision,
            bundle: entry.bundle,
            commit: entry.commit,
            loaded: entry.loaded,
            from: entry.root,
        }
    }
}

pub(super) fn shadow(shadow: &Shadow, entry: Entry) -> ShadowReport {
    let counts = shadow.counts();
    let differences = shadow.found().into_iter();
    ShadowReport {
        candidate: entry.into(),
        compared: counts.compared,
        differing: counts.differing,
        faults: counts.faults,
        late: counts.late,
        rested: counts.rested,
        unread: counts.unread,
        differences: differences
            .map(|((differs, running, by), found)| Difference {
                difference: differs.name().to_owned(),
                running: running.into(),
                shadow: by.into(),
                count: found.count,
                last: found.last.into_iter().map(sample).collect(),
            })
            .collect(),
        stages: stages(&shadow.stages),
    }
}

fn sample(sample: session::Sample) -> Sample {
    Sample {
        at: format_time(SystemTime::UNIX_EPOCH + sample.time),
        decision: sample.decision.to_string(),
        user: sample.user.to_string(),
        database: sample.database.to_string(),
        protocol: sample.protocol.name().to_owned(),
        fingerprint: format!("{:016x}", sample.fingerprint),
        running: sample.running,
        shadow: sample.shadow,
    }
}

/// `sessions` are all that are open.
pub(super) fn canary(
    canary: &Canary,
    world: &World,
    sessions: usize,
    entry: Entry,
) -> CanaryReport {
    let own = canary.sessions();
    CanaryReport {
        candidate: entry.into(),
        percent: canary.percent,
        running: side(world, sessions.saturating_sub(own)),
        canary: side(&canary.world, own),
        stages: stages(&canary.stages),
    }
}

fn side(world: &World, open: usize) -> SideCounts {
    let none = Tally::default();
    let tally = world.tally.as_deref().unwrap_or(&none);
    SideCounts {
        open,
        sessions: tally.sessions.load(Relaxed),
        logins_refused: tally.logins_refused.load(Relaxed),
        statements: tally.statements.load(Relaxed),
        refusals: tally.refusals.load(Relaxed),
        faults: tally.faults.load(Relaxed),
    }
}

fn stages(registry: &StatsRegistry) -> Vec<StageCounts> {
    let stages = registry.all().into_iter();
    stages
        .map(|(stage, stats)| StageCounts {
            stage: stage.to_string(),
            calls: stats.calls.load(Relaxed),
            refusals: stats.refusals.load(Relaxed),
            faults: stats.faults.snapshot().iter().map(|(_, count)| count).sum(),
        })
        .collect()
}
