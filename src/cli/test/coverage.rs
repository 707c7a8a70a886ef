//! What the tests of a policy meet of it: which stages they ask, and both outcomes of each guard. Owns no playing.

use crate::hook::Hook;
use crate::pipeline::Connecting;
use crate::pipeline::Step;
use crate::pipeline::StepResult;
use crate::policy::Mode;
use crate::policy::Policy;
use crate::policy::Stage;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The hooks that a test plays: it begins after the login and ends where a node would be asked.
pub(super) const PLAYED: [Hook; 6] = [
    Hook::OnConnect,
    Hook::PreQuery,
    Hook::Rewrite,
    Hook::Authorize,
    Hook::CacheGet,
    Hook::Route,
];

/// A guard of a stage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Guard {
    When,
    Unless,
}

/// What was met so far.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    asked: BTreeSet<Arc<str>>,
    /// Each guard, and what it came to.
    branches: BTreeMap<(Arc<str>, Guard), BTreeSet<bool>>,
}

/// What was met of what could be.
#[derive(Debug)]
pub(super) struct Covered {
    pub(super) stages: (usize, usize),
    pub(super) branches: (usize, usize),
    /// What was not met, one line each.
    pub(super) untested: Vec<String>,
    /// Stages that no test can meet, each with its hooks.
    pub(super) not_played: Vec<String>,
}

impl Coverage {
    /// A stage's part in a decision.
    pub(super) fn asked(&mut self, step: &Step) {
        if !matches!(step.result, StepResult::Skipped | StepResult::Off) {
            self.asked.insert(Arc::clone(&step.stage));
        }
        self.held(&step.stage, step.when, step.unless);
    }

    /// A stage's part in connecting.
    pub(super) fn connected(&mut self, connecting: &Connecting) {
        if connecting.when != Some(false) && connecting.unless != Some(true) {
            self.asked.insert(Arc::clone(&connecting.stage));
        }
        self.held(&connecting.stage, connecting.when, connecting.unless);
    }

    fn held(&mut self, stage: &Arc<str>, when: Option<bool>, unless: Option<bool>) {
        for (guard, held) in [(Guard::When, when), (Guard::Unless, unless)] {
            if let Some(held) = held {
                let key = (Arc::clone(stage), guard);
                self.branches.entry(key).or_default().insert(held);
            }
        }
    }

    /// Compares what was met with what a policy has.
    pub(super) fn of(&self, policy: &Policy) -> Covered {
        let mut covered = Covered {
            stages: (0, 0),
            branches: (0, 0),
            untested: Vec::new(),
            not_played: Vec::new(),
        };
        for stage in policy.stages.iter().filter(|it| it.mode != Mode::Off) {
            if stage.hooks.iter().any(|hook| PLAYED.contains(hook)) {
                self.add(stage, &mut covered);
            } else {
                let hooks: Vec<&str> = stage.hooks.iter().map(|hook| hook.name()).collect();
                let line = format!("stage `{}` ({})", stage.name, hooks.join(", "));
                covered.not_played.push(line);
            }
        }
        covered
    }

    fn add(&self, stage: &Stage, covered: &mut Covered) {
        let untested = |covered: &mut Covered, why: &str| {
            let line = format!("stage `{}`: {why}  {}", stage.name, stage.place);
            covered.untested.push(line);
        };
        covered.stages.1 += 1;
        let is_asked = self.asked.contains(&stage.name);
        covered.stages.0 += usize::from(is_asked);
        if !is_asked {
            untested(covered, "no test asks it");
        }
        let guards = [
            (
                Guard::When,
                &stage.when,
                ["`when` always matches", "`when` never matches"],
            ),
            (
                Guard::Unless,
                &stage.unless,
                ["`unless` spares every statement", "`unless` spares nothing"],
            ),
        ];
        for (guard, written, [never_false, never_true]) in guards {
            if written.is_empty() {
                continue;
            }
            let met = self.branches.get(&(Arc::clone(&stage.name), guard));
            let has = |held| met.is_some_and(|met| met.contains(&held));
            covered.branches.1 += 2;
            covered.branches.0 += usize::from(has(false)) + usize::from(has(true));
            match (has(false), has(true)) {
                (false, true) => untested(covered, never_false),
                (true, false) => untested(covered, never_true),
                _ => (),
            }
        }
    }
}

impl Covered {
    /// Whether at least that many of a hundred stages and branches are met.
    pub(super) fn reaches(&self, percent: u8) -> bool {
        usize::from(percent) * self.all() <= 100 * self.met()
    }

    /// How many of a hundred stages and branches are met, rounded down.
    pub(super) fn percent(&self) -> usize {
        (100 * self.met()).checked_div(self.all()).unwrap_or(100)
    }

    fn met(&self) -> usize {
        self.stages.0 + self.branches.0
    }

    fn all(&self) -> usize {
        self.stages.1 + self.branches.1
    }
}
