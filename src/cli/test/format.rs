//! How the results of tests are told: to people, to CI servers (JUnit), to harnesses (TAP), to programs (JSON).

use super::Outcome;
use super::Results;
use serde_json::Value;
use serde_json::json;

/// How results are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Human,
    Junit,
    Tap,
    Json,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "human" => Ok(Self::Human),
            "junit" => Ok(Self::Junit),
            "tap" => Ok(Self::Tap),
            "json" => Ok(Self::Json),
            _ => Err("one of human, junit, tap, json".to_owned()),
        }
    }
}

impl Format {
    /// Whether it has a place for changes of the policy that no test notices.
    pub(super) fn tells_mutants(self) -> bool {
        matches!(self, Self::Human | Self::Json)
    }

    /// All of it as text; what no test meets only `with_coverage`.
    pub(super) fn write(self, results: &Results, with_coverage: bool) -> String {
        match self {
            Self::Human => human(results, with_coverage),
            Self::Junit => junit(results),
            Self::Tap => tap(results),
            Self::Json => format!("{:#}\n", value(results)),
        }
    }
}

fn human(results: &Results, with_coverage: bool) -> String {
    let mut text = String::new();
    for outcome in results.outcomes.iter().filter(|it| !it.failures.is_empty()) {
        text.push_str(&format!("FAIL {}  {}\n", outcome.name, outcome.place));
        for line in &outcome.failures {
            text.push_str(&format!("     {line}\n"));
        }
    }
    let failed = results.failed();
    let passed = results.outcomes.len() - failed;
    let covered = &results.covered;
    let ((asked, stages), (met, branches)) = (covered.stages, covered.branches);
    text.push_str(&format!(
        "{passed} passed, {failed} failed    stages {asked}/{stages}   branches {met}/{branches}\n"
    ));
    if with_coverage {
        for line in &covered.untested {
            text.push_str(&format!("untested: {line}\n"));
        }
        for line in &covered.not_played {
            text.push_str(&format!("not played by tests: {line}\n"));
        }
    }
    if let Some(mutated) = &results.mutated {
        for line in &mutated.alive {
            text.push_str(&format!("ALIVE {line}\n"));
        }
        text.push_str(&format!(
            "{} mutants, {} killed, {} alive\n",
            mutated.all,
            mutated.all - mutated.alive.len(),
            mutated.alive.len()
        ));
    }
    text
}

/// Whatever may stand in XML text and in attributes; control characters may not.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

fn junit(results: &Results) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    text.push_str(&format!(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\">\n",
        xml(&results.policy),
        results.outcomes.len(),
        results.failed()
    ));
    for Outcome {
        name,
        place,
        failures,
    } in &results.outcomes
    {
        let (name, place) = (xml(name), xml(place));
        text.push_str(&format!(
            "    <testcase classname=\"{place}\" name=\"{name}\""
        ));
        let Some(first) = failures.first() else {
            text.push_str("/>\n");
            continue;
        };
        text.push_str(&format!(
            ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
            xml(first).replace(['\n', '\t'], " "),
            xml(&failures.join("\n"))
        ));
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// Version 14 of the protocol, with what failed as YAML: a JSON text is one, too.
fn tap(results: &Results) -> String {
    let mut text = format!("TAP version 14\n1..{}\n", results.outcomes.len());
    for (index, outcome) in results.outcomes.iter().enumerate() {
        let name = outcome.name.replace('\\', "\\\\").replace('#', "\\#");
        let name = name.replace(['\n', '\r'], " ");
        let word = if outcome.failures.is_empty() {
            "ok"
        } else {
            "not ok"
        };
        text.push_str(&format!("{word} {} - {name}\n", index + 1));
        if !outcome.failures.is_empty() {
            let failures: Value = outcome.failures.as_slice().into();
            let place: Value = outcome.place.as_str().into();
            text.push_str(&format!(
                "  ---\n  at: {place}\n  failures: {failures}\n  ...\n"
            ));
        }
    }
    text
}

fn value(results: &Results) -> Value {
    let failed = results.failed();
    let tests = results.outcomes.iter().map(|outcome| {
        json!({
            "name": outcome.name,
            "place": outcome.place,
            "passed": outcome.failures.is_empty(),
            "failures": outcome.failures,
        })
    });
    let covered = &results.covered;
    let part = |(met, all): (usize, usize)| json!({ "met": met, "all": all });
    let mutated = results
        .mutated
        .as_ref()
        .map(|mutated| json!({ "all": mutated.all, "alive": mutated.alive }));
    json!({
        "policy": results.policy,
        "revision": results.revision,
        "passed": results.outcomes.len() - failed,
        "failed": failed,
        "tests": tests.collect::<Vec<_>>(),
        "coverage": {
            "stages": part(covered.stages),
            "branches": part(covered.branches),
            "untested": covered.untested,
            "not_played": covered.not_played,
        },
        "mutants": mutated,
    })
}

#[cfg(test)]
mod tests {
    use super::super::coverage::Covered;
    use super::*;

    fn results() -> Results {
        Results {
            policy: "a & b".to_owned(),
            revision: "01234567".to_owned(),
            outcomes: vec![
                Outcome {
                    name: "good #1".to_owned(),
                    place: "a.toml:1:1".to_owned(),
                    failures: Vec::new(),
                },
                Outcome {
                    name: "a < \"b\"".to_owned(),
                    place: "a.toml:2:1".to_owned(),
                    failures: vec!["expected \u{1b}x".to_owned(), "why & how".to_owned()],
                },
            ],
            covered: Covered {
                stages: (1, 2),
                branches: (3, 4),
                untested: vec!["stage `x`: no test asks it".to_owned()],
                not_played: Vec::new(),
            },
            mutated: None,
        }
    }

    #[test]
    fn junit_is_escaped() {
        let expected = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites>
  <testsuite name=\"a &amp; b\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\">
    <testcase classname=\"a.toml:1:1\" name=\"good #1\"/>
    <testcase classname=\"a.toml:2:1\" name=\"a &lt; &quot;b&quot;\">
      <failure message=\"expected \u{fffd}x\">expected \u{fffd}x
why &amp; how</failure>
    </testcase>
  </testsuite>
</testsuites>
";
        assert_eq!(Format::Junit.write(&results(), false), expected);
    }

    #[test]
    fn tap_numbers_and_escapes() {
        let expected = "\
TAP version 14
1..2
ok 1 - good \\#1
not ok 2 - a < \"b\"
  ---
  at: \"a.toml:2:1\"
  failures: [\"expected \\u001bx\",\"why & how\"]
  ...
";
        assert_eq!(Format::Tap.write(&results(), false), expected);
    }

    #[test]
    fn json_and_text_count_the_same() {
        let json: Value = serde_json::from_str(&Format::Json.write(&results(), false)).unwrap();
        assert_eq!((&json["passed"], &json["failed"]), (&1.into(), &1.into()));
        assert_eq!(json["coverage"]["branches"], json!({ "met": 3, "all": 4 }));
        assert_eq!(json["tests"][1]["failures"][1], "why & how");
        let text = Format::Human.write(&results(), true);
        assert!(text.contains("1 passed, 1 failed    stages 1/2   branches 3/4\nuntested: stage `x`: no test asks it\n"), "{text}");
        assert!(!Format::Human.write(&results(), false).contains("untested"));
    }

    #[test]
    fn shares_are_not_rounded_up() {
        let covered = results().covered;
        assert_eq!(covered.percent(), 66);
        assert!(covered.reaches(66) && !covered.reaches(67));
    }
}
