//! What others may know of a session and do to it: who it is, what it does, ask it to end. One per client.

use crate::hook::SessionContext;
use dashmap::DashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::Release;
use std::task::Context;
use std::task::Waker;
use std::time::SystemTime;
use tokio::sync::Notify;
use uuid::Uuid;

/// What a session is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Activity {
    /// Waiting for its client.
    Idle = 0,
    /// Waiting for a server connection.
    Waiting = 1,
    /// Holding a server connection.
    Active = 2,
}

/// One session, as others see it.
#[derive(Debug)]
pub struct Control {
    /// Who it is.
    pub context: SessionContext,
    /// The cancel key's process id.
    pub pid: i32,
    /// Since when.
    pub connected: SystemTime,
    activity: AtomicU8,
    drain: AtomicBool,
    kill: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Control {
    /// For a session that has logged in.
    #[must_use]
    pub fn new(context: SessionContext, pid: i32, connected: SystemTime) -> Self {
        Self {
            context,
            pid,
            connected,
            activity: AtomicU8::new(Activity::Idle as u8),
            drain: AtomicBool::new(false),
            kill: AtomicBool::new(false),
            waker: Mutex::new(None),
        }
    }

    /// What it is doing.
    #[must_use]
    pub fn activity(&self) -> Activity {
        match self.activity.load(Relaxed) {
            0 => Activity::Idle,
            1 => Activity::Waiting,
            _ => Activity::Active,
        }
    }

    pub(super) fn set_activity(&self, activity: Activity) {
        self.activity.store(activity as u8, Relaxed);
    }

    /// Asks the session to end when its transaction has.
    pub fn drain(&self) {
        self.drain.store(true, Release);
        self.wake();
    }

    /// Asks the session to end now.
    pub fn kill(&self) {
        self.kill.store(true, Release);
        self.wake();
    }

    pub(super) fn is_draining(&self) -> bool {
        self.drain.load(Acquire)
    }

    pub(super) fn is_killed(&self) -> bool {
        self.kill.load(Acquire)
    }

    pub(super) fn register(&self, context: &Context<'_>) {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *waker {
            Some(known) => known.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }

    fn wake(&self) {
        if let Some(waker) = self
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            waker.wake();
        }
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Clients {
    sessions: DashMap<Uuid, Arc<Control>>,
    /// Connections that are open, logged in or not.
    open: AtomicUsize,
    closed: Notify,
    draining: AtomicBool,
    drained: Notify,
    by_listener: DashMap<Arc<str>, usize>,
    /// Figures since the process started.
    pub tally: SessionTally,
}

/// What has become of sessions and their statements.
#[derive(Debug, Default)]
pub struct SessionTally {
    /// Sessions that logged in.
    pub sessions: AtomicU64,
    /// Logins refused.
    pub logins_refused: AtomicU64,
    /// Statements refused.
    pub statements_refused: AtomicU64,
}

/// An open connection; counted until dropped.
#[derive(Debug)]
pub struct OpenConnection {
    clients: Arc<Clients>,
    listener: Arc<str>,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        if let Some(mut count) = self.clients.by_listener.get_mut(&self.listener) {
            *count -= 1;
        }
        if self.clients.open.fetch_sub(1, Release) == 1 {
            self.clients.closed.notify_waiters();
        }
    }
}

impl Clients {
    /// Counts one more connection of a listener; `None` when it has `max` already.
    #[must_use]
    pub fn open(self: &Arc<Self>, listener: &Arc<str>, max: usize) -> Option<OpenConnection> {
        let mut count = self.by_listener.entry(Arc::clone(listener)).or_default();
        if max <= *count {
            return None;
        }
        *count += 1;
        self.open.fetch_add(1, Relaxed);
        Some(OpenConnection {
            clients: Arc::clone(self),
            listener: Arc::clone(listener),
        })
    }

    /// Waits until the process begins to stop. For connections that are not sessions yet, and for the console. Cancel safe.
    pub async fn stopping(&self) {
        loop {
            let drained = self.drained.notified();
            if self.draining.load(Acquire) {
                return;
            }
            drained.await;
        }
    }

    /// How many connections are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.load(Acquire)
    }

    /// Waits until none is open. Cancel safe.
    pub async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.count() == 0 {
                return;
            }
            closed.await;
        }
    }

    pub(super) fn insert(&self, control: &Arc<Control>) {
        self.tally.sessions.fetch_add(1, Relaxed);
        self.sessions
            .insert(control.context.client_id, Arc::clone(control));
        if self.draining.load(Acquire) {
            control.drain(); // it logged in while the process began to stop
        }
    }

    /// Asks every session to end when its transaction has, those that are still logging in as well.
    pub fn drain(&self) {
        self.draining.store(true, Release);
        self.drained.notify_waiters();
        self.sessions.iter().for_each(|control| control.drain());
    }

    /// Asks every session to end now.
    pub fn kill(&self) {
        self.sessions.iter().for_each(|control| control.kill());
    }

    pub(super) fn remove(&self, control: &Control) {
        self.sessions.remove(&control.context.client_id);
    }

    /// How many sessions are idle, waiting and active, by [`Activity`].
    #[must_use]
    pub fn by_activity(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for control in &self.sessions {
            counts[control.activity() as usize] += 1;
        }
        counts
    }

    /// Every session that is logged in, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Control>> {
        let mut all: Vec<_> = self
            .sessions
            .iter()
            .map(|control| Arc::clone(&control))
            .collect();
        all.sort_by_key(|control| control.connected);
        all
    }
}
