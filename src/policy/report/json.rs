//! A report as one JSON value, for programs. No text of the policy is in it but what a message names.

use super::At;
use super::Diagnostic;
use super::Place;
use super::Report;
use super::Severity;
use serde_json::Value;
use serde_json::json;

impl Report {
    /// Everything found: how many of each severity, the files, and each diagnostic with its place.
    #[must_use]
    pub fn json(&self) -> Value {
        let found = self.diagnostics();
        let files = self.sources.iter().map(|source| source.path.display());
        json!({
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "notes": self.count(Severity::Note),
            "files": files.map(|path| path.to_string()).collect::<Vec<_>>(),
            "diagnostics": found.into_iter().map(|found| self.value(found)).collect::<Vec<_>>(),
        })
    }

    fn value(&self, found: &Diagnostic) -> Value {
        let related = found
            .related
            .iter()
            .map(|(at, why)| json!({ "message": why, "place": self.place_value(*at) }));
        json!({
            "code": found.code,
            "severity": found.severity.name(),
            "message": found.message,
            "label": found.label,
            "help": found.help,
            "place": found.at.map(|at| self.place_value(at)),
            "related": related.collect::<Vec<_>>(),
            "environments": found.environments,
        })
    }

    /// Lines and columns count from 1, columns in characters; bytes count from 0. Ends are behind the last.
    fn place_value(&self, at: At) -> Value {
        let (place, end) = (self.place(at), self.end(at));
        json!({
            "file": place.file.display().to_string(),
            "line": place.line,
            "column": place.column,
            "end_line": end.line,
            "end_column": end.column,
            "start_byte": place.span.start,
            "end_byte": place.span.end,
        })
    }

    /// Where a range ends: behind its last character.
    pub(super) fn end(&self, at: At) -> Place {
        let end = self.place(at).span.end;
        self.place(At::new(at.source, end..end))
    }

    /// The message with all that belongs to it, for formats with one text.
    pub(super) fn told(&self, found: &Diagnostic) -> String {
        let mut text = found.message.clone();
        let more = found.label.iter().chain(&found.help);
        for line in more.chain(&found.in_environments()) {
            text.push('\n');
            text.push_str(line);
        }
        text
    }
}
