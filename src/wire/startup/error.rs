//! Why a first packet is refused, in PostgreSQL's own words where it has some. Owns no parsing.

use crate::client_facing::ClientFacing;
use crate::sqlstate::SqlState;
use std::borrow::Cow;

/// A first packet that cannot be accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StartupError {
    /// Too short, too long, or not this protocol at all.
    #[error("invalid length of startup packet: {length}")]
    Length {
        /// The length field.
        length: u32,
    },
    /// The strings do not fill the packet.
    #[error("invalid startup packet layout: expected terminator as last byte")]
    Layout,
    /// Not protocol 3.
    #[error("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2")]
    Version {
        /// The major version asked for.
        major: u16,
        /// The minor version asked for.
        minor: u16,
    },
    /// No `user`.
    #[error("no PostgreSQL user name specified in startup packet")]
    NoUser,
    /// A name or value in another encoding.
    #[error("startup parameters must be UTF-8")]
    NotUtf8,
    /// A word of `options` that PostgreSQL would not accept from a client.
    #[error("invalid command-line argument for server process: {argument}")]
    Argument {
        /// The word.
        argument: String,
    },
    /// A setting of `options` without `=`.
    #[error("{switch} requires a value")]
    NoValue {
        /// `-c name` or `--name`.
        switch: String,
    },
    /// No setting can have that name.
    #[error("unrecognized configuration parameter \"{name}\"")]
    SettingName {
        /// The name.
        name: String,
    },
    /// `replication` is neither Boolean nor `database`.
    #[error("invalid value for parameter \"replication\"")]
    Replication,
    /// A cancel secret of an impossible length.
    #[error("invalid length of cancel request packet")]
    Cancel,
}

impl ClientFacing for StartupError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Length { .. }
            | Self::Layout
            | Self::NotUtf8
            | Self::Replication
            | Self::Cancel => SqlState::PROTOCOL_VIOLATION,
            Self::Version { .. } => SqlState::FEATURE_NOT_SUPPORTED,
            Self::NoUser => SqlState::INVALID_AUTHORIZATION,
            Self::Argument { .. } | Self::NoValue { .. } | Self::SettingName { .. } => {
                SqlState::SYNTAX_ERROR
            }
        }
    }

    fn client_message(&self) -> Cow<'static, str> {
        match self {
            Self::Length { .. } => "invalid length of startup packet".into(),
            other => other.to_string().into(), // says nothing but what the client itself sent
        }
    }
}
