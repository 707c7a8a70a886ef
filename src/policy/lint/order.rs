//! Stages that another one before them hides, in the list they stand in.

use super::Lint;
use super::asks_guest;
use crate::hook::Hook;
use crate::policy::action::Action;
use crate::policy::code;
use crate::policy::pipeline::Pipeline;
use crate::policy::predicate::Lasting;
use crate::policy::report::Diagnostic;
use crate::policy::stage::Mode;
use crate::policy::stage::Stage;

pub(super) fn lint(lint: Lint<'_, '_>) {
    for pipeline in &lint.policy.pipelines {
        for hook in Hook::all().filter(|hook| !hook.is_observer()) {
            let ids = &pipeline.hooks[hook.index()];
            let stages: Vec<&Stage> = ids.iter().map(|id| &lint.policy.stages[*id]).collect();
            for (index, stage) in stages.iter().enumerate() {
                if stage.mode != Mode::Off {
                    behind(lint, pipeline, hook, &stages[..index], stage);
                }
            }
        }
    }
}

/// Reports the first stage before this one that hides it, wholly or in part.
fn behind(lint: Lint<'_, '_>, pipeline: &Pipeline, hook: Hook, before: &[&Stage], stage: &Stage) {
    let ending = before.iter().enumerate();
    let ending = ending.filter(|(_, first)| first.ends_list());
    let mut partly = None;
    for (index, first) in ending {
        let between = before.get(index + 1..).unwrap_or_default();
        if !first.passes(stage) && hides(lint, hook, first, between, stage) {
            return unreachable(lint, pipeline, hook, first, stage);
        }
        let weakens = matches!(first.action, Action::Allow)
            && matches!(stage.action, Action::Deny(_))
            && stage.mode == Mode::Enforce;
        if weakens && partly.is_none() && may_meet(lint, first, stage) {
            partly = Some(*first);
        }
    }
    if let Some(first) = partly {
        weakened(lint, pipeline, hook, first, stage);
    }
}

/// Whether `first` has matched wherever `stage` would.
fn hides(lint: Lint<'_, '_>, hook: Hook, first: &Stage, between: &[&Stage], stage: &Stage) -> bool {
    let may_replace = matches!(hook, Hook::PreQuery | Hook::Rewrite)
        && between
            .iter()
            .any(|stage| asks_guest(stage) || matches!(stage.action, Action::Rewrite { .. }));
    let learns = lint.policy.sets_attributes();
    let lasts = |lasting: Lasting| match lasting {
        Lasting::Session => true,
        Lasting::Learned => !learns,
        Lasting::Statement => !may_replace,
    };
    let tests = || first.when.tests().iter().chain(first.unless.tests());
    if !tests().all(|test| lasts(test.lasting())) {
        return false;
    }
    let ((mine_when, mine_unless), (when, unless)) = (stage.polarities(), first.polarities());
    let matched = first.when.tests().iter().all(|wanted| {
        let mut own = stage.when.tests().iter();
        own.any(|own| own.implies(mine_when, wanted, when))
    });
    matched
        && first.unless.tests().iter().all(|spared| {
            let mut own = stage.unless.tests().iter();
            own.any(|own| spared.implies(unless, own, mine_unless))
        })
}

/// Whether both may match the same statement of the same session.
fn may_meet(lint: Lint<'_, '_>, allow: &Stage, deny: &Stage) -> bool {
    let ((allow_when, allow_unless), (deny_when, deny_unless)) =
        (allow.polarities(), deny.polarities());
    for allowed in allow.when.tests() {
        let mut denied = deny.when.tests().iter();
        if denied.any(|denied| allowed.excludes(allow_when, denied, deny_when)) {
            return false;
        }
        let mut spared = deny.unless.tests().iter();
        if spared.any(|spared| allowed.implies(allow_when, spared, deny_unless)) {
            return false;
        }
    }
    for denied in deny.when.tests() {
        let mut spared = allow.unless.tests().iter();
        if spared.any(|spared| denied.implies(deny_when, spared, allow_unless)) {
            return false;
        }
    }
    !lint.policy.share_nobody(allow, deny)
}

fn unreachable(lint: Lint<'_, '_>, pipeline: &Pipeline, hook: Hook, first: &Stage, stage: &Stage) {
    let is_open = first.when.is_empty() && first.unless.is_empty();
    let what = match (&first.action, is_open) {
        (Action::Deny(_), true) => "refuses every statement",
        (Action::Deny(_), false) => "refuses all that it would be asked about",
        (Action::Allow, true) => "allows every statement",
        (Action::Allow, false) => "allows all that it would be asked about",
        (_, true) => "leads every statement somewhere",
        (_, false) => "leads all that it would be asked about somewhere",
    };
    let message = format!(
        "stage `{}` is never reached at `{hook}` of pipeline `{}`: `{}` before it {what}",
        stage.name, pipeline.name, first.name
    );
    let at = lint.listed_at(&pipeline.name, hook, stage);
    let found = Diagnostic::warning(code::UNREACHABLE_STAGE, at, message);
    let found = found.label(format!("move it before `{}`, or remove it", first.name));
    lint.add(found.related(first.place.at, "this stage ends the list"));
}

fn weakened(lint: Lint<'_, '_>, pipeline: &Pipeline, hook: Hook, first: &Stage, stage: &Stage) {
    let message = format!(
        "stage `{}` cannot refuse what `{}` before it at `{hook}` of pipeline `{}` allows",
        stage.name, first.name, pipeline.name
    );
    let at = lint.listed_at(&pipeline.name, hook, stage);
    let found = Diagnostic::warning(code::ALLOW_BEFORE_DENY, at, message);
    let found = found.label(format!("move it before `{}`", first.name));
    let found = found.related(first.place.at, "this stage ends the list where it matches");
    lint.add(found.help("if that is meant, write it as `unless` of the stage that refuses"));
}
