//! How a guest can fail, the same for both engines. Owns the texts for the log; what a client reads is the pipeline's.

use super::QueryError;
use crate::sqlstate::SqlState;
use std::borrow::Cow;
use std::sync::Arc;

/// A stage that failed. It never means "no": policy decides what a failure means.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// It used all its fuel.
    #[error("out of fuel")]
    OutOfFuel,
    /// It wanted more memory than it may have.
    #[error("out of memory")]
    OutOfMemory,
    /// It took too long.
    #[error("deadline exceeded")]
    Deadline,
    /// It recursed too deeply.
    #[error("stack overflow")]
    StackOverflow,
    /// It gave up: a wasm trap, an uncaught error of a script, an argument no host function takes.
    #[error("trap: {0}")]
    Trap(Cow<'static, str>),
    /// It answered something that is no answer, or not one that is legal at this hook.
    #[error("bad answer: {0}")]
    BadAnswer(Cow<'static, str>),
    /// It called host functions too often.
    #[error("too many calls of host functions")]
    TooManyCalls,
    /// It called what it was not granted.
    #[error("call refused: {0}")]
    CallRefused(&'static str),
    /// There was more to tell it than it may be told.
    #[error("input of {bytes} bytes, over the limit of {max}")]
    InputTooLarge {
        /// What there was to tell.
        bytes: usize,
        /// What it may be told.
        max: usize,
    },
    /// What the policy loads for it could not be had.
    #[error("load failed: {name}: {error}")]
    LoadFailed {
        /// The name it is loaded under.
        name: Arc<str>,
        /// Why.
        error: QueryError,
    },
    /// It failed so often that it is not asked for a while.
    #[error("not asked: it kept failing, and its breaker is open")]
    BreakerOpen,
    /// A mistake of ours; the session goes on.
    #[error("internal: {0}")]
    Internal(&'static str),
}

impl Fault {
    /// The name of every kind.
    pub const KINDS: [&str; 12] = [
        "out_of_fuel",
        "out_of_memory",
        "deadline",
        "stack_overflow",
        "trap",
        "bad_answer",
        "too_many_calls",
        "call_refused",
        "input_too_large",
        "load_failed",
        "breaker_open",
        "internal",
    ];

    /// The name in policies, metrics and decision records.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::OutOfFuel => "out_of_fuel",
            Self::OutOfMemory => "out_of_memory",
            Self::Deadline => "deadline",
            Self::StackOverflow => "stack_overflow",
            Self::Trap(_) => "trap",
            Self::BadAnswer(_) => "bad_answer",
            Self::TooManyCalls => "too_many_calls",
            Self::CallRefused(_) => "call_refused",
            Self::InputTooLarge { .. } => "input_too_large",
            Self::LoadFailed { .. } => "load_failed",
            Self::BreakerOpen => "breaker_open",
            Self::Internal(_) => "internal",
        }
    }

    /// A fault of that kind, as a policy's test injects it.
    #[must_use]
    pub fn injected(kind: &str) -> Option<Self> {
        let text = Cow::Borrowed("injected by a test");
        Some(match kind {
            "out_of_fuel" => Self::OutOfFuel,
            "out_of_memory" => Self::OutOfMemory,
            "deadline" => Self::Deadline,
            "stack_overflow" => Self::StackOverflow,
            "trap" => Self::Trap(text),
            "bad_answer" => Self::BadAnswer(text),
            "too_many_calls" => Self::TooManyCalls,
            "call_refused" => Self::CallRefused("injected by a test"),
            "input_too_large" => Self::InputTooLarge { bytes: 0, max: 0 },
            "load_failed" => Self::LoadFailed {
                name: "injected by a test".into(),
                error: QueryError::Unavailable,
            },
            "breaker_open" => Self::BreakerOpen,
            _ => return None,
        })
    }

    /// What a client reads when the policy refuses on this fault. Names nothing inside, but for what is loaded.
    #[must_use]
    pub fn client_text(&self) -> Cow<'static, str> {
        match self {
            Self::LoadFailed { name, error } => {
                format!("what a stage of the policy loads as \"{name}\" could not be had: {error}")
                    .into()
            }
            other => format!("a stage of the policy failed: {}", other.kind()).into(),
        }
    }

    /// The SQLSTATE a client sees when the policy refuses on this fault.
    #[must_use]
    pub fn sqlstate(&self) -> SqlState {
        SqlState::STAGE_FAULT
    }

    pub(crate) fn trap(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Trap(text.into())
    }

    pub(crate) fn bad_answer(text: impl Into<Cow<'static, str>>) -> Self {
        Self::BadAnswer(text.into())
    }
}
