//! Conditions that never hold: keys that contradict one another, exceptions that cover the rule, and names that nobody and nothing has.

use super::Lint;
use crate::hook::AuthMethod;
use crate::hook::Hook;
use crate::policy::code;
use crate::policy::keys::STAGE;
use crate::policy::listener::Bind;
use crate::policy::listener::Listener;
use crate::policy::listener::ListenerTlsMode;
use crate::policy::predicate::Test;
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
fn nobody<'l>(lint: Lint<'l, '_>, stage: &'l Stage) {
    let no_method = |test: &&Test| {
        let methods = test.auth_methods();
        methods.is_some_and(|methods| !methods.iter().any(|method| has_method(lint, *method)))
    };
    let why = |guard, test| format!("nobody logs in by {}", lint.wanted(stage, guard, test));
    if let Some(test) = stage.when.tests().iter().find(no_method) {
        return never_asked(lint, stage, test, &why("when", test), "no user can");
    }
    for test in stage.unless.tests().iter().filter(no_method) {
        spares_nothing(
            lint,
            stage,
            test,
            &why("unless", test),
            "no user can; remove it",
        );
    }
    if !lint.policy.knows_everybody() {
        return;
    }
    let asked = lint.policy.users_who(stage.when.tests(), &[]);
    if !asked.is_empty() && !lint.policy.users_of(stage).is_empty() {
        return nobody_spared(lint, stage, &asked);
    }
    // The first key that alone fits nobody; otherwise all of them together do not.
    let mut tests = stage.when.tests().iter();
    let alone = tests.find(|test| {
        lint.policy
            .users_who(std::slice::from_ref(test), &[])
            .is_empty()
    });
    match alone {
        Some(test) => {
            let why = format!(
                "no user of this policy has {} {}",
                test.key(),
                lint.wanted(stage, "when", test)
            );
            never_asked(lint, stage, test, &why, "no user fits");
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

/// Exceptions for a user that none of those is about whom the stage is asked.
fn nobody_spared<'l>(lint: Lint<'l, '_>, stage: &'l Stage, asked: &[&str]) {
    for test in stage.unless.tests() {
        let fitting = lint.policy.users_who(std::slice::from_ref(test), &[]);
        if fitting.iter().any(|user| asked.contains(user)) {
            continue;
        }
        let (key, wanted) = (test.key(), lint.wanted(stage, "unless", test));
        let why = match fitting.is_empty() {
            true => format!("no user of this policy has {key} {wanted}"),
            false => format!("no user whom it is asked about has {key} {wanted}"),
        };
        spares_nothing(lint, stage, test, &why, "no user fits; remove it");
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
fn nowhere<'l>(lint: Lint<'l, '_>, stage: &'l Stage) {
    let listeners = listeners_of(lint, stage);
    for test in stage.when.tests() {
        if let Some((why, label)) = fits_nowhere(lint, &listeners, (stage, "when"), test) {
            return never_asked(lint, stage, test, &why, label);
        }
    }
    for test in stage.unless.tests() {
        if let Some((why, label)) = fits_nowhere(lint, &listeners, (stage, "unless"), test) {
            spares_nothing(lint, stage, test, &why, label);
        }
    }
}

/// Why a key never matches at any of these listeners, and what to say at it.
fn fits_nowhere<'l>(
    lint: Lint<'l, '_>,
    listeners: &[&Listener],
    (stage, guard): (&Stage, &str),
    test: &'l Test,
) -> Option<(String, &'static str)> {
    let (key, wanted) = (test.key(), lint.wanted(stage, guard, test));
    let fits = |listener: &&Listener| {
        let fits = test.matches_listener(&listener.name, ways_of(listener));
        fits != Some(false)
    };
    if !listeners.is_empty() && !listeners.iter().any(fits) {
        let why = format!("no listener of its pipelines has {key} {wanted}");
        return Some((why, "no listener fits"));
    }
    let pools = &lint.policy.pools;
    let serves = |glob| pools.iter().any(|pool| pool.database.may_serve(glob));
    let globs = test.databases()?;
    let why = format!("no pool serves the database {wanted}");
    (!globs.iter().any(serves)).then_some((why, "no pool fits"))
}

/// Whether clients of the listener may use TLS, and whether they must. There is none on a Unix socket.
fn ways_of(listener: &Listener) -> (bool, bool) {
    let mode = listener.tls.mode;
    let is_unix = |bind: &Bind| matches!(bind, Bind::Unix(_));
    (
        mode != ListenerTlsMode::Disable && !listener.bind.iter().all(is_unix),
        mode == ListenerTlsMode::Require && !listener.bind.iter().any(is_unix),
    )
}

fn never_asked(lint: Lint<'_, '_>, stage: &Stage, test: &Test, why: &str, label: &'static str) {
    let message = format!("stage `{}` is never asked: {why}", stage.name);
    let at = lint.guard_at(stage, "when", test.key());
    lint.add(Diagnostic::warning(code::FITS_NOTHING, at, message).label(label));
}

fn spares_nothing(lint: Lint<'_, '_>, stage: &Stage, test: &Test, why: &str, label: &'static str) {
    let message = format!("`unless` of stage `{}` spares nothing: {why}", stage.name);
    let at = lint.guard_at(stage, "unless", test.key());
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
        AuthMethod::Stage => lint.policy.asks_who(),
        AuthMethod::Node => lint.policy.users.is_empty(),
        AuthMethod::None => true,
    }
}
