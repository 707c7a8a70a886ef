//! Which texts of the client the stages can read as the server will: encodings, and how strings are written. What cannot be read
//! is refused where there are stages.

use super::decide::Refused;
use super::messages::StatementError;
use super::relay::Session;
use crate::hook::Protocol;
use crate::sqlstate::SqlState;

/// Encodings in which the server reads a text as we do. In every other, only ASCII is the same to both.
fn is_readable(encoding: &str) -> bool {
    ["UTF8", "SQL_ASCII"].contains(&encoding)
}

/// Why texts cannot be read as the server reads them, if they cannot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unreadable {
    encoding: bool,
    strings: bool,
}

impl Unreadable {
    fn why(self) -> Option<&'static str> {
        match (self.encoding, self.strings) {
            (true, _) => {
                Some("characters beyond ASCII mean something else in this client encoding")
            }
            (_, true) => Some("standard_conforming_strings is off"),
            (false, false) => None,
        }
    }
}

impl Session {
    /// Why the server would read the text otherwise than the stages.
    fn misread(&self, sql: &[u8]) -> Option<&'static str> {
        let why = self.unreadable.why();
        why.filter(|_| !sql.is_ascii() || self.unreadable.strings)
    }

    /// The text, if the stages can read it as the server does.
    pub(super) fn text_if_readable<'a>(&self, sql: &'a [u8]) -> Option<&'a str> {
        let text = std::str::from_utf8(sql).ok();
        text.filter(|_| self.misread(sql).is_none())
    }

    /// The text as the stages can read it.
    pub(super) fn readable<'a>(
        &self,
        sql: &'a [u8],
        protocol: Protocol,
    ) -> Result<&'a str, Refused> {
        let why = self.misread(sql);
        let error = match (std::str::from_utf8(sql), why) {
            (Ok(text), None) => return Ok(text),
            (Err(_), _) => StatementError::new(
                SqlState::SYNTAX_ERROR,
                "statement is not UTF-8, and the policy refuses what it cannot read",
            ),
            (Ok(_), Some(why)) => StatementError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("the policy refuses what it cannot read, and {why}"),
            ),
        };
        Err(self.refused_by("unreadable", protocol, "", &error))
    }

    /// Before ReadyForQuery the node does not say what became of `client_encoding`. A text that reads the same in every
    /// encoding may follow a statement that could have changed it; another one waits for the end of the batch.
    pub(super) fn cannot_read_now(&self, sql: &[u8], protocol: Protocol) -> Option<Refused> {
        let unsure = self.may_recode && self.batch_open && !sql.is_ascii();
        if !unsure || self.binding.pipeline.is_plain() {
            return None;
        }
        let error = StatementError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "a statement with characters beyond ASCII cannot follow one that may change the encoding in the same batch",
        );
        Some(self.refused_by("unreadable", protocol, "", &error))
    }

    /// Whether texts can be read as the server reads them.
    pub(super) fn is_readable(&self) -> bool {
        self.unreadable.why().is_none()
    }

    /// Notes what the node says of encoding and strings.
    pub(super) fn note_encoding(&mut self, parameters: &[(String, String)]) {
        for (name, value) in parameters {
            match name.as_str() {
                "client_encoding" => self.unreadable.encoding = !is_readable(value),
                "standard_conforming_strings" => self.unreadable.strings = value == "off",
                _ => (),
            }
        }
    }
}
