//! The server's messages: passed on in runs as they came, except where an answer is hidden, replaced, or has one of ours
//! before it. Follows what the answers say about statements and transactions.

use super::end::End;
use super::inflight::Expect;
use super::inflight::Undo;
use super::relay::Passing;
use super::relay::Session;
use super::statement::Tally;
use crate::pool::ServerConnection;
use crate::sqlstate::SqlState;
use crate::wire::backend;
use crate::wire::error_response;
use crate::wire::frame;
use crate::wire::frame::HEADER_BYTES;
use bytes::Buf as _;
use bytes::BytesMut;

/// Messages that are read whole hold a tag, a name or an error.
const READ_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What becomes of a message of the server.
#[derive(PartialEq, Eq, Debug)]
enum Fate {
    /// It goes to the client as it came.
    Pass,
    /// The client never hears of it.
    Hide,
    /// The client gets these bytes in its place.
    Replace(Box<[u8]>),
}

impl Session {
    /// Handles what the server has sent so far.
    pub(super) async fn take_answers(&mut self) -> Result<(), End> {
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        if server.incoming().is_empty() {
            return Ok(());
        }
        let mut incoming = std::mem::take(server.incoming());
        let result = self.walk(&mut incoming);
        if let Some(server) = &mut self.server {
            *server.incoming() = incoming;
        }
        result?;
        self.rest_if_due().await;
        Ok(())
    }

    /// Everything may be answered before the client's message has passed whole (an error during COPY), and the other way
    /// round; whichever ends last brings the rest.
    pub(super) async fn rest_if_due(&mut self) {
        if self.rest_due && self.is_at_rest() {
            self.rest_due = false;
            self.at_rest().await;
        }
    }

    /// Whether everything is answered, and nothing of a message is half passed on.
    pub(super) fn is_at_rest(&mut self) -> bool {
        let quiet = self
            .server
            .as_mut()
            .is_some_and(|server| server.incoming().is_empty());
        quiet
            && !matches!(self.passing, Passing::Forward(_))
            && self.tx == b'I'
            && self.inflight.is_empty()
            && !self.batch_open
            && !self.skip_to_sync
            && self.passing_down == 0
    }

    /// Walks over the messages in `incoming` and consumes them; bytes that pass are copied in runs.
    fn walk(&mut self, incoming: &mut BytesMut) -> Result<(), End> {
        let mut start = 0; // of the run that passes
        let mut at = 0;
        loop {
            if self.passing_down != 0 {
                let now = self.passing_down.min(incoming.len() - at);
                self.passing_down -= now;
                if self.capturing {
                    self.capture(&incoming[at..at + now]);
                }
                at += now;
                if self.passing_down != 0 {
                    break;
                }
            }
            let Some(header) = frame::header(&incoming[at..])
                .map_err(|error| End::ServerProtocol(error.to_string()))?
            else {
                break;
            };
            let streamed = is_streamed(header.tag);
            if streamed && !self.is_hidden() {
                self.tally.rows += u64::from(header.tag == b'D');
                self.tally.bytes += header.message_bytes() as u64;
                self.passing_down = header.message_bytes();
                self.begin_capture(header.tag, header.message_bytes());
                continue;
            }
            if !streamed && READ_BYTES_MAX < header.body_bytes {
                return Err(End::ServerProtocol(format!(
                    "message `{}` is too long",
                    header.tag.escape_ascii()
                )));
            }
            if incoming.len() - at < header.message_bytes() {
                break;
            }
            self.send_replies_due(incoming, &mut start, at);
            let end = at + header.message_bytes();
            let fate = self.answer(header.tag, &incoming[at + HEADER_BYTES..end])?;
            if fate != Fate::Pass {
                self.client.out.extend_from_slice(&incoming[start..at]);
                start = end;
            }
            if let Fate::Replace(bytes) = fate {
                self.client.out.extend_from_slice(&bytes);
            }
            at = end;
            self.send_replies_due(incoming, &mut start, at);
        }
        self.client.out.extend_from_slice(&incoming[start..at]);
        incoming.advance(at);
        Ok(())
    }

    /// Sends the replies of ours whose turn it is, after the run before them.
    fn send_replies_due(&mut self, incoming: &BytesMut, start: &mut usize, at: usize) {
        while let Some(Expect::Local { .. } | Expect::CopyEnd | Expect::CopyData) =
            self.inflight.front()
        {
            if let Some(Expect::Local { bytes, .. }) = self.inflight.pop() {
                self.client.out.extend_from_slice(&incoming[*start..at]);
                *start = at;
                self.client.out.extend_from_slice(&bytes);
            }
        }
    }

    fn is_hidden(&mut self) -> bool {
        matches!(self.inflight.front(), Some(Expect::Own(_)))
    }

    /// One message that is read.
    fn answer(&mut self, tag: u8, body: &[u8]) -> Result<Fate, End> {
        match tag {
            b'Z' => self.ready(body),
            b'E' => self.failed(body),
            b'S' => {
                let hidden = self.is_hidden();
                if let Some(server) = &mut self.server
                    && let Some(changed) = note_parameter(server, body)
                {
                    if !hidden {
                        self.unfit(); // what changes a setting is no plain read
                    }
                    if !hidden && self.reported.iter().all(|(name, _)| *name != changed.name) {
                        self.reported.push((changed.name.clone(), changed.before));
                    }
                    self.note_encoding(&[(changed.name, changed.value)]);
                }
                Ok(if hidden { Fate::Hide } else { Fate::Pass })
            }
            b'K' => Ok(Fate::Hide),
            _ if self.is_hidden() => Ok(Fate::Hide),
            b'C' | b'I' | b's' => {
                self.completed(tag, body);
                Ok(Fate::Pass)
            }
            b'1' => Ok(self.parsed()),
            b'2' => {
                if let Some(Expect::Bind { name, portal }) = self.inflight.pop() {
                    self.statements.portals.insert(&name, portal);
                }
                Ok(Fate::Pass)
            }
            b'3' => match self.inflight.front() {
                Some(Expect::Close { evicted: Some(_) }) => {
                    self.inflight.pop();
                    Ok(Fate::Hide)
                }
                _ => Ok(self.pop_if(|expect| matches!(expect, Expect::Close { .. }))),
            },
            b'T' | b'n' => Ok(self.described(tag, body)),
            b'G' => {
                self.copy_in = true;
                if self.inflight.drop_ignored_syncs() && !self.inflight.has_boundary() {
                    self.batch_open = true; // the Sync that ends it is still to come
                }
                if self.inflight.copy_ended() {
                    self.copy_in = false;
                }
                Ok(Fate::Pass)
            }
            b't' | b'N' | b'A' | b'V' | b'H' | b'D' | b'd' | b'c' => Ok(Fate::Pass),
            tag => Err(End::ServerProtocol(format!(
                "message type `{}`",
                tag.escape_ascii()
            ))),
        }
    }

    /// RowDescription or NoData.
    fn described(&mut self, tag: u8, body: &[u8]) -> Fate {
        let hidden = matches!(
            self.inflight.front(),
            Some(Expect::Describe { hidden: true })
        );
        if tag == b'T' {
            self.capture_head(body, hidden);
        }
        let fate = self.pop_if(|expect| matches!(expect, Expect::Describe { .. }));
        if hidden { Fate::Hide } else { fate }
    }

    fn pop_if(&mut self, expected: fn(&Expect) -> bool) -> Fate {
        if self.inflight.front().is_some_and(|expect| expected(expect)) {
            self.inflight.pop();
        }
        Fate::Pass
    }

    fn parsed(&mut self) -> Fate {
        match self.inflight.pop() {
            Some(Expect::Parse { hidden: true, .. }) => Fate::Hide,
            _ => Fate::Pass,
        }
    }

    /// CommandComplete, EmptyQueryResponse, PortalSuspended: one statement has ended.
    fn completed(&mut self, tag: u8, body: &[u8]) {
        let changed = if tag == b'C' && self.tally.rows == 0 {
            backend::command_rows(body)
        } else {
            0
        };
        let tally = Tally {
            rows: self.tally.rows + changed,
            ..self.tally.take()
        };
        if tag == b'C' && body.starts_with(b"COPY ") {
            self.copy_in = false;
            self.inflight.consume_copy_end();
        }
        match self.inflight.front() {
            Some(Expect::Execute(running)) => {
                let (ended, fills) = (running.next(), running.fills);
                self.inflight.pop();
                // A suspended portal goes on with its next Execute, and ends then.
                if tag != b's' {
                    self.part_ended(ended, tally, None);
                }
                self.is_answered(fills, body);
            }
            Some(Expect::Query(running)) => {
                let (ended, fills) = (running.next(), running.fills);
                self.part_ended(ended, tally, None);
                self.is_answered(fills, body);
            }
            _ => (),
        }
    }

    /// Whoever keeps answers is told before the client is.
    fn is_answered(&mut self, fills: bool, body: &[u8]) {
        self.tell_written();
        if fills {
            self.filled(body);
        }
    }

    /// ReadyForQuery.
    fn ready(&mut self, body: &[u8]) -> Result<Fate, End> {
        let &[status @ (b'I' | b'T' | b'E')] = body else {
            return Err(End::ServerProtocol(
                "ReadyForQuery without a status".to_owned(),
            ));
        };
        self.copy_in = false;
        while matches!(
            self.inflight.front(),
            Some(Expect::CopyEnd | Expect::CopyData)
        ) {
            self.inflight.pop();
        }
        let tally = self.tally.take();
        let fate = match self.inflight.pop() {
            Some(Expect::Own(settings)) => {
                if let (Some(server), Some(settings)) = (&mut self.server, settings) {
                    server.set_applied(settings);
                }
                return Ok(Fate::Hide);
            }
            Some(Expect::FunctionCall(mut running)) => {
                if running.is_running() {
                    self.part_ended(running.next(), tally, None);
                }
                Fate::Pass
            }
            Some(Expect::Query(_) | Expect::Sync | Expect::Refused { query: true, .. }) => {
                Fate::Pass
            }
            other => {
                return Err(End::ServerProtocol(format!(
                    "ReadyForQuery before its time ({other:?})"
                )));
            }
        };
        self.tx = status;
        self.rest_due = true;
        self.fill = None;
        self.written_is_settled();
        if !self.inflight.has_boundary() && !self.batch_open {
            self.statements.sql.settle();
        }
        self.deadline = None;
        Ok(fate)
    }

    /// ErrorResponse.
    fn failed(&mut self, body: &[u8]) -> Result<Fate, End> {
        let tally = self.tally.take();
        self.unfit();
        let (code, message) = error_response::parse_error(body);
        while matches!(
            self.inflight.front(),
            Some(Expect::CopyEnd | Expect::CopyData)
        ) {
            self.inflight.pop();
        }
        self.copy_in = false;
        self.told_fatal |= error_response::is_fatal(body);
        // A statement that the node and we disagree about would fail for every client of this connection.
        self.tainted |= matches!(code.as_str(), "26000" | "42P05" | "0A000");
        match self.inflight.front() {
            None => {
                self.tainted = true; // nothing was asked; most often the node says goodbye
                Ok(Fate::Pass)
            }
            Some(Expect::Own(_)) => Err(End::ServerProtocol(format!(
                "the client's settings were refused: {message}"
            ))),
            Some(Expect::Refused { query, error }) => {
                let (query, error) = (*query, std::mem::take(error));
                if !query {
                    self.batch_failed(tally, code, &message);
                }
                Ok(Fate::Replace(error))
            }
            Some(Expect::Query(running) | Expect::FunctionCall(running)) => {
                let ended = running.next();
                self.part_ended(ended, tally, Some((code, &message)));
                Ok(Fate::Pass)
            }
            Some(_) => {
                self.batch_failed(tally, code, &message);
                Ok(Fate::Pass)
            }
        }
    }

    /// An extended batch has failed: the server skips to Sync, and so do we. What was not reached leaves nothing behind.
    fn batch_failed(&mut self, tally: Tally, code: SqlState, message: &str) {
        let mut first = Some(tally);
        loop {
            match self.inflight.front() {
                None => {
                    self.skip_to_sync = true;
                    return;
                }
                Some(Expect::Sync) => return,
                Some(_) => (),
            }
            match self.inflight.pop() {
                Some(Expect::Parse {
                    key, unnamed, name, ..
                }) => self.parse_failed(key, unnamed, name),
                Some(
                    Expect::Execute(mut running)
                    | Expect::Query(mut running)
                    | Expect::FunctionCall(mut running),
                ) => {
                    if let Some(tally) = first.take() {
                        self.part_ended(running.next(), tally, Some((code, message)));
                    }
                }
                Some(Expect::Close { evicted: Some(key) }) => {
                    if let Some(server) = &mut self.server {
                        server.still_knows(key);
                    }
                }
                Some(Expect::Local {
                    undo: Some(undo), ..
                }) => self.undo(undo),
                _ => (),
            }
        }
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Restore { name, entry } => {
                if self.statements.named.get(&name).is_none() {
                    self.statements.named.insert(&name, *entry);
                }
            }
            Undo::Forget { name } => drop(self.statements.named.remove(&name)),
        }
    }

    fn parse_failed(
        &mut self,
        key: crate::pool::StatementKey,
        unnamed: bool,
        name: Option<Box<[u8]>>,
    ) {
        if let Some(server) = &mut self.server {
            if unnamed {
                server.forget_unnamed();
            } else {
                server.forget(key);
            }
        }
        if let Some(name) = name
            && self
                .statements
                .named
                .get(&name)
                .is_some_and(|entry| entry.sent.key == key)
        {
            self.statements.named.remove(&name);
        }
    }
}

/// Messages that are never needed whole.
fn is_streamed(tag: u8) -> bool {
    matches!(tag, b'D' | b'd' | b'V' | b'N' | b'A' | b'H' | b'c')
}

/// What a ParameterStatus says.
pub(super) struct Reported {
    name: String,
    value: String,
    /// What the node said before.
    before: Option<String>,
}

/// Notes a ParameterStatus body.
pub(super) fn note_parameter(server: &mut ServerConnection, body: &[u8]) -> Option<Reported> {
    let (name, rest) = frame::cstr(body)?;
    let (value, _) = frame::cstr(rest)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let value = String::from_utf8_lossy(value).into_owned();
    let before = server.set_parameter(&name, &value);
    Some(Reported {
        name,
        value,
        before,
    })
}
