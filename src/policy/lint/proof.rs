//! Tests that are missing, and tests that can only pass. What tests leave out is measured by running them: that is the verb `test`'s.

use super::Lint;
use crate::policy::code;
use crate::policy::keys::PIPELINE;
use crate::policy::report::Diagnostic;
use crate::policy::stage::Stage;
use crate::policy::test::Case;
use crate::policy::test::Expect;
use std::collections::BTreeSet;

pub(super) fn lint(lint: Lint<'_, '_>) {
    for test in &lint.policy.tests {
        if test.cases.is_empty() {
            let message = format!("test `{}` has no case, so it shows nothing", test.name);
            let found = Diagnostic::warning(code::EXPECTS_NOTHING, test.place.at, message);
            lint.add(found.label("write a case, or remove it"));
        }
        for case in test.cases.iter().filter(|case| says_nothing(case)) {
            let message = format!("test `{}` expects nothing, so it cannot fail", test.name);
            let found = Diagnostic::warning(code::EXPECTS_NOTHING, case.place.at, message);
            lint.add(found.label("expect a `verdict`, and `by` whom"));
        }
    }
    untested(lint);
}

fn says_nothing(case: &Case) -> bool {
    is_empty(&case.expect) && case.expect.steps.iter().all(is_empty)
}

fn is_empty(expect: &Expect) -> bool {
    let Expect {
        verdict,
        code,
        message,
        by,
        route,
        sql,
        unchanged,
        statement_timeout,
        fuel_below,
        steps: _,
    } = expect;
    verdict.is_none()
        && code.is_none()
        && message.is_none()
        && by.is_none()
        && route.is_none()
        && sql.is_none()
        && unchanged.is_none()
        && statement_timeout.is_none()
        && fuel_below.is_none()
}

/// Stages, where there is no test at all, and pipelines that no test plays a session in.
fn untested(lint: Lint<'_, '_>) {
    let policy = lint.policy;
    if policy.tests.is_empty() {
        let first: Option<&Stage> = policy.stages.iter().min_by_key(|stage| stage.place.at);
        let Some(first) = first else {
            return;
        };
        let message = match policy.stages.len() {
            1 => "there is a stage and no test".to_owned(),
            many => format!("there are {many} stages and no test"),
        };
        let found = Diagnostic::warning(code::UNTESTED, first.place.at, message);
        lint.add(found.help(
            "write [[test]] with name, given = { user = \"..\", sql = \"..\" } and expect = { verdict = \"deny\", by = \"..\" }",
        ));
        return;
    }
    let cases = policy.tests.iter().flat_map(|test| &test.cases);
    let played: BTreeSet<usize> = cases
        .map(|case| policy.listeners[case.given.listener].pipeline)
        .collect();
    let of_played: BTreeSet<usize> = played
        .iter()
        .flat_map(|id| policy.pipelines[*id].hooks.iter().flatten().copied())
        .collect();
    for (id, pipeline) in policy.pipelines.iter().enumerate() {
        let hooks = pipeline.hooks.iter().filter(|_| !played.contains(&id));
        let stages: BTreeSet<usize> = hooks.flatten().copied().collect();
        if stages.is_empty() {
            continue;
        }
        let only_here = stages.difference(&of_played).count();
        let message = format!(
            "no test plays a session in pipeline `{}`; {only_here} of its {} stages stand in no other that is tested",
            pipeline.name,
            stages.len()
        );
        let at = lint.key_at(&PIPELINE, &pipeline.name, "");
        let found = Diagnostic::warning(code::UNTESTED, at, message);
        lint.add(found.label("write a test with a `listener` of this pipeline"));
    }
}
