//! When a session takes a server connection, which one, and when it gives it back. Who waits for whom is `pool`'s.

use super::control::Activity;
use super::end::End;
use super::inflight::Expect;
use super::messages::StatementError;
use super::relay::Session;
use super::statement::After;
use crate::client_facing::ClientFacing;
use crate::pipeline::Permit;
use crate::policy::PoolMode;
use crate::policy::RouteTarget;
use crate::policy::SessionState;
use crate::pool::Freed;
use crate::pool::Lease;
use crate::pool::LeaseError;
use crate::pool::Patience;
use crate::routing::Pick;
use crate::routing::Place;
use crate::sqlstate::SqlState;
use crate::wire::frame;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// Whose turn it is among equal nodes.
static TURN: AtomicUsize = AtomicUsize::new(0);

/// A reset at the end of a session may take this long.
const RESET_WAIT: Duration = Duration::from_secs(10);

impl Session {
    /// Before a statement that begins a batch is decided, everything before it must be answered: whether a transaction is
    /// open is a fact that stages are told. Without stages nobody asks, and nothing waits.
    pub(super) async fn settle_before_statement(&mut self) -> Result<(), End> {
        if !self.batch_open && self.inflight.has_boundary() && self.binding.is_read() {
            self.drain_answers().await?;
        }
        Ok(())
    }

    /// Makes sure the session holds the server connection this permit leads to. On failure the client is told by `fail`
    /// and the session goes on; false then.
    pub(super) async fn lease_or_fail(
        &mut self,
        permit: &Permit,
        fail: fn(&mut Self, &dyn ClientFacing),
    ) -> Result<bool, End> {
        let mut patience = Patience::Once;
        loop {
            let place = match self.place_for(permit) {
                Ok(Some(place)) => place,
                Ok(None) => return Ok(true),
                Err(error) => {
                    fail(self, &error);
                    return Ok(false);
                }
            };
            self.drain_answers().await?;
            self.park();
            match self.lease_at(place, patience).await? {
                Ok(()) => return Ok(true),
                // The node is marked as away now. If the route leads elsewhere, it is tried there; else it is waited for.
                Err(LeaseError::Connect { source, .. })
                    if patience == Patience::Once && source.is_temporary() =>
                {
                    if self.place_for(permit).is_ok_and(|next| next == Some(place)) {
                        patience = Patience::Wait;
                    }
                }
                Err(error) => {
                    fail(self, &error);
                    return Ok(false);
                }
            }
        }
    }

    /// Takes the connection to `place` that this session keeps, or leases one.
    async fn lease_at(
        &mut self,
        place: Place,
        patience: Patience,
    ) -> Result<Result<(), LeaseError>, End> {
        let plan = Arc::clone(&self.binding.route(&self.shared, place, &self.context).plan);
        if let Some(at) = self.parked.iter().position(|lease| lease.fits(&plan)) {
            let lease = self.parked.swap_remove(at);
            self.take_lease(lease, place);
            return Ok(Ok(()));
        }
        Ok(self
            .lease(place, patience)
            .await?
            .map(|lease| self.take_lease(lease, place)))
    }

    /// Where the statement must go, or `None` when the connection in hand is the right one.
    fn place_for(&self, permit: &Permit) -> Result<Option<Place>, StatementError> {
        let held = self.server.as_ref().and(self.place);
        let is_under_way = self.batch_open && !self.inflight.is_unheard();
        let stuck = self.tx != b'I' || is_under_way || self.pinned;
        if let Some(held) = held {
            if stuck {
                return match permit.route() {
                    RouteTarget::Branch(branch) if held.branch != Some(branch) => {
                        Err(StatementError::new(
                            SqlState::FEATURE_NOT_SUPPORTED,
                            "the policy sends this statement to another branch than the transaction it stands in",
                        ))
                    }
                    _ => Ok(None),
                };
            }
            if self.binding.pipeline.is_plain() {
                return Ok(None);
            }
        }
        let (route, otherwise) = match permit.route() {
            RouteTarget::Standby if !self.batch_is_single() => (RouteTarget::Primary, None),
            route => (route, permit.otherwise()),
        };
        let place = match (route, self.binding.only_place()) {
            (RouteTarget::Default | RouteTarget::Primary, Some(place)) => place,
            _ => match self
                .binding
                .pick(&self.shared, route, otherwise, TURN.fetch_add(1, Relaxed))
            {
                Pick::Node(place) => place,
                Pick::Behind => {
                    return Err(StatementError::new(
                        SqlState::CANNOT_CONNECT_NOW,
                        "every server that the policy sends this statement to is too far behind",
                    ));
                }
                Pick::None => {
                    return Err(StatementError::new(
                        SqlState::CONNECTION_FAILURE,
                        "the pool of this session has no node for the route the policy gives this statement",
                    ));
                }
            },
        };
        Ok((held != Some(place)).then_some(place))
    }

    /// Whether the batch that begins here is known to hold one statement only: a batch is one transaction, so a read that
    /// may be followed by a write belongs on the primary. True as well for a Query, which is a batch of its own.
    fn batch_is_single(&self) -> bool {
        if !self.in_batch_message {
            return true;
        }
        let mut rest = &self.client.inbuf[..];
        let mut binds = usize::from(self.in_bind);
        let mut parses = usize::from(!self.in_bind);
        while let Ok(Some(header)) = frame::header(rest) {
            match header.tag {
                b'S' => return binds < 2 && parses < 2,
                b'B' => binds += 1,
                b'P' => parses += 1,
                _ => (),
            }
            match rest.get(header.message_bytes()..) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        false
    }

    /// Puts the connection in hand aside, in session mode; the session takes it up again for the same node.
    fn park(&mut self) {
        self.place = None;
        if let Some(lease) = self.server.take() {
            self.parked.push(lease);
            // It stays this session's, so a cancel that is under way hits nobody else.
            match self.slot.release() {
                Freed::Now | Freed::AfterCancel => (),
            }
        }
    }

    pub(super) fn take_lease(&mut self, lease: Lease, place: Place) {
        self.slot.hold(lease.target(), lease.key());
        self.place = Some(place);
        self.control.set_activity(Activity::Active);
        self.server = Some(lease);
        self.apply_settings();
    }

    /// Brings the connection to this client's settings; the answer is hidden.
    pub(super) fn apply_settings(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        if server.applied().same(&self.settings) {
            return;
        }
        if let Some(sql) = server.applied().change_to(&self.settings) {
            server.send_own(&sql);
            self.inflight.push(Expect::Own(Some(self.settings.clone())));
        }
    }

    /// Waits for a server connection, while replies go out and the client is watched.
    async fn lease(
        &mut self,
        place: Place,
        patience: Patience,
    ) -> Result<Result<Lease, LeaseError>, End> {
        let route = self.binding.route(&self.shared, place, &self.context);
        if let Some(lease) = route.pool.try_lease(&route.plan) {
            return Ok(Ok(lease));
        }
        let (pool, plan) = (Arc::clone(&route.pool), Arc::clone(&route.plan));
        self.control.set_activity(Activity::Waiting);
        let mut leasing = pin!(pool.lease(&plan, patience));
        let client = &mut self.client;
        let control = &self.control;
        let leased = poll_fn(|context| {
            if let Poll::Ready(lease) = leasing.as_mut().poll(context) {
                return Poll::Ready(Ok(lease));
            }
            if client.pending_bytes() != 0
                && let Poll::Ready(Err(error)) = client.poll_write(context)
            {
                return Poll::Ready(Err(End::ClientGone(Some(error))));
            }
            if client.inbuf.len() < super::relay::BUFFER_BYTES_MAX {
                match client.poll_read(context) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(End::ClientGone(None))),
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Err(End::ClientGone(Some(error))));
                    }
                    Poll::Ready(Ok(_)) => context.waker().wake_by_ref(),
                    Poll::Pending => (),
                }
            }
            control.register(context);
            if control.is_killed() {
                Poll::Ready(Err(End::Killed))
            } else {
                Poll::Pending
            }
        })
        .await;
        self.control.set_activity(Activity::Idle);
        leased
    }

    /// Notes what is about to be sent: state that outlives the transaction keeps its connection.
    pub(super) fn note_sent<'a>(&mut self, after: impl Iterator<Item = &'a After>) {
        for after in after {
            if matches!(after, After::Dirty | After::Prepare { .. }) {
                if let Some(server) = &mut self.server {
                    server.set_dirty();
                }
                let keeps = self.binding.pool_policy().session_state != SessionState::Ignore;
                self.pinned |= keeps;
            }
        }
    }

    /// Bounds the running time of what is about to be sent.
    pub(super) fn limit_time(&mut self, permit: &Permit, from: Instant) {
        if let Some(timeout) = permit.timeout() {
            let deadline = from + timeout;
            self.deadline = Some(
                self.deadline
                    .map_or(deadline, |before| before.min(deadline)),
            );
        }
    }

    /// The server is ready and everything is answered: in transaction mode the connection goes back.
    pub(super) async fn at_rest(&mut self) {
        self.deadline = None;
        self.statements.portals.clear();
        self.tx_writes = false;
        self.keep_what_changed();
        if self.pinned || self.batch_open || self.binding.mode() == PoolMode::Session {
            self.apply_settings();
            return;
        }
        if let Some(lease) = self.server.take() {
            lease.pool().stats.transactions.fetch_add(1, Relaxed);
            self.place = None;
            self.control.set_activity(Activity::Idle);
            if std::mem::take(&mut self.tainted) {
                drop(lease); // which closes the connection
                match self.slot.release() {
                    Freed::Now | Freed::AfterCancel => (),
                }
                return;
            }
            self.free(lease).await;
        }
    }

    /// A setting that the node reports as changed, now that no transaction is open, was changed by something that did not
    /// look like it (a DO block, a function): the connection is kept, as if it had been a SET.
    fn keep_what_changed(&mut self) {
        if std::mem::take(&mut self.discarded) {
            self.reported.clear();
        }
        let Some(server) = &mut self.server else {
            return;
        };
        let changed = self
            .reported
            .drain(..)
            .any(|(name, before)| server.parameter(&name) != before.as_deref());
        if changed {
            server.set_dirty();
            self.pinned |= self.binding.pool_policy().session_state != SessionState::Ignore;
        }
    }

    async fn free(&self, lease: Lease) {
        if self.slot.release() == Freed::AfterCancel {
            self.slot.delivered().await;
        }
        lease.give_back();
    }

    /// The session is over: clean connections go back, the others are closed.
    pub(super) async fn leave(&mut self) {
        let clean = self.is_at_rest() && !self.copy_in && !self.tainted;
        if !self.inflight.is_empty()
            && let Some(server) = &mut self.server
        {
            super::reset::stop(server, self.passing_down, &self.slot).await; // what runs for nobody is stopped
        }
        self.tell_written(); // what nobody waits for may be in effect all the same
        let server = self.server.take().filter(|_| clean);
        for lease in self.parked.drain(..).chain(server).collect::<Vec<_>>() {
            if self.slot.release() == Freed::AfterCancel {
                self.slot.delivered().await;
            }
            let reset = self.binding.pool_policy().reset.clone();
            if self.relayed {
                continue; // nobody else may use what this client logged in to
            }
            let cleaned =
                tokio::time::timeout(RESET_WAIT, super::reset::reset(lease, &reset)).await;
            if let Ok(Some(lease)) = cleaned {
                lease.give_back();
            }
        }
    }
}
