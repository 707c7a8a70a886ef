//! The human form of a report, by rustc's renderer. Each diagnostic shows the lines it needs, never the whole file.

use super::At;
use super::Diagnostic;
use super::Report;
use super::Severity;
use super::inside;
use annotate_snippets::Annotation;
use annotate_snippets::AnnotationKind;
use annotate_snippets::Group;
use annotate_snippets::Level;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;
use std::borrow::Cow;
use std::ops::Range;

/// A report longer than this is cut; the rest is counted.
const SHOWN_MAX: usize = 200;
/// Two places this many lines apart are shown in one picture.
const SAME_PICTURE_LINES_MAX: u32 = 12;

/// Whether escape codes for a terminal are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// Plain text.
    Never,
    /// ANSI escape codes.
    Ansi,
}

impl Report {
    /// Everything found, for people: message, place, source line, caret, cure; then the summary.
    #[must_use]
    pub fn render(&self, colour: Colour) -> String {
        let mut text = self.pictures(colour);
        if !text.is_empty() {
            text.push_str(&self.summary());
            text.push('\n');
        }
        text
    }

    /// The same without the summary.
    #[must_use]
    pub fn pictures(&self, colour: Colour) -> String {
        let renderer = match colour {
            Colour::Never => Renderer::plain(),
            Colour::Ansi => Renderer::styled(),
        };
        let found = self.diagnostics();
        let mut text = String::new();
        for diagnostic in found.iter().take(SHOWN_MAX) {
            text.push_str(&renderer.render(&self.groups(diagnostic)));
            text.push('\n');
        }
        if let Some(more) = found.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
            text.push_str(&format!("... and {more} more\n"));
        }
        text
    }

    fn groups<'a>(&'a self, found: &'a Diagnostic) -> Vec<Group<'a>> {
        let level = match found.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut group =
            Group::with_title(level.primary_title(found.message.as_str()).id(found.code));
        if let Some(at) = found.at {
            let place = self.place(at);
            let (near, far): (Vec<_>, Vec<_>) = found.related.iter().partition(|(other, _)| {
                other.source == at.source
                    && self.place(*other).line.abs_diff(place.line) <= SAME_PICTURE_LINES_MAX
            });
            let mut marks = vec![(at, AnnotationKind::Primary, found.label.as_deref())];
            marks.extend(
                near.iter()
                    .map(|(at, why)| (*at, AnnotationKind::Context, Some(why.as_str()))),
            );
            group = group.element(self.snippet(&marks, found.concealed));
            for (at, why) in far {
                group = group.element(
                    self.snippet(&[(*at, AnnotationKind::Context, Some(why.as_str()))], false),
                );
            }
        }
        for help in &found.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        if let Some(environments) = found.in_environments() {
            group = group.element(Level::NOTE.message(environments));
        }
        vec![group]
    }

    /// The lines that `marks` lie on, with the marks. All marks are in one source.
    fn snippet<'a>(
        &'a self,
        marks: &[(At, AnnotationKind, Option<&'a str>)],
        concealed: bool,
    ) -> Snippet<'a, Annotation<'a>> {
        let source = marks.first().and_then(|(at, _, _)| self.source(*at));
        let (path, text) = match source {
            Some(source) => (source.path.display().to_string(), &*source.text),
            None => (String::new(), ""),
        };
        let spans: Vec<Range<usize>> = marks
            .iter()
            .map(|(at, _, _)| first_line(text, at.span()))
            .collect();
        let start = spans.iter().map(|span| span.start).min().unwrap_or(0);
        let end = spans.iter().map(|span| span.end).max().unwrap_or(0);
        let start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[end..]
            .find('\n')
            .map_or(text.len(), |newline| end + newline);
        let line = text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
        let mut shown = Cow::Borrowed(&text[start..end]);
        if let (true, Some(first)) = (concealed, spans.first()) {
            let stars = "*".repeat(first.len());
            shown
                .to_mut()
                .replace_range(first.start - start..first.end - start, &stars);
        }
        let annotations = spans
            .into_iter()
            .zip(marks)
            .map(|(span, (_, kind, label))| {
                let annotation = kind.span(span.start - start..span.end - start);
                match label {
                    Some(label) => annotation.label(*label),
                    None => annotation,
                }
            });
        Snippet::source(shown)
            .line_start(line)
            .path(path)
            .annotations(annotations)
    }
}

/// The part of a span that lies on its first line, so that a long script is not shown for one mark.
fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let span = inside(text, span);
    let end = text[span.clone()]
        .find(['\n', '\r'])
        .map_or(span.end, |length| span.start + length);
    span.start..end
}
