//! The one file that knows the SQL parser: text in, flat tree out, or `None` where the text cannot be trusted to it.
//! Owns the guards and the shape of the tree; what is read off it is in `relations`.
//!
//! The parser recurses without a limit, so nesting, tokens and bytes are limited here before it is called. Its lexer is
//! not PostgreSQL's in every corner (a continued `E''` string, for one): where its tokens are not ours, the text is
//! unparsed, since a name it sees might be a string's inside or the other way round.

use super::keyword::Keyword;
use super::lexer::Lexeme;
use super::lexer::Lexer;
use super::lexer::Token;
use super::piece::Piece;
use squawk_parser::EntryPoint;
use squawk_parser::LexedStr;
use squawk_parser::StrStep;
use std::ops::Range;
use std::panic;
use std::thread;

pub(crate) use squawk_parser::SyntaxKind;

/// Longest text that is parsed.
pub(crate) const BYTES_MAX: usize = 64 * 1024;
/// Most tokens.
const TOKENS_MAX: usize = 8 * 1024;
/// Deepest nesting of parentheses, brackets and CASE.
const DEPTH_MAX: usize = 128;
/// Words and signs at which the parser goes down a level without a parenthesis, up to which it runs on the caller's stack.
/// A level takes at most about 600 bytes.
const PREFIXES_MAX: usize = 512;
/// Enough for as many levels as there can be tokens.
const LARGE_STACK_BYTES: usize = 16 * 1024 * 1024;

/// A node or token, in the order they begin.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: SyntaxKind,
    /// The parent's index; the root is its own.
    pub(crate) parent: usize,
    /// The index after its last descendant.
    pub(crate) after: usize,
    /// Its bytes in the text.
    pub(crate) span: Range<usize>,
    pub(crate) is_token: bool,
}

/// A parsed text.
#[derive(Clone, Debug)]
pub(crate) struct Tree<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

impl<'a> Tree<'a> {
    /// Parses; `None` beyond the guards and for anything the parser finds fault with.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        // The parser panics where it makes no headway, on a text its authors did not think of.
        let nodes = match stack(text)? {
            Stack::Own => panic::catch_unwind(|| Builder::build(text)).ok()??,
            Stack::Large => thread::scope(|scope| {
                let builder = thread::Builder::new().stack_size(LARGE_STACK_BYTES);
                builder
                    .spawn_scoped(scope, || Builder::build(text))
                    .ok()?
                    .join()
                    .ok()?
            })?,
        };
        let tree = Self { text, nodes };
        (agrees(text, &tree.nodes) && tree.is_one_statement()).then_some(tree)
    }

    /// The parser takes `begin select 1` for two statements; the server takes it for a mistake.
    fn is_one_statement(&self) -> bool {
        let is_statement = |&index: &usize| {
            !self.nodes[index].is_token && self.nodes[index].kind != SyntaxKind::EMPTY_STMT
        };
        self.children(0).filter(is_statement).count() <= 1
    }

    /// Every node and token.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node at an index.
    pub(crate) fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// A node's children, tokens among them.
    pub(crate) fn children(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let after = self.nodes[index].after;
        let mut next = index + 1;
        std::iter::from_fn(move || {
            let child = (next < after).then_some(next)?;
            next = self.nodes[child].after;
            Some(child)
        })
    }

    /// The first child of that kind.
    pub(crate) fn child(&self, index: usize, kind: SyntaxKind) -> Option<usize> {
        self.children(index)
            .find(|&child| self.nodes[child].kind == kind)
    }

    /// The kind of a node's parent.
    pub(crate) fn parent_kind(&self, index: usize) -> SyntaxKind {
        self.nodes[self.nodes[index].parent].kind
    }

    /// The tokens of a node.
    pub(crate) fn tokens(&self, index: usize) -> impl Iterator<Item = (SyntaxKind, &'a str)> + '_ {
        self.nodes[index..self.nodes[index].after]
            .iter()
            .filter(|node| node.is_token)
            .map(|node| {
                (
                    node.kind,
                    self.text.get(node.span.clone()).unwrap_or_default(),
                )
            })
    }
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    open: Vec<usize>,
    at: usize,
    faults: bool,
}

impl Builder {
    fn build(text: &str) -> Option<Vec<Node>> {
        let lexed = LexedStr::new(text);
        if lexed.errors().next().is_some() {
            return None;
        }
        let output = EntryPoint::SourceFile.parse(&lexed.to_input());
        let mut builder = Self::default();
        lexed.intersperse_trivia(&output, &mut |step| builder.step(step));
        (!builder.faults && builder.open.is_empty() && !builder.nodes.is_empty())
            .then_some(builder.nodes)
    }

    fn step(&mut self, step: StrStep<'_>) {
        match step {
            StrStep::Enter { kind } => {
                self.faults |= kind == SyntaxKind::ERROR;
                self.open.push(self.nodes.len());
                self.push(kind, 0, false);
            }
            StrStep::Exit => {
                if let Some(index) = self.open.pop() {
                    self.nodes[index].after = self.nodes.len();
                    self.nodes[index].span.end = self.at;
                }
            }
            StrStep::Token {
                kind: SyntaxKind::WHITESPACE | SyntaxKind::COMMENT,
                text,
            } => self.at += text.len(),
            StrStep::Token { kind, text } => self.push(kind, text.len(), true),
            StrStep::Error { .. } => self.faults = true,
        }
    }

    fn push(&mut self, kind: SyntaxKind, bytes: usize, is_token: bool) {
        let index = self.nodes.len();
        let parent = match self.open.as_slice() {
            [.., parent, own] if !is_token && *own == index => *parent,
            [.., parent] => *parent,
            [] => index,
        };
        let span = self.at..self.at + bytes;
        self.at = span.end;
        self.nodes.push(Node {
            kind,
            parent,
            after: index + 1,
            span,
            is_token,
        });
    }
}

/// Where a text can be parsed without running out of stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stack {
    Own,
    Large,
}

/// Which stack a text needs; `None` beyond the guards.
fn stack(text: &str) -> Option<Stack> {
    if text.len() > BYTES_MAX {
        return None;
    }
    let mut lexer = Lexer::new(text);
    let (mut depth, mut cases, mut tokens, mut prefixes) = (0_usize, 0_usize, 0_usize, 0_usize);
    loop {
        let piece = Piece::new(text, lexer.token());
        match piece.lexeme {
            Lexeme::End => {
                return Some(if prefixes > PREFIXES_MAX {
                    Stack::Large
                } else {
                    Stack::Own
                });
            }
            Lexeme::Bad => return None,
            Lexeme::Open | Lexeme::OpenBracket => depth += 1,
            Lexeme::Close | Lexeme::CloseBracket => depth = depth.saturating_sub(1),
            Lexeme::Operator => prefixes += 1,
            Lexeme::Word => match piece.word() {
                Some(Keyword::Case) => cases += 1,
                Some(Keyword::End) => cases = cases.saturating_sub(1),
                Some(Keyword::Not | Keyword::Join | Keyword::Explain | Keyword::Union) => {
                    prefixes += 1
                }
                _ => {}
            },
            _ => {}
        }
        tokens += 1;
        if tokens > TOKENS_MAX || depth + cases > DEPTH_MAX {
            return None;
        }
    }
}

/// Whether the parser's lexer saw the words, names, strings and numbers that ours sees. Signs are cut differently
/// without harm; a string may be continued in several of its tokens.
fn agrees(text: &str, nodes: &[Node]) -> bool {
    let bytes = text.as_bytes();
    let is_sign = |at: usize| matches!(bytes.get(at), Some(byte) if byte.is_ascii_punctuation() && !b"\"'$_".contains(byte));
    let mut theirs = nodes
        .iter()
        .filter(|node| node.is_token && !node.span.is_empty())
        .map(|node| node.span.clone())
        .filter(|span| {
            !is_sign(span.start)
                || bytes.get(span.start + 1).is_some_and(u8::is_ascii_digit) && span.len() > 1
        });
    let mut lexer = Lexer::new(text);
    loop {
        let Token { lexeme, start, end } = lexer.token();
        match lexeme {
            Lexeme::End => return theirs.next().is_none(),
            Lexeme::Bad => return false,
            Lexeme::Word
            | Lexeme::Quoted
            | Lexeme::UnicodeQuoted
            | Lexeme::Text
            | Lexeme::EscapeText
            | Lexeme::Number
            | Lexeme::Param => {}
            _ => continue,
        }
        let Some(mut span) = theirs.next() else {
            return false;
        };
        if span.start != start {
            return false;
        }
        while span.end < end && matches!(lexeme, Lexeme::Text | Lexeme::EscapeText) {
            match theirs.next() {
                Some(next) => span = next,
                None => return false,
            }
        }
        if span.end != end {
            return false;
        }
    }
}

#[cfg(test)]
mod tests;
