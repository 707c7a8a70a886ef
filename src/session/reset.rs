//! Makes a server connection that a session has used as good as new. Does only what was dirtied.

use crate::pool::Lease;
use crate::pool::Settings;
use crate::wire::frame;
use std::future::poll_fn;
use std::task::Poll;

/// Resets the connection where something outlives its transactions; `None` when that failed and it was closed.
pub(super) async fn reset(mut lease: Lease, sql: &str) -> Option<Lease> {
    if lease.is_dirty() && !sql.is_empty() {
        if !run(&mut lease, sql).await {
            return None;
        }
        lease.discarded();
    }
    Some(lease)
}

/// Brings a connection to `settings` and waits for it. False when the node refused, with its error in `error`.
pub(super) async fn apply(lease: &mut Lease, settings: &Settings) -> Result<(), Vec<u8>> {
    let Some(sql) = lease.applied().change_to(settings) else { return Ok(()) };
    let mut error = Vec::new();
    lease.send_own(&sql);
    if answer(lease, &mut error).await && error.is_empty() {
        lease.set_applied(settings.clone());
        return Ok(());
    }
    Err(error)
}

async fn run(lease: &mut Lease, sql: &str) -> bool {
    let mut error = Vec::new();
    lease.send_own(sql);
    answer(lease, &mut error).await && error.is_empty()
}

/// Reads up to ReadyForQuery; true when it came and the connection is idle. Keeps the first error message.
async fn answer(lease: &mut Lease, error: &mut Vec<u8>) -> bool {
    loop {
        while let Ok(Some(header)) = frame::header(lease.incoming()) {
            let incoming = lease.incoming();
            if incoming.len() < header.message_bytes() {
                break;
            }
            let message = incoming.split_to(header.message_bytes());
            match header.tag {
                b'E' if error.is_empty() => error.extend_from_slice(&message),
                b'S' => drop(super::answers::note_parameter(lease, &message[frame::HEADER_BYTES..])),
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
