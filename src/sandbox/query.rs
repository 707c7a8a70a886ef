//! Statements that the policy declares and a guest may have asked: what they are, what asking came to, and how rows look to
//! a guest. Owns no connection: `Services::query` asks, and tests answer from what they are given.

use crate::hook::Rows;
use crate::hook::abi::NO_VALUE;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Which node of the pool answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum QueryNode {
    /// The primary.
    Primary,
    /// A standby.
    Standby,
    /// Whichever can be asked.
    Any,
}

/// A statement of a permission set, proven to change nothing.
#[derive(PartialEq, Eq, Debug)]
pub struct DeclaredQuery {
    /// The permission set it stands in.
    pub set: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its text.
    pub sql: Arc<str>,
    /// How many arguments it takes.
    pub params: usize,
    /// The pool whose login and nodes it uses, by its name in the policy.
    pub pool: Arc<str>,
    /// The database on the node.
    pub database: Arc<str>,
    /// Which node answers.
    pub node: QueryNode,
    /// Rows it may give; more are an error.
    pub max_rows: usize,
    /// Bytes of values it may give; more are an error.
    pub max_bytes: usize,
    /// From asking to the last row.
    pub timeout: Duration,
}

/// What a permission set lets a guest ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadGrant {
    /// In the order of their names.
    pub statements: Vec<Arc<DeclaredQuery>>,
    /// Calls of `query` in one call of a guest.
    pub max_queries: u32,
}

impl LoadGrant {
    /// The statement of that name.
    #[must_use]
    pub fn statement(&self, name: &str) -> Option<&Arc<DeclaredQuery>> {
        self.statements
            .iter()
            .find(|statement| &*statement.name == name)
    }
}

/// A statement with its arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// What is asked.
    pub statement: Arc<DeclaredQuery>,
    /// One for each `$n`; `None` is NULL.
    pub args: Vec<Option<String>>,
    /// The name the stage loads it under; `None` where a guest asks by itself.
    pub load: Option<Arc<str>>,
    /// How old an answer may be; `None`: none is kept.
    pub cache: Option<Duration>,
}

/// Why there are no rows. Names no address, file or user: a client may read it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryError {
    /// No node could be asked.
    #[error("no node could be asked")]
    Unavailable,
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
    /// More rows or bytes than declared.
    #[error("more rows or bytes than the policy allows")]
    TooMuch,
    /// The node refused the statement.
    #[error("the node refused the statement with {0}")]
    Refused(Cow<'static, str>),
    /// A test did not say what would be loaded.
    #[error("the test gives no value for it")]
    NotGiven,
}

impl QueryError {
    /// What a module's `query` gives instead of a length.
    pub(crate) fn status(&self) -> i32 {
        match self {
            Self::Unavailable => -4,
            Self::TimedOut => -5,
            Self::TooMuch => -6,
            Self::Refused(_) => -7,
            Self::NotGiven => -8,
        }
    }
}

/// What asking came to.
pub type QueryResult = Result<Arc<Rows>, QueryError>;

/// A question that is answered already, or that has to be waited for.
pub enum Asking<'a> {
    /// It is answered.
    Ready(QueryResult),
    /// The answer takes time.
    Waiting(Pin<Box<dyn Future<Output = QueryResult> + Send + 'a>>),
}

impl Asking<'_> {
    /// The answer. Cancel safe: an answer that nobody waits for is lost, nothing else.
    pub async fn answer(self) -> QueryResult {
        match self {
            Self::Ready(result) => result,
            Self::Waiting(future) => future.await,
        }
    }
}

/// Rows as a module reads them: the number of columns and of rows (4 bytes each), the columns' names, then the values row by
/// row, each with its length before it.
pub(crate) fn encode(rows: &Rows) -> Vec<u8> {
    let narrow = |len: usize| u32::try_from(len).unwrap_or(NO_VALUE - 1).to_le_bytes();
    let mut out = Vec::new();
    out.extend_from_slice(&narrow(rows.columns.len()));
    out.extend_from_slice(&narrow(rows.rows.len()));
    let names = rows.columns.iter().map(Some);
    let values = rows.rows.iter().flatten().map(Option::as_ref);
    for item in names.chain(values) {
        match item {
            Some(text) => {
                out.extend_from_slice(&narrow(text.len()));
                out.extend_from_slice(text.as_bytes());
            }
            None => out.extend_from_slice(&NO_VALUE.to_le_bytes()),
        }
    }
    out
}

/// The arguments of a module's `query`: each a length and UTF-8, or [`NO_VALUE`] for NULL. `None` where they are not that.
pub(crate) fn decode_args(mut bytes: &[u8]) -> Option<Vec<Option<String>>> {
    let mut args = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let len = u32::from_le_bytes(*len);
        if len == NO_VALUE {
            args.push(None);
            bytes = rest;
            continue;
        }
        let (text, rest) = rest.split_at_checked(len as usize)?;
        let text = std::str::from_utf8(text).ok()?;
        if text.contains('\0') {
            return None;
        }
        args.push(Some(text.to_owned()));
        bytes = rest;
    }
    bytes.is_empty().then_some(args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_arguments_are_lists_of_texts() {
        let rows = Rows {
            columns: vec!["a".to_owned()],
            rows: vec![vec![Some("bc".to_owned())], vec![None]],
        };
        let mut expected = vec![1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, b'a'];
        let values = [2, 0, 0, 0, b'b', b'c', 0xff, 0xff, 0xff, 0xff];
        expected.extend_from_slice(&values);
        assert_eq!(encode(&rows), expected);
        assert_eq!(
            decode_args(&values),
            Some(vec![Some("bc".to_owned()), None])
        );
        assert_eq!(decode_args(&[]), Some(Vec::new()));
    }

    #[test]
    fn arguments_are_whole_and_text_that_a_node_can_take() {
        for wrong in [
            &[1, 0, 0][..],
            &[2, 0, 0, 0, b'a'],
            &[1, 0, 0, 0, 0xff],
            &[1, 0, 0, 0, 0],
        ] {
            assert_eq!(decode_args(wrong), None, "{wrong:?}");
        }
    }
}
