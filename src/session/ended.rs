//! What follows from a statement that has ended: what it changed in the session, what is counted, who is told.

use super::relay::Session;
use super::statement::After;
use super::statement::Ended;
use super::statement::Tally;
use super::statement::micros;
use crate::hook::Outcome;
use crate::sqlstate::SqlState;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

impl Session {
    /// One statement has ended, well or not: follows what it changed, counts it, tells its observers.
    pub(super) fn part_ended(
        &mut self,
        ended: Ended,
        tally: Tally,
        error: Option<(SqlState, &str)>,
    ) {
        let elapsed = ended.started.elapsed();
        if let Some(server) = &self.server {
            let stats = &server.pool().stats;
            stats.statements.fetch_add(1, Relaxed);
            stats.statement_us.fetch_add(micros(elapsed), Relaxed);
            stats.sent.fetch_add(tally.bytes, Relaxed);
            stats
                .received
                .fetch_add(std::mem::take(&mut self.received), Relaxed);
        }
        let Some(part) = ended.part else { return };
        if error.is_none() {
            self.follow(part.after);
        }
        if let Some((pipeline, observed)) = part.observed {
            let mut outcome = self.outcome(elapsed, tally, error);
            if pipeline.asks_lag()
                && let Some(node) = &outcome.node
            {
                outcome.lag = self.binding.lag_of(&self.shared, node);
            }
            self.tell_observers(pipeline, observed, outcome);
        }
    }

    fn outcome(&self, elapsed: Duration, tally: Tally, error: Option<(SqlState, &str)>) -> Outcome {
        Outcome {
            success: error.is_none(),
            node: self
                .server
                .as_ref()
                .map(|server| Arc::clone(&server.pool().key.node)),
            elapsed,
            rows: tally.rows,
            bytes_out: tally.bytes,
            code: error.map(|(code, _)| code),
            error: error.map(|(_, message)| message.into()),
            cached: false,
            lag: None,
        }
    }

    /// What a statement that succeeded changed in the session.
    fn follow(&mut self, after: After) {
        match after {
            After::Nothing | After::Dirty => (),
            After::Prepare { name, body } => {
                self.statements.sql.store(name, body);
            }
            After::Deallocate { name, key } => {
                self.statements.sql.drop(&name);
                if let (Some(key), Some(server)) = (key, &mut self.server) {
                    server.forget(key);
                    self.statements.named.remove(name.as_bytes());
                }
            }
            After::DeallocateAll => self.forget_statements(),
            After::DiscardAll => {
                self.forget_statements();
                self.pinned = self.relayed;
                self.discarded = true;
                if let Some(server) = &mut self.server {
                    server.discarded();
                }
            }
        }
    }

    fn forget_statements(&mut self) {
        self.statements.named.clear();
        self.statements.sql.drop_all();
        if let Some(server) = &mut self.server {
            server.forget_all();
        }
    }
}
