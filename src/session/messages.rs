//! The client's messages: which are read whole, which only pass, and who handles each. Handling is `simple`'s and
//! `extended`'s.

use super::decide::Refused;
use super::end::End;
use super::inflight::Expect;
use super::inflight::Undo;
use super::relay::Passing;
use super::relay::Session;
use crate::client_facing::ClientFacing;
use crate::hook::Protocol;
use crate::hook::Refusal;
use crate::policy::PoolMode;
use crate::policy::SessionState;
use crate::sqlstate::SqlState;
use crate::wire::encode;
use crate::wire::frame;
use crate::wire::frame::HEADER_BYTES;
use crate::wire::frame::Header;
use bytes::Buf as _;
use bytes::BytesMut;
use std::borrow::Cow;

/// Describe, Execute, Close and the like hold names only.
const CONTROL_BYTES_MAX: usize = 64 * 1024;

/// An error of one statement that is the client's own; the session goes on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct StatementError {
    pub(super) code: SqlState,
    pub(super) message: Cow<'static, str>,
}

impl StatementError {
    pub(super) fn new(code: SqlState, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(super) fn refusal(&self) -> Refusal {
        Refusal::with_code(self.code, self.message.clone())
    }
}

impl ClientFacing for StatementError {
    fn sqlstate(&self) -> SqlState {
        self.code
    }

    fn client_message(&self) -> Cow<'static, str> {
        self.message.clone()
    }
}

impl Session {
    /// Takes one message of the client, or what there is of a long one. False when more bytes are needed.
    pub(super) async fn take_message(&mut self) -> Result<bool, End> {
        if self.passing != Passing::Nothing {
            return Ok(self.pass());
        }
        let Some(header) = frame::header(&self.client.inbuf)? else {
            self.inbuf_bytes_max = HEADER_BYTES;
            return Ok(false);
        };
        if self.skip_to_sync && !matches!(header.tag, b'S' | b'X') {
            self.client.inbuf.advance(HEADER_BYTES);
            self.passing = Passing::Discard(header.body_bytes);
            return Ok(true);
        }
        if self.copy_in && !matches!(header.tag, b'd' | b'c' | b'f' | b'H' | b'S' | b'X') {
            return Err(End::Protocol(format!(
                "message `{}` while COPY data is expected",
                header.tag.escape_ascii()
            )));
        }
        match header.tag {
            b'Q' | b'P' => self.take_statement(header).await,
            b'B' => self.take_bind(header).await,
            b'F' => self.take_function_call(header).await,
            b'd' => Ok(self.take_copy_data(header)),
            b'D' | b'E' | b'C' | b'c' | b'f' | b'H' | b'S' => {
                if matches!(header.tag, b'c' | b'H' | b'S') && header.body_bytes != 0 {
                    let tag = header.tag.escape_ascii();
                    return Err(End::Protocol(format!("message `{tag}` with a body")));
                }
                let Some(message) = self.whole(header, CONTROL_BYTES_MAX)? else {
                    return Ok(false);
                };
                self.take_control(header.tag, &message).await?;
                Ok(true)
            }
            b'X' => Err(End::Terminated),
            tag => Err(End::Protocol(format!(
                "unknown message type `{}`",
                tag.escape_ascii()
            ))),
        }
    }

    /// The whole message, taken off the buffer, or `None` until it is all there.
    fn whole(&mut self, header: Header, bytes_max: usize) -> Result<Option<BytesMut>, End> {
        if bytes_max < header.body_bytes {
            return Err(End::Protocol(format!(
                "message `{}` is too long",
                header.tag.escape_ascii()
            )));
        }
        if self.client.inbuf.len() < header.message_bytes() {
            self.inbuf_bytes_max = header.message_bytes();
            return Ok(None);
        }
        Ok(Some(self.client.inbuf.split_to(header.message_bytes())))
    }

    /// Query and Parse: read whole up to the policy's limit. A longer one passes unread where no stage would read it.
    async fn take_statement(&mut self, header: Header) -> Result<bool, End> {
        let bytes_max = self.binding.pipeline.sql().max_bytes;
        if bytes_max < header.body_bytes {
            return self.take_long_statement(header, bytes_max).await;
        }
        let Some(message) = self.whole(header, bytes_max)? else {
            return Ok(false);
        };
        self.received += message.len() as u64;
        if header.tag == b'Q' {
            self.query(&message).await?;
        } else {
            self.parse(&message).await?;
        }
        Ok(true)
    }

    async fn take_long_statement(&mut self, header: Header, bytes_max: usize) -> Result<bool, End> {
        let pool = self.binding.pool_policy();
        let may_change_session =
            pool.mode == PoolMode::Session || pool.session_state != SessionState::Refuse;
        if self.binding.pipeline.is_plain() && header.tag == b'Q' && may_change_session {
            let front = self.client.inbuf.len().min(header.message_bytes());
            let message = self.client.inbuf.split_to(front);
            let rest = header.message_bytes() - front;
            let sent = self.long_query(&message).await?;
            self.passing = if sent {
                Passing::Forward(rest)
            } else {
                Passing::Discard(rest)
            };
            return Ok(true);
        }
        self.client.inbuf.advance(HEADER_BYTES);
        self.passing = Passing::Discard(header.body_bytes);
        let message = format!(
            "statement of {} bytes is longer than the {bytes_max} the policy allows",
            header.body_bytes
        );
        let error = StatementError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message);
        if header.tag == b'Q' {
            let Refused(error) = self.refused_by("max_bytes", Protocol::Simple, "", &error);
            self.refuse_query(error);
        } else {
            let Refused(error) = self.refused_by("max_bytes", Protocol::Extended, "", &error);
            self.refuse_batch(error);
        }
        Ok(true)
    }

    /// Passes on what has come of a long message. False when nothing has.
    pub(super) fn pass(&mut self) -> bool {
        let (Passing::Forward(left) | Passing::Discard(left)) = self.passing else {
            return false;
        };
        let now = left.min(self.client.inbuf.len());
        if let (Passing::Forward(_), Some(server)) = (self.passing, &mut self.server) {
            server.send_rest(&self.client.inbuf[..now]);
        }
        self.client.inbuf.advance(now);
        let left = left - now;
        self.passing = match self.passing {
            _ if left == 0 => Passing::Nothing,
            Passing::Forward(_) => Passing::Forward(left),
            _ => Passing::Discard(left),
        };
        now != 0 || left == 0
    }

    /// COPY data: passed on as it comes while a server is reading it, dropped otherwise, as PostgreSQL does.
    fn take_copy_data(&mut self, header: Header) -> bool {
        let wanted = self.server.is_some() && (self.copy_in || !self.inflight.is_empty());
        if wanted && !self.copy_in {
            self.inflight.note_copy_data();
        }
        self.passing = if wanted {
            Passing::Forward(header.message_bytes())
        } else {
            Passing::Discard(header.message_bytes())
        };
        self.pass()
    }

    async fn take_control(&mut self, tag: u8, message: &[u8]) -> Result<(), End> {
        match tag {
            b'S' => self.sync(message),
            b'H' => {
                if let Some(server) = &mut self.server {
                    server.send_control(message);
                }
            }
            b'c' | b'f' => {
                if let Some(server) = &mut self.server {
                    server.send_control(message);
                    if !self.inflight.is_empty() {
                        self.inflight.push(Expect::CopyEnd);
                    }
                }
                self.copy_in = false;
            }
            b'D' => self.describe(message).await?,
            b'E' => self.execute(message).await?,
            _ => self.close(message)?,
        }
        Ok(())
    }

    /// A reply of ours, in its place among the server's answers.
    pub(super) fn reply(&mut self, bytes: &[u8]) {
        self.reply_undoable(bytes, None);
    }

    /// The same, with what to do when the batch fails before it.
    pub(super) fn reply_undoable(&mut self, bytes: &[u8], undo: Option<Undo>) {
        if self.inflight.is_empty() {
            self.client.out.extend_from_slice(bytes);
        } else {
            self.inflight.push(Expect::Local {
                bytes: bytes.into(),
                undo,
            });
        }
    }

    /// An error of ours in answer to a Query: what PostgreSQL's own error would leave.
    pub(super) fn fail_query(&mut self, error: &dyn ClientFacing) {
        let mut bytes = Vec::new();
        super::refuse::error(error, &mut bytes);
        self.refuse_query(bytes);
    }

    /// The same with the error already encoded.
    pub(super) fn refuse_query(&mut self, mut error: Vec<u8>) {
        let needs_node = self.tx == b'T' || !self.inflight.is_empty() || self.batch_open;
        match &mut self.server {
            Some(server) if needs_node => {
                server.send_failing_query();
                self.inflight.push(Expect::Refused {
                    error: error.into(),
                    query: true,
                });
            }
            _ => {
                encode::ready_for_query(&mut error, self.tx);
                self.client.out.extend_from_slice(&error);
            }
        }
        self.batch_open = false;
    }

    /// An error of ours inside an extended batch: the rest is skipped up to Sync.
    pub(super) fn fail_batch(&mut self, error: &dyn ClientFacing) {
        let mut bytes = Vec::new();
        super::refuse::error(error, &mut bytes);
        self.refuse_batch(bytes);
    }

    /// The same with the error already encoded.
    pub(super) fn refuse_batch(&mut self, error: Vec<u8>) {
        let needs_node = self.tx == b'T' || !self.inflight.is_empty() || self.batch_open;
        match &mut self.server {
            Some(server) if needs_node => {
                server.send_failing_parse();
                self.batch_open = true; // until the client's Sync, the node skips
                self.inflight.push(Expect::Refused {
                    error: error.into(),
                    query: false,
                });
            }
            _ => self.client.out.extend_from_slice(&error),
        }
        self.skip_to_sync = true;
    }
}
