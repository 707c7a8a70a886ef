//! What became of a statement, as a log tells it or as a policy decides it now, and whether the two differ. Owns no deciding.

use super::record::Record;
use crate::hook::Protocol;
use crate::pipeline::Pipeline;
use crate::pipeline::Trace;
use crate::pipeline::Verdict;
use crate::sqlstate::SqlState;
use std::fmt;
use std::sync::Arc;

const ALLOW: &str = "allow";
const DENY: &str = "deny";
const REPLY: &str = "reply";

/// What became of a statement, in short.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(in crate::cli) struct Outcome {
    /// `allow`, `deny` or `reply`.
    pub(in crate::cli) verdict: &'static str,
    /// The stage that decided, the rule of `[sql]`, `otherwise`, or why there would be no session.
    pub(in crate::cli) by: Arc<str>,
    /// The SQLSTATE of a refusal.
    pub(in crate::cli) code: Option<Arc<str>>,
    /// Where it goes.
    pub(in crate::cli) route: Option<Arc<str>>,
    /// Whether a stage replaced its text; `None`: not known.
    pub(in crate::cli) rewritten: Option<bool>,
    /// The columns that are masked in its rows, sorted.
    pub(in crate::cli) masked: Vec<Arc<str>>,
}

/// The same with the text that is sent.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Decided {
    pub(in crate::cli) outcome: Outcome,
    /// The text that is sent in place of the one that came, where it is known.
    sent: Option<Arc<str>>,
}

impl Decided {
    /// As the log tells it.
    pub(in crate::cli) fn of_record(record: &Record) -> Self {
        Self {
            outcome: Outcome {
                verdict: match &*record.verdict {
                    DENY => DENY,
                    REPLY => REPLY,
                    _ => ALLOW,
                },
                by: Arc::clone(&record.by),
                code: record.code.clone(),
                route: record.route.clone(),
                rewritten: Some(record.rewritten),
                masked: record.masked.clone(),
            },
            sent: record.sent.as_deref().map(Arc::from),
        }
    }

    /// As a policy decides it. `rewritten` as far as it is known.
    pub(super) fn of_trace(
        record: &Record,
        pipeline: &Pipeline,
        trace: &Trace,
        rewritten: Option<bool>,
    ) -> Self {
        // As a session has it, which has no place for such rows.
        let cannot_reply =
            1 < record.statement_count || record.protocol() == Some(Protocol::FunctionCall);
        let (verdict, code, route) = match &trace.verdict {
            Verdict::Refuse(refusal) => (DENY, Some(refusal.code.as_str().into()), None),
            Verdict::Reply(_) if cannot_reply => {
                let code = SqlState::FEATURE_NOT_SUPPORTED;
                (DENY, Some(code.as_str().into()), None)
            }
            Verdict::Reply(_) => (REPLY, None, None),
            // A log holds no answers: what was answered from the cache would be, where the statement still goes there.
            Verdict::Forward(permit) | Verdict::Cached(permit, _)
                if record.verdict == REPLY
                    && permit.cache().is_some_and(|it| **it.stage() == *record.by) =>
            {
                return Self::of_record(record);
            }
            Verdict::Forward(permit) | Verdict::Cached(permit, _) => {
                let route = pipeline.route_name(permit.route());
                (ALLOW, None, Some(Arc::from(&*route)))
            }
        };
        Self {
            outcome: Outcome {
                verdict,
                by: trace.by.name().into(),
                code,
                route,
                rewritten,
                masked: trace.masked(),
            },
            sent: trace.text.clone(),
        }
    }

    /// Of a statement whose session there would not be.
    pub(super) fn without_session(by: &str, code: Option<&str>) -> Self {
        Self {
            outcome: Outcome {
                verdict: DENY,
                by: by.into(),
                code: code.map(Arc::from),
                route: None,
                rewritten: None,
                masked: Vec::new(),
            },
            sent: None,
        }
    }

    /// Whether a client or a node would notice. Which stage allows is nothing they see.
    pub(in crate::cli) fn differs(&self, other: &Self) -> bool {
        let (one, two) = (&self.outcome, &other.outcome);
        let is_allowed = (one.verdict, two.verdict) == (ALLOW, ALLOW);
        (one.verdict, &one.code, &one.route) != (two.verdict, &two.code, &two.route)
            || !is_allowed && one.by != two.by
            || is_allowed && one.masked != two.masked
            || is_allowed && (self.is_rewritten_otherwise(other) || one.is_more_rewritten(two))
    }

    /// Whether it is refused.
    pub(super) fn is_refused(&self) -> bool {
        self.outcome.verdict == DENY
    }

    /// Whether both replace the text, by other ones.
    pub(in crate::cli) fn is_rewritten_otherwise(&self, other: &Self) -> bool {
        matches!((&self.sent, &other.sent), (Some(one), Some(two)) if one != two)
    }
}

impl Outcome {
    /// Whether one of the two replaces the text and the other does not.
    fn is_more_rewritten(&self, other: &Self) -> bool {
        matches!((self.rewritten, other.rewritten), (Some(one), Some(two)) if one != two)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verdict)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if self.verdict != ALLOW || *self.by != *"otherwise" {
            write!(f, " by {}", self.by)?;
        }
        if let Some(route) = self.route.as_deref().filter(|route| *route != "default") {
            write!(f, ", to {route}")?;
        }
        if self.rewritten == Some(true) {
            f.write_str(", rewritten")?;
        }
        if !self.masked.is_empty() {
            write!(f, ", masked {}", self.masked.join(" "))?;
        }
        Ok(())
    }
}
