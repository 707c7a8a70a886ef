//! Answers that are kept and given again: for which statements, under which key, how long. Owns no wire: an answer is bytes as
//! the node sent them, and `session` takes and gives them.
//!
//! `decide` finds out that a statement may be answered from a stage's cache, and says so in its permit. What it is asked with
//! (parameters, settings) is known later, so the answer is looked for by whoever sends the statement, in one way:
//! [`Cacheable::key`], [`Cacheable::get`], and where there is none [`Cacheable::stamp`] before it is sent and
//! [`Cacheable::put`] after its answer.

mod generations;
mod store;

pub use generations::Generations;
pub use generations::Stamp;
pub use store::Answer;
pub use store::CacheFigures;
pub(super) use store::Store;

use crate::hook::Input;
use crate::hook::Protocol;
use crate::policy::Invalidate;
use crate::statement;
use crate::statement::Relations;
use sha2::Digest as _;
use sha2::Sha256;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What an answer is found by: a digest of everything that can change it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::digest::hex(&self.0))
    }
}

/// That a statement may be answered from a stage's cache, and its answer be kept there.
#[derive(Clone)]
pub struct Cacheable {
    stage: Arc<str>,
    store: Arc<Store>,
    /// The digest of what `vary` names.
    vary: [u8; 32],
    relations: Arc<Relations>,
}

impl fmt::Debug for Cacheable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cacheable({})", self.stage)
    }
}

/// What a node makes of a statement beside its text: always part of the key.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// The database on the node.
    pub database: &'a str,
    /// What tells the nodes it may go to from all others.
    pub origin: &'a [u8],
    /// Who the node takes the session for.
    pub login: &'a str,
    /// Every setting that the session has beyond the node's own, name and value, in one order.
    pub settings: &'a [(&'a str, &'a str)],
}

/// A statement as it is sent.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Its text, after every stage.
    pub text: &'a [u8],
    /// Count and oids of the declared parameter types, as in Parse.
    pub types: &'a [u8],
}

impl Asked<'_> {
    /// Types of a Query, which has none.
    pub const NO_TYPES: &'static [u8] = b"\0\0";
    /// What a Bind without parameters and without formats holds after its names; a Query asks for the same.
    pub const NOTHING_BOUND: &'static [u8] = b"\0\0\0\0\0\0";
}

impl Cacheable {
    /// Of a statement that a stage's guards match, or why its answer cannot be kept.
    ///
    /// # Errors
    /// The reason, as words for `explain`.
    pub(super) fn of(
        stage: &Arc<str>,
        store: &Arc<Store>,
        input: &Input<'_>,
    ) -> Result<Self, &'static str> {
        let Some(statement) = input.statement else {
            return Err("there is no statement");
        };
        if statement.in_transaction {
            return Err("it stands in a transaction");
        }
        if statement.statement_count != 1 || statement.protocol == Protocol::FunctionCall {
            return Err("it is not alone in its message");
        }
        if let Some(why) = statement::unsteady(statement.text, statement.facts) {
            return Err(why);
        }
        let mut vary = Sha256::new();
        for part in &store.rule().vary {
            let (mut digest, mut parts) = (Sha256::new(), 0_u64);
            part.feed(input.session, &mut |value| {
                add(&mut digest, value);
                parts += 1;
            });
            vary.update(parts.to_le_bytes());
            vary.update(digest.finalize());
        }
        Ok(Self {
            stage: Arc::clone(stage),
            store: Arc::clone(store),
            vary: vary.finalize().into(),
            relations: Arc::clone(&statement.facts.relations),
        })
    }

    /// The stage whose cache it is.
    #[must_use]
    pub fn stage(&self) -> &Arc<str> {
        &self.stage
    }

    /// Bytes of the longest answer that is kept.
    #[must_use]
    pub fn entry_bytes_max(&self) -> usize {
        self.store.rule().entry_bytes_max
    }

    /// Whether an answer that may be older than what was written here can be kept: that of a standby.
    #[must_use]
    pub fn takes_late_answers(&self) -> bool {
        self.store.rule().invalidate == Invalidate::Never
    }

    /// The key of the statement whatever is bound to it: what is kept under it says that a node could prepare it.
    #[must_use]
    pub fn statement_key(&self, circumstances: &Circumstances<'_>, asked: Asked<'_>) -> Key {
        Key(self.digest(circumstances, asked).finalize().into())
    }

    /// The key of an answer. `bound` is what Bind holds after its names: formats, values and result formats.
    #[must_use]
    pub fn key(&self, circumstances: &Circumstances<'_>, asked: Asked<'_>, bound: &[u8]) -> Key {
        let mut digest = self.digest(circumstances, asked);
        add(&mut digest, bound);
        Key(digest.finalize().into())
    }

    fn digest(&self, circumstances: &Circumstances<'_>, asked: Asked<'_>) -> Sha256 {
        let mut digest = Sha256::new();
        add(&mut digest, circumstances.database.as_bytes());
        add(&mut digest, circumstances.origin);
        add(&mut digest, circumstances.login.as_bytes());
        add(&mut digest, &self.vary);
        digest.update((circumstances.settings.len() as u64).to_le_bytes());
        for (name, value) in circumstances.settings {
            add(&mut digest, name.as_bytes());
            add(&mut digest, value.as_bytes());
        }
        add(&mut digest, asked.types);
        add(&mut digest, asked.text);
        digest
    }

    /// The answer that is kept, if it may still be given. Counts.
    #[must_use]
    pub fn get(&self, key: Key, database: &str, now: Duration) -> Option<Arc<Answer>> {
        self.store.get(key, now, |stamp| {
            self.is_good(self.store.generations(), database, stamp)
        })
    }

    /// Whether something is kept that may still be given. Counts nothing.
    #[must_use]
    pub fn knows(&self, key: Key, database: &str, now: Duration) -> bool {
        self.store.knows(key, now, |stamp| {
            self.is_good(self.store.generations(), database, stamp)
        })
    }

    /// What has been written up to now: taken before the statement is sent.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.store.generations().stamp()
    }

    /// Keeps an answer whose statement was sent at `sent`, after `stamp` was taken.
    pub fn put(&self, key: Key, database: &str, answer: Answer, stamp: Stamp, sent: Duration) {
        if self.is_good(self.store.generations(), database, stamp) {
            self.store.put(key, answer, stamp, sent);
        } else {
            self.store.unfit();
        }
    }

    /// Keeps that a node could prepare the statement.
    pub fn put_statement(&self, key: Key, stamp: Stamp, sent: Duration) {
        self.store.put_statement(key, stamp, sent);
    }

    /// Counts an answer that could not be kept.
    pub fn unfit(&self) {
        self.store.unfit();
    }

    /// Whether nothing was written since `stamp` that ends an answer of this statement.
    #[must_use]
    pub fn is_good(&self, generations: &Generations, database: &str, stamp: Stamp) -> bool {
        match self.store.rule().invalidate {
            Invalidate::Never => true,
            Invalidate::OnAnyWrite => generations.nothing_since(database, stamp),
            Invalidate::OnWrite => {
                let tables = self.relations.tables.iter().map(|table| &*table.name);
                generations.none_since(database, tables, stamp)
            }
        }
    }
}

/// A part with its length before it, so that no two lists of parts look alike.
fn add(digest: &mut Sha256, part: &[u8]) {
    digest.update((part.len() as u64).to_le_bytes());
    digest.update(part);
}

#[cfg(test)]
mod tests;
