//! Where something stands in a script's text: Rhai's lines and columns to bytes. Owns nothing else.

use super::super::LoadError;
use super::super::guest::code;
use rhai::ParseError;
use rhai::Position;
use std::ops::Range;

/// The byte a position stands at; the end of the text where Rhai gives none.
pub(super) fn offset(text: &str, position: Position) -> usize {
    let Some(line) = position.line() else {
        return text.len();
    };
    let mut start = 0;
    for _ in 1..line {
        match text[start..].find('\n') {
            Some(end) => start += end + 1,
            None => return text.len(),
        }
    }
    let column = position.position().unwrap_or(1).saturating_sub(1);
    text[start..]
        .char_indices()
        .nth(column)
        .map_or(text.len(), |(byte, _)| start + byte)
}

/// The identifier that stands there with the modules before it, as in `kv::set`, or one character.
pub(super) fn word(text: &str, position: Position) -> Range<usize> {
    let start = offset(text, position);
    let rest = &text[start..];
    let mut word = identifier(rest);
    while word != 0 && rest[word..].starts_with("::") && identifier(&rest[word + 2..]) != 0 {
        word += 2 + identifier(&rest[word + 2..]);
    }
    let len = if word == 0 {
        rest.chars().next().map_or(0, char::len_utf8)
    } else {
        word
    };
    start..start + len
}

/// Bytes of the identifier that `text` begins with.
fn identifier(text: &str) -> usize {
    text.find(|char: char| !char.is_alphanumeric() && char != '_')
        .unwrap_or(text.len())
}

/// A parse error as a diagnostic.
pub(super) fn syntax_error(text: &str, error: &ParseError) -> LoadError {
    LoadError::new(
        code::SYNTAX,
        format!("the script cannot be parsed: {}", error.err_type()),
    )
    .at(word(text, error.position()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters_and_spans_are_bytes() {
        let text = "let a = \"\u{e4}\u{f6}\"; foo;\nbar";
        assert_eq!(&text[word(text, Position::new(1, 15))], "foo");
        assert_eq!(&text[word(text, Position::new(2, 1))], "bar");
        assert_eq!(
            &"kv::set(1)"[word("kv::set(1)", Position::new(1, 1))],
            "kv::set"
        );
        assert_eq!(word(text, Position::NONE), text.len()..text.len());
        assert_eq!(word(text, Position::new(9, 1)), text.len()..text.len());
    }
}
