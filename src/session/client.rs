//! The client's side of a session: its socket and two buffers. Understands nothing.

use crate::net::Stream;
use crate::pool::poll_read;
use crate::pool::poll_write;
use bytes::BytesMut;
use std::future::poll_fn;
use std::io;
use std::task::Context;
use std::task::Poll;

/// A client's connection.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    /// What has arrived and is not consumed yet.
    pub inbuf: BytesMut,
    /// What is to be sent.
    pub out: Vec<u8>,
    out_at: usize,
}

impl Client {
    /// A client on `stream`; nothing has been read ahead.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            inbuf: BytesMut::new(),
            out: Vec::new(),
            out_at: 0,
        }
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.out.len() - self.out_at
    }

    /// Reads once. `Ready(Ok(0))` is the end of the stream.
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        poll_read(&mut self.stream, &mut self.inbuf, context)
    }

    /// Writes what it can. `Ready(Ok(()))` when nothing is left.
    pub fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_write(&mut self.stream, &mut self.out, &mut self.out_at, context)
    }

    /// Writes everything. Cancel safe: what is not written stays.
    ///
    /// # Errors
    /// When the client has gone.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_write(context)).await
    }

    /// Writes everything to a client that is about to be left; one that has gone already misses nothing.
    pub async fn flush_last(&mut self) {
        if let Err(error) = self.flush().await {
            tracing::debug!(%error, "the client had gone before it was told");
        }
    }

    /// Waits for more bytes; 0 is the end of the stream. Cancel safe.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn read(&mut self) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context)).await
    }
}
