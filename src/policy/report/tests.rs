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

/// One error with all that can belong to it, a warning and a note, in two files of which one needs escaping.
fn several() -> Report {
    let mut report = report(&[
        ("a b.toml", "x = 1\n\u{e9} = 100 % \n"),
        ("b.toml", "[x]\n"),
    ]);
    report.add(
        Diagnostic::error("P0206", At::new(0, 6..8), "`x`: 100 %,\nagain")
            .label("rename it")
            .related(At::new(1, 0..3), "first here")
            .help("to y"),
    );
    report.add(Diagnostic::warning("P0702", At::new(1, 0..3), "odd"));
    report.add(Diagnostic::note("P0745", None, "by the way"));
    report
}

#[test]
fn commands_of_github_are_escaped() {
    let expected = "\
::notice title=P0745::by the way
::error file=a b.toml,line=2,endLine=2,col=1,endColumn=2,title=P0206::`x`: 100 %25,%0Aagain%0Arename it%0Ato y
::warning file=b.toml,line=1,endLine=1,col=1,endColumn=4,title=P0702::odd
";
    assert_eq!(several().github(), expected);
    let report = {
        let mut report = report(&[("a,b:c%.toml", "x")]);
        report.error("P0101", At::new(0, 0..1), "no");
        report
    };
    assert!(
        report
            .github()
            .starts_with("::error file=a%2Cb%3Ac%25.toml,line=1,")
    );
}

#[test]
fn json_has_every_place() {
    let json = several().json();
    assert_eq!(json["errors"], 1);
    assert_eq!(json["warnings"], 1);
    assert_eq!(json["notes"], 1);
    assert_eq!(json["files"], serde_json::json!(["a b.toml", "b.toml"]));
    let found = &json["diagnostics"];
    assert_eq!(found[0]["place"], serde_json::Value::Null);
    assert_eq!(
        found[1],
        serde_json::json!({
            "code": "P0206", "severity": "error", "message": "`x`: 100 %,\nagain", "label": "rename it", "help": ["to y"],
            "place": { "file": "a b.toml", "line": 2, "column": 1, "end_line": 2, "end_column": 2, "start_byte": 6, "end_byte": 8 },
            "related": [{ "message": "first here", "place":
                { "file": "b.toml", "line": 1, "column": 1, "end_line": 1, "end_column": 4, "start_byte": 0, "end_byte": 3 } }],
            "environments": [],
        })
    );
}

/// What the schema of SARIF 2.1.0 asks of the parts that are written: kinds, required properties, and that each index leads somewhere.
#[test]
fn sarif_is_as_its_schema_wants_it() {
    let sarif = several().sarif();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "pgwarden");
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    assert_eq!(run["artifacts"][0]["location"]["uri"], "a%20b.toml");
    let results = run["results"].as_array().unwrap();
    let levels: Vec<_> = results
        .iter()
        .map(|result| result["level"].as_str().unwrap())
        .collect();
    assert_eq!(levels, ["note", "error", "warning"]);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(driver["rules"][index]["id"], result["ruleId"]);
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
    }
    assert!(results[0].get("locations").is_none());
    let location = &results[1]["locations"][0]["physicalLocation"];
    assert_eq!(
        *location,
        serde_json::json!({ "artifactLocation": { "uri": "a%20b.toml", "index": 0 },
            "region": { "startLine": 2, "startColumn": 1, "endLine": 2, "endColumn": 2 } })
    );
    assert_eq!(
        results[1]["relatedLocations"][0]["message"]["text"],
        "first here"
    );
}

#[test]
fn reports_of_environments_tell_each_mistake_once() {
    let texts = [("a.toml", "x = 1\ny = 2\n")];
    let (mut plain, mut prod, mut test) = (
        report(&texts),
        report(&[("z.toml", ""), texts[0]]),
        report(&texts),
    );
    plain.error("P1", At::new(0, 0..1), "everywhere");
    prod.error("P1", At::new(1, 0..1), "everywhere");
    test.error("P1", At::new(0, 0..1), "everywhere");
    prod.error("P2", At::new(1, 6..7), "only there");
    test.error("P3", At::new(0, 6..7), "in two");
    plain.error("P3", At::new(0, 6..7), "in two");
    let merged = Report::merged(vec![
        ("without an environment".to_owned(), plain),
        ("in the environment `prod`".to_owned(), prod),
        ("in the environment `test`".to_owned(), test),
    ]);
    let expected = [
        "a.toml:1:1: error[P1]: everywhere",
        "a.toml:2:1: error[P2]: only there; found in the environment `prod`",
        "a.toml:2:1: error[P3]: in two; found without an environment and in the environment `test`",
    ];
    assert_eq!(merged.lines(), expected);
    assert_eq!(merged.summary(), "3 errors in 2 files");
}

#[test]
fn only_warnings_can_be_forgiven() {
    let mut report = several();
    report.forgive(&["P0206".to_owned(), "P0702".to_owned()]);
    assert_eq!(report.summary(), "1 error, 1 note in 2 files");
    assert_eq!(report.lines_of(Severity::Warning), Vec::<String>::new());
    assert_eq!(report.lines_of(Severity::Note), ["note[P0745]: by the way"]);
}
