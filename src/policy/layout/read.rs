//! The text of a policy as lines, comments and values, each as it is written. Owns what belongs together; knows no key and no meaning.

use std::ops::Range;
use toml_parser::Source;
use toml_parser::lexer::Token;
use toml_parser::lexer::TokenKind;

/// One line, or the several lines of one value.
#[derive(Debug)]
pub(super) enum Line<'t> {
    Blank,
    Comment(&'t str),
    Header(Header<'t>),
    Pair(Pair<'t>),
}

/// `[a.b]` or `[[a]]`.
#[derive(Debug)]
pub(super) struct Header<'t> {
    /// Without blanks, with its brackets.
    pub(super) text: String,
    /// Its parts, quotes taken off.
    pub(super) path: Vec<&'t str>,
    /// The comment behind it.
    pub(super) note: Option<&'t str>,
}

/// `a.b = value`.
#[derive(Debug)]
pub(super) struct Pair<'t> {
    /// Without blanks.
    pub(super) key: String,
    /// Its first part, quotes taken off.
    pub(super) first: &'t str,
    pub(super) value: Value<'t>,
    /// The comment behind it.
    pub(super) note: Option<&'t str>,
}

#[derive(Debug)]
pub(super) enum Value<'t> {
    /// A text, number, date or boolean, byte for byte.
    Plain(&'t str),
    List(Items<'t>),
    Table(Items<'t>),
}

/// What stands between brackets.
#[derive(Debug, Default)]
pub(super) struct Items<'t> {
    pub(super) items: Vec<Item<'t>>,
    /// Comments behind the last one, on lines of their own.
    pub(super) rest: Vec<&'t str>,
    /// The first one stands on a line of its own.
    pub(super) apart: bool,
}

/// One item of a list, or one pair of an inline table.
#[derive(Debug)]
pub(super) struct Item<'t> {
    /// Comments on lines above it.
    pub(super) above: Vec<&'t str>,
    pub(super) key: Option<String>,
    pub(super) value: Value<'t>,
    /// The comment behind it.
    pub(super) note: Option<&'t str>,
}

/// The lines of a text that is TOML. `None` where it is not, which the caller has made sure of.
pub(super) fn lines(text: &str) -> Option<Vec<Line<'_>>> {
    let tokens = Source::new(text).lex().into_vec();
    let mut reader = Reader {
        text,
        tokens,
        at: 0,
    };
    let mut lines = Vec::new();
    loop {
        reader.blanks();
        match reader.kind() {
            TokenKind::Eof => return Some(lines),
            TokenKind::Newline => {
                reader.next();
                lines.push(Line::Blank);
                continue;
            }
            TokenKind::Comment => lines.push(Line::Comment(reader.comment())),
            TokenKind::LeftSquareBracket => lines.push(Line::Header(reader.header()?)),
            _ => lines.push(Line::Pair(reader.pair()?)),
        }
        reader.end_of_line()?;
    }
}

/// The comments of a text, in its order.
pub(super) fn comments(text: &str) -> Vec<&str> {
    let tokens = Source::new(text).lex();
    let comments = tokens.filter(|token| token.kind() == TokenKind::Comment);
    comments
        .filter_map(|token| text.get(span(&token)))
        .map(str::trim_end)
        .collect()
}

/// Everything in a text but blanks, line breaks, comments and commas, in its order.
pub(super) fn words(text: &str) -> Vec<&str> {
    let means = |token: &Token| {
        !matches!(
            token.kind(),
            TokenKind::Whitespace
                | TokenKind::Newline
                | TokenKind::Comment
                | TokenKind::Comma
                | TokenKind::Eof
        )
    };
    let tokens = Source::new(text).lex().filter(means);
    tokens.filter_map(|token| text.get(span(&token))).collect()
}

fn span(token: &Token) -> Range<usize> {
    token.span().start()..token.span().end()
}

struct Reader<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
}

impl<'t> Reader<'t> {
    fn kind(&self) -> TokenKind {
        let token = self.tokens.get(self.at);
        token.map_or(TokenKind::Eof, Token::kind)
    }

    fn raw(&self) -> &'t str {
        let token = self.tokens.get(self.at);
        token.map_or("", |token| &self.text[span(token)])
    }

    fn next(&mut self) {
        self.at += 1;
    }

    fn blanks(&mut self) {
        while self.kind() == TokenKind::Whitespace {
            self.next();
        }
    }

    fn comment(&mut self) -> &'t str {
        let comment = self.raw().trim_end();
        self.next();
        comment
    }

    /// The comment behind what was read, on the same line.
    fn note(&mut self) -> Option<&'t str> {
        self.blanks();
        (self.kind() == TokenKind::Comment).then(|| self.comment())
    }

    fn expect(&mut self, kind: TokenKind) -> Option<()> {
        self.blanks();
        (self.kind() == kind).then(|| self.next())
    }

    fn end_of_line(&mut self) -> Option<()> {
        self.blanks();
        match self.kind() {
            TokenKind::Eof => Some(()),
            TokenKind::Newline => {
                self.next();
                Some(())
            }
            _ => None,
        }
    }

    fn header(&mut self) -> Option<Header<'t>> {
        self.expect(TokenKind::LeftSquareBracket)?;
        // The brackets of `[[a]]` touch one another.
        let is_list = self.kind() == TokenKind::LeftSquareBracket;
        if is_list {
            self.next();
        }
        let (key, path) = self.key();
        self.expect(TokenKind::RightSquareBracket)?;
        let text = match is_list {
            true => {
                self.expect(TokenKind::RightSquareBracket)?;
                format!("[[{key}]]")
            }
            false => format!("[{key}]"),
        };
        let note = self.note();
        Some(Header { text, path, note })
    }

    fn pair(&mut self) -> Option<Pair<'t>> {
        let (key, path) = self.key();
        self.expect(TokenKind::Equals)?;
        let value = self.value()?;
        let note = self.note();
        Some(Pair {
            key,
            first: path.first()?,
            value,
            note,
        })
    }

    /// A key without blanks, and its parts.
    fn key(&mut self) -> (String, Vec<&'t str>) {
        let (mut key, mut path) = (String::new(), Vec::new());
        loop {
            self.blanks();
            match self.kind() {
                TokenKind::Dot => key.push('.'),
                TokenKind::Atom | TokenKind::BasicString | TokenKind::LiteralString => {
                    key.push_str(self.raw());
                    path.push(self.raw().trim_matches(['"', '\'']));
                }
                _ => return (key, path),
            }
            self.next();
        }
    }

    fn value(&mut self) -> Option<Value<'t>> {
        self.blanks();
        match self.kind() {
            TokenKind::LeftSquareBracket => {
                Some(Value::List(self.items(TokenKind::RightSquareBracket)?))
            }
            TokenKind::LeftCurlyBracket => {
                Some(Value::Table(self.items(TokenKind::RightCurlyBracket)?))
            }
            _ => self.plain(),
        }
    }

    /// Up to what ends a value. A number may be several tokens, and a date has a blank within.
    fn plain(&mut self) -> Option<Value<'t>> {
        let start = self.tokens.get(self.at)?.span().start();
        let mut end = start;
        loop {
            match self.kind() {
                TokenKind::Whitespace => (),
                TokenKind::Dot
                | TokenKind::Atom
                | TokenKind::BasicString
                | TokenKind::LiteralString
                | TokenKind::MlBasicString
                | TokenKind::MlLiteralString => end = self.tokens.get(self.at)?.span().end(),
                _ => break,
            }
            self.next();
        }
        let raw = self.text.get(start..end)?;
        (!raw.is_empty()).then_some(Value::Plain(raw))
    }

    fn items(&mut self, close: TokenKind) -> Option<Items<'t>> {
        self.next();
        let mut items = Items::default();
        let mut above = Vec::new();
        loop {
            self.blanks();
            match self.kind() {
                TokenKind::Newline => {
                    items.apart |= items.items.is_empty();
                    self.next();
                }
                TokenKind::Comment => above.push(self.comment()),
                kind if kind == close => {
                    self.next();
                    items.rest = above;
                    return Some(items);
                }
                _ => {
                    let key = match close {
                        TokenKind::RightCurlyBracket => {
                            let (key, _) = self.key();
                            self.gap(&mut above);
                            self.expect(TokenKind::Equals)?;
                            self.gap(&mut above);
                            Some(key)
                        }
                        _ => None,
                    };
                    let value = self.value()?;
                    let (note, next_above) = self.comma(close)?;
                    items.items.push(Item {
                        above: std::mem::replace(&mut above, next_above),
                        key,
                        value,
                        note,
                    });
                }
            }
        }
    }

    /// Over line breaks and comments around `=`, which the parser allows within an inline table.
    fn gap(&mut self, comments: &mut Vec<&'t str>) {
        loop {
            match self.kind() {
                TokenKind::Whitespace | TokenKind::Newline => self.next(),
                TokenKind::Comment => comments.push(self.comment()),
                _ => return,
            }
        }
    }

    /// Over the comma behind an item, or up to the bracket: the comment on the item's line or the comma's, and all others.
    fn comma(&mut self, close: TokenKind) -> Option<(Option<&'t str>, Vec<&'t str>)> {
        let mut note = self.note();
        let mut others = Vec::new();
        loop {
            self.blanks();
            match self.kind() {
                TokenKind::Newline => self.next(),
                TokenKind::Comment => others.push(self.comment()),
                TokenKind::Comma => {
                    self.next();
                    match self.note() {
                        Some(comment) if note.is_none() => note = Some(comment),
                        comment => others.extend(comment),
                    }
                    return Some((note, others));
                }
                kind if kind == close => return Some((note, others)),
                _ => return None,
            }
        }
    }
}
