//! Conditions that never hold: keys that contradict one another, exceptions that cover the rule, and names that nobody and nothing has.

use super::Lint;
use crate::hook::AuthMethod;
use crate::hook::Hook;
use crate::policy::code;
use crate::policy::keys::STAGE;
use crate::policy::listener::Listener;
use crate::policy::listener::ListenerTlsMode;
use crate::policy::report::Diagnostic;
use crate::policy::stage::Mode;
use crate::policy::stage::Stage;
use crate::policy::user::Credential;

pub(super) fn lint(lint: Lint<'_, '_>) {
    for stage in &lint.policy.stages {
        // What is off is often half written.
        if stage.mode == Mode::Off {
            continue;
        }
        let said = contradictory(lint, stage) || covered(lint, stage);
        // Before the login nothing is known of who somebody is.
        let after_login = |hook: &Hook| !matches!(hook, Hook::OnConnect | Hook::Authenticate);
        if !said && stage.hooks.iter().all(after_login) {
            nobody(lint, stage);
            nowhere(lint, stage);
        }
    }
}

/// Two keys of `when` that never match together.
fn contradictory(lint: Lint<'_, '_>, stage: &Stage) -> bool {
    let (polarity, _) = stage.polarities();
    let tests = stage.when.tests();
    for (index, first) in tests.iter().enumerate() {
        for second in &tests[index + 1..] {
            if !first.excludes(polarity, second, polarity) {
                continue;
            }
            let message = format!(
                "`when` of stage `{}` never matches: `{}` and `{}` exclude each other",
                stage.name,
                first.key(),
                second.key()
            );
            let at = lint.guard_at(stage, "when", second.key());
            let other = lint.guard_at(stage, "when", first.key());
            let found = Diagnostic::warning(code::NEVER_MATCHES, at, message);
            let found = found.label("no statement has both; remove one");
            lint.add(found.related(other, "the other one"));
            return true;
        }
    }
    false
}

/// An exception that holds wherever the rule does.
fn covered(lint: Lint<'_, '_>, stage: &Stage) -> bool {
    let (when, unless) = stage.polarities();
    for spared in stage.unless.tests() {
        let mut wanted = stage.when.tests().iter();
        let by = wanted.find(|wanted| wanted.implies(when, spared, unless));
        if by.is_none() && !spared.is_always() {
            continue;
        }
        let message = format!(
            "stage `{}` is never asked: `{}` of `unless` holds for everything that it is about",
            stage.name,
            spared.key()
        );
        let at = lint.guard_at(stage, "unless", spared.key());
        let found = Diagnostic::warning(code::UNLESS_COVERS, at, message);
        let found = found.label("remove it, or ask for less");
        lint.add(match by {
            Some(by) => {
                let at = lint.guard_at(stage, "when", by.key());
                found.related(at, "it holds wherever this does")
            }
            None => found,
        });
        return true;
    }
    false
}

/// Guards that fit no user of the policy, and ways of logging in that nobody has.
fn nobody(lint: Lint<'_, '_>, stage: &Stage) {
    if let Some(test) = stage.when.tests().iter().find(|test| {
        let methods = test.auth_methods();
        methods.is_some_and(|methods| !methods.iter().any(|method| has_method(lint, *method)))
    }) {
        let message = format!(
            "stage `{}` is never asked: nobody logs in by {}",
            stage.name,
            test.wanted()
        );
        return never(lint, stage, "when", test.key(), message, "no user can");
    }
    if !lint.knows_everybody() || !lint.users_of(stage).is_empty() {
        return;
    }
    // The first key that alone fits nobody; otherwise all of them together do not.
    let mut tests = stage.when.tests().iter();
    let alone = tests.find(|test| lint.users_who(std::slice::from_ref(test), &[]).is_empty());
    match alone {
        Some(test) => {
            let message = format!(
                "stage `{}` is never asked: no user of this policy has {} {}",
                stage.name,
                test.key(),
                test.wanted()
            );
            never(lint, stage, "when", test.key(), message, "no user fits");
        }
        None => {
            let message = format!(
                "stage `{}` is never asked: its guards fit no user of this policy",
                stage.name
            );
            let at = lint.key_at(&STAGE, &stage.name, guard_of(stage));
            let found = Diagnostic::warning(code::FITS_NOTHING, at, message);
            lint.add(found.label("no user fits"));
        }
    }
}

fn guard_of(stage: &Stage) -> &'static str {
    if stage.when.is_empty() {
        "unless"
    } else {
        "when"
    }
}

/// Guards that fit no listener of the stage's pipelines, and databases that no pool serves.
fn nowhere(lint: Lint<'_, '_>, stage: &Stage) {
    let listeners = listeners_of(lint, stage);
    for test in stage.when.tests() {
        let answers: Vec<Option<bool>> = listeners
            .iter()
            .map(|listener| {
                let mode = listener.tls.mode;
                let tls = (
                    mode != ListenerTlsMode::Disable,
                    mode == ListenerTlsMode::Require,
                );
                test.matches_listener(&listener.name, tls)
            })
            .collect();
        if !answers.is_empty() && answers.iter().all(|answer| *answer == Some(false)) {
            let message = format!(
                "stage `{}` is never asked: no listener of its pipelines has {} {}",
                stage.name,
                test.key(),
                test.wanted()
            );
            return never(lint, stage, "when", test.key(), message, "no listener fits");
        }
        let pools = &lint.policy.pools;
        let serves = |glob| pools.iter().any(|pool| pool.database.may_serve(glob));
        if test
            .databases()
            .is_some_and(|globs| !globs.iter().any(serves))
        {
            let message = format!(
                "stage `{}` is never asked: no pool serves the database {}",
                stage.name,
                test.wanted()
            );
            return never(lint, stage, "when", test.key(), message, "no pool fits");
        }
    }
}

fn never(
    lint: Lint<'_, '_>,
    stage: &Stage,
    guard: &str,
    key: &str,
    message: String,
    label: &'static str,
) {
    let at = lint.guard_at(stage, guard, key);
    lint.add(Diagnostic::warning(code::FITS_NOTHING, at, message).label(label));
}

/// The listeners whose sessions can meet the stage.
fn listeners_of<'l>(lint: Lint<'l, '_>, stage: &Stage) -> Vec<&'l Listener> {
    let stages = &lint.policy.stages;
    let has = |pipeline: usize| {
        let mut ids = lint.policy.pipelines[pipeline].hooks.iter().flatten();
        ids.any(|id| stages[*id].name == stage.name)
    };
    let listeners = lint.policy.listeners.iter();
    listeners
        .filter(|listener| has(listener.pipeline))
        .collect()
}

/// Whether anybody may have logged in like that.
fn has_method(lint: Lint<'_, '_>, method: AuthMethod) -> bool {
    let mut users = lint.policy.users.values();
    let mut has = |fits: fn(&Credential) -> bool| users.any(|user| fits(&user.credential));
    match method {
        AuthMethod::Trust => has(|credential| matches!(credential, Credential::Trust)),
        AuthMethod::Md5 => {
            has(|credential| matches!(credential, Credential::Md5(_) | Credential::Password(_)))
        }
        AuthMethod::Scram => has(|credential| {
            matches!(
                credential,
                Credential::Verifier(_) | Credential::Password(_)
            )
        }),
        AuthMethod::Stage => lint.asks_who(),
        AuthMethod::Node => lint.policy.users.is_empty(),
        AuthMethod::None => true,
    }
}
