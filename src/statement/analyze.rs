//! One pass over a text: from tokens to [`Facts`]. Owns how lexer, classifier, fingerprint and parser come together.

use super::classify::Class;
use super::classify::Classifier;
use super::classify::Names;
use super::facts::Facts;
use super::facts::Needs;
use super::facts::Relations;
use super::facts::Sql;
use super::fingerprint;
use super::fingerprint::Fingerprint;
use super::kind::Kind;
use super::kind::KindSet;
use super::kind::SessionEffect;
use super::lexer;
use super::lexer::Lexeme;
use super::lexer::Lexer;
use super::names;
use super::piece::Piece;
use super::relations;
use super::relations::Parsed;
use std::sync::Arc;
use std::sync::LazyLock;

/// The worst of what a Query text's statements leave behind on the session. One pass, no allocation; a text that cannot
/// be read leaves the most.
#[must_use]
pub fn effect(text: &str) -> SessionEffect {
    let mut lexer = Lexer::new(text);
    let mut worst = SessionEffect::None;
    let mut statement = Classifier::new(text);
    loop {
        let token = lexer.token();
        match token.lexeme {
            Lexeme::End => break,
            Lexeme::Bad => return worst.max(SessionEffect::Session),
            Lexeme::Semicolon if statement.is_outside() => {
                if !statement.is_empty() {
                    worst = worst.max(statement.finish().effect);
                    statement = Classifier::new(text);
                }
            }
            _ => statement.step(Piece::new(text, token)),
        }
    }
    if lexer.is_suspicious() && lexer::is_ambiguous(text) {
        worst = worst.max(SessionEffect::Session);
    }
    worst.max(statement.finish().effect)
}

/// What one statement is, does and names. Never fails: a text that is no single statement PostgreSQL could read is
/// [`Kind::Unparsed`] and not read-only. So is one the parser cannot read, where the parser is asked; the kinds its
/// tokens showed stay in the set beside it, so that a rule against one of them still sees it.
#[must_use]
pub fn analyze(text: &str, needs: Needs) -> Facts {
    let scan = Scan::of(text);
    let normalized = needs
        .normalized
        .then(|| fingerprint::normalize(text, scan.param_count).into());
    let parsed = if scan.wants_tree(needs) {
        relations::read(text)
    } else {
        None
    };
    scan.facts(needs, normalized, parsed)
}

/// What the tokens of a text say.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    class: Class,
    fingerprint: u64,
    pub(crate) param_count: u16,
    bytes: usize,
    sql: Sql,
    is_empty: bool,
    readable: bool,
}

impl Scan {
    /// Reads the text once.
    pub(crate) fn of(text: &str) -> Self {
        let mut lexer = Lexer::new(text);
        let mut statement = Classifier::new(text);
        let mut fingerprint = Fingerprint::new();
        let (mut param_count, mut end) = (0, 0);
        let (mut ended, mut readable) = (false, true);
        loop {
            let token = lexer.token();
            match token.lexeme {
                Lexeme::End => break,
                Lexeme::Semicolon if statement.is_outside() => {
                    ended = !statement.is_empty();
                    continue;
                }
                Lexeme::Bad => readable = false,
                Lexeme::Param => {
                    param_count = param_count.max(param_number(text, token.start + 1, token.end))
                }
                _ => {}
            }
            // A second statement.
            readable &= !ended;
            end = token.end;
            fingerprint.push(text, token);
            statement.step(Piece::new(text, token));
        }
        readable &= !(lexer.is_suspicious() && lexer::is_ambiguous(text));
        let is_empty = statement.is_empty();
        let class = statement.finish();
        let sql = if readable {
            sql(text, class.names, end)
        } else {
            Sql::Plain
        };
        let fingerprint = fingerprint.finish();
        Self {
            class,
            fingerprint,
            param_count,
            bytes: text.len(),
            sql,
            is_empty,
            readable,
        }
    }

    /// Whether the parser is to be asked.
    pub(crate) fn wants_tree(&self, needs: Needs) -> bool {
        needs.parse && self.readable && !self.is_empty
    }

    /// Puts everything together.
    pub(crate) fn facts(
        self,
        needs: Needs,
        normalized: Option<Arc<str>>,
        parsed: Option<Parsed>,
    ) -> Facts {
        let mut kinds = self.class.kinds;
        let mut read_only = self.class.read_only;
        let mut effect = self.class.effect;
        if !self.readable {
            effect = effect.max(SessionEffect::Session);
        }
        if !self.readable || (self.wants_tree(needs) && parsed.is_none()) {
            kinds = kinds.with(Kind::Unparsed);
            read_only = false;
        }
        if let Some(parsed) = &parsed
            && !is_definition(kinds)
            && !parsed.kinds.is_subset(kinds)
        {
            kinds = kinds.union(parsed.kinds);
            read_only = false;
        }
        Facts {
            kinds,
            read_only,
            effect,
            sql: self.sql,
            fingerprint: self.fingerprint,
            normalized: normalized.unwrap_or_else(|| NO_TEXT.clone()),
            has_where: parsed.as_ref().is_none_or(|parsed| parsed.has_where),
            has_limit: parsed.as_ref().is_some_and(|parsed| parsed.has_limit),
            has_cte: parsed.as_ref().is_some_and(|parsed| parsed.has_cte),
            param_count: self.param_count,
            bytes: self.bytes,
            relations: parsed.map_or_else(|| NO_RELATIONS.clone(), |parsed| parsed.relations),
        }
    }
}

static NO_TEXT: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
static NO_RELATIONS: LazyLock<Arc<Relations>> = LazyLock::new(Arc::default);

/// Statements that store other statements without running them: a view's SELECT is not run by CREATE VIEW.
fn is_definition(kinds: KindSet) -> bool {
    kinds.contains(Kind::Ddl) && !kinds.contains(Kind::Select)
}

fn param_number(text: &str, start: usize, end: usize) -> u16 {
    text.get(start..end)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(u16::MAX)
}

fn sql(text: &str, names: Names, end: usize) -> Sql {
    let name = |piece: Piece| names::fold_plain(piece.of(text));
    match names {
        Names::Nothing => Sql::Plain,
        Names::Prepare { name: piece, body } => {
            let rest = text.get(body..).unwrap_or_default();
            let start = body + Lexer::new(rest).token().start;
            Sql::Prepare {
                name: name(piece),
                body: start..end.max(start),
            }
        }
        Names::Execute(piece) => Sql::Execute { name: name(piece) },
        Names::Deallocate(piece) => Sql::Deallocate {
            name: piece.map(name),
        },
    }
}

#[cfg(test)]
mod tests;
