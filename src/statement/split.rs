//! Where one statement ends and the next begins, as the server's own grammar would have it.
//! Owns the boundaries only; what is between them is for `classify`.
//!
//! A `;` ends a statement unless it stands in a string, a comment, a quoted name, parentheses or the `BEGIN ATOMIC .. END`
//! of a routine. A text with other statements under `standard_conforming_strings = off` is not split at all:
//! it is one piece, and `analyze` calls that piece unparsed.

use super::keyword::Keyword;
use super::lexer;
use super::lexer::Lexeme;
use super::lexer::Lexer;
use super::piece::History;
use super::piece::Piece;
use memchr::memmem;
use smallvec::SmallVec;
use std::iter;
use std::ops::Range;

/// Whether a text is at most one statement, as far as that can be seen without reading it: it has no `;` but at its end.
#[must_use]
pub fn is_single(text: &str) -> bool {
    let Some(at) = memchr::memchr(b';', text.as_bytes()) else {
        return true;
    };
    text[at + 1..]
        .bytes()
        .all(|byte| byte.is_ascii_whitespace())
}

/// The statements of a Query message that holds several; none where it is one, or nothing.
#[must_use]
pub fn several(text: &str) -> SmallVec<[Range<usize>; 4]> {
    if is_single(text) {
        return SmallVec::new();
    }
    let ranges: SmallVec<[Range<usize>; 4]> = split(text).collect();
    match ranges.len() {
        0 | 1 => SmallVec::new(),
        _ => ranges,
    }
}

/// The statements of a Query message, as bytes of its text without the `;`. Empty statements are skipped.
pub fn split(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut whole = memmem::find(text.as_bytes(), b"\\'").is_some() && lexer::is_ambiguous(text);
    let mut lexer = Lexer::new(text);
    iter::from_fn(move || {
        if whole {
            whole = false;
            lexer = Lexer::new("");
            return Some(0..text.len());
        }
        let mut boundary = Boundary::new();
        let mut range: Option<Range<usize>> = None;
        loop {
            let token = lexer.token();
            match token.lexeme {
                Lexeme::End => return range,
                Lexeme::Semicolon if boundary.is_outside() => {
                    if range.is_some() {
                        return range;
                    }
                    continue;
                }
                _ => {}
            }
            let piece = if boundary.needs_keyword() {
                Piece::new(text, token)
            } else {
                Piece::plain(token)
            };
            boundary.step(&piece);
            range = Some(range.map_or(token.start, |range| range.start)..token.end);
        }
    })
}

/// Follows parentheses and `BEGIN ATOMIC` bodies through one statement.
#[derive(Clone, Debug)]
pub(crate) struct Boundary {
    depth: usize,
    /// Open `BEGIN ATOMIC` and `CASE`, outside parentheses.
    blocks: usize,
    creates: bool,
    history: History,
}

impl Boundary {
    /// Before the first token of a statement.
    pub(crate) const fn new() -> Self {
        Self {
            depth: 0,
            blocks: 0,
            creates: false,
            history: History::new(),
        }
    }

    /// Whether a `;` here ends the statement.
    #[inline]
    pub(crate) fn is_outside(&self) -> bool {
        self.depth == 0 && self.blocks == 0
    }

    /// Open parentheses and brackets.
    #[inline]
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether a `BEGIN ATOMIC` body is open.
    #[inline]
    pub(crate) fn is_in_body(&self) -> bool {
        self.blocks > 0
    }

    /// Whether the next piece's keyword matters.
    fn needs_keyword(&self) -> bool {
        self.creates || self.history.count() == 0
    }

    /// Takes one token of the statement.
    #[inline]
    pub(crate) fn step(&mut self, piece: &Piece) {
        match piece.lexeme {
            Lexeme::Open | Lexeme::OpenBracket => self.depth += 1,
            Lexeme::Close | Lexeme::CloseBracket => self.depth = self.depth.saturating_sub(1),
            Lexeme::Word if self.creates && self.depth == 0 => self.block(piece),
            _ => {}
        }
        if self.history.count() == 0 {
            self.creates = piece.is(Keyword::Create);
            self.history.push(*piece);
        } else if self.creates {
            self.history.push(*piece);
        }
    }

    fn block(&mut self, piece: &Piece) {
        let last = self.history.back(1);
        match piece.word() {
            // Only these two words together open a body: a routine may well be called `begin`.
            Some(Keyword::Atomic) if self.blocks == 0 && last.is(Keyword::Begin) => self.blocks = 1,
            // `AS case` and `x.end` are labels.
            _ if self.blocks == 0 || last.is(Keyword::As) || last.lexeme == Lexeme::Dot => {}
            Some(Keyword::Case) => self.blocks += 1,
            Some(Keyword::End) => self.blocks -= 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        split(text).map(|range| &text[range]).collect()
    }

    #[test]
    fn what_is_single_at_a_glance_is_single() {
        for text in ["", "select 1", "select 1;", "select 1; \n\t", "select ';"] {
            assert!(is_single(text) && split(text).count() <= 1, "{text}");
        }
        for text in ["select 1;;", "select ';' ", "select 1; -- x", "a;b"] {
            assert!(!is_single(text), "{text}");
        }
    }

    #[test]
    fn statements_end_where_the_server_ends_them() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" ;; -- nothing\n /* ; */ ;", &[]),
            ("select 1", &["select 1"]),
            ("select 1; select 2 ;", &["select 1", "select 2"]),
            ("select ';' ; select 2", &["select ';'", "select 2"]),
            ("select 'it''s;'; x", &["select 'it''s;'", "x"]),
            (r"select E'\';'; x", &[r"select E'\';'", "x"]),
            (r"select '\'; x", &[r"select '\'", "x"]),
            ("select E'a'\n'\\';'; x", &["select E'a'\n'\\';'", "x"]),
            ("select 'a' -- c\n ';'; x", &["select 'a' -- c\n ';'", "x"]),
            ("select 'a' ';'; x", &["select 'a' ';'", "x"]),
            ("select $$;$$; x", &["select $$;$$", "x"]),
            ("select $a$;$b$;$$;$a$; x", &["select $a$;$b$;$$;$a$", "x"]),
            ("select a$b$ ; x $b$", &["select a$b$", "x $b$"]),
            ("select $1;x", &["select $1", "x"]),
            ("select \";\"\";\"; x", &["select \";\"\";\"", "x"]),
            (
                r#"select U&";\0041" , U&';'; x"#,
                &[r#"select U&";\0041" , U&';'"#, "x"],
            ),
            (
                "select /* ; /* ; */ ; */ 1; x",
                &["select /* ; /* ; */ ; */ 1", "x"],
            ),
            ("select 1 -- ; \n + 2; x", &["select 1 -- ; \n + 2", "x"]),
            ("select 1 +-- ;\r 2; x", &["select 1 +-- ;\r 2", "x"]),
            ("select 1 */* ; */ 2; x", &["select 1 */* ; */ 2", "x"]),
            (
                "create rule r as on insert to t do (a; b); x",
                &["create rule r as on insert to t do (a; b)", "x"],
            ),
            (
                "create function begin() as 'x'; delete from t",
                &["create function begin() as 'x'", "delete from t"],
            ),
            (
                "create function f() returns int begin atomic select case when a then 1 end; select 2; end; x",
                &[
                    "create function f() returns int begin atomic select case when a then 1 end; select 2; end",
                    "x",
                ],
            ),
            (
                "create or replace procedure f() BEGIN/**/ATOMIC select 1 as case; select x.end; END; x",
                &[
                    "create or replace procedure f() BEGIN/**/ATOMIC select 1 as case; select x.end; END",
                    "x",
                ],
            ),
            ("begin; atomic; x", &["begin", "atomic", "x"]),
            ("select 'open; x", &["select 'open; x"]),
            ("select /* open; x", &["select /* open; x"]),
        ];
        for (text, expected) in cases {
            assert_eq!(pieces(text), *expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_a_setting_would_split_otherwise_is_one_piece() {
        for text in [
            r"select '\'; drop table t; --'",
            r"select '\', $$ '; drop table t; select $$ '",
        ] {
            assert_eq!(pieces(text), [text], "both readings are statements");
        }
        let text = r"select '\'; drop table t";
        assert_eq!(
            pieces(text).len(),
            2,
            "the other reading is none: its string stays open"
        );
        let text = r"insert into t values ('C:\', 'D:\'); select 1";
        assert_eq!(pieces(text).len(), 2, "a lone backslash is no token");
    }
}
