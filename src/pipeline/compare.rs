//! Two decisions about one statement beside each other: the one that acts, and the one of a policy that is only tried. Owns what
//! counts as a difference, and no count of them.

use super::Pipeline;
use super::verdict::Trace;
use super::verdict::Verdict;
use crate::policy::RouteTarget;
use std::borrow::Cow;

/// In what the tried policy decides otherwise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Differs {
    /// It refuses what the running policy lets pass.
    Deny,
    /// It lets pass what the running policy refuses.
    Allow,
    /// One of them answers with rows, or both do with other rows.
    Reply,
    /// It sends the statement elsewhere.
    Route,
    /// It sends another text.
    Text,
    /// It shows a column that the running policy masks, or masks one that is shown.
    Mask,
    /// It lets the statement run longer, or less long.
    Timeout,
}

impl Differs {
    /// The word in figures and in `status`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
            Self::Reply => "reply",
            Self::Route => "route",
            Self::Text => "text",
            Self::Mask => "mask",
            Self::Timeout => "timeout",
        }
    }
}

/// What one of the two policies decided. Has no text of a statement and no message.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Side {
    /// The verdict in words: `deny 42501`, `allow to standby, rewritten`, `reply`.
    pub verdict: String,
    /// The stage, or the rule of `[sql]`, that made the difference; `otherwise` where none did.
    pub by: Box<str>,
}

/// Two decisions that differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Differing {
    /// In what, first of all.
    pub differs: Differs,
    /// What the running policy decided.
    pub running: Side,
    /// What the tried one would have.
    pub tried: Side,
}

/// In what two decisions about one statement differ. Who decided is no difference, nor are the words of a refusal.
#[must_use]
pub fn compare(running: (&Pipeline, &Trace), tried: (&Pipeline, &Trace)) -> Option<Differing> {
    let differs = match (&running.1.verdict, &tried.1.verdict) {
        (Verdict::Refuse(_), Verdict::Refuse(_)) => return None,
        (Verdict::Refuse(_), _) => Differs::Allow,
        (_, Verdict::Refuse(_)) => Differs::Deny,
        (Verdict::Reply(one), Verdict::Reply(other)) if one == other => return None,
        (Verdict::Reply(_), _) | (_, Verdict::Reply(_)) => Differs::Reply,
        // A kept answer is what its node would have given.
        (
            Verdict::Forward(one) | Verdict::Cached(one, _),
            Verdict::Forward(other) | Verdict::Cached(other, _),
        ) => {
            if route(running.0, one.route()) != route(tried.0, other.route())
                || one.otherwise().map(|to| route(running.0, to))
                    != other.otherwise().map(|to| route(tried.0, to))
            {
                Differs::Route
            } else if one.text() != other.text() {
                Differs::Text
            } else if running.1.masked() != tried.1.masked() {
                Differs::Mask
            } else if one.timeout() != other.timeout() {
                Differs::Timeout
            } else {
                return None;
            }
        }
    };
    Some(Differing {
        differs,
        running: side(running, differs),
        tried: side(tried, differs),
    })
}

/// A place by its name: two policies number their nodes apart. What goes nowhere in particular goes to the primary.
fn route(pipeline: &Pipeline, to: RouteTarget) -> Cow<'static, str> {
    let to = match to {
        RouteTarget::Default => RouteTarget::Primary,
        other => other,
    };
    pipeline.route_name(to)
}

/// What of the rows is masked, in words.
fn masked(trace: &Trace) -> String {
    match &trace.masked()[..] {
        [] => String::new(),
        columns => format!(", masked {}", columns.join(" ")),
    }
}

fn side((pipeline, trace): (&Pipeline, &Trace), differs: Differs) -> Side {
    let by = match differs {
        Differs::Deny | Differs::Allow | Differs::Reply | Differs::Mask => &trace.by,
        Differs::Route => &trace.routed_by,
        Differs::Text | Differs::Timeout => &trace.bounded_by,
    };
    let verdict = match &trace.verdict {
        Verdict::Refuse(refusal) => format!("deny {}", refusal.code),
        Verdict::Reply(_) => "reply".to_owned(),
        Verdict::Forward(permit) | Verdict::Cached(permit, _) => {
            let mut words = format!("allow to {}", route(pipeline, permit.route()));
            if permit.text().is_some() {
                words.push_str(", rewritten");
            }
            words.push_str(&masked(trace));
            if let Some(timeout) = permit.timeout() {
                words.push_str(&format!(
                    ", within {}",
                    crate::unit::format_duration(timeout)
                ));
            }
            words
        }
    };
    Side {
        verdict,
        by: by.name().into(),
    }
}
