//! One statement as the stages are asked about it, and what an EXECUTE in it may name. Owns no decision.

use crate::hook::Protocol;
use crate::hook::SessionContext;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What SQL-level PREPARE has stored in this session.
pub trait Prepared: Sync {
    /// The statement stored under `name`.
    fn body(&self, name: &str) -> Option<Arc<str>>;
}

/// A session that has prepared nothing.
pub struct NoPrepared;

impl Prepared for NoPrepared {
    fn body(&self, _: &str) -> Option<Arc<str>> {
        None
    }
}

/// One statement that has arrived, however it did.
pub struct Statement<'a> {
    /// Whose.
    pub session: &'a SessionContext,
    /// One id for all its hooks.
    pub request_id: Uuid,
    /// Its text: one statement.
    pub text: &'a str,
    /// How it arrived.
    pub protocol: Protocol,
    /// Whether a transaction block is open.
    pub in_transaction: bool,
    /// Whether that block may have written.
    pub tx_writes: bool,
    /// How many statements the message held.
    pub statement_count: u32,
    /// What EXECUTE may name.
    pub prepared: &'a dyn Prepared,
    /// How far behind the nearest standby is that it could be sent to, where [`super::Pipeline::asks_lag`]; `None`: not known.
    pub lag: Option<Duration>,
}
