//! Why a client that finished its handshake got no session: for the log, and what little the client is told.

use crate::client_facing::ClientFacing;
use crate::hook::Refusal;
use crate::pool::ConnectError;
use crate::pool::LeaseError;
use crate::session::authenticate::AuthenticateError;
use crate::sqlstate::SqlState;
use std::borrow::Cow;

/// Why a client that finished its handshake got no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    #[error("refused at on_connect: {message}", message = .0.message)]
    OnConnect(Refusal),
    #[error(transparent)]
    Authenticate(#[from] AuthenticateError),
    #[error("trust is for local clients, and this one is not")]
    TrustIsLocal,
    #[error("the policy has no {0} for this session")]
    NoPlace(&'static str),
    #[error("no right to the console")]
    Console,
    #[error("the node checks logins by itself, and the console has no node")]
    ConsoleWithoutUsers,
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error("the node refused the client's settings")]
    Settings(Vec<u8>),
    #[error("the node's exchange with the client failed: {0}")]
    Relay(#[source] ConnectError),
    #[error("no randomness")]
    Random,
    #[error("the login was not done in time")]
    TooLate,
    #[error("the proxy is stopping")]
    Stopping,
}

impl ClientFacing for LoginError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::OnConnect(refusal) => refusal.code,
            Self::Authenticate(error) => error.sqlstate(),
            Self::TrustIsLocal => SqlState::INVALID_AUTHORIZATION,
            Self::NoPlace(_) => SqlState::INVALID_CATALOG_NAME,
            Self::Console | Self::ConsoleWithoutUsers => SqlState::INSUFFICIENT_PRIVILEGE,
            Self::Lease(error) => error.sqlstate(),
            Self::Relay(error) => error.sqlstate(),
            Self::TooLate => SqlState::QUERY_CANCELED,
            Self::Stopping => SqlState::ADMIN_SHUTDOWN,
            Self::Settings(_) | Self::Random => SqlState::INTERNAL_ERROR,
        }
    }

    fn client_message(&self) -> Cow<'static, str> {
        match self {
            Self::OnConnect(refusal) => refusal.message.to_string().into(),
            Self::Authenticate(error) => error.client_message(),
            Self::TrustIsLocal => "this user may connect only from the proxy's own machine".into(),
            Self::NoPlace(_) => "the policy has no pool for this user and database".into(),
            Self::Console => "permission denied for the console".into(),
            Self::ConsoleWithoutUsers => "the console needs users in the policy".into(),
            Self::Lease(error) => error.client_message(),
            Self::Relay(error) => error.client_message(),
            Self::Settings(_) => "the server refused the session's settings".into(),
            Self::Random => "the proxy has no randomness".into(),
            Self::TooLate => "canceling authentication due to timeout".into(),
            Self::Stopping => "the proxy is stopping".into(),
        }
    }
}
