//! Figures of stages: calls, refusals, faults by kind, fuel and time. They belong to a stage's name and survive reloads.
//! Owns counting, not what is counted.

use crate::sandbox::Fault;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// One call in so many is timed: two looks at the clock cost as much as a short script.
const TIMED_EVERY: u64 = 8;
/// A stage whose last fault is longer ago is not degraded any more.
const DEGRADED_FOR: Duration = Duration::from_secs(60);
/// Log lines of one stage's faults are this far apart; those between are counted.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Counts by powers of two: bucket `n` holds values below `2^n` and not below half of it.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; Self::BUCKETS],
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            sum: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// The last bucket holds everything above 2^38: four and a half minutes, in nanoseconds.
    const BUCKETS: usize = 40;

    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let bucket = (u64::BITS - value.leading_zeros()) as usize;
        self.buckets[bucket.min(Self::BUCKETS - 1)].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// The sum of all values.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.load(Relaxed)
    }

    /// The largest value of each bucket, and how many values there were up to it. The last bucket has no largest.
    #[must_use]
    pub fn cumulative(&self) -> Vec<(Option<u64>, u64)> {
        let mut seen = 0;
        let buckets = self.buckets.iter().enumerate();
        buckets
            .map(|(bucket, count)| {
                seen += count.load(Relaxed);
                let largest = (bucket < Self::BUCKETS - 1).then_some((1 << bucket) - 1);
                (largest, seen)
            })
            .collect()
    }

    /// The upper bound of the bucket that holds the `per_mille`-th value; 0 without values.
    #[must_use]
    pub fn quantile(&self, per_mille: u64) -> u64 {
        let counts = self.buckets.iter().map(|count| count.load(Relaxed));
        let counts: Vec<u64> = counts.collect();
        let all: u64 = counts.iter().sum();
        let wanted = (all * per_mille).div_ceil(1_000);
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if wanted <= seen && all != 0 {
                return 1 << bucket;
            }
        }
        0
    }
}

/// Faults of one stage, by kind.
#[derive(Debug)]
pub struct FaultCounts([AtomicU64; Fault::KINDS.len()]);

impl Default for FaultCounts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl FaultCounts {
    fn count(&self, fault: &Fault) {
        let kind = fault.kind();
        if let Some(index) = Fault::KINDS.iter().position(|known| *known == kind) {
            self.0[index].fetch_add(1, Relaxed);
        }
    }

    /// Kind and count of those that happened.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.iter().map(|count| count.load(Relaxed));
        Fault::KINDS
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count != 0)
            .collect()
    }
}

/// How a stage or plugin is doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Health {
    /// Its revision is being built.
    Loading,
    /// It answers.
    Ready,
    /// It failed within the last minute.
    Degraded,
    /// It is not asked: its breaker is open.
    Broken,
    /// The last session has left its revision.
    Unloaded,
}

impl Health {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Loading,
        Self::Ready,
        Self::Degraded,
        Self::Broken,
        Self::Unloaded,
    ];

    /// The name in `SHOW`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Broken => "broken",
            Self::Unloaded => "unloaded",
        }
    }
}

/// Figures of one stage since the process started; they survive reloads.
#[derive(Default, Debug)]
pub struct StageStats {
    /// Times its guards matched and it was asked.
    pub calls: AtomicU64,
    /// Times it refused.
    pub refusals: AtomicU64,
    /// Times it would have done something, but only observes.
    pub observed: AtomicU64,
    /// Values it replaced in rows.
    pub masked: AtomicU64,
    /// Fuel of a call, of guests.
    pub fuel_of_calls: Histogram,
    /// Nanoseconds of a call, of guests; one call in eight is timed.
    pub nanos_of_calls: Histogram,
    /// Times it failed, by kind.
    pub faults: FaultCounts,
    /// Nanoseconds of the monotonic clock at the last fault, and at the last log line about one.
    last_fault: AtomicU64,
    last_logged: AtomicU64,
    unlogged: AtomicU64,
}

impl StageStats {
    /// Counts a call; whether its time is to be taken.
    pub(super) fn called(&self) -> bool {
        self.calls.fetch_add(1, Relaxed).is_multiple_of(TIMED_EVERY)
    }

    pub(super) fn spent(&self, fuel: u64) {
        self.fuel_of_calls.observe(fuel);
    }

    pub(super) fn took(&self, time: Duration) {
        self.nanos_of_calls.observe(nanos(time));
    }

    /// Counts a fault. `Some` where it is to be logged: how many before it were not.
    pub(super) fn failed(&self, fault: &Fault, now: Duration) -> Option<u64> {
        self.faults.count(fault);
        let now = nanos(now).max(1);
        self.last_fault.store(now, Relaxed);
        let last = self.last_logged.load(Relaxed);
        let is_due = last == 0 || last + nanos(LOG_EVERY) <= now;
        let is_mine = is_due
            && self
                .last_logged
                .compare_exchange(last, now, Relaxed, Relaxed)
                .is_ok();
        if is_mine {
            return Some(self.unlogged.swap(0, Relaxed));
        }
        self.unlogged.fetch_add(1, Relaxed);
        None
    }

    /// How the stage is doing at `now`, if it is asked at all.
    pub(super) fn health(&self, now: Duration) -> Health {
        let last = self.last_fault.load(Relaxed);
        if last != 0 && nanos(now) < last + nanos(DEGRADED_FOR) {
            Health::Degraded
        } else {
            Health::Ready
        }
    }
}

/// Nanoseconds, for a cell that threads share.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_bounds_of_buckets() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(500), 0);
        for value in [0, 1, 3, 3, 3, 100, 100, 100, 100, 1_000_000] {
            histogram.observe(value);
        }
        assert_eq!(histogram.quantile(500), 4);
        assert_eq!(histogram.quantile(900), 128);
        assert_eq!(histogram.quantile(990), 1 << 20);
        let cumulative = histogram.cumulative();
        assert_eq!(
            cumulative[..4],
            [(Some(0), 1), (Some(1), 2), (Some(3), 5), (Some(7), 5)]
        );
        assert_eq!(cumulative.last(), Some(&(None, 10)));
        assert_eq!(histogram.sum(), 1_000_410);
        histogram.observe(u64::MAX);
        assert_eq!(histogram.quantile(1_000), 1 << 39);
    }

    #[test]
    fn faults_are_counted_by_kind_and_logged_once_a_second() {
        let stats = StageStats::default();
        let at = Duration::from_millis;
        assert_eq!(stats.failed(&Fault::OutOfFuel, at(0)), Some(0));
        assert_eq!(stats.failed(&Fault::OutOfFuel, at(10)), None);
        assert_eq!(stats.failed(&Fault::Deadline, at(900)), None);
        assert_eq!(stats.failed(&Fault::OutOfFuel, at(1_001)), Some(2));
        assert_eq!(
            stats.faults.snapshot(),
            [("out_of_fuel", 3), ("deadline", 1)]
        );
        assert_eq!(stats.health(at(2_000)), Health::Degraded);
        assert_eq!(stats.health(at(62_000)), Health::Ready);
    }

    #[test]
    fn every_kind_of_fault_has_a_place() {
        for kind in Fault::KINDS {
            if let Some(fault) = Fault::injected(kind) {
                assert_eq!(fault.kind(), kind);
            }
        }
    }
}
