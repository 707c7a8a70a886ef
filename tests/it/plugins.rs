//! The example plugins at work: each refuses, routes or records what it says, for statements of both protocols and for sessions
//! at the same time; and the scripts that stand beside them in the policies do as well.

use crate::support::cluster::Cluster;
use crate::support::message::Message;
use crate::support::message::Problem;
use crate::support::message::only_problem;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::repository;
use crate::support::said::Said;
use crate::support::wait_for;
use crate::support::wire::Wire;
use std::path::Path;
use std::process::Command;

/// A message of either protocol, up to ReadyForQuery.
type Send = fn(&mut Wire, &str) -> Vec<Message>;
const BOTH: [Send; 2] = [Wire::query, Wire::extended];

/// Threads that send at the same time.
const THREADS: usize = 4;

const USERS: &str = r#"
[role.agent]
[user.postgres]
trust = true
[user.alice]
trust = true
[user.copilot]
trust = true
roles = ["agent"]
[user.acme]
trust = true
attributes = { tenant = "acme" }
[user.slow]
trust = true
attributes = { tenant = "slow" }
[user.wide]
trust = true
attributes = { tenant = "wide" }
[user.eva]
trust = true
attributes = { region = "eu" }
[user.uma]
trust = true
attributes = { region = "us" }
[user.mara]
trust = true
attributes = { region = "mars" }
"#;

/// The window is a year, so that it does not end within the test.
const PLUGINS: &str = r#"
[plugin.cost_governor.config]
window_seconds = 31_536_000
budgets = { acme = { statements = 40 }, slow = { ms = 100 }, wide = { rows = 100 } }

[plugin.llm_guardrail.config]
limit_tables = ["orders"]

[plugin.residency_router.config.regions]
eu = { to = "branch:eu" }
us = { to = "node:pg2", writes = false }

[branch.eu]
node = "pg1"
database = "app_dev"

[permissions.budgets]
see  = ["identity", "sql.kind", "result.summary"]
call = ["kv.write", "time", "log"]
kv   = { namespace = "budgets" }
"#;

/// A plugin of the repository, built and beside the policy.
fn with_plugin(policy: PolicyText, name: &str, files: &mut Vec<(String, Vec<u8>)>) -> PolicyText {
    let bytes = plugins::example(name);
    let policy = policy.extra(&plugins::table(name, &bytes));
    files.push((format!("{name}.wasm"), bytes));
    policy
}

fn start(policy: &PolicyText, files: &[(String, Vec<u8>)]) -> Proxy {
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    Proxy::start_with(policy, &files, &[])
}

/// A stage of an example policy as it stands there.
fn example_script(policy: &str, stage: &str) -> String {
    let path = repository().join("policies").join(policy);
    let text = std::fs::read_to_string(path).expect("an example policy");
    let (_, stage) = text
        .split_once(&format!("[stage.{stage}]"))
        .expect("the stage");
    let (_, script) = stage.split_once("script      = '''").expect("a script");
    let (script, _) = script.split_once("'''").expect("its end");
    format!("script = '''{script}'''")
}

/// What the example scripts are asked about here.
fn only(user: &str, permissions: &str, script: &str) -> String {
    format!("when = {{ user = \"{user}\" }}\npermissions = \"{permissions}\"\n{script}")
}

#[test]
fn budgets_guardrails_and_regions_hold_for_both_protocols() {
    let mut files = Vec::new();
    let mut policy = PolicyText::of(Cluster::shared())
        .users(USERS)
        .pool_key("login = { user = \"app\" }");
    for name in ["cost_governor", "llm_guardrail", "residency_router"] {
        policy = with_plugin(policy, name, &mut files);
    }
    let admit = example_script("tenant-budgets.toml", "admit");
    let charge = example_script("tenant-budgets.toml", "charge");
    let budget = "hook = [\"pre_query\", \"post_query\"]\nwhen = { user = [\"acme\", \"slow\", \"wide\"] }\n\
        permissions = \"budgets\"\nplugin = \"cost_governor\"";
    let policy = policy
        .extra(PLUGINS)
        .extra(&format!("[stage.budget]\n{budget}"))
        .listed("pre_query", "budget")
        .listed("post_query", "budget")
        .stage("pre_query", "admit", &only("alice", "budgets", &admit))
        .stage("post_query", "charge", &only("alice", "budgets", &charge))
        .stage(
            "authorize",
            "agents",
            "when = { role = \"agent\" }\nplugin = \"llm_guardrail\"",
        )
        .stage(
            "route",
            "residency",
            "when = { user = [\"eva\", \"uma\", \"mara\"] }\nplugin = \"residency_router\"",
        );
    let proxy = start(&policy, &files);
    budgets(&proxy);
    guardrail(&proxy);
    regions(&proxy);
    for send in BOTH {
        send(&mut proxy.login("alice"), "SELECT 1");
    }
    let stages = proxy.admin().table("SHOW STAGES");
    for name in ["budget", "admit", "charge", "agents", "residency"] {
        let stage = stages
            .iter()
            .find(|stage| stage["stage"] == name)
            .expect("every stage");
        assert!(
            stage["calls"] != "0" && stage["faults"].is_empty(),
            "{stage:?}"
        );
    }
}

/// The refusal of a statement, the same by both protocols.
#[track_caller]
fn refused(wire: &mut Wire, sql: &str) -> Problem {
    let simple = wire.fails(sql);
    let extended = only_problem(&wire.extended(sql));
    assert_eq!(
        (&simple.code, &simple.hint),
        (&extended.code, &extended.hint),
        "{sql}"
    );
    simple
}

fn budgets(proxy: &Proxy) {
    // Sessions at the same time share one budget, and none is let in too many or too few.
    let sent = |thread: usize| {
        let mut wire = proxy.login("acme");
        let send = BOTH[thread % BOTH.len()];
        let works = (0..20).filter(|_| {
            let messages = send(&mut wire, "SELECT 1");
            messages.iter().all(|message| message.tag != 'E')
        });
        works.count()
    };
    let worked: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || sent(thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a count"))
            .sum()
    });
    assert_eq!(worked, 40);
    let mut slow = proxy.login("slow");
    slow.works("BEGIN; SELECT pg_sleep(0.15)");
    let problem = slow.fails("SELECT 1");
    let begin = "the budget of slow is spent: 100 ms in 31536000 s; the window ends in ";
    assert!(
        problem.code == "53400" && problem.message.starts_with(begin),
        "{problem:?}"
    );
    assert!(problem.hint.starts_with("try again in "), "{problem:?}");
    assert_eq!(slow.works("ROLLBACK"), "C ZI", "a transaction can end");
    assert_eq!(only_problem(&slow.extended("SELECT 1")).code, "53400");
    let mut wide = proxy.login("wide");
    assert_eq!(wide.table("SELECT * FROM orders WHERE id <= 99").len(), 99);
    drop(wide.extended("SELECT * FROM orders WHERE id <= 99"));
    assert!(refused(&mut wide, "SELECT 1").message.contains("100 rows"));
}

fn guardrail(proxy: &Proxy) {
    let mut agent = proxy.login("copilot");
    for (sql, message) in [
        ("DROP TABLE orders", "may not change the schema"),
        ("TRUNCATE orders", "may not change the schema"),
        ("GRANT ALL ON orders TO other", "who may do what"),
        ("DO $$ BEGIN DELETE FROM orders; END $$", "DO blocks"),
        ("UPDATE orders SET amount = 0", "without WHERE"),
        (
            "WITH d AS (DELETE FROM orders RETURNING 1) SELECT 1 FROM d LIMIT 1",
            "without WHERE",
        ),
        ("SELECT * FROM orders", "reading orders needs a LIMIT"),
        (
            "SELECT * FROM products JOIN orders USING (id)",
            "reading orders needs a LIMIT",
        ),
    ] {
        let problem = refused(&mut agent, sql);
        assert!(
            problem.code == "42501" && problem.message.contains(message),
            "{sql}: {problem:?}"
        );
        assert!(!problem.hint.is_empty(), "{sql}: {problem:?}");
    }
    for send in BOTH {
        let rows = send(&mut agent, "SELECT * FROM orders ORDER BY id LIMIT 3");
        assert_eq!(rows.iter().filter(|message| message.tag == 'D').count(), 3);
    }
    let left = Cluster::shared()
        .primary
        .value("SELECT count(*)::text FROM orders");
    assert_eq!(left, "100");
    assert_eq!(
        proxy.login("alice").table("SELECT * FROM orders").len(),
        100
    );
}

fn regions(proxy: &Proxy) {
    let first = |messages: &[Message]| {
        let row = messages.iter().find(|message| message.tag == 'D');
        row.unwrap_or_else(|| panic!("no row in {messages:?}"))
            .first_value()
    };
    let standby = Cluster::shared().standbys[0].port.to_string();
    let mut eva = proxy.login("eva");
    let mut uma = proxy.login("uma");
    for send in BOTH {
        assert_eq!(
            first(&send(&mut eva, "SELECT current_database()")),
            "app_dev"
        );
        assert_eq!(first(&send(&mut uma, "SELECT inet_server_port()")), standby);
    }
    eva.works("CREATE TEMP TABLE kept_here (id int)");
    let problem = refused(&mut uma, "UPDATE orders SET amount = 0 WHERE id = 1");
    assert_eq!(
        (problem.code.as_str(), problem.message.as_str()),
        ("25006", "nothing is written in the region us")
    );
    let problem = refused(&mut proxy.login("mara"), "SELECT 1");
    assert_eq!(
        (problem.code.as_str(), problem.message.as_str()),
        ("42501", "no place is known for mara")
    );
}

const AUDIT: &str = r#"
[permissions.audit]
see  = ["identity", "session", "sql.kind", "sql.fingerprint", "sql.tables", "result.summary"]
call = ["log", "kv.read", "kv.write", "time", "sha256"]
kv   = { namespace = "audit" }

[permissions.audit-script]
see  = ["identity", "sql.kind", "sql.fingerprint", "result.summary"]
call = ["log", "kv.read", "kv.write", "time", "sha256"]
kv   = { namespace = "audit-script" }

[stage.audit]
hook = ["on_connect", "post_query", "on_disconnect"]
unless = { user = "other" }
permissions = "audit"
plugin = "audit_chain"
"#;

/// What verify.py says of a log, and whether it holds.
fn verify(log: &Path, arguments: &[&str]) -> (bool, String) {
    let mut python = Command::new("python3");
    let script = repository().join("examples/audit/verify.py");
    let said = Said::by(python.arg(script).arg(log).args(arguments));
    assert!(said.err.is_empty(), "{}", said.err);
    (said.code == Some(0), said.out)
}

/// The audit plugin and the script that does the same, and a rule that refuses something to record.
fn audited() -> Proxy {
    let mut files = Vec::new();
    let script = example_script("audited.toml", "audit-script");
    let policy = with_plugin(PolicyText::of(Cluster::shared()), "audit_chain", &mut files)
        .extra(AUDIT)
        .listed("on_connect", "audit")
        .listed("post_query", "audit")
        .listed("on_disconnect", "audit")
        .stage(
            "post_query",
            "audit-script",
            &only("other", "audit-script", &script),
        )
        .stage(
            "authorize",
            "no-ddl",
            "when = { kind = \"ddl\" }\ndeny = { code = \"42501\", message = \"no\" }",
        );
    start(&policy, &files)
}

#[test]
fn an_audit_chain_holds_and_shows_what_was_changed() {
    const STATEMENTS: usize = 25;
    let proxy = audited();
    let work = |thread: usize| {
        let mut wire = proxy.login("app");
        for number in 0..STATEMENTS {
            let send = BOTH[(thread + number) % BOTH.len()];
            drop(send(
                &mut wire,
                "SELECT id, 'a secret' FROM orders WHERE id <= 3",
            ));
        }
        assert_eq!(refused(&mut wire, "DROP TABLE products").code, "42501");
    };
    std::thread::scope(|scope| {
        let work = &work;
        for thread in 0..THREADS {
            scope.spawn(move || work(thread));
        }
    });
    let expected = THREADS * (STATEMENTS + 2 + 2);
    let log = wait_for("every session's end is recorded", || {
        let log = proxy.log();
        (log.matches("audit ").count() == expected).then_some(log)
    });
    assert!(!log.contains("a secret"), "{log}");
    let place = proxy.folder().join("copy");
    let judge = |log: &str, arguments: &[&str]| {
        std::fs::write(&place, log).expect("a copy of the log");
        verify(&place, arguments)
    };
    let (holds, said) = judge(&log, &[]);
    assert!(
        holds && said.contains(&format!(": {expected} records hold, the last is ")),
        "{said}"
    );
    let head = said.trim().rsplit(' ').next().expect("the last hash");
    let record = |seq: usize| {
        let mark = format!("\\\"seq\\\":{seq},");
        log.lines()
            .find(|line| line.contains(&mark))
            .expect("the record")
    };
    let refusal = log
        .lines()
        .find(|line| line.contains("\\\"success\\\":false"))
        .expect("a refusal");
    assert!(
        refusal.contains("[\\\"ddl\\\"]") && refusal.contains("[\\\"products\\\"]"),
        "{refusal}"
    );
    let changed = log.replace(refusal, &refusal.replace("products", "orders"));
    let (holds, said) = judge(&changed, &[]);
    assert!(!holds && said.contains("was changed"), "{said}");
    let (holds, said) = judge(&log.replace(record(7), ""), &[]);
    assert!(
        !holds && said.contains("records 7 to 7 are missing"),
        "{said}"
    );
    let (holds, said) = judge(&log.replace(record(expected), ""), &[]);
    assert!(
        holds,
        "a chain cut at its end shows only against its last hash: {said}"
    );
    let (holds, said) = judge(&log.replace(record(expected), ""), &["--head", head]);
    assert!(!holds && said.contains(head), "{said}");
    script_chain(&proxy);
}

/// The script links its records as well: each names the head before it and its own.
fn script_chain(proxy: &Proxy) {
    let mut wire = proxy.login("other");
    for send in BOTH {
        drop(send(&mut wire, "SELECT 1"));
    }
    wire.works("SELECT 2");
    let lines: Vec<String> = proxy
        .events()
        .iter()
        .filter(|event| event["stage"] == "audit-script")
        .map(|event| event["message"].to_string())
        .collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let hashes: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    for pair in hashes.windows(2) {
        assert_eq!(pair[1][1], pair[0][2], "{lines:?}");
    }
}
