//! Why no server connection could be had: for the client without an address, for the log with every cause.

use super::connect::ConnectError;
use crate::client_facing::ClientFacing;
use crate::sqlstate::SqlState;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Why no server connection could be had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// All were busy for as long as the policy lets a client wait.
    #[error("no server connection of pool {pool} became free within {waited:?}")]
    Busy {
        /// The pool's name.
        pool: Arc<str>,
        /// How long.
        waited: Duration,
    },
    /// The node could not be reached, or did not let us in.
    #[error("no server connection of pool {pool} could be made")]
    Connect {
        /// The pool's name.
        pool: Arc<str>,
        /// Why.
        #[source]
        source: ConnectError,
    },
}

impl ClientFacing for LeaseError {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Busy { .. } => SqlState::TOO_MANY_CONNECTIONS,
            Self::Connect { source, .. } => source.sqlstate(),
        }
    }

    fn client_message(&self) -> Cow<'static, str> {
        match self {
            Self::Busy { pool, .. } => {
                format!("no server connection of pool \"{pool}\" became free in time").into()
            }
            Self::Connect { pool, source } => {
                format!("pool \"{pool}\": {}", source.client_message()).into()
            }
        }
    }
}

/// An error and what caused it, for the log.
pub(super) struct Chain<'a>(pub(super) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
