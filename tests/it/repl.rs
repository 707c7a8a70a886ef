//! `pgwarden repl`: one session by standard input.

use crate::support::Folder;
use crate::support::document;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

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

[user.alice]
trust = true

[user.bob]
trust = true

[stage.office]
hook   = \"on_connect\"
unless = { client = [\"unix\", \"10.0.0.0/8\"] }
deny   = \"not from there\"

[stage.writes]
hook = \"pre_query\"
when = { read_only = false, kind = [\"insert\", \"delete\"], in_transaction = true }
deny = \"no writes in a block\"

[stage.cap]
hook    = \"rewrite\"
when    = { user = \"bob\", kind = \"select\" }
rewrite = { add_limit = 5 }

[pipeline.default]
on_connect = [\"office\"]
pre_query  = [\"writes\"]
rewrite    = [\"cap\"]
otherwise  = { authorize = \"allow\" }
";

#[test]
fn the_commands_of_the_document_print_what_it_shows() {
    document::check("repl.md", 2, |_| false);
}

/// What is printed for these lines, standard error behind standard output; without the lines about sessions.
#[track_caller]
fn typed(folder: &Path, lines: &str, arguments: &[&str], code: i32) -> Vec<String> {
    let mut command = pgwarden(&["repl", "policy.toml", "--user", "alice"]);
    let command = command.args(arguments).current_dir(folder);
    let ended = Said::by_reading(command, lines);
    let said = ended.all();
    assert_eq!(ended.code, Some(code), "{said}");
    let lines = said.lines().filter(|line| !line.starts_with("policy shop"));
    lines.map(str::to_owned).collect()
}

fn folder() -> Folder {
    let folder = Folder::new("repl");
    folder.write("policy.toml", POLICY);
    folder
}

#[test]
fn a_session_is_kept_and_a_statement_ends_at_its_own_semicolon() {
    let folder = folder();
    let said = typed(
        folder.path(),
        "INSERT INTO t VALUES (';\n');\nPREPARE p AS INSERT INTO t VALUES ($1);\n\
         BEGIN; -- the block;\nEXECUTE p(1);\nROLLBACK; EXECUTE p(1);\nEXECUTE q;\nSELECT 1 /* ;\n*/ FROM t",
        &[],
        0,
    );
    assert_eq!(
        said,
        [
            "allowed by otherwise, goes to pg",
            "allowed by otherwise, goes to pg",
            "allowed by otherwise, goes to pg",
            "refused by writes: 42000 no writes in a block",
            "allowed by otherwise, goes to pg",
            "allowed by otherwise, goes to pg",
            "refused by unknown_prepared: 26000 prepared statement \"q\" does not exist",
            "allowed by otherwise, goes to pg",
        ]
    );
    let said = typed(folder.path(), "BEGIN;\nDELETE FROM t;\n", &[], 0);
    assert_eq!(said[1], "refused by writes: 42000 no writes in a block");
}

/// As `explain` tells it.
#[test]
fn masks_and_kept_answers_are_told() {
    let folder = folder();
    let lists = "pre_query  = [\"writes\"]\nauthorize = [\"hidden\"]\ncache_get = [\"kept\"]";
    let stages = "[stage.hidden]\nhook = \"authorize\"\nmask = { columns = [\"t.secret\"] }\n\n\
        [stage.kept]\nhook = \"cache_get\"\nwhen = { tables = [\"u\"] }\ncache = { ttl = \"1m\" }\n\n[pipeline.default]";
    let policy = POLICY.replace("pre_query  = [\"writes\"]", lists);
    folder.write("policy.toml", policy.replace("[pipeline.default]", stages));
    let said = typed(
        folder.path(),
        "SELECT secret FROM t;\nSELECT a FROM u;\nSELECT a FROM u;\n",
        &[],
        0,
    );
    assert_eq!(
        said,
        [
            "allowed by otherwise, goes to pg",
            "  masked t.secret",
            "allowed by otherwise, goes to pg",
            "answered by kept from its cache",
        ]
    );
}

#[test]
fn users_and_addresses_begin_new_sessions() {
    let folder = folder();
    let said = typed(
        folder.path(),
        "BEGIN;\n\\user bob\nDELETE FROM t;\nSELECT 1;\n\\client 192.0.2.1\nSELECT 1;\n\\client nowhere\n\\q\nSELECT 1;\n",
        &[],
        0,
    );
    assert_eq!(
        said,
        [
            "allowed by otherwise, goes to pg",
            "allowed by otherwise, goes to pg",
            "allowed by otherwise, goes to pg",
            "  as SELECT 1 LIMIT 5",
            "the connection is refused by office: 42000 not from there",
            "there is no session; \\user or \\client begins another",
            "expected an address without a port, or `unix`",
        ]
    );
}

#[test]
fn the_policy_is_read_again_under_an_open_session() {
    let folder = folder();
    let mut child = pgwarden(&["repl", "policy.toml", "--user", "alice"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pgwarden starts");
    let mut input = child.stdin.take().expect("piped");
    let mut out = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut until = |words: &str| loop {
        let line = out.next().expect("more").expect("UTF-8");
        if line.contains(words) {
            return;
        }
    };
    let mut say = |text: &str| input.write_all(text.as_bytes()).expect("it listens");
    say("BEGIN;\nDELETE FROM t;\n");
    until("no writes in a block");
    folder.write(
        "policy.toml",
        POLICY.replace("no writes in a block", "still none"),
    );
    say("\\reload\nDELETE FROM t;\n");
    until("policy revision ");
    until("refused by writes: 42000 still none");
    folder.write("policy.toml", "policy = 1\n");
    say("\\reload\nDELETE FROM t;\n");
    until("refused by writes: 42000 still none");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains(" stays\n"), "{errors}");
    assert!(output.status.success(), "{errors}");
}

#[test]
fn what_cannot_begin_says_why() {
    let folder = folder();
    let said = typed(folder.path(), "", &["--listener", "none"], 64);
    assert!(said[0].contains("no listener of that name"), "{said:?}");
    let said = typed(folder.path(), "", &["--client", "10.0.0.1:5"], 64);
    assert!(said[0].contains("without a port"), "{said:?}");
    folder.write("policy.toml", "policy = 1\n");
    typed(folder.path(), "", &[], 78);
}
