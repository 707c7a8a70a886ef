//! `tests/cases.toml`: a plugin's own tests, as plain data. They need no policy: each case is one call with what it is told, what it is
//! granted and what must come of it. Asking the plugin is a verb's.

mod asked;

pub use asked::Asked;

use super::Files;
use super::code;
use super::document;
use super::document::Shape;
use super::document::Value;
use super::document::Word;
use super::guest;
use super::keys::ANSWERED;
use super::keys::ASKED;
use super::keys::CASES;
use super::keys::PERMISSIONS;
use super::keys::PLUGIN_CASE;
use super::load;
use super::reading::Reading;
use super::reading::Table;
use super::report::At;
use super::report::Diagnostic;
use super::report::Place;
use super::report::Report;
use crate::hook::AnswerKind;
use crate::hook::Hook;
use crate::sandbox::Fault;
use crate::sandbox::Grants;
use crate::sqlstate::SqlState;
use std::path::Path;
use std::sync::Arc;

const REPEAT_MAX: u64 = 100_000;

/// The tests of one plugin.
#[derive(Clone, Debug)]
pub struct PluginCases {
    /// What it is granted; `None` where its manifest decides.
    pub grants: Option<Grants>,
    /// At least one.
    pub cases: Vec<PluginCase>,
}

/// One call, or the same call several times.
#[derive(Clone, Debug)]
pub struct PluginCase {
    /// What it shows.
    pub name: Arc<str>,
    /// The moment.
    pub hook: Hook,
    /// The configuration, as it is written.
    pub config: Option<serde_json::Value>,
    /// What it is told.
    pub given: Asked,
    /// What is stored before.
    pub kv: Vec<(Arc<str>, Arc<str>)>,
    /// How often it is asked.
    pub repeat: u64,
    /// What must come of the last call.
    pub expect: Answered,
    /// Where it is written.
    pub place: Place,
}

/// What must come of a call. What is `None` or empty is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    /// The kind of the answer.
    pub answer: Option<AnswerKind>,
    /// The kind of the fault.
    pub fault: Option<Arc<str>>,
    /// The SQLSTATE of a refusal.
    pub code: Option<SqlState>,
    /// Single texts of the answer, by their keys.
    pub texts: Vec<(&'static str, Arc<str>)>,
    /// Lists of texts of the answer, by their keys.
    pub lists: Vec<(&'static str, Vec<Arc<str>>)>,
    /// How many rows were given.
    pub rows: Option<u64>,
    /// What must be in the log.
    pub log: Vec<Arc<str>>,
    /// What must be stored.
    pub kv: Vec<(Arc<str>, Arc<str>)>,
    /// Attributes that must be set.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
    /// Events that must be raised, name and payload.
    pub events: Vec<(Arc<str>, Arc<str>)>,
    /// The fuel of the last call is less than this.
    pub fuel_below: Option<u64>,
}

/// Reads the tests of a plugin. Every mistake is in the report.
///
/// # Errors
/// Where there is one.
pub fn plugin_cases(path: &Path, files: &dyn Files) -> Result<PluginCases, Report> {
    let reading = Reading::new(files);
    let cases = read(&reading, path);
    let (report, _) = reading.finish();
    match cases {
        Some(cases) if !report.has_errors() => Ok(cases),
        _ => Err(report),
    }
}

fn read(reading: &Reading<'_>, path: &Path) -> Option<PluginCases> {
    let bytes = reading.root_bytes(path)?;
    let Ok(text) = std::str::from_utf8(&bytes) else {
        let message = format!("`{}` is not UTF-8", path.display());
        reading.add(Diagnostic::error(code::NOT_UTF8, None, message));
        return None;
    };
    let text: Arc<str> = text.into();
    let source = reading.add_source(path.to_owned(), Arc::clone(&text));
    let (entries, shape) = reading.with_report(|report| document::parse(&text, source, report));
    if shape == Shape::Broken {
        return None;
    }
    let word = Word::new(At::new(source, 0..0), Value::Table(entries));
    let table = Table::open(reading, &CASES, word.at, "the file", &word)?;
    let permissions = table.table("permissions", &PERMISSIONS);
    let grants = permissions.and_then(|permissions| {
        let grants = guest::grants("tests/cases.toml", &permissions, load::not_here);
        permissions.finish();
        grants
    });
    let mut cases: Vec<PluginCase> = Vec::new();
    match table.entry("case").map(|entry| &entry.word) {
        Some(Word {
            value: Value::List(items),
            ..
        }) => {
            for case in items.iter().filter_map(|item| case(reading, item)) {
                if let Some(first) = cases.iter().find(|first| first.name == case.name) {
                    let message = format!("two cases are called `{}`", case.name);
                    let found = Diagnostic::error(code::REDEFINED, case.place.at, message);
                    reading.add(found.related(first.place.at, "the first one"));
                }
                cases.push(case);
            }
        }
        Some(other) => reading.wrong_type(other, "a list of tables, written `[[case]]`"),
        None => (),
    }
    table.finish();
    Some(PluginCases { grants, cases })
}

fn case(reading: &Reading<'_>, word: &Word) -> Option<PluginCase> {
    let table = Table::open(reading, &PLUGIN_CASE, word.at, "`[[case]]`", word)?;
    let name = table.arc("name");
    let hook = table
        .text("hook")
        .and_then(|spot| reading.one_of(&spot, "hook", Hook::all().map(Hook::name), Hook::parse));
    let config = table
        .entry("config")
        .and_then(|entry| reading.json(&entry.word));
    let given = match table.table("given", &ASKED) {
        Some(given) => asked::asked(given),
        None => Asked::default(),
    };
    let kv = pairs(&table, "kv");
    let repeat = table.integer("repeat", 1..=REPEAT_MAX).unwrap_or(1);
    let expect = table.table("expect", &ANSWERED).map(|expect| {
        if expect.is_empty() {
            reading.error(code::EMPTY, expect.at, "this expects nothing");
        }
        answered(expect, hook)
    });
    table.finish();
    Some(PluginCase {
        name: name?,
        hook: hook?,
        config,
        given,
        kv,
        repeat,
        expect: expect?,
        place: reading.place(word.at),
    })
}

/// Keys of an answer that hold one text, and the kind of answer that has them.
const TEXTS: [(&str, AnswerKind); 8] = [
    ("message", AnswerKind::Block),
    ("hint", AnswerKind::Block),
    ("detail", AnswerKind::Block),
    ("sql", AnswerKind::Rewrite),
    ("route", AnswerKind::Route),
    ("user", AnswerKind::Success),
    ("tenant", AnswerKind::Success),
    ("reason", AnswerKind::Denied),
];
/// The same of lists.
const LISTS: [(&str, AnswerKind); 2] = [
    ("columns", AnswerKind::Cached),
    ("roles", AnswerKind::Success),
];

fn answered(table: Table<'_, '_>, hook: Option<Hook>) -> Answered {
    let reading = table.reading;
    let answers = AnswerKind::ALL.map(|kind| (kind.name(), kind));
    let mut expect = Answered {
        answer: table.choice("answer", &answers),
        fault: table
            .choice("fault", &Fault::KINDS.map(|kind| (kind, kind)))
            .map(Arc::from),
        code: sqlstate(&table),
        rows: table.integer("rows", 0..=u64::MAX),
        log: arcs(&table, "log"),
        kv: pairs(&table, "kv"),
        attributes: pairs(&table, "attributes"),
        events: pairs(&table, "events"),
        fuel_below: table.integer("fuel_below", 1..=u64::MAX),
        ..Answered::default()
    };
    let implied = |key: &'static str, of: AnswerKind| {
        let wrong = expect.answer.is_some_and(|answer| answer != of) || expect.fault.is_some();
        if table.has(key) && wrong {
            let message = format!("`{key}` is part of the answer `{}` only", of.name());
            reading.error(code::CONTRADICTION, table.key_at(key), message);
        }
    };
    implied("code", AnswerKind::Block);
    implied("rows", AnswerKind::Cached);
    TEXTS
        .iter()
        .chain(&LISTS)
        .for_each(|(key, of)| implied(key, *of));
    if let (Some(answer), Some(hook)) = (expect.answer, hook)
        && !hook.accepts(answer)
    {
        let message = format!("the answer `{}` is not possible at `{hook}`", answer.name());
        let found = Diagnostic::error(code::CONTRADICTION, table.value_at("answer"), message);
        reading.add(found.label("it would be the fault `bad_answer`"));
    }
    if expect.fault.is_some() && expect.answer.is_some() {
        let message = "a call ends with an `answer` or with a `fault`";
        reading.error(code::EXACTLY_ONE, table.key_at("fault"), message);
    }
    for (key, _) in TEXTS {
        expect.texts.extend(table.arc(key).map(|text| (key, text)));
    }
    for (key, _) in LISTS {
        if table.has(key) {
            expect.lists.push((key, arcs(&table, key)));
        }
    }
    table.finish();
    expect
}

fn sqlstate(table: &Table<'_, '_>) -> Option<SqlState> {
    let spot = table.text("code")?;
    let parsed = SqlState::parse(&spot.value);
    if parsed.is_none() {
        let message = format!("`{}` is not a SQLSTATE", spot.value);
        table.reading.error(code::BAD_SQLSTATE, spot.at, message);
    }
    parsed
}

fn arcs(table: &Table<'_, '_>, key: &'static str) -> Vec<Arc<str>> {
    let spots = table.texts(key).into_iter();
    spots.map(|spot| spot.value.into()).collect()
}

fn pairs(table: &Table<'_, '_>, key: &'static str) -> Vec<(Arc<str>, Arc<str>)> {
    let Some(entry) = table.entry(key) else {
        return Vec::new();
    };
    if !matches!(entry.word.value, Value::Table(_)) {
        table.reading.wrong_type(&entry.word, "a table of texts");
    }
    let entries = entry.word.entries().iter();
    entries
        .filter_map(|entry| {
            let text = table.reading.text(&entry.word)?;
            Some((entry.key.as_str().into(), text.value.into()))
        })
        .collect()
}

#[cfg(test)]
mod tests;
