//! A policy that decides every statement beside the one in force and acts on none: what it would have done otherwise is
//! counted, and some of it kept to be looked at. Owns the counts and how long it may take; what a difference is, is `pipeline`'s.

use super::decide::AskedAbout;
use super::login::introduce;
use super::relay::Session;
use super::world::World;
use super::world::has_account;
use crate::hook::Protocol;
use crate::hook::Refusal;
use crate::hook::SessionContext;
use crate::pipeline::Decider;
use crate::pipeline::Detail;
use crate::pipeline::Differing;
use crate::pipeline::Differs;
use crate::pipeline::Pipeline;
use crate::pipeline::Statement;
use crate::pipeline::StatsRegistry;
use crate::pipeline::Trace;
use crate::pipeline::Verdict;
use crate::pipeline::compare;
use crate::pipeline::decide;
use crate::pipeline::decide_at_once;
use crate::statement;
use crate::statement::Needs;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tracing::Instrument as _;
use uuid::Uuid;

/// A statement does not wait longer than this for what the shadow loads or asks; what a guest of it takes is bounded by the
/// guest's own deadline.
const WAIT_MAX: Duration = Duration::from_millis(50);
/// After a decision that took longer than this, the shadow is not asked for `REST` times as long: all its decisions together take
/// a tenth of the time at most.
const SLOW: Duration = Duration::from_millis(20);
const REST: u32 = 9;
/// Differences that are told apart, and the last of each that are kept.
const DIFFERENCES_MAX: usize = 256;
const SAMPLES_MAX: usize = 8;

/// The candidate, and what has come of asking it.
pub struct Shadow {
    /// The candidate, compiled. What its stages do acts on nothing.
    pub world: Arc<World>,
    /// The figures of its stages.
    pub stages: Arc<StatsRegistry>,
    ended: AtomicBool,
    /// Nanoseconds of the monotonic clock before which it is not asked.
    rests_until: AtomicU64,
    counts: Counts,
    found: Mutex<BTreeMap<Kind, Found>>,
}

impl fmt::Debug for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shadow({:?})", self.world)
    }
}

#[derive(Debug, Default)]
struct Counts {
    compared: AtomicU64,
    differing: AtomicU64,
    faults: AtomicU64,
    late: AtomicU64,
    rested: AtomicU64,
    unread: AtomicU64,
}

/// How many statements came to what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShadowCounts {
    /// Decided by both.
    pub compared: u64,
    /// Of those, decided otherwise by the shadow.
    pub differing: u64,
    /// Stages of the shadow that failed while deciding.
    pub faults: u64,
    /// Not compared: the shadow waited too long for what it loads.
    pub late: u64,
    /// Not compared: the shadow had just taken long.
    pub rested: u64,
    /// Not compared: the running policy refused them before any stage, or they cannot be read.
    pub unread: u64,
}

/// In what decisions differ, and who decided in the running policy and in the shadow.
pub(super) type Kind = (Differs, Box<str>, Box<str>);

/// Differences of one kind.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many there were.
    pub count: u64,
    /// The last of them, oldest first.
    pub last: VecDeque<Sample>,
}

/// One statement that the shadow would have decided otherwise. Without its text, which has literals.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Since 1970.
    pub time: Duration,
    /// The decision's id, as in its refusal and in the log of decisions.
    pub decision: Uuid,
    /// Whose statement it was.
    pub user: Arc<str>,
    /// In which database.
    pub database: Arc<str>,
    /// How it came.
    pub protocol: Protocol,
    /// Its fingerprint.
    pub fingerprint: u64,
    /// The running policy's verdict in words.
    pub running: String,
    /// The shadow's.
    pub shadow: String,
}

impl Shadow {
    /// One that has not been asked.
    #[must_use]
    pub fn new(world: Arc<World>, stages: Arc<StatsRegistry>) -> Self {
        Self {
            world,
            stages,
            ended: AtomicBool::new(false),
            rests_until: AtomicU64::new(0),
            counts: Counts::default(),
            found: Mutex::default(),
        }
    }

    /// Nobody asks it any more, sessions that stay in an older world included.
    pub fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    /// How many statements came to what.
    #[must_use]
    pub fn counts(&self) -> ShadowCounts {
        let Counts {
            compared,
            differing,
            faults,
            late,
            rested,
            unread,
        } = &self.counts;
        ShadowCounts {
            compared: compared.load(Relaxed),
            differing: differing.load(Relaxed),
            faults: faults.load(Relaxed),
            late: late.load(Relaxed),
            rested: rested.load(Relaxed),
            unread: unread.load(Relaxed),
        }
    }

    /// Every kind of difference that was found. Beyond a number of kinds, others are counted as differing alone.
    #[must_use]
    pub fn found(&self) -> BTreeMap<Kind, Found> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.clone()
    }

    /// Whether it may be asked now.
    fn is_asked(&self, now: Duration) -> bool {
        if self.ended.load(Relaxed) {
            return false;
        }
        let rests = nanos(now) < self.rests_until.load(Relaxed);
        if rests {
            self.counts.rested.fetch_add(1, Relaxed);
        }
        !rests
    }

    fn took(&self, began: Duration, now: Duration) {
        let took = now.saturating_sub(began);
        if SLOW < took {
            let until = now.saturating_add(took.saturating_mul(REST));
            self.rests_until.store(nanos(until), Relaxed);
        }
    }

    fn note(&self, differing: Differing, sample: impl FnOnce(String, String) -> Sample) {
        self.counts.differing.fetch_add(1, Relaxed);
        let Differing {
            differs,
            running,
            tried,
        } = differing;
        let kind = (differs, running.by, tried.by);
        let sample = sample(running.verdict, tried.verdict);
        let mut all = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut all, kind, sample);
    }
}

/// Counts a difference and keeps it, where there is room for its kind.
fn add(all: &mut BTreeMap<Kind, Found>, kind: Kind, sample: Sample) {
    if DIFFERENCES_MAX <= all.len() && !all.contains_key(&kind) {
        return;
    }
    let found = all.entry(kind).or_default();
    found.count += 1;
    if found.last.len() == SAMPLES_MAX {
        found.last.pop_front();
    }
    found.last.push_back(sample);
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One session as the shadow sees it.
pub(super) struct Beside {
    shadow: Arc<Shadow>,
    /// The shadow's pipeline for it, and who it is there; or what the shadow does not have for it.
    place: Result<(Arc<Pipeline>, SessionContext), &'static str>,
}

impl Beside {
    pub(super) fn new(shadow: &Arc<Shadow>, context: &SessionContext) -> Self {
        Self {
            place: place(&shadow.world, context),
            shadow: Arc::clone(shadow),
        }
    }

    /// Whether its stages ask how far standbys are behind.
    pub(super) fn asks_lag(&self) -> bool {
        self.place.as_ref().is_ok_and(|(own, _)| own.asks_lag())
    }

    /// The running policy refused a statement before any stage was asked, or it cannot be read: there is nothing to compare.
    pub(super) fn unread(&self) {
        self.shadow.counts.unread.fetch_add(1, Relaxed);
    }

    /// What the shadow decides; `None` where that takes too long.
    async fn decide(&self, statement: &Statement<'_>, text_bytes: usize) -> Option<Trace> {
        let (pipeline, context) = match &self.place {
            Ok(place) => place,
            Err(missing) => return Some(refused(missing)),
        };
        let sql = pipeline.sql();
        if sql.max_bytes < text_bytes {
            return Some(refused("max_bytes"));
        }
        if sql.max_statements < statement.statement_count {
            return Some(refused("max_statements"));
        }
        let world = &self.shadow.world;
        let statement = Statement {
            session: context,
            ..*statement
        };
        // What its stages say in the log is told from what the running ones say.
        let span = tracing::info_span!("shadow", revision = %world.policy.revision.short());
        let (services, detail) = (&world.services, Detail::Verdict);
        if pipeline.may_wait() {
            let deciding = Box::pin(decide(pipeline, &statement, services, detail));
            let decided = tokio::time::timeout(WAIT_MAX, deciding.instrument(span)).await;
            return decided.ok();
        }
        span.in_scope(|| decide_at_once(pipeline, &statement, services, detail))
    }
}

/// Where the session would stand in the shadow.
fn place(
    world: &World,
    context: &SessionContext,
) -> Result<(Arc<Pipeline>, SessionContext), &'static str> {
    let policy = &world.policy;
    let mut context = context.clone();
    if has_account(&context) {
        let user = policy.users.get(&context.identity.user);
        introduce(user.ok_or("no_user")?, &mut context);
    }
    policy
        .pool_of(&context.identity.user, &context.database)
        .ok_or("no_pool")?;
    let mut listeners = policy.listeners.iter();
    let listener = listeners.find(|listener| listener.name == context.listener);
    let pipeline = &world.pipelines[listener.ok_or("no_listener")?.pipeline];
    Ok((Arc::clone(pipeline), context))
}

fn refused(rule: &'static str) -> Trace {
    Trace::refused(Decider::Sql(rule), Refusal::new(rule))
}

/// Whether the shadow could not know what the statement names: the session prepared it while nobody followed that.
fn is_unknown(trace: &Trace) -> bool {
    trace.by == Decider::Sql("unknown_prepared")
}

impl Session {
    /// Asks the shadow about a statement that the running policy has decided, and counts where they differ. Not cancel safe.
    #[cold]
    pub(super) async fn ask_shadow(&self, beside: &Beside, asked: &AskedAbout<'_>, trace: &Trace) {
        let shadow = &beside.shadow;
        let services = &shadow.world.services;
        let began = services.monotonic();
        if !shadow.is_asked(began) {
            return;
        }
        let statement = self.statement(asked);
        let text_bytes = self.text_bytes.max(asked.text.len());
        let decided = beside.decide(&statement, text_bytes).await;
        shadow.took(began, services.monotonic());
        let Some(tried) = decided else {
            shadow.counts.late.fetch_add(1, Relaxed);
            return;
        };
        shadow
            .counts
            .faults
            .fetch_add(u64::from(tried.faults), Relaxed);
        if is_unknown(&tried) && !matches!(trace.verdict, Verdict::Refuse(_)) {
            return beside.unread();
        }
        shadow.counts.compared.fetch_add(1, Relaxed);
        let running = &self.binding.pipeline;
        let pipeline = beside.place.as_ref().map_or(running, |(own, _)| own);
        let Some(differing) = compare((running, trace), (pipeline, &tried)) else {
            return;
        };
        let facts = tried.facts.as_ref().or(trace.facts.as_ref());
        shadow.note(differing, |running, shadow| Sample {
            time: Duration::from_micros(services.unix_micros()),
            decision: asked.request_id,
            user: Arc::clone(&self.context.identity.user),
            database: Arc::clone(&self.context.database),
            protocol: asked.protocol,
            fingerprint: facts.map_or_else(
                || statement::analyze(asked.text, Needs::default()).fingerprint,
                |facts| facts.fingerprint,
            ),
            running,
            shadow,
        });
    }

    /// The same for a message that no stage of the running policy reads: its statements are told apart for the shadow alone.
    #[cold]
    pub(super) async fn ask_shadow_of_unread(
        &self,
        beside: &Beside,
        sql: &[u8],
        protocol: Protocol,
        trace: &Trace,
    ) {
        // There is nothing of a text that is too long to be held.
        let Some(text) = self.text_if_readable(sql).filter(|text| !text.is_empty()) else {
            return beside.unread();
        };
        let mut parts = match protocol {
            Protocol::Simple => statement::several(text),
            _ => SmallVec::new(),
        };
        if parts.is_empty() {
            parts.push(0..text.len());
        }
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        // Of more than it lets pass the shadow refuses each for the same reason.
        let own = beside.place.as_ref();
        let asked_max = own.map_or(0, |(own, _)| own.sql().max_statements);
        if asked_max < count {
            parts.truncate(1);
        }
        for (index, part) in parts.into_iter().enumerate() {
            let asked = AskedAbout {
                request_id: self.shared.new_id(),
                text: &text[part],
                protocol,
                in_transaction: self.tx != b'I' || self.batch_open || index != 0,
                statement_count: count,
                lag: self.binding.nearest_lag(&self.shared),
            };
            self.ask_shadow(beside, &asked, trace).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_samples_are_bounded_and_the_last_samples_stay() {
        let mut all = BTreeMap::new();
        let sample = |fingerprint: usize| Sample {
            time: Duration::ZERO,
            decision: Uuid::nil(),
            user: "u".into(),
            database: "d".into(),
            protocol: Protocol::Simple,
            fingerprint: fingerprint as u64,
            running: String::new(),
            shadow: String::new(),
        };
        let kind = |number: usize| (Differs::Deny, "otherwise".into(), number.to_string().into());
        for number in 0..2 * DIFFERENCES_MAX {
            add(&mut all, kind(number), sample(number));
        }
        assert_eq!(all.len(), DIFFERENCES_MAX);
        for number in 0..3 * SAMPLES_MAX {
            add(&mut all, kind(7), sample(number));
        }
        let found = &all[&kind(7)];
        assert_eq!(found.count, 1 + 3 * SAMPLES_MAX as u64);
        let last: Vec<u64> = found.last.iter().map(|one| one.fingerprint).collect();
        let wanted: Vec<u64> = (2 * SAMPLES_MAX as u64..3 * SAMPLES_MAX as u64).collect();
        assert_eq!(last, wanted);
    }
}
