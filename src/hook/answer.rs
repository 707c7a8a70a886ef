//! What a stage may answer. Which answer is legal at which hook is in `kind`; what follows from it is in `pipeline`.

use super::context::Identity;
use crate::sqlstate::SqlState;
use std::sync::Arc;

/// One stage's answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// Nothing to say; the next stage is asked.
    Continue,
    /// Allowed; the rest of this hook's chain is not asked.
    Allow,
    /// Go on with this text instead; every later stage sees it.
    Rewrite(String),
    /// Refused.
    Block(Refusal),
    /// The client gets these rows and no node is asked.
    Cached(Rows),
    /// Where to send the statement.
    Route(RouteAnswer),
    /// The client is this identity.
    Success(Box<Identity>),
    /// The client is not who it says; the text is for the log, the client gets the common one.
    Denied(String),
    /// Cannot tell; the next method is asked.
    Defer,
}

/// The kind of an answer, without its data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AnswerKind {
    /// See [`Answer::Continue`].
    Continue,
    /// See [`Answer::Allow`].
    Allow,
    /// See [`Answer::Rewrite`].
    Rewrite,
    /// See [`Answer::Block`].
    Block,
    /// See [`Answer::Cached`].
    Cached,
    /// See [`Answer::Route`].
    Route,
    /// See [`Answer::Success`].
    Success,
    /// See [`Answer::Denied`].
    Denied,
    /// See [`Answer::Defer`].
    Defer,
}

impl AnswerKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Continue,
        Self::Allow,
        Self::Rewrite,
        Self::Block,
        Self::Cached,
        Self::Route,
        Self::Success,
        Self::Denied,
        Self::Defer,
    ];

    /// The name in diagnostics, traces and the guest documentation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Allow => "allow",
            Self::Rewrite => "rewrite",
            Self::Block => "block",
            Self::Cached => "cached",
            Self::Route => "route",
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Defer => "defer",
        }
    }
}

impl Answer {
    /// The kind of this answer.
    #[must_use]
    pub fn kind(&self) -> AnswerKind {
        match self {
            Self::Continue => AnswerKind::Continue,
            Self::Allow => AnswerKind::Allow,
            Self::Rewrite(_) => AnswerKind::Rewrite,
            Self::Block(_) => AnswerKind::Block,
            Self::Cached(_) => AnswerKind::Cached,
            Self::Route(_) => AnswerKind::Route,
            Self::Success(_) => AnswerKind::Success,
            Self::Denied(_) => AnswerKind::Denied,
            Self::Defer => AnswerKind::Defer,
        }
    }

    /// Bytes of the texts in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Continue | Self::Allow | Self::Defer => 0,
            Self::Rewrite(text) | Self::Denied(text) => text.len(),
            Self::Block(refusal) => refusal.bytes(),
            Self::Cached(rows) => rows.bytes(),
            Self::Route(RouteAnswer::Node(name) | RouteAnswer::Branch(name)) => name.len(),
            Self::Route(_) => 0,
            Self::Success(identity) => identity.bytes(),
        }
    }
}

/// A no, as the client will read it: the fields of ErrorResponse that a policy may set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The SQLSTATE; 42000 where the policy names none.
    pub code: SqlState,
    /// The primary message.
    pub message: Arc<str>,
    /// What to do about it.
    pub hint: Option<Arc<str>>,
    /// More about it.
    pub detail: Option<Arc<str>>,
}

impl Refusal {
    /// A refusal with the code 42000.
    #[must_use]
    pub fn new(message: impl Into<Arc<str>>) -> Self {
        Self::with_code(SqlState::ACCESS_RULE_VIOLATION, message)
    }

    /// A refusal with a code of its own.
    #[must_use]
    pub fn with_code(code: SqlState, message: impl Into<Arc<str>>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            detail: None,
        }
    }

    fn bytes(&self) -> usize {
        let more = [&self.hint, &self.detail].into_iter().flatten();
        self.message.len() + more.map(|text| text.len()).sum::<usize>()
    }
}

/// Where a route stage sends a statement. Names are resolved by `pipeline`; an unknown one is a fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteAnswer {
    /// The pool's default.
    Default,
    /// The node of that name.
    Node(String),
    /// The pool's primary.
    Primary,
    /// One of the pool's standbys.
    Standby,
    /// The branch of that name.
    Branch(String),
}

/// Rows given instead of asking a node. Every value is text, encoded for the client's format when sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rows {
    /// Column names, left to right; all columns have type `text`.
    pub columns: Vec<String>,
    /// Each row has one value per column; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Rows {
    fn bytes(&self) -> usize {
        let values = self.rows.iter().flatten().flatten();
        self.columns.iter().chain(values).map(String::len).sum()
    }
}
