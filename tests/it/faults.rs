//! Guests that never end, never stop growing or trap: the same fault in both engines, the session goes on, and other
//! sessions hardly notice.

use crate::support::cluster::Cluster;
use crate::support::message::Problem;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// A stage that fails and the table it looks at, in both engines.
struct Broken {
    name: &'static str,
    script: &'static str,
    wat: &'static str,
}

const BROKEN: [Broken; 3] = [
    Broken {
        name: "loops",
        script: "let n = 0; loop { n += 1; }",
        wat: "(loop $again (br $again)) (i64.const 0)",
    },
    Broken {
        name: "grows",
        script: "let text = \"0123456789abcdef\"; loop { text += text; }",
        wat: "(loop $again (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br $again)) \
              (i64.const 0)",
    },
    Broken {
        name: "traps",
        script: "let list = []; list[7].name",
        wat: "unreachable",
    },
];

/// Time enough for fuel and memory to run out first, on a busy machine too.
const PATIENT: &str = "[sandbox]\ndeadline = \"2s\"";

/// Each fault once as a script, and once as a plugin, told by the table a statement names.
fn proxy(on_failure: &str, sandbox: &str) -> Proxy {
    let mut policy = PolicyText::of(Cluster::shared()).extra(sandbox);
    let mut files = Vec::new();
    for Broken { name, script, wat } in BROKEN {
        let bytes = plugins::pre_query(wat);
        let keys = format!(
            "on_failure = \"{on_failure}\"\nwhen = {{ tables = [\"script_{name}\"] }}\nscript = '{script}'"
        );
        policy = policy.stage("pre_query", &format!("script-{name}"), &keys);
        let keys = format!(
            "on_failure = \"{on_failure}\"\nwhen = {{ tables = [\"plugin_{name}\"] }}\nplugin = \"{name}\""
        );
        policy = policy
            .stage("pre_query", &format!("plugin-{name}"), &keys)
            .extra(&plugins::table(name, &bytes));
        files.push((format!("{name}.wasm"), bytes));
    }
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    Proxy::start_with(&policy, &files, &[])
}

/// A statement without a table of that name on the node: what matters is that it never gets there.
fn statement(engine: &str, name: &str) -> String {
    format!("SELECT * FROM {engine}_{name}")
}

#[test]
fn a_stage_that_keeps_failing_is_not_asked_until_one_call_finds_out() {
    let keys = "when = { tables = [\"good\", \"bad\"] }\nbreaker = { failures = 3, retry_after = \"300ms\" }\n\
                script = 'if sql.tables[0].name == \"bad\" { sql.tables[7].name } deny(\"asked\")'";
    let policy = PolicyText::of(Cluster::shared()).stage("pre_query", "shaky", keys);
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    let mut admin = proxy.admin();
    let mut health = |expected: &str| {
        let row = admin.table("SHOW STAGES").swap_remove(0);
        assert_eq!(row["health"], expected, "{row:?}");
    };
    health("ready");
    let opened = Instant::now();
    for _ in 0..3 {
        assert!(wire.fails("SELECT * FROM bad").message.contains("trap"));
    }
    let refused = wire.fails("SELECT * FROM good");
    if opened.elapsed() < Duration::from_millis(300) {
        assert_eq!(refused.code, "58000");
        assert!(refused.message.contains("breaker_open"), "{refused:?}");
        health("broken");
    }
    let end = Instant::now() + Duration::from_secs(10);
    while wire.fails("SELECT * FROM good").message != "asked" {
        assert!(Instant::now() < end, "the breaker never closed");
    }
    assert!(opened.elapsed() >= Duration::from_millis(300));
    health("degraded");
}

#[test]
fn a_broken_stage_is_a_refusal_with_its_own_code_and_the_session_lives() {
    let proxy = proxy("closed", PATIENT);
    let mut wire = proxy.login("app");
    for Broken { name, .. } in BROKEN {
        let script = wire.fails(&statement("script", name));
        let plugin = only_problem(&wire.extended(&statement("plugin", name)));
        assert_eq!(script.code, "58000", "{name}: {script:?}");
        let common = |problem: &Problem| {
            (
                problem.severity.clone(),
                problem.code.clone(),
                problem.message.clone(),
            )
        };
        assert_eq!(common(&script), common(&plugin), "{name}");
        assert_eq!(wire.value("SELECT 'alive'"), "alive");
    }
    // The log tells which fault it was, in the same words for both engines.
    for (name, kind) in [("loops", "out_of_fuel"), ("traps", "trap")] {
        for engine in ["script", "plugin"] {
            let stage = format!("{engine}-{name}");
            let event = proxy.event("the fault is logged", |event| {
                event.to_string().contains(&stage)
            });
            assert!(event.to_string().contains(kind), "{event}");
        }
    }
}

#[test]
fn a_broken_stage_in_a_transaction_aborts_it() {
    let proxy = proxy("closed", PATIENT);
    let mut wire = proxy.login("app");
    for engine in ["script", "plugin"] {
        for Broken { name, .. } in BROKEN {
            wire.works("BEGIN");
            assert_eq!(shape(&wire.query(&statement(engine, name))), "E ZE");
            assert_eq!(wire.fails("SELECT 1").code, "25P02");
            assert_eq!(wire.works("ROLLBACK"), "C ZI");
        }
    }
}

#[test]
fn a_broken_stage_that_may_fail_open_lets_the_statement_through() {
    let proxy = proxy("open", PATIENT);
    let mut wire = proxy.login("app");
    for engine in ["script", "plugin"] {
        for Broken { name, .. } in BROKEN {
            // The node's own error: it got there.
            assert_eq!(wire.fails(&statement(engine, name)).code, "42P01");
        }
    }
}

#[test]
fn an_answer_of_nonsense_is_a_fault() {
    let nonsense = [
        ("pointer", "(i64.const 0x7fffffff00000010)"),
        ("number", "(i64.const 77)"),
        ("route", "(i64.const 5)"),
    ];
    let mut policy = PolicyText::of(Cluster::shared());
    let mut files = Vec::new();
    for (name, body) in nonsense {
        let bytes = plugins::pre_query(body);
        let keys = format!("when = {{ tables = [\"{name}\"] }}\nplugin = \"{name}\"");
        policy = policy
            .stage("pre_query", &format!("stage-{name}"), &keys)
            .extra(&plugins::table(name, &bytes));
        files.push((format!("{name}.wasm"), bytes));
    }
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let proxy = Proxy::start_with(&policy, &files, &[]);
    let mut wire = proxy.login("app");
    for (name, _) in nonsense {
        assert_eq!(
            wire.fails(&format!("SELECT * FROM {name}")).code,
            "58000",
            "{name}"
        );
        assert_eq!(wire.value("SELECT 'alive'"), "alive");
    }
}

/// While one session does nothing but fail, the slowest hundredth of the others' statements stays quick.
#[test]
fn other_sessions_hardly_notice() {
    const HARM_MAX: Duration = Duration::from_millis(50);
    const FAULTS_MIN: u32 = 20;
    let proxy = proxy("closed", "");
    let alone = slowest_hundredth(&proxy, || true);
    for Broken { name, .. } in BROKEN {
        for engine in ["script", "plugin"] {
            let over = AtomicBool::new(false);
            let faults = AtomicU32::new(0);
            let p99 = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut wire = proxy.login("other");
                    while !over.load(Ordering::Relaxed) {
                        assert_eq!(wire.fails(&statement(engine, name)).code, "58000");
                        faults.fetch_add(1, Ordering::Relaxed);
                    }
                });
                let p99 =
                    slowest_hundredth(&proxy, || faults.load(Ordering::Relaxed) >= FAULTS_MIN);
                over.store(true, Ordering::Relaxed);
                p99
            });
            assert!(
                p99 < alone * 3 + HARM_MAX,
                "{engine} {name}: {p99:?}, alone {alone:?}"
            );
        }
    }
}

/// Runs statements one after the other, at least 400 and until `enough`, and gives the 99th percentile of their times.
fn slowest_hundredth(proxy: &Proxy, enough: impl Fn() -> bool) -> Duration {
    const STATEMENTS_MIN: usize = 400;
    let mut wire = proxy.login("app");
    let mut times = Vec::new();
    while times.len() < STATEMENTS_MIN || !enough() {
        let start = Instant::now();
        wire.works("SELECT 1");
        times.push(start.elapsed());
    }
    times.sort();
    times[times.len() * 99 / 100]
}
