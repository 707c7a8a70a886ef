//! SIGHUP: everything is swapped at once or nothing at all, under load, a thousand times.

use crate::support::cluster::Cluster;
use crate::support::drivers::Transport;
use crate::support::drivers::libpq;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::Reload;
use crate::support::said::Said;
use crate::support::wire::Wire;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// A policy whose rule names its version in what it says.
fn version(base: &PolicyText, number: usize) -> PolicyText {
    base.clone().stage(
        "pre_query",
        "rule",
        &format!(
            "when = {{ tables = [\"by_rule\"] }}\ndeny = {{ message = \"version {number}\" }}"
        ),
    )
}

/// The revision in an error's detail: `Policy it (3f9a81c2), stage ..`.
fn revision(detail: &str) -> String {
    let inside = detail
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    inside
        .unwrap_or_else(|| panic!("no revision in {detail:?}"))
        .0
        .to_owned()
}

#[test]
fn an_open_session_sees_the_new_rules_and_stays_open() {
    let base = PolicyText::of(Cluster::shared());
    let proxy = Proxy::start(&base);
    let mut wire = proxy.login("app");
    assert_eq!(wire.value("SELECT id FROM by_rule"), "1");
    assert_eq!(proxy.reload(&version(&base, 1).text()), Reload::Swapped);
    assert_eq!(wire.fails("SELECT id FROM by_rule").message, "version 1");
    assert_eq!(proxy.reload(&version(&base, 2).text()), Reload::Swapped);
    assert_eq!(wire.fails("SELECT id FROM by_rule").message, "version 2");
    assert_eq!(proxy.reload(&base.text()), Reload::Swapped);
    assert_eq!(wire.value("SELECT id FROM by_rule"), "1");
}

#[test]
fn a_transaction_goes_on_across_a_reload() {
    let base = PolicyText::of(Cluster::shared());
    let proxy = Proxy::start(&base);
    let mut wire = proxy.login("app");
    wire.works("BEGIN; CREATE TEMP TABLE kept (n int) ON COMMIT DROP; INSERT INTO kept VALUES (7)");
    assert_eq!(proxy.reload(&version(&base, 1).text()), Reload::Swapped);
    assert_eq!(wire.value("SELECT n FROM kept"), "7");
    assert_eq!(wire.works("COMMIT"), "C ZI");
}

/// A policy with a mistake, and words the log must say about it.
fn mistakes(good: &PolicyText) -> Vec<(String, &'static str)> {
    let text = good.text();
    let script = good.clone().stage(
        "pre_query",
        "script",
        "script = '''\nlet a = ;\nnext()\n'''",
    );
    let missing = format!(
        "[plugin.gone]\npath = \"gone.wasm\"\nsha256 = \"{}\"",
        "0".repeat(64)
    );
    let missing = good
        .clone()
        .extra(&missing)
        .stage("pre_query", "plugin", "plugin = \"gone\"");
    let wrong = format!(
        "[plugin.there]\npath = \"there.wasm\"\nsha256 = \"{}\"",
        "0".repeat(64)
    );
    let wrong = good
        .clone()
        .extra(&wrong)
        .stage("pre_query", "plugin", "plugin = \"there\"");
    vec![
        (text.replace("[node.pg1]", "[node.pg1"), "policy.toml:"),
        (
            text.replace("pipeline = \"default\"", "pipeline = \"defualt\""),
            "defualt",
        ),
        (script.text(), "policy.toml:"),
        (missing.text(), "gone.wasm"),
        (wrong.text(), "there.wasm"),
    ]
}

fn start(policy: &PolicyText) -> Proxy {
    Proxy::start_with(
        policy,
        &[("there.wasm", &plugins::pre_query("(i64.const 0)"))],
        &[],
    )
}

#[test]
fn a_mistake_anywhere_changes_nothing_and_is_told_with_its_place() {
    let base = PolicyText::of(Cluster::shared());
    let proxy = start(&version(&base, 1));
    let mut wire = proxy.login("app");
    // The mistaken files also carry another rule, which must not come into force.
    for (text, said) in mistakes(&version(&base, 2)) {
        assert_eq!(proxy.reload(&text), Reload::Kept, "{said}");
        assert!(proxy.log().contains(said), "the log does not say {said}");
        assert_eq!(
            wire.fails("SELECT id FROM by_rule").message,
            "version 1",
            "{said}"
        );
    }
}

#[test]
fn a_missing_or_half_written_file_keeps_the_running_policy() {
    let base = PolicyText::of(Cluster::shared());
    let proxy = Proxy::start(&version(&base, 1));
    std::fs::remove_file(proxy.path("policy.toml")).expect("removed");
    assert_eq!(proxy.hang_up(), Reload::Kept);
    let text = version(&base, 2).text();
    assert_eq!(proxy.reload(&text[..text.len() / 2]), Reload::Kept);
    assert_eq!(proxy.reload(""), Reload::Kept);
    assert_eq!(
        proxy.login("app").fails("SELECT id FROM by_rule").message,
        "version 1"
    );
    assert_eq!(proxy.reload(&text), Reload::Swapped);
    assert_eq!(
        proxy.login("app").fails("SELECT id FROM by_rule").message,
        "version 2"
    );
}

#[test]
fn the_revision_is_of_the_meaning_and_not_of_the_text() {
    let base = PolicyText::of(Cluster::shared());
    let proxy = Proxy::start(&version(&base, 1));
    let mut wire = proxy.login("app");
    let first = revision(&wire.fails("SELECT id FROM by_rule").detail);
    proxy.reload(&format!(
        "# a comment\n{}\n\n# and another\n",
        version(&base, 1).text()
    ));
    assert_eq!(
        revision(&wire.fails("SELECT id FROM by_rule").detail),
        first
    );
    proxy.reload(&version(&base, 2).text());
    assert_ne!(
        revision(&wire.fails("SELECT id FROM by_rule").detail),
        first
    );
}

/// What a session saw that asked again and again for something refused: the revision of each version.
type Seen = BTreeMap<String, BTreeSet<String>>;

#[test]
fn a_thousand_reloads_in_a_minute_lose_nothing() {
    const RELOADS: usize = 1000;
    const LIMIT: Duration = Duration::from_secs(60);
    let base = PolicyText::of(Cluster::shared()).size(8);
    let proxy = start(&version(&base, 0));
    let over = AtomicBool::new(false);
    let (seen, took, printed) = std::thread::scope(|scope| {
        let bench = scope.spawn(|| bench(proxy.port, &over));
        let prober = scope.spawn(|| probe(proxy.login("other"), &over));
        let start = Instant::now();
        for number in 0..RELOADS {
            let good = version(&base, number);
            if number % 2 == 0 {
                assert_eq!(proxy.reload(&good.text()), Reload::Swapped);
            } else {
                let mut mistakes = mistakes(&good);
                let (text, _) = mistakes.swap_remove(number / 2 % mistakes.len());
                assert_eq!(proxy.reload(&text), Reload::Kept);
            }
        }
        let took = start.elapsed();
        over.store(true, Ordering::Relaxed);
        (
            prober.join().expect("the prober"),
            took,
            bench.join().expect("pgbench"),
        )
    });
    assert!(took < LIMIT, "{RELOADS} reloads took {took:?}");
    assert!(
        printed.contains("number of failed transactions: 0 (0.000%)"),
        "{printed}"
    );
    let mut revisions = BTreeSet::new();
    for (message, of_message) in &seen {
        assert_eq!(
            of_message.len(),
            1,
            "{message} was decided under {of_message:?}"
        );
        let number: usize = message
            .trim_start_matches("version ")
            .parse()
            .expect("a version");
        assert_eq!(
            number % 2,
            0,
            "a policy with a mistake came into force: {message}"
        );
        assert!(
            revisions.extend_new(of_message),
            "two versions have one revision: {seen:?}"
        );
    }
    assert!(seen.len() > 50, "the prober saw {} versions", seen.len());
}

/// Runs pgbench in short rounds, so that it is told to end within one, and gives what the last printed.
fn bench(port: u16, over: &AtomicBool) -> String {
    loop {
        let mut command = libpq("pgbench", port, "app", Transport::Plain);
        command.args([
            "-n", "-S", "-M", "prepared", "-c", "16", "-j", "1", "-T", "5",
        ]);
        let said = Said::ends(&mut command, 0);
        let err = &said.err;
        assert!(!err.contains("error") && !err.contains("aborted"), "{err}");
        if over.load(Ordering::Relaxed) {
            return said.out;
        }
    }
}

fn probe(mut wire: Wire, over: &AtomicBool) -> Seen {
    let mut seen = Seen::new();
    while !over.load(Ordering::Relaxed) {
        let problem = wire.fails("SELECT id FROM by_rule");
        seen.entry(problem.message)
            .or_default()
            .insert(revision(&problem.detail));
    }
    seen
}

/// Adds all, and tells whether all were new.
trait ExtendNew {
    fn extend_new(&mut self, others: &Self) -> bool;
}

impl ExtendNew for BTreeSet<String> {
    fn extend_new(&mut self, others: &Self) -> bool {
        others.iter().all(|other| self.insert(other.clone()))
    }
}

/// One stage writes the version into the statement, the next compares it with its own: a statement that two
/// revisions decided would be refused.
#[test]
fn a_statement_is_decided_by_one_revision_only() {
    const RELOADS: usize = 100;
    let cluster = Cluster::shared();
    let base =
        PolicyText::of(cluster).extra("[permissions.text]\nsee = [\"identity\", \"sql.text\"]");
    let version = |number: usize| {
        let write = format!(
            "when = {{ user = \"other\" }}\npermissions = \"text\"\nscript = 'rewrite(\"SELECT {number}\")'"
        );
        let compare = format!(
            "when = {{ user = \"other\" }}\npermissions = \"text\"\n\
             script = 'if sql.text == \"SELECT {number}\" {{ next() }} else {{ deny(\"two revisions\") }}'"
        );
        base.clone()
            .stage("rewrite", "write", &write)
            .stage("authorize", "compare", &compare)
            .text()
    };
    let proxy = Proxy::start(&base);
    proxy.reload(&version(0));
    let over = AtomicBool::new(false);
    let values = std::thread::scope(|scope| {
        let prober = scope.spawn(|| {
            let mut wire = proxy.login("other");
            let mut values = BTreeSet::new();
            while !over.load(Ordering::Relaxed) {
                values.insert(wire.value("SELECT 'asked'"));
            }
            values
        });
        for number in 1..=RELOADS {
            proxy.reload(&version(number));
        }
        over.store(true, Ordering::Relaxed);
        prober.join().expect("every statement has an answer")
    });
    assert!(
        values.len() > 5 && values.iter().all(|value| value.parse::<usize>().is_ok()),
        "{values:?}"
    );
}

#[test]
fn guests_that_come_with_a_reload_are_warned_of() {
    let plain = PolicyText::of(Cluster::shared());
    let proxy = Proxy::start(&plain);
    let with_script = plain
        .clone()
        .stage("pre_query", "asks", "script = 'next()'");
    assert_eq!(proxy.reload(&with_script.text()), Reload::Swapped);
    proxy.event("this process began without scripts and plugins, so those that take long hold up other sessions: restart it", |_| true);
    proxy.login("app").works("SELECT 1");
    drop(proxy);
    let proxy = Proxy::start(&with_script);
    assert_eq!(proxy.reload(&with_script.text()), Reload::Swapped);
    assert!(!proxy.log().contains("began without"));
}
