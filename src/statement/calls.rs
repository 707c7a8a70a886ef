//! Calls of functions in a query: which are known to change nothing, and which change the session.
//! Owns the reading of `name (`; the lists of functions are in `functions`.
//!
//! A name before a parenthesis is a call unless the grammar leaves no room for one there: after a keyword that takes
//! parentheses, or where an alias, a CTE or a type has its list. Any doubt is a call, and a call of anything but a known
//! function is a possible write. A function is also called without parentheses (`('s'::regclass).nextval`) and through
//! TREAT.

use super::functions;
use super::functions::Volatility;
use super::keyword::Category;
use super::keyword::Keyword;
use super::kind::SessionEffect;
use super::lexer::Lexeme;
use super::piece::History;
use super::piece::Piece;

/// Nesting up to which parentheses are followed; deeper statements are never read-only.
const DEPTH_MAX: usize = 64;

/// What an open parenthesis or the level inside it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Level {
    Plain,
    /// Opened by DISTINCT ON or OPERATOR: an expression follows its end, not an alias.
    Prefix,
    /// Between WITH and its statement: names before parentheses are CTEs.
    With,
}

/// What `name (` is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Paren {
    /// A call.
    Call,
    /// An alias or CTE with its columns.
    Alias,
    /// A keyword, or a type with its modifier.
    Syntax,
}

/// A name with its dots.
#[derive(Clone, Copy, Debug)]
struct Chain {
    before: Piece,
    schema: Option<Piece>,
    parts: usize,
}

/// Follows the calls of one statement.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    levels: [Level; DEPTH_MAX],
    harmless: bool,
    effect: SessionEffect,
    chain: Chain,
    /// The depth outside an open `set_config(`.
    set_config: Option<usize>,
    grouping: bool,
    /// The last name follows `PATH`, which is no keyword before PostgreSQL 17 and comes before an expression.
    after_path: bool,
}

impl Calls {
    /// Before the first token.
    pub(crate) const fn new() -> Self {
        Self {
            levels: [Level::Plain; DEPTH_MAX],
            harmless: true,
            effect: SessionEffect::None,
            chain: Chain {
                before: Piece::NONE,
                schema: None,
                parts: 0,
            },
            set_config: None,
            grouping: false,
            after_path: false,
        }
    }

    /// Whether every call was of a function known not to be volatile.
    pub(crate) fn are_harmless(&self) -> bool {
        self.harmless
    }

    /// What the calls leave behind on the session.
    pub(crate) fn effect(&self) -> SessionEffect {
        if self.set_config.is_some() {
            SessionEffect::Session
        } else {
            self.effect
        }
    }

    /// WITH begins a statement at this depth.
    pub(crate) fn enter_with(&mut self, depth: usize) {
        self.set_level(depth, Level::With);
    }

    fn level(&self, depth: usize) -> Level {
        self.levels.get(depth).copied().unwrap_or(Level::Plain)
    }

    fn set_level(&mut self, depth: usize, level: Level) {
        match self.levels.get_mut(depth) {
            Some(slot) => *slot = level,
            None => self.harmless = false,
        }
    }

    fn leave(&mut self, effect: SessionEffect) {
        self.effect = self.effect.max(effect);
    }

    /// Takes a token; `depth` counts it if it opens.
    #[inline]
    pub(crate) fn step(&mut self, text: &str, history: &History, piece: &mut Piece, depth: usize) {
        match piece.lexeme {
            Lexeme::Word | Lexeme::Quoted | Lexeme::UnicodeQuoted => {
                self.name(text, history, piece, depth)
            }
            Lexeme::Open => self.open(text, history, depth),
            Lexeme::OpenBracket => self.set_level(depth, Level::Plain),
            Lexeme::Close => self.close(history, piece, depth),
            _ => {}
        }
    }

    #[inline]
    fn name(&mut self, text: &str, history: &History, piece: &Piece, depth: usize) {
        let last = history.back(1);
        if piece.lexeme == Lexeme::UnicodeQuoted || piece.is(Keyword::Uescape) {
            // What name this is depends on escapes; nothing good is written so.
            self.harmless = false;
            self.leave(SessionEffect::Session);
        }
        if last.lexeme == Lexeme::Dot {
            self.chain.parts += 1;
            self.chain.schema = Some(history.back(2));
            if !history.back(2).is_name() {
                self.attribute(text, piece);
            }
            return;
        }
        if last.lexeme == Lexeme::Open
            && history.back(2).is(Keyword::Operator)
            && !is_pg_catalog(text, piece)
        {
            // An operator of another schema runs a function nobody knows.
            self.harmless = false;
        }
        self.chain = Chain {
            before: last,
            schema: None,
            parts: 1,
        };
        self.after_path = last.lexeme == Lexeme::Word
            && last.end() - last.start() == 4
            && last.of(text).eq_ignore_ascii_case("path");
        if let Some(word) = piece.word() {
            self.clause(word, history, depth);
        }
    }

    /// `(value).name` calls a function of one argument as well as it selects a field.
    fn attribute(&mut self, text: &str, piece: &Piece) {
        with_folded(text, piece, |name| {
            if functions::volatility(name) == Some(Volatility::Volatile) {
                self.harmless = false;
            }
            self.leave(functions::effect(name));
        });
    }

    #[inline]
    fn clause(&mut self, word: Keyword, history: &History, depth: usize) {
        match word {
            Keyword::With if history.back(1).lexeme == Lexeme::Open => {
                self.set_level(depth, Level::With)
            }
            Keyword::Select
            | Keyword::Values
            | Keyword::Table
            | Keyword::Insert
            | Keyword::Update
            | Keyword::Delete
            | Keyword::Merge
                if self.level(depth) == Level::With && !history.back(1).is(Keyword::With) =>
            {
                self.set_level(depth, Level::Plain);
            }
            Keyword::By => self.grouping = history.back(1).is(Keyword::Group),
            Keyword::Having
            | Keyword::Window
            | Keyword::Limit
            | Keyword::Offset
            | Keyword::Fetch
            | Keyword::Select => {
                self.grouping = false;
            }
            _ => {}
        }
    }

    fn open(&mut self, text: &str, history: &History, depth: usize) {
        let last = history.back(1);
        let prefix = last.is(Keyword::Operator)
            || (last.is(Keyword::On) && history.back(2).is(Keyword::Distinct));
        self.set_level(depth, if prefix { Level::Prefix } else { Level::Plain });
        if !last.is_name() {
            return;
        }
        let outer = depth.saturating_sub(1);
        match self.paren(history, &last, outer) {
            Paren::Call => self.call(text, &last, outer),
            // Nobody calls an alias `nextval`.
            Paren::Alias => self.attribute(text, &last),
            Paren::Syntax => {}
        }
    }

    fn close(&mut self, history: &History, piece: &mut Piece, depth: usize) {
        piece.marked = self.level(depth + 1) == Level::Prefix;
        if self.set_config == Some(depth) {
            self.set_config = None;
            let local =
                history.back(1).is(Keyword::True) && history.back(2).lexeme == Lexeme::Comma;
            self.leave(if local {
                SessionEffect::Transaction
            } else {
                SessionEffect::Session
            });
        }
    }

    /// What a name before a parenthesis at this depth is.
    fn paren(&mut self, history: &History, name: &Piece, depth: usize) -> Paren {
        let before = self.chain.before;
        if before.lexeme == Lexeme::Cast {
            return Paren::Syntax;
        }
        if self.chain.parts > 1 {
            return Paren::Call;
        }
        match name.keyword {
            Some((Keyword::Treat, _)) => {
                // It names the function to call as if it were a type.
                self.harmless = false;
                return Paren::Syntax;
            }
            Some((_, Category::Reserved | Category::ColumnName)) => return Paren::Syntax,
            Some((word, _)) if is_syntax(word, &before, history, self.grouping) => {
                return Paren::Syntax;
            }
            _ => {}
        }
        let cte = self.level(depth) == Level::With;
        let alias = match before.lexeme {
            Lexeme::Comma => cte,
            Lexeme::Word if before.is(Keyword::With) || before.is(Keyword::Recursive) => cte,
            Lexeme::Word if before.is(Keyword::As) || before.is(Keyword::Ordinality) => true,
            Lexeme::Word => before.keyword.is_none() && !self.after_path,
            Lexeme::Quoted => true,
            Lexeme::Close => !before.marked,
            _ => false,
        };
        if alias { Paren::Alias } else { Paren::Call }
    }

    fn call(&mut self, text: &str, name: &Piece, depth: usize) {
        let chain = self.chain;
        let known = match (chain.parts, chain.schema) {
            (1, _) => true,
            (2, Some(schema)) => is_pg_catalog(text, &schema),
            _ => false,
        };
        with_folded(text, name, |function| {
            let sampling =
                chain.before.is(Keyword::Tablesample) && matches!(function, "system" | "bernoulli");
            let harmless = matches!(
                functions::volatility(function),
                Some(Volatility::Immutable | Volatility::Stable)
            );
            if !known || !(sampling || harmless) {
                self.harmless = false;
            }
            if function == "set_config" && self.set_config.is_none() {
                self.set_config = Some(depth);
            } else {
                self.leave(functions::effect(function));
            }
        });
    }
}

/// Words that take parentheses as syntax where they stand, though they could name a function elsewhere.
fn is_syntax(word: Keyword, before: &Piece, history: &History, grouping: bool) -> bool {
    match word {
        Keyword::Over | Keyword::Filter | Keyword::Repeatable => {
            before.lexeme == Lexeme::Close && !before.marked
        }
        Keyword::Materialized => {
            before.is(Keyword::As) || (before.is(Keyword::Not) && history.back(3).is(Keyword::As))
        }
        Keyword::Join => ends_operand(before),
        Keyword::Ilike | Keyword::Like => ends_operand(before) || before.is(Keyword::Not),
        Keyword::Rollup | Keyword::Cube => grouping,
        Keyword::Sets => before.is(Keyword::Grouping),
        Keyword::First | Keyword::Next => before.is(Keyword::Fetch),
        Keyword::Zone => before.is(Keyword::Time),
        Keyword::Varying => matches!(before.keyword, Some((_, Category::ColumnName))),
        _ => false,
    }
}

/// Whether an expression or a table can end with this piece, so that no expression begins after it.
fn ends_operand(piece: &Piece) -> bool {
    match piece.lexeme {
        Lexeme::Close => !piece.marked,
        Lexeme::Quoted
        | Lexeme::Text
        | Lexeme::EscapeText
        | Lexeme::Number
        | Lexeme::Param
        | Lexeme::CloseBracket => true,
        Lexeme::Word => match piece.keyword {
            None => true,
            Some((Keyword::True | Keyword::False | Keyword::Null | Keyword::End, _)) => true,
            Some((
                Keyword::By
                | Keyword::Escape
                | Keyword::Between
                | Keyword::Like
                | Keyword::Ilike
                | Keyword::Similar
                | Keyword::Is
                | Keyword::Overlaps
                | Keyword::Rows
                | Keyword::Range
                | Keyword::Groups
                | Keyword::Zone
                | Keyword::Passing
                | Keyword::Document
                | Keyword::Content
                | Keyword::Value,
                _,
            )) => false,
            Some((_, category)) => category != Category::Reserved,
        },
        _ => false,
    }
}

/// Hands over the name as the server will look it up.
fn with_folded(text: &str, piece: &Piece, then: impl FnOnce(&str)) {
    let written = piece.of(text);
    if piece.lexeme != Lexeme::Word {
        let inner = written
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or("");
        return then(if inner.contains('"') { "" } else { inner });
    }
    let mut buffer = [0_u8; 64];
    // A longer name is cut by the server; none of PostgreSQL's own is.
    let Some(folded) = buffer.get_mut(..written.len()) else {
        return then("");
    };
    folded.copy_from_slice(written.as_bytes());
    folded.make_ascii_lowercase();
    then(std::str::from_utf8(folded).unwrap_or(""));
}

fn is_pg_catalog(text: &str, schema: &Piece) -> bool {
    match schema.lexeme {
        Lexeme::Word => schema.of(text).eq_ignore_ascii_case("pg_catalog"),
        _ => schema.of(text) == "\"pg_catalog\"",
    }
}

#[cfg(test)]
mod tests;
