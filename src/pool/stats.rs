//! Figures of one pool. Who counts is `session` and `lease`.

use std::sync::atomic::AtomicU64;

/// Figures of one pool.
#[derive(Debug, Default)]
pub struct PoolStats {
    /// Transactions ended.
    pub transactions: AtomicU64,
    /// Statements ended.
    pub statements: AtomicU64,
    /// Bytes received from clients for this pool.
    pub received: AtomicU64,
    /// Bytes sent to clients from this pool.
    pub sent: AtomicU64,
    /// Microseconds statements took on the node.
    pub statement_us: AtomicU64,
    /// Microseconds clients waited for a connection.
    pub wait_us: AtomicU64,
}

/// How many of each there are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Leased, or being made.
    pub active: usize,
    /// Free.
    pub idle: usize,
    /// Clients that wait.
    pub waiting: usize,
}
