//! The action `mask`: which columns a client does not see, and what it sees in their place. Owns no row and no statement;
//! `pipeline/mask` judges the one and changes the other.

use super::Action;
use crate::hook::Hook;
use crate::policy::code;
use crate::policy::document::Value;
use crate::policy::keys::MASK;
use crate::policy::keys::MASK_WITH;
use crate::policy::predicate::Glob;
use crate::policy::predicate::NameGlob;
use crate::policy::predicate::part;
use crate::policy::reading::Table;
use crate::policy::report::Diagnostic;
use crate::policy::scope::Scope;
use crate::policy::secret::Secret;
use crate::statement::Name;
use std::sync::Arc;

/// Which columns a client does not see, and what it sees in their place.
#[derive(Clone, Debug)]
pub struct Mask {
    /// In the order they are written.
    pub columns: Vec<MaskedColumn>,
    /// What stands in their place.
    pub with: MaskWith,
}

/// One entry of `columns`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MaskedColumn {
    /// As it stands in the policy.
    pub written: Arc<str>,
    table: NameGlob,
    column: Glob,
}

/// What stands in the place of a value. NULL stays NULL, and where the type is no text it is NULL whatever is written.
#[derive(Clone, Debug)]
pub enum MaskWith {
    /// NULL.
    Null,
    /// `***`.
    Redact,
    /// Stars, and this many characters of the end.
    KeepLast(usize),
    /// The HMAC-SHA-256 under this key, as 64 digits.
    Hash(Secret),
}

const WORDS: [(&str, Word); 3] = [
    ("null", Word::Null),
    ("redact", Word::Redact),
    ("hash", Word::Hash),
];

#[derive(Clone, Copy)]
enum Word {
    Null,
    Redact,
    Hash,
}

/// A shorter key could be found by trying.
const KEY_BYTES_MIN: usize = 16;
const KEEP_LAST_MAX: u64 = 1_000;

impl MaskedColumn {
    /// Reads `table.column` or `schema.table.column`, each a glob, quoted as in SQL. `None`: malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = part(rest)?;
            parts.push(name);
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() => break,
                None => return None,
            }
        }
        let (schema, table, column) = match &parts[..] {
            [table, column] => (None, table, column),
            [schema, table, column] => (Some(schema), table, column),
            _ => return None,
        };
        Some(Self {
            written: text.into(),
            table: NameGlob {
                schema: schema.map(|schema| Glob::new(schema)),
                name: Glob::new(table),
            },
            column: Glob::new(column),
        })
    }

    /// Whether it may be a column of that table; one that is named without its schema could be in any.
    #[must_use]
    pub fn may_be_of(&self, table: &Name) -> bool {
        // A statement about a whole schema names every table in it.
        let whole_schema = &*table.name == "*" && table.schema.is_some();
        whole_schema || self.table.may_match(table)
    }

    /// Whether a column of that name is masked.
    #[must_use]
    pub fn is_named(&self, column: &str) -> bool {
        self.column.matches(column)
    }

    /// Whether it is known to mask whatever the other one does.
    pub(in crate::policy) fn covers(&self, other: &Self) -> bool {
        self.table.covers_all_of(&other.table) && self.column.covers(&other.column)
    }
}

/// Reads the action `mask`.
pub(super) fn mask(scope: Scope<'_, '_>, table: &Table<'_, '_>, hooks: &[Hook]) -> Option<Action> {
    let inner = table.table("mask", &MASK)?;
    at_authorize(table, hooks);
    let columns = columns(scope, &inner);
    let with = with(&inner);
    inner.finish();
    let with = with?;
    (!columns.is_empty()).then_some(Action::Mask(Mask { columns, with }))
}

/// Before `authorize` the statement is not what will run; after it nothing could refuse.
fn at_authorize(table: &Table<'_, '_>, hooks: &[Hook]) {
    if let Some(hook) = hooks.iter().find(|hook| **hook != Hook::Authorize) {
        let message = format!("`mask` is not possible at `{hook}`");
        let found = Diagnostic::error(code::ACTION_AT_HOOK, table.key_at("mask"), message);
        let label = format!("possible at {}", Hook::Authorize);
        table.reading.add(found.label(label));
    }
}

fn columns(scope: Scope<'_, '_>, table: &Table<'_, '_>) -> Vec<MaskedColumn> {
    let mut columns: Vec<MaskedColumn> = Vec::new();
    for spot in table.texts("columns") {
        let Some(column) = MaskedColumn::parse(&spot.value) else {
            let message = format!("`{}` is no column of a table", spot.value);
            let found = Diagnostic::error(code::BAD_VALUE, spot.at, message);
            let label = "expected `table.column` or `schema.table.column`; quote as in SQL";
            table.reading.add(found.label(label));
            continue;
        };
        let same =
            |known: &MaskedColumn| known.table == column.table && known.column == column.column;
        if columns.iter().any(same) {
            scope.listed_twice(&spot);
        } else {
            columns.push(column);
        }
    }
    columns
}

fn with(table: &Table<'_, '_>) -> Option<MaskWith> {
    let word = match table.entry("with") {
        None => Word::Null,
        Some(entry)
            if matches!(entry.word.value, Value::Table(_))
                && entry.word.single("var").is_none() =>
        {
            without_key(table);
            let inner = table.table("with", &MASK_WITH)?;
            let kept = inner.count("keep_last", 1..=KEEP_LAST_MAX);
            inner.finish();
            return kept.map(MaskWith::KeepLast);
        }
        Some(_) => table.choice("with", &WORDS)?,
    };
    match word {
        Word::Hash => key(table).map(MaskWith::Hash),
        Word::Null => {
            without_key(table);
            Some(MaskWith::Null)
        }
        Word::Redact => {
            without_key(table);
            Some(MaskWith::Redact)
        }
    }
}

fn key(table: &Table<'_, '_>) -> Option<Secret> {
    if !table.has("key") {
        let message = "`with = \"hash\"` needs `key`";
        let found = Diagnostic::error(code::MISSING_KEY, table.value_at("with"), message);
        let label = "write `key = { file = \"..\" }`: without one, everybody could try values";
        table.reading.add(found.label(label));
        return None;
    }
    let key = table.secret("key")?;
    if key.expose().len() < KEY_BYTES_MIN {
        let message = format!("`key` has less than {KEY_BYTES_MIN} bytes");
        table
            .reading
            .error(code::OUT_OF_RANGE, table.value_at("key"), message);
        return None;
    }
    Some(key)
}

fn without_key(table: &Table<'_, '_>) {
    if table.entry("key").is_some() {
        let message = "`key` has no effect: nothing is hashed";
        let found = Diagnostic::error(code::NO_EFFECT, table.key_at("key"), message);
        table
            .reading
            .add(found.label("write `with = \"hash\"` as well, or remove it"));
    }
}

impl Mask {
    pub(super) fn canonical(&self) -> String {
        let Self { columns, with } = self;
        let mut columns: Vec<String> = columns.iter().map(MaskedColumn::canonical).collect();
        columns.sort_unstable();
        format!("{columns:?} {}", with.canonical())
    }
}

impl MaskedColumn {
    fn canonical(&self) -> String {
        format!("{:?} {:?}", self.table, self.column)
    }
}

impl MaskWith {
    /// Its word in policies, with how much it keeps; a key by where it comes from.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Redact => "redact".to_owned(),
            Self::KeepLast(kept) => format!("keep_last {kept}"),
            Self::Hash(_) => "hash".to_owned(),
        }
    }

    fn canonical(&self) -> String {
        match self {
            Self::Hash(key) => format!("hash under {}", key.reference()),
            with => with.shown(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_belongs_to_tables_by_their_last_name_unless_a_schema_is_written() {
        let name = |schema: Option<&str>, name: &str| Name {
            schema: schema.map(Into::into),
            name: name.into(),
        };
        for (written, table, column, expected) in [
            ("users.email", name(None, "users"), "email", true),
            ("Users.EMAIL", name(Some("app"), "users"), "email", true),
            ("users.email", name(None, "users"), "mail", false),
            ("users.email", name(None, "user"), "email", false),
            ("app.users.email", name(Some("app"), "users"), "email", true),
            ("app.users.email", name(None, "users"), "email", true),
            ("app.users.email", name(Some("b"), "users"), "email", false),
            ("\"Users\".email", name(None, "users"), "email", false),
            ("\"Users\".email", name(None, "Users"), "email", true),
            ("*.ssn", name(Some("x"), "y"), "ssn", true),
            ("users.pii_*", name(None, "users"), "pii_name", true),
            ("users.email", name(Some("app"), "*"), "email", true),
        ] {
            let masked = MaskedColumn::parse(written).unwrap();
            let found = masked.may_be_of(&table) && masked.is_named(column);
            assert_eq!(found, expected, "{written} {table:?} {column}");
        }
        for wrong in ["", "email", "a.b.c.d", ".email", "users.", "a b.c"] {
            assert_eq!(MaskedColumn::parse(wrong), None, "{wrong}");
        }
    }
}
