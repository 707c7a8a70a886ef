//! `[decisions]`: what is written of decisions, where, and how much of a statement. Owns no writing.

use super::canonical::Canonical;
use super::code;
use super::keys::DECISIONS;
use super::keys::SAMPLE;
use super::reading::Spot;
use super::report::Diagnostic;
use super::report::Place;
use super::scope::Scope;
use std::path::PathBuf;

/// What is written of decisions.
#[derive(Clone, PartialEq, Debug)]
pub struct Decisions {
    /// Where.
    pub sink: Sink,
    /// The same as it is written: a policy means the same in another folder.
    pub written: Box<str>,
    /// How many.
    pub sample: Sample,
    /// How much of a statement.
    pub sql: SqlDetail,
    /// What is lost when they come too fast.
    pub full: WhenFull,
    /// Where it is written.
    pub place: Place,
}

/// Where lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// Appended to a file, which is made where there is none.
    File(PathBuf),
}

/// Shares from 0 to 1 of the decisions that are written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// Of refusals.
    pub deny: f64,
    /// Of everything else.
    pub allow: f64,
}

/// How much of a statement is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SqlDetail {
    /// What kind it is.
    None,
    /// Its fingerprint as well.
    Fingerprint,
    /// Its text without literals as well.
    Normalized,
    /// Its text as well, and whatever stages made of it.
    Text,
}

/// What is lost when decisions come faster than they can be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenFull {
    /// The one that has waited longest.
    DropOldest,
    /// The one that comes.
    DropNewest,
}

pub(super) const SQL: [(&str, SqlDetail); 4] = [
    ("none", SqlDetail::None),
    ("fingerprint", SqlDetail::Fingerprint),
    ("normalized", SqlDetail::Normalized),
    ("text", SqlDetail::Text),
];
pub(super) const FULL: [(&str, WhenFull); 2] = [
    ("drop_oldest", WhenFull::DropOldest),
    ("drop_newest", WhenFull::DropNewest),
];

pub(super) fn read(scope: Scope<'_, '_>) -> Option<Decisions> {
    let table = scope.single(&DECISIONS)?;
    let written = table.text("sink");
    let sink = written.as_ref().and_then(|spot| sink(scope, spot));
    let written = written.map(|spot| as_from_root(scope, &spot));
    let sample = table.table("sample", &SAMPLE);
    let share = |key| sample.as_ref().and_then(|table| table.share(key));
    let (deny, allow) = (share("deny"), share("allow"));
    if let Some(sample) = sample {
        sample.finish();
    }
    let sql = table.choice("sql", &SQL);
    let full = table.choice("full", &FULL);
    let place = scope.reading.place(table.at);
    table.finish();
    Some(Decisions {
        sink: sink?,
        written: written?.into(),
        sample: Sample {
            deny: deny.unwrap_or(1.0),
            allow: allow.unwrap_or(1.0),
        },
        sql: sql.unwrap_or(SqlDetail::Fingerprint),
        full: full.unwrap_or(WhenFull::DropOldest),
        place,
    })
}

/// A file is the one that the root's folder would call so.
fn as_from_root(scope: Scope<'_, '_>, spot: &Spot<String>) -> String {
    match spot.value.strip_prefix("file:") {
        Some(path) => format!("file:{}", scope.reading.as_from_root(spot.at, path)),
        None => spot.value.clone(),
    }
}

fn sink(scope: Scope<'_, '_>, spot: &Spot<String>) -> Option<Sink> {
    if spot.value == "stdout" {
        return Some(Sink::Stdout);
    }
    let path = spot.value.strip_prefix("file:");
    if let Some(path) = path.filter(|path| !path.is_empty()) {
        return Some(Sink::File(scope.reading.beside(spot.at, path)));
    }
    let message = format!("`{}` is no place to write to", spot.value);
    let found = Diagnostic::error(code::BAD_VALUE, spot.at, message);
    scope
        .reading
        .add(found.help("write \"file:PATH\" or \"stdout\""));
    None
}

impl Decisions {
    pub(super) fn write(&self, canonical: &mut Canonical) {
        let Self {
            sink: _,
            written,
            sample,
            sql,
            full,
            place: _,
        } = self;
        let mut section = canonical.section("decisions", "");
        section.text("sink", written);
        section.debug("sample.deny", &sample.deny);
        section.debug("sample.allow", &sample.allow);
        section.debug("sql", sql);
        section.debug("full", full);
    }
}
