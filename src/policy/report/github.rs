//! A report as workflow commands of GitHub Actions, which shows each at its line of a pull request.

use super::Report;
use super::Severity;

impl Report {
    /// One command a line: `::error file=policy.toml,line=3,col=5,title=P0412::message`.
    #[must_use]
    pub fn github(&self) -> String {
        let mut text = String::new();
        for found in self.diagnostics() {
            let command = match found.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "notice",
            };
            text.push_str(&format!("::{command} "));
            if let Some(at) = found.at {
                let (place, end) = (self.place(at), self.end(at));
                text.push_str(&format!(
                    "file={},line={},endLine={},col={},endColumn={},",
                    property(&place.file.display().to_string()),
                    place.line,
                    end.line,
                    place.column,
                    end.column
                ));
            }
            text.push_str(&format!(
                "title={}::{}\n",
                property(found.code),
                data(&self.told(found))
            ));
        }
        text
    }
}

/// A message: a command ends with its line.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property, which ends with a comma or with the colons before the message.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
