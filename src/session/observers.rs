//! Who is told how a statement ended, and when: at once where no observer waits for anything; otherwise as soon as the client
//! has what it can be given. Owns no outcome; that is `ended`'s and `decide`'s.

use super::relay::Session;
use super::statement::Decided;
use super::statement::Observed;
use crate::hook::Outcome;
use crate::hook::StatementContext;
use crate::pipeline::Ended;
use crate::pipeline::Pipeline;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// An ended statement of which the observers do not know yet.
pub(super) struct Untold {
    pipeline: Arc<Pipeline>,
    observed: Arc<Observed>,
    outcome: Outcome,
}

impl Session {
    /// Tells the observers that rows of ours were the answer.
    pub(super) fn reply_ended(
        &mut self,
        decided: &Decided,
        rows: usize,
        bytes: usize,
        elapsed: Duration,
    ) {
        let Some(observed) = &decided.observed else {
            return;
        };
        let outcome = Outcome {
            success: true,
            cached: true,
            rows: rows as u64,
            bytes_out: bytes as u64,
            elapsed,
            ..Outcome::default()
        };
        let pipeline = Arc::clone(&decided.pipeline);
        self.tell_observers(pipeline, Arc::clone(observed), outcome);
    }

    /// Tells the observers, or has them told at the next turn where one of them may wait.
    pub(super) fn tell_observers(
        &mut self,
        pipeline: Arc<Pipeline>,
        observed: Arc<Observed>,
        outcome: Outcome,
    ) {
        let untold = Untold {
            pipeline,
            observed,
            outcome,
        };
        // What waits is told in order, and everything else behind it.
        if untold.pipeline.observers_may_wait() || !self.untold.is_empty() {
            self.untold.push(untold);
            return;
        }
        let statement = untold.observed.context();
        let ended = self.ended(&untold, &statement);
        let services = &self.binding.world.services;
        untold.pipeline.ended_at_once(&ended, services);
    }

    fn ended<'a>(&'a self, untold: &'a Untold, statement: &'a StatementContext<'a>) -> Ended<'a> {
        Ended {
            request_id: untold.observed.request_id,
            session: untold.observed.learned.as_deref().unwrap_or(&self.context),
            statement,
            outcome: &untold.outcome,
        }
    }

    async fn tell(&self, untold: &Untold) {
        let statement = untold.observed.context();
        let ended = self.ended(untold, &statement);
        let services = untold.observed.services.as_ref();
        let services = services.unwrap_or(&self.binding.world.services);
        untold.pipeline.ended(&ended, services).await;
    }

    /// Tells the observers that wait, after the client has been given what its socket takes. Not cancel safe.
    pub(super) async fn tell_untold(&mut self) {
        if self.untold.is_empty() {
            return;
        }
        // An error of a socket is found again by whoever reads or writes next.
        poll_fn(|context| Poll::Ready(self.poll_writes(context).is_ok())).await;
        for untold in std::mem::take(&mut self.untold) {
            Box::pin(self.tell(&untold)).await;
        }
    }
}
