//! `pgwarden check` for programs: JSON, SARIF, GitHub's commands; in all environments at once; and its exit codes.

use crate::support::Folder;
use crate::support::proxy::pgwarden;
use std::path::Path;
use std::process::Output;

const MISTAKE: &str = r#"policy = 1
name = "formats"

[vars]
port = 5432
[env.prod.vars]
port = 5433
[env.broken.vars]
port = 70000

[listener.main]
bind = ["127.0.0.1:6432"]

[node.pg]
role = "primary"
host = "127.0.0.1"
port = { var = "port" }

[pool.main]
database = "*"
nodes = ["pg"]
siez = 3

[pipeline.default]
otherwise = { authorize = "allow" }
"#;

/// `check` with arguments, in the policy's folder.
fn check(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = pgwarden(&["check", "policy.toml"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("pgwarden starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_mistake_in_every_format() {
    let folder = Folder::new("formats");
    folder.write("policy.toml", MISTAKE);
    let (code, out, err) = check(folder.path(), &[]);
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(err.contains("error[P0207]: unknown key `siez`"), "{err}");
    let last = err.lines().last().expect("a summary");
    assert!(
        last.starts_with("1 error in 1 file (") && last.ends_with(" ms)"),
        "{last}"
    );

    let (code, out, err) = check(folder.path(), &["--format", "github"]);
    assert_eq!((code, &*err), (Some(1), ""));
    let expected = "::error file=policy.toml,line=21,endLine=21,col=1,endColumn=5,title=P0207::unknown key `siez` in `[pool.main]`%0Adid you mean `size`?\n";
    assert_eq!(out, expected);

    let (code, out, _) = check(folder.path(), &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &json["errors"]), (Some(1), &1.into()));
    assert_eq!(json["diagnostics"][0]["code"], "P0207");
    assert_eq!(json["diagnostics"][0]["place"]["line"], 21);

    let (code, out, _) = check(folder.path(), &["--format", "sarif"]);
    let sarif: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(code, Some(1));
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(
        (&result["ruleId"], &result["level"]),
        (&"P0207".into(), &"error".into())
    );

    let (code, _, err) = check(folder.path(), &["--format", "xml"]);
    assert_eq!(code, Some(64), "{err}");
}

#[test]
fn all_environments_are_checked_and_each_mistake_is_told_once() {
    let folder = Folder::new("environments");
    folder.write("policy.toml", MISTAKE.replace("siez = 3\n", ""));
    assert_eq!(check(folder.path(), &[]).0, Some(0));
    assert_eq!(check(folder.path(), &["--env", "prod"]).0, Some(0));
    let (code, _, err) = check(folder.path(), &["--all-envs"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains("70000 is out of range") && err.contains("found in the environment `broken`"),
        "{err}"
    );
    assert!(err.contains("\n1 error in 1 file ("), "{err}");

    // What is wrong everywhere is told once, and without saying so.
    folder.write("policy.toml", MISTAKE.replace("port = 70000", "port = 5434"));
    let (code, _, err) = check(folder.path(), &["--all-envs"]);
    assert_eq!((code, err.matches("siez").count()), (Some(1), 2), "{err}");
    assert!(!err.contains("environment `"), "{err}");
}
