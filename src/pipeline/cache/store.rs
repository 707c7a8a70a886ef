//! The answers of one stage: what is kept, within its bytes, and the figures of it. Owns no key and no judgement of writes.

use super::Generations;
use super::Key;
use super::Stamp;
use crate::policy::Cache as Rule;
use quick_cache::Lifecycle;
use quick_cache::OptionsBuilder;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::fmt;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What an answer is taken to cost beside its bytes.
const ENTRY_BYTES: u64 = 256;
/// Bytes of an answer of ordinary size.
const ORDINARY_BYTES: usize = 4 * 1024;
/// Parts of a store, each with its lock.
const SHARDS_MAX: usize = 16;
/// So many of the largest answers find room in a part.
const SHARD_ENTRIES_MIN: usize = 4;

/// A whole answer to one SELECT, as the node sent it: its rows and whatever describes them, untouched by any stage.
#[derive(Debug, Default)]
pub struct Answer {
    /// RowDescription, the whole message.
    pub head: Box<[u8]>,
    /// DataRows, whole messages.
    pub rows: Box<[u8]>,
    /// How many they are.
    pub count: u64,
    /// CommandComplete, the whole message.
    pub end: Box<[u8]>,
}

impl Answer {
    /// Bytes of all its messages.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.head.len() + self.rows.len() + self.end.len()
    }
}

#[derive(Clone)]
struct Entry {
    answer: Option<Arc<Answer>>,
    stamp: Stamp,
    until: Duration,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Entry> for Weight {
    fn weight(&self, _: &Key, entry: &Entry) -> u64 {
        let bytes = entry.answer.as_ref().map_or(0, |answer| answer.bytes());
        u64::try_from(bytes).unwrap_or(u64::MAX / 2) + ENTRY_BYTES
    }
}

/// Counts what makes room.
#[derive(Clone)]
struct Evicted(Arc<AtomicU64>);

impl Lifecycle<Key, Entry> for Evicted {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Key, _: Entry) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// The answers of one stage.
pub(in crate::pipeline) struct Store {
    rule: Arc<Rule>,
    generations: Arc<Generations>,
    entries: Cache<Key, Entry, Weight, RandomState, Evicted>,
    hits: AtomicU64,
    misses: AtomicU64,
    stored: AtomicU64,
    invalidated: AtomicU64,
    expired: AtomicU64,
    unfit: AtomicU64,
    evicted: Arc<AtomicU64>,
}

/// Figures of one store since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheFigures {
    /// Answers given.
    pub hits: u64,
    /// Times there was none to give.
    pub misses: u64,
    /// Answers taken.
    pub stored: u64,
    /// Answers that were asked for and that a write had ended.
    pub invalidated: u64,
    /// Answers that were asked for and were too old.
    pub expired: u64,
    /// Answers that made room for others.
    pub evicted: u64,
    /// Answers that could not be taken: too long, of a standby, with a notice, broken off, or overtaken by a write.
    pub unfit: u64,
    /// Answers it holds, good or not; what it knows of statements counts too.
    pub entries: u64,
    /// Bytes it holds.
    pub bytes: u64,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?})", self.figures())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.generations.unwatch();
    }
}

impl Store {
    /// An empty one.
    #[must_use]
    pub(in crate::pipeline) fn new(rule: &Arc<Rule>, generations: &Arc<Generations>) -> Self {
        generations.watch();
        let largest = rule.entry_bytes_max.max(1) * SHARD_ENTRIES_MIN;
        let shards = (rule.bytes_max / largest).clamp(1, SHARDS_MAX);
        // Rounded up to a power of two there, so down to one here.
        let shards = 1 << shards.ilog2();
        let ordinary = (rule.bytes_max / ORDINARY_BYTES).clamp(SHARDS_MAX, 1_000_000);
        let evicted = Arc::<AtomicU64>::default();
        let mut options = OptionsBuilder::new();
        options
            .shards(shards)
            .estimated_items_capacity(ordinary)
            .weight_capacity(u64::try_from(rule.bytes_max).unwrap_or(u64::MAX / 2));
        let (hasher, lifecycle) = (RandomState::new(), Evicted(Arc::clone(&evicted)));
        #[expect(clippy::expect_used, reason = "both capacities are set above")]
        let options = options.build().expect("complete options");
        Self {
            rule: Arc::clone(rule),
            generations: Arc::clone(generations),
            entries: Cache::with_options(options, Weight, hasher, lifecycle),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            invalidated: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            unfit: AtomicU64::new(0),
            evicted,
        }
    }

    /// What the policy says of it.
    #[must_use]
    pub(in crate::pipeline) fn rule(&self) -> &Arc<Rule> {
        &self.rule
    }

    pub(super) fn generations(&self) -> &Generations {
        &self.generations
    }

    pub(super) fn get(
        &self,
        key: Key,
        now: Duration,
        is_good: impl FnOnce(Stamp) -> bool,
    ) -> Option<Arc<Answer>> {
        let Some(entry) = self.entries.get(&key) else {
            self.misses.fetch_add(1, Relaxed);
            return None;
        };
        let why_not = match entry {
            Entry { until, .. } if until <= now => &self.expired,
            Entry { stamp, .. } if !is_good(stamp) => &self.invalidated,
            Entry { answer, .. } => {
                self.hits.fetch_add(1, Relaxed);
                return answer;
            }
        };
        why_not.fetch_add(1, Relaxed);
        self.misses.fetch_add(1, Relaxed);
        // A newer one may have come in between.
        self.entries
            .remove_if(&key, |known| known.stamp == entry.stamp);
        None
    }

    pub(super) fn knows(
        &self,
        key: Key,
        now: Duration,
        is_good: impl FnOnce(Stamp) -> bool,
    ) -> bool {
        let entry = self.entries.get(&key);
        entry.is_some_and(|entry| now < entry.until && is_good(entry.stamp))
    }

    pub(super) fn put(&self, key: Key, answer: Answer, stamp: Stamp, sent: Duration) {
        if self.rule.entry_bytes_max < answer.bytes() {
            return self.unfit();
        }
        self.stored.fetch_add(1, Relaxed);
        self.insert(key, Some(Arc::new(answer)), stamp, sent);
    }

    pub(super) fn put_statement(&self, key: Key, stamp: Stamp, sent: Duration) {
        self.insert(key, None, stamp, sent);
    }

    fn insert(&self, key: Key, answer: Option<Arc<Answer>>, stamp: Stamp, sent: Duration) {
        let entry = Entry {
            answer,
            stamp,
            until: sent + self.rule.ttl,
        };
        self.entries.insert(key, entry);
    }

    pub(super) fn unfit(&self) {
        self.unfit.fetch_add(1, Relaxed);
    }

    /// Its figures.
    #[must_use]
    pub(in crate::pipeline) fn figures(&self) -> CacheFigures {
        let count = |figure: &AtomicU64| figure.load(Relaxed);
        CacheFigures {
            hits: count(&self.hits),
            misses: count(&self.misses),
            stored: count(&self.stored),
            invalidated: count(&self.invalidated),
            expired: count(&self.expired),
            evicted: count(&self.evicted),
            unfit: count(&self.unfit),
            entries: u64::try_from(self.entries.len()).unwrap_or(u64::MAX),
            bytes: self.entries.weight(),
        }
    }
}
