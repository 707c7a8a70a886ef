//! The figures an operator reads: over HTTP, and of stages that fail ten thousand times.

use crate::support::cluster::Cluster;
use crate::support::free_port;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::Reload;
use crate::support::wait_for;
use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

/// Status and body of one request.
fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

/// Every sample, by its name with labels. A line that is no sample and no comment fails the test.
pub(crate) fn scrape(port: u16) -> BTreeMap<String, f64> {
    let (status, body) = get(port, "/metrics");
    assert_eq!(status, 200, "{body}");
    let samples = body.lines().filter(|line| !line.starts_with("# "));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            assert!(name.starts_with("pgwarden_"), "{line}");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

#[track_caller]
pub(crate) fn figure(samples: &BTreeMap<String, f64>, name: &str) -> f64 {
    *samples
        .get(name)
        .unwrap_or_else(|| panic!("no {name} in {samples:#?}"))
}

/// What the plugin does at `pre_query`.
const TRAPS: &str = "unreachable";
const WORKS: &str = "(i64.const 0)";

fn with_plugin(base: &PolicyText, metrics: u16, body: &str) -> (PolicyText, Vec<u8>) {
    let bytes = plugins::pre_query(body);
    let policy = base
        .clone()
        .admin_key(&format!("metrics = \"127.0.0.1:{metrics}\""))
        .extra(&plugins::table("shaky", &bytes))
        .stage(
            "pre_query",
            "guard",
            "plugin = \"shaky\"\nbreaker = { failures = 3, retry_after = \"1h\" }",
        )
        .stage(
            "pre_query",
            "rule",
            "when = { tables = [\"by_rule\"] }\ndeny = \"no\"",
        );
    (policy, bytes)
}

#[test]
fn figures_are_scraped_over_http() {
    let (base, port) = (PolicyText::of(Cluster::shared()), free_port());
    let (policy, bytes) = with_plugin(&base, port, WORKS);
    let proxy = Proxy::start_with(&policy, &[("shaky.wasm", &bytes)], &[]);
    let mut wire = proxy.login("app");
    wire.works("SELECT 1");
    wire.fails("SELECT * FROM by_rule");
    let samples = scrape(port);
    for (name, expected) in [
        ("pgwarden_sessions{state=\"idle\"}", 1.0),
        ("pgwarden_sessions_total", 1.0),
        ("pgwarden_statements_refused_total", 1.0),
        ("pgwarden_stage_calls_total{stage=\"guard\"}", 2.0),
        ("pgwarden_stage_refusals_total{stage=\"rule\"}", 1.0),
        ("pgwarden_stage_fuel_count{stage=\"guard\"}", 2.0),
        (
            "pgwarden_plugin_health{plugin=\"shaky\",health=\"ready\"}",
            1.0,
        ),
        ("pgwarden_reloads_total{outcome=\"swapped\"}", 0.0),
        (
            "pgwarden_pool_statements_total{pool=\"main\",node=\"pg1\"}",
            1.0,
        ),
        ("pgwarden_last_reload_failed", 0.0),
    ] {
        assert_eq!(figure(&samples, name), expected, "{name}");
    }
    assert_eq!(get(port, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(port, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(get(port, "/").0, 404);
    // A refused reload shows, and one that works ends it.
    assert_eq!(proxy.reload("policy = 2"), Reload::Kept);
    let samples = scrape(port);
    assert_eq!(
        figure(&samples, "pgwarden_reloads_total{outcome=\"kept\"}"),
        1.0
    );
    assert_eq!(figure(&samples, "pgwarden_last_reload_failed"), 1.0);
    // The address moves with the policy.
    let other = free_port();
    assert_eq!(
        proxy.reload(&with_plugin(&base, other, WORKS).0.text()),
        Reload::Swapped
    );
    assert_eq!(figure(&scrape(other), "pgwarden_last_reload_failed"), 0.0);
    wait_for("the old address is closed", || {
        TcpStream::connect(("127.0.0.1", port)).err()
    });
}

/// A stage that counts what it has declared, and one that reads what the first has set.
const COUNTING: &str = r#"[permissions.counting]
see = ["session", "sql.text"]
call = ["metrics", "attributes"]

[permissions.counting.metrics]
tables_named = { kind = "counter", help = "Tables that statements named." }
statement_bytes = { kind = "histogram" }"#;

#[test]
fn declared_metrics_are_scraped_as_what_they_are() {
    let (base, port) = (PolicyText::of(Cluster::shared()), free_port());
    let guest = |script: &str| format!("permissions = \"counting\"\nscript = '''{script}'''");
    let count = "let tables = statement::tables(sql.text);
        metric::observe(\"statement_bytes\", sql.text.len());
        if tables != () { metric::add(\"tables_named\", tables.len()); attribute::set(\"tables\", tables.len()); }
        next()";
    let many = "if \"tables\" in session.attributes && session.attributes.tables == \"3\" { deny(\"three tables\") }";
    let policy = base
        .admin_key(&format!("metrics = \"127.0.0.1:{port}\""))
        .extra(COUNTING)
        .stage("pre_query", "count", &guest(count))
        .stage("pre_query", "many", &guest(many));
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    wire.works("SELECT 1 FROM products, by_rule");
    assert_eq!(wire.fails("SELECT FROM a, b, c").message, "three tables");
    let samples = scrape(port);
    for (name, expected) in [
        ("pgwarden_metric_tables_named_total{stage=\"count\"}", 5.0),
        ("pgwarden_metric_statement_bytes_sum{stage=\"count\"}", 50.0),
        (
            "pgwarden_metric_statement_bytes_count{stage=\"count\"}",
            2.0,
        ),
        (
            "pgwarden_metric_statement_bytes_bucket{stage=\"count\",le=\"25\"}",
            1.0,
        ),
    ] {
        assert_eq!(figure(&samples, name), expected, "{name}");
    }
    let (_, text) = get(port, "/metrics");
    let head = "# HELP pgwarden_metric_tables_named_total Tables that statements named.\n\
                # TYPE pgwarden_metric_tables_named_total counter\n";
    assert!(text.contains(head), "{text}");
    let shown = proxy.admin().table("SHOW METRICS");
    let named = shown.iter().find(|row| row["name"] == "tables_named");
    let named = named.expect("a row of it");
    assert_eq!((&*named["kind"], &*named["value"]), ("counter", "5"));
    // A name that is not declared is found before anything runs.
    let misspelt = policy
        .text()
        .replace("(\"tables_named\"", "(\"table_named\"");
    assert_eq!(proxy.reload(&misspelt), Reload::Kept);
}

#[test]
fn figures_are_read_while_the_process_drains() {
    let (base, port) = (PolicyText::of(Cluster::shared()), free_port());
    let (policy, bytes) = with_plugin(&base, port, WORKS);
    let mut proxy = Proxy::start_with(&policy, &[("shaky.wasm", &bytes)], &[]);
    let mut wire = proxy.login("app");
    wire.works("BEGIN");
    proxy.terminate();
    wait_for("it is not ready", || {
        (get(port, "/readyz").0 == 503).then_some(())
    });
    assert_eq!(figure(&scrape(port), "pgwarden_draining"), 1.0);
    wire.works("COMMIT");
    drop(wire);
    assert!(proxy.ended().success());
}

#[test]
fn a_plugin_that_traps_is_broken_until_a_reload_brings_a_better_one() {
    let (base, port) = (PolicyText::of(Cluster::shared()), free_port());
    let (policy, bytes) = with_plugin(&base, port, TRAPS);
    let proxy = Proxy::start_with(&policy, &[("shaky.wasm", &bytes)], &[]);
    let (mut wire, mut admin) = (proxy.login("app"), proxy.admin());
    for _ in 0..3 {
        assert!(wire.fails("SELECT 1").message.contains("trap"));
    }
    assert!(wire.fails("SELECT 1").message.contains("breaker_open"));
    let mut state = |plugin: usize| admin.table("SHOW PLUGINS")[plugin]["state"].clone();
    assert_eq!(state(0), "broken");
    let samples = scrape(port);
    let broken = "pgwarden_plugin_health{plugin=\"shaky\",health=\"broken\"}";
    assert_eq!(figure(&samples, broken), 1.0);
    let faults = "pgwarden_stage_faults_total{stage=\"guard\",kind=\"trap\"}";
    assert_eq!(figure(&samples, faults), 3.0);
    let (policy, bytes) = with_plugin(&base, port, WORKS);
    std::fs::write(proxy.path("shaky.wasm"), bytes).expect("written");
    assert_eq!(proxy.reload(&policy.text()), Reload::Swapped);
    wire.works("SELECT 1");
    // The figures of the stage stay; the plugin that is asked now has not failed, but its stage has a minute ago.
    assert_ne!(state(0), "broken");
    wait_for("the old one is unloaded", || {
        let rows = proxy.admin().table("SHOW PLUGINS");
        rows.iter()
            .any(|row| row["state"] == "unloaded" && row["plugin"] == "shaky")
            .then_some(())
    });
}

#[test]
fn ten_thousand_faults_do_not_flood_the_log() {
    const FAULTS: usize = 10_000;
    let bytes = plugins::pre_query(TRAPS);
    let policy = PolicyText::of(Cluster::shared())
        .extra(&plugins::table("shaky", &bytes))
        .stage(
            "pre_query",
            "guard",
            "plugin = \"shaky\"\non_failure = \"open\"\nbreaker = { failures = 1000000 }",
        )
        .stage("pre_query", "rule", "deny = \"no\"");
    let proxy = Proxy::start_with(&policy, &[("shaky.wasm", &bytes)], &["--log", "warn"]);
    let mut wire = proxy.login("app");
    let started = Instant::now();
    for _ in 0..FAULTS {
        assert_eq!(wire.fails("SELECT 1").message, "no");
    }
    let seconds = started.elapsed().as_secs() + 2;
    let row = proxy.admin().table("SHOW STAGES").swap_remove(0);
    assert_eq!(row["faults"], format!("trap={FAULTS}"));
    let faults = proxy.events();
    let faults: Vec<_> = faults
        .iter()
        .filter(|event| event["message"] == "stage fault")
        .collect();
    assert!(!faults.is_empty());
    assert!(
        u64::try_from(faults.len()).expect("few") <= seconds,
        "{} lines in {seconds} s",
        faults.len()
    );
}
