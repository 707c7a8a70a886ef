//! Why a handshake came to nothing. Owns no bytes.

use crate::client_facing::ClientFacing;
use crate::net::message::is_gone;
use crate::sqlstate::SqlState;
use crate::wire::startup::StartupError;
use std::borrow::Cow;
use std::io;

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub(in crate::session) enum HandshakeError {
    /// The client took too long.
    #[error("the client did not finish its startup in time")]
    DeadlinePassed,
    /// The client left in the middle.
    #[error("incomplete startup packet")]
    Incomplete,
    /// The connection broke.
    #[error("the connection broke during startup")]
    Io(#[source] io::Error),
    /// The TLS handshake failed.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// TLS from the first byte on a listener without TLS.
    #[error("the client began TLS on a listener without TLS")]
    NoTlsHere,
    /// TLS from the first byte without naming the protocol.
    #[error("direct TLS without ALPN")]
    NoAlpn,
    /// Bytes that came before the encryption they should have waited for.
    #[error("received unencrypted data after an encryption request")]
    TooEarly,
    /// No TLS where it is required.
    #[error("the client did not use TLS where it is required")]
    TlsRequired,
    /// A second request for encryption.
    #[error("the client asked for encryption again")]
    AskedAgain,
    /// The replication protocol.
    #[error("the client asked for a replication connection")]
    Replication,
    /// The packet itself is wrong.
    #[error(transparent)]
    Startup(#[from] StartupError),
}

impl HandshakeError {
    pub(super) fn broken(error: io::Error) -> Self {
        if is_gone(&error) {
            Self::Incomplete
        } else {
            Self::Io(error)
        }
    }

    /// Whether it says nothing but that somebody tried the port: not worth more than a debug line.
    #[must_use]
    pub(in crate::session) fn is_quiet(&self) -> bool {
        match self {
            Self::Incomplete => true,
            Self::Io(source) | Self::Tls(source) => is_gone(source),
            _ => false,
        }
    }
}

impl ClientFacing for HandshakeError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::DeadlinePassed => SqlState::QUERY_CANCELED,
            Self::TlsRequired | Self::NoTlsHere => SqlState::INVALID_AUTHORIZATION,
            Self::Replication => SqlState::FEATURE_NOT_SUPPORTED,
            Self::Startup(error) => error.sqlstate(),
            Self::Incomplete
            | Self::NoAlpn
            | Self::TooEarly
            | Self::AskedAgain
            | Self::Io(_)
            | Self::Tls(_) => SqlState::PROTOCOL_VIOLATION,
        }
    }

    fn client_message(&self) -> Cow<'static, str> {
        match self {
            Self::DeadlinePassed => "canceling authentication due to timeout".into(),
            Self::Incomplete | Self::Io(_) => "incomplete startup packet".into(),
            Self::Tls(_) => "the TLS handshake failed".into(),
            Self::NoTlsHere => "TLS is not offered here".into(),
            Self::NoAlpn => {
                "received direct SSL connection request without ALPN protocol negotiation extension"
                    .into()
            }
            Self::TooEarly => "received unencrypted data after an encryption request".into(),
            Self::TlsRequired => "this server accepts TLS connections only".into(),
            Self::AskedAgain => "encryption was asked for twice".into(),
            Self::Replication => "replication connections are not supported by this proxy".into(),
            Self::Startup(error) => error.client_message(),
        }
    }
}
