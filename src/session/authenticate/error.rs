//! Why a client did not get in. The log learns the reason; the client learns as little as PostgreSQL would tell it.

use crate::client_facing::ClientFacing;
use crate::net::message::ReadError;
use crate::net::message::is_gone;
use crate::sqlstate::SqlState;
use crate::wire::frame::FrameError;
use crate::wire::frontend::Malformed;
use crate::wire::scram::ScramError;
use std::borrow::Cow;
use std::io;
use std::sync::Arc;

/// Why a client did not get in.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// The client left, as psql does to ask for a password.
    #[error("the client left during the login")]
    Closed,
    /// The login took too long.
    #[error("the client did not log in in time")]
    DeadlinePassed,
    /// The connection broke, or the process is stopping.
    #[error("the connection broke during the login")]
    Io(#[source] io::Error),
    /// The client's bytes are no message, or too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The client's message is not what its tag says.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The client sent something else than an answer.
    #[error("expected a password message, got `{tag}`", tag = tag.escape_ascii())]
    Unexpected {
        /// The message's tag.
        tag: u8,
    },
    /// The SCRAM exchange went wrong, other than by the password.
    #[error(transparent)]
    Scram(#[from] ScramError),
    /// Not the user it says it is.
    #[error("login of {user:?} rejected: {why}")]
    Rejected {
        /// The user.
        user: Arc<str>,
        /// For the log only.
        why: Rejection,
    },
    /// The client sent an empty password.
    #[error("the client sent an empty password")]
    EmptyPassword,
    /// The stages want a password and the connection is not private.
    #[error(
        "the authenticate stages need a password, which is only asked for over TLS or a Unix socket"
    )]
    CleartextNeedsTls,
    /// The system gives no randomness.
    #[error("no randomness: {0}")]
    Random(getrandom::Error),
}

/// Why a login was rejected. The client gets one text for all.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    /// Wrong password, no such user, or expired.
    #[error("wrong password, unknown user, or expired")]
    WrongPassword,
    /// A stage said no.
    #[error("{reason}")]
    Stage {
        /// The stage's reason.
        reason: String,
    },
}

impl AuthenticateError {
    /// Whether the client just left: nothing to log as an error.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Io(source) => is_gone(source),
            _ => false,
        }
    }
}

impl From<getrandom::Error> for AuthenticateError {
    fn from(error: getrandom::Error) -> Self {
        Self::Random(error)
    }
}

impl From<ReadError> for AuthenticateError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Closed => Self::Closed,
            ReadError::Frame(frame) => Self::Frame(frame),
            ReadError::Io(io) => Self::Io(io),
        }
    }
}

impl ClientFacing for AuthenticateError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Rejected { .. } | Self::EmptyPassword => SqlState::INVALID_PASSWORD,
            Self::Scram(ScramError::ChannelBinding(_)) | Self::CleartextNeedsTls => {
                SqlState::INVALID_AUTHORIZATION
            }
            Self::DeadlinePassed => SqlState::QUERY_CANCELED,
            Self::Io(_) | Self::Random(_) => SqlState::INTERNAL_ERROR,
            Self::Closed
            | Self::Frame(_)
            | Self::Malformed(_)
            | Self::Unexpected { .. }
            | Self::Scram(_) => SqlState::PROTOCOL_VIOLATION,
        }
    }

    fn client_message(&self) -> Cow<'static, str> {
        match self {
            Self::Rejected { user, .. } => {
                format!("password authentication failed for user \"{user}\"").into()
            }
            Self::EmptyPassword => "empty password returned by client".into(),
            Self::CleartextNeedsTls => {
                "a password is only asked for over TLS or a Unix socket; connect with TLS".into()
            }
            Self::DeadlinePassed => "canceling authentication due to timeout".into(),
            Self::Scram(error) => error.to_string().into(), // speaks of the client's own messages only
            Self::Unexpected { .. } => "expected a password message".into(),
            Self::Frame(_) | Self::Malformed(_) => "malformed password message".into(),
            Self::Closed | Self::Io(_) | Self::Random(_) => "the login failed".into(),
        }
    }
}
