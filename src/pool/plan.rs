//! What a pool is to be, as one policy revision says: where to connect, as whom, how many. Immutable.

use super::connect::Login;
use super::connect::Target;
use crate::policy::PoolMode;
use crate::policy::SessionState;
use std::sync::Arc;
use std::time::Duration;

/// One pool's plan for one node and database.
#[derive(Debug)]
pub struct Plan {
    /// The node.
    pub target: Arc<Target>,
    /// Who we are there.
    pub login: Login,
    /// The database there.
    pub database: Arc<str>,
    /// When a server connection returns.
    pub mode: PoolMode,
    /// Server connections at most.
    pub size: usize,
    /// How long a statement waits for one.
    pub wait: Duration,
    /// What makes a used server connection new, in session mode.
    pub reset: Arc<str>,
    /// An idle server connection is closed after this.
    pub idle_timeout: Duration,
    /// A server connection is closed after this, when it is free.
    pub lifetime: Duration,
    /// Prepared statements kept on one server connection.
    pub prepared_max: usize,
    /// What a statement that changes the session does in transaction mode.
    pub session_state: SessionState,
    /// Hash of what makes a server connection the wrong one when it changes: node, login, database.
    pub identity: u64,
}
