//! What is known about one statement. Owns the types, not how anything in them is found out.

use super::kind::KindSet;
use super::kind::SessionEffect;
use std::ops::Range;
use std::sync::Arc;

/// What somebody wants to know; everything else of [`Facts`] is always there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Needs {
    /// The normalized text.
    pub normalized: bool,
    /// Relations, `has_where`, `has_limit` and `has_cte`, for which the statement is parsed. A text the parser cannot
    /// read is then unparsed, whatever the lexer thought of it.
    pub parse: bool,
}

impl Needs {
    /// What either wants to know.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            normalized: self.normalized || other.normalized,
            parse: self.parse || other.parse,
        }
    }
}

/// A statement the session must follow itself, because it names prepared statements.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Sql {
    /// None of the others.
    #[default]
    Plain,
    /// PREPARE.
    Prepare {
        /// The name, lower case unless it was quoted.
        name: Arc<str>,
        /// Where the prepared statement stands in the text.
        body: Range<usize>,
    },
    /// EXECUTE, also inside EXPLAIN and CREATE TABLE AS.
    Execute {
        /// The name, lower case unless it was quoted.
        name: Arc<str>,
    },
    /// DEALLOCATE.
    Deallocate {
        /// The name; `None` for ALL.
        name: Option<Arc<str>>,
    },
}

/// The name of a table or function as the server will look it up: lower case unless it was quoted, cut at 63 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Name {
    /// The schema, where one was written.
    pub schema: Option<Arc<str>>,
    /// The name itself.
    pub name: Arc<str>,
}

/// What a statement names. Sorted, each once.
///
/// What cannot be seen is not in it: what views, rules, triggers, function bodies, operators, casts and row-level
/// security read, and which schema an unqualified name is found in. A column may also be named by `*` or by its
/// row alone (`SELECT t FROM t`), which are listed as `*` and `t`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Relations {
    /// Tables, views, sequences; not what a WITH defines.
    pub tables: Vec<Name>,
    /// Functions and procedures called or named.
    pub functions: Vec<Name>,
    /// Columns, without their table; `*` where all of a table's are asked for.
    pub columns: Vec<Arc<str>>,
}

/// What is known about one statement.
#[derive(Clone, PartialEq, Debug)]
pub struct Facts {
    /// Every kind the statement contains; empty for an empty statement.
    pub kinds: KindSet,
    /// Proven to change nothing: a SELECT, VALUES, TABLE, SHOW, EXPLAIN or COPY TO STDOUT that locks nothing and calls
    /// only functions known not to be volatile.
    pub read_only: bool,
    /// What it leaves behind on its server connection.
    pub effect: SessionEffect,
    /// What the session must follow.
    pub sql: Sql,
    /// The same for statements that differ in literals, parameters, comments, white space and the case of unquoted
    /// names; stable between runs and releases.
    pub fingerprint: u64,
    /// The text with literals as `$n`, no comments, and one way of writing white space and unquoted names; empty unless
    /// [`Needs::normalized`].
    pub normalized: Arc<str>,
    /// Every UPDATE and DELETE has a WHERE; where there is none of them, the outermost SELECT has.
    /// True unless [`Needs::parse`].
    pub has_where: bool,
    /// The outermost SELECT has a LIMIT or FETCH FIRST. False unless [`Needs::parse`].
    pub has_limit: bool,
    /// There is a WITH. False unless [`Needs::parse`].
    pub has_cte: bool,
    /// The highest `$n`.
    pub param_count: u16,
    /// Bytes of the text.
    pub bytes: usize,
    /// What it names; empty unless [`Needs::parse`].
    pub relations: Arc<Relations>,
}
