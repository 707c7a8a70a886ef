//! How a report is put together and shown.

use super::*;

fn report(texts: &[(&str, &str)]) -> Report {
    let mut report = Report::default();
    for (path, text) in texts {
        report.add_source(Source {
            path: path.into(),
            text: (*text).into(),
        });
    }
    report
}

#[test]
fn places_are_counted_in_lines_and_characters() {
    let report = report(&[("a.toml", "x = \"\u{e9}\"\ny = 1\n")]);
    for (span, line, column) in [
        (0..1, 1, 1),
        (5..6, 1, 6),
        (7..8, 1, 7),
        (9..10, 2, 1),
        (14..99, 2, 6),
        (900..901, 3, 1),
    ] {
        let place = report.place(At::new(0, span.clone()));
        assert_eq!((place.line, place.column), (line, column), "{span:?}");
    }
    assert_eq!(report.place(At::new(7, 0..1)).to_string(), ":1:1");
}

#[test]
fn sorted_by_file_and_place_and_told_once() {
    let mut report = report(&[("b.toml", "1\n2\n"), ("a.toml", "1\n")]);
    report.error("P2", At::new(0, 2..3), "second");
    report.error("P1", At::new(0, 0..1), "first");
    report.error("P1", At::new(0, 0..1), "first");
    report.error("P3", At::new(1, 0..1), "other file");
    report.error("P0", None, "no file");
    let expected = [
        "error[P0]: no file",
        "a.toml:1:1: error[P3]: other file",
        "b.toml:1:1: error[P1]: first",
        "b.toml:2:1: error[P2]: second",
    ];
    assert_eq!(report.lines(), expected);
    assert_eq!(report.summary(), "4 errors in 2 files");
}

#[test]
fn related_places_and_help_are_shown() {
    let mut report = report(&[("a.toml", "[x]\n\n[x]\n"), ("b.toml", "[x]\n")]);
    report.add(
        Diagnostic::error("P0206", At::new(0, 5..8), "`x` is defined twice")
            .related(At::new(0, 0..3), "first here")
            .related(At::new(1, 0..3), "and here")
            .help("rename one"),
    );
    report.add(Diagnostic::warning("P0000", At::new(1, 0..3), "odd"));
    let text = report.render(Colour::Never);
    for part in [
        "first here",
        "and here",
        "= help: rename one",
        "warning[P0000]: odd",
        "1 error, 1 warning in 2 files",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}
