//! Every mistake found, with its place, and how it is shown. Owns the sources, so that a place always has its text.
//! Owns no rule of the language: what is a mistake is decided by the readers, the sandbox and `pipeline/compile`.

mod github;
mod json;
mod merge;
mod render;
mod sarif;
#[cfg(test)]
mod tests;

pub use render::Colour;

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// One file of the policy: a TOML file, or a script it refers to.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path as it is shown.
    pub path: PathBuf,
    /// The whole text.
    pub text: Arc<str>,
}

/// A range of bytes in one source of a [`Report`]. Small, and meaningless without that report.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct At {
    source: u32,
    start: u32,
    end: u32,
}

impl At {
    pub(super) fn new(source: u32, span: Range<usize>) -> Self {
        let start = u32::try_from(span.start).unwrap_or(u32::MAX);
        let end = u32::try_from(span.end).unwrap_or(u32::MAX);
        Self {
            source,
            start,
            end: end.max(start),
        }
    }

    /// The bytes of the source's text.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// From the start of this range to the end of one behind it.
    pub(super) fn to(self, last: Self) -> Self {
        Self {
            end: last.end.max(self.start),
            ..self
        }
    }

    /// A part of this range: `part` counts from its start and is cut at its end.
    #[must_use]
    pub fn within(self, part: Range<usize>) -> Self {
        let span = self.span();
        let start = span.start.saturating_add(part.start).min(span.end);
        let end = span.start.saturating_add(part.end).clamp(start, span.end);
        Self::new(self.source, start..end)
    }
}

/// Where something is written, ready to be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The file's path as it is shown.
    pub file: Arc<Path>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The bytes of the file's text.
    pub span: Range<usize>,
    /// The same for [`Report::error`].
    pub at: At,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

impl From<&Place> for At {
    fn from(place: &Place) -> Self {
        place.at
    }
}

impl From<Place> for At {
    fn from(place: Place) -> Self {
        place.at
    }
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// Probably a mistake.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word in every format.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// The stable code, as in `P0207`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where; `None` where no file could be read.
    pub at: Option<At>,
    /// What is wrong.
    pub message: String,
    /// What to write instead, shown under the caret.
    pub label: Option<String>,
    /// More about the cure, shown below.
    pub help: Vec<String>,
    /// Other places that belong to it.
    pub related: Vec<(At, String)>,
    /// The text at `at` may be a secret and is shown as asterisks.
    pub concealed: bool,
    /// The environments it was found in, in words; empty where that says nothing.
    pub environments: Vec<String>,
}

impl Diagnostic {
    /// An error.
    #[must_use]
    pub fn error(
        code: &'static str,
        at: impl Into<Option<At>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: Severity::Error,
            at: at.into(),
            message: message.into(),
            label: None,
            help: Vec::new(),
            related: Vec::new(),
            concealed: false,
            environments: Vec::new(),
        }
    }

    /// A warning.
    #[must_use]
    pub fn warning(
        code: &'static str,
        at: impl Into<Option<At>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, at, message)
        }
    }

    /// A note.
    #[must_use]
    pub fn note(code: &'static str, at: impl Into<Option<At>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Note,
            ..Self::error(code, at, message)
        }
    }

    /// The text under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// One more line of help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Shows the text at the place as asterisks: it may be a secret.
    #[must_use]
    pub fn conceal(mut self) -> Self {
        self.concealed = true;
        self
    }

    /// Where it was found, in words; `None` where that is everywhere.
    fn in_environments(&self) -> Option<String> {
        if self.environments.is_empty() {
            return None;
        }
        Some(format!("found {}", self.environments.join(" and ")))
    }

    /// Another place that belongs to it, and why.
    #[must_use]
    pub fn related(mut self, at: At, why: impl Into<String>) -> Self {
        self.related.push((at, why.into()));
        self
    }
}

/// Everything found in one policy.
#[derive(Clone, Debug, Default)]
pub struct Report {
    sources: Vec<Source>,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Adds what was found.
    pub fn add(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Adds an error that has nothing to say but its message.
    pub fn error(
        &mut self,
        code: &'static str,
        at: impl Into<Option<At>>,
        message: impl Into<String>,
    ) {
        self.add(Diagnostic::error(code, at, message));
    }

    /// Whether the policy must be refused.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors() != 0
    }

    /// How many errors there are so far: what is read between two equal answers is right.
    pub(super) fn errors(&self) -> usize {
        self.diagnostics
            .iter()
            .filter(|found| found.severity == Severity::Error)
            .count()
    }

    /// How many there are of one severity, each counted once.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let found = self.diagnostics();
        found
            .iter()
            .filter(|found| found.severity == severity)
            .count()
    }

    /// Forgets warnings and notes with these codes; an error is never forgotten.
    pub fn forgive(&mut self, codes: &[String]) {
        self.diagnostics.retain(|found| {
            found.severity == Severity::Error || !codes.iter().any(|code| code == found.code)
        });
    }

    /// Everything found, by file and place; the same thing found twice is told once.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<&Diagnostic> {
        let mut found: Vec<&Diagnostic> = self.diagnostics.iter().collect();
        found.sort_by_cached_key(|found| {
            (
                self.path(found),
                found.at,
                found.code,
                found.message.clone(),
            )
        });
        found.dedup();
        found
    }

    /// The files that were read.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Line and column of a place. Whatever `at` is, the result lies inside its file.
    #[must_use]
    pub fn place(&self, at: At) -> Place {
        let (path, text) = match self.source(at) {
            Some(source) => (source.path.as_path(), &*source.text),
            None => (Path::new(""), ""),
        };
        let span = inside(text, at.span());
        let before = &text[..span.start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Place {
            file: path.into(),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            span,
            at,
        }
    }

    /// One line each: `policy.toml:41:29: error[P0207]: unknown key ..`, for logs and editors.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.diagnostics()
            .into_iter()
            .map(|found| self.line(found))
            .collect()
    }

    /// The same of one severity.
    #[must_use]
    pub fn lines_of(&self, severity: Severity) -> Vec<String> {
        self.diagnostics()
            .into_iter()
            .filter(|found| found.severity == severity)
            .map(|found| self.line(found))
            .collect()
    }

    /// `2 errors, 1 warning in 3 files`, or `no errors in 3 files`.
    #[must_use]
    pub fn summary(&self) -> String {
        let counted = |severity: Severity| match self.count(severity) {
            1 => format!("1 {}", severity.name()),
            many => format!("{many} {}s", severity.name()),
        };
        let mut text = match self.has_errors() {
            true => counted(Severity::Error),
            false => "no errors".to_owned(),
        };
        for severity in [Severity::Warning, Severity::Note] {
            if self.count(severity) != 0 {
                text.push_str(&format!(", {}", counted(severity)));
            }
        }
        match self.sources.len() {
            1 => text.push_str(" in 1 file"),
            files => text.push_str(&format!(" in {files} files")),
        }
        text
    }

    pub(super) fn add_source(&mut self, source: Source) -> u32 {
        self.sources.push(source);
        u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX)
    }

    pub(super) fn source(&self, at: At) -> Option<&Source> {
        self.sources.get(at.source as usize)
    }

    fn path(&self, found: &Diagnostic) -> Option<PathBuf> {
        Some(self.source(found.at?)?.path.clone())
    }

    fn line(&self, found: &Diagnostic) -> String {
        let mut text = String::new();
        if let Some(at) = found.at {
            text.push_str(&format!("{}: ", self.place(at)));
        }
        text.push_str(&format!(
            "{}[{}]: {}",
            found.severity.name(),
            found.code,
            found.message
        ));
        if let Some(label) = &found.label {
            text.push_str(&format!("; {label}"));
        }
        for (at, why) in &found.related {
            text.push_str(&format!("; {why} at {}", self.place(*at)));
        }
        if let Some(environments) = found.in_environments() {
            text.push_str(&format!("; {environments}"));
        }
        text.replace(['\n', '\r'], " ")
    }
}

/// `span` cut to the text and to whole characters.
fn inside(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.floor_char_boundary(span.end.clamp(start, text.len()));
    start..end.max(start)
}
