//! Five-character SQLSTATE codes: the type and the codes this proxy answers with.
//! Owns no message texts and no framing; those belong to the errors and to `session/refuse`.

use std::fmt;

/// A SQLSTATE: five ASCII digits or upper-case letters (PostgreSQL manual, appendix A).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// 00000: no error.
    pub const SUCCESS: Self = Self(*b"00000");
    /// 08006: the connection to a node failed or could not be made.
    pub const CONNECTION_FAILURE: Self = Self(*b"08006");
    /// 08P01: bytes that are not the PostgreSQL protocol.
    pub const PROTOCOL_VIOLATION: Self = Self(*b"08P01");
    /// 0A000: valid, but not offered here.
    pub const FEATURE_NOT_SUPPORTED: Self = Self(*b"0A000");
    /// 26000: no prepared statement of that name.
    pub const INVALID_STATEMENT_NAME: Self = Self(*b"26000");
    /// 28000: this user may not connect so.
    pub const INVALID_AUTHORIZATION: Self = Self(*b"28000");
    /// 28P01: wrong password (or unknown user, which looks the same).
    pub const INVALID_PASSWORD: Self = Self(*b"28P01");
    /// 34000: no portal of that name.
    pub const INVALID_CURSOR_NAME: Self = Self(*b"34000");
    /// 3D000: no such database.
    pub const INVALID_CATALOG_NAME: Self = Self(*b"3D000");
    /// 42000: refused by policy where the policy names no other code.
    pub const ACCESS_RULE_VIOLATION: Self = Self(*b"42000");
    /// 42501: not allowed.
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(*b"42501");
    /// 42601: the text is not a statement.
    pub const SYNTAX_ERROR: Self = Self(*b"42601");
    /// 42P05: a prepared statement of that name exists.
    pub const DUPLICATE_PREPARED_STATEMENT: Self = Self(*b"42P05");
    /// 53300: too many connections.
    pub const TOO_MANY_CONNECTIONS: Self = Self(*b"53300");
    /// 53400: a configured limit was reached.
    pub const CONFIGURATION_LIMIT_EXCEEDED: Self = Self(*b"53400");
    /// 54000: larger than a limit allows.
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self(*b"54000");
    /// 57014: cancelled.
    pub const QUERY_CANCELED: Self = Self(*b"57014");
    /// 57P01: the proxy is stopping.
    pub const ADMIN_SHUTDOWN: Self = Self(*b"57P01");
    /// 57P03: not now.
    pub const CANNOT_CONNECT_NOW: Self = Self(*b"57P03");
    /// 57P05: idle for too long.
    pub const IDLE_SESSION_TIMEOUT: Self = Self(*b"57P05");
    /// 58000: a stage failed and its policy is to refuse.
    pub const STAGE_FAULT: Self = Self(*b"58000");
    /// F0000: the policy has mistakes.
    pub const CONFIG_FILE_ERROR: Self = Self(*b"F0000");
    /// XX000: a mistake of ours.
    pub const INTERNAL_ERROR: Self = Self(*b"XX000");

    /// Reads a code; `None` unless it is five ASCII digits or upper-case letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 5] = text.as_bytes().try_into().ok()?;
        code.iter()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
            .then_some(Self(code))
    }

    /// The five characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_five_digits_or_capitals_are_a_code() {
        assert_eq!(
            SqlState::parse("42501"),
            Some(SqlState::INSUFFICIENT_PRIVILEGE)
        );
        assert_eq!(SqlState::parse("57P01"), Some(SqlState::ADMIN_SHUTDOWN));
        for wrong in ["", "4250", "425011", "4250a", "42-01", "4250\u{e9}"] {
            assert_eq!(SqlState::parse(wrong), None, "{wrong}");
        }
    }
}
