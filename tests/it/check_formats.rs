//! `pgwarden check` for programs: JSON, SARIF, GitHub's commands; in all environments at once; and its exit codes.

use crate::support::Folder;
use crate::support::proxy::pgwarden;
use crate::support::proxy::program;
use crate::support::said::Said;
use std::path::Path;
use std::process::Command;

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
    let mut command = pgwarden(&["check", "policy.toml"]);
    let Said { code, out, err } = Said::by(command.args(arguments).current_dir(folder));
    (code, out, err)
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
    let expected = "::error file=policy.toml,line=22,endLine=22,col=1,endColumn=5,title=P0207::unknown key `siez` in `[pool.main]`%0Adid you mean `size`?\n";
    assert_eq!(out, expected);

    let (code, out, _) = check(folder.path(), &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &json["errors"]), (Some(1), &1.into()));
    assert_eq!(json["diagnostics"][0]["code"], "P0207");
    assert_eq!(json["diagnostics"][0]["place"]["line"], 22);

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
    folder.write(
        "policy.toml",
        MISTAKE.replace("port = 70000", "port = 5434"),
    );
    let (code, _, err) = check(folder.path(), &["--all-envs"]);
    assert_eq!((code, err.matches("siez").count()), (Some(1), 2), "{err}");
    assert!(!err.contains("environment `"), "{err}");
}

/// A thousand lines of rules, scripts, users and tests, without a plugin.
fn thousand_lines() -> String {
    use std::fmt::Write as _;
    let mut text = MISTAKE.replace("siez = 3\n", "").replace("70000", "5434");
    let (mut names, mut number) = (Vec::new(), 0);
    text = text.replace(
        "[pipeline.default]\notherwise = { authorize = \"allow\" }\n",
        "",
    );
    while text.lines().count() < 980 {
        write!(
            text,
            "[role.r{number}]\n[user.u{number}]\ntrust = true\nroles = [\"r{number}\"]\n\n\
             [stage.rule{number}]\nhook = \"authorize\"\nwhen = {{ role = \"r{number}\", kind = [\"update\", \"delete\"], tables = [\"t{number}_*\"] }}\n\
             unless = {{ client = \"10.{number}.0.0/16\" }}\ndeny = {{ code = \"42501\", message = \"no\", hint = \"ask {number}\" }}\n\n\
             [stage.script{number}]\nhook = \"authorize\"\nwhen = {{ role = \"r{number}\" }}\nscript = '''\n\
             for table in sql.tables {{\n    if table.name == \"secret{number}\" {{ return deny(\"no\"); }}\n}}\nnext()\n'''\n\n\
             [[test]]\nname = \"t{number}\"\ngiven = {{ user = \"u{number}\", sql = \"SELECT * FROM secret{number}\" }}\n\
             expect = {{ verdict = \"deny\", by = \"script{number}\" }}\n\n"
        )
        .expect("text");
        names.push(format!("\"rule{number}\", \"script{number}\""));
        number += 1;
    }
    write!(
        text,
        "[pipeline.default]\nauthorize = [{}]\notherwise = {{ authorize = \"allow\" }}\n",
        names.join(",\n  ")
    )
    .expect("text");
    text
}

#[test]
fn a_thousand_lines_are_checked_in_no_time() {
    let folder = Folder::new("thousand");
    let text = thousand_lines();
    assert!(1_000 <= text.lines().count(), "{}", text.lines().count());
    folder.write("policy.toml", text);
    // What it computes, whatever else the machine does meanwhile.
    let mut bash = Command::new("bash");
    let program = program();
    bash.args([
        "-c",
        "TIMEFORMAT='%U %S'; time \"$0\" check --deny-warnings policy.toml",
    ]);
    let said = Said::ends(bash.arg(&program).current_dir(folder.path()), 0);
    let times = said
        .err
        .trim()
        .split(' ')
        .map(|time| time.parse::<f64>().expect("seconds"));
    let took: f64 = times.sum();
    // Without optimization it takes ten times as long; a release build is measured where `PGWARDEN` names one.
    let most = match std::env::var_os("PGWARDEN") {
        Some(_) => 0.05,
        None => 1.0,
    };
    assert!(took < most, "{took} s");
}

#[test]
fn warnings_fail_only_where_they_are_denied() {
    let folder = Folder::new("warnings");
    let stage = "[stage.all]\nhook = \"authorize\"\nallow = true\n[stage.late]\nhook = \"authorize\"\ndeny = \"no\"\n";
    let text = MISTAKE
        .replace("siez = 3\n", "")
        .replace("70000", "5434")
        .replace(
            "[pipeline.default]\n",
            "[pipeline.default]\nauthorize = [\"all\", \"late\"]\n",
        );
    folder.write("policy.toml", format!("{text}\n{stage}"));
    let (code, out, err) = check(folder.path(), &[]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("ok: policy formats revision "), "{out}");
    let told = "warning[P0701]: stage `late` is never reached at `authorize` of pipeline `default`";
    assert!(
        err.contains(told) && err.contains("\nno errors, 2 warnings in 1 file ("),
        "{err}"
    );
    assert_eq!(check(folder.path(), &["--deny-warnings"]).0, Some(1));
    let allowed = ["--deny-warnings", "--allow", "P0701", "--allow", "P0731"];
    let (code, out, err) = check(folder.path(), &allowed);
    assert_eq!((code, &*err), (Some(0), ""), "{out}");
}
