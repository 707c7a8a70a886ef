//! The admin console: the database `pgwarden`, asked with SHOW and RELOAD over the same listener.

use crate::support::cluster::Cluster;
use crate::support::drivers::Transport;
use crate::support::drivers::libpq;
use crate::support::frames::VERSION_3_0;
use crate::support::frames::startup;
use crate::support::git::git;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::policy::PolicyText;
use crate::support::postgres::run;
use crate::support::proxy::Proxy;
use crate::support::repository;
use crate::support::wire::Wire;

fn proxy() -> Proxy {
    Proxy::start(&PolicyText::of(Cluster::shared()))
}

fn denying(base: &PolicyText, message: &str) -> PolicyText {
    let keys = format!("when = {{ tables = [\"by_rule\"] }}\ndeny = {{ message = \"{message}\" }}");
    base.clone().stage("pre_query", "rule", &keys)
}

#[test]
fn show_policy_tells_the_revision_and_when_it_came() {
    let base = PolicyText::of(Cluster::shared());
    let proxy = Proxy::start(&denying(&base, "first"));
    let mut admin = proxy.admin();
    let before = admin.table("SHOW POLICY").swap_remove(0);
    assert_eq!(
        before.get("name").map(String::as_str),
        Some("it"),
        "{before:?}"
    );
    assert!(before["revision"].len() >= 8, "{before:?}");
    let detail = proxy.login("app").fails("SELECT * FROM by_rule").detail;
    assert!(
        detail.contains(&before["revision"][..8]),
        "{detail} {before:?}"
    );
    proxy.reload(
        &denying(&base, "second")
            .text()
            .replace("[pool.main]", "# moved\n[pool.main]"),
    );
    let after = admin.table("SHOW POLICY").swap_remove(0);
    assert_ne!(after["revision"], before["revision"]);
}

#[test]
fn show_policy_tells_the_git_commit() {
    let proxy = proxy();
    let git = |arguments: &[&str]| git(proxy.folder(), arguments);
    git(&["init", "-q"]);
    git(&["add", "policy.toml"]);
    git(&["commit", "-q", "-m", "policy"]);
    let commit = git(&["rev-parse", "HEAD"]);
    proxy.hang_up();
    let row = proxy.admin().table("SHOW POLICY").swap_remove(0);
    let shown = row
        .values()
        .any(|value| value.len() >= 7 && commit.starts_with(value.trim_end_matches("-dirty")));
    assert!(shown, "{row:?} {commit}");
}

#[test]
fn the_console_shows_pools_clients_servers_and_figures() {
    let proxy = proxy();
    let mut wire = proxy.login("app");
    wire.works("BEGIN");
    let mut admin = proxy.admin();
    let pools = admin.table("SHOW POOLS");
    assert!(
        pools
            .iter()
            .any(|row| row.get("database").map(String::as_str) == Some("app")),
        "{pools:?}"
    );
    let clients = admin.table("SHOW CLIENTS");
    assert!(
        clients
            .iter()
            .any(|row| row.get("user").map(String::as_str) == Some("app")),
        "{clients:?}"
    );
    let servers = admin.table("SHOW SERVERS");
    assert!(!servers.is_empty());
    let port = Cluster::shared().primary.port.to_string();
    assert!(
        servers
            .iter()
            .any(|row| row.values().any(|value| *value == port || value == "pg1")),
        "{servers:?}"
    );
    assert!(!admin.table("SHOW STATS").is_empty());
}

#[test]
fn reload_by_the_console_says_what_came_of_it() {
    let base = PolicyText::of(Cluster::shared());
    let proxy = Proxy::start(&denying(&base, "first"));
    let mut admin = proxy.admin();
    let mut wire = proxy.login("app");
    proxy.write_policy(
        &denying(&base, "second")
            .text()
            .replace("listener.main", "listner.main"),
    );
    let problem = admin.fails("RELOAD");
    assert!(
        problem.message.contains("listner") || problem.detail.contains("listner"),
        "{problem:?}"
    );
    assert_eq!(wire.fails("SELECT * FROM by_rule").message, "first");
    proxy.write_policy(&denying(&base, "second").text());
    admin.works("RELOAD");
    assert_eq!(wire.fails("SELECT * FROM by_rule").message, "second");
}

#[test]
fn the_console_is_for_admins_only() {
    let proxy = proxy();
    let mut wire = Wire::connect(proxy.port);
    wire.send(&startup(
        VERSION_3_0,
        &[("user", "app"), ("database", "pgwarden")],
    ));
    let messages = wire.until_ready();
    let messages = if shape(&messages).contains('E') {
        messages
    } else {
        wire.query("SHOW POLICY")
    };
    assert!(
        only_problem(&messages).code.starts_with("28") || only_problem(&messages).code == "42501",
        "{messages:?}"
    );
}

#[test]
fn what_the_console_does_not_know_is_an_error_and_it_goes_on() {
    let proxy = proxy();
    let mut admin = proxy.admin();
    assert_eq!(shape(&admin.query("SELECT * FROM orders")), "E ZI");
    assert_eq!(shape(&admin.query("SHOW NOTHING_OF_THAT_NAME")), "E ZI");
    assert!(!admin.table("SHOW POLICY").is_empty());
}

#[test]
fn psql_reads_the_console() {
    let proxy = proxy();
    let mut psql = libpq("psql", proxy.port, "postgres", Transport::Plain);
    let printed = run(psql
        .env("PGDATABASE", "pgwarden")
        .current_dir(repository())
        .args(["-X", "-c", "SHOW POLICY"]));
    assert!(printed.contains("revision"), "{printed}");
}

/// Columns that `docs/console.md` shows of each command: a header of psql, or one line a column.
fn documented() -> Vec<(String, Vec<String>)> {
    let path = repository().join("docs/console.md");
    let document = std::fs::read_to_string(path).expect("the document");
    let mut shown = Vec::new();
    for part in document.split("\npgwarden=> ").skip(1) {
        let (command, rest) = part.split_once('\n').expect("what it prints");
        let command = command
            .trim_end_matches("\\gx")
            .trim_end_matches(';')
            .trim();
        let name = |cell: &str| cell.trim().to_owned();
        let columns: Vec<String> = match rest.strip_prefix("-[ RECORD 1 ]\n") {
            Some(record) => {
                let lines = record.lines().take_while(|line| line.contains('|'));
                lines
                    .filter_map(|line| line.split('|').next())
                    .map(name)
                    .collect()
            }
            None => {
                let header = rest.lines().next().unwrap_or_default();
                header.split('|').map(name).collect()
            }
        };
        if command.starts_with("SHOW") && columns.len() > 1 {
            shown.push((command.to_owned(), columns));
        }
    }
    shown
}

#[test]
fn the_document_shows_the_columns_there_are() {
    let policy =
        PolicyText::of(Cluster::shared()).stage("pre_query", "script", "script = 'next()'");
    let proxy = Proxy::start(&policy);
    let mut admin = proxy.admin();
    let shown = documented();
    let commands: Vec<&str> = shown.iter().map(|(command, _)| &**command).collect();
    for command in ["SHOW POLICY", "SHOW POOLS", "SHOW STAGES"] {
        assert!(commands.contains(&command), "{commands:?}");
    }
    for (command, columns) in shown {
        let messages = admin.query(&command);
        let head = messages.iter().find(|message| message.tag == 'T');
        assert_eq!(head.expect("columns").columns(), columns, "{command}");
    }
}
