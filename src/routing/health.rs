//! Whether a node can be asked now: after a failed connection it is left alone for a while, longer each time; and how far it is
//! behind its primary. Owns no measuring.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const BACKOFF_MIN: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(15);

/// What connections to one node have come to lately. Times are measured from the start of the process.
#[derive(Debug, Default)]
pub struct Health {
    failures: AtomicU32,
    down_until_ms: AtomicU64,
    /// When the primary was where this node is now known to be, and one more; 0: not known.
    caught_up_ms: AtomicU64,
}

impl Health {
    /// A connection was made.
    pub fn succeeded(&self) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
            self.down_until_ms.store(0, Relaxed);
        }
    }

    /// A connection failed at `now`.
    pub fn failed(&self, now: Duration) {
        let before = self.failures.fetch_add(1, Relaxed);
        let backoff = BACKOFF_MIN
            .saturating_mul(1_u32 << before.min(8))
            .min(BACKOFF_MAX);
        self.down_until_ms
            .store(millis(now.saturating_add(backoff)), Relaxed);
    }

    /// Whether the node may be asked at `now`: it works, or its pause is over and one may try.
    #[must_use]
    pub fn usable(&self, now: Duration) -> bool {
        self.down_until_ms.load(Relaxed) <= millis(now)
    }

    /// The node has all that its primary had at `then`.
    pub fn caught_up(&self, then: Duration) {
        self.caught_up_ms
            .store(millis(then).saturating_add(1), Relaxed);
    }

    /// How far the node is behind is not known any more.
    pub fn forget_lag(&self) {
        self.caught_up_ms.store(0, Relaxed);
    }

    /// How far the node is behind at `now`, at most; `None`: not known. It grows while nobody can tell better.
    #[must_use]
    pub fn lag(&self, now: Duration) -> Option<Duration> {
        let then = self.caught_up_ms.load(Relaxed).checked_sub(1)?;
        Some(now.saturating_sub(Duration::from_millis(then)))
    }

    /// Whether the node is further behind than it may be. What is not known is too far.
    #[must_use]
    pub fn is_behind(&self, max_lag: Option<Duration>, now: Duration) -> bool {
        max_lag.is_some_and(|max_lag| self.lag(now).is_none_or(|lag| max_lag < lag))
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_grows_until_somebody_knows_better_and_unknown_is_too_much() {
        let (health, second) = (Health::default(), Duration::from_secs(1));
        let max = Some(second);
        assert_eq!(health.lag(9 * second), None);
        assert!(health.is_behind(max, 9 * second) && !health.is_behind(None, 9 * second));
        health.caught_up(9 * second);
        assert_eq!(health.lag(9 * second), Some(Duration::ZERO));
        assert!(
            !health.is_behind(max, 10 * second)
                && health.is_behind(max, 10 * second + second / 500)
        );
        health.caught_up(10 * second);
        assert!(!health.is_behind(max, 11 * second));
        health.forget_lag();
        assert!(health.is_behind(max, 11 * second));
        health.caught_up(Duration::ZERO);
        assert_eq!(health.lag(second), Some(second));
    }

    #[test]
    fn each_failure_pauses_longer_and_a_success_ends_it() {
        let health = Health::default();
        let at = Duration::from_secs(10);
        assert!(health.usable(at));
        health.failed(at);
        assert!(!health.usable(at));
        assert!(health.usable(at + BACKOFF_MIN));
        for _ in 0..40 {
            health.failed(at);
        }
        assert!(!health.usable(at + BACKOFF_MAX - Duration::from_millis(1)));
        assert!(health.usable(at + BACKOFF_MAX));
        health.succeeded();
        assert!(health.usable(at));
    }
}
