//! Where a verb writes to. A closed pipe ends the output, not the program with a panic.

use crate::policy::Colour;
use std::io::IsTerminal as _;
use std::io::Write as _;

/// Writes to standard output.
pub(super) fn print(text: &str) {
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
}

/// Writes to standard error.
pub(super) fn complain(text: &str) {
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

/// Colours for a person, none for a file.
pub(super) fn colour() -> Colour {
    let wanted = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if wanted { Colour::Ansi } else { Colour::Never }
}
