//! The one layout of policy files: order, columns and blanks; comments stay with what they are about. Owns the promise that nothing else
//! changes, which is proven for each text before it is given out.

mod arrange;
mod read;
#[cfg(test)]
mod tests;
mod write;

use super::Files;
use super::document;
use super::packs;
use super::reading::Reading;
use super::report::Report;
use super::report::Source;
use super::sources;
use std::path::Path;

/// Why a text is left as it is.
#[derive(Debug)]
pub enum LayoutError {
    /// It is not TOML.
    Broken(Report),
    /// The result would not say the same.
    Unproven,
}

/// The text in its layout.
///
/// # Errors
/// Where the text is not TOML.
pub fn layout(path: &Path, text: &str) -> Result<String, LayoutError> {
    let mut report = Report::default();
    let source = report.add_source(Source {
        path: path.to_owned(),
        text: text.into(),
    });
    document::parse(text, source, &mut report);
    if report.has_errors() {
        return Err(LayoutError::Broken(report));
    }
    let lines = read::lines(text).ok_or(LayoutError::Unproven)?;
    let laid = write::page(&arrange::page(lines));
    match says_the_same(text, &laid) {
        true => Ok(laid),
        false => Err(LayoutError::Unproven),
    }
}

/// The policy files that a policy is written in; scripts, plugins and what the program brings along excepted.
///
/// # Errors
/// Where one cannot be read.
pub fn texts(root: &Path, files: &dyn Files) -> Result<Vec<Source>, Report> {
    let reading = Reading::new(files);
    let words = sources::read(&reading, root);
    let (report, _) = reading.finish();
    match words.broken {
        true => Err(report),
        false => {
            let files = report.sources().iter();
            let files = files.filter(|file| !packs::is_pack(&file.path));
            Ok(files.cloned().collect())
        }
    }
}

/// The same keys with the same values, in the same words, and the same comments.
fn says_the_same(before: &str, after: &str) -> bool {
    let table = |text: &str| toml::from_str::<toml::Table>(text).ok();
    let same = |of: fn(&str) -> Vec<&str>| {
        let (mut before, mut after) = (of(before), of(after));
        before.sort_unstable();
        after.sort_unstable();
        before == after
    };
    let same_values = table(before).is_some_and(|before| Some(before) == table(after));
    // A value could be the same and be written otherwise: texts and numbers stay byte for byte.
    same_values && same(read::comments) && same(read::words)
}
