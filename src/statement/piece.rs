//! A token with what it can mean, and the last few of them: what the rules of `split` and `classify` look at.
//! Owns no rule.

use super::keyword;
use super::keyword::Category;
use super::keyword::Keyword;
use super::lexer::Lexeme;
use super::lexer::Token;

/// A token, its keyword if it is one, and a mark the classifier may leave on a closing parenthesis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub(crate) lexeme: Lexeme,
    pub(crate) keyword: Option<(Keyword, Category)>,
    // A message holds at most 2^31 bytes; four bytes keep a piece small.
    start: u32,
    end: u32,
    pub(crate) marked: bool,
}

impl Piece {
    /// What stands before the first token.
    pub(crate) const NONE: Self = Self {
        lexeme: Lexeme::End,
        keyword: None,
        start: 0,
        end: 0,
        marked: false,
    };

    /// The token with its keyword looked up.
    #[inline]
    pub(crate) fn new(text: &str, token: Token) -> Self {
        let keyword = match token.lexeme {
            Lexeme::Word => keyword::find(text.as_bytes(), token.start, token.end),
            _ => None,
        };
        Self {
            keyword,
            ..Self::plain(token)
        }
    }

    /// The token without a look for its keyword.
    #[inline]
    pub(crate) fn plain(token: Token) -> Self {
        let (start, end) = (token.start as u32, token.end as u32);
        Self {
            lexeme: token.lexeme,
            keyword: None,
            start,
            end,
            marked: false,
        }
    }

    /// Where it begins.
    #[inline]
    pub(crate) fn start(&self) -> usize {
        self.start as usize
    }

    /// Where it ends.
    #[inline]
    pub(crate) fn end(&self) -> usize {
        self.end as usize
    }

    /// Whether it is this keyword.
    #[inline]
    pub(crate) fn is(&self, keyword: Keyword) -> bool {
        matches!(self.keyword, Some((own, _)) if own == keyword)
    }

    /// The keyword it is.
    #[inline]
    pub(crate) fn word(&self) -> Option<Keyword> {
        self.keyword.map(|(own, _)| own)
    }

    /// Whether it is a keyword that is never a name.
    #[inline]
    pub(crate) fn is_reserved(&self) -> bool {
        matches!(self.keyword, Some((_, Category::Reserved)))
    }

    /// Whether it could be a name.
    #[inline]
    pub(crate) fn is_name(&self) -> bool {
        matches!(
            self.lexeme,
            Lexeme::Word | Lexeme::Quoted | Lexeme::UnicodeQuoted
        )
    }

    /// Its bytes.
    pub(crate) fn of<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.start()..self.end()).unwrap_or_default()
    }
}

/// The last pieces, newest first. Each property has its own ring: a piece written in one size and read in another a few
/// instructions later stalls the processor for longer than everything else here takes.
#[derive(Clone, Debug)]
pub(crate) struct History {
    lexemes: [Lexeme; 4],
    keywords: [Option<(Keyword, Category)>; 4],
    starts: [u32; 4],
    ends: [u32; 4],
    marked: [bool; 4],
    count: usize,
}

impl History {
    /// Nothing seen yet.
    pub(crate) const fn new() -> Self {
        Self {
            lexemes: [Lexeme::End; 4],
            keywords: [None; 4],
            starts: [0; 4],
            ends: [0; 4],
            marked: [false; 4],
            count: 0,
        }
    }

    /// Remembers one more.
    #[inline]
    pub(crate) fn push(&mut self, piece: Piece) {
        let at = self.count % 4;
        self.lexemes[at] = piece.lexeme;
        self.keywords[at] = piece.keyword;
        self.starts[at] = piece.start;
        self.ends[at] = piece.end;
        self.marked[at] = piece.marked;
        self.count = self.count.wrapping_add(1);
    }

    /// The piece `back` places back: 1 is the last one. At most 4.
    #[inline]
    pub(crate) fn back(&self, back: usize) -> Piece {
        let at = self.count.wrapping_sub(back) % 4;
        Piece {
            lexeme: self.lexemes[at],
            keyword: self.keywords[at],
            start: self.starts[at],
            end: self.ends[at],
            marked: self.marked[at],
        }
    }

    /// How many were seen.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}
