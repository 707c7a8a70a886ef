//! The simple query protocol, and FunctionCall: one message, one or more statements, one ReadyForQuery.

use super::cache::Bound;
use super::decide::Among;
use super::decide::Refused;
use super::end::End;
use super::inflight::Expect;
use super::messages::StatementError;
use super::relay::Passing;
use super::relay::Session;
use super::statement::After;
use super::statement::Decided;
use super::statement::Effects;
use super::statement::Go;
use super::statement::Part;
use super::statement::Running;
use crate::hook::Protocol;
use crate::hook::Rows;
use crate::pipeline::Answer;
use crate::pipeline::Permit;
use crate::sqlstate::SqlState;
use crate::statement;
use crate::wire::encode;
use crate::wire::frame::HEADER_BYTES;
use crate::wire::frame::Header;
use crate::wire::frontend;
use smallvec::SmallVec;
use std::sync::Arc;
use tokio::time::Instant;

/// What the statements of one Query message come to together.
enum Together {
    /// One permit for all of them.
    Node(Permit, Running),
    /// The only statement is answered with rows.
    Reply(Decided, Rows),
    /// A cache has the answer of the only statement.
    Cached(Decided, Arc<Answer>),
}

impl Session {
    /// A Query message, whole.
    pub(super) async fn query(&mut self, message: &[u8]) -> Result<(), End> {
        let sql = frontend::query(&message[HEADER_BYTES..])?;
        self.begin_statement().await?;
        self.text_bytes = sql.len();
        if let Some(Refused(error)) = self.cannot_read_now(sql, Protocol::Simple) {
            self.refuse_query(error);
            return Ok(());
        }
        let before = self.statements.sql.expected();
        let wrote = self.tx_writes;
        match self.decide_query(sql).await {
            Err(Refused(error)) => {
                // Nothing of the message runs, also of what was decided before the refusal.
                self.statements.sql.expect_again(before);
                self.tx_writes = wrote;
                self.refuse_query(error);
            }
            Ok(Together::Reply(decided, rows)) => self.reply_to_query(&decided, &rows),
            Ok(Together::Cached(decided, answer)) => self.give_to_query(&decided, &answer),
            Ok(Together::Node(permit, running)) => {
                self.drain_before_deallocate(&running).await?;
                if self.deallocate_here(&running) {
                    return Ok(());
                }
                self.batch_open = false;
                self.may_recode = false;
                if self.lease_or_fail(&permit, Session::fail_query).await? {
                    let follows = running.changes_what_exists();
                    self.send_query(message, &permit, running);
                    if follows {
                        self.drain_answers().await?; // what exists then is what the next message meets
                    }
                } else {
                    self.statements.sql.expect_again(before);
                    self.tx_writes = wrote;
                }
            }
        }
        Ok(())
    }

    async fn drain_before_deallocate(&mut self, running: &Running) -> Result<(), End> {
        match running.parts.first().map(|part| &part.after) {
            Some(After::Deallocate { key: Some(_), .. }) if !self.batch_open => {
                self.drain_answers().await
            }
            _ => Ok(()),
        }
    }

    /// DEALLOCATE of a statement that was prepared by Parse: it is this client's name for a statement that stays on server
    /// connections for whoever prepares the same text next, so it is done here.
    fn deallocate_here(&mut self, running: &Running) -> bool {
        let [part] = &running.parts[..] else {
            return false;
        };
        let After::Deallocate { name, key: Some(_) } = &part.after else {
            return false;
        };
        if self.tx == b'E' || self.batch_open || !self.inflight.is_empty() {
            return false; // the node decides what comes of it
        }
        self.statements.named.remove(name.as_bytes());
        self.statements.sql.settle();
        encode::command_complete(&mut self.client.out, "DEALLOCATE");
        encode::ready_for_query(&mut self.client.out, self.tx);
        true
    }

    /// The front of a Query that no stage reads and that is too long to hold. What cannot be read may change the session,
    /// so the server connection is kept. False when the rest must be dropped.
    pub(super) async fn long_query(&mut self, front: &[u8]) -> Result<bool, End> {
        self.refresh_world().await?;
        self.text_bytes = 0;
        let mut decided = match self.decide(b"", Protocol::Simple, Among::ALONE, None).await {
            Ok(decided) => decided,
            Err(Refused(error)) => {
                self.refuse_query(error);
                return Ok(false);
            }
        };
        decided.after = After::Dirty;
        decided.effects = Effects::ANY;
        let Go::Node(permit) = decided.go.clone() else {
            return Ok(false);
        };
        if !self.lease_or_fail(&permit, Session::fail_query).await? {
            return Ok(false);
        }
        self.note_sent([&decided.after].into_iter());
        self.note_effects(&decided.effects);
        if let Some(server) = &mut self.server {
            server.send_front(&permit, front);
            self.inflight.push(Expect::Query(Running::of(&decided)));
        }
        Ok(true)
    }

    async fn decide_query(&mut self, sql: &[u8]) -> Result<Together, Refused> {
        if self.binding.pipeline.is_plain() {
            return self.decide_one(sql).await;
        }
        let text = std::str::from_utf8(sql).unwrap_or_default();
        let ranges = statement::several(text);
        if ranges.is_empty() {
            return self.decide_one(sql).await;
        }
        self.decide_several(text, &ranges).await
    }

    async fn decide_one(&mut self, sql: &[u8]) -> Result<Together, Refused> {
        let bound = Some(Bound::NOTHING);
        let mut decided = self
            .decide(sql, Protocol::Simple, Among::ALONE, bound)
            .await?;
        if let Some(answer) = decided.answer.take() {
            return Ok(Together::Cached(decided, answer));
        }
        let mut running = Running::of(&decided);
        running.fills = decided.fills;
        Ok(match decided.go {
            Go::Node(permit) => Together::Node(permit, running),
            Go::Reply(ref rows) => {
                let rows = rows.clone();
                Together::Reply(decided, rows)
            }
        })
    }

    /// Several statements in one message: each is decided for itself, in order; one refusal refuses them all, as one
    /// error would have undone them all.
    async fn decide_several(
        &mut self,
        text: &str,
        ranges: &[std::ops::Range<usize>],
    ) -> Result<Together, Refused> {
        let max = self.binding.pipeline.sql().max_statements;
        let count = u32::try_from(ranges.len()).unwrap_or(u32::MAX);
        if max < count {
            let message = format!("{count} statements in one message, and the policy allows {max}");
            let error = StatementError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message);
            return Err(self.refused_by("max_statements", Protocol::Simple, text, &error));
        }
        let mut permits: Option<Permit> = None;
        let mut parts = SmallVec::new();
        let mut rewritten = String::new();
        let mut changed = false;
        let mut copied = 0;
        for (index, range) in ranges.iter().enumerate() {
            let among = Among {
                count,
                first: index == 0,
            };
            let sql = text[range.clone()].as_bytes();
            let decided = self.decide(sql, Protocol::Simple, among, None).await?;
            parts.push(Part::of(&decided));
            let Go::Node(permit) = decided.go else {
                return Err(self.no_verdict()); // rows of ours have been refused among several
            };
            rewritten.push_str(&text[copied..range.start]);
            rewritten.push_str(permit.text().map_or(&text[range.clone()], |text| text));
            changed |= permit.text().is_some();
            copied = range.end;
            permits = Some(match permits {
                Some(before) => before.join(permit, None),
                None => permit,
            });
        }
        rewritten.push_str(&text[copied..]);
        let Some(permit) = permits else {
            return Err(Refused(Vec::new()));
        };
        let whole = changed.then(|| Arc::<str>::from(rewritten));
        let permit = permit.clone().join(permit, whole);
        Ok(Together::Node(
            permit,
            Running {
                started: Instant::now(),
                parts,
                fills: false,
            },
        ))
    }

    fn send_query(&mut self, message: &[u8], permit: &Permit, running: Running) {
        self.note_sent(running.parts.iter().map(|part| &part.after));
        self.note_masks(&running);
        for part in &running.parts {
            self.note_effects(&part.effects);
        }
        self.limit_time(permit, running.started);
        self.statements.named.remove(b""); // a Query ends the unnamed statement
        let Some(server) = &mut self.server else {
            return;
        };
        server.start_batch();
        server.send_query(permit, message);
        self.inflight.push(Expect::Query(running));
    }

    fn reply_to_query(&mut self, decided: &Decided, rows: &Rows) {
        let started = Instant::now();
        let mut bytes = Vec::new();
        encode::row_description(&mut bytes, rows.columns.iter().map(String::as_str), false);
        encode_rows(rows, &mut bytes);
        encode::ready_for_query(&mut bytes, self.tx);
        self.reply(&bytes);
        self.reply_ended(decided, rows.rows.len(), bytes.len(), started.elapsed());
    }

    /// FunctionCall: names a function by its oid, which no stage can read; it is decided as an unparsed call.
    pub(super) async fn take_function_call(&mut self, header: Header) -> Result<bool, End> {
        if self.binding.is_read()
            && self.client.inbuf.len() < HEADER_BYTES + 4
            && 4 <= header.body_bytes
        {
            self.inbuf_bytes_max = HEADER_BYTES + 4;
            return Ok(false);
        }
        self.begin_statement().await?;
        self.text_bytes = 0;
        let front = self.client.inbuf.len().min(header.message_bytes());
        let message = self.client.inbuf.split_to(front);
        let rest = header.message_bytes() - front;
        self.passing = Passing::Discard(rest);
        if rest == 0 {
            self.passing = Passing::Nothing;
        }
        let oid = message
            .get(HEADER_BYTES..HEADER_BYTES + 4)
            .and_then(|oid| <[u8; 4]>::try_from(oid).ok());
        let text = format!("FunctionCall {}", oid.map_or(0, u32::from_be_bytes));
        let decided = match self
            .decide(text.as_bytes(), Protocol::FunctionCall, Among::ALONE, None)
            .await
        {
            // What an unknown function does to the session cannot be known.
            Ok(decided) => Decided {
                after: After::Dirty,
                effects: Effects::ANY,
                ..decided
            },
            Err(Refused(error)) => {
                self.refuse_query(error);
                return Ok(true);
            }
        };
        let Go::Node(permit) = &decided.go else {
            let Refused(error) = self.no_verdict(); // rows of ours have been refused
            self.refuse_query(error);
            return Ok(true);
        };
        if !self.lease_or_fail(permit, Session::fail_query).await? {
            return Ok(true);
        }
        self.note_sent([&decided.after].into_iter());
        self.note_effects(&decided.effects);
        if let Some(server) = &mut self.server {
            server.start_batch();
            server.send_front(permit, &message);
            self.inflight
                .push(Expect::FunctionCall(Running::of(&decided)));
            if rest != 0 {
                self.passing = Passing::Forward(rest);
            }
        }
        Ok(true)
    }
}

/// DataRows and CommandComplete of rows of ours.
pub(super) fn encode_rows(rows: &Rows, out: &mut Vec<u8>) {
    for row in &rows.rows {
        encode::data_row(
            out,
            row.iter().map(|value| value.as_deref().map(str::as_bytes)),
        );
    }
    encode::command_complete(out, &format!("SELECT {}", rows.rows.len()));
}
