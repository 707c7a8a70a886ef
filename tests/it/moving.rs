//! `[reload] sessions`: when sessions that are open move to a policy that has come into force.

use crate::support::cluster::Cluster;
use crate::support::frames::bind;
use crate::support::frames::execute;
use crate::support::frames::flush;
use crate::support::frames::parse;
use crate::support::frames::query;
use crate::support::frames::sync;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::Reload;
use crate::support::wire::Wire;

const ASKS: &str = "SELECT id FROM by_rule";

/// A policy whose rule says `message`, and when sessions move to it.
fn policy(base: &PolicyText, message: &str, sessions: &str) -> String {
    let rule = format!("when = {{ tables = [\"by_rule\"] }}\ndeny = \"{message}\"");
    let policy = base.clone().stage("pre_query", "rule", &rule);
    let policy = match sessions {
        "" => policy,
        word => policy.extra(&format!("[reload]\nsessions = \"{word}\"")),
    };
    policy.text()
}

fn start(base: &PolicyText) -> (Proxy, Wire) {
    let proxy = Proxy::start(base);
    let wire = proxy.login("app");
    assert_eq!(proxy.reload(&policy(base, "old", "")), Reload::Swapped);
    (proxy, wire)
}

/// What the rule says within the open transaction; the error aborts it up to the savepoint.
fn says_within(wire: &mut Wire) -> String {
    wire.works("SAVEPOINT here");
    let message = wire.fails(ASKS).message;
    wire.works("ROLLBACK TO here");
    message
}

#[test]
fn by_default_and_with_next_statement_a_session_moves_within_its_transaction() {
    let base = PolicyText::of(Cluster::shared());
    for word in ["", "next_statement"] {
        let (proxy, mut wire) = start(&base);
        wire.works("BEGIN");
        assert_eq!(says_within(&mut wire), "old");
        assert_eq!(proxy.reload(&policy(&base, "new", word)), Reload::Swapped);
        assert_eq!(says_within(&mut wire), "new");
        wire.works("COMMIT");
    }
}

#[test]
fn with_next_transaction_a_session_ends_its_transaction_under_the_policy_it_began_it_with() {
    let base = PolicyText::of(Cluster::shared());
    let (proxy, mut wire) = start(&base);
    let mut idle = proxy.login("app");
    wire.works("BEGIN");
    assert_eq!(says_within(&mut wire), "old");
    let next = policy(&base, "new", "next_transaction");
    assert_eq!(proxy.reload(&next), Reload::Swapped);
    assert_eq!(says_within(&mut wire), "old");
    assert_eq!(idle.fails(ASKS).message, "new");
    wire.works("SAVEPOINT here");
    assert_eq!(only_problem(&wire.extended(ASKS)).message, "old");
    wire.works("ROLLBACK TO here");
    wire.works("COMMIT");
    assert_eq!(wire.fails(ASKS).message, "new");
    assert_eq!(only_problem(&wire.extended(ASKS)).message, "new");
    // A transaction that failed is still one.
    wire.works("BEGIN");
    assert_eq!(wire.fails(ASKS).message, "new");
    let next = policy(&base, "newest", "next_transaction");
    assert_eq!(proxy.reload(&next), Reload::Swapped);
    assert_eq!(wire.fails("SELECT 1").code, "25P02");
    wire.works("ROLLBACK");
    assert_eq!(wire.fails(ASKS).message, "newest");
}

/// Whether a transaction is open is not known before the node has answered; it is waited for.
#[test]
fn with_next_transaction_pipelined_statements_are_told_apart_too() {
    let base = PolicyText::of(Cluster::shared());
    let proxy = Proxy::start(&base);
    let mut wire = proxy.login("app");
    wire.works("SELECT 1");
    let next = policy(&base, "new", "next_transaction");
    // No stage reads what this session sends: the whole transaction is on its way before anything of it is answered.
    wire.send(&[query("BEGIN"), query(ASKS)].concat());
    wire.until_ready();
    wire.until_ready();
    assert_eq!(proxy.reload(&next), Reload::Swapped);
    let rest = [
        query("SELECT pg_sleep(0.05)"),
        query(ASKS),
        query("COMMIT"),
        query(ASKS),
    ];
    wire.send(&rest.concat());
    wire.until_ready();
    assert_eq!(
        wire.until_ready()
            .iter()
            .find(|one| one.tag == 'D')
            .map(|one| one.first_value())
            .as_deref(),
        Some("1")
    );
    wire.until_ready();
    assert_eq!(only_problem(&wire.until_ready()).message, "new");
}

#[test]
fn with_next_session_a_session_stays_to_its_end() {
    let base = PolicyText::of(Cluster::shared());
    let (proxy, mut wire) = start(&base);
    assert_eq!(wire.fails(ASKS).message, "old");
    let next = policy(&base, "new", "next_session");
    assert_eq!(proxy.reload(&next), Reload::Swapped);
    assert_eq!(wire.fails(ASKS).message, "old");
    wire.works("BEGIN; COMMIT");
    assert_eq!(only_problem(&wire.extended(ASKS)).message, "old");
    assert_eq!(proxy.login("app").fails(ASKS).message, "new");
    // A policy that wants them back gets them.
    let urgent = policy(&base, "urgent", "next_statement");
    assert_eq!(proxy.reload(&urgent), Reload::Swapped);
    assert_eq!(wire.fails(ASKS).message, "urgent");
}

/// A batch is a transaction. Without a word on it, a client that ends no batch would not keep the old policy.
#[test]
fn a_batch_is_divided_unless_transactions_are_to_be_whole() {
    for (word, second) in [("", "new"), ("next_transaction", "old")] {
        let base = PolicyText::of(Cluster::shared());
        let (proxy, mut wire) = start(&base);
        let ask = [parse("a", "SELECT 1"), bind("", "a", &[]), execute("")].concat();
        wire.send(&[ask, flush()].concat());
        wire.until(|message| message.tag == 'C');
        assert_eq!(proxy.reload(&policy(&base, "new", word)), Reload::Swapped);
        wire.send(&[parse("b", ASKS), sync()].concat());
        assert_eq!(only_problem(&wire.until_ready()).message, second);
        wire.send(&[parse("b", ASKS), sync()].concat());
        assert_eq!(only_problem(&wire.until_ready()).message, "new");
    }
}

/// What a batch is owed before its end does not come before it, and is not waited for.
#[test]
fn a_move_within_a_batch_waits_for_nothing() {
    let base = PolicyText::of(Cluster::shared());
    let (proxy, mut wire) = start(&base);
    let sleeps = parse("a", "SELECT pg_sleep(0.2)");
    let first = [sleeps, bind("", "a", &[]), execute(""), sync()].concat();
    let second = [parse("c", "SELECT 2"), bind("", "c", &[]), execute("")].concat();
    wire.send(&[first, second].concat());
    assert_eq!(proxy.reload(&policy(&base, "new", "")), Reload::Swapped);
    wire.send(
        &[
            parse("b", "SELECT 3"),
            bind("", "b", &[]),
            execute(""),
            sync(),
        ]
        .concat(),
    );
    assert_eq!(shape(&wire.until_ready()), "1 2 D C ZI");
    assert_eq!(shape(&wire.until_ready()), "1 2 D C 1 2 D C ZI");
    wire.send(&[parse("d", ASKS), sync()].concat());
    assert_eq!(only_problem(&wire.until_ready()).message, "new");
}

#[test]
fn the_console_shows_when_a_change_takes_effect_as_sessions_move() {
    let base = PolicyText::of(Cluster::shared());
    let (proxy, _wire) = start(&base);
    for (word, statement) in [
        ("", "next statement"),
        ("next_transaction", "next transaction"),
        ("next_session", "next session"),
    ] {
        assert_eq!(proxy.reload(&policy(&base, "no", word)), Reload::Swapped);
        let rows = proxy.admin().table("SHOW CONFIG");
        let row = |table: &str, key: &str| {
            let found = rows
                .iter()
                .find(|row| row["table"] == table && row["key"] == key);
            found.expect("a row").clone()
        };
        let wanted = if word.is_empty() {
            "next_statement"
        } else {
            word
        };
        assert_eq!(row("reload", "sessions")["value"], wanted);
        assert_eq!(row("sql", "max_bytes")["takes_effect"], statement);
    }
}
