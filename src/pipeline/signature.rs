//! What a refusal tells its client of where it comes from, as the last line of its DETAIL.

use super::Decider;
use super::Pipeline;
use crate::hook::Refusal;
use std::fmt::Display;
use uuid::Uuid;

impl Pipeline {
    /// Adds which policy, revision, stage and decision refused.
    #[must_use]
    pub fn signed(&self, refusal: Refusal, by: &Decider, decision: Uuid) -> Refusal {
        self.sign(refusal, by.name(), format_args!("decision {decision}"))
    }

    /// The same of a client that is turned away.
    pub(super) fn signed_at_login(&self, refusal: Refusal, stage: &str, session: Uuid) -> Refusal {
        self.sign(refusal, stage, format_args!("session {session}"))
    }

    fn sign(&self, mut refusal: Refusal, stage: &str, subject: impl Display) -> Refusal {
        let (policy, revision) = (&self.policy, &self.revision);
        let signature = format!("Policy {policy} ({revision}), stage {stage}, {subject}.");
        refusal.detail = Some(match &refusal.detail {
            Some(detail) => format!("{detail}\n{signature}").into(),
            None => signature.into(),
        });
        refusal
    }
}
