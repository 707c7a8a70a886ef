//! Describe and Execute: what is asked of prepared statements and portals that exist. Making and closing them is
//! `extended`'s.

use super::end::End;
use super::extended::unknown_statement;
use super::inflight::Expect;
use super::messages::StatementError;
use super::relay::Session;
use super::simple::encode_rows;
use super::statement::Decided;
use super::statement::Go;
use super::statement::Portal;
use super::statement::Running;
use crate::hook::Rows;
use crate::sqlstate::SqlState;
use crate::wire::encode;
use crate::wire::frame::HEADER_BYTES;
use crate::wire::frontend;
use crate::wire::frontend::Target;
use std::sync::Arc;
use std::time::Duration;

/// Flush (F).
const FLUSH: &[u8] = b"H\0\0\0\x04";

impl Session {
    /// Describe of a statement or a portal.
    pub(super) async fn describe(&mut self, message: &[u8]) -> Result<(), End> {
        match frontend::target(&message[HEADER_BYTES..])? {
            Target::Statement(name) => self.describe_statement(name).await,
            Target::Portal(name) => {
                match self.statements.portals.get(name) {
                    Some(Portal {
                        given: Some(given), ..
                    }) => {
                        let answer = Arc::clone(&given.answer);
                        self.reply(&answer.head);
                    }
                    Some(Portal {
                        decided:
                            Decided {
                                go: Go::Reply(rows),
                                ..
                            },
                        binary,
                        ..
                    }) => {
                        let mut bytes = Vec::new();
                        encode::row_description(
                            &mut bytes,
                            rows.columns.iter().map(String::as_str),
                            *binary,
                        );
                        self.reply(&bytes);
                    }
                    None if self.knows_no_portal(name) => self.fail_batch(&unknown_portal(name)),
                    _ => self.send_expecting(message, Expect::Describe { hidden: false }),
                }
                Ok(())
            }
        }
    }

    async fn describe_statement(&mut self, name: &[u8]) -> Result<(), End> {
        let Some(entry) = self.statements.named.get(name) else {
            self.fail_batch(&unknown_statement(name));
            return Ok(());
        };
        let sent = Arc::clone(&entry.sent);
        let permit = match &entry.decided.go {
            Go::Reply(rows) => {
                let mut bytes = Vec::new();
                encode::message(&mut bytes, b't', |out| out.extend_from_slice(&[0, 0]));
                encode::row_description(&mut bytes, rows.columns.iter().map(String::as_str), false);
                self.reply(&bytes);
                return Ok(());
            }
            Go::Node(permit) => permit.clone(),
        };
        if !self.lease_for_batch(&permit, false).await? {
            return Ok(());
        }
        self.ensure_prepared(&permit, &sent, name);
        if let Some(server) = &mut self.server {
            server.send_describe((!name.is_empty()).then_some(sent.key));
            self.inflight.push(Expect::Describe { hidden: false });
            self.batch_open = true;
        }
        Ok(())
    }

    /// Whether there can be no portal of that name: none was bound, and no cursor can have been declared.
    fn knows_no_portal(&self, name: &[u8]) -> bool {
        let is_heard = self.batch_open && !self.inflight.is_unheard();
        self.tx == b'I' && !is_heard && self.inflight.portal(name).is_none()
    }

    /// Execute of a portal.
    pub(super) async fn execute(&mut self, message: &[u8]) -> Result<(), End> {
        let (name, rows_max) = frontend::execute(&message[HEADER_BYTES..])?;
        let pending = self
            .inflight
            .portal(name)
            .map(|portal| portal.decided.clone());
        if pending.is_none() && self.give_to_execute(name, rows_max) {
            return Ok(());
        }
        let nowhere = self.knows_no_portal(name);
        let bound = self.statements.portals.get_mut(name);
        let decided = match (pending, bound) {
            (Some(decided), _) => decided,
            (None, Some(portal)) => {
                if let Go::Reply(rows) = &portal.decided.go {
                    let rows = if portal.replied {
                        no_rows(rows)
                    } else {
                        rows.clone()
                    };
                    portal.replied = true;
                    let decided = portal.decided.clone();
                    self.reply_with(&decided, &rows);
                    return Ok(());
                }
                portal.decided.clone()
            }
            // A cursor of DECLARE is a portal too; it was decided when it was declared.
            (None, None) if nowhere => {
                self.fail_batch(&unknown_portal(name));
                return Ok(());
            }
            (None, None) => {
                self.send_expecting(message, Expect::Execute(Running::unobserved()));
                return Ok(());
            }
        };
        let Go::Node(permit) = &decided.go else {
            return Ok(());
        };
        let mut running = Running::of(&decided);
        running.fills = self.fills_by_execute(name, rows_max);
        self.note_sent([&decided.after].into_iter());
        self.note_effects(&decided.effects);
        self.limit_time(permit, running.started);
        self.may_recode |= decided.may_recode;
        self.send_expecting(message, Expect::Execute(running));
        if decided.after.changes_what_exists()
            && let Some(server) = &mut self.server
        {
            // What exists after it is a fact that the next message is decided by.
            server.send_control(FLUSH);
            self.drain_answers().await?;
        }
        Ok(())
    }

    fn reply_with(&mut self, decided: &Decided, rows: &Rows) {
        let mut bytes = Vec::new();
        encode_rows(rows, &mut bytes);
        self.reply(&bytes);
        self.reply_ended(decided, rows.rows.len(), bytes.len(), Duration::ZERO);
    }

    pub(super) fn send_expecting(&mut self, message: &[u8], expect: Expect) {
        if let Some(server) = &mut self.server {
            server.send_control(message);
            self.inflight.push(expect);
            self.batch_open = true;
        }
    }
}

fn no_rows(rows: &Rows) -> Rows {
    Rows {
        columns: rows.columns.clone(),
        rows: Vec::new(),
    }
}

fn unknown_portal(name: &[u8]) -> StatementError {
    let message = format!(
        "portal \"{}\" does not exist",
        String::from_utf8_lossy(name)
    );
    StatementError::new(SqlState::INVALID_CURSOR_NAME, message)
}
