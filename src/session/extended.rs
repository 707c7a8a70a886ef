//! The extended query protocol: Parse, Bind, Describe, Execute, Close, Sync.
//!
//! A statement is decided at its Parse, and that decision is used by the first Bind of the same batch; every later Bind
//! decides anew, so that a reload or a change of circumstances reaches statements that were prepared before. On server
//! connections statements have names of ours, so that any connection can serve any client.

use super::cache::BIND_BYTES_MAX;
use super::cache::Bound;
use super::cache::Given;
use super::decide::Among;
use super::decide::Refused;
use super::end::End;
use super::inflight::Expect;
use super::inflight::Undo;
use super::messages::StatementError;
use super::relay::Passing;
use super::relay::Session;
use super::statement::After;
use super::statement::Decided;
use super::statement::Go;
use super::statement::Portal;
use super::statement::STATEMENTS_MAX;
use super::statement::Sent;
use super::statement::StatementEntry;
use crate::hook::Protocol;
use crate::pipeline::Permit;
use crate::sqlstate::SqlState;
use crate::wire::encode;
use crate::wire::frame::HEADER_BYTES;
use crate::wire::frame::Header;
use crate::wire::frontend;
use crate::wire::frontend::Target;
use bytes::Buf as _;
use std::sync::Arc;

/// Portal and statement name of a Bind together.
const NAMES_BYTES_MAX: usize = 8 * 1024;

impl Session {
    /// A Parse message, whole.
    pub(super) async fn parse(&mut self, message: &[u8]) -> Result<(), End> {
        let parse = frontend::parse(&message[HEADER_BYTES..])?;
        self.begin_statement().await?;
        self.text_bytes = parse.sql.len();
        if let Some(error) = self.cannot_prepare(parse.name) {
            self.fail_batch(&error);
            return Ok(());
        }
        if let Some(Refused(error)) = self.cannot_read_now(parse.sql, Protocol::Extended) {
            self.refuse_batch(error);
            return Ok(());
        }
        let decided = match self
            .decide(parse.sql, Protocol::Extended, Among::ALONE, None)
            .await
        {
            Ok(decided) => decided,
            Err(Refused(error)) => {
                self.refuse_batch(error);
                return Ok(());
            }
        };
        let settings = self.settings.meaning();
        let entry = StatementEntry::new(parse.sql, parse.types, settings, decided);
        match entry.decided.go.clone() {
            Go::Reply(_) => {
                let mut bytes = Vec::new();
                encode::parse_complete(&mut bytes);
                self.reply(&bytes);
            }
            // With a cache's answer at hand for what is bound to it, no node need hear of it at all.
            Go::Node(permit)
                if self.knows_statement(&permit, &entry.sent.sql, &entry.sent.types) =>
            {
                let mut bytes = Vec::new();
                encode::parse_complete(&mut bytes);
                self.reply(&bytes);
            }
            Go::Node(permit) => {
                if !self.lease_for_batch(&permit, false).await? {
                    return Ok(());
                }
                self.prepare_for_deallocate(&entry.decided.after);
                self.send_parse(&permit, &entry.sent, parse.name, false);
            }
        }
        self.batch_open = true;
        self.statements.fresh = Some(parse.name.into());
        self.statements.named.insert(parse.name, entry);
        Ok(())
    }

    fn cannot_prepare(&self, name: &[u8]) -> Option<StatementError> {
        if name.is_empty() {
            return None;
        }
        if self.statements.named.get(name).is_some() {
            let message = format!(
                "prepared statement \"{}\" already exists",
                String::from_utf8_lossy(name)
            );
            return Some(StatementError::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                message,
            ));
        }
        (STATEMENTS_MAX <= self.statements.named.len()).then(|| {
            StatementError::new(
                SqlState::CONFIGURATION_LIMIT_EXCEEDED,
                "too many prepared statements in this session",
            )
        })
    }

    /// DEALLOCATE of a statement that the client prepared by Parse names it by our name for it, and needs it to be on the
    /// server connection in hand.
    fn prepare_for_deallocate(&mut self, after: &After) {
        let After::Deallocate { name, key: Some(_) } = after else {
            return;
        };
        let Some(entry) = self.statements.named.get(name.as_bytes()) else {
            return;
        };
        if let Go::Node(permit) = entry.decided.go.clone() {
            let sent = Arc::clone(&entry.sent);
            self.ensure_prepared(&permit, &sent, name.as_bytes());
        }
    }

    /// Sends a Parse, or answers it ourselves when the server connection knows the statement already.
    fn send_parse(&mut self, permit: &Permit, sent: &Sent, name: &[u8], hidden: bool) {
        let Some(server) = &mut self.server else {
            return;
        };
        if name.is_empty() {
            server.send_parse_unnamed(permit, sent.key, &sent.sql, &sent.types);
        } else if self.tx != b'E' && server.knows(sent.key) {
            if !hidden {
                let mut bytes = Vec::new();
                encode::parse_complete(&mut bytes);
                self.reply_undoable(&bytes, Some(Undo::Forget { name: name.into() }));
            }
            return;
        } else if let Some(evicted) = server.send_parse(permit, sent.key, &sent.sql, &sent.types) {
            self.inflight.push(Expect::Close {
                evicted: Some(evicted),
            });
        }
        let unnamed = name.is_empty();
        let name = (!hidden).then(|| name.into());
        self.inflight.push(Expect::Parse {
            key: sent.key,
            unnamed,
            hidden,
            name,
        });
    }

    /// Prepares the statement on the server connection in hand, hidden from the client, unless it is there.
    pub(super) fn ensure_prepared(&mut self, permit: &Permit, sent: &Sent, name: &[u8]) {
        let Some(server) = &mut self.server else {
            return;
        };
        let there = if name.is_empty() {
            server.unnamed() == Some(sent.key)
        } else {
            server.knows(sent.key)
        };
        if !there {
            self.send_parse(permit, sent, name, true);
        }
    }

    pub(super) async fn lease_for_batch(
        &mut self,
        permit: &Permit,
        bind: bool,
    ) -> Result<bool, End> {
        let begins = !self.batch_open || self.inflight.is_unheard();
        self.in_batch_message = true;
        self.in_bind = bind;
        let leased = self.lease_or_fail(permit, Session::fail_batch).await;
        self.in_batch_message = false;
        let leased = leased?;
        if leased
            && begins
            && let Some(server) = &mut self.server
        {
            server.start_batch();
        }
        Ok(leased)
    }

    /// A Bind: its names are read, its parameters pass as they come.
    pub(super) async fn take_bind(&mut self, header: Header) -> Result<bool, End> {
        let available = self.client.inbuf.len().min(header.message_bytes());
        let names = match frontend::bind(&self.client.inbuf[HEADER_BYTES..available]) {
            Some(names) => names,
            None if NAMES_BYTES_MAX < available || available == header.message_bytes() => {
                return Err(End::Protocol("malformed Bind message".to_owned()));
            }
            None => {
                self.inbuf_bytes_max = NAMES_BYTES_MAX + HEADER_BYTES;
                return Ok(false);
            }
        };
        let names_bytes = names.names_bytes;
        let (portal, statement): (Box<[u8]>, Box<[u8]>) =
            (names.portal.into(), names.statement.into());
        let is_whole = available == header.message_bytes();
        let is_looked_for = self.may_be_cached(&statement) && header.body_bytes <= BIND_BYTES_MAX;
        if is_looked_for && !is_whole {
            self.inbuf_bytes_max = header.message_bytes();
            return Ok(false);
        }
        self.begin_statement().await?;
        self.text_bytes = 0;
        let rest = is_looked_for.then(|| {
            let rest = &self.client.inbuf[HEADER_BYTES + names_bytes..header.message_bytes()];
            Box::<[u8]>::from(rest)
        });
        let Some(mut decided) = self.decide_bind(&statement, rest.as_deref()).await else {
            self.client.inbuf.advance(HEADER_BYTES);
            self.passing = Passing::Discard(header.body_bytes);
            return Ok(true);
        };
        if let Some(answer) = decided.answer.take() {
            self.client.inbuf.advance(header.message_bytes());
            let mut made = Portal::of(decided);
            made.given = Some(Given::new(answer));
            self.bind_ours(&portal, made);
            return Ok(true);
        }
        let Go::Node(permit) = decided.go.clone() else {
            if self.client.inbuf.len() < header.message_bytes() {
                self.inbuf_bytes_max = header.message_bytes();
                self.statements.fresh = Some(statement);
                return Ok(false);
            }
            let message = self.client.inbuf.split_to(header.message_bytes());
            let mut made = Portal::of(decided);
            made.binary = message.ends_with(&[0, 1, 0, 1]);
            self.bind_ours(&portal, made);
            return Ok(true);
        };
        let rest = header.body_bytes - names_bytes;
        self.client.inbuf.advance(HEADER_BYTES + names_bytes);
        self.passing = Passing::Discard(rest);
        if self.lease_for_batch(&permit, true).await? {
            self.bind_on_node(&permit, portal, decided, &statement, rest);
        }
        Ok(true)
    }

    /// A Bind that we answer: no node hears of it.
    fn bind_ours(&mut self, name: &[u8], portal: Portal) {
        let mut bytes = Vec::new();
        encode::bind_complete(&mut bytes);
        self.reply(&bytes);
        self.statements.portals.insert(name, portal);
        self.batch_open = true;
    }

    /// A Bind of which `rest` bytes are still to be passed on.
    fn bind_on_node(
        &mut self,
        permit: &Permit,
        name: Box<[u8]>,
        decided: Decided,
        statement: &[u8],
        rest: usize,
    ) {
        let taken = decided.fills.then(|| name.clone());
        self.send_bind(permit, name, Portal::of(decided), statement, rest);
        self.passing = match rest {
            0 => Passing::Nothing,
            rest => Passing::Forward(rest),
        };
        self.batch_open = true;
        if let Some(name) = taken {
            self.pass();
            self.describe_for_cache(&name);
        }
    }

    /// The decision for a Bind: the one of its Parse when that was in this batch, a new one otherwise. `None` when the
    /// client has been told that it failed.
    async fn decide_bind(&mut self, statement: &[u8], rest: Option<&[u8]>) -> Option<Decided> {
        self.portal_is_replaced();
        let fresh = self
            .statements
            .fresh
            .take()
            .is_some_and(|fresh| *fresh == *statement);
        let Some(entry) = self.statements.named.get(statement) else {
            self.fail_batch(&unknown_statement(statement));
            return None;
        };
        let (sql, sent) = (Arc::clone(&entry.sql), Arc::clone(&entry.sent));
        let bound = rest.map(|rest| Bound {
            types: &sent.types,
            rest,
        });
        if fresh {
            let mut decided = entry.decided.clone();
            let unwritten = self.statements.unwritten.take();
            if let Some(bound) = bound {
                self.look_up_decided(&mut decided, &sent.sql, bound);
            }
            if let (Some(unwritten), true) = (unwritten, decided.answer.is_some()) {
                unwritten.answered();
            }
            return Some(decided);
        }
        let decided = match self
            .decide(&sql, Protocol::Extended, Among::ALONE, bound)
            .await
        {
            Ok(decided) => decided,
            Err(Refused(error)) => {
                self.refuse_batch(error);
                return None;
            }
        };
        let settings = self.settings.meaning();
        if let Some(entry) = self.statements.named.get_mut(statement) {
            entry.decide_again(settings, decided.clone());
        }
        Some(decided)
    }

    /// Whether the answer of what is bound to the statement may be in a cache. A policy that has changed since the last Bind is
    /// found out by this one, and counts for the next.
    fn may_be_cached(&self, statement: &[u8]) -> bool {
        let entry = self.statements.named.get(statement);
        entry.is_some_and(
            |entry| matches!(&entry.decided.go, Go::Node(permit) if permit.cache().is_some()),
        )
    }

    /// A kept answer has its columns, whether the client that caused it to be kept asked for them or not.
    fn describe_for_cache(&mut self, portal: &[u8]) {
        self.fill_from_portal(portal);
        if let Some(server) = &mut self.server {
            server.send_describe_portal(portal);
            self.inflight.push(Expect::Describe { hidden: true });
        }
    }

    fn send_bind(
        &mut self,
        permit: &Permit,
        name: Box<[u8]>,
        portal: Portal,
        statement: &[u8],
        rest: usize,
    ) {
        let Some(entry) = self.statements.named.get(statement) else {
            return;
        };
        let sent = Arc::clone(&entry.sent);
        self.ensure_prepared(permit, &sent, statement);
        if let Some(server) = &mut self.server {
            let known_as = (!statement.is_empty()).then_some(sent.key);
            server.send_bind(permit, &name, known_as, rest);
            self.inflight.push(Expect::Bind { name, portal });
        }
    }

    /// Close of a statement or a portal. A statement is closed for this client only; on server connections it stays for
    /// whoever prepares the same text next.
    pub(super) fn close(&mut self, message: &[u8]) -> Result<(), End> {
        match frontend::target(&message[HEADER_BYTES..])? {
            Target::Statement(name) => {
                let entry = self.statements.named.remove(name);
                let mut bytes = Vec::new();
                encode::close_complete(&mut bytes);
                if self.inflight.is_empty() {
                    self.client.out.extend_from_slice(&bytes);
                } else {
                    let undo = entry.map(|entry| Undo::Restore {
                        name: name.into(),
                        entry: Box::new(entry),
                    });
                    self.inflight.push(Expect::Local {
                        bytes: bytes.into(),
                        undo,
                    });
                }
            }
            Target::Portal(name) => {
                let ours = self
                    .statements
                    .portals
                    .remove(name)
                    .is_some_and(|p| p.given.is_some() || matches!(p.decided.go, Go::Reply(_)));
                if self.server.is_some() && !ours {
                    self.send_expecting(message, Expect::Close { evicted: None });
                } else {
                    let mut bytes = Vec::new();
                    encode::close_complete(&mut bytes);
                    self.reply(&bytes);
                }
            }
        }
        Ok(())
    }

    /// Sync ends the batch.
    pub(super) fn sync(&mut self, message: &[u8]) {
        if self.copy_in {
            // PostgreSQL ignores a Sync while it reads COPY data.
            return;
        }
        self.skip_to_sync = false;
        // All of it was answered here, and no node has heard of it.
        let is_ours = self.batch_open && self.tx == b'I' && self.inflight.is_unheard();
        self.batch_open = false;
        self.statements.fresh = None;
        self.statements.unwritten = None;
        self.may_recode = false;
        match &mut self.server {
            _ if is_ours => {
                self.statements.portals.clear();
                encode::ready_for_query(&mut self.client.out, self.tx);
            }
            Some(server) => {
                server.send_control(message);
                self.inflight.push(Expect::Sync);
            }
            None => encode::ready_for_query(&mut self.client.out, self.tx),
        }
    }
}

pub(super) fn unknown_statement(name: &[u8]) -> StatementError {
    let message = match name {
        b"" => "unnamed prepared statement does not exist".to_owned(),
        _ => format!(
            "prepared statement \"{}\" does not exist",
            String::from_utf8_lossy(name)
        ),
    };
    StatementError::new(SqlState::INVALID_STATEMENT_NAME, message)
}
