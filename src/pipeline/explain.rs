//! One stage's part in a decision, as `test` and `explain` show it. Off the hot path; decides nothing.

use super::stage::Asked;
use super::stage::Spent;
use super::stage::Stage;
use super::verdict::Detail;
use super::verdict::Step;
use super::verdict::StepResult;
use super::verdict::route_word;
use crate::hook::Input;
use crate::policy::Explained;
use crate::policy::Mode;
use std::borrow::Cow;
use std::sync::Arc;

fn guard(word: &str, key: &Explained) -> String {
    let matched = if key.matched { "yes" } else { "no" };
    format!(
        "{word} {}={} {matched}, it is {}",
        key.key, key.wanted, key.found
    )
}

/// What came of asking `stage`, and with [`Detail::Full`] why.
pub(super) fn step(
    stage: &Stage,
    input: &Input<'_>,
    asked: &Asked,
    spent: &Spent,
    detail: Detail,
) -> Step {
    let answered = |text: Cow<'static, str>| match stage.mode {
        Mode::Observe => StepResult::Observed(text),
        _ => StepResult::Answered(text),
    };
    let result = match asked {
        Asked::Skipped if stage.mode == Mode::Off => StepResult::Off,
        Asked::Skipped => StepResult::Skipped,
        Asked::Answer(answer) => answered(answer.kind().name().into()),
        Asked::Route { to, .. } if detail == Detail::Full => {
            answered(format!("route {}", route_word(*to)).into())
        }
        Asked::Route { .. } => answered("route".into()),
        Asked::Bound { .. } => answered("rewrite".into()),
        Asked::Fault(fault) => StepResult::Failed(fault.clone()),
    };
    Step {
        hook: input.hook,
        stage: Arc::clone(&stage.name),
        place: Arc::clone(&stage.place),
        guards: match detail {
            Detail::Full => guards(stage, input),
            Detail::Stages | Detail::Verdict => Vec::new(),
        },
        result,
        fuel: spent.fuel,
        took: spent.took,
    }
}

fn guards(stage: &Stage, input: &Input<'_>) -> Vec<String> {
    let (when, unless) = stage.polarities;
    let when = stage.when.explain(input, when);
    let unless = stage.unless.explain(input, unless);
    let when = when.iter().map(|key| guard("when", key));
    when.chain(unless.iter().map(|key| guard("unless", key)))
        .collect()
}
