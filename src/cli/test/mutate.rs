//! Whether the tests of a policy notice a change: each stage left out, its guards turned round, and its place in a list changed with
//! the next one's, one change at a time. A change that no test fails for is alive. Guests are loaded once for all of them.

use super::coverage::PLAYED;
use super::runner::Runner;
use super::runner::cases;
use crate::hook::Hook;
use crate::pipeline::Guests;
use crate::pipeline::StatsRegistry;
use crate::pipeline::compile_variant;
use crate::pipeline::load_guests;
use crate::policy::Action;
use crate::policy::Mode;
use crate::policy::Policy;
use crate::policy::Report;
use crate::policy::Stage;
use crate::statement::Analyzer;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of the changed policies.
#[derive(Debug)]
pub(super) struct Mutated {
    /// How many there were.
    pub(super) all: usize,
    /// Those that no test noticed, one line each.
    pub(super) alive: Vec<String>,
}

impl Mutated {
    /// Whether any was not noticed.
    pub(super) fn lives(&self) -> bool {
        !self.alive.is_empty()
    }
}

/// One change of a policy. Stages and pipelines by their indices.
#[derive(Clone, Copy, Debug)]
enum Mutant {
    /// The stage is in no list any more.
    Drop(usize),
    /// It is asked where it was not, and only there.
    Negate(usize),
    /// Two neighbours of a list have changed places; the position is the first one's.
    Reorder {
        pipeline: usize,
        hook: Hook,
        position: usize,
    },
}

/// Changes the policy in every way and runs its tests, which must pass, until one fails.
pub(super) fn run(policy: &Policy, analyzer: &Arc<Analyzer>) -> Mutated {
    let mutants = mutants(policy);
    let mut mutated = Mutated {
        all: mutants.len(),
        alive: Vec::new(),
    };
    // They have been loaded before, for the tests. Where they no longer are, nothing is shown of any change.
    let Some(guests) = load_guests(policy, &mut Report::default(), &BTreeMap::new()) else {
        let mutants = mutants.into_iter();
        mutated.alive = mutants.map(|mutant| mutant.told(policy)).collect();
        return mutated;
    };
    for mutant in mutants {
        if !is_noticed(&mutant.apply(policy), &guests, analyzer) {
            mutated.alive.push(mutant.told(policy));
        }
    }
    mutated
}

fn is_noticed(changed: &Policy, guests: &Guests, analyzer: &Arc<Analyzer>) -> bool {
    let stats = StatsRegistry::default();
    let pipelines = compile_variant(changed, guests, &stats, analyzer, &BTreeMap::new());
    let mut runner = Runner::new(changed, &pipelines, analyzer).with(guests);
    let mut cases = cases(changed);
    cases.any(|(_, case)| !runner.run(case).is_empty())
}

fn mutants(policy: &Policy) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for (id, stage) in policy.stages.iter().enumerate() {
        if !has_effect(stage) {
            continue;
        }
        mutants.push(Mutant::Drop(id));
        // Without guards the opposite is never asked, which is as good as dropped.
        if !(stage.when.is_empty() && stage.unless.is_empty()) {
            mutants.push(Mutant::Negate(id));
        }
    }
    for (pipeline, lists) in policy.pipelines.iter().enumerate() {
        for hook in PLAYED {
            let list = &lists.hooks[hook.index()];
            for (position, pair) in list.windows(2).enumerate() {
                let [first, second] = pair else { continue };
                let (first, second) = (&policy.stages[*first], &policy.stages[*second]);
                // Before the login nobody is anybody yet.
                let is_apart = hook != Hook::OnConnect && policy.share_nobody(first, second);
                if order_counts(first, second) && !is_apart {
                    mutants.push(Mutant::Reorder {
                        pipeline,
                        hook,
                        position,
                    });
                }
            }
        }
    }
    mutants
}

/// Whether a test can see what the stage does: a log line and what only watches change no verdict.
fn has_effect(stage: &Stage) -> bool {
    stage.mode == Mode::Enforce
        && !matches!(stage.action, Action::Log { .. })
        && stage.hooks.iter().any(|hook| PLAYED.contains(hook))
}

/// Whether anybody but a reader of messages can tell which of the two comes first.
fn order_counts(first: &Stage, second: &Stage) -> bool {
    let same = match (&first.action, &second.action) {
        _ if first.passes(second) => true,
        // Who refuses first is all the same.
        (Action::Allow, Action::Allow)
        | (Action::Mask(_), Action::Deny(_))
        | (Action::Deny(_), Action::Mask(_)) => true,
        (
            Action::Route { to, otherwise },
            Action::Route {
                to: other,
                otherwise: others,
            },
        ) => to == other && otherwise == others,
        // The shortest of several times holds.
        (
            Action::Rewrite {
                add_limit: None, ..
            },
            Action::Rewrite {
                add_limit: None, ..
            },
        ) => true,
        _ => only_refuses(first) && only_refuses(second),
    };
    !same && has_effect(first) && has_effect(second) && !first.is_apart_from(second)
}

/// Whether all the stage can do is refuse: both ways round the same statements are refused. Of plugins that is not known.
fn only_refuses(stage: &Stage) -> bool {
    const MORE: [&str; 10] = [
        "allow",
        "rewrite",
        "cached",
        "route",
        "kv::",
        "cache::",
        "attribute::",
        "event::",
        "success",
        "random::",
    ];
    match &stage.action {
        Action::Deny(_) => true,
        Action::Script(script) => !MORE.iter().any(|word| script.text.contains(word)),
        _ => false,
    }
}

impl Mutant {
    fn apply(self, policy: &Policy) -> Policy {
        let mut changed = policy.clone();
        match self {
            Self::Drop(id) => {
                let lists = changed.pipelines.iter_mut();
                let lists = lists.flat_map(|pipeline| pipeline.hooks.iter_mut());
                lists.for_each(|list| list.retain(|other| *other != id));
            }
            Self::Negate(id) => changed.stages[id] = changed.stages[id].negated(),
            Self::Reorder {
                pipeline,
                hook,
                position,
            } => changed.pipelines[pipeline].hooks[hook.index()].swap(position, position + 1),
        }
        changed
    }

    fn told(self, policy: &Policy) -> String {
        let stage = |id: usize| &policy.stages[id];
        match self {
            Self::Drop(id) => {
                let stage = stage(id);
                format!(
                    "drop     stage `{}`: no test fails without it  {}",
                    stage.name, stage.place
                )
            }
            Self::Negate(id) => {
                let stage = stage(id);
                format!(
                    "negate   stage `{}`: no test fails when its guards mean the opposite  {}",
                    stage.name, stage.place
                )
            }
            Self::Reorder {
                pipeline,
                hook,
                position,
            } => {
                let pipeline = &policy.pipelines[pipeline];
                let list = &pipeline.hooks[hook.index()];
                let (first, second) = (stage(list[position]), stage(list[position + 1]));
                format!(
                    "reorder  stages `{}` and `{}` at `{hook}` of pipeline `{}`: no test fails when they change places  {}",
                    first.name, second.name, pipeline.name, second.place
                )
            }
        }
    }
}
