//! A policy that serves a share of the new sessions before it is in force: which sessions, and what is counted on either side.
//! Owns no beginning and no end of a canary; those are `server`'s.

use super::world::World;
use crate::pipeline::StatsRegistry;
use crate::pipeline::Trace;
use crate::pipeline::draw;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use uuid::Uuid;

/// A candidate that serves some of the sessions.
pub struct Canary {
    /// The candidate, compiled.
    pub world: Arc<World>,
    /// The figures of its stages.
    pub stages: Arc<StatsRegistry>,
    /// Of the sessions that begin, in percent.
    pub percent: f64,
    seats: Arc<Seats>,
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Canary({:?}, {} %)", self.world, self.percent)
    }
}

/// The sessions that a candidate serves.
#[derive(Debug, Default)]
struct Seats {
    taken: AtomicUsize,
}

/// One of them, counted until dropped.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}

impl Canary {
    /// One without sessions.
    #[must_use]
    pub fn new(world: Arc<World>, stages: Arc<StatsRegistry>, percent: f64) -> Self {
        Self {
            world,
            stages,
            percent,
            seats: Arc::default(),
        }
    }

    /// The same candidate and its sessions, with another share of those that begin.
    #[must_use]
    pub fn with_share(&self, percent: f64) -> Self {
        Self {
            world: Arc::clone(&self.world),
            stages: Arc::clone(&self.stages),
            percent,
            seats: Arc::clone(&self.seats),
        }
    }

    /// How many sessions it serves.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.seats.taken.load(Relaxed)
    }

    /// A seat for a session that begins, if it is one of those that the candidate serves: that follows from its id.
    pub(super) fn seat(&self, session: Uuid) -> Option<Arc<Seat>> {
        if self.percent / 100.0 <= draw(session) {
            return None;
        }
        self.seats.taken.fetch_add(1, Relaxed);
        Some(Arc::new(Seat(Arc::clone(&self.seats))))
    }

    /// Whether the seat is one of its own.
    pub(super) fn is_of(&self, seat: &Seat) -> bool {
        Arc::ptr_eq(&self.seats, &seat.0)
    }
}

/// What has become of the sessions of one world since a canary began. There is none in a world beside which nothing is tried.
#[derive(Debug, Default)]
pub struct Tally {
    /// Sessions that logged in.
    pub sessions: AtomicU64,
    /// Logins refused.
    pub logins_refused: AtomicU64,
    /// Statements decided.
    pub statements: AtomicU64,
    /// Statements refused, by whatever.
    pub refusals: AtomicU64,
    /// Stages that failed while deciding.
    pub faults: AtomicU64,
}

impl Tally {
    pub(super) fn decided(&self, trace: Option<&Trace>) {
        self.statements.fetch_add(1, Relaxed);
        if let Some(trace) = trace.filter(|trace| trace.faults != 0) {
            self.faults.fetch_add(u64::from(trace.faults), Relaxed);
        }
    }
}
