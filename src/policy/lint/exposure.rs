//! What is more open than it looks: users without a proof, secrets that others can read, stages that do not count.

use super::Lint;
use super::asks_guest;
use crate::hook::AuthMethod;
use crate::policy::action::Action;
use crate::policy::code;
use crate::policy::keys::PLUGIN;
use crate::policy::keys::SANDBOX;
use crate::policy::keys::STAGE;
use crate::policy::keys::USER;
use crate::policy::listener::Bind;
use crate::policy::listener::Listener;
use crate::policy::report::Diagnostic;
use crate::policy::stage::Mode;
use crate::policy::stage::OnFailure;
use crate::policy::user::Credential;

/// The permission bit of everybody else.
const OTHERS_READ: u32 = 0o004;

pub(super) fn lint(lint: Lint<'_, '_>) {
    trusted(lint);
    secrets(lint);
    unpinned(lint);
    open(lint);
    watching(lint);
}

/// A listener beyond this machine that takes users at their word, if they seem to come from this machine.
fn open_listener<'l>(lint: Lint<'l, '_>) -> Option<&'l Listener> {
    let beyond = |bind: &Bind| matches!(bind, Bind::Tcp(address) if !address.ip().is_loopback());
    let mut listeners = lint.policy.listeners.iter();
    listeners.find(|listener| {
        let builtin = &lint.policy.pipelines[listener.pipeline].builtin;
        builtin.contains(&AuthMethod::Trust) && listener.bind.iter().any(beyond)
    })
}

fn trusted(lint: Lint<'_, '_>) {
    let Some(listener) = open_listener(lint) else {
        return;
    };
    for user in lint.policy.users.values() {
        if !matches!(user.credential, Credential::Trust) {
            continue;
        }
        let message = format!(
            "user `{}` needs no proof, and listener `{}` can be reached from other machines",
            user.name, listener.name
        );
        let at = lint.key_at(&USER, &user.name, "trust");
        let found = Diagnostic::warning(code::TRUST_BEYOND_LOOPBACK, at, message);
        let found = found
            .label("write a `verifier`, or leave `trust` out of the pipeline's `authenticate`");
        lint.add(found.help(
            "trust counts for connections from this machine only; whatever forwards to it makes every client one",
        ));
    }
}

fn secrets(lint: Lint<'_, '_>) {
    let reading = lint.scope.reading;
    for (at, path) in reading.secret_files() {
        let mode = reading.files().mode(&path);
        if mode.is_none_or(|mode| mode & OTHERS_READ == 0) {
            continue;
        }
        let path = path.display();
        let message = format!("every user of this machine can read the secret in `{path}`");
        let found = Diagnostic::warning(code::READABLE_SECRET, at, message);
        lint.add(found.label(format!("take the right away: chmod o-r {path}")));
    }
}

/// A hash that lies beside the plugin is replaced with it.
fn unpinned(lint: Lint<'_, '_>) {
    for (name, table) in lint.scope.words.named(&PLUGIN) {
        let Some(pinned) = table.word.entry("sha256") else {
            continue;
        };
        let refers = ["file", "env"]
            .iter()
            .any(|key| pinned.word.single(key).is_some());
        if !refers || table.word.entry("signed_by").is_some() {
            continue;
        }
        let message = format!(
            "plugin `{name}` is pinned by a hash that is not in the policy: whoever replaces both is not seen in a review"
        );
        let found = Diagnostic::note(code::HASH_ELSEWHERE, pinned.word.at, message);
        lint.add(found.label("`pgwarden plugin pin` writes the hash here"));
    }
}

/// Stages whose failure lets statements pass.
fn open(lint: Lint<'_, '_>) {
    for stage in &lint.policy.stages {
        let can_refuse = stage.hooks.iter().any(|hook| !hook.is_observer());
        if stage.on_failure != OnFailure::Open
            || stage.mode != Mode::Enforce
            || !can_refuse
            || !asks_guest(stage)
            || stage.waiver.is_some()
        {
            continue;
        }
        let table = lint.table(&STAGE, &stage.name);
        let own = table.and_then(|table| table.word.entry("on_failure"));
        let sandbox = lint.scope.words.single(SANDBOX.name);
        let by_default = sandbox.and_then(|table| table.word.entry("on_failure"));
        let at = own
            .or(by_default)
            .map_or(stage.place.at, |entry| entry.key_at);
        let message = format!(
            "when stage `{}` fails, statements pass as if it had nothing against them",
            stage.name
        );
        let found = Diagnostic::warning(code::FAILS_OPEN, at, message);
        let found = found.label("write `on_failure = \"closed\"` where a broken guard must say no");
        lint.add(found.help("where it is meant, a `waiver` says why, who and until when"));
    }
}

/// Stages that refuse, and do not.
fn watching(lint: Lint<'_, '_>) {
    for stage in &lint.policy.stages {
        let how = match stage.mode {
            Mode::Enforce => continue,
            Mode::Observe => "only writes down what it would refuse",
            Mode::Off => "is off and refuses nothing",
        };
        if !matches!(stage.action, Action::Deny(_)) || stage.waiver.is_some() {
            continue;
        }
        let message = format!("stage `{}` {how}", stage.name);
        let at = lint.key_at(&STAGE, &stage.name, "mode");
        let found = Diagnostic::note(code::DENY_WITHOUT_EFFECT, at, message);
        lint.add(found.label("`mode = \"enforce\"` makes it count"));
    }
}
