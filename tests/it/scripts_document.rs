//! `docs/scripts.md` as it stands.

use crate::support::document;

#[test]
fn the_commands_of_the_document_print_what_it_shows() {
    document::check("scripts.md", 1, |_| false);
}
