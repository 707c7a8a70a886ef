//! `docs/plugins.md` as it stands.

use crate::support::document;
use std::process::Command;

#[test]
fn the_commands_of_the_document_print_what_it_shows() {
    let has_openssl = Command::new("openssl").arg("version").output().is_ok();
    let needs_openssl =
        |command: &str| command.contains("openssl") || command.contains("--by team");
    document::check("plugins.md", 16, |command| {
        !has_openssl && needs_openssl(command)
    });
}
