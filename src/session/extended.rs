//! The extended query protocol: Parse, Bind, Describe, Execute, Close, Sync.
//!
//! A statement is decided at its Parse, and that decision is used by the first Bind of the same batch; every later Bind
//! decides anew, so that a reload or a change of circumstances reaches statements that were prepared before. On server
//! connections statements have names of ours, so that any connection can serve any client.

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
        self.settle_before_statement().await?;
        self.refresh_world()?;
        let cannot = self
            .cannot_prepare(parse.name)
            .or_else(|| self.cannot_read_now(parse.sql, Protocol::Extended));
        if let Some(error) = cannot {
            self.fail_batch(&error);
            return Ok(());
        }
        let decided = match self
            .decide(parse.sql, Protocol::Extended, Among::ALONE)
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

    /// Before ReadyForQuery the node does not say what became of `client_encoding`. A text that reads the same in every
    /// encoding may follow a statement that could have changed it; another one waits for the end of the batch.
    pub(super) fn cannot_read_now(&self, sql: &[u8], protocol: Protocol) -> Option<StatementError> {
        let unsure = self.may_recode && self.batch_open && !sql.is_ascii();
        if !unsure || self.binding.pipeline.is_plain() {
            return None;
        }
        let error = StatementError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "a statement with characters beyond ASCII cannot follow one that may change the encoding in the same batch",
        );
        self.refused_by("unreadable", protocol, "", &error);
        Some(error)
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
        self.in_batch_message = true;
        self.in_bind = bind;
        let leased = self.lease_or_fail(permit, Session::fail_batch).await;
        self.in_batch_message = false;
        let leased = leased?;
        if leased
            && !self.batch_open
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
        self.settle_before_statement().await?;
        self.refresh_world()?;
        let Some(decided) = self.decide_bind(&statement).await else {
            self.client.inbuf.advance(HEADER_BYTES);
            self.passing = Passing::Discard(header.body_bytes);
            return Ok(true);
        };
        match decided.go.clone() {
            Go::Node(permit) => {
                let rest = header.body_bytes - names_bytes;
                self.client.inbuf.advance(HEADER_BYTES + names_bytes);
                self.passing = Passing::Discard(rest);
                if !self.lease_for_batch(&permit, true).await? {
                    return Ok(true);
                }
                let made = Portal {
                    decided,
                    binary: false,
                    replied: false,
                };
                self.send_bind(&permit, portal, made, &statement, rest);
                self.passing = Passing::Forward(rest);
            }
            Go::Reply(_) => {
                if self.client.inbuf.len() < header.message_bytes() {
                    self.inbuf_bytes_max = header.message_bytes();
                    self.statements.fresh = Some(statement);
                    return Ok(false);
                }
                let message = self.client.inbuf.split_to(header.message_bytes());
                let binary = message.ends_with(&[0, 1, 0, 1]);
                let mut bytes = Vec::new();
                encode::bind_complete(&mut bytes);
                self.reply(&bytes);
                self.statements.portals.insert(
                    &portal,
                    Portal {
                        decided,
                        binary,
                        replied: false,
                    },
                );
            }
        }
        self.batch_open = true;
        if self.passing == Passing::Forward(0) {
            self.passing = Passing::Nothing;
        }
        Ok(true)
    }

    /// The decision for a Bind: the one of its Parse when that was in this batch, a new one otherwise. `None` when the
    /// client has been told that it failed.
    async fn decide_bind(&mut self, statement: &[u8]) -> Option<Decided> {
        let fresh = self
            .statements
            .fresh
            .take()
            .is_some_and(|fresh| *fresh == *statement);
        let Some(entry) = self.statements.named.get(statement) else {
            self.fail_batch(&unknown_statement(statement));
            return None;
        };
        if fresh {
            return Some(entry.decided.clone());
        }
        let sql = Arc::clone(&entry.sql);
        let decided = match self.decide(&sql, Protocol::Extended, Among::ALONE).await {
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
                        entry,
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
                    .is_some_and(|p| matches!(p.decided.go, Go::Reply(_)));
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
        self.batch_open = false;
        self.statements.fresh = None;
        self.may_recode = false;
        match &mut self.server {
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
