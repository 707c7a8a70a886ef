//! What a test gives in place of a node's rows, for the whole test or for one step. Owns no comparison and no run.

use super::code;
use super::document::Entry;
use super::document::Value;
use super::document::Word;
use super::keys::GIVEN_STEP;
use super::keys::Noun;
use super::keys::PERMISSIONS;
use super::keys::STAGE;
use super::reading::Table;
use super::reading::unknown;
use super::scope::Scope;
use crate::hook::Rows;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows by name: of what stages load, and of the statements that plugins ask.
#[derive(Clone, Debug, Default)]
pub struct Mocks {
    /// By the name a stage loads them under.
    pub loads: BTreeMap<Arc<str>, Arc<Rows>>,
    /// By the statement's name.
    pub queries: BTreeMap<Arc<str>, Arc<Rows>>,
}

/// One message of a test.
#[derive(Clone, Debug)]
pub struct GivenStep {
    /// The message.
    pub sql: Arc<str>,
    /// What is loaded for it; the whole test's otherwise.
    pub mocks: Mocks,
}

/// `load` and `query` of a table.
pub(super) fn read(scope: Scope<'_, '_>, table: &Table<'_, '_>) -> Mocks {
    Mocks {
        loads: named(scope, table.entry("load"), "load", &loaded(scope)),
        queries: named(scope, table.entry("query"), "statement", &declared(scope)),
    }
}

/// `steps`: texts, or tables with a text and what is loaded for it.
pub(super) fn steps(scope: Scope<'_, '_>, table: &Table<'_, '_>) -> Vec<GivenStep> {
    let Some(word) = table.word("steps") else {
        return Vec::new();
    };
    let items = match &word.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(&*word),
    };
    if items.is_empty() {
        scope
            .reading
            .error(code::EMPTY, word.at, "the list is empty");
    }
    items.iter().filter_map(|item| step(scope, item)).collect()
}

fn step(scope: Scope<'_, '_>, word: &Word) -> Option<GivenStep> {
    let is_short = match &word.value {
        Value::Table(entries) => !entries.iter().any(|entry| entry.key == "sql"),
        _ => true, // a text, or a reference to one
    };
    if is_short {
        return Some(GivenStep {
            sql: scope.reading.text(word)?.value.into(),
            mocks: Mocks::default(),
        });
    }
    let table = Table::open(scope.reading, &GIVEN_STEP, word.at, "a step", word)?;
    let sql = table.arc("sql");
    let mocks = read(scope, &table);
    table.finish();
    Some(GivenStep { sql: sql?, mocks })
}

fn named(
    scope: Scope<'_, '_>,
    entry: Option<&Entry>,
    what: &str,
    known: &[String],
) -> BTreeMap<Arc<str>, Arc<Rows>> {
    let Some(entry) = entry else {
        return BTreeMap::new();
    };
    if !matches!(entry.word.value, Value::Table(_)) {
        scope.reading.wrong_type(&entry.word, "a table");
    }
    let mut mocks = BTreeMap::new();
    for entry in entry.word.entries() {
        if !known.contains(&entry.key) {
            let names = known.iter().map(String::as_str);
            scope.reading.add(unknown(
                code::UNKNOWN_NAME,
                entry.key_at,
                what,
                &entry.key,
                names,
            ));
        }
        if let Some(rows) = rows(scope, &entry.word) {
            mocks.insert(entry.key.as_str().into(), Arc::new(rows));
        }
    }
    mocks
}

/// A text is one row of one column. A list has a table for each row; a column that a row does not have is NULL there.
fn rows(scope: Scope<'_, '_>, word: &Word) -> Option<Rows> {
    const COLUMN: &str = "value";
    let Value::List(items) = &word.value else {
        let text = scope.reading.text(word)?;
        return Some(Rows {
            columns: vec![COLUMN.to_owned()],
            rows: vec![vec![Some(text.value)]],
        });
    };
    let mut columns: Vec<String> = Vec::new();
    for item in items {
        if !matches!(item.value, Value::Table(_)) {
            scope.reading.wrong_type(item, "a table for a row");
        }
        for entry in item.entries() {
            if !columns.contains(&entry.key) {
                columns.push(entry.key.clone());
            }
        }
    }
    if items.is_empty() {
        columns.push(COLUMN.to_owned());
    }
    let row = |item: &Word| {
        let value = |column: &String| {
            let mut entries = item.entries().iter();
            let entry = entries.find(|entry| entry.key == *column)?;
            scope.reading.text(&entry.word).map(|spot| spot.value)
        };
        columns.iter().map(value).collect()
    };
    let rows = items.iter().map(row).collect();
    Some(Rows { columns, rows })
}

/// The names stages load under.
fn loaded(scope: Scope<'_, '_>) -> Vec<String> {
    keys_of(scope, &STAGE, &["load"])
}

/// The names of declared statements.
fn declared(scope: Scope<'_, '_>) -> Vec<String> {
    keys_of(scope, &PERMISSIONS, &["load", "statements"])
}

/// The keys of the tables at a path within every `[noun.NAME]`, each once.
fn keys_of(scope: Scope<'_, '_>, noun: &Noun, path: &[&str]) -> Vec<String> {
    let mut keys = Vec::new();
    for (_, entry) in scope.words.named(noun) {
        let mut entries = entry.word.entries();
        for step in path {
            let found = entries.iter().find(|entry| entry.key == *step);
            entries = found.map(|entry| entry.word.entries()).unwrap_or_default();
        }
        keys.extend(entries.iter().map(|entry| entry.key.clone()));
    }
    keys.sort();
    keys.dedup();
    keys
}
