//! The verbs that need no node: `check`, `test`, `explain`, `schema`, and how `run` refuses a bad policy.

use crate::support::Folder;
use crate::support::proxy::pgwarden;
use crate::support::repository;
use crate::support::said::Said;
use crate::support::script;
use std::path::Path;
use std::path::PathBuf;

const SMALLEST: &str = "\
policy = 1
name   = \"smallest\"

[listener.main]
bind = [\"127.0.0.1:6432\"]

[node.pg]
role = \"primary\"
host = \"127.0.0.1\"

[pool.main]
database = \"*\"
nodes    = [\"pg\"]

[pipeline.default]
otherwise = { authorize = \"allow\" }
";

/// Nine mistakes of nine kinds, in two files.
const MISTAKES: &str = "\
policy = 1
name = \"mistakes\"
include = [\"more.toml\"]

[listener.main]
bind = [\"127.0.0.1:6432\"]
pipeline = \"defualt\"

[node.pg]
role = \"primry\"
host = \"127.0.0.1\"

[pool.main]
database = \"*\"
nodes = [\"gp\"]
siez = 3

[stage.where]
hook = \"pre_query\"
when = { kind = \"update\", has_were = false }
deny = { message = \"no\" }

[stage.script]
hook = \"pre_querry\"
script = \"next()\"

[stage.plugin]
hook = \"pre_query\"
plugin = \"nowhere\"

[pipeline.default]
pre_query = [\"where\", \"script\", \"plugin\", \"missing\"]
otherwise = { authorize = \"allow\" }
";

const MORE: &str = "[user.app]\ntrust = true\nrolse = [\"app\"]\n";

#[track_caller]
fn verb(arguments: &[&str], policy: &Path, code: i32) -> String {
    Said::ends(pgwarden(arguments).arg(policy), code).all()
}

#[test]
fn check_accepts_the_smallest_policy() {
    let folder = Folder::new("check");
    verb(&["check"], &folder.write("policy.toml", SMALLEST), 0);
}

#[test]
fn check_reports_every_mistake_in_all_files_with_place_line_caret_and_suggestion() {
    let folder = Folder::new("check");
    folder.write("more.toml", MORE);
    let said = verb(&["check"], &folder.write("policy.toml", MISTAKES), 1);
    for word in [
        "defualt",
        "primry",
        "`gp`",
        "siez",
        "has_were",
        "pre_querry",
        "nowhere",
        "missing",
        "rolse",
    ] {
        assert!(said.contains(word), "{word} is not reported:\n{said}");
    }
    for suggestion in [
        "`default`",
        "`primary`",
        "`pg`",
        "`size`",
        "`has_where`",
        "`pre_query`",
        "`roles`",
    ] {
        assert!(
            said.contains(suggestion),
            "{suggestion} is not suggested:\n{said}"
        );
    }
    assert!(
        said.contains("policy.toml:20:27"),
        "file:line:column of has_were:\n{said}"
    );
    assert!(
        said.contains("more.toml:3:1"),
        "file:line:column of rolse:\n{said}"
    );
    assert!(
        said.contains("when = { kind = \"update\", has_were = false }"),
        "the source line:\n{said}"
    );
    assert!(said.contains("^^^^^^^^"), "a caret:\n{said}");
    assert!(said.contains("error[P0"), "a code:\n{said}");
}

#[test]
fn check_reports_a_script_error_at_its_place_in_the_policy() {
    let folder = Folder::new("check");
    let policy = SMALLEST.replace(
        "[pipeline.default]",
        "[stage.script]\nhook = \"pre_query\"\nscript = '''\nlet fine = 1;\nlet wrong = ;\nnext()\n'''\n\n\
         [pipeline.default]\npre_query = [\"script\"]",
    );
    let path = folder.write("policy.toml", &policy);
    let line = 1 + policy
        .lines()
        .position(|line| line.contains("wrong"))
        .expect("the line");
    let said = verb(&["check"], &path, 1);
    assert!(
        said.contains(&format!("policy.toml:{line}:")),
        "{line}:\n{said}"
    );
}

#[test]
fn run_refuses_a_bad_policy_with_78_and_the_whole_list() {
    let folder = Folder::new("run");
    folder.write("more.toml", MORE);
    let said = verb(&["run"], &folder.write("policy.toml", MISTAKES), 78);
    for word in [
        "defualt",
        "primry",
        "siez",
        "has_were",
        "pre_querry",
        "rolse",
    ] {
        assert!(said.contains(word), "{word}:\n{said}");
    }
    verb(&["run"], &folder.path().join("missing.toml"), 78);
}

#[test]
fn wrong_usage_exits_64() {
    for arguments in [&[][..], &["no-such-verb"], &["run"]] {
        Said::ends(&mut pgwarden(arguments), 64);
    }
}

#[test]
fn test_runs_the_tests_in_the_policy() {
    let folder = Folder::new("test");
    let stage = "[stage.no-secrets]\nhook = \"authorize\"\nwhen = { tables = [\"secrets\"] }\n\
        deny = { code = \"42501\", message = \"no\" }\n\n[user.app]\ntrust = true\n\n[pipeline.default]\nauthorize = [\"no-secrets\"]";
    let test = |verdict: &str| {
        let policy = SMALLEST.replace("[pipeline.default]", stage);
        format!(
            "{policy}\n[[test]]\nname = \"secrets stay\"\ngiven = {{ user = \"app\", sql = \"SELECT * FROM secrets\" }}\n\
             expect = {{ verdict = \"{verdict}\" }}\n"
        )
    };
    let said = verb(&["test"], &folder.write("right.toml", test("deny")), 0);
    assert!(said.contains("1 passed"), "{said}");
    let said = verb(&["test"], &folder.write("wrong.toml", test("allow")), 1);
    assert!(
        said.contains("secrets stay") && said.contains("no-secrets"),
        "{said}"
    );
}

#[test]
fn explain_shows_the_way_of_a_statement() {
    script("plugins.sh", &[]);
    let path = repository().join("policies/quickstart.toml");
    let arguments = ["explain", "--user", "alice", "--sql", "SELECT 1"];
    let said = verb(&arguments, &path, 0);
    assert!(
        said.contains("authorize") || said.contains("route"),
        "{said}"
    );
}

/// The example policies: a file without the first key of a policy is included by another one.
fn policies() -> Vec<PathBuf> {
    script("plugins.sh", &[]);
    let entries = std::fs::read_dir(repository().join("policies")).expect("policies/");
    let paths = entries.flatten().map(|entry| entry.path());
    let is_policy = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        path.extension()
            .is_some_and(|extension| extension == "toml")
            && text.lines().any(|line| line.starts_with("policy"))
    };
    paths.filter(is_policy).collect()
}

#[test]
fn the_example_policies_pass_their_own_tests() {
    let policies = policies();
    assert!(!policies.is_empty());
    for path in policies {
        verb(&["check", "--deny-warnings"], &path, 0);
        verb(&["test"], &path, 0);
    }
}

#[test]
fn the_committed_schemas_are_the_generated_ones() {
    for of in ["policy", "plugin-manifest", "plugin-cases", "decision"] {
        let said = Said::ends(&mut pgwarden(&["schema", of]), 0);
        let path = format!("schemas/{of}.schema.json");
        let committed = std::fs::read_to_string(repository().join(&path)).expect("the schema");
        assert_eq!(said.out, committed, "run `pgwarden schema {of} > {path}`");
    }
}
