//! Whatever the text, reading it does not panic, and what is reported lies inside the text.

use super::*;
use proptest::prelude::ProptestConfig;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::proptest;

const PIECES: [&str; 46] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\"",
    "'''",
    "\n",
    "#",
    " ",
    "0",
    "-1",
    "9999999999999999999999",
    "1.5",
    "true",
    "nan",
    "2026-01-01",
    "2026-01-01T00:00:00",
    "\"5ms\"",
    "\"\"",
    "\"é\u{1f600}\"",
    "[]",
    "{}",
    "policy",
    "stage.a",
    "[stage.a]",
    "hook",
    "when",
    "deny",
    "\"pre_query\"",
    "{ var = \"x\" }",
    "{ env = \"x\" }",
    "{ file = \"x\" }",
    "user",
    "[[test]]",
    "cases",
    "given",
    "expect",
    "steps",
    "\u{0}",
    "\r\n",
    "\t",
];

/// Checks one text, and gives the report back.
fn read(text: &str) -> Report {
    let memory = Memory::default()
        .file("policy.toml", text)
        .file("x", "y")
        .variable("x", "z");
    let (policy, report) = memory.load(None);
    assert_eq!(policy.is_none(), report.has_errors());
    for found in report.diagnostics() {
        for at in found
            .at
            .iter()
            .chain(found.related.iter().map(|(at, _)| at))
        {
            let place = report.place(*at);
            let inside = report
                .sources()
                .first()
                .is_none_or(|source| source.text.get(place.span.clone()).is_some());
            assert!(inside, "{place} {:?}", place.span);
        }
    }
    let shown = [
        report.render(Colour::Never),
        report.render(Colour::Ansi),
        report.lines().concat(),
    ];
    assert_eq!(
        shown.iter().all(String::is_empty),
        report.diagnostics().is_empty()
    );
    report
}

fn whole() -> String {
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/policies/quickstart.toml"
    ))
    .to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        read(&text);
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40)) {
        read(&pieces.join(" "));
        read(&format!("{SMALLEST}{}", pieces.concat()));
    }

    #[test]
    fn a_policy_with_pieces_lost_and_found(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..6_usize, proptest::sample::select(&PIECES[..])), 1..6)
    ) {
        let mut text = whole();
        for (index, length, piece) in edits {
            let start = text.floor_char_boundary(index.index(text.len()));
            let end = text.floor_char_boundary((start + length).min(text.len())).max(start);
            text.replace_range(start..end, piece);
        }
        read(&text);
    }

    #[test]
    fn a_policy_with_values_swapped(from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let text = whole();
        let values: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once(" = ")?.1.trim())).collect();
        let (from, to) = (values[from.index(values.len())], values[to.index(values.len())]);
        read(&text.replacen(&format!("= {from}"), &format!("= {to}"), 1));
    }
}
