//! One server connection: its socket, its two buffers, and what is known of the session behind it.
//!
//! A statement enters the outgoing buffer only together with a [`Permit`]; what follows a permitted message (the rest of a
//! long one, COPY data, Sync) enters without.

use super::connect::BackendKey;
use super::connect::Connected;
use super::connect::Target;
use super::plan::Plan;
use super::prepared::Prepared;
use super::prepared::StatementKey;
use super::settings::Settings;
use crate::net::Stream;
use crate::pipeline::Permit;
use crate::wire::encode;
use bytes::BytesMut;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite as _;
use tokio::time::Instant;

/// Bytes asked of the socket in one read.
const READ_BYTES: usize = 16 * 1024;

/// One connection to a node.
#[derive(Debug)]
pub struct ServerConnection {
    stream: Stream,
    inbuf: BytesMut,
    out: Vec<u8>,
    out_at: usize,
    target: Arc<Target>,
    key: BackendKey,
    parameters: Vec<(String, String)>,
    applied: Settings,
    prepared: Prepared,
    batch_start: u64,
    identity: u64,
    prepared_max: usize,
    made: Instant,
    used: Instant,
    idle_timeout: Duration,
    lifetime: Duration,
    dirty: bool,
    unsure: bool,
}

impl ServerConnection {
    pub(super) fn new(connected: Connected, plan: &Plan) -> Self {
        let now = Instant::now();
        Self {
            stream: connected.stream,
            inbuf: BytesMut::with_capacity(READ_BYTES),
            out: Vec::new(),
            out_at: 0,
            target: Arc::clone(&plan.target),
            key: connected.backend_key,
            parameters: connected.parameters,
            applied: Settings::default(),
            prepared: Prepared::new(),
            batch_start: 0,
            identity: plan.identity,
            prepared_max: plan.prepared_max,
            made: now,
            used: now,
            idle_timeout: plan.idle_timeout,
            lifetime: plan.lifetime,
            dirty: false,
            unsure: false,
        }
    }

    /// Whether the plan would still make this connection.
    #[must_use]
    pub fn fits(&self, plan: &Plan) -> bool {
        self.identity == plan.identity && self.made.elapsed() < self.lifetime
    }

    /// Whether the node has sent nothing unasked for. A free connection on which something arrives is dead or confused.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.inbuf.is_empty()
            && self
                .poll_read(&mut Context::from_waker(Waker::noop()))
                .is_pending()
    }

    pub(super) fn touch(&mut self) {
        self.used = Instant::now();
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.idle_timeout < now - self.used || self.lifetime < now - self.made
    }

    /// Since it was made.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.made.elapsed()
    }

    /// Says goodbye, without waiting.
    pub(super) fn close(mut self: Box<Self>) {
        if self.out.is_empty() {
            encode::terminate(&mut self.out);
            let _ = self
                .poll_write(&mut Context::from_waker(Waker::noop()))
                .is_ready();
        }
    }

    /// The node it leads to.
    #[must_use]
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// What cancels it.
    #[must_use]
    pub fn key(&self) -> &BackendKey {
        &self.key
    }

    /// What the node has reported of itself: name and value.
    #[must_use]
    pub fn parameters(&self) -> &[(String, String)] {
        &self.parameters
    }

    /// The value the node reported last.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    /// Notes a ParameterStatus, and gives the value before.
    pub fn set_parameter(&mut self, name: &str, value: &str) -> Option<String> {
        match self.parameters.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => Some(std::mem::replace(old, value.to_owned())),
            None => {
                self.parameters.push((name.to_owned(), value.to_owned()));
                None
            }
        }
    }

    /// The settings clients made us apply.
    #[must_use]
    pub fn applied(&self) -> &Settings {
        &self.applied
    }

    /// Notes that these settings are applied now.
    pub fn set_applied(&mut self, settings: Settings) {
        self.applied = settings;
    }

    /// Whether something was done that outlives a transaction.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Notes that something was done that outlives a transaction.
    pub fn set_dirty(&mut self) {
        self.dirty = true;
    }

    /// Whether something ran that may have changed the session behind it and told nobody: a function, a block of code.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// Notes that such a thing is about to run.
    pub fn set_unsure(&mut self) {
        self.unsure = true;
    }

    /// Notes DISCARD ALL: the session is as new.
    pub fn discarded(&mut self) {
        self.dirty = false;
        self.unsure = false;
        self.applied = Settings::default();
        self.prepared.clear();
    }

    // -- incoming

    /// Reads once. `Ready(Ok(0))` is the end of the stream.
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        poll_read(&mut self.stream, &mut self.inbuf, context)
    }

    /// What has arrived and is not consumed yet.
    pub fn incoming(&mut self) -> &mut BytesMut {
        &mut self.inbuf
    }

    // -- outgoing

    /// A Query of the client, or the text its permit replaces it by.
    pub fn send_query(&mut self, permit: &Permit, message: &[u8]) {
        match permit.text() {
            Some(text) => encode::query(&mut self.out, text),
            None => self.out.extend_from_slice(message),
        }
        self.prepared.set_unnamed(None); // a Query ends the unnamed statement
    }

    /// The front of a Query or FunctionCall that is too long to be held; the rest follows by [`Self::send_rest`].
    pub fn send_front(&mut self, _permit: &Permit, front: &[u8]) {
        self.out.extend_from_slice(front);
        self.prepared.set_unnamed(None);
    }

    /// Parse of a named statement. Returns the name of the statement that had to be closed to make room.
    pub fn send_parse(
        &mut self,
        _permit: &Permit,
        key: StatementKey,
        sql: &[u8],
        types: &[u8],
    ) -> Option<StatementKey> {
        let closed = self
            .prepared
            .insert(key, self.prepared_max, self.batch_start);
        if let Some(closed) = closed {
            encode::close_statement(&mut self.out, closed.name().as_bytes());
        }
        encode::parse(&mut self.out, key.name().as_bytes(), sql, types);
        closed
    }

    /// Parse of the unnamed statement.
    pub fn send_parse_unnamed(
        &mut self,
        _permit: &Permit,
        key: StatementKey,
        sql: &[u8],
        types: &[u8],
    ) {
        self.prepared.set_unnamed(Some(key));
        encode::parse(&mut self.out, b"", sql, types);
    }

    /// The header and names of a Bind of a named statement, or of the unnamed one; `rest_bytes` of its body follow by
    /// [`Self::send_rest`].
    pub fn send_bind(
        &mut self,
        _permit: &Permit,
        portal: &[u8],
        statement: Option<StatementKey>,
        rest_bytes: usize,
    ) {
        let name_bytes = statement.map_or(0, |_| StatementKey::NAME_BYTES);
        let length = 4 + portal.len() + 1 + name_bytes + 1 + rest_bytes;
        self.out.push(b'B');
        self.out
            .extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        encode::cstr(&mut self.out, portal);
        push_name(&mut self.out, statement);
    }

    /// More of a message whose front was permitted, or COPY data of a statement that was.
    pub fn send_rest(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Sync, Flush, Execute, Close, Describe: messages that only name what was permitted before.
    pub fn send_control(&mut self, message: &[u8]) {
        self.out.extend_from_slice(message);
    }

    /// Describe of a named statement, or of the unnamed one.
    pub fn send_describe(&mut self, statement: Option<StatementKey>) {
        encode::message(&mut self.out, b'D', |out| {
            out.push(b'S');
            push_name(out, statement);
        });
    }

    /// Describe of a portal.
    pub fn send_describe_portal(&mut self, portal: &[u8]) {
        encode::describe(&mut self.out, portal);
    }

    /// A Query of our own: settings, reset, ROLLBACK.
    pub fn send_own(&mut self, sql: &str) {
        encode::query(&mut self.out, sql);
        self.prepared.set_unnamed(None);
    }

    /// A statement of the policy's own, with arguments, by the extended protocol: its rows come as text, `rows_max` at most.
    pub fn send_own_statement<'a>(
        &mut self,
        sql: &str,
        args: impl ExactSizeIterator<Item = Option<&'a str>>,
        rows_max: u32,
    ) {
        self.prepared.set_unnamed(None);
        encode::parse(&mut self.out, b"", sql.as_bytes(), b"\0\0");
        encode::bind_texts(&mut self.out, args);
        encode::describe_portal(&mut self.out);
        encode::execute(&mut self.out, rows_max);
        encode::sync(&mut self.out);
    }

    /// A Parse that cannot succeed. The node answers with an error, aborts the transaction and skips to Sync, which is
    /// what a refusal must leave; the session replaces the text of the error.
    pub fn send_failing_parse(&mut self) {
        self.prepared.set_unnamed(None);
        encode::parse(&mut self.out, b"", REFUSED.as_bytes(), b"\0\0");
    }

    /// A Query that cannot succeed, for the same purpose.
    pub fn send_failing_query(&mut self) {
        self.send_own(REFUSED);
    }

    /// Whether the outgoing buffer is empty.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.out.is_empty()
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.out.len() - self.out_at
    }

    /// Writes what it can. `Ready(Ok(()))` when nothing is left.
    pub fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_write(&mut self.stream, &mut self.out, &mut self.out_at, context)
    }

    // -- prepared statements

    /// Whether this connection knows the statement; marks it as used.
    pub fn knows(&mut self, key: StatementKey) -> bool {
        self.prepared.touch(key)
    }

    /// What the unnamed statement is now.
    #[must_use]
    pub fn unnamed(&self) -> Option<StatementKey> {
        self.prepared.unnamed()
    }

    /// The statement that was to be closed to make room was not.
    pub fn still_knows(&mut self, key: StatementKey) {
        self.prepared.put_back(key);
    }

    /// The unnamed statement is gone.
    pub fn forget_unnamed(&mut self) {
        self.prepared.set_unnamed(None);
    }

    /// The statement is gone, or its Parse failed.
    pub fn forget(&mut self, key: StatementKey) {
        self.prepared.remove(key);
    }

    /// Every prepared statement is gone.
    pub fn forget_all(&mut self) {
        self.prepared.clear();
    }

    /// Prepared statements it holds.
    #[must_use]
    pub fn prepared_count(&self) -> usize {
        self.prepared.len()
    }

    /// A new batch begins: nothing under way names a prepared statement.
    pub fn start_batch(&mut self) {
        self.batch_start = self.prepared.clock();
    }
}

fn push_name(out: &mut Vec<u8>, statement: Option<StatementKey>) {
    if let Some(key) = statement {
        key.push_name(out);
    }
    out.push(0);
}

/// What the node's log shows when a policy refused a statement inside a transaction.
const REFUSED: &str = "pgwarden refused this statement";

/// Reads once into `buffer`, through `Stream`, which buffers nothing of its own.
pub(crate) fn poll_read(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if buffer.capacity() - buffer.len() < READ_BYTES / 4 {
        buffer.reserve(READ_BYTES);
    }
    pin!(stream.read_buf(buffer)).poll(context)
}

/// Writes from `buffer`, of which `at` bytes are written already; clears it when all is written.
pub(crate) fn poll_write(
    stream: &mut Stream,
    buffer: &mut Vec<u8>,
    at: &mut usize,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while *at < buffer.len() {
        match Pin::new(&mut *stream).poll_write(context, &buffer[*at..]) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => *at += written,
        }
    }
    buffer.clear();
    *at = 0;
    if BUFFER_BYTES_KEPT < buffer.capacity() {
        buffer.shrink_to(BUFFER_BYTES_KEPT);
    }
    match Pin::new(stream).poll_flush(context) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    }
}

/// A buffer that grew for one long message is given back to the system down to this.
const BUFFER_BYTES_KEPT: usize = 64 * 1024;
