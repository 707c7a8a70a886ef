//! Whether a node can be asked now: after a failed connection it is left alone for a while, longer each time.

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
