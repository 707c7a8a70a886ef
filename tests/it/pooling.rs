//! Server connections shared by more clients than there are: fairness, prepared statements that follow their client,
//! and session state that does not leak.

use crate::support::cluster::Cluster;
use crate::support::frames::bind;
use crate::support::frames::close_statement;
use crate::support::frames::describe_statement;
use crate::support::frames::execute;
use crate::support::frames::parse;
use crate::support::frames::query;
use crate::support::frames::sync;
use crate::support::message::Row;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wait_for;
use crate::support::wire::Wire;
use std::io::Write;

const PID: &str = "SELECT pg_backend_pid()";

fn proxy(mode: &'static str, size: usize) -> Proxy {
    Proxy::start(&PolicyText::of(Cluster::shared()).mode(mode).size(size))
}

#[test]
fn in_transaction_mode_sessions_share_a_server_connection() {
    let proxy = proxy("transaction", 1);
    let (mut one, mut two) = (proxy.login("app"), proxy.login("app"));
    let pid = one.value(PID);
    assert_eq!(two.value(PID), pid);
    assert_eq!(one.value(PID), pid);
}

#[test]
fn in_session_mode_a_session_keeps_its_own() {
    let proxy = proxy("session", 2);
    let (mut one, mut two) = (proxy.login("app"), proxy.login("app"));
    let pid = one.value(PID);
    assert_ne!(two.value(PID), pid);
    one.works("SET work_mem = '1MB'");
    assert_eq!(one.value("SHOW work_mem"), "1MB");
    assert_eq!(one.value(PID), pid);
    // The next session finds it as new.
    drop((one, two));
    assert_eq!(proxy.login("app").value("SHOW work_mem"), "4MB");
}

#[test]
fn waiters_are_served_in_the_order_they_came() {
    let proxy = proxy("transaction", 1);
    let mut holder = proxy.login("app");
    holder.works("BEGIN");
    let mut admin = proxy.admin();
    let mut waiters: Vec<Wire> = (0..4).map(|_| proxy.login("app")).collect();
    for (number, wire) in waiters.iter_mut().enumerate() {
        wire.send(&query("SELECT clock_timestamp()::text"));
        let waiting = (number + 1).to_string();
        let queued = |row: &Row| row.get("cl_waiting") == Some(&waiting);
        wait_for("it waits", || {
            admin.table("SHOW POOLS").iter().any(queued).then_some(())
        });
    }
    holder.works("COMMIT");
    let times: Vec<String> = waiters
        .iter_mut()
        .map(|wire| {
            wire.until_ready()
                .iter()
                .find(|message| message.tag == 'D')
                .expect("a row")
                .first_value()
        })
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_wait_has_a_limit() {
    let proxy = Proxy::start(
        &PolicyText::of(Cluster::shared())
            .size(1)
            .pool_key("wait = \"300ms\""),
    );
    let mut holder = proxy.login("app");
    holder.works("BEGIN");
    let mut wire = proxy.login("app");
    let problem = wire.fails("SELECT 1");
    assert!(
        ["53300", "08006", "57P03"].contains(&problem.code.as_str()),
        "{problem:?}"
    );
    holder.works("COMMIT");
    assert_eq!(wire.value("SELECT 'alive'"), "alive");
}

#[test]
fn a_client_that_vanishes_gives_its_server_connection_back() {
    for mode in ["transaction", "session"] {
        let proxy = proxy(mode, 1);
        for leaving in [
            "BEGIN",
            "SELECT 1 / 0",
            "BEGIN; INSERT INTO orders VALUES (888, '', 0)",
        ] {
            drop(proxy.login("app").query(leaving));
            assert_eq!(
                proxy
                    .login("app")
                    .value("SELECT count(*) FROM orders WHERE id = 888"),
                "0",
                "{mode}"
            );
        }
        let mut wire = proxy.login("app");
        wire.send(&query("SELECT pg_sleep(600)"));
        drop(wire);
        assert_eq!(
            proxy.login("app").value("SELECT 'alive'"),
            "alive",
            "{mode}"
        );
    }
}

#[test]
fn named_statements_follow_their_client() {
    let proxy = proxy("transaction", 2);
    let mut one = proxy.login("app");
    let mut two = proxy.login("app");
    for (wire, sql) in [(&mut one, "SELECT 'one'"), (&mut two, "SELECT 'two'")] {
        wire.send(&[parse("s", sql), describe_statement("s"), sync()].concat());
        assert_eq!(shape(&wire.until_ready()), "1 t T ZI");
    }
    // Another session holds a server connection, now this one, now that one.
    for _ in 0..10 {
        let mut holder = proxy.login("app");
        holder.works("BEGIN");
        for (wire, value) in [(&mut one, "one"), (&mut two, "two")] {
            wire.send(&[bind("", "s", &[]), execute(""), sync()].concat());
            let messages = wire.until_ready();
            assert_eq!(shape(&messages), "2 D C ZI");
            assert_eq!(messages[1].first_value(), value);
        }
    }
    // A name in use is the client's mistake, and only its own.
    one.send(&[parse("s", "SELECT 'three'"), sync()].concat());
    assert_eq!(only_problem(&one.until_ready()).code, "42P05");
    one.send(
        &[
            close_statement("s"),
            parse("s", "SELECT 'three'"),
            bind("", "s", &[]),
            execute(""),
            sync(),
        ]
        .concat(),
    );
    assert_eq!(shape(&one.until_ready()), "3 1 2 D C ZI");
}

#[test]
fn a_statement_is_known_only_after_it_was_parsed() {
    let proxy = proxy("transaction", 1);
    let mut wire = proxy.login("app");
    wire.send(
        &[
            parse("good", "SELECT 1"),
            parse("bad", "SELECT FROM WHERE"),
            parse("never", "SELECT 2"),
            sync(),
        ]
        .concat(),
    );
    assert_eq!(only_problem(&wire.until_ready()).code, "42601");
    for (name, code) in [("bad", "26000"), ("never", "26000")] {
        wire.send(&[bind("", name, &[]), execute(""), sync()].concat());
        assert_eq!(only_problem(&wire.until_ready()).code, code, "{name}");
    }
    wire.send(&[bind("", "good", &[]), execute(""), sync()].concat());
    assert_eq!(shape(&wire.until_ready()), "2 D C ZI");
}

#[test]
fn deallocate_and_discard_are_of_this_client_only() {
    let proxy = proxy("transaction", 1);
    let (mut one, mut two) = (proxy.login("app"), proxy.login("app"));
    for wire in [&mut one, &mut two] {
        wire.send(&[parse("s", "SELECT 1"), sync()].concat());
        assert_eq!(shape(&wire.until_ready()), "1 ZI");
    }
    let uses = |wire: &mut Wire| {
        wire.send(&[bind("", "s", &[]), execute(""), sync()].concat());
        shape(&wire.until_ready())
    };
    for forget in ["DEALLOCATE s", "DEALLOCATE ALL", "DISCARD ALL"] {
        one.works(forget);
        assert_eq!(uses(&mut one), "E ZI", "{forget}");
        assert_eq!(uses(&mut two), "2 D C ZI", "{forget}");
        one.send(&[parse("s", "SELECT 1"), sync()].concat());
        assert_eq!(shape(&one.until_ready()), "1 ZI", "{forget}");
    }
}

#[test]
fn session_state_never_leaks_to_another_client() {
    let proxy = proxy("transaction", 1);
    for (change, question, clean) in [
        ("SET work_mem = '1MB'", "SHOW work_mem", "4MB"),
        (
            "SELECT set_config('work_mem', '1MB', false)",
            "SHOW work_mem",
            "4MB",
        ),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "SHOW transaction_read_only",
            "off",
        ),
        (
            "CREATE TEMP TABLE leaked (n int)",
            "SELECT count(*) FROM pg_class WHERE relname = 'leaked'",
            "0",
        ),
        (
            "LISTEN leaked",
            "SELECT count(*) FROM pg_listening_channels()",
            "0",
        ),
        (
            "SELECT pg_advisory_lock(4711)",
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
            "0",
        ),
        (
            "PREPARE leaked AS SELECT 1",
            "SELECT count(*) FROM pg_prepared_statements WHERE name = 'leaked'",
            "0",
        ),
        (
            "BEGIN; DECLARE leaked CURSOR WITH HOLD FOR SELECT 1; COMMIT",
            "SELECT count(*) FROM pg_cursors",
            "0",
        ),
    ] {
        let mut one = proxy.login("app");
        // Pinned or refused, as the policy says; both keep it from the next client.
        drop(one.query(change));
        drop(one);
        assert_eq!(proxy.login("app").value(question), clean, "{change}");
    }
}

#[test]
fn a_session_keeps_what_it_set_by_being_pinned() {
    let policy = PolicyText::of(Cluster::shared())
        .size(2)
        .pool_key("session_state = \"pin\"");
    let proxy = Proxy::start(&policy);
    let (mut one, mut two) = (proxy.login("app"), proxy.login("app"));
    one.works("SET work_mem = '1MB'");
    let pid = one.value(PID);
    for _ in 0..5 {
        assert_ne!(two.value(PID), pid);
        assert_eq!(two.value("SHOW work_mem"), "4MB");
        assert_eq!(one.value("SHOW work_mem"), "1MB");
    }
}

#[test]
fn a_session_that_may_not_keep_state_is_told() {
    let policy = PolicyText::of(Cluster::shared()).pool_key("session_state = \"refuse\"");
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    let problem = wire.fails("SET work_mem = '1MB'");
    assert_eq!(problem.code, "0A000", "{problem:?}");
    wire.works("BEGIN; SET LOCAL work_mem = '1MB'; COMMIT");
    assert_eq!(wire.value("SHOW work_mem"), "4MB");
}

#[test]
fn unread_results_and_unsent_statements_do_not_deadlock() {
    const STATEMENTS: usize = 400;
    let proxy = proxy("transaction", 1);
    let mut wire = proxy.login("app");
    let sql = format!(
        "SELECT repeat('x', 20000), length('{}')",
        "y".repeat(20_000)
    );
    // Both directions exceed every buffer between the two ends.
    let all = query(&sql).repeat(STATEMENTS);
    std::thread::scope(|scope| {
        let mut writer = wire.writer();
        scope.spawn(move || writer.write_all(&all).expect("everything is taken"));
        for _ in 0..STATEMENTS {
            assert_eq!(wire.count_until_ready().1, "T D C ZI");
        }
    });
}

#[test]
fn five_unawaited_queries_all_answer() {
    let proxy = proxy("transaction", 1);
    let mut wire = proxy.login("app");
    wire.send(
        &(1..=5)
            .flat_map(|number| query(&format!("SELECT {number}")))
            .collect::<Vec<u8>>(),
    );
    for number in 1..=5 {
        assert_eq!(wire.until_ready()[1].first_value(), number.to_string());
    }
}

/// The node must not be held for ever by somebody who does not read.
#[test]
fn a_client_that_stops_reading_leaves_others_their_server_connections() {
    let proxy = proxy("transaction", 2);
    let mut lazy = proxy.login("app");
    lazy.send(&query(
        "SELECT repeat('x', 100000) FROM generate_series(1, 5000)",
    ));
    let mut other = proxy.login("app");
    for _ in 0..50 {
        other.works("SELECT 1");
    }
    assert!(lazy.count_until_ready().0 > 500_000_000);
}

/// What a DO block sets cannot be seen in its text, but the node says what it changed.
#[test]
fn a_setting_changed_behind_the_text_does_not_leak() {
    let proxy = proxy("transaction", 1);
    let mut one = proxy.login("app");
    one.works("DO $$ BEGIN PERFORM set_config('TimeZone', 'Asia/Tokyo', false); END $$");
    assert_eq!(one.value("SHOW TimeZone"), "Asia/Tokyo");
    one.works("DISCARD ALL");
    let mut other = proxy.login("app");
    assert_ne!(other.value("SHOW TimeZone"), "Asia/Tokyo");
    one.works("BEGIN; SET LOCAL TimeZone = 'Asia/Tokyo'; COMMIT");
    assert_ne!(other.value("SHOW TimeZone"), "Asia/Tokyo");
}

/// PREPARE and EXECUTE work where stages look at statements, in one message and in two.
#[test]
fn sql_level_prepared_statements_work_under_stages() {
    let policy = PolicyText::of(Cluster::shared()).stage(
        "pre_query",
        "no-deletes",
        "when = { kind = \"delete\" }\ndeny = { code = \"42501\", message = \"no deletes\" }",
    );
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    wire.works("PREPARE one AS SELECT 1");
    assert_eq!(wire.value("EXECUTE one"), "1");
    wire.works("PREPARE two AS SELECT 2; EXECUTE two");
    assert_eq!(wire.value("EXECUTE two"), "2");
    assert_eq!(wire.fails("PREPARE one AS SELECT 3").code, "42P05");
    assert_eq!(wire.value("EXECUTE one"), "1");
    wire.works("DEALLOCATE one; PREPARE one AS SELECT 4; EXECUTE one");
    assert_eq!(wire.value("EXECUTE one"), "4");
    wire.works("DEALLOCATE ALL");
    assert_eq!(wire.fails("EXECUTE one").code, "26000");
}
