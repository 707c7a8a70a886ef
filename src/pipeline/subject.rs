//! What the stages are asked about: the whole statement, or the statement inside a PREPARE or an EXECUTE.
//! Owns no decision.

use crate::statement;
use crate::statement::Facts;
use crate::statement::Kind;
use crate::statement::KindSet;
use crate::statement::Needs;
use crate::statement::Sql;
use std::ops::Deref;
use std::sync::Arc;

/// The text between one stage and the next: the whole statement, or the statement inside PREPARE or EXECUTE.
pub(super) struct Subject<'a> {
    pub(super) text: Text<'a>,
    pub(super) facts: Arc<Facts>,
    /// `PREPARE name AS ` when the subject is what is prepared; empty otherwise.
    pub(super) prefix: &'a str,
    /// The subject was stored by an earlier PREPARE, so its text cannot be replaced now.
    pub(super) stored: bool,
    /// Its facts are known and its text is not, so that no limit can be put into it.
    pub(super) unread: bool,
    pub(super) changed: bool,
}

/// A text that came with the statement, or one that a stage or an earlier PREPARE gave.
pub(super) enum Text<'a> {
    Came(&'a str),
    Given(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Came(text) => text,
            Self::Given(text) => text,
        }
    }
}

impl<'a> Subject<'a> {
    /// A statement that is its own subject.
    pub(super) fn plain(text: Text<'a>, facts: Arc<Facts>) -> Self {
        Self {
            text,
            facts,
            prefix: "",
            stored: false,
            unread: false,
            changed: false,
        }
    }

    /// The whole text that goes on, where a stage replaced it.
    pub(super) fn changed_text(&self) -> Option<Arc<str>> {
        self.changed.then(|| match &self.text {
            Text::Given(text) if self.prefix.is_empty() => Arc::clone(text),
            text => format!("{}{}", self.prefix, &**text).into(),
        })
    }
}

/// What the text of an EXECUTE adds to the facts of what it runs: its arguments may call functions, and CREATE TABLE AS
/// EXECUTE makes a table.
pub(super) fn add_arguments(facts: &mut Facts, outer: &Facts, text: &str) {
    let more = &outer.relations;
    if !(more.tables.is_empty() && more.functions.is_empty() && more.columns.is_empty()) {
        let relations = Arc::make_mut(&mut facts.relations);
        relations.tables.extend(more.tables.iter().cloned());
        relations.functions.extend(more.functions.iter().cloned());
        relations.columns.extend(more.columns.iter().cloned());
    }
    // One pair of parentheses holds the arguments; a second may be a call of anything.
    facts.read_only &= text.bytes().filter(|byte| *byte == b'(').count() < 2;
}

/// A FunctionCall names its function by oid, which nothing here can look up: a call of something unknown.
pub(super) fn function_call(text: &str) -> Facts {
    let mut facts = statement::analyze(text, Needs::default());
    facts.kinds = KindSet::of(Kind::Call).with(Kind::Unparsed);
    facts.read_only = false;
    facts.sql = Sql::Plain;
    facts
}
