//! ErrorResponse and NoticeResponse: written for clients, read from nodes (PostgreSQL manual, "Error and Notice Message Fields").

use super::encode;
use super::frame;
use crate::sqlstate::SqlState;

/// What an error or notice says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ErrorFields<'a> {
    /// `ERROR`, `FATAL`, `NOTICE`, `WARNING`.
    pub severity: &'a str,
    /// The SQLSTATE.
    pub code: SqlState,
    /// The primary message.
    pub message: &'a str,
    /// More about it.
    pub detail: Option<&'a str>,
    /// What to do about it.
    pub hint: Option<&'a str>,
}

impl<'a> ErrorFields<'a> {
    /// A statement's error; the session goes on.
    #[must_use]
    pub const fn error(code: SqlState, message: &'a str) -> Self {
        Self {
            severity: "ERROR",
            code,
            message,
            detail: None,
            hint: None,
        }
    }

    /// An error that ends the session.
    #[must_use]
    pub const fn fatal(code: SqlState, message: &'a str) -> Self {
        Self {
            severity: "FATAL",
            code,
            message,
            detail: None,
            hint: None,
        }
    }

    /// Appends an ErrorResponse (B).
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_as(b'E', out);
    }

    /// Appends a NoticeResponse (B).
    pub fn encode_notice(&self, out: &mut Vec<u8>) {
        self.encode_as(b'N', out);
    }

    fn encode_as(&self, tag: u8, out: &mut Vec<u8>) {
        encode::message(out, tag, |out| {
            let mut field = |kind: u8, text: &str| {
                out.push(kind);
                encode::cstr(out, text.as_bytes());
            };
            field(b'S', self.severity);
            field(b'V', self.severity);
            field(b'C', self.code.as_str());
            field(b'M', self.message);
            if let Some(detail) = self.detail {
                field(b'D', detail);
            }
            if let Some(hint) = self.hint {
                field(b'H', hint);
            }
            out.push(0);
        });
    }
}

/// The SQLSTATE and message of an ErrorResponse's body. A node that leaves them out gets XX000 and an empty message.
#[must_use]
pub fn parse_error(body: &[u8]) -> (SqlState, String) {
    let mut code = SqlState::INTERNAL_ERROR;
    let mut text = String::new();
    let mut rest = body;
    while let Some((&kind, after)) = rest.split_first() {
        if kind == 0 {
            break;
        }
        let Some((value, next)) = frame::cstr(after) else {
            break;
        };
        match kind {
            b'C' => {
                code = std::str::from_utf8(value)
                    .ok()
                    .and_then(SqlState::parse)
                    .unwrap_or(code)
            }
            b'M' => text = String::from_utf8_lossy(value).into_owned(),
            _ => (),
        }
        rest = next;
    }
    (code, text)
}

/// Appends the ErrorResponse (B) of that body without its detail, which may show a whole row.
pub fn without_detail(body: &[u8], out: &mut Vec<u8>) {
    encode::message(out, b'E', |out| {
        let mut rest = body;
        while let Some((&kind, after)) = rest.split_first() {
            let Some((value, next)) = frame::cstr(after).filter(|_| kind != 0) else {
                break;
            };
            if kind != b'D' {
                out.push(kind);
                encode::cstr(out, value);
            }
            rest = next;
        }
        out.push(0);
    });
}

/// Whether the error is one after which the node closes the connection: the untranslated severity says so.
#[must_use]
pub fn is_fatal(body: &[u8]) -> bool {
    let mut rest = body;
    while let Some((&kind, after)) = rest.split_first() {
        let Some((value, next)) = frame::cstr(after) else {
            return false;
        };
        if kind == b'V' {
            return matches!(value, b"FATAL" | b"PANIC");
        }
        rest = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut out = Vec::new();
        ErrorFields {
            hint: Some("ask"),
            ..ErrorFields::error(SqlState::INSUFFICIENT_PRIVILEGE, "no")
        }
        .encode(&mut out);
        assert_eq!(out[0], b'E');
        assert_eq!(
            parse_error(&out[5..]),
            (SqlState::INSUFFICIENT_PRIVILEGE, "no".to_owned())
        );
    }

    #[test]
    fn a_detail_is_left_out() {
        let mut out = Vec::new();
        without_detail(b"SERROR\0C23502\0Mno D\0DFailing row\0Ht\0\0", &mut out);
        assert_eq!(&out[5..], b"SERROR\0C23502\0Mno D\0Ht\0\0");
        let mut out = Vec::new();
        without_detail(b"SERROR\0Dx", &mut out);
        assert_eq!(&out[5..], b"SERROR\0\0");
    }

    #[test]
    fn only_the_severity_makes_an_error_fatal() {
        assert!(is_fatal(b"SFATAL\0VFATAL\0C57P01\0Mbye\0\0"));
        assert!(!is_fatal(b"SERROR\0VERROR\0CP0001\0MxVFATAL\0\0"));
        assert!(!is_fatal(b"\0") && !is_fatal(b"V"));
    }

    #[test]
    fn an_error_without_fields_is_no_crash() {
        for body in [&b""[..], b"\0", b"C", b"Cxx\0\0", b"M\xff\0\0"] {
            assert_eq!(parse_error(body).0, SqlState::INTERNAL_ERROR);
        }
    }
}
