//! Rates: whether a statement passes now, after a while, or not (the generic cell rate algorithm of ITU-T I.371, Annex A). Owns the
//! buckets, which outlive a policy revision; what becomes of a statement is the stage's.

use crate::hook::Input;
use crate::policy::Exceed;
use crate::policy::Limit;
use dashmap::DashMap;
use dashmap::Entry;
use std::hash::BuildHasher as _;
use std::hash::Hasher as _;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Keys of one stage whose buckets are not full again.
const KEYS_MAX: usize = 50_000;
/// Full buckets are looked for this often at most.
const SWEEP_EVERY: u64 = 1_000_000_000;

/// The buckets of one stage: for each key the time, in nanoseconds of the monotonic clock, at which it is full again.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    full_at: DashMap<Key, u64>,
    keys: AtomicUsize,
    swept: AtomicU64,
    hashers: [RandomState; 2],
}

/// 128 bits that follow from what is counted apart, with secrets of this process.
type Key = [u64; 2];

/// One stage's limit.
pub(super) struct Limiter {
    rule: Box<Limit>,
    buckets: Arc<Buckets>,
    /// Nanoseconds between two statements at the rate.
    interval: u64,
    /// How far ahead of the rate one may be.
    ahead: u64,
}

/// Whether a statement passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pass {
    Now,
    After(Duration),
    Never,
}

impl Limiter {
    pub(super) fn new(rule: &Limit, buckets: Arc<Buckets>) -> Self {
        let interval = nanos(rule.per.as_nanos() / u128::from(rule.rate)).max(1);
        Self {
            interval,
            ahead: interval.saturating_mul(rule.burst.saturating_sub(1)),
            rule: Box::new(rule.clone()),
            buckets,
        }
    }

    pub(super) fn rule(&self) -> &Limit {
        &self.rule
    }

    /// Fills every bucket.
    pub(super) fn forget(&self) {
        self.buckets.full_at.clear();
        self.buckets.keys.store(0, Relaxed);
    }

    /// Counts a statement, if it passes.
    pub(super) fn pass(&self, input: &Input<'_>, now: Duration) -> Pass {
        let key = self.buckets.hashers.each_ref().map(|state| {
            let mut hasher = state.build_hasher();
            for key in &self.rule.keys {
                key.feed(input, &mut hasher);
            }
            hasher.finish()
        });
        self.take(key, nanos(now.as_nanos()))
    }

    fn take(&self, key: Key, now: u64) -> Pass {
        if !self.buckets.has_room(now) && !self.buckets.full_at.contains_key(&key) {
            return Pass::Never;
        }
        let entry = self.buckets.full_at.entry(key);
        let full_at = match &entry {
            Entry::Occupied(entry) => now.max(*entry.get()),
            Entry::Vacant(_) => now,
        };
        let wait = (full_at - now).saturating_sub(self.ahead);
        let longest = match self.rule.exceed {
            Exceed::Refuse => 0,
            Exceed::Delay(most) => nanos(most.as_nanos()),
        };
        if longest < wait {
            return Pass::Never;
        }
        if matches!(entry, Entry::Vacant(_)) {
            self.buckets.keys.fetch_add(1, Relaxed);
        }
        entry.insert(full_at.saturating_add(self.interval));
        match wait {
            0 => Pass::Now,
            wait => Pass::After(Duration::from_nanos(wait)),
        }
    }
}

impl Buckets {
    /// Whether there is room for one more key; forgets those whose buckets are full.
    fn has_room(&self, now: u64) -> bool {
        if self.keys.load(Relaxed) < KEYS_MAX {
            return true;
        }
        let swept = self.swept.load(Relaxed);
        let is_due = swept == 0 || swept.saturating_add(SWEEP_EVERY) <= now;
        let is_mine = is_due
            && self
                .swept
                .compare_exchange(swept, now.max(1), Relaxed, Relaxed)
                .is_ok();
        if is_mine {
            self.full_at.retain(|_, full_at| now < *full_at);
            self.keys.store(self.full_at.len(), Relaxed);
        }
        self.keys.load(Relaxed) < KEYS_MAX
    }
}

fn nanos(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::Refusal;

    const MILLI: u64 = 1_000_000;

    /// Ten a second, and so many at once.
    fn limiter(burst: u64, exceed: Exceed) -> Limiter {
        let rule = Limit {
            rate: 10,
            per: Duration::from_secs(1),
            burst,
            keys: Vec::new(),
            exceed,
            refusal: Refusal::new("too many"),
        };
        Limiter::new(&rule, Arc::default())
    }

    #[test]
    fn so_many_at_once_and_then_the_rate() {
        let limiter = limiter(3, Exceed::Refuse);
        let at = |millis: u64| limiter.take([0, 0], millis * MILLI);
        assert_eq!(
            [at(5), at(5), at(5), at(5)],
            [Pass::Now, Pass::Now, Pass::Now, Pass::Never]
        );
        assert_eq!(
            [at(104), at(105), at(106)],
            [Pass::Never, Pass::Now, Pass::Never]
        );
        // After a while of silence the whole burst is there again, and no more.
        assert_eq!(
            [at(9_000), at(9_000), at(9_000), at(9_000)],
            [Pass::Now, Pass::Now, Pass::Now, Pass::Never]
        );
    }

    #[test]
    fn what_waits_waits_for_its_turn_and_not_for_ever() {
        let limiter = limiter(1, Exceed::Delay(Duration::from_millis(250)));
        let at = |millis: u64| limiter.take([0, 0], millis * MILLI);
        let after = |millis| Pass::After(Duration::from_millis(millis));
        assert_eq!(
            [at(0), at(0), at(0), at(0)],
            [Pass::Now, after(100), after(200), Pass::Never]
        );
        assert_eq!([at(60), at(60)], [after(240), Pass::Never]);
    }

    #[test]
    fn keys_are_counted_apart_and_bounded() {
        let limiter = limiter(1, Exceed::Refuse);
        for key in 0..KEYS_MAX as u64 {
            assert_eq!(limiter.take([key, 0], 1), Pass::Now);
        }
        assert_eq!(limiter.take([0, 1], 2), Pass::Never, "no room for another");
        let known = limiter.take([7, 0], 100 * MILLI + 1);
        assert_eq!(known, Pass::Now, "a key that is there has its bucket");
        assert_eq!(
            limiter.take([0, 1], SWEEP_EVERY + 2),
            Pass::Now,
            "theirs are full again"
        );
        assert_eq!(limiter.take([0, 1], SWEEP_EVERY + 3), Pass::Never);
    }
}
