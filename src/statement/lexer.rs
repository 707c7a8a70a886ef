//! PostgreSQL's lexical rules (src/backend/parser/scan.l) in one pass over bytes, without allocation.
//! Owns where a token begins and ends; not what a word means (`keyword`) nor what a statement does (`classify`).
//!
//! Every rule that decides where a string, a comment or a name ends is followed to the letter, because a proxy that
//! believes a string to be longer or shorter than the server does can be talked past: nested comments, dollar quotes,
//! `''`, backslashes in `E''`, strings continued after a line break, operators that end before a comment.

use memchr::memchr;
use memchr::memchr2;
use memchr::memmem;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lexeme {
    /// An unquoted name or keyword.
    Word,
    /// `"name"`.
    Quoted,
    /// `U&"name"`.
    UnicodeQuoted,
    /// A string constant of any kind but the next.
    Text,
    /// `E'..'`, whose backslashes escape.
    EscapeText,
    /// A number.
    Number,
    /// `$1`.
    Param,
    /// An operator.
    Operator,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `[`
    OpenBracket,
    /// `]`
    CloseBracket,
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// `.`
    Dot,
    /// `:`, `:=` and `..`, which only slices, named arguments and procedural code have.
    Colon,
    /// `::`
    Cast,
    /// Bytes PostgreSQL cannot read either: an open string or comment, a stray character.
    Bad,
    /// The end of the text.
    End,
}

/// One token: bytes `start..end` of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub(crate) lexeme: Lexeme,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What a backslash means in a plain string: the setting `standard_conforming_strings`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Backslash {
    /// A character like any other: the setting is on, as it is since PostgreSQL 9.1.
    Plain,
    /// It escapes, as in `E''`: the setting is off.
    Escapes,
}

/// Reads tokens one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    backslash: Backslash,
    suspicious: bool,
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of the text.
    pub(crate) fn new(text: &'a str) -> Self {
        Self::with_backslash(text, Backslash::Plain)
    }

    /// Starts at the beginning, with the meaning of backslashes said.
    fn with_backslash(text: &'a str, backslash: Backslash) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
            backslash,
            suspicious: false,
        }
    }

    /// Whether a plain string has met a quote right after a backslash, so that its end depends on a setting.
    #[inline]
    pub(crate) fn is_suspicious(&self) -> bool {
        self.suspicious
    }

    /// The next token; [`Lexeme::End`] for ever at the end.
    #[inline]
    pub(crate) fn token(&mut self) -> Token {
        let Some(start) = self.skip_blanks() else {
            let start = self.at;
            self.at = self.bytes.len();
            return Token {
                lexeme: Lexeme::Bad,
                start,
                end: self.at,
            };
        };
        let Some(&byte) = self.bytes.get(start) else {
            return Token {
                lexeme: Lexeme::End,
                start,
                end: start,
            };
        };
        let (lexeme, end) = match CLASSES[usize::from(byte)] {
            Class::Letter => self.word(start),
            Class::Digit => (Lexeme::Number, self.number(start)),
            Class::Operator => (Lexeme::Operator, self.operator(start)),
            Class::Quote => self.string(start + 1, self.backslash == Backslash::Escapes),
            Class::Single => self.single(start, byte),
            Class::Dollar => self.dollar(start),
            Class::Blank | Class::Bad => (Lexeme::Bad, start + 1),
        };
        self.at = end;
        Token { lexeme, start, end }
    }

    fn peek(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// Skips white space and comments; `None` when a block comment does not end.
    #[inline]
    fn skip_blanks(&mut self) -> Option<usize> {
        loop {
            match self.peek(self.at) {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'-' if self.peek(self.at + 1) == b'-' => self.at = self.line_end(self.at + 2),
                b'/' if self.peek(self.at + 1) == b'*' => {
                    self.at = self.comment_end(self.at + 2)?
                }
                _ => return Some(self.at),
            }
        }
    }

    fn line_end(&self, at: usize) -> usize {
        memchr2(b'\n', b'\r', &self.bytes[at..]).map_or(self.bytes.len(), |found| at + found)
    }

    /// The end of a block comment whose `/*` ends at `at`; comments nest.
    fn comment_end(&self, mut at: usize) -> Option<usize> {
        let mut depth = 1_usize;
        loop {
            at += memchr2(b'*', b'/', self.bytes.get(at..)?)?;
            match (self.bytes[at], self.peek(at + 1)) {
                (b'*', b'/') => {
                    at += 2;
                    depth -= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                (b'/', b'*') => {
                    at += 2;
                    depth += 1;
                }
                _ => at += 1,
            }
        }
    }

    #[inline]
    fn word(&mut self, start: usize) -> (Lexeme, usize) {
        let next = self.peek(start + 1);
        if next == b'\'' {
            match self.bytes[start] {
                b'e' | b'E' => return self.string_as(Lexeme::EscapeText, start + 2, true),
                b'b' | b'B' | b'x' | b'X' => return self.string(start + 2, false),
                b'n' | b'N' => return self.string(start + 2, self.backslash == Backslash::Escapes),
                _ => {}
            }
        } else if next == b'&' && matches!(self.bytes[start], b'u' | b'U') {
            match self.peek(start + 2) {
                // With the setting off the server refuses these outright.
                b'\'' if self.backslash == Backslash::Escapes => return (Lexeme::Bad, start + 3),
                b'\'' => return self.string(start + 3, false),
                b'"' => return self.quoted(Lexeme::UnicodeQuoted, start + 3),
                _ => {}
            }
        }
        let mut end = start + 1;
        while matches!(
            CLASSES[usize::from(self.peek(end))],
            Class::Letter | Class::Digit | Class::Dollar
        ) {
            end += 1;
        }
        (Lexeme::Word, end)
    }

    /// Digits, a fraction, an exponent; also `0x1f`, `0o7`, `0b1` and `1_000` of PostgreSQL 16.
    fn number(&self, start: usize) -> usize {
        let digit: fn(&u8) -> bool = match self.peek(start + 1) | 0x20 {
            b'x' if self.bytes[start] == b'0' => u8::is_ascii_hexdigit,
            b'o' if self.bytes[start] == b'0' => |byte| matches!(byte, b'0'..=b'7'),
            b'b' if self.bytes[start] == b'0' => |byte| matches!(byte, b'0' | b'1'),
            _ => return self.decimal(start),
        };
        let end = self.digits(start + 2, digit);
        if end == start + 2 { start + 1 } else { end }
    }

    fn decimal(&self, start: usize) -> usize {
        let mut end = self.digits(start, u8::is_ascii_digit);
        if self.peek(end) == b'.' && self.peek(end + 1) != b'.' {
            end = self.digits(end + 1, u8::is_ascii_digit);
        }
        if matches!(self.peek(end), b'e' | b'E') {
            let sign = usize::from(matches!(self.peek(end + 1), b'+' | b'-'));
            if self.peek(end + 1 + sign).is_ascii_digit() {
                end = self.digits(end + 1 + sign, u8::is_ascii_digit);
            }
        }
        end
    }

    /// Past digits and single underscores between them.
    fn digits(&self, mut at: usize, digit: fn(&u8) -> bool) -> usize {
        while digit(&self.peek(at)) || (self.peek(at) == b'_' && digit(&self.peek(at + 1))) {
            at += 1;
        }
        at
    }

    fn operator(&self, start: usize) -> usize {
        let mut end = start;
        let mut special = false;
        loop {
            let byte = self.peek(end);
            let next = self.peek(end + 1);
            let comment = (byte == b'-' && next == b'-') || (byte == b'/' && next == b'*');
            if comment || CLASSES[usize::from(byte)] != Class::Operator {
                break;
            }
            special |= matches!(
                byte,
                b'~' | b'!' | b'@' | b'#' | b'%' | b'^' | b'&' | b'|' | b'`' | b'?'
            );
            end += 1;
        }
        // An operator of several characters ends in a sign only if it has one of the special ones: `2*-3` is `2 * -3`.
        while !special && end - start > 1 && matches!(self.bytes[end - 1], b'+' | b'-') {
            end -= 1;
        }
        end
    }

    #[inline]
    fn single(&mut self, start: usize, byte: u8) -> (Lexeme, usize) {
        let next = self.peek(start + 1);
        let lexeme = match byte {
            b'(' => Lexeme::Open,
            b')' => Lexeme::Close,
            b'[' => Lexeme::OpenBracket,
            b']' => Lexeme::CloseBracket,
            b',' => Lexeme::Comma,
            b';' => Lexeme::Semicolon,
            b'"' => return self.quoted(Lexeme::Quoted, start + 1),
            b'.' if next.is_ascii_digit() => return (Lexeme::Number, self.decimal(start)),
            b'.' if next == b'.' => return (Lexeme::Colon, start + 2),
            b'.' => Lexeme::Dot,
            b':' if next == b':' => return (Lexeme::Cast, start + 2),
            b':' if next == b'=' => return (Lexeme::Colon, start + 2),
            _ => Lexeme::Colon,
        };
        (lexeme, start + 1)
    }

    fn quoted(&self, lexeme: Lexeme, mut at: usize) -> (Lexeme, usize) {
        while let Some(found) = memchr(b'"', self.bytes.get(at..).unwrap_or_default()) {
            at += found + 1;
            if self.peek(at) != b'"' {
                return (lexeme, at);
            }
            at += 1;
        }
        (Lexeme::Bad, self.bytes.len())
    }

    fn string(&mut self, at: usize, escapes: bool) -> (Lexeme, usize) {
        self.string_as(Lexeme::Text, at, escapes)
    }

    /// A string whose opening quote ends at `at`, with every part it is continued by.
    fn string_as(&mut self, lexeme: Lexeme, mut at: usize, escapes: bool) -> (Lexeme, usize) {
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let found = if escapes {
                memchr2(b'\'', b'\\', rest)
            } else {
                memchr(b'\'', rest)
            };
            let Some(found) = found else {
                return (Lexeme::Bad, self.bytes.len());
            };
            at += found;
            if self.bytes[at] == b'\\' {
                at += 2;
                continue;
            }
            self.suspicious |= !escapes && self.bytes[at - 1] == b'\\';
            at += 1;
            if self.peek(at) == b'\'' {
                at += 1;
            } else if let Some(continued) = self.continuation(at) {
                at = continued;
            } else {
                return (lexeme, at);
            }
        }
    }

    /// Where a string goes on after its closing quote: behind white space (and `--` comments) that holds a line
    /// break, and a quote. The rules of its first part stay in force, backslashes too.
    fn continuation(&self, mut at: usize) -> Option<usize> {
        let mut broken = false;
        loop {
            match self.peek(at) {
                b' ' | b'\t' | 0x0b | 0x0c => at += 1,
                b'\n' | b'\r' => {
                    broken = true;
                    at += 1;
                }
                b'-' if self.peek(at + 1) == b'-' => at = self.line_end(at + 2),
                b'\'' if broken => return Some(at + 1),
                _ => return None,
            }
        }
    }

    /// `$1`, or a dollar-quoted string.
    fn dollar(&self, start: usize) -> (Lexeme, usize) {
        if self.peek(start + 1).is_ascii_digit() {
            let mut end = start + 1;
            while self.peek(end).is_ascii_digit() {
                end += 1;
            }
            return (Lexeme::Param, end);
        }
        let mut end = start + 1;
        if CLASSES[usize::from(self.peek(end))] == Class::Letter {
            while matches!(
                CLASSES[usize::from(self.peek(end))],
                Class::Letter | Class::Digit
            ) {
                end += 1;
            }
        }
        if self.peek(end) != b'$' {
            return (Lexeme::Bad, start + 1);
        }
        let body = end + 1;
        let tag = &self.bytes[start..body];
        match memmem::find(&self.bytes[body..], tag) {
            Some(found) => (Lexeme::Text, body + found + tag.len()),
            None => (Lexeme::Bad, self.bytes.len()),
        }
    }
}

/// Whether the text has another meaning with `standard_conforming_strings = off`, and one the server would accept as
/// tokens. Clients can turn that setting off out of our sight, so such a text must not be trusted to mean either.
pub(crate) fn is_ambiguous(text: &str) -> bool {
    if memchr(b'\\', text.as_bytes()).is_none() {
        return false;
    }
    let mut on = Lexer::new(text);
    let mut off = Lexer::with_backslash(text, Backslash::Escapes);
    let mut differs = false;
    loop {
        let other = off.token();
        match other.lexeme {
            Lexeme::Bad => return false,
            Lexeme::End => return differs || on.token() != other,
            _ if !differs => differs = on.token() != other,
            _ => {}
        }
    }
}

/// What a token can begin with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Bad,
    Blank,
    Letter,
    Digit,
    Operator,
    Quote,
    Single,
    Dollar,
}

static CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut table = [Class::Bad; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0xff => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => Class::Blank,
            b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*'
            | b'/' | b'%' | b'<' | b'>' | b'=' => Class::Operator,
            b'\'' => Class::Quote,
            b'(' | b')' | b'[' | b']' | b',' | b';' | b'.' | b':' | b'"' => Class::Single,
            b'$' => Class::Dollar,
            _ => Class::Bad,
        };
        byte += 1;
    }
    table
}

#[cfg(test)]
pub(crate) mod tests;
