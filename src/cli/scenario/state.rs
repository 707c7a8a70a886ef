//! What a played session carries from one message to the next, as a served one does: the transaction, what is prepared, and the server
//! connection in hand. Owns no decision.

use crate::hook::Refusal;
use crate::pipeline::Prepared;
use crate::policy::Pool;
use crate::policy::PoolMode;
use crate::policy::RouteTarget;
use crate::policy::SessionState;
use crate::routing::Place;
use crate::session::Lasting;
use crate::session::OTHER_BRANCH;
use crate::session::OUTLIVES_TRANSACTION;
use crate::sqlstate::SqlState;
use crate::statement;
use crate::statement::Facts;
use crate::statement::Kind;
use crate::statement::Needs;
use crate::statement::Sql;
use std::collections::HashMap;
use std::sync::Arc;

/// A session between two messages. A message that is refused leaves it as it was.
#[derive(Clone, Default)]
pub(in crate::cli) struct State {
    pub(super) prepared: Names,
    pub(super) in_transaction: bool,
    pub(super) tx_writes: bool,
    /// The server connection is kept beyond the transaction.
    pinned: bool,
    /// Where the connection in hand leads, while it is kept.
    held: Option<Place>,
}

/// Statements by the names that PREPARE gave them.
#[derive(Clone, Default)]
pub(super) struct Names(HashMap<Arc<str>, Arc<str>>);

impl Prepared for Names {
    fn body(&self, name: &str) -> Option<Arc<str>> {
        self.0.get(name).map(Arc::clone)
    }
}

impl State {
    /// Goes on as if the statement had run: its text as it is sent, and what the stages knew of it.
    ///
    /// # Errors
    /// Where the pool refuses what it does to the session.
    pub(super) fn follow(
        &mut self,
        text: &str,
        known: Option<&Facts>,
        pool: Option<&Pool>,
    ) -> Result<(), Refusal> {
        let needs = Needs {
            normalized: true,
            parse: false,
        };
        let own = statement::analyze(text, needs);
        // The facts of a PREPARE are those of what is prepared; what it does is in its own text.
        let lasting = match known {
            Some(known) if !known.kinds.contains(Kind::Prepare) => {
                self.tx_writes |= !known.read_only;
                Lasting::of(text, known)
            }
            Some(_) => Lasting::of(text, &own),
            None => Lasting::Nothing,
        };
        match (lasting, pool) {
            (Lasting::Something, Some(pool)) => self.change_session(pool)?,
            (Lasting::Undone, _) => {
                self.pinned = false;
                self.prepared.0.clear();
            }
            _ => (),
        }
        match &own.sql {
            Sql::Prepare { name, body } => drop(
                self.prepared
                    .0
                    .insert(Arc::clone(name), text[body.clone()].into()),
            ),
            Sql::Deallocate { name: Some(name) } => drop(self.prepared.0.remove(name)),
            Sql::Deallocate { name: None } => self.prepared.0.clear(),
            _ => (),
        }
        self.follow_transaction(&own.normalized);
        Ok(())
    }

    fn change_session(&mut self, pool: &Pool) -> Result<(), Refusal> {
        match pool.session_state {
            SessionState::Refuse if pool.mode == PoolMode::Transaction => {
                return Err(not_supported(OUTLIVES_TRANSACTION));
            }
            SessionState::Ignore => (),
            SessionState::Pin | SessionState::Refuse => self.pinned = true,
        }
        Ok(())
    }

    fn follow_transaction(&mut self, normalized: &str) {
        let words = normalized.to_ascii_lowercase();
        let mut words = words
            .split(|letter: char| !letter.is_ascii_alphabetic())
            .filter(|word| !word.is_empty());
        match (words.next(), words.next()) {
            (Some("begin"), _) | (Some("start"), Some("transaction")) => self.in_transaction = true,
            (Some("commit" | "end" | "abort"), _) => self.in_transaction = false,
            (Some("rollback"), second) if second != Some("to") => self.in_transaction = false,
            _ => (),
        }
    }

    /// The place that the session keeps to, whatever the route says; `None` where it keeps none.
    ///
    /// # Errors
    /// Where the route leads to a branch, and the session keeps to another place.
    pub(super) fn kept_for(&self, route: RouteTarget) -> Result<Option<Place>, Refusal> {
        let held = self.held.filter(|_| self.in_transaction || self.pinned);
        match (held, route) {
            (Some(held), RouteTarget::Branch(branch)) if held.branch != Some(branch) => {
                Err(not_supported(OTHER_BRANCH))
            }
            _ => Ok(held),
        }
    }

    /// The message has run there; nowhere where no node was asked.
    pub(super) fn settle(&mut self, place: Option<Place>) {
        self.tx_writes &= self.in_transaction;
        let place = place.or(self.held);
        self.held = place.filter(|_| self.in_transaction || self.pinned);
    }

    /// The same without the connection in hand.
    pub(super) fn let_go(self) -> Self {
        Self { held: None, ..self }
    }
}

fn not_supported(message: &'static str) -> Refusal {
    Refusal::with_code(SqlState::FEATURE_NOT_SUPPORTED, message)
}
