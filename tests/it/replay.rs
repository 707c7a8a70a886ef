//! `pgwarden replay`: recorded traffic of every protocol path comes to the same under the same policy, whatever the log holds of it,
//! and to what it should under another one.

use crate::support::Folder;
use crate::support::cluster::Cluster;
use crate::support::document;
use crate::support::frames::bind;
use crate::support::frames::execute;
use crate::support::frames::function_call;
use crate::support::frames::parse;
use crate::support::frames::sync;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use serde_json::Value;
use std::path::Path;
use std::path::PathBuf;

const SECRET: &str = "hush-hush-4712";
const FILE: &str = "decisions.jsonl";

#[test]
fn the_commands_of_the_document_print_what_it_shows() {
    document::check("replay.md", 5, |_| false);
}

/// Rules, a script and a rewrite, in every place that can decide.
fn policy(sql: &str) -> PolicyText {
    PolicyText::of(Cluster::shared())
        .extra(&format!("[decisions]\nsink = \"file:{FILE}\"\nsql = \"{sql}\""))
        .extra("[permissions.tables]\nsee = [\"sql.kind\", \"sql.tables\"]")
        .stage("pre_query", "rule", "when = { tables = [\"by_rule\"] }\ndeny = { code = \"42P99\", message = \"no\" }")
        .stage(
            "pre_query",
            "script",
            "when = { kind = \"delete\" }\npermissions = \"tables\"\nscript = 'if sql.tables.some(|t| t.name == \"by_script\") { deny(\"the script says no\") } else { next() }'",
        )
        .stage(
            "rewrite",
            "cap",
            "when = { kind = \"select\", has_limit = false, tables = [\"products\"] }\nrewrite = { add_limit = 7 }",
        )
        .stage("authorize", "no-tx-writes", "when = { kind = \"insert\", in_transaction = true }\ndeny = \"not there\"")
        .stage("route", "reads", "when = { read_only = true }\nroute = \"node:pg1\"")
}

/// Statements of every protocol path; with how many decisions they come to.
fn traffic(proxy: &Proxy) -> usize {
    let mut wire = proxy.login("app");
    wire.works(&format!("SELECT '{SECRET}'"));
    wire.works("SELECT id FROM products");
    wire.fails("SELECT * FROM by_rule");
    wire.fails("DELETE FROM by_script");
    wire.fails("SELECT 1; SELECT * FROM by_rule");
    wire.works("PREPARE p AS SELECT 1");
    wire.works("EXECUTE p");
    wire.works("DEALLOCATE p");
    wire.works("BEGIN");
    wire.fails("INSERT INTO products DEFAULT VALUES");
    wire.works("ROLLBACK");
    wire.fails("SELEC 1 FORM (");
    wire.fails(&format!("SELECT '{SECRET}"));
    wire.send(
        &[
            parse("", "SELECT 2"),
            bind("", "", &[]),
            execute(""),
            sync(),
        ]
        .concat(),
    );
    wire.until_ready();
    wire.send(&function_call(1395, &["-7"]));
    wire.until_ready();
    16
}

/// What the traffic leaves in the log, and the text of the policy.
fn recorded(sql: &str) -> (Folder, PathBuf, String) {
    let text = policy(sql);
    let mut proxy = Proxy::start(&text);
    let count = traffic(&proxy);
    proxy.terminate();
    assert!(proxy.ended().success());
    let log = std::fs::read_to_string(proxy.path(FILE)).expect("the log");
    assert_eq!(log.lines().count(), count);
    assert!(sql == "text" || !log.contains(SECRET), "{log}");
    let folder = Folder::new("replay");
    for (name, text) in PolicyText::files() {
        folder.write(name, text);
    }
    let path = folder.write(FILE, log);
    folder.write("policy.toml", text.text());
    (folder, path, text.text())
}

fn replay(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = pgwarden(&["replay"]);
    Said::by(command.args(arguments).current_dir(folder))
}

/// The JSON, and the exit code.
#[track_caller]
fn json(folder: &Path, policy: &str) -> (Option<i32>, Value) {
    let said = replay(folder, &[FILE, "--against", policy, "--format", "json"]);
    let value = serde_json::from_str(&said.out);
    (
        said.code,
        value.unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err)),
    )
}

/// Each change in short.
fn changes(told: &Value) -> Vec<String> {
    let changes = told["changes"].as_array().expect("a list").iter();
    let mut changes: Vec<String> = changes
        .map(|change| {
            let side = |side: &str| {
                let word = |key: &str| change[side][key].as_str().unwrap_or("-").to_owned();
                format!(
                    "{} {} {} {}",
                    word("verdict"),
                    word("code"),
                    word("by"),
                    word("route")
                )
            };
            format!(
                "{} {}: {} -> {}",
                change["count"],
                change["user"],
                side("old"),
                side("new")
            )
        })
        .collect();
    changes.sort();
    changes
}

#[test]
fn the_policy_that_decided_decides_the_same_whatever_the_log_holds() {
    // The script may see columns, which only a text tells.
    for (sql, decided) in [("text", 16), ("normalized", 16), ("fingerprint", 15)] {
        let (folder, _, _) = recorded(sql);
        let (code, told) = json(folder.path(), "policy.toml");
        assert_eq!(changes(&told), [""; 0], "{sql}\n{told:#}");
        assert_eq!(told["decided"], decided, "{sql}\n{told:#}");
        assert_eq!(
            (code, &told["changed"]),
            (Some(0), &Value::from(0)),
            "{sql}"
        );
    }
}

#[test]
fn with_less_in_the_log_what_cannot_be_decided_is_told_with_its_reason() {
    let (folder, _, _) = recorded("none");
    let (_, told) = json(folder.path(), "policy.toml");
    let undecided = told["undecided"].as_array().expect("a list");
    let reasons: Vec<&str> = undecided
        .iter()
        .filter_map(|one| one["why"].as_str())
        .collect();
    assert!(
        reasons.contains(&"stage `rule` asks for `tables`, which the log does not hold"),
        "{told:#}"
    );
    let count: u64 = undecided
        .iter()
        .filter_map(|one| one["count"].as_u64())
        .sum();
    assert_eq!(
        count + told["decided"].as_u64().expect("a number"),
        16,
        "{told:#}"
    );
    assert_eq!(told["changed"], 0, "{told:#}");
    let said = replay(
        folder.path(),
        &[FILE, "--against", "policy.toml", "--complete"],
    );
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.err.contains("not every line"), "{}", said.err);
}

#[test]
fn another_policy_changes_what_it_should_and_nothing_else() {
    for sql in ["text", "normalized", "fingerprint"] {
        let (folder, _, text) = recorded(sql);
        let next = text
            .replace("tables = [\"by_rule\"]", "tables = [\"by_nobody\"]")
            .replace("route = \"node:pg1\"", "route = \"primary\"")
            .replace(
                "deny = \"not there\"",
                "deny = { code = \"42501\", message = \"not there\" }",
            );
        folder.write("next.toml", next);
        let (code, told) = json(folder.path(), "next.toml");
        assert_eq!(code, Some(2), "{told:#}");
        assert_eq!(
            changes(&told),
            [
                "1 \"app\": allow - otherwise node:pg1 -> allow - otherwise primary",
                "1 \"app\": deny 42000 no-tx-writes - -> deny 42501 no-tx-writes -",
                "2 \"app\": deny 42P99 rule - -> allow - otherwise primary",
                "4 \"app\": allow - otherwise node:pg1 -> allow - otherwise primary",
            ],
            "{sql}\n{told:#}"
        );
    }
}

#[test]
fn users_listeners_and_databases_that_are_gone_turn_the_session_away() {
    let (folder, _, text) = recorded("fingerprint");
    folder.write("gone.toml", text.replace("[user.app]", "[user.somebody]"));
    let (code, told) = json(folder.path(), "gone.toml");
    assert_eq!(code, Some(2));
    let news = told["changes"].as_array().expect("a list");
    assert!(
        !news.is_empty()
            && news
                .iter()
                .all(|one| one["new"]["by"] == "login: no such user"),
        "{told:#}"
    );
}

#[test]
fn broken_lines_are_named_and_the_rest_is_decided() {
    let (folder, log, _) = recorded("fingerprint");
    let whole = std::fs::read_to_string(&log).expect("the log");
    let half = &whole[..whole.len() / 2];
    let other = whole
        .lines()
        .next()
        .expect("a line")
        .replace("\"version\":1", "\"version\":2");
    folder.write(FILE, format!("no json\n\n{other}\n{half}"));
    let said = replay(folder.path(), &[FILE, "--against", "policy.toml"]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert!(
        said.out.contains("3 lines are no decisions\n"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("decisions.jsonl:1: expected"),
        "{}",
        said.out
    );
    assert!(
        said.out
            .contains("decisions.jsonl:3: it is of version 2, and this program reads 1"),
        "{}",
        said.out
    );
    assert!(said.out.contains(": it ends in the middle"), "{}", said.out);
    // Nothing decided is no good news.
    folder.write(FILE, "");
    let said = replay(folder.path(), &[FILE, "--against", "policy.toml"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    let said = replay(folder.path(), &["missing", "--against", "policy.toml"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("cannot read `missing`"), "{}", said.err);
}

#[test]
fn standard_input_is_a_log_as_well_and_a_bad_policy_exits_78() {
    let (folder, log, _) = recorded("text");
    let input = std::fs::read_to_string(&log).expect("the log");
    let mut command = pgwarden(&["replay", "-", "--against", "policy.toml"]);
    let Said { code, out, .. } = Said::by_reading(command.current_dir(folder.path()), &input);
    assert_eq!(code, Some(0), "{out}");
    assert!(
        out.contains("16 decided, 0 changed, 0 could not be decided\n"),
        "{out}"
    );
    folder.write("broken.toml", "policy = 1\n");
    let said = replay(folder.path(), &[FILE, "--against", "broken.toml"]);
    assert_eq!(said.code, Some(78), "{}", said.err);
}

#[test]
fn diff_adds_what_both_policies_make_of_it() {
    let (folder, _, text) = recorded("text");
    folder.write(
        "next.toml",
        text.replace("tables = [\"by_rule\"]", "tables = [\"by_nobody\"]"),
    );
    let diff = |arguments: &[&str]| {
        let mut command = pgwarden(&["diff", "policy.toml", "next.toml"]);
        let said = Said::by(command.args(arguments).current_dir(folder.path()));
        (said.code, said.out)
    };
    let (plain, told) = diff(&[]);
    let (code, out) = diff(&["--impact", FILE]);
    assert_eq!(code, plain);
    assert!(
        out.starts_with(&format!("{told}recorded traffic\n  count  user")),
        "{out}"
    );
    assert!(
        out.contains("16 decided, 2 changed, 0 could not be decided\n"),
        "{out}"
    );
    let (_, out) = diff(&["--impact", FILE, "--format", "json"]);
    let value: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(value["impact"]["changed"], 2, "{out}");
    // What both decide alike is no change, whatever the log says.
    let (code, out) = diff(&["--impact", "missing"]);
    assert_eq!((code, &*out), (Some(1), ""));
}

#[test]
fn what_was_answered_from_the_cache_would_be_again_and_only_there() {
    let policy = PolicyText::of(Cluster::shared())
        .extra(&format!("[decisions]\nsink = \"file:{FILE}\"\n"))
        .stage(
            "cache_get",
            "kept",
            "when = { tables = [\"products\"] }\ncache = { ttl = \"1h\" }",
        );
    let mut proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    wire.works("SELECT id FROM products");
    wire.works("SELECT id FROM products");
    proxy.terminate();
    assert!(proxy.ended().success());
    let log = std::fs::read_to_string(proxy.path(FILE)).expect("the log");
    assert_eq!(log.matches("\"verdict\":\"reply\"").count(), 1, "{log}");
    let (code, told) = json(proxy.folder(), "policy.toml");
    assert_eq!(
        (code, &told["decided"]),
        (Some(0), &Value::from(2)),
        "{told:#}"
    );
    let without = policy.text().replace("[\"products\"]", "[\"others\"]");
    std::fs::write(proxy.path("next.toml"), without).expect("written");
    let (_, told) = json(proxy.folder(), "next.toml");
    assert_eq!(
        changes(&told),
        ["1 \"app\": reply - kept - -> allow - otherwise primary"],
        "{told:#}"
    );
}

/// What a client sees of a masked column is what it would notice.
#[test]
fn a_mask_that_goes_is_a_change() {
    let policy = PolicyText::of(Cluster::shared())
        .extra(&format!(
            "[decisions]\nsink = \"file:{FILE}\"\nsql = \"text\"\n"
        ))
        .stage(
            "authorize",
            "hidden",
            "mask = { columns = [\"products.name\"] }",
        );
    let mut proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    wire.works("SELECT id FROM products");
    wire.works("SELECT name FROM products");
    proxy.terminate();
    assert!(proxy.ended().success());
    let (code, told) = json(proxy.folder(), "policy.toml");
    assert_eq!(
        (code, &told["decided"]),
        (Some(0), &Value::from(2)),
        "{told:#}"
    );
    let without = policy.text().replace("products.name", "products.nothing");
    std::fs::write(proxy.path("next.toml"), without).expect("written");
    let (code, told) = json(proxy.folder(), "next.toml");
    assert_eq!(
        (code, &told["changed"]),
        (Some(2), &Value::from(1)),
        "{told:#}"
    );
    let change = &told["changes"][0];
    assert_eq!(
        change["old"]["masked"],
        serde_json::json!(["products.name"])
    );
    assert_eq!(change["new"]["masked"], serde_json::json!([]));
    let said = replay(proxy.folder(), &[FILE, "--against", "next.toml"]);
    assert!(
        said.out.contains("allow, to primary, masked products.name"),
        "{}",
        said.out
    );
}
