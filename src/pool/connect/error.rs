//! Why a server connection could not be made: for the log with all there is, for a client without a name of ours.

use crate::client_facing::ClientFacing;
use crate::net::Address;
use crate::net::ReachError;
use crate::net::message::ReadError;
use crate::net::message::is_gone;
use crate::sqlstate::SqlState;
use crate::wire::frame::FrameError;
use crate::wire::frontend::Malformed;
use crate::wire::scram::ScramError;
use std::borrow::Cow;
use std::io;

/// What a node said instead of letting us in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeError {
    /// Its code.
    pub code: SqlState,
    /// Its message. It may name addresses.
    pub message: String,
}

/// Why a server connection could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No socket.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// Not ready in time.
    #[error("{address} did not let us in in time")]
    TimedOut {
        /// The node.
        address: Address,
    },
    /// The policy wants TLS and the node has none.
    #[error("the node does not offer TLS")]
    TlsRefused,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The connection broke.
    #[error("the connection broke during the login")]
    Io(#[source] io::Error),
    /// The node closed the connection without a word.
    #[error("the node closed the connection during the login")]
    Closed,
    /// A user, database or setting that does not fit into a startup message.
    #[error("the startup parameters hold a zero byte or are too long")]
    Name,
    /// The node speaks something else.
    #[error("the node sent {0}")]
    Protocol(&'static str),
    /// The node's bytes are no message.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The node's message is not what its tag says.
    #[error("the node sent a {0}")]
    Malformed(#[from] Malformed),
    /// The node wants a method that is not spoken here.
    #[error("the node asks for authentication method {0}, which is not supported")]
    Method(u32),
    /// The node wants a password and none is known.
    #[error("the node asks for a password and the policy has none for this login")]
    NoPassword,
    /// The node wants a password that everybody on the way could read.
    #[error(
        "the node asks for a cleartext password over a connection that others can read; use TLS"
    )]
    Cleartext,
    /// The SCRAM exchange failed.
    #[error("SCRAM with the node failed: {0}")]
    Scram(#[from] ScramError),
    /// The node said no to a login of ours.
    #[error("the node refused the login: {code}: {message}", code = .0.code, message = .0.message)]
    Refused(NodeError),
    /// The node said no to the client's own, relayed login.
    #[error("the node refused the client's login: {code}: {message}", code = .0.code, message = .0.message)]
    RefusedClient(NodeError),
    /// The client bound its login to our certificate, which the node cannot know.
    #[error("the client insists on channel binding, which cannot be relayed")]
    Binding,
    /// The client went away while its login was relayed.
    #[error("the client left during the login")]
    ClientGone,
    /// The client sent something else while its login was relayed.
    #[error("the client sent something that is no answer to an authentication request")]
    ClientProtocol,
    /// The system gives no randomness.
    #[error("no randomness: {0}")]
    Random(getrandom::Error),
}

impl From<getrandom::Error> for ConnectError {
    fn from(error: getrandom::Error) -> Self {
        Self::Random(error)
    }
}

impl From<ReadError> for ConnectError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Closed => Self::Closed,
            ReadError::Frame(frame) => Self::Frame(frame),
            ReadError::Io(io) => Self::Io(io),
        }
    }
}

impl ConnectError {
    /// Whether the same attempt may succeed later: the node is away, starting, stopping or full.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Reach(_) | Self::TimedOut { .. } | Self::Io(_) | Self::Closed => true,
            Self::Tls(source) => is_gone(source),
            Self::Refused(node) | Self::RefusedClient(node) => ["53", "57", "58", "08"]
                .iter()
                .any(|class| node.code.as_str().starts_with(class)),
            _ => false,
        }
    }

    /// Whether it is the client that ended its relayed login: nothing to log as an error.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        matches!(self, Self::ClientGone)
    }
}

/// Codes whose messages speak of what the client asked for: the database, its settings, the node's state.
fn may_be_shown(code: SqlState) -> bool {
    code == SqlState::INVALID_CATALOG_NAME
        || code == SqlState::INSUFFICIENT_PRIVILEGE
        || matches!(code.as_str(), "22023" | "42704" | "55000" | "42602")
        || code.as_str().starts_with("53")
        || code.as_str().starts_with("57P")
}

impl ClientFacing for ConnectError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::RefusedClient(node) => node.code,
            Self::Refused(node) if may_be_shown(node.code) => node.code,
            Self::Binding => SqlState::INVALID_AUTHORIZATION,
            Self::Cleartext => SqlState::INVALID_AUTHORIZATION,
            Self::ClientProtocol | Self::Name => SqlState::PROTOCOL_VIOLATION,
            _ => SqlState::CONNECTION_FAILURE,
        }
    }

    fn client_message(&self) -> Cow<'static, str> {
        match self {
            Self::Refused(node) | Self::RefusedClient(node) if may_be_shown(node.code) => node.message.clone().into(),
            // `password authentication failed for user "x"`: the client's own name.
            Self::RefusedClient(node) if node.code == SqlState::INVALID_PASSWORD => node.message.clone().into(),
            // The rest may name addresses, as `no pg_hba.conf entry for host ..` does.
            Self::RefusedClient(_) => "the server does not admit this user to this database".into(),
            Self::Refused(_) | Self::NoPassword | Self::Scram(_) | Self::Method(_) => {
                "the server did not accept the proxy's login".into()
            }
            Self::Cleartext => {
                "the server asks for a cleartext password, which is only sent over TLS or a Unix socket".into()
            }
            Self::Binding => {
                "channel binding cannot be relayed to this server; connect with channel_binding=disable".into()
            }
            Self::Name => "the startup parameters are too long or hold a zero byte".into(),
            Self::ClientProtocol => "expected a password message".into(),
            Self::TimedOut { .. } => "the server did not answer in time".into(),
            Self::Reach(_) | Self::Io(_) | Self::Closed => "the server cannot be reached".into(),
            _ => "the connection to the server failed".into(),
        }
    }
}
