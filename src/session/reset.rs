//! Makes a server connection that a session has used as good as new. Does only what was dirtied.

use crate::pool::CancelSlot;
use crate::pool::Lease;
use crate::pool::Settings;
use crate::wire::frame;
use bytes::Buf as _;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Resets the connection where something outlives its transactions, or may; `None` when that failed and it was closed.
pub(super) async fn reset(mut lease: Lease, sql: &str) -> Option<Lease> {
    if (lease.is_dirty() || lease.is_unsure()) && !sql.is_empty() {
        if !run(&mut lease, sql).await {
            return None;
        }
        lease.discarded();
    }
    Some(lease)
}

/// Brings a connection to `settings` and waits for it. False when the node refused, with its error in `error`.
pub(super) async fn apply(lease: &mut Lease, settings: &Settings) -> Result<(), Vec<u8>> {
    let Some(sql) = lease.applied().change_to(settings) else {
        return Ok(());
    };
    let mut error = Vec::new();
    lease.send_own(&sql);
    if answer(lease, &mut 0, &mut error).await && error.is_empty() {
        lease.set_applied(settings.clone());
        return Ok(());
    }
    Err(error)
}

async fn run(lease: &mut Lease, sql: &str) -> bool {
    let mut error = Vec::new();
    lease.send_own(sql);
    answer(lease, &mut 0, &mut error).await && error.is_empty()
}

/// A statement that is cancelled before the node has begun it runs all the same, so the cancel is sent again until the
/// node has answered, this often and with this pause.
const CANCELS_MAX: usize = 5;
const CANCEL_PAUSE: Duration = Duration::from_millis(200);

/// Stops what runs on a connection whose client has gone. `half_passed` bytes of a message of the node are still to come.
pub(super) async fn stop(lease: &mut Lease, mut half_passed: usize, slot: &Arc<CancelSlot>) {
    for _ in 0..CANCELS_MAX {
        slot.cancel().await;
        let mut error = Vec::new();
        let answering = answer(lease, &mut half_passed, &mut error);
        let answered = tokio::time::timeout(CANCEL_PAUSE, answering).await;
        if answered.is_ok() {
            return; // or the connection has ended
        }
    }
}

/// Reads up to ReadyForQuery; true when it came and the connection is idle. Keeps the first error message.
async fn answer(lease: &mut Lease, skip: &mut usize, error: &mut Vec<u8>) -> bool {
    loop {
        let skipped = lease.incoming().len().min(*skip);
        lease.incoming().advance(skipped);
        *skip -= skipped;
        while let Ok(Some(header)) = frame::header(lease.incoming()) {
            let incoming = lease.incoming();
            if incoming.len() < header.message_bytes() {
                if header.tag == b'D' || header.tag == b'd' {
                    *skip = header.message_bytes() - incoming.len();
                    incoming.clear();
                }
                break;
            }
            let message = incoming.split_to(header.message_bytes());
            match header.tag {
                b'E' if error.is_empty() => error.extend_from_slice(&message),
                b'S' => drop(super::answers::note_parameter(
                    lease,
                    &message[frame::HEADER_BYTES..],
                )),
                b'Z' => return message.last() == Some(&b'I'),
                _ => (),
            }
        }
        let read = poll_fn(|context| {
            if let Poll::Ready(Err(error)) = lease.poll_write(context) {
                return Poll::Ready(Err(error));
            }
            lease.poll_read(context)
        });
        if !matches!(read.await, Ok(1..)) {
            return false;
        }
    }
}
