//! One number and one text for all statements that differ only in what does not matter: literals, parameters, comments,
//! white space, the case of unquoted names. Owns the two forms, no meaning.
//!
//! The number is SipHash-1-3 under a fixed key, so that it is the same in every process and in policy files. It is not a
//! proof against a made-up collision the way a keyed hash is; 64 bits and a strong mixing make finding one a matter
//! of brute force, and caches inside the process are keyed (`analyzer`).

use super::keyword::Category;
use super::keyword::Keyword;
use super::lexer::Lexeme;
use super::lexer::Lexer;
use super::lexer::Token;
use super::piece::Piece;
use super::split::Boundary;
use super::words;

/// Takes tokens, gives the fingerprint.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprint {
    state: [u64; 4],
    words: u64,
}

impl Fingerprint {
    /// Nothing taken yet.
    pub(crate) const fn new() -> Self {
        // SipHash's constants under the key (0, 0).
        let state = [
            0x736f_6d65_7073_6575,
            0x646f_7261_6e64_6f6d,
            0x6c79_6765_6e65_7261,
            0x7465_6462_7974_6573,
        ];
        Self { state, words: 0 }
    }

    /// Takes the next token; `;` and the end are not told.
    #[inline]
    pub(crate) fn push(&mut self, text: &str, token: Token) {
        let bytes = text.as_bytes();
        let chunk: fn(&[u8], usize, usize) -> u64 = match token.lexeme {
            Lexeme::Text | Lexeme::EscapeText | Lexeme::Number | Lexeme::Param => {
                return self.word(LITERAL);
            }
            Lexeme::Word => words::chunk,
            _ => words::raw_chunk,
        };
        let mut at = token.start;
        while token.end - at >= 8 {
            self.word(chunk(bytes, at, token.end));
            at += 8;
        }
        // What is left is at most seven bytes; the eighth says how many, and that the token ends.
        self.word(chunk(bytes, at, token.end) | (END | (token.end - at) as u64) << 56);
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.words = self.words.wrapping_add(1);
        self.state[3] ^= word;
        self.round();
        self.state[0] ^= word;
    }

    #[inline]
    fn round(&mut self) {
        let [a, b, c, d] = &mut self.state;
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *a;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(16) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(21) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }

    /// The fingerprint of what was taken.
    #[must_use]
    pub(crate) fn finish(mut self) -> u64 {
        let length = (self.words << 3) << 56;
        self.word(length);
        self.state[2] ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.state[0] ^ self.state[1] ^ self.state[2] ^ self.state[3]
    }
}

/// No token's last word looks like these: a token's has a top byte of 0xf8 to 0xff with at most seven bytes below it, and
/// UTF-8 has no byte above 0xf4.
const END: u64 = 0xf8;
const LITERAL: u64 = u64::MAX;

/// Writes the statement in its one form: unquoted names in lower case, literals as `$n` counted on from the highest
/// parameter, single spaces. Reading it again gives the same tokens. A text that is none is written up to where it fails.
pub(crate) fn normalize(text: &str, param_count: u16) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut lexer = Lexer::new(text);
    let mut last = Piece::NONE;
    let mut boundary = Boundary::new();
    let mut literal = u32::from(param_count);
    loop {
        let token = lexer.token();
        if matches!(token.lexeme, Lexeme::End) {
            return out;
        }
        if token.lexeme == Lexeme::Semicolon && boundary.is_outside() {
            continue;
        }
        let piece = Piece::new(text, token);
        boundary.step(&piece);
        if needs_space(&last, &piece) {
            out.push(' ');
        }
        let written = piece.of(text);
        match piece.lexeme {
            // The escape character is part of the name before it.
            Lexeme::Text if last.is(Keyword::Uescape) => out.push_str(written),
            Lexeme::Text | Lexeme::EscapeText | Lexeme::Number => {
                literal += 1;
                out.push('$');
                out.push_str(&literal.to_string());
            }
            // Whatever comes behind it may be in a literal that nothing closes.
            Lexeme::Bad => {
                out.push('?');
                return out;
            }
            Lexeme::Word => out.extend(written.chars().map(|letter| letter.to_ascii_lowercase())),
            _ => out.push_str(written),
        }
        last = piece;
    }
}

/// One space between any two tokens, but for punctuation that reads better without.
fn needs_space(last: &Piece, next: &Piece) -> bool {
    match (last.lexeme, next.lexeme) {
        (Lexeme::End, _) => false,
        (
            _,
            Lexeme::Comma | Lexeme::Semicolon | Lexeme::Close | Lexeme::CloseBracket | Lexeme::Cast,
        ) => false,
        (Lexeme::Open | Lexeme::OpenBracket | Lexeme::Cast, _) => false,
        // `a.b`, but `1 .b` and `a. 1` stay apart from numbers; literals are written as `$n`, so only dots meet dots.
        (Lexeme::Dot, Lexeme::Dot | Lexeme::Colon) | (Lexeme::Colon, Lexeme::Dot) => true,
        (Lexeme::Dot, _) | (_, Lexeme::Dot) => false,
        (Lexeme::Word | Lexeme::Quoted, Lexeme::OpenBracket) => false,
        (Lexeme::Quoted, Lexeme::Open) => false,
        (Lexeme::Word, Lexeme::Open) => !matches!(
            last.keyword,
            None | Some((_, Category::Unreserved | Category::TypeOrFunction))
        ),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(text: &str) -> u64 {
        let mut lexer = Lexer::new(text);
        let mut fingerprint = Fingerprint::new();
        loop {
            let token = lexer.token();
            match token.lexeme {
                Lexeme::End => return fingerprint.finish(),
                Lexeme::Semicolon => {}
                _ => fingerprint.push(text, token),
            }
        }
    }

    #[test]
    fn a_fingerprint_stays_what_it_is() {
        // Policies hold such numbers: a change here breaks them.
        assert_eq!(fingerprint("SELECT 1"), 7_617_671_752_924_486_117);
    }

    #[test]
    fn what_does_not_matter_is_not_in_it() {
        let same = [
            "SELECT a FROM Orders WHERE id = 12345 AND b = 'x'",
            "select A from orders where ID=$1 and b=$2;",
            "/* x */ select a -- y\n from orders where id\t= 1.5e3 and b = E'\\'' ;",
            "select a from orders where id = $$a$$ and b = 'it''s'",
        ];
        for text in same {
            assert_eq!(fingerprint(text), fingerprint(same[0]), "{text}");
        }
        let different = [
            "select a from orders where id = 1 or b = 2",
            "select a from \"Orders\" where id = 1 and b = 2",
            "select a from order where s id = 1 and b = 2",
            "select a, from orders where id = 1 and b = 2",
            "select a from orders where id = 1 and b = 2 and 3",
        ];
        for text in different {
            assert_ne!(fingerprint(text), fingerprint(same[0]), "{text}");
        }
    }

    #[test]
    fn the_normal_form_is_readable() {
        let cases = [
            (
                "SELECT  a.B,c::INT[1] /* x */ FROM \"T\"(1) WHERE x=-1",
                "select a.b, c::int[$1] from \"T\"($2) where x = - $3",
            ),
            (
                "insert into t(a,b) values ('x',$3),(2,DEFAULT);",
                "insert into t(a, b) values ($4, $3), ($5, default)",
            ),
            (
                "select count ( * ) from t where a in(1,2)",
                "select count(*) from t where a in ($1, $2)",
            ),
            (
                "select U&\"d!0061t\" UESCAPE '!' , 'x'",
                "select U&\"d!0061t\" uescape '!', $1",
            ),
            (
                "select a - -1, interval '1 day'",
                "select a - - $1, interval $2",
            ),
            ("select x[1:2], f(a:=1)", "select x[$1 : $2], f(a := $3)"),
            ("select '\u{e9}', \u{c9}t\u{e9}", "select $1, \u{c9}t\u{e9}"),
            ("select 1, 'hush", "select $1, ?"),
            ("select $a$hush", "select ?"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                normalize(text, if text.contains("$3") { 3 } else { 0 }),
                expected
            );
        }
    }
}
