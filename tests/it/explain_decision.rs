//! `pgwarden explain --decision`: what a client was told an id of is found in the log, told as it was recorded, and explained where
//! the policy is still the same.

use crate::support::cluster::Cluster;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use crate::support::wait_for;
use std::path::Path;

const FILE: &str = "decisions.jsonl";
const SECRET: &str = "hush-hush-4713";

fn policy(sql: &str) -> PolicyText {
    PolicyText::of(Cluster::shared())
        .extra(&format!(
            "[decisions]\nsink = \"file:{FILE}\"\nsql = \"{sql}\""
        ))
        .stage(
            "pre_query",
            "counts",
            "script = 'let n = 0; for i in 0..5 { n += i } next()'",
        )
        .stage(
            "pre_query",
            "rule",
            "when = { tables = [\"by_rule\"] }\nunless = { user = \"postgres\" }\ndeny = \"no\"",
        )
        .stage(
            "pre_query",
            "later",
            "when = { kind = \"ddl\" }\ndeny = \"never\"",
        )
}

fn explain(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = pgwarden(&["explain"]);
    Said::by(command.args(arguments).current_dir(folder))
}

/// A refused statement's decision id, once it is in the log.
#[track_caller]
fn refused(proxy: &Proxy) -> String {
    let mut wire = proxy.login("app");
    let detail = wire
        .fails(&format!("SELECT '{SECRET}' FROM by_rule"))
        .detail;
    let (_, id) = detail.rsplit_once("decision ").expect("an id");
    let id = id.trim_end_matches('.').to_owned();
    wait_for("the decision is written", || {
        let log = std::fs::read_to_string(proxy.path(FILE)).unwrap_or_default();
        log.contains(&id).then_some(())
    });
    id
}

#[test]
fn the_id_that_a_client_was_told_leads_to_places_and_reasons() {
    let proxy = Proxy::start(&policy("fingerprint"));
    let id = refused(&proxy);
    let folder = proxy.folder();
    let said = explain(folder, &["policy.toml", "--decision", &id]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("policy it revision "), "{}", said.out);
    assert!(
        lines[1].starts_with(&format!("decision {id}, ")),
        "{}",
        said.out
    );
    assert!(
        lines[2].contains(": user app, database app, client 127.0.0.1"),
        "{}",
        said.out
    );
    let counts = lines
        .iter()
        .find(|line| line.contains("counts"))
        .expect("its line");
    assert!(
        counts.contains("policy.toml:") && counts.contains("continue  fuel "),
        "{counts}"
    );
    let rule = lines
        .iter()
        .find(|line| line.contains(" rule "))
        .expect("its line");
    assert!(
        rule.contains(
            "block  (when tables=by_rule yes, it is by_rule, unless user=postgres no, it is app)"
        ),
        "{rule}"
    );
    assert!(
        said.out.contains("  => refused by rule: 42000\n     fuel "),
        "{}",
        said.out
    );
    assert!(
        !said.out.contains(SECRET) && !said.out.contains("later"),
        "{}",
        said.out
    );
    // Rotated, and another policy by now.
    std::fs::rename(proxy.path(FILE), proxy.path("decisions.jsonl.1")).expect("renamed");
    let text = policy("fingerprint").text().replace("by_rule", "by_nobody");
    std::fs::write(proxy.path("next.toml"), text).expect("written");
    let said = explain(folder, &["next.toml", "--decision", &id]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out
            .contains("so that places and reasons are not told; it would allow, to primary\n"),
        "{}",
        said.out
    );
    assert!(!said.out.contains(".toml:"), "{}", said.out);
    let said = explain(
        folder,
        &["next.toml", "--decision", &id, "--log", "decisions.jsonl.1"],
    );
    assert_eq!(said.code, Some(0), "{}", said.err);
}

#[test]
fn with_the_text_in_the_log_the_text_is_told() {
    let proxy = Proxy::start(&policy("text"));
    let id = refused(&proxy);
    let said = explain(proxy.folder(), &["policy.toml", "--decision", &id]);
    assert!(
        said.out
            .contains(&format!("\nSELECT '{SECRET}' FROM by_rule\n")),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("  => refused by rule: 42000 no\n"),
        "{}",
        said.out
    );
}

#[test]
fn what_is_not_there_is_told_and_so_is_where_it_was_looked_for() {
    let proxy = Proxy::start(&policy("fingerprint"));
    let id = refused(&proxy);
    let folder = proxy.folder();
    let other = "019ab5c1-7d0e-7a31-b5a8-3c1f0f6f2b11";
    let said = explain(folder, &["policy.toml", "--decision", other]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains(&format!("no decision `{other}` in ")),
        "{}",
        said.err
    );
    let text = policy("fingerprint").text();
    let stdout = text.replace(&format!("file:{FILE}"), "stdout");
    std::fs::write(proxy.path("stdout.toml"), stdout).expect("written");
    let said = explain(folder, &["stdout.toml", "--decision", &id]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("give --log FILE"), "{}", said.err);
    for wrong in [
        &["policy.toml", "--decision", &id, "--user", "app"][..],
        &["policy.toml"],
        &[
            "policy.toml",
            "--user",
            "app",
            "--sql",
            "SELECT 1",
            "--log",
            FILE,
        ],
    ] {
        assert_eq!(explain(folder, wrong).code, Some(64), "{wrong:?}");
    }
}
