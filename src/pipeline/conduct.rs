//! Where a stage's guest runs: with the messages of all sessions, or aside, where a call that takes long holds up none of
//! them. Owns one stage's reputation; how something runs aside is `Services::aside`'s.
//!
//! A guest has to earn its place with the messages: its first calls run aside, and so do all for a while after a long one.
//! So a guest that always takes long is never with the messages, and one that does so now and then holds them up for one
//! call's deadline in that while.

use super::figures::nanos;
use crate::sandbox::Services;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Short calls in a row that earn a place with the messages.
const SHORT_CALLS_MIN: u32 = 16;
/// No short call counts so soon after a long one.
const PENANCE: Duration = Duration::from_secs(10);
/// A call that uses more is a long one: a tenth of a millisecond or so.
const SHORT_FUEL_MAX: u64 = 20_000;
/// So is the second in a row of those looked at that takes longer: one operation of a script may work on a whole text for
/// the same fuel. One alone may have been interrupted by the system.
const SHORT_TIME_MAX: Duration = Duration::from_micros(250);

/// One stage's reputation.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    short_calls: AtomicU32,
    /// Nanoseconds of the monotonic clock before which no short call counts.
    penance_until: AtomicU64,
    last_took_long: AtomicBool,
}

impl Conduct {
    /// Whether it runs with the messages.
    pub(super) fn is_trusted(&self) -> bool {
        SHORT_CALLS_MIN <= self.short_calls.load(Relaxed)
    }

    /// It was called; `took` where the clock was looked at.
    pub(super) fn called(&self, fuel: u64, took: Option<Duration>, now: impl FnOnce() -> Duration) {
        let took_long = took.is_some_and(|took| {
            let long = SHORT_TIME_MAX < took;
            self.last_took_long.swap(long, Relaxed) && long
        });
        if SHORT_FUEL_MAX < fuel || took_long {
            self.short_calls.store(0, Relaxed);
            self.penance_until.store(nanos(now() + PENANCE), Relaxed);
        } else if !self.is_trusted() && self.penance_until.load(Relaxed) <= nanos(now()) {
            self.short_calls.fetch_add(1, Relaxed);
        }
    }
}

/// Runs a part of a call aside, and gives what came of it.
pub(super) fn aside<T: Send>(services: &dyn Services, part: impl FnOnce() -> T + Send) -> T {
    let (mut part, mut result) = (Some(part), None);
    services.aside(&mut || result = part.take().map(|part| part()));
    #[expect(clippy::expect_used, reason = "`aside` runs what it is given")]
    result.expect("it has run")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: u64 = 100;
    const LONG: u64 = 1_000_000;

    fn call(conduct: &Conduct, fuel: u64, second: u64) {
        conduct.called(fuel, None, || Duration::from_secs(second));
    }

    #[test]
    fn trust_is_earned_by_short_calls_and_lost_by_a_long_one() {
        let conduct = Conduct::default();
        for _ in 0..SHORT_CALLS_MIN {
            assert!(!conduct.is_trusted());
            call(&conduct, SHORT, 0);
        }
        assert!(conduct.is_trusted());
        call(&conduct, LONG, 1);
        for _ in 0..SHORT_CALLS_MIN {
            call(&conduct, SHORT, 10);
        }
        assert!(!conduct.is_trusted(), "too soon");
        for _ in 0..SHORT_CALLS_MIN {
            assert!(!conduct.is_trusted());
            call(&conduct, SHORT, 11);
        }
        assert!(conduct.is_trusted());
    }

    #[test]
    fn a_guest_that_always_takes_long_is_never_trusted() {
        let conduct = Conduct::default();
        for second in 0..1_000 {
            call(&conduct, LONG, second * 60);
            assert!(!conduct.is_trusted());
        }
    }

    #[test]
    fn time_counts_as_fuel_does_but_not_once() {
        let conduct = Conduct::default();
        let took = |millis| {
            let took = Some(Duration::from_millis(millis));
            conduct.called(SHORT, took, || Duration::from_secs(1));
        };
        for _ in 0..SHORT_CALLS_MIN {
            took(0);
        }
        took(5);
        took(0);
        took(5);
        assert!(conduct.is_trusted());
        took(5);
        assert!(!conduct.is_trusted());
    }
}
