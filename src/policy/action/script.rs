//! The action `script`: its text, and where each byte of it is written. Whether it is a script is found out by the sandbox.

use crate::policy::code;
use crate::policy::reading::Table;
use crate::policy::report::At;
use crate::policy::report::Place;
use crate::policy::scope::Scope;
use std::ops::Range;
use std::sync::Arc;

/// A Rhai script and where each part of it is written.
#[derive(Clone, Debug)]
pub struct Script {
    /// The text that is compiled.
    pub text: Arc<str>,
    /// Where it is written: the literal in the policy, or the whole of its own file.
    pub place: Place,
    /// Where the text's first byte stands; `None` if escapes make text and file differ.
    start: Option<usize>,
}

impl Script {
    /// Where bytes of the text are written: exactly, unless escapes forbid it, and then as the whole literal.
    #[must_use]
    pub fn place_of(&self, span: Range<usize>) -> At {
        match self.start {
            Some(start) => {
                let from = start.saturating_sub(self.place.span.start);
                self.place.at.within(from + span.start..from + span.end)
            }
            None => self.place.at,
        }
    }
}

/// Reads the action `script`: text, or `{ file = ".." }`.
pub(super) fn read(scope: Scope<'_, '_>, table: &Table<'_, '_>) -> Option<Script> {
    let entry = table.entry("script")?;
    if let Some(path) = entry.word.single("file") {
        let path = scope.reading.text(path)?;
        let file = scope.reading.beside(path.at, &path.value);
        let bytes = scope.reading.bytes(path.at, &file)?;
        let Ok(text) = std::str::from_utf8(&bytes) else {
            scope.reading.error(
                code::NOT_UTF8,
                path.at,
                format!("`{}` is not UTF-8", file.display()),
            );
            return None;
        };
        let text: Arc<str> = text.into();
        let source = scope.reading.add_source(file, Arc::clone(&text));
        let place = scope.reading.place(At::new(source, 0..text.len()));
        return Some(Script {
            text,
            place,
            start: Some(0),
        });
    }
    let spot = table.text("script")?;
    let written = scope.reading.written(entry.word.at).unwrap_or_default();
    let start = written
        .find(spot.value.as_str())
        .map(|offset| entry.word.at.span().start + offset);
    Some(Script {
        text: spot.value.into(),
        place: scope.reading.place(entry.word.at),
        start,
    })
}
