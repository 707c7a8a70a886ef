//! One stage's part in a decision, as `test` and `explain` show it. Off the hot path; decides nothing.

use super::Pipeline;
use super::login::session_input;
use super::stage::Asked;
use super::stage::Spent;
use super::stage::Stage;
use super::verdict::Detail;
use super::verdict::Guard;
use super::verdict::Step;
use super::verdict::StepResult;
use super::verdict::route_word;
use crate::hook::Hook;
use crate::hook::Input;
use crate::hook::SessionContext;
use crate::policy::Explained;
use crate::policy::Mode;
use crate::policy::Polarity;
use crate::policy::Predicate;
use crate::sandbox::Services;
use std::borrow::Cow;
use std::sync::Arc;

fn guard(word: &'static str, asked: Explained) -> Guard {
    Guard { word, asked }
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
        Asked::Cache(Ok(_)) => answered("cache".into()),
        Asked::Cache(Err(why)) if detail == Detail::Full => {
            answered(format!("continue: {why}").into())
        }
        Asked::Cache(Err(_)) => answered("continue".into()),
        Asked::Fault(fault) => StepResult::Failed(fault.clone()),
    };
    let (when, unless) = match detail {
        Detail::Full => held(stage, input),
        Detail::Stages | Detail::Verdict => (None, None),
    };
    Step {
        hook: input.hook,
        stage: Arc::clone(&stage.name),
        place: Arc::clone(&stage.place),
        guards: match detail {
            Detail::Full => guards(stage, input),
            Detail::Stages | Detail::Verdict => Vec::new(),
        },
        when,
        unless,
        result,
        fuel: spent.fuel,
        took: spent.took,
    }
}

/// What `when` and `unless` came to, each where it was asked.
fn held(stage: &Stage, input: &Input<'_>) -> (Option<bool>, Option<bool>) {
    let polarities = stage.polarities;
    let asked = |guard: &Predicate, polarity: Polarity| {
        (!guard.is_empty()).then(|| guard.matches(input, polarity))
    };
    match asked(&stage.when, polarities.0) {
        Some(false) => (Some(false), None),
        when => (when, asked(&stage.unless, polarities.1)),
    }
}

impl Pipeline {
    /// The guards of the `on_connect` stages about a session, as if each were asked.
    #[must_use]
    pub fn connect_guards(
        &self,
        session: &SessionContext,
        services: &Arc<dyn Services>,
    ) -> Vec<Connecting> {
        let input = session_input(Hook::OnConnect, session, None, self.now(services));
        let mut found = Vec::new();
        for stage in self.stages(Hook::OnConnect) {
            let (when, unless) = held(stage, &input);
            found.push(Connecting {
                stage: Arc::clone(&stage.name),
                when,
                unless,
            });
        }
        found
    }
}

/// The guards of one `on_connect` stage.
#[derive(Clone, Debug)]
pub struct Connecting {
    /// The stage.
    pub stage: Arc<str>,
    /// Whether its `when` matched; `None` where it has none.
    pub when: Option<bool>,
    /// Whether its `unless` matched; `None` also where nobody asked.
    pub unless: Option<bool>,
}

fn guards(stage: &Stage, input: &Input<'_>) -> Vec<Guard> {
    let (when, unless) = stage.polarities;
    let when = stage.when.explain(input, when).into_iter();
    let unless = stage.unless.explain(input, unless).into_iter();
    let when = when.map(|key| guard("when", key));
    when.chain(unless.map(|key| guard("unless", key))).collect()
}
