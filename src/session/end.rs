//! Why a session ends, and the last it does.

use super::relay::Session;
use crate::client_facing::ClientFacing;
use crate::pipeline::Undescribed;
use crate::pool::LeaseError;
use crate::sqlstate::SqlState;
use crate::wire::frame::FrameError;
use crate::wire::frontend::Malformed;
use std::borrow::Cow;
use std::io;
use std::time::Duration;

/// A client that does not read its last error is not waited for longer than this.
const FAREWELL_WAIT: Duration = Duration::from_secs(2);

/// Why a session ends. Only the variants with something to say to the client are told to it.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The client said goodbye.
    #[error("the client ended the session")]
    Terminated,
    /// The client's connection broke or closed.
    #[error("the client has gone")]
    ClientGone(#[source] Option<io::Error>),
    /// The client sent what is not the protocol.
    #[error("the client sent an impossible message: {0}")]
    Protocol(String),
    /// The server connection broke while it was ours.
    #[error("the server connection broke")]
    ServerGone(#[source] Option<io::Error>),
    /// The node sent what is not the protocol, or what was not asked for.
    #[error("the node sent an unexpected message: {0}")]
    ServerProtocol(String),
    /// The node's rows are not those of the statement, so that what is masked in them is not known.
    #[error("the rows cannot be masked: {0}")]
    Unmaskable(Undescribed),
    /// A row with masked columns is too long to be held.
    #[error("a row with masked columns has {0} bytes")]
    RowTooLong(usize),
    /// No server connection could be had, for a session that cannot go on without.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The policy has no place for this session any more.
    #[error("the policy in force has no {0} for this session")]
    NoPlace(&'static str),
    /// The proxy is stopping.
    #[error("the proxy is stopping")]
    Stopping,
    /// The session did nothing for too long.
    #[error("the session was idle for too long")]
    Idle,
    /// An operator ended it.
    #[error("an operator ended the session")]
    Killed,
}

impl From<FrameError> for End {
    fn from(error: FrameError) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<Malformed> for End {
    fn from(error: Malformed) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl End {
    /// Whether there is somebody to tell, and something to say.
    #[must_use]
    pub(super) fn is_told(&self) -> bool {
        !matches!(self, Self::Terminated | Self::ClientGone(_))
    }
}

impl ClientFacing for End {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Protocol(_) => SqlState::PROTOCOL_VIOLATION,
            Self::RowTooLong(_) => SqlState::PROGRAM_LIMIT_EXCEEDED,
            Self::Lease(error) => error.sqlstate(),
            Self::NoPlace(_) | Self::Killed | Self::Stopping => SqlState::ADMIN_SHUTDOWN,
            Self::Idle => SqlState::IDLE_SESSION_TIMEOUT,
            Self::Terminated
            | Self::ClientGone(_)
            | Self::ServerGone(_)
            | Self::Unmaskable(_)
            | Self::ServerProtocol(_) => SqlState::CONNECTION_FAILURE,
        }
    }

    fn client_message(&self) -> Cow<'static, str> {
        match self {
            Self::Protocol(what) => format!("protocol violation: {what}").into(),
            Self::Lease(error) => error.client_message(),
            Self::ServerGone(_) => "the server connection of this session broke".into(),
            Self::ServerProtocol(_) => {
                "the server connection of this session sent what cannot be understood".into()
            }
            Self::Unmaskable(_) => "columns of this statement are masked, and its rows are not what it describes".into(),
            Self::RowTooLong(bytes) => format!(
                "columns of this statement are masked, and a row of {bytes} bytes is too long for that"
            )
            .into(),
            Self::Stopping => "terminating connection because the proxy is stopping".into(),
            Self::Idle => "terminating connection because it was idle for too long".into(),
            Self::Killed => "terminating connection by an operator's command".into(),
            Self::NoPlace(what) => {
                format!("the policy in force has no {what} for this session").into()
            }
            Self::Terminated | Self::ClientGone(_) => "the session has ended".into(),
        }
    }
}

impl Session {
    /// Tells the client why, where it was not told, and gives the server connections back.
    pub(super) async fn end(&mut self, end: &End) {
        self.leave().await;
        if end.is_told() && !self.told_fatal {
            super::refuse::fatal(end, &mut self.client.out);
        }
        if tokio::time::timeout(FAREWELL_WAIT, self.client.flush_last())
            .await
            .is_err()
        {
            tracing::debug!("the client did not read its last messages");
        }
    }
}
