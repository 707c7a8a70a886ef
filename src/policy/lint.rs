//! Lints: what is legal in a policy and yet probably not meant. Every one is a warning or a note, with its place and its cure; none
//! ever refuses a policy. Owns no rule of the language: what is illegal is found by the readers.
//!
//! One file a family: `order` (stages that others hide), `guards` (conditions that never hold), `unused` (names that nothing uses),
//! `exposure` (what is more open than it looks), `proof` (tests that are missing or say nothing), `grants` (permissions that nothing needs).

mod exposure;
mod grants;
mod guards;
mod order;
mod proof;
mod unused;

#[cfg(test)]
mod tests;

pub use grants::lint_grants;

use super::Policy;
use super::action::Action;
use super::document::Entry;
use super::document::Value;
use super::document::Word;
use super::keys::Noun;
use super::keys::PIPELINE;
use super::keys::STAGE;
use super::predicate::Test;
use super::report::At;
use super::report::Diagnostic;
use super::scope::Scope;
use super::stage::Stage;
use crate::hook::Hook;

/// Everything a lint looks at. Ids are right: the policy has no mistakes.
#[derive(Clone, Copy)]
struct Lint<'l, 'a> {
    scope: Scope<'l, 'a>,
    policy: &'l Policy,
}

/// Looks for what is probably not meant in a policy without mistakes.
pub(super) fn lint(scope: Scope<'_, '_>, policy: &Policy) {
    let lint = Lint { scope, policy };
    order::lint(lint);
    guards::lint(lint);
    unused::lint(lint);
    exposure::lint(lint);
    proof::lint(lint);
}

impl<'l> Lint<'l, '_> {
    fn add(self, found: Diagnostic) {
        self.scope.reading.add(found);
    }

    /// `[noun.NAME]` as it is written.
    fn table(self, noun: &Noun, name: &str) -> Option<&'l Entry> {
        self.scope.words.table(noun, name)
    }

    /// A key of `[noun.NAME]`, or the table's name where it is not written there.
    fn key_at(self, noun: &Noun, name: &str, key: &str) -> At {
        let table = self.table(noun, name);
        let found = table.and_then(|table| table.word.entry(key));
        match found.or(table) {
            Some(found) => found.key_at,
            None => self.scope.root(),
        }
    }

    /// A key of `when` or `unless` of a stage; `attr.NAME` is a key of `attr`.
    fn guard_at(self, stage: &Stage, guard: &str, key: &str) -> At {
        let path = || {
            let mut word = &self.table(&STAGE, &stage.name)?.word.entry(guard)?.word;
            let mut at = None;
            for part in key.splitn(2, '.') {
                let found = word.entry(part)?;
                (word, at) = (&found.word, Some(found.key_at));
            }
            at
        };
        path().unwrap_or(stage.place.at)
    }

    /// What a key of `when` or `unless` asks for. What comes out of the environment is told as it is written.
    fn wanted(self, stage: &Stage, guard: &str, test: &'l Test) -> &'l str {
        let path = format!("{guard}.{}", test.key());
        let references = &self.policy.environment;
        let written = references.at(STAGE.name, &stage.name, &path);
        written.unwrap_or(test.wanted())
    }

    /// Where a stage stands in a pipeline's list.
    fn listed_at(self, pipeline: &str, hook: Hook, stage: &Stage) -> At {
        let list = self
            .table(&PIPELINE, pipeline)
            .and_then(|table| table.word.entry(hook.name()));
        let Some(list) = list else {
            return stage.place.at;
        };
        let is_it = |word: &Word| matches!(&word.value, Value::Text(text) if **text == *stage.name);
        match &list.word.value {
            Value::List(items) => items.iter().find(|item| is_it(item)),
            _ => Some(&list.word),
        }
        .map_or(list.key_at, |item| item.at)
    }
}

/// Whether the stage asks a script or plugin.
fn asks_guest(stage: &Stage) -> bool {
    matches!(stage.action, Action::Script(_) | Action::Plugin(_))
}
