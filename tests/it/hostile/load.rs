//! Who talks to the proxy: victims at a fixed rate whose times are measured, and attackers that send as fast as they
//! are answered. Owns the two loops; `corpus` has the statements, and which ones run when is the test's.

use super::corpus::Attack;
use super::corpus::Outcome;
use crate::support::frames::query;
use crate::support::message::only_problem;
use crate::support::wire::Wire;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;

/// Between two statements of one victim.
pub(super) const VICTIM_PERIOD: Duration = Duration::from_millis(40);

/// What the victims and the test have in common.
#[derive(Default)]
pub(super) struct Stage {
    /// Which window is open: the index of what attacks, or `QUIET` or `CLOSED`.
    window: AtomicUsize,
    over: AtomicBool,
}

/// Nobody attacks.
pub(super) const QUIET: usize = usize::MAX;
/// Times are not counted, and whoever is late is forgiven: what one attack did is not the next one's.
pub(super) const CLOSED: usize = usize::MAX - 1;

impl Stage {
    pub(super) fn open(&self, window: usize) {
        self.window.store(window, Relaxed);
    }

    /// Lets the victims end when it is dropped, also when the test fails.
    pub(super) fn end_with(&self) -> impl Drop {
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Relaxed);
            }
        }
        End(&self.over)
    }
}

/// A victim's times with the window each was in when it was due.
pub(super) type Times = Vec<(usize, Duration)>;

/// Runs a statement every period, and measures each from the moment it was due: an answer that is late makes those after
/// it late as well. Panics when one fails.
pub(super) fn suffer(stage: &Stage, mut wire: Wire, offset: Duration) -> Times {
    let mut times = Times::new();
    let mut due = Instant::now() + offset;
    while !stage.over.load(Relaxed) {
        wait_until(due);
        let window = stage.window.load(Relaxed);
        assert_eq!(wire.value("SELECT 'victim'"), "victim");
        times.push((window, due.elapsed()));
        due += VICTIM_PERIOD;
        if stage.window.load(Relaxed) == CLOSED {
            due = due.max(Instant::now());
        }
    }
    times
}

/// A wait is part of what is measured here: statements come at a fixed rate.
fn wait_until(moment: Instant) {
    while let Some(rest) = moment.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(rest);
    }
}

/// How attackers send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Statements sent together, before any is answered.
    pub(super) batch: u32,
    /// Between two batches of one attacker at least.
    pub(super) pace: Duration,
}

/// What came of one attack's statements, by the word for it.
pub(super) type Tally = BTreeMap<String, u64>;

/// Attacks in turn until the end, beginning at `first`, and gives what came of each. Panics when a statement passes or
/// fails in another way than it must.
pub(super) fn attack(
    wire: &mut Wire,
    attacks: &[&Attack],
    first: usize,
    manner: Manner,
    end: Instant,
) -> Vec<Tally> {
    let mut tallies = vec![Tally::new(); attacks.len()];
    let frames: Vec<Vec<u8>> = attacks
        .iter()
        .map(|attack| query(&attack.sql()).repeat(manner.batch as usize))
        .collect();
    let mut due = Instant::now();
    for turn in (0..attacks.len()).cycle().skip(first) {
        if end <= Instant::now() {
            break;
        }
        wait_until(due.min(end));
        due = (due + manner.pace).max(Instant::now());
        wire.send(&frames[turn]);
        for _ in 0..manner.batch {
            let word = outcome(wire, attacks[turn]);
            *tallies[turn].entry(word).or_default() += 1;
        }
    }
    assert_eq!(wire.value("SELECT 'alive'"), "alive");
    tallies
}

/// Reads one answer and gives the word for what it was: the fault, or `refused`.
fn outcome(wire: &mut Wire, attack: &Attack) -> String {
    const FAULT: &str = "a stage of the policy failed: ";
    const OPEN: &str = "breaker_open";
    let problem = only_problem(&wire.until_ready());
    match (attack.outcome, problem.message.strip_prefix(FAULT)) {
        (Outcome::Refused, None) if problem.code == "42000" => "refused".to_owned(),
        (Outcome::Refused, Some("deadline")) if problem.code == "58000" => "deadline".to_owned(),
        (Outcome::Fault(kinds), Some(kind))
            if problem.code == "58000"
                && (kinds.contains(&kind) || attack.guarded && kind == OPEN) =>
        {
            kind.to_owned()
        }
        _ => panic!("{}: {problem:?}", attack.table),
    }
}
