//! One pool of server connections to one node, database and user: who gets one, in which order, and what becomes of it
//! afterwards. At no moment are there more than the plan's size.

use super::connect::Connected;
use super::connect::connect;
use super::connection::ServerConnection;
use super::error::Chain;
use super::error::LeaseError;
use super::plan::Plan;
use super::registry::PoolKey;
use super::stats::PoolCounts;
use super::stats::PoolStats;
use crate::routing::Health;
use std::collections::VecDeque;
use std::ops::Deref;
use std::ops::DerefMut;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Pause between attempts to reach a node that is away.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Server connections to one node for one database and user.
#[derive(Debug)]
pub struct Pool {
    /// Which.
    pub key: PoolKey,
    /// Figures since the process started.
    pub stats: PoolStats,
    /// Whether the node can be asked now.
    pub health: Arc<Health>,
    state: Mutex<State>,
    /// What the node reported of itself to the newest connection.
    welcome: Mutex<Option<Arc<Parameters>>>,
    started: Instant,
}

/// Name and value of what a node reports at login.
pub type Parameters = [(String, String)];

/// What to do when a node cannot be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// Try until the plan's wait is over: there is nowhere else to go.
    Wait,
    /// Say so at once: another node may do.
    Once,
}

#[derive(Debug, Default)]
struct State {
    #[expect(
        clippy::vec_box,
        reason = "a connection moves between leases and this list; its pointer is what moves"
    )]
    idle: Vec<Box<ServerConnection>>,
    waiters: VecDeque<oneshot::Sender<Grant>>,
    /// Connections that exist or are being made.
    total: usize,
    /// The size of the newest plan that was seen.
    size: usize,
}

/// What a waiter is handed. Dropped unreceived, either gives its place to the next who waits.
#[derive(Debug)]
enum Grant {
    Connection(Lease),
    /// The right to make one.
    Slot(Slot),
}

impl Pool {
    pub(super) fn new(key: PoolKey, health: Arc<Health>, started: Instant) -> Self {
        Self {
            key,
            stats: PoolStats::default(),
            health,
            state: Mutex::default(),
            welcome: Mutex::default(),
            started,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections there are, and how many clients wait.
    #[must_use]
    pub fn counts(&self) -> PoolCounts {
        let state = self.state();
        let idle = state.idle.len();
        PoolCounts {
            active: state.total - idle,
            idle,
            waiting: state.waiters.len(),
        }
    }

    /// What the node reports at login, once a connection has been made.
    #[must_use]
    pub fn welcome(&self) -> Option<Arc<Parameters>> {
        self.welcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether a connection can be had without waiting for another client.
    #[must_use]
    pub fn has_room(&self, plan: &Plan) -> bool {
        let state = self.state();
        state.waiters.is_empty() && (!state.idle.is_empty() || state.total < plan.size)
    }

    /// Takes over the size of a new plan: waiters are let in, or free connections are closed.
    pub fn resize(self: &Arc<Self>, size: usize) {
        let mut slots = Vec::new();
        let mut surplus = Vec::new();
        {
            let mut state = self.state();
            state.size = size;
            while state.total + slots.len() < size && !state.waiters.is_empty() {
                slots.extend(state.waiters.pop_front());
                state.total += 1;
            }
            while size < state.total - surplus.len()
                && let Some(connection) = state.idle.pop()
            {
                surplus.push(connection);
            }
        }
        for waiter in slots {
            // Dropped unreceived, the slot goes to the next who waits.
            drop(waiter.send(Grant::Slot(Slot {
                pool: Arc::clone(self),
                used: false,
            })));
        }
        for connection in surplus {
            self.discard(connection);
        }
    }

    /// A free connection, if there is one and nobody waits before us. Does not wait.
    #[must_use]
    pub fn try_lease(self: &Arc<Self>, plan: &Plan) -> Option<Lease> {
        loop {
            let mut connection = self.state().idle.pop()?;
            if connection.fits(plan) && connection.is_quiet() {
                return Some(Lease::new(self, connection));
            }
            self.discard(connection);
        }
    }

    /// A connection: a free one, a new one, or the next that returns, in the order of asking. Cancel safe.
    ///
    /// # Errors
    /// After `plan.wait`, or at once when the node refuses our login.
    pub async fn lease(
        self: &Arc<Self>,
        plan: &Plan,
        patience: Patience,
    ) -> Result<Lease, LeaseError> {
        if let Some(lease) = self.try_lease(plan) {
            return Ok(lease);
        }
        let asked = Instant::now();
        let deadline = asked + plan.wait;
        let result = self.wait_for(plan, deadline, patience).await;
        self.stats
            .wait_us
            .fetch_add(micros(asked.elapsed()), Relaxed);
        result
    }

    /// A place for a connection that the caller makes itself, in the order of asking. Cancel safe.
    ///
    /// # Errors
    /// After `plan.wait`.
    pub async fn reserve(self: &Arc<Self>, plan: &Plan) -> Result<Reservation, LeaseError> {
        let deadline = Instant::now() + plan.wait;
        loop {
            let receiver = match self.enter(plan) {
                Entered::Slot(slot) => return Ok(Reservation { slot }),
                Entered::Wait(receiver) => receiver,
            };
            match tokio::time::timeout_at(deadline, receiver).await {
                Ok(Ok(Grant::Slot(slot))) => return Ok(Reservation { slot }),
                Ok(_) => (), // a connection that is somebody else's: closed, its place is free
                Err(_) => {
                    return Err(LeaseError::Busy {
                        pool: Arc::clone(&self.key.pool),
                        waited: plan.wait,
                    });
                }
            }
        }
    }

    async fn wait_for(
        self: &Arc<Self>,
        plan: &Plan,
        deadline: Instant,
        patience: Patience,
    ) -> Result<Lease, LeaseError> {
        loop {
            let mut receiver = match self.enter(plan) {
                Entered::Slot(slot) => return self.make(plan, deadline, patience, slot).await,
                Entered::Wait(receiver) => receiver,
            };
            let grant = match tokio::time::timeout_at(deadline, &mut receiver).await {
                Ok(grant) => grant.ok(),
                Err(_) => match receiver.try_recv() {
                    Ok(grant) => Some(grant),
                    Err(_) => {
                        return Err(LeaseError::Busy {
                            pool: Arc::clone(&self.key.pool),
                            waited: plan.wait,
                        });
                    }
                },
            };
            match grant {
                Some(Grant::Connection(lease)) if lease.fits(plan) => return Ok(lease),
                Some(Grant::Slot(slot)) => return self.make(plan, deadline, patience, slot).await,
                Some(Grant::Connection(_)) | None => (), // not the right one any more: its place is free, ask again
            }
        }
    }

    /// Takes a slot for a new connection, or a place in the queue.
    fn enter(self: &Arc<Self>, plan: &Plan) -> Entered {
        let mut state = self.state();
        state.size = plan.size;
        if state.total < plan.size {
            state.total += 1;
            return Entered::Slot(Slot {
                pool: Arc::clone(self),
                used: false,
            });
        }
        let (sender, receiver) = oneshot::channel();
        state.waiters.push_back(sender);
        Entered::Wait(receiver)
    }

    /// Makes a connection; a node that is away is tried again until the deadline.
    async fn make(
        self: &Arc<Self>,
        plan: &Plan,
        deadline: Instant,
        patience: Patience,
        mut slot: Slot,
    ) -> Result<Lease, LeaseError> {
        let mut pause = RETRY_MIN;
        loop {
            let error = match connect(&plan.target, &plan.login, &plan.database).await {
                Ok(connected) => {
                    self.health.succeeded();
                    *self.welcome.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(connected.parameters.as_slice().into());
                    let connection = Box::new(ServerConnection::new(connected, plan));
                    slot.used = true; // the connection stands for it now
                    return Ok(Lease::new(self, connection));
                }
                Err(error) => error,
            };
            tracing::warn!(pool = %self.key.pool, node = %self.key.node, error = %Chain(&error), "server connection failed");
            if error.is_temporary() {
                self.health.failed(self.started.elapsed());
            }
            let gives_up = patience == Patience::Once || deadline < Instant::now() + pause;
            if !error.is_temporary() || gives_up {
                return Err(LeaseError::Connect {
                    pool: Arc::clone(&self.key.pool),
                    source: error,
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// A clean connection comes back: to the first who waits, or to the free ones.
    fn give_back(&self, mut lease: Lease) {
        lease.touch();
        let mut state = self.state();
        if state.size < state.total {
            drop(state);
            return; // the pool has become smaller: dropping the lease closes the connection
        }
        while let Some(waiter) = state.waiters.pop_front() {
            match waiter.send(Grant::Connection(lease)) {
                Ok(()) | Err(Grant::Slot(_)) => return,
                Err(Grant::Connection(back)) => lease = back, // that client has gone
            }
        }
        state.idle.extend(lease.connection.take());
    }

    /// A connection, or the attempt to make one, is over: its place goes to the first who waits.
    fn free_slot(self: &Arc<Self>) {
        let mut slot = Slot {
            pool: Arc::clone(self),
            used: false,
        };
        let mut state = self.state();
        while state.total <= state.size
            && let Some(waiter) = state.waiters.pop_front()
        {
            match waiter.send(Grant::Slot(slot)) {
                Ok(()) | Err(Grant::Connection(_)) => return,
                Err(Grant::Slot(back)) => slot = back,
            }
        }
        slot.used = true;
        state.total -= 1;
    }

    fn discard(self: &Arc<Self>, connection: Box<ServerConnection>) {
        connection.close();
        self.free_slot();
    }

    /// Closes free connections that are too old, idle for too long, or dead.
    pub fn sweep(self: &Arc<Self>) {
        let now = Instant::now();
        let old: Vec<_> = {
            let mut state = self.state();
            state
                .idle
                .extract_if(.., |connection| {
                    connection.is_over(now) || !connection.is_quiet()
                })
                .collect()
        };
        for connection in old {
            self.discard(connection);
        }
    }

    /// What each free connection is, for `SHOW SERVERS`.
    #[must_use]
    pub fn idle_ages(&self) -> Vec<Duration> {
        self.state()
            .idle
            .iter()
            .map(|connection| connection.age())
            .collect()
    }
}

enum Entered {
    Slot(Slot),
    Wait(oneshot::Receiver<Grant>),
}

/// The right to make one connection; returned when dropped unused.
#[derive(Debug)]
struct Slot {
    pool: Arc<Pool>,
    used: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.used {
            self.pool.free_slot();
        }
    }
}

/// A place in a pool for a connection that is being made; free again when dropped.
#[must_use]
#[derive(Debug)]
pub struct Reservation {
    slot: Slot,
}

impl Reservation {
    /// Puts the connection into its place.
    pub fn fill(mut self, connected: Connected, plan: &Plan) -> Lease {
        self.slot.used = true;
        Lease::new(
            &self.slot.pool,
            Box::new(ServerConnection::new(connected, plan)),
        )
    }
}

/// One borrowed server connection. Dropped without [`Lease::give_back`], the connection is closed: what a half-done
/// statement leaves behind is nobody's.
#[must_use]
#[derive(Debug)]
pub struct Lease {
    connection: Option<Box<ServerConnection>>,
    pool: Arc<Pool>,
}

impl Lease {
    fn new(pool: &Arc<Pool>, connection: Box<ServerConnection>) -> Self {
        Self {
            connection: Some(connection),
            pool: Arc::clone(pool),
        }
    }

    /// The pool it came from.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Returns the connection for the next client. It must be idle and clean.
    pub fn give_back(self) {
        let pool = Arc::clone(&self.pool);
        pool.give_back(self);
    }
}

impl Deref for Lease {
    type Target = ServerConnection;

    #[expect(
        clippy::expect_used,
        reason = "the connection is taken only by give_back and drop, which consume the lease"
    )]
    fn deref(&self) -> &ServerConnection {
        self.connection
            .as_ref()
            .expect("a lease holds its connection until it ends")
    }
}

impl DerefMut for Lease {
    #[expect(
        clippy::expect_used,
        reason = "the connection is taken only by give_back and drop, which consume the lease"
    )]
    fn deref_mut(&mut self) -> &mut ServerConnection {
        self.connection
            .as_mut()
            .expect("a lease holds its connection until it ends")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.discard(connection);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
