//! The attributes of SCRAM messages: `letter=value`, separated by commas. Owns no state.

use super::ScramError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Reads attributes from left to right.
pub(super) struct Attributes<'a> {
    rest: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    /// The attributes of `text`.
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: Some(text) }
    }

    /// The next attribute and the text before it, which a signature may cover.
    fn any(&mut self) -> Option<(char, &'a str)> {
        let rest = self.rest?;
        let (attribute, after) = match rest.split_once(',') {
            Some((attribute, after)) => (attribute, Some(after)),
            None => (rest, None),
        };
        self.rest = after;
        let (letter, value) = attribute.split_once('=')?;
        let mut letters = letter.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) if letter.is_ascii_alphabetic() => Some((letter, value)),
            _ => None,
        }
    }

    /// The value of the next attribute, which must be `letter`.
    pub(super) fn expect(
        &mut self,
        letter: char,
        what: &'static str,
    ) -> Result<&'a str, ScramError> {
        match self.any() {
            Some((found, value)) if found == letter => Ok(value),
            _ => Err(ScramError::Malformed(what)),
        }
    }

    /// The rest of a message may be extensions, which RFC 5802 says to ignore; they must be well formed.
    pub(super) fn only_extensions_follow(&mut self) -> Result<(), ScramError> {
        while self.rest.is_some() {
            if self.any().is_none() {
                return Err(ScramError::Malformed("broken extension"));
            }
        }
        Ok(())
    }
}

/// The message as text, within the limit.
pub(super) fn text(message: &[u8]) -> Result<&str, ScramError> {
    if super::MESSAGE_BYTES_MAX < message.len() {
        return Err(ScramError::Malformed("too long"));
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed("not UTF-8"))
}

/// A nonce: printable ASCII without commas, and some of it.
pub(super) fn nonce(text: &str) -> Result<&str, ScramError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ScramError::Malformed("nonce is not printable"));
    }
    Ok(text)
}

/// Base64, with padding.
pub(super) fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, ScramError> {
    STANDARD
        .decode(text)
        .map_err(|_| ScramError::Malformed(what))
}

/// Base64, with padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
