//! `pgwarden test` beyond passing and failing: coverage, mutants, formats for machines, and watching files.

use crate::support::Folder;
use crate::support::Killed;
use crate::support::proxy::pgwarden;
use crate::support::repository;
use crate::support::said::Said;
use crate::support::wait_for;
use std::path::Path;
use std::process::Stdio;

const POLICY: &str = r#"policy = 1
name = "tested"

[listener.main]
bind = ["127.0.0.1:6432"]

[node.pg]
role = "primary"
host = "127.0.0.1"

[pool.main]
database = "*"
nodes = ["pg"]

[role.dba]
[user.alice]
trust = true
[user.dana]
trust = true
roles = ["dba"]

[stage.office]
hook = "on_connect"
unless = { client = ["127.0.0.0/8", "10.0.0.0/8"] }
deny = { code = "28000", message = "from the office only" }

[stage.no-ddl]
hook = "authorize"
when = { kind = "ddl" }
unless = { role = "dba" }
deny = "no"

[stage.secrets]
hook = "authorize"
when = { tables = ["secrets"] }
script = '''
if user.name == "dana" { return next(); }
deny("secret")
'''

[stage.slow]
hook = "post_query"
when = { elapsed = ">1s" }
log = { fields = ["user"] }

[pipeline.default]
on_connect = ["office"]
authorize = ["no-ddl", "secrets"]
post_query = ["slow"]
otherwise = { authorize = "allow" }

[[test]]
name = "schemas are for dbas"
given = { user = "alice", sql = "DROP TABLE t" }
cases = [
  { expect = { verdict = "deny", by = "no-ddl" } },
  { sql = "SELECT 1", expect = { verdict = "allow" } },
]
"#;

/// What the one test leaves out.
const REST: &str = r#"
[[test]]
name = "the rest"
given = { user = "alice", sql = "SELECT * FROM secrets" }
cases = [
  { expect = { verdict = "deny", by = "secrets", message = "secret" } },
  { user = "dana", expect = { verdict = "allow" } },
  { user = "dana", sql = "DROP TABLE t", expect = { verdict = "allow" } },
  { sql = "SELECT 1", client = "192.0.2.1", expect = { verdict = "deny", code = "28000" } },
  { sql = "SELECT 1", client = "10.0.0.1", expect = { verdict = "allow" } },
]
"#;

fn test(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = pgwarden(&["test", "policy.toml"]);
    let Said { code, out, err } = Said::by(command.args(arguments).current_dir(folder));
    (code, out, err)
}

#[test]
fn coverage_names_what_no_test_meets() {
    let folder = Folder::new("coverage");
    folder.write("policy.toml", POLICY);
    let (code, out, _) = test(folder.path(), &["--coverage"]);
    let expected = "\
2 passed, 0 failed    stages 1/3   branches 5/8
untested: stage `no-ddl`: `unless` spares nothing  policy.toml:27:8
untested: stage `office`: no test asks it  policy.toml:22:8
untested: stage `office`: `unless` spares every statement  policy.toml:22:8
untested: stage `secrets`: no test asks it  policy.toml:33:8
untested: stage `secrets`: `when` never matches  policy.toml:33:8
not played by tests: stage `slow` (post_query)
";
    assert_eq!((code, &*out), (Some(0), expected));
    assert_eq!(
        test(folder.path(), &["--coverage", "--min", "54"]).0,
        Some(0)
    );
    let (code, _, err) = test(folder.path(), &["--coverage", "--min", "55"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("54 % of stages and branches are tested, and --min asks for 55 %"),
        "{err}"
    );
    assert_eq!(test(folder.path(), &["--min", "55"]).0, Some(64));

    folder.write("policy.toml", format!("{POLICY}{REST}"));
    let (code, out, _) = test(folder.path(), &["--coverage", "--min", "100"]);
    let expected = "\
7 passed, 0 failed    stages 3/3   branches 8/8
not played by tests: stage `slow` (post_query)
";
    assert_eq!((code, &*out), (Some(0), expected));
}

#[test]
fn mutants_that_no_test_notices_are_alive() {
    let folder = Folder::new("mutants");
    folder.write("policy.toml", POLICY);
    let (code, out, _) = test(folder.path(), &["--mutate"]);
    let expected = "\
2 passed, 0 failed    stages 1/3   branches 5/8
ALIVE drop     stage `office`: no test fails without it  policy.toml:22:8
ALIVE drop     stage `secrets`: no test fails without it  policy.toml:33:8
6 mutants, 4 killed, 2 alive
";
    assert_eq!((code, &*out), (Some(1), expected));

    folder.write("policy.toml", format!("{POLICY}{REST}"));
    let (code, out, _) = test(folder.path(), &["--mutate"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.ends_with("\n6 mutants, 6 killed, 0 alive\n"), "{out}");

    // Two stages of which one allows what the other refuses: their order counts, and here nothing tests it.
    let allow = "[stage.known]\nhook = \"authorize\"\nwhen = { role = \"dba\" }\nallow = true\n";
    let text = POLICY
        .replace(
            "[\"no-ddl\", \"secrets\"]",
            "[\"no-ddl\", \"known\", \"secrets\"]",
        )
        .replace("[stage.slow]", &format!("{allow}\n[stage.slow]"));
    folder.write("policy.toml", format!("{text}{REST}"));
    let (code, out, _) = test(folder.path(), &["--mutate"]);
    assert_eq!(code, Some(1), "{out}");
    let reordered =
        "ALIVE reorder  stages `known` and `secrets` at `authorize` of pipeline `default`";
    assert!(out.contains(reordered), "{out}");

    // A format without a place for them tells them beside it.
    for format in ["junit", "tap"] {
        let (code, out, err) = test(folder.path(), &["--mutate", "--format", format]);
        assert_eq!(code, Some(1), "{out}");
        assert!(
            err.contains("error: a change that no test notices: reorder  stages"),
            "{err}"
        );
        assert!(!out.contains("no test"), "{out}");
    }

    // Nobody is both, so that the order of the two cannot show.
    let apart = text.replace(
        "role = \"dba\" }\nallow",
        "role = \"dba\", user = \"nobody\" }\nallow",
    );
    folder.write("policy.toml", format!("{apart}{REST}"));
    let (_, out, _) = test(folder.path(), &["--mutate"]);
    assert!(!out.contains("reorder"), "{out}");

    // What fails already cannot notice anything.
    folder.write(
        "policy.toml",
        POLICY.replace("verdict = \"allow\"", "verdict = \"deny\""),
    );
    let (code, out, _) = test(folder.path(), &["--mutate"]);
    assert_eq!(code, Some(1));
    assert!(!out.contains("mutants"), "{out}");
}

#[test]
fn results_for_machines() {
    let folder = Folder::new("results");
    folder.write(
        "policy.toml",
        POLICY.replace("verdict = \"allow\"", "verdict = \"deny\""),
    );
    let (code, out, _) = test(folder.path(), &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (code, &json["passed"], &json["failed"]),
        (Some(1), &1.into(), &1.into())
    );
    assert_eq!(json["tests"][0]["name"], "schemas are for dbas (case 1)");
    let (code, out, _) = test(folder.path(), &["--format", "tap"]);
    assert_eq!(code, Some(1));
    assert!(
        out.starts_with("TAP version 14\n1..2\nok 1 - schemas are for dbas (case 1)\nnot ok 2 - "),
        "{out}"
    );
    let (code, out, _) = test(folder.path(), &["--format", "junit"]);
    assert_eq!(code, Some(1));
    assert!(
        out.contains("<testsuite name=\"tested\" tests=\"2\" failures=\"1\""),
        "{out}"
    );
    assert_eq!(test(folder.path(), &["--format", "yaml"]).0, Some(64));
}

#[test]
fn tests_run_again_when_a_file_changes() {
    let folder = Folder::new("watched");
    let path = folder.write("policy.toml", POLICY);
    let log = folder.path().join("log");
    let file = std::fs::File::create(&log).expect("a log");
    let child = pgwarden(&["test", "--watch"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a log"))
        .stderr(file)
        .spawn();
    let _ended = Killed(child.expect("pgwarden starts"));
    let said = |what: &str| {
        wait_for(what, || {
            let text = std::fs::read_to_string(&log).ok()?;
            text.contains(what).then_some(())
        });
    };
    said("2 passed, 0 failed");
    folder.write(
        "policy.toml",
        POLICY.replace("verdict = \"allow\"", "verdict = \"deny\""),
    );
    said("1 passed, 1 failed");
    folder.write(
        "policy.toml",
        POLICY.replace("kind = \"ddl\"", "knid = \"ddl\""),
    );
    said("error[P0207]: unknown key `knid`");
    folder.write("policy.toml", format!("{POLICY}{REST}"));
    said("7 passed, 0 failed");
}

#[test]
fn the_tests_of_every_example_notice_every_change() {
    let folder = repository().join("policies");
    let policies = std::fs::read_dir(&folder).expect("the examples");
    let mut count = 0;
    for path in policies.map(|entry| entry.expect("an example").path()) {
        if path.extension().is_some_and(|end| end == "toml") {
            let file = path.file_name().and_then(|name| name.to_str());
            let mut command = pgwarden(&["test", "--mutate", file.expect("a name")]);
            Said::ends(command.current_dir(&folder), 0);
            count += 1;
        }
    }
    assert!(count >= 9, "{count} examples");
}

/// Two stages at `on_connect`, of which the first, a script, refuses one application.
const DOORS: &str = r#"policy = 1
name = "doors"

[listener.main]
bind = ["127.0.0.1:6432"]

[node.pg]
role = "primary"
host = "127.0.0.1"

[pool.main]
database = "*"
nodes = ["pg"]

[user.app]
trust = true

[permissions.app]
see = ["session"]

[stage.door]
hook = "on_connect"
permissions = "app"
script = 'if session.app == "away" { deny("28000", "not you") } else { next() }'

[stage.inner]
hook = "on_connect"
when = { app = "never" }
deny = "never"

[pipeline.default]
on_connect = ["door", "inner"]
otherwise = { authorize = "allow" }

[[test]]
name = "the door"
given = { user = "app", app = "APP" }
expect = { EXPECT }
"#;

#[test]
fn a_test_of_connecting_compares_what_it_expects() {
    let folder = Folder::new("doors");
    let tested = |app: &str, expect: &str| {
        let text = DOORS.replace("APP", app).replace("EXPECT", expect);
        folder.write("policy.toml", text);
        test(folder.path(), &["--coverage"])
    };
    let (code, out, _) = tested(
        "away",
        r#"verdict = "deny", by = "door", code = "28000", message = "not you""#,
    );
    assert_eq!(code, Some(0), "{out}");
    // Nobody behind the stage that refuses is asked.
    assert!(
        out.contains("untested: stage `inner`: no test asks it"),
        "{out}"
    );
    assert!(!out.contains("stage `door`"), "{out}");
    let (code, out, _) = tested("psql", r#"verdict = "allow""#);
    assert_eq!(code, Some(0), "{out}");
    assert!(!out.contains("stage `door`"), "{out}");
    for (app, expect, why) in [
        (
            "away",
            r#"verdict = "deny", by = "inner""#,
            "expected another stage      got door",
        ),
        (
            "away",
            r#"verdict = "deny", code = "42501""#,
            "expected another code      got 28000",
        ),
        (
            "away",
            r#"verdict = "deny", route = "primary""#,
            "no statement was decided",
        ),
        (
            "psql",
            r#"code = "28000""#,
            "expected the connection to be refused, and it was not",
        ),
        (
            "psql",
            r#"by = "door""#,
            "expected the connection to be refused, and it was not",
        ),
        ("psql", r#"route = "primary""#, "no statement was decided"),
    ] {
        let (code, out, err) = tested(app, expect);
        assert_eq!(code, Some(1), "{expect}\n{out}{err}");
        assert!(out.contains(why), "{expect}\n{out}");
    }
}
