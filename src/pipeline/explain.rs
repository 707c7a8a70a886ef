//! One stage's part in a decision, as `test` and `explain` show it. Off the hot path; decides nothing.

use super::stage::Asked;
use super::stage::Stage;
use super::verdict::Step;
use super::verdict::StepResult;
use super::verdict::route_word;
use crate::hook::Hook;
use crate::hook::Input;
use crate::policy::Explained;
use crate::policy::Mode;
use std::sync::Arc;

fn guard(word: &str, key: &Explained) -> String {
    let matched = if key.matched { "yes" } else { "no" };
    format!(
        "{word} {}={} {matched}, it is {}",
        key.key, key.wanted, key.found
    )
}

/// What came of asking `stage`, and why.
pub(super) fn step(stage: &Stage, hook: Hook, input: &Input<'_>, asked: &Asked, fuel: u64) -> Step {
    let (when, unless) = stage.polarities;
    let mut guards: Vec<String> = stage
        .when
        .explain(input, when)
        .iter()
        .map(|key| guard("when", key))
        .collect();
    guards.extend(
        stage
            .unless
            .explain(input, unless)
            .iter()
            .map(|key| guard("unless", key)),
    );
    let answered = |text: String| match stage.mode {
        Mode::Observe => StepResult::Observed(text),
        _ => StepResult::Answered(text),
    };
    let result = match asked {
        Asked::Skipped if stage.mode == Mode::Off => StepResult::Off,
        Asked::Skipped => StepResult::Skipped,
        Asked::Answer(answer) => answered(answer.kind().name().to_owned()),
        Asked::Route { to, .. } => answered(format!("route {}", route_word(*to))),
        Asked::Bound { .. } => answered("rewrite".to_owned()),
        Asked::Fault(fault) => StepResult::Failed(fault.clone()),
    };
    Step {
        hook,
        stage: Arc::clone(&stage.name),
        place: Arc::clone(&stage.place),
        guards,
        result,
        fuel,
    }
}
