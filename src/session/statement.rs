//! Statements of one session: what is prepared, what is bound, what is running, and what remains to be done when one ends.
//! Deciding is `decide`'s; sending is `simple`'s and `extended`'s.

use super::by_name::ByName;
use super::cache::Given;
use crate::hook::Protocol;
use crate::hook::Rows;
use crate::hook::SessionContext;
use crate::hook::StatementContext;
use crate::pipeline::Answer;
use crate::pipeline::PendingDecision;
use crate::pipeline::Permit;
use crate::pipeline::Pipeline;
use crate::pipeline::Prepared;
use crate::pool::StatementKey;
use crate::sandbox::Services;
use crate::statement;
use crate::statement::Facts;
use crate::statement::Writes;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Prepared statements of one session at most, protocol-level and SQL-level each.
pub(super) const STATEMENTS_MAX: usize = 10_000;

/// What a statement changes in the session once it has succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing that we follow.
    #[default]
    Nothing,
    /// Something outlives the transaction.
    Dirty,
    /// DISCARD ALL.
    DiscardAll,
    /// DEALLOCATE ALL.
    DeallocateAll,
    /// DEALLOCATE of a statement prepared by the protocol or by PREPARE.
    Deallocate {
        name: Arc<str>,
        key: Option<StatementKey>,
    },
    /// PREPARE.
    Prepare { name: Arc<str>, body: Arc<str> },
}

impl After {
    /// Whether it changes which prepared statements exist, or the session as a whole: what is decided next depends on it.
    pub(super) fn changes_what_exists(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Dirty)
    }
}

/// What a statement does beside its answer, as far as others must know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// The tables it may write.
    pub(super) writes: Writes,
    /// It may change the session on its server connection and tell nobody.
    pub(super) hides_state: bool,
}

impl Effects {
    /// The most that a statement can do.
    pub(super) const ANY: Self = Self {
        writes: Writes::Anything,
        hides_state: true,
    };
    /// Of what was not read since nobody asks.
    pub(super) const UNASKED: Self = Self {
        writes: Writes::Anything,
        hides_state: false,
    };

    /// Of a statement that was parsed.
    pub(super) fn of(text: &str, facts: &Facts) -> Self {
        Self {
            writes: statement::writes(text, facts),
            hides_state: statement::may_hide_state(facts),
        }
    }
}

/// A statement that may go to a node, with what its observers will need.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) go: Go,
    /// A cache has its answer.
    pub(super) answer: Option<Arc<Answer>>,
    /// None has, and one wants it.
    pub(super) fills: bool,
    pub(super) after: After,
    pub(super) effects: Effects,
    pub(super) observed: Option<Arc<Observed>>,
    /// It may change how the server reads the texts after it: a SET, a DO block, a function that is not known.
    pub(super) may_recode: bool,
    /// The revision that decided, by the identity of its pipeline.
    pub(super) pipeline: Arc<Pipeline>,
}

/// How a decided statement goes on.
#[derive(Clone, Debug)]
pub(super) enum Go {
    Node(Permit),
    Reply(Rows),
}

/// What the observers of a statement's end are told.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) request_id: Uuid,
    pub(super) text: Arc<str>,
    pub(super) facts: Arc<Facts>,
    pub(super) protocol: Protocol,
    pub(super) in_transaction: bool,
    pub(super) tx_writes: bool,
    pub(super) statement_count: u32,
    /// The session with attributes that stages have set for this statement.
    pub(super) learned: Option<Box<SessionContext>>,
    /// What the stages that decided are given, where its observers may wait for some of it.
    pub(super) services: Option<Arc<dyn Services>>,
}

impl Observed {
    /// The statement as its observers see it.
    pub(super) fn context(&self) -> StatementContext<'_> {
        StatementContext {
            facts: &self.facts,
            text: &self.text,
            protocol: self.protocol,
            in_transaction: self.in_transaction,
            tx_writes: self.tx_writes,
            statement_count: self.statement_count,
        }
    }
}

/// One message's statements, from sending to their end.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) started: Instant,
    /// Each statement of the message, in order; the first is the one that runs.
    pub(super) parts: SmallVec<[Part; 1]>,
    /// Its answer is the one that a cache is to keep.
    pub(super) fills: bool,
}

/// One statement of a message.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) after: After,
    pub(super) effects: Effects,
    pub(super) observed: Option<(Arc<Pipeline>, Arc<Observed>)>,
}

/// One statement that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) started: Instant,
    pub(super) part: Option<Part>,
}

impl Running {
    pub(super) fn of(decided: &Decided) -> Self {
        Self {
            started: Instant::now(),
            parts: SmallVec::from_iter([Part::of(decided)]),
            fills: false,
        }
    }

    /// A statement that was decided before and changes nothing: more rows of a cursor.
    pub(super) fn unobserved() -> Self {
        Self {
            started: Instant::now(),
            parts: SmallVec::new(),
            fills: false,
        }
    }

    /// Whether any of its statements does, as [`After::changes_what_exists`] says.
    pub(super) fn changes_what_exists(&self) -> bool {
        self.parts
            .iter()
            .any(|part| part.after.changes_what_exists())
    }

    pub(super) fn is_running(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The first of its statements that has not ended has ended now.
    pub(super) fn next(&mut self) -> Ended {
        let part = if self.parts.is_empty() {
            None
        } else {
            Some(self.parts.remove(0))
        };
        Ended {
            started: self.started,
            part,
        }
    }
}

impl Part {
    pub(super) fn of(decided: &Decided) -> Self {
        let observed = decided
            .observed
            .as_ref()
            .map(|observed| (Arc::clone(&decided.pipeline), Arc::clone(observed)));
        Self {
            after: decided.after.clone(),
            effects: decided.effects.clone(),
            observed,
        }
    }
}

/// A statement the client has prepared by Parse.
#[derive(Debug)]
pub(super) struct StatementEntry {
    /// As the client sent it.
    pub(super) sql: Arc<[u8]>,
    /// Its last decision; the first Bind of the same batch uses it, every later one decides anew.
    pub(super) decided: Decided,
    /// What goes to server connections.
    pub(super) sent: Arc<Sent>,
}

/// A prepared statement as server connections know it.
#[derive(Debug)]
pub(super) struct Sent {
    /// The key of text and types.
    pub(super) key: StatementKey,
    /// The text that was decided.
    pub(super) sql: Arc<[u8]>,
    /// Count and oids of the parameter types, as the client sent them.
    pub(super) types: Arc<[u8]>,
}

impl StatementEntry {
    pub(super) fn new(sql: &[u8], types: &[u8], settings: u64, decided: Decided) -> Self {
        let sql: Arc<[u8]> = sql.into();
        let sent = Arc::new(Sent::new(&sql, types.into(), settings, &decided));
        Self { sql, decided, sent }
    }

    /// Takes a new decision; what goes to the server changes only where the text did.
    pub(super) fn decide_again(&mut self, settings: u64, decided: Decided) {
        let sent = Sent::text(&self.sql, &decided);
        if *sent != *self.sent.sql {
            self.sent = Arc::new(Sent::new(
                &self.sql,
                Arc::clone(&self.sent.types),
                settings,
                &decided,
            ));
        }
        self.decided = Decided {
            answer: None,
            fills: false,
            ..decided
        };
    }
}

impl Sent {
    fn new(sql: &Arc<[u8]>, types: Arc<[u8]>, settings: u64, decided: &Decided) -> Self {
        let deallocates = match &decided.after {
            After::Deallocate { key, .. } => *key,
            _ => None,
        };
        let sql = match deallocates {
            // The name is the client's; on server connections the statement has ours.
            Some(key) => format!("DEALLOCATE {}", key.name()).into_bytes().into(),
            None => Self::text(sql, decided),
        };
        Self {
            key: StatementKey::new(&sql, &types, settings),
            sql,
            types,
        }
    }

    /// The stages' text, or the client's.
    fn text(sql: &Arc<[u8]>, decided: &Decided) -> Arc<[u8]> {
        match &decided.go {
            Go::Node(permit) => permit
                .text()
                .map_or_else(|| Arc::clone(sql), |text| text.as_bytes().into()),
            Go::Reply(_) => Arc::clone(sql),
        }
    }
}

/// A portal.
#[derive(Debug)]
pub(super) struct Portal {
    pub(super) decided: Decided,
    /// Whether results are wanted in binary.
    pub(super) binary: bool,
    /// Whether a reply of ours was given already.
    pub(super) replied: bool,
    /// The answer of a cache that it stands for.
    pub(super) given: Option<Given>,
}

impl Portal {
    /// What an Execute of the statement asks the node for.
    pub(super) fn of(decided: Decided) -> Self {
        Self {
            decided,
            binary: false,
            replied: false,
            given: None,
        }
    }
}

/// Statements by name.
#[derive(Debug, Default)]
pub(super) struct Statements {
    pub(super) named: ByName<StatementEntry>,
    pub(super) portals: ByName<Portal>,
    pub(super) sql: SqlPrepared,
    /// The statement whose Parse was decided in this batch and whose first Bind needs no decision of its own.
    pub(super) fresh: Option<Box<[u8]>>,
    /// Its decision, which is written down once it is known whether a cache has its answer.
    pub(super) unwritten: Option<PendingDecision>,
}

/// What SQL-level PREPARE has stored, and what statements under way will store or drop if they succeed.
///
/// The server runs them in order and stops at the first that fails, so what is expected is true whenever a later statement
/// of the same message or batch runs at all. A PREPARE of a name that is taken will fail, and is not expected to store.
#[derive(Debug, Default)]
pub(super) struct SqlPrepared {
    stored: HashMap<Arc<str>, Arc<str>>,
    expected: HashMap<Arc<str>, Option<Arc<str>>>,
    all_dropped: bool,
}

impl SqlPrepared {
    /// A statement that was decided will do this if it succeeds.
    pub(super) fn expect(&mut self, after: &After) {
        match after {
            After::Prepare { name, body } if self.body(name).is_none() => {
                self.expected
                    .insert(Arc::clone(name), Some(Arc::clone(body)));
            }
            After::Deallocate { name, .. } => {
                self.expected.insert(Arc::clone(name), None);
            }
            After::DeallocateAll | After::DiscardAll => {
                self.expected.clear();
                self.all_dropped = true;
            }
            _ => (),
        }
    }

    /// What is expected now, to be put back when the message is refused after all.
    pub(super) fn expected(&self) -> (HashMap<Arc<str>, Option<Arc<str>>>, bool) {
        (self.expected.clone(), self.all_dropped)
    }

    /// The message was refused: nothing of it happens.
    pub(super) fn expect_again(&mut self, before: (HashMap<Arc<str>, Option<Arc<str>>>, bool)) {
        (self.expected, self.all_dropped) = before;
    }

    /// Everything under way has ended; what succeeded has been stored.
    pub(super) fn settle(&mut self) {
        self.expected.clear();
        self.all_dropped = false;
    }

    pub(super) fn store(&mut self, name: Arc<str>, body: Arc<str>) {
        if self.stored.len() < STATEMENTS_MAX {
            self.stored.insert(name, body);
        }
    }

    pub(super) fn drop(&mut self, name: &str) {
        self.stored.remove(name);
    }

    pub(super) fn drop_all(&mut self) {
        self.stored.clear();
    }
}

impl Prepared for SqlPrepared {
    fn body(&self, name: &str) -> Option<Arc<str>> {
        match self.expected.get(name) {
            Some(expected) => expected.clone(),
            None if self.all_dropped => None,
            None => self.stored.get(name).map(Arc::clone),
        }
    }
}

/// Figures of the statement whose answer is being read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Tally {
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// A duration in whole microseconds.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
