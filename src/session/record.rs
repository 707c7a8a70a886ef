//! What is written down of decisions: refusals in the process's log, and the log of decisions. Decides nothing.

use super::decide::AskedAbout;
use super::decide::Refused;
use super::decide::SESSION_STATE;
use super::messages::StatementError;
use super::relay::Session;
use crate::hook::Protocol;
use crate::hook::Refusal;
use crate::pipeline::Decider;
use crate::pipeline::PendingDecision;
use crate::pipeline::Trace;
use crate::pipeline::Verdict;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use uuid::Uuid;

impl Session {
    /// Has a decision written, or kept until it is known what a cache says.
    #[cold]
    pub(super) fn record(
        &self,
        asked: &AskedAbout<'_>,
        trace: &Trace,
        is_bound: bool,
    ) -> Option<PendingDecision> {
        let world = &self.binding.world;
        let log = world.decisions.as_ref()?;
        let now = Duration::from_micros(world.services.unix_micros());
        let (pipeline, statement) = (&self.binding.pipeline, self.statement(asked));
        let is_open = !is_bound
            && matches!(&trace.verdict, Verdict::Forward(permit) if permit.cache().is_some());
        if is_open {
            return log.record_later(pipeline, &statement, trace, now);
        }
        log.record(pipeline, &statement, trace, now);
        None
    }

    /// Counts, logs and records what was refused before any stage could be asked, by a rule of `[sql]` or of the pool.
    pub(super) fn refused_by(
        &self,
        rule: &'static str,
        protocol: Protocol,
        text: &str,
        error: &StatementError,
    ) -> Refused {
        let asked = AskedAbout {
            request_id: self.shared.new_id(),
            text,
            protocol,
            in_transaction: self.tx != b'I' || self.batch_open,
            statement_count: 1,
            lag: None,
        };
        let by = Decider::Sql(rule);
        let refusal = error.refusal();
        let refusal = self.binding.pipeline.signed(refusal, &by, asked.request_id);
        self.log_refusal(asked.request_id, rule, &refusal);
        let mut bytes = Vec::new();
        super::refuse::refusal(&refusal, &mut bytes);
        drop(self.record(&asked, &Trace::refused(by, refusal), true)); // it is written
        if let Some(beside) = &self.binding.beside
            && rule != SESSION_STATE
        {
            beside.unread();
        }
        Refused(bytes)
    }

    pub(super) fn log_refusal(&self, request_id: Uuid, stage: &str, refusal: &Refusal) {
        let tally = &self.shared.clients.tally;
        tally.statements_refused.fetch_add(1, Relaxed);
        if let Some(tally) = &self.binding.world.tally {
            tally.refusals.fetch_add(1, Relaxed);
        }
        tracing::info!(
            session = %self.context.client_id,
            decision_id = %request_id,
            revision = %self.binding.world.policy.revision.short(),
            user = %self.context.identity.user,
            stage,
            code = %refusal.code,
            message = %refusal.message,
            "refused"
        );
    }
}
