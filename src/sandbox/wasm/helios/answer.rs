//! Reads what a plugin of heliosdb-proxy answers, in either dialect: `{"action": ..}` and `{"kind": ..}`. Owns no judgement of whether
//! the answer is legal at its hook. What is not an answer in every detail is a fault: nothing is guessed and nothing is skipped.

use super::super::super::Fault;
use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::Identity;
use crate::hook::Refusal;
use crate::hook::RouteAnswer;
use crate::hook::Rows;
use crate::sqlstate::SqlState;
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Columns an answer may have; PostgreSQL's own limit for a result.
const COLUMNS_MAX: usize = 1_664;

/// Every word an answer may begin with, somewhere.
const WORDS: [&str; 13] = [
    "continue", "default", "defer", "rewrite", "block", "cached", "primary", "standby", "node",
    "branch", "success", "denied", "allow",
];

/// Every key of both dialects; what a key means depends on `action` or `kind`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    action: Option<String>,
    kind: Option<String>,
    value: Option<String>,
    sql: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    target: Option<String>,
    data: Option<Value>,
    bytes: Option<Value>,
    identity: Option<IdentityDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityDocument {
    user_id: Option<String>,
    username: String,
    #[serde(default)]
    roles: Vec<String>,
    tenant_id: Option<String>,
    #[serde(default)]
    claims: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowsDocument {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// What no answer means.
pub(super) fn silence(hook: Hook) -> Answer {
    match hook {
        Hook::Authenticate => Answer::Defer,
        _ => Answer::Continue,
    }
}

/// Reads an answer that is not empty.
pub(super) fn decode(hook: Hook, bytes: &[u8]) -> Result<Answer, Fault> {
    let mut document: Document = serde_json::from_slice(bytes)
        .map_err(|error| unreadable("the answer is not JSON of helios-1", &error))?;
    let answer = document.answer(hook)?;
    match document.rest() {
        Some(key) => Err(wrong(format!("`{key}` does not belong to this answer"))),
        None => Ok(answer),
    }
}

impl Document {
    /// The answer; what it is made of is taken out.
    fn answer(&mut self, hook: Hook) -> Result<Answer, Fault> {
        let (dialect, word) = match (self.action.take(), self.kind.take()) {
            (Some(word), None) => (Dialect::Action, word),
            (None, Some(word)) => (Dialect::Kind, word),
            _ => return Err(wrong("one of `action` and `kind` is needed")),
        };
        Ok(match (hook, word.to_ascii_lowercase().as_str()) {
            (_, "continue") | (Hook::Route, "default") => silence(hook),
            (Hook::Authenticate | Hook::Authorize, "defer") => silence(hook),
            (_, "rewrite") => Answer::Rewrite(match dialect {
                Dialect::Action => required(self.value.take(), "value")?,
                Dialect::Kind => required(self.sql.take(), "sql")?,
            }),
            (_, "block") => Answer::Block(Refusal::new(self.reason(dialect)?)),
            (_, "cached") => {
                let data = match dialect {
                    Dialect::Action => self.data.take(),
                    Dialect::Kind => self.bytes.take(),
                };
                Answer::Cached(rows(data)?)
            }
            (Hook::Route, "primary") => Answer::Route(RouteAnswer::Primary),
            (Hook::Route, "standby") => Answer::Route(RouteAnswer::Standby),
            (Hook::Route, "node") => {
                Answer::Route(RouteAnswer::Node(required(self.target.take(), "target")?))
            }
            (Hook::Route, "branch") => {
                Answer::Route(RouteAnswer::Branch(required(self.target.take(), "target")?))
            }
            (Hook::Authenticate, "success") => {
                let found = self.identity.take().ok_or_else(|| missing("identity"))?;
                Answer::Success(Box::new(found.identity()?))
            }
            (Hook::Authorize, "success" | "allow") | (Hook::OnConnect, "allow") => Answer::Allow,
            (Hook::Authenticate, "denied") => Answer::Denied(self.message(dialect)?),
            (Hook::Authorize, "denied") => Answer::Block(Refusal::with_code(
                SqlState::INSUFFICIENT_PRIVILEGE,
                self.message(dialect)?,
            )),
            (_, word) => return Err(no_such_answer(word, hook)),
        })
    }

    /// Why it blocks: `reason` everywhere but in the first dialect, whose query hooks say `value`.
    fn reason(&mut self, dialect: Dialect) -> Result<String, Fault> {
        let reason = match dialect {
            Dialect::Action => self.value.take().or_else(|| self.reason.take()),
            Dialect::Kind => self.reason.take(),
        };
        required(reason, "reason")
    }

    /// Why it denies.
    fn message(&mut self, dialect: Dialect) -> Result<String, Fault> {
        let message = match dialect {
            Dialect::Action => self.message.take(),
            Dialect::Kind => self.message.take().or_else(|| self.reason.take()),
        };
        required(message, "message")
    }

    /// A key that the answer did not use.
    fn rest(&self) -> Option<&'static str> {
        let keys = [
            ("value", self.value.is_some()),
            ("sql", self.sql.is_some()),
            ("reason", self.reason.is_some()),
            ("message", self.message.is_some()),
            ("target", self.target.is_some()),
            ("data", self.data.is_some()),
            ("bytes", self.bytes.is_some()),
            ("identity", self.identity.is_some()),
        ];
        keys.into_iter()
            .find(|(_, is_there)| *is_there)
            .map(|(key, _)| key)
    }
}

/// Words that are not of the ABI are not repeated: a fault's text is no way around `call = ["log"]`.
fn no_such_answer(word: &str, hook: Hook) -> Fault {
    match WORDS.into_iter().find(|known| *known == word) {
        Some(known) => wrong(format!("`{known}` is no answer at {hook}")),
        None => wrong("an answer that helios-1 does not have"),
    }
}

/// How an answer is written.
#[derive(Clone, Copy)]
enum Dialect {
    Action,
    Kind,
}

impl IdentityDocument {
    fn identity(self) -> Result<Identity, Fault> {
        if self.username.is_empty() {
            return Err(wrong("an identity without a username"));
        }
        let claims = self.claims.into_iter().map(|(key, value)| {
            let value = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            Ok((checked(key)?, checked(value)?))
        });
        let roles = self
            .roles
            .into_iter()
            .map(|role| checked(role).map(Arc::from));
        let optional = |text: Option<String>| text.map(|text| checked(text).map(Arc::from));
        Ok(Identity {
            user: checked(self.username)?.into(),
            user_id: optional(self.user_id).transpose()?,
            roles: roles.collect::<Result<_, Fault>>()?,
            tenant: optional(self.tenant_id).transpose()?,
            claims: claims.collect::<Result<_, Fault>>()?,
        })
    }
}

/// `{"columns": [..], "rows": [[..]]}`: itself, its text, or the bytes of its text.
fn rows(data: Option<Value>) -> Result<Rows, Fault> {
    let not_rows = |error| unreadable("the data is not rows", &error);
    let document: RowsDocument = match data.ok_or_else(|| missing("data"))? {
        Value::String(text) => serde_json::from_str(&text),
        Value::Array(numbers) => {
            let bytes = numbers
                .iter()
                .map(|number| number.as_u64().and_then(|number| u8::try_from(number).ok()));
            let bytes: Option<Vec<u8>> = bytes.collect();
            serde_json::from_slice(&bytes.ok_or_else(|| wrong("the data is not bytes"))?)
        }
        other => RowsDocument::deserialize(other),
    }
    .map_err(not_rows)?;
    let columns: Vec<String> = document
        .columns
        .into_iter()
        .map(checked)
        .collect::<Result<_, _>>()?;
    if columns.is_empty() || COLUMNS_MAX < columns.len() {
        return Err(wrong("rows need 1 to 1664 columns"));
    }
    if document.rows.iter().any(|row| row.len() != columns.len()) {
        return Err(wrong("a row with more or fewer values than columns"));
    }
    let rows = document
        .rows
        .into_iter()
        .map(|row| row.into_iter().map(cell).collect());
    let rows = rows.collect::<Result<_, Fault>>()?;
    Ok(Rows { columns, rows })
}

fn cell(value: Value) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => checked(text).map(Some),
        Value::Bool(flag) => Ok(Some(if flag { "t" } else { "f" }.to_owned())),
        other => Ok(Some(other.to_string())),
    }
}

/// Where a text cannot be read, without quoting it.
fn unreadable(what: &str, error: &serde_json::Error) -> Fault {
    let kind = match error.classify() {
        Category::Data => "another shape",
        Category::Eof => "cut short",
        Category::Syntax | Category::Io => "bad syntax",
    };
    let (line, column) = (error.line(), error.column());
    wrong(format!("{what}: {kind} at {line}:{column}"))
}

fn required(text: Option<String>, key: &str) -> Result<String, Fault> {
    checked(text.ok_or_else(|| missing(key))?)
}

fn missing(key: &str) -> Fault {
    wrong(format!("`{key}` is missing"))
}

/// No text of PostgreSQL has a zero byte.
fn checked(text: String) -> Result<String, Fault> {
    if text.contains('\0') {
        return Err(wrong("a text contains a zero byte"));
    }
    Ok(text)
}

fn wrong(text: impl Into<String>) -> Fault {
    Fault::bad_answer(text.into())
}
