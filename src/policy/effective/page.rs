//! Lines with columns: keys of one width, and what is said behind them at one place. Owns no value.

use super::Line;

/// Where notes begin, unless a line is longer.
const NOTE_COLUMN: usize = 64;

/// A text that grows.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    pub(super) fn comment(&mut self, comment: &str) {
        self.text.push_str(&format!("# {}\n", one_line(comment)));
    }

    pub(super) fn header(&mut self, header: &str, note: &str) {
        self.text.push('\n');
        self.line(header, note);
    }

    pub(super) fn lines(&mut self, lines: &[Line]) {
        let width = lines.iter().map(|line| line.key.chars().count());
        let width = width.max().unwrap_or(0);
        for line in lines {
            let Line {
                key,
                value,
                note,
                is_comment,
            } = line;
            let mark = if *is_comment { "# " } else { "" };
            self.line(&format!("{mark}{key:<width$} = {value}"), note);
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.text.push_str(&other.text);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// The note stands behind the last line of what has several.
    fn line(&mut self, code: &str, note: &str) {
        self.text.push_str(code);
        if !note.is_empty() {
            let last = code.rsplit('\n').next().unwrap_or_default();
            let gap = NOTE_COLUMN.saturating_sub(last.chars().count()).max(2);
            self.text
                .push_str(&format!("{:gap$}# {}", "", one_line(note)));
        }
        self.text.push('\n');
    }
}

/// A file's name may hold anything, and a comment ends with its line.
fn one_line(note: &str) -> String {
    note.replace(|c: char| c.is_control(), "?")
}
