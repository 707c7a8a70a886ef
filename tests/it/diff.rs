//! `pgwarden diff`: what it prints and ends with, and that the older side comes from git's objects alone.

use crate::support::Folder;
use crate::support::document;
use crate::support::proxy::pgwarden;
use crate::support::repository;
use crate::support::script;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const POLICY: &str = "\
policy = 1
name   = \"shop\"

[listener.main]
bind = [\"127.0.0.1:6432\"]

[node.pg]
role = \"primary\"
host = \"127.0.0.1\"

[pool.main]
database = \"*\"
nodes    = [\"pg\"]

[sandbox]
fuel = 1000

[stage.one]
hook   = \"authorize\"
script = \"next()\"

[stage.two]
hook   = \"authorize\"
script = \"next()\"

[stage.no-ddl]
hook = \"authorize\"
when = { kind = \"ddl\" }
deny = \"no\"

[pipeline.default]
authorize = [\"one\", \"two\", \"no-ddl\"]
otherwise = { authorize = \"allow\" }
";

/// Standard output and standard error.
#[track_caller]
fn diff(folder: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let output = pgwarden(&["diff"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("pgwarden starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}\n{out}{err}"
    );
    (out, err)
}

/// The lines below the header.
fn lines(out: &str) -> Vec<String> {
    let lines = out.lines().skip(1);
    lines.map(|line| line.trim().to_owned()).collect()
}

#[track_caller]
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("git");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_commands_of_the_document_print_what_it_shows() {
    document::check("diff.md", 7, |_| false);
}

#[test]
fn a_line_for_each_change_and_one_for_what_happened_to_several_stages() {
    let folder = Folder::new("diff");
    folder.write("old.toml", POLICY);
    let new = POLICY
        .replace("fuel = 1000", "fuel = 2000")
        .replace("6432\"]", "6432\", \"unix:/run/pgw\"]")
        .replace("host = \"127.0.0.1\"", "host = \"10.0.0.1\"")
        .replace("kind = \"ddl\"", "kind = [\"ddl\", \"grant\"]");
    folder.write("new.toml", new);
    let (out, _) = diff(folder.path(), &["old.toml", "new.toml"], 3);
    let (header, rest) = out.split_once('\n').expect("a header");
    let (before, revisions) = header.split_once("  ").expect("two parts");
    assert_eq!(before, "policy shop");
    assert_eq!(revisions.len(), "revision 01234567 -> 01234567".len());
    assert_eq!(
        rest,
        "  WIDENS   listener.main.bind      + unix:/run/pgw                  clients can connect there
  WIDENS   stage.{one, two}.fuel   1000 -> 2000                     foreign code may use more
  changes  node.pg.address         127.0.0.1:5432 -> 10.0.0.1:5432
  narrows  stage.no-ddl.when.kind  + grant                          is met by more
"
    );
}

#[test]
fn exit_codes_tell_what_kind_of_difference_there_is() {
    let folder = Folder::new("diff");
    folder.write("old.toml", POLICY);
    folder.write("same.toml", format!("# the same\n{POLICY}"));
    folder.write("narrower.toml", POLICY.replace("fuel = 1000", "fuel = 10"));
    folder.write("broken.toml", POLICY.replace("\"primary\"", "\"primry\""));
    let (out, _) = diff(folder.path(), &["old.toml", "same.toml"], 0);
    assert!(out.ends_with("\n  no difference in meaning\n"), "{out}");
    diff(folder.path(), &["old.toml", "narrower.toml"], 2);
    diff(folder.path(), &["narrower.toml", "old.toml"], 3);
    // Both sides are told of, and as `check` tells it.
    let (out, err) = diff(folder.path(), &["broken.toml", "missing.toml"], 78);
    assert_eq!(out, "");
    for word in [
        "the older policy is refused",
        "did you mean `primary`?",
        "missing.toml",
    ] {
        assert!(err.contains(word), "{word}:\n{err}");
    }
}

#[test]
fn wrong_usage_exits_64() {
    let folder = Folder::new("diff");
    folder.write("a.toml", POLICY);
    for arguments in [
        &[][..],
        &["a.toml"],
        &["a.toml", "a.toml", "a.toml"],
        &["--git", "HEAD", "a.toml", "a.toml"],
        &["--git", "HEAD", "a.toml"],
        &["--format", "yaml", "a.toml", "a.toml"],
    ] {
        diff(folder.path(), arguments, 64);
    }
    git(folder.path(), &["init", "-q"]);
    for revision in ["HEAD", "nowhere", "--all"] {
        let revision = format!("--git={revision}");
        let (_, err) = diff(folder.path(), &[&revision, "a.toml"], 64);
        assert!(err.contains("commit"), "{err}");
    }
}

#[test]
fn json_has_every_change_by_itself() {
    let folder = Folder::new("diff");
    folder.write("old.toml", POLICY);
    folder.write("new.toml", POLICY.replace("fuel = 1000", "fuel = 2000"));
    let (out, _) = diff(
        folder.path(),
        &["--format", "json", "old.toml", "new.toml"],
        3,
    );
    let whole: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(whole["widens"], true);
    assert_eq!(whole["old"]["revision"].as_str().map(str::len), Some(64));
    let changes = whole["changes"].as_array().expect("a list");
    let paths: Vec<&str> = changes
        .iter()
        .filter_map(|change| change["path"].as_str())
        .collect();
    assert_eq!(paths, ["stage.one.fuel", "stage.two.fuel"]);
    assert_eq!(changes[0]["way"], "widens");
}

/// A repository with a policy of several files in a folder of its own, some of them beside it.
fn whole_repository(folder: &Folder) {
    script("plugins.sh", &[]);
    let plugins = repository().join("policies/plugins");
    for name in ["site", "site/rules", "shared"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    for end in ["wasm", "wasm.sha256"] {
        let from = plugins.join(format!("deny_ddl.{end}"));
        let to = folder.path().join(format!("site/rules/guard.{end}"));
        std::fs::copy(from, to).expect("a plugin");
    }
    let root = POLICY
        .replace(
            "name   =",
            "include = [\"rules/rules.toml\", \"../shared/users.toml\"]\nname =",
        )
        .replace("\"no-ddl\"]", "\"no-ddl\", \"guard\", \"filed\"]");
    folder.write("site/policy.toml", root);
    folder.write(
        "site/rules/rules.toml",
        "policy = 1\n[plugin.guard]\npath = \"guard.wasm\"\nsha256 = { file = \"guard.wasm.sha256\" }\n\
         [stage.guard]\nhook = \"authorize\"\nplugin = \"guard\"\n\
         [stage.filed]\nhook = \"authorize\"\nscript = { file = \"filed.rhai\" }\n",
    );
    folder.write("site/rules/filed.rhai", "next()\n");
    folder.write(
        "shared/users.toml",
        "policy = 1\n[user.ada]\npassword = { file = \"ada.secret\" }\n",
    );
    folder.write("shared/ada.secret", "hunter2\n");
    folder.write(".gitignore", "*.secret\n");
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-q", "-m", "first"]);
}

#[test]
fn every_file_of_the_older_side_comes_from_the_commit() {
    let folder = Folder::new("diff-git");
    whole_repository(&folder);
    let site = folder.path().join("site");
    let (out, _) = diff(&site, &["--git", "HEAD", "policy.toml"], 0);
    assert!(out.ends_with("no difference in meaning\n"), "{out}");

    // Everything is changed on the disk: text, script, plugin, what is included from above. The secret is only there.
    let plugins = repository().join("policies/plugins");
    for end in ["wasm", "wasm.sha256"] {
        let from = plugins.join(format!("tenant_guard.{end}"));
        std::fs::copy(from, site.join(format!("rules/guard.{end}"))).expect("a plugin");
    }
    folder.write("site/rules/filed.rhai", "let no = 1;\nnext()\n");
    folder.write(
        "shared/users.toml",
        "policy = 1\n[user.ada]\npassword = { file = \"ada.secret\" }\n[user.eve]\ntrust = true\n",
    );
    let status = git(folder.path(), &["status", "--porcelain", "--ignored"]);
    let expected = [
        "WIDENS   user.eve",
        "changes  plugin.guard.sha256",
        "changes  stage.filed.script",
    ];
    for (place, path) in [
        (&site, "policy.toml"),
        (&site, "../site/./policy.toml"),
        (&folder.path().to_owned(), "site/policy.toml"),
        (&folder.path().join("shared"), "../site/policy.toml"),
    ] {
        let (out, _) = diff(place, &["--git", "HEAD", path], 3);
        let lines = lines(&out);
        assert_eq!(lines.len(), expected.len(), "{path}\n{out}");
        for (line, expected) in lines.iter().zip(expected) {
            assert!(line.starts_with(expected), "{path}\n{out}");
        }
    }
    let absolute = site.join("policy.toml");
    let absolute = absolute.to_str().expect("a path");
    let (out, _) = diff(Path::new("/"), &["--git", "HEAD", absolute], 3);
    assert_eq!(lines(&out).len(), expected.len(), "{out}");
    assert_eq!(
        git(folder.path(), &["status", "--porcelain", "--ignored"]),
        status,
        "the work tree is as it was"
    );
}

#[test]
fn what_was_not_there_then_is_not_taken_from_the_disk() {
    let folder = Folder::new("diff-git");
    whole_repository(&folder);
    // At the first commit the rules name a file that git does not know yet.
    std::fs::remove_file(folder.path().join("site/rules/filed.rhai")).expect("it was there");
    git(folder.path(), &["commit", "-q", "-a", "-m", "lost"]);
    folder.write("site/rules/filed.rhai", "next()\n");
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-q", "-m", "found"]);
    let (_, err) = diff(folder.path(), &["--git", "HEAD~1", "site/policy.toml"], 78);
    for word in [
        "the policy at HEAD~1 is refused",
        "site/rules/filed.rhai",
        "it was not there at commit",
    ] {
        assert!(err.contains(word), "{word}:\n{err}");
    }
    diff(folder.path(), &["--git", "HEAD~2", "site/policy.toml"], 0);
    diff(folder.path(), &["--git", "HEAD", "site/policy.toml"], 0);
}

#[test]
fn no_program_of_the_repository_runs() {
    let folder = Folder::new("diff-git");
    whole_repository(&folder);
    let monitor = folder.path().join("monitor");
    std::fs::write(&monitor, "#!/bin/sh\ntouch \"$(dirname \"$0\")/ran\"\n").expect("a script");
    std::fs::set_permissions(&monitor, std::fs::Permissions::from_mode(0o700)).expect("chmod");
    let monitor = monitor.to_str().expect("a path");
    let ran = || {
        let ran = folder.path().join("ran");
        let existed = ran.exists();
        drop(std::fs::remove_file(ran));
        existed
    };
    git(folder.path(), &["config", "core.fsmonitor", monitor]);
    git(folder.path(), &["update-index", "--fsmonitor"]);
    git(folder.path(), &["ls-files"]);
    assert!(ran(), "git asks the monitor");
    // What lies on the disk alone is asked for in the index.
    diff(folder.path(), &["--git", "HEAD", "site/policy.toml"], 0);
    assert!(!ran(), "the monitor has run");

    // A clone that has not got everything, whose configuration says how the rest is fetched.
    git(
        folder.path(),
        &["config", "extensions.partialClone", "origin"],
    );
    git(folder.path(), &["config", "remote.origin.promisor", "true"]);
    git(
        folder.path(),
        &["config", "remote.origin.url", "ssh://host/path"],
    );
    git(folder.path(), &["config", "core.sshCommand", monitor]);
    let object = git(folder.path(), &["rev-parse", "HEAD:site/rules/filed.rhai"]);
    let (first, rest) = object.trim().split_at(2);
    let object = folder.path().join(".git/objects").join(first).join(rest);
    std::fs::remove_file(object).expect("a loose object");
    let (_, err) = diff(folder.path(), &["--git", "HEAD", "site/policy.toml"], 78);
    assert!(
        err.contains("is not in this clone; fetch it first"),
        "{err}"
    );
    assert!(!ran(), "it was fetched");
}

#[test]
fn links_are_followed_in_the_tree_of_the_commit() {
    let folder = Folder::new("diff-git");
    folder.write("real.toml", POLICY);
    std::os::unix::fs::symlink("real.toml", folder.path().join("policy.toml")).expect("a link");
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-q", "-m", "first"]);
    folder.write("real.toml", POLICY.replace("fuel = 1000", "fuel = 10"));
    let (out, _) = diff(folder.path(), &["--git", "HEAD", "policy.toml"], 2);
    assert_eq!(lines(&out).len(), 1, "{out}");
    // As a hook of git would run it.
    let output = pgwarden(&["diff", "--git", "HEAD", "policy.toml"])
        .current_dir(folder.path())
        .env("GIT_DIR", "elsewhere")
        .env("GIT_INDEX_FILE", "elsewhere/index")
        .output()
        .expect("pgwarden starts");
    assert_eq!(output.status.code(), Some(2));
}
