//! Stops asking a stage that keeps failing, and finds out when it works again. Owns one stage's state; what not being asked
//! means for a statement is the stage's `on_failure`, as with any other fault.
//!
//! Faults are counted in a row: one answer in between closes the count, so that one client's bad statements among many good
//! ones do not take a stage away from everybody. While it is open nobody is let in; then one call is, and after each that
//! fails the next wait is twice as long.

use super::figures::nanos;
use crate::policy::BreakerRule;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Doublings of the wait at most.
const DOUBLINGS_MAX: u32 = 5;
/// A probe that never ends (its session died) is forgotten after this.
const PROBE_WAIT: Duration = Duration::from_secs(10);

/// What asking the breaker came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// Ask.
    Closed,
    /// Ask: it is the one call that finds out.
    Probe,
    /// Do not ask.
    Open,
}

/// One stage's breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    rule: BreakerRule,
    /// Faults in a row, and when the first of them was.
    faults: AtomicU32,
    first: AtomicU64,
    /// Nanoseconds of the monotonic clock until which nobody is let in; 0 while it is closed.
    open_until: AtomicU64,
    opened: AtomicU32,
}

impl Breaker {
    pub(super) fn new(rule: BreakerRule) -> Self {
        Self {
            rule,
            faults: AtomicU32::new(0),
            first: AtomicU64::new(0),
            open_until: AtomicU64::new(0),
            opened: AtomicU32::new(0),
        }
    }

    /// Whether the stage is asked. The clock is looked at only when the breaker is not closed.
    pub(super) fn admit(&self, now: impl FnOnce() -> Duration) -> Admission {
        let until = self.open_until.load(Relaxed);
        if until == 0 {
            return Admission::Closed;
        }
        let now = nanos(now());
        if now < until {
            return Admission::Open;
        }
        let next = now.saturating_add(nanos(PROBE_WAIT)).max(1);
        match self
            .open_until
            .compare_exchange(until, next, Relaxed, Relaxed)
        {
            Ok(_) => Admission::Probe,
            Err(_) => Admission::Open,
        }
    }

    /// Whether nobody is let in at that time; unlike asking, this lets nobody in.
    pub(super) fn keeps_out(&self, now: impl FnOnce() -> Duration) -> bool {
        let until = self.open_until.load(Relaxed);
        until != 0 && nanos(now()) < until
    }

    /// The stage answered. While it is open only the probe's answer counts: a call that began before it opened says nothing
    /// about now.
    pub(super) fn answered(&self, admission: Admission) {
        let is_open = self.open_until.load(Relaxed) != 0;
        if self.faults.load(Relaxed) != 0 && (admission == Admission::Probe || !is_open) {
            self.reset();
        }
    }

    /// The probe came to nothing that says how the stage is: whoever asks next finds out.
    pub(super) fn undecided(&self, admission: Admission, now: Duration) {
        if admission == Admission::Probe {
            self.open_until.store(nanos(now).max(1), Relaxed);
        }
    }

    /// Closes it and forgets every fault.
    pub(super) fn reset(&self) {
        self.faults.store(0, Relaxed);
        self.open_until.store(0, Relaxed);
        self.opened.store(0, Relaxed);
    }

    /// The stage failed. Whether this opened the breaker.
    pub(super) fn failed(&self, admission: Admission, now: Duration) -> bool {
        let now = nanos(now);
        if self.faults.load(Relaxed) == 0
            || self.first.load(Relaxed) + nanos(self.rule.within) < now
        {
            self.first.store(now, Relaxed);
            if admission == Admission::Closed {
                self.faults.store(0, Relaxed);
            }
        }
        let faults = self.faults.fetch_add(1, Relaxed).saturating_add(1);
        let is_open = self.open_until.load(Relaxed) != 0;
        // A call that began before it opened does not lengthen the wait.
        if admission != Admission::Probe && (is_open || faults < self.rule.failures) {
            return false;
        }
        let doublings = self.opened.fetch_add(1, Relaxed).min(DOUBLINGS_MAX);
        let wait = self.rule.retry_after.saturating_mul(1 << doublings);
        self.open_until
            .store(now.saturating_add(nanos(wait)).max(1), Relaxed);
        true
    }

    /// Whether it is open, for `SHOW`.
    pub(super) fn is_open(&self) -> bool {
        self.open_until.load(Relaxed) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(BreakerRule {
            failures: 3,
            within: Duration::from_secs(10),
            retry_after: Duration::from_secs(1),
        })
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn fail(breaker: &Breaker, millis: u64) -> bool {
        let admission = breaker.admit(|| at(millis));
        assert_ne!(admission, Admission::Open, "at {millis}");
        breaker.failed(admission, at(millis))
    }

    #[test]
    fn faults_in_a_row_open_it_and_an_answer_starts_the_count_anew() {
        let breaker = breaker();
        assert!(!fail(&breaker, 1) && !fail(&breaker, 2));
        breaker.answered(Admission::Closed);
        assert!(!fail(&breaker, 3) && !fail(&breaker, 4) && fail(&breaker, 5));
        assert_eq!(breaker.admit(|| at(6)), Admission::Open);
        assert!(breaker.is_open());
    }

    #[test]
    fn faults_far_apart_do_not_count_together() {
        let breaker = breaker();
        assert!(!fail(&breaker, 0) && !fail(&breaker, 1));
        assert!(!fail(&breaker, 20_000) && !fail(&breaker, 20_001) && fail(&breaker, 20_002));
    }

    #[test]
    fn one_call_finds_out_and_the_waits_double() {
        let breaker = breaker();
        assert!(!fail(&breaker, 1) && !fail(&breaker, 2) && fail(&breaker, 3));
        assert_eq!(breaker.admit(|| at(1_002)), Admission::Open);
        assert_eq!(breaker.admit(|| at(1_004)), Admission::Probe);
        assert_eq!(
            breaker.admit(|| at(1_004)),
            Admission::Open,
            "one call only"
        );
        assert!(breaker.failed(Admission::Probe, at(1_004)));
        assert_eq!(breaker.admit(|| at(3_003)), Admission::Open);
        assert_eq!(breaker.admit(|| at(3_005)), Admission::Probe);
        breaker.answered(Admission::Probe);
        assert_eq!(breaker.admit(|| at(3_005)), Admission::Closed);
        assert!(!fail(&breaker, 3_006));
    }

    #[test]
    fn a_probe_that_never_ends_is_not_waited_for_for_ever() {
        let breaker = breaker();
        assert!(!fail(&breaker, 1) && !fail(&breaker, 2) && fail(&breaker, 3));
        assert_eq!(breaker.admit(|| at(2_000)), Admission::Probe);
        assert_eq!(breaker.admit(|| at(11_999)), Admission::Open);
        assert_eq!(breaker.admit(|| at(12_001)), Admission::Probe);
    }

    #[test]
    fn calls_that_began_before_it_opened_change_nothing() {
        let breaker = breaker();
        assert!(!fail(&breaker, 1) && !fail(&breaker, 2) && fail(&breaker, 3));
        breaker.answered(Admission::Closed);
        assert_eq!(breaker.admit(|| at(4)), Admission::Open);
        assert!(!breaker.failed(Admission::Closed, at(900)));
        assert_eq!(breaker.admit(|| at(1_003)), Admission::Probe);
    }

    #[test]
    fn a_probe_that_says_nothing_leaves_it_to_the_next_call() {
        let breaker = breaker();
        assert!(!fail(&breaker, 1) && !fail(&breaker, 2) && fail(&breaker, 3));
        assert_eq!(breaker.admit(|| at(2_000)), Admission::Probe);
        breaker.undecided(Admission::Probe, at(2_000));
        assert_eq!(breaker.admit(|| at(2_000)), Admission::Probe);
        breaker.answered(Admission::Probe);
        breaker.undecided(Admission::Closed, at(2_001));
        assert_eq!(breaker.admit(|| at(2_001)), Admission::Closed);
    }
}
