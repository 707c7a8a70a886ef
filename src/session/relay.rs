//! One session after login: the loop that takes messages from both sides, and nothing but the loop.
//!
//! One task owns the client's socket and the leased server connection. A turn writes what waits, reads what has come,
//! handles it, and sleeps only when no side can go on. Both directions are read as long as their buffers have room.

use super::cache::Fill;
use super::client::Client;
use super::control::Control;
use super::end::End;
use super::inflight::Inflight;
use super::observers::Untold;
use super::readable::Unreadable;
use super::statement::Statements;
use super::statement::Tally;
use super::world::Binding;
use super::world::Shared;
use super::written::Written;
use crate::hook::SessionContext;
use crate::pool::CancelSlot;
use crate::pool::Lease;
use crate::pool::Settings;
use crate::routing::Place;
use std::future::Future as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::Sleep;

/// A side is not read while this much waits to be written to the other.
pub(super) const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Answers outstanding at most before the client is not read any more.
const INFLIGHT_MAX: usize = 4096;

/// A logged-in session.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Client,
    pub(super) context: SessionContext,
    pub(super) control: Arc<Control>,
    pub(super) slot: Arc<CancelSlot>,
    pub(super) binding: Binding,
    pub(super) settings: Settings,
    /// The server connection in use, and where it leads.
    pub(super) server: Option<Lease>,
    pub(super) place: Option<Place>,
    /// The node itself checked the client, on this server connection and no other.
    pub(super) relayed: bool,
    /// In session mode, the connections to other nodes that this session also keeps.
    pub(super) parked: Vec<Lease>,
    pub(super) inflight: Inflight,
    pub(super) statements: Statements,
    /// Transaction status of the last ReadyForQuery: `I`, `T` or `E`.
    pub(super) tx: u8,
    /// Whether the open transaction may have written.
    pub(super) tx_writes: bool,
    /// What it may have written, for whoever keeps answers.
    pub(super) written: Written,
    /// The answer that a cache is to keep, and whether bytes of it pass now.
    pub(super) fill: Option<Box<Fill>>,
    pub(super) capturing: bool,
    /// Something was sent since the last Sync or Query.
    pub(super) batch_open: bool,
    /// The message being handled belongs to an extended batch, and whether it is a Bind.
    pub(super) in_batch_message: bool,
    pub(super) in_bind: bool,
    /// The batch has failed: messages up to Sync are skipped.
    pub(super) skip_to_sync: bool,
    /// The server has become ready since the session last came to rest.
    pub(super) rest_due: bool,
    /// Something went wrong on the server connection that the next client must not meet: it is closed at rest.
    pub(super) tainted: bool,
    /// A statement of this batch may have changed how the server reads texts.
    pub(super) may_recode: bool,
    /// The session's state lives on its server connection, which it keeps.
    pub(super) pinned: bool,
    /// The server is reading COPY data.
    pub(super) copy_in: bool,
    /// Bytes of the client's message that are still to be passed on, and whether they are wanted.
    pub(super) passing: Passing,
    /// Bytes of the server's message that are still to be passed on.
    pub(super) passing_down: usize,
    /// Bytes that the client's next message needs to be complete.
    pub(super) inbuf_bytes_max: usize,
    /// Bytes of the text in the Query or Parse that is being handled.
    pub(super) text_bytes: usize,
    pub(super) tally: Tally,
    /// Bytes received from the client and not counted yet.
    pub(super) received: u64,
    /// Settings the node reported as changed since the connection was taken, and what they were.
    pub(super) reported: Vec<(String, Option<String>)>,
    /// DISCARD ALL has run since then: whatever changed is as it was at the connection's beginning.
    pub(super) discarded: bool,
    /// Whether the client's texts can be read as the server reads them.
    pub(super) unreadable: Unreadable,
    /// The client has been told why its session ends.
    pub(super) told_fatal: bool,
    /// When the running statement is cancelled.
    pub(super) deadline: Option<Instant>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) idle_since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    /// Ended statements whose observers wait for something themselves; one message's, or one turn's answers.
    pub(super) untold: Vec<Untold>,
}

/// What happens to the rest of a long message from the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Passing {
    /// There is none.
    Nothing,
    /// It goes on to the server.
    Forward(usize),
    /// It is dropped.
    Discard(usize),
}

/// What a turn came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    Progress,
    Timer,
}

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        client: Client,
        context: SessionContext,
        control: Arc<Control>,
        slot: Arc<CancelSlot>,
        binding: Binding,
        settings: Settings,
    ) -> Self {
        let idle_timeout = binding.idle_timeout();
        Self {
            shared,
            client,
            context,
            control,
            slot,
            binding,
            settings,
            server: None,
            place: None,
            relayed: false,
            parked: Vec::new(),
            inflight: Inflight::default(),
            statements: Statements::default(),
            tx: b'I',
            tx_writes: false,
            written: Written::default(),
            fill: None,
            capturing: false,
            batch_open: false,
            in_batch_message: false,
            in_bind: false,
            skip_to_sync: false,
            rest_due: false,
            tainted: false,
            may_recode: false,
            pinned: false,
            copy_in: false,
            passing: Passing::Nothing,
            passing_down: 0,
            inbuf_bytes_max: 0,
            text_bytes: 0,
            tally: Tally::default(),
            received: 0,
            reported: Vec::new(),
            discarded: false,
            unreadable: Unreadable::default(),
            told_fatal: false,
            deadline: None,
            idle_timeout,
            idle_since: Instant::now(),
            timer: None,
            untold: Vec::new(),
        }
    }

    /// Takes the server connection that the login used.
    pub(super) async fn begin(&mut self, lease: Lease, place: Place, relayed: bool) {
        self.relayed = relayed;
        self.pinned = relayed;
        self.take_lease(lease, place);
        self.rest_due = true;
        self.rest_if_due().await;
    }

    /// Runs the session until it ends. Not cancel safe.
    pub(super) async fn relay(&mut self) -> End {
        loop {
            match self.step().await {
                Ok(()) => (),
                Err(end) => return end,
            }
        }
    }

    /// Handles every message of the client that is complete, then lets both sides move once.
    async fn step(&mut self) -> Result<(), End> {
        while self.may_take() && self.take_message().await? {
            if self.idle_timeout.is_some() {
                self.idle_since = Instant::now();
            }
            // A client that never stops to send has its observers told as well.
            self.tell_untold().await;
        }
        self.rest_if_due().await;
        self.tell_untold().await;
        self.leave_if_asked()?;
        self.turn().await
    }

    fn may_take(&self) -> bool {
        let server_has_room = self
            .server
            .as_ref()
            .is_none_or(|server| server.pending_bytes() < BUFFER_BYTES_MAX);
        server_has_room
            && self.inflight.len() < INFLIGHT_MAX
            && self.client.pending_bytes() < BUFFER_BYTES_MAX
    }

    /// Ends the session where it is asked to and nothing of it is under way.
    fn leave_if_asked(&self) -> Result<(), End> {
        if self.control.is_killed() {
            return Err(End::Killed);
        }
        let at_rest = self.inflight.is_empty()
            && !self.batch_open
            && self.tx == b'I'
            && self.passing == Passing::Nothing;
        if at_rest && self.control.is_draining() && self.client.pending_bytes() == 0 {
            return Err(End::Stopping);
        }
        Ok(())
    }

    /// Waits until the server has answered everything, moving both sides meanwhile. A server that asks for COPY data waits
    /// for the client, and is not waited for.
    pub(super) async fn drain_answers(&mut self) -> Result<(), End> {
        while !self.inflight.is_empty() && !self.copy_in {
            self.turn().await?;
        }
        Ok(())
    }

    /// Waits until one side has moved; then handles what the server said.
    pub(super) async fn turn(&mut self) -> Result<(), End> {
        let moved = poll_fn(|context| self.poll_turn(context)).await?;
        if moved == Turn::Timer {
            self.timer_fired()?;
        } else if self.idle_timeout.is_some() {
            self.idle_since = Instant::now();
        }
        self.take_answers().await
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Result<Turn, End>> {
        let was_blocked = !self.may_take();
        if let Err(end) = self.poll_writes(context) {
            return Poll::Ready(Err(end));
        }
        let mut moved = was_blocked && self.may_take();
        if let Some(server) = &mut self.server
            && self.client.pending_bytes() < BUFFER_BYTES_MAX
        {
            match server.poll_read(context) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(End::ServerGone(None))),
                Poll::Ready(Ok(_)) => moved = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(End::ServerGone(Some(error)))),
                Poll::Pending => (),
            }
        }
        if self.may_take() && self.client.inbuf.len() < self.inbuf_bytes_max.max(BUFFER_BYTES_MAX) {
            match self.client.poll_read(context) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(End::ClientGone(None))),
                Poll::Ready(Ok(_)) => moved = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(End::ClientGone(Some(error)))),
                Poll::Pending => (),
            }
        }
        if moved {
            return Poll::Ready(Ok(Turn::Progress));
        }
        self.control.register(context);
        if let Err(end) = self.leave_if_asked() {
            return Poll::Ready(Err(end));
        }
        self.poll_timer(context).map(|()| Ok(Turn::Timer))
    }

    /// Writes what waits, to both sides.
    pub(super) fn poll_writes(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        if self.client.pending_bytes() != 0
            && let Poll::Ready(Err(error)) = self.client.poll_write(context)
        {
            return Err(End::ClientGone(Some(error)));
        }
        if let Some(server) = &mut self.server
            && server.pending_bytes() != 0
            && let Poll::Ready(Err(error)) = server.poll_write(context)
        {
            return Err(End::ServerGone(Some(error)));
        }
        Ok(())
    }

    /// When something must happen although nobody moves.
    fn next_deadline(&self) -> Option<Instant> {
        let quiet = self.inflight.is_empty()
            && self.tx == b'I'
            && !self.batch_open
            && self.passing == Passing::Nothing;
        let idle = self
            .idle_timeout
            .filter(|_| quiet)
            .map(|timeout| self.idle_since + timeout);
        match (self.deadline, idle) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The timer is set when first needed and moved only forward; it may fire early and is then set again.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(next) = self.next_deadline() else {
                return Poll::Pending;
            };
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
            if next < timer.deadline() {
                timer.as_mut().reset(next);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if next <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(next);
        }
    }

    fn timer_fired(&mut self) -> Result<(), End> {
        self.timer = None;
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            if let Some(delivery) = self.slot.aim() {
                tokio::spawn(delivery.deliver());
            }
            return Ok(());
        }
        Err(End::Idle)
    }
}
