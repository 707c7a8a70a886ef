//! Every setting of the tables an operator runs by: its value in force, whether it was written, and what a change of it waits
//! for. Owns that table of effects. Stages, pipelines and permissions are rules, not settings. A secret is shown by its reference.

mod rows;

use super::Policy;
use super::document::Entry;
use super::document::Value;
use super::keys::ADMIN;
use super::keys::BRANCH;
use super::keys::BREAKER;
use super::keys::DECISIONS;
use super::keys::LISTENER;
use super::keys::LISTENER_TLS;
use super::keys::LOGIN;
use super::keys::NODE;
use super::keys::NODE_TLS;
use super::keys::Noun;
use super::keys::PLUGIN;
use super::keys::POOL;
use super::keys::RELOAD;
use super::keys::SAMPLE;
use super::keys::SANDBOX;
use super::keys::SQL;
use super::keys::USER;
use super::settings::SessionsMove;
use super::sources::Words;
use std::collections::BTreeSet;

/// What a changed setting waits for, after the reload. None waits for a restart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Effect {
    /// Nothing.
    Now,
    /// The next statement of a session; in an extended batch the next batch.
    NextStatement,
    /// The next server connection that a session is given: with its next transaction, in session mode the next session's.
    NextTransaction,
    /// The next client that connects.
    NextSession,
    /// The next server connection that is made.
    NextConnection,
}

impl Effect {
    /// In the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Now,
        Self::NextStatement,
        Self::NextTransaction,
        Self::NextSession,
        Self::NextConnection,
    ];

    /// The word for it in `SHOW CONFIG`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::NextStatement => "next statement",
            Self::NextTransaction => "next transaction",
            Self::NextSession => "next session",
            Self::NextConnection => "next server connection",
        }
    }

    /// The same where sessions move later than before their next statement.
    fn where_sessions_move(self, sessions: SessionsMove) -> Self {
        match (self, sessions) {
            (Self::NextStatement, SessionsMove::Transaction) => Self::NextTransaction,
            (Self::NextStatement | Self::NextTransaction, SessionsMove::Session) => {
                Self::NextSession
            }
            (effect, _) => effect,
        }
    }
}

/// One setting of a policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Its table, as in `listener.main`.
    pub table: String,
    /// Its key, as in `tls.mode`.
    pub key: String,
    /// The value in force.
    pub value: String,
    /// Whether the policy says so itself.
    pub written: bool,
    /// What a change of it waits for.
    pub effect: Effect,
}

use Effect::NextConnection;
use Effect::NextSession;
use Effect::NextStatement;
use Effect::NextTransaction;
use Effect::Now;

/// A table of the language and what changes of its keys wait for.
struct Effects {
    noun: &'static Noun,
    keys: &'static [(Effect, &'static [&'static str])],
}

const fn of(noun: &'static Noun, keys: &'static [(Effect, &'static [&'static str])]) -> Effects {
    Effects { noun, keys }
}

static EFFECTS: &[Effects] = &[
    of(
        &LISTENER,
        &[
            (Now, &["bind"]),
            (NextStatement, &["pipeline", "idle_timeout"]),
            (NextSession, &["max_connections", "login_timeout", "tls"]),
        ],
    ),
    of(
        &LISTENER_TLS,
        &[(NextSession, &["mode", "min", "cert", "key"])],
    ),
    of(
        &NODE,
        &[
            (
                NextTransaction,
                &["role", "host", "port", "tls", "weight", "max_lag"],
            ),
            (NextConnection, &["connect_timeout"]),
        ],
    ),
    of(&NODE_TLS, &[(NextTransaction, &["mode", "ca"])]),
    of(
        &BRANCH,
        &[(NextTransaction, &["node", "nodes", "database"])],
    ),
    of(
        &POOL,
        &[
            (NextStatement, &["database", "session_state"]),
            (
                NextTransaction,
                &["nodes", "mode", "size", "wait", "login", "reset"],
            ),
            (
                NextConnection,
                &["idle_timeout", "lifetime", "max_prepared_statements"],
            ),
        ],
    ),
    of(&LOGIN, &[(NextTransaction, &["user", "password"])]),
    of(
        &USER,
        &[
            (NextStatement, &["roles", "pool", "attributes"]),
            (
                NextSession,
                &["verifier", "password", "md5", "trust", "expires"],
            ),
        ],
    ),
    of(
        &PLUGIN,
        &[(
            NextStatement,
            &[
                "path",
                "sha256",
                "signed_by",
                "abi",
                "config",
                "state",
                "fuel",
                "memory",
                "deadline",
                "max_input",
                "max_output",
                "max_host_calls",
                "breaker",
            ],
        )],
    ),
    of(
        &SANDBOX,
        &[(
            NextStatement,
            &[
                "fuel",
                "memory",
                "deadline",
                "on_failure",
                "max_input",
                "max_output",
                "max_host_calls",
                "max_module",
                "max_log_lines",
                "breaker",
            ],
        )],
    ),
    of(
        &BREAKER,
        &[(NextStatement, &["failures", "within", "retry_after"])],
    ),
    of(
        &SQL,
        &[(
            NextStatement,
            &["on_unparsed", "max_statements", "max_bytes"],
        )],
    ),
    of(
        &ADMIN,
        &[
            (Now, &["metrics", "socket"]),
            (NextSession, &["users", "roles"]),
        ],
    ),
    of(&RELOAD, &[(Now, &["watch", "gate", "sessions", "keep"])]),
    of(
        &DECISIONS,
        &[(NextStatement, &["sink", "sample", "sql", "full"])],
    ),
    of(&SAMPLE, &[(NextStatement, &["deny", "allow"])]),
];

fn effect_of(noun: &Noun, key: &str) -> Option<Effect> {
    let table = EFFECTS
        .iter()
        .find(|table| std::ptr::eq(table.noun, noun))?;
    let mut keys = table.keys.iter();
    let found = keys.find(|(_, keys)| keys.contains(&key));
    found.map(|(effect, _)| *effect)
}

/// The keys that the operator wrote, each with its table.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(BTreeSet<(String, String)>);

impl Written {
    pub(super) fn of(words: &Words) -> Self {
        let mut written = Self::default();
        for Effects { noun, .. } in EFFECTS {
            for (name, entry) in words.named(noun) {
                written.add(&format!("{}.{name}", noun.name), entry);
            }
            if let Some(entry) = words.single(noun.name) {
                written.add(noun.name, entry);
            }
        }
        written
    }

    fn add(&mut self, table: &str, entry: &Entry) {
        for entry in entry.word.entries() {
            let key = &entry.key;
            self.0.insert((table.to_owned(), key.clone()));
            let is_reference = ["var", "env", "file"]
                .iter()
                .any(|word| entry.word.single(word).is_some());
            match &entry.word.value {
                Value::Table(inner) if !is_reference => {
                    let inner = inner.iter();
                    let keys = inner.map(|inner| format!("{key}.{}", inner.key));
                    self.0.extend(keys.map(|key| (table.to_owned(), key)));
                }
                // The short form of a table: its mode alone.
                _ if key == "tls" => {
                    self.0.insert((table.to_owned(), "tls.mode".to_owned()));
                }
                _ => (),
            }
        }
    }

    fn has(&self, table: &str, key: &str) -> bool {
        self.0.contains(&(table.to_owned(), key.to_owned()))
    }
}

impl Policy {
    /// Every setting in force.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        rows::of(self)
    }
}

#[cfg(test)]
mod tests;
