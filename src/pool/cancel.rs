//! Cancel keys given to clients, and which server connection each of them may cancel at this moment.
//!
//! A cancel is forwarded only while the session holds a server connection, and that connection is not given to anybody
//! else until the cancel has been delivered.

use super::connect::BackendKey;
use super::connect::Target;
use super::connect::send_cancel;
use dashmap::DashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;
use subtle::ConstantTimeEq as _;
use tokio::sync::Notify;

/// Bytes of the secret for protocol 3.0, and for 3.2 and later.
const SECRET_BYTES_OLD: usize = 4;
const SECRET_BYTES: usize = 32;

/// All cancel keys that are out.
#[derive(Debug, Default)]
pub struct CancelKeys {
    slots: DashMap<i32, Vec<Arc<CancelSlot>>>,
    next_pid: AtomicI32,
}

/// One session's cancel key and what it may cancel.
#[derive(Debug)]
pub struct CancelSlot {
    pid: i32,
    secret: Vec<u8>,
    held: Mutex<Held>,
    delivered: Notify,
}

#[derive(Debug, Default)]
struct Held {
    server: Option<(Arc<Target>, BackendKey)>,
    delivering: u32,
}

/// Whether a server connection may be given away now.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freed {
    /// Nobody is cancelling it.
    Now,
    /// A cancel is under way; wait for [`CancelSlot::delivered`] first.
    AfterCancel,
}

impl CancelKeys {
    /// A new key for a session that speaks protocol 3.`minor`, with the process id of the server connection it keeps, or
    /// one of our own. Process ids of several nodes may meet; the secret tells them apart.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn issue(&self, minor: u16, pid: Option<i32>) -> Result<Arc<CancelSlot>, getrandom::Error> {
        let mut secret = vec![
            0;
            if minor < 2 {
                SECRET_BYTES_OLD
            } else {
                SECRET_BYTES
            }
        ];
        getrandom::fill(&mut secret)?;
        let pid =
            pid.unwrap_or_else(|| self.next_pid.fetch_add(1, Relaxed).rem_euclid(i32::MAX) + 1);
        let slot = Arc::new(CancelSlot {
            pid,
            secret,
            held: Mutex::default(),
            delivered: Notify::new(),
        });
        self.slots.entry(pid).or_default().push(Arc::clone(&slot));
        Ok(slot)
    }

    /// The session has ended.
    pub fn revoke(&self, slot: &CancelSlot) {
        if let dashmap::Entry::Occupied(mut slots) = self.slots.entry(slot.pid) {
            slots
                .get_mut()
                .retain(|known| !std::ptr::eq(&raw const **known, slot));
            if slots.get().is_empty() {
                slots.remove();
            }
        }
    }

    /// Forwards a cancel request, if its key is right and its session holds a server connection; otherwise does nothing,
    /// and nobody can tell the difference.
    pub async fn cancel(&self, pid: i32, secret: &[u8]) {
        let slots = self
            .slots
            .get(&pid)
            .map(|slots| slots.clone())
            .unwrap_or_default();
        for slot in slots {
            if bool::from(slot.secret.as_slice().ct_eq(secret)) {
                slot.cancel().await;
            }
        }
    }
}

impl CancelSlot {
    /// The process id the client was told.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The secret the client was told.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a cancel goes to this server connection.
    pub fn hold(&self, target: &Arc<Target>, key: &BackendKey) {
        self.held().server = Some((Arc::clone(target), key.clone()));
    }

    /// From now on a cancel goes nowhere.
    pub fn release(&self) -> Freed {
        let mut held = self.held();
        held.server = None;
        if held.delivering == 0 {
            Freed::Now
        } else {
            Freed::AfterCancel
        }
    }

    /// Waits until no cancel is under way. Cancel safe.
    pub async fn delivered(&self) {
        loop {
            let notified = self.delivered.notified();
            if self.held().delivering == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Cancels what the session runs now, if anything. Cancel safe.
    pub async fn cancel(self: &Arc<Self>) {
        if let Some(delivery) = self.aim() {
            delivery.deliver().await;
        }
    }

    /// Takes aim at what the session runs now: from here on its server connection is given to nobody else until the cancel
    /// has been delivered, or given up by dropping it.
    pub fn aim(self: &Arc<Self>) -> Option<Delivery> {
        let mut held = self.held();
        let server = held.server.clone()?;
        held.delivering += 1;
        Some(Delivery {
            slot: Arc::clone(self),
            server,
        })
    }
}

/// One cancel under way; its end is told even when it is dropped undelivered.
#[must_use]
#[derive(Debug)]
pub struct Delivery {
    slot: Arc<CancelSlot>,
    server: (Arc<Target>, BackendKey),
}

impl Delivery {
    /// Sends the cancel and waits until the node has taken it. Cancel safe.
    pub async fn deliver(self) {
        let (target, key) = &self.server;
        if let Err(error) = send_cancel(target, key).await {
            tracing::warn!(%error, "cancel request was not delivered");
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.slot.held().delivering -= 1;
        self.slot.delivered.notify_waiters();
    }
}
