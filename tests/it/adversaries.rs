//! Conversations that were found by attacking the proxy: each once evaded a rule, harmed another client or hung.

use crate::support::cluster::Cluster;
use crate::support::frames::bind;
use crate::support::frames::copy_data;
use crate::support::frames::copy_done;
use crate::support::frames::execute;
use crate::support::frames::flush;
use crate::support::frames::parse;
use crate::support::frames::query;
use crate::support::frames::startup;
use crate::support::frames::sync;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wire::Wire;

const VERSION_3_0: i32 = 196_608;

fn plain(mode: &'static str, size: usize) -> Proxy {
    Proxy::start(&PolicyText::of(Cluster::shared()).mode(mode).size(size))
}

fn no_deletes() -> PolicyText {
    PolicyText::of(Cluster::shared()).stage(
        "pre_query",
        "no-deletes",
        "when = { kind = \"delete\" }\ndeny = { code = \"42501\", message = \"no deletes\" }",
    )
}

fn frames(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

/// A server connection is nobody else's while half a message of one client has been passed on to it.
#[test]
fn half_a_message_keeps_its_server_connection() {
    let proxy = plain("transaction", 2);
    let mut one = proxy.login("app");
    one.works("CREATE TEMP TABLE half (a int)");
    one.send(&query("COPY half FROM STDIN"));
    assert_eq!(one.message().tag, 'G');
    one.send(&copy_data(b"nonsense\n"));
    one.send(b"d\0\0\0\x40half");
    assert_eq!(only_problem(&one.until_ready()).code, "22P02");
    let mut two = proxy.login("app");
    assert_eq!(
        two.value("SELECT 'a text long enough to be swallowed by a message of somebody else'")
            .len(),
        64
    );
    drop(one);
    assert_eq!(two.value("SELECT 2"), "2");
}

#[test]
fn a_text_in_an_encoding_that_hides_ascii_is_not_believed() {
    let proxy = Proxy::start(&no_deletes());
    let mut wire = Wire::connect(proxy.port);
    wire.send(&startup(
        VERSION_3_0,
        &[
            ("user", "app"),
            ("database", "app"),
            ("client_encoding", "SJIS"),
        ],
    ));
    drop(wire.until_ready());
    let problem = wire.fails("SELECT E'\u{c9}\\'; DELETE FROM orders --'");
    assert_eq!(problem.code, "0A000");
    assert_eq!(wire.value("SELECT 1"), "1");
}

/// What a refused message would have prepared is not what EXECUTE runs.
#[test]
fn a_refused_message_prepares_nothing() {
    let proxy = Proxy::start(&PolicyText::of(Cluster::shared()).stage(
        "pre_query",
        "none-yet",
        "when = { kind = \"merge\" }\ndeny = \"no\"",
    ));
    let mut wire = proxy.login("app");
    wire.works("PREPARE q AS DELETE FROM orders WHERE id < 0");
    proxy.reload(&no_deletes().text());
    assert_eq!(wire.fails("EXECUTE q").message, "no deletes");
    let trick = "DEALLOCATE q; PREPARE q AS SELECT 1; DELETE FROM orders WHERE id < 0";
    assert_eq!(wire.fails(trick).message, "no deletes");
    assert_eq!(wire.fails("EXECUTE q").message, "no deletes");
    wire.send(&frames(&[
        parse("d1", "DEALLOCATE q"),
        parse("d2", "PREPARE q AS SELECT 1"),
        parse("", "EXECUTE q"),
        bind("", "", &[]),
        execute(""),
        sync(),
    ]));
    assert_eq!(only_problem(&wire.until_ready()).message, "no deletes");
}

#[test]
fn a_batch_without_sync_meets_the_new_policy() {
    let proxy = Proxy::start(&PolicyText::of(Cluster::shared()).stage(
        "pre_query",
        "none-yet",
        "when = { kind = \"merge\" }\ndeny = \"no\"",
    ));
    let mut wire = proxy.login("app");
    wire.send(&frames(&[
        parse("", "SELECT 1"),
        bind("", "", &[]),
        execute(""),
        flush(),
    ]));
    drop(wire.until(|message| message.tag == 'C'));
    proxy.reload(&no_deletes().text());
    wire.send(&frames(&[
        parse("", "DELETE FROM orders WHERE id < 0"),
        bind("", "", &[]),
        execute(""),
        sync(),
    ]));
    assert_eq!(only_problem(&wire.until_ready()).message, "no deletes");
}

/// PostgreSQL skips a Query behind a failed Parse; the next answer is to the next message.
#[test]
fn a_query_behind_a_failed_parse_is_skipped() {
    for policy in [PolicyText::of(Cluster::shared()), no_deletes()] {
        let proxy = Proxy::start(&policy);
        let mut wire = proxy.login("app");
        wire.send(&frames(&[
            parse("", "SELECT nonsense"),
            query("SELECT 1"),
            sync(),
        ]));
        assert_eq!(shape(&wire.until_ready()), "E ZI");
        assert_eq!(wire.value("SELECT 2"), "2");
    }
}

#[test]
fn a_failed_copy_of_the_extended_protocol_ends_with_its_sync() {
    let proxy = plain("transaction", 1);
    let mut wire = proxy.login("app");
    wire.works("CREATE TEMP TABLE failing (a int)");
    wire.send(&frames(&[
        parse("", "COPY failing FROM STDIN"),
        bind("", "", &[]),
        execute(""),
        flush(),
    ]));
    drop(wire.until(|message| message.tag == 'G'));
    wire.send(&copy_data(b"nonsense\n"));
    drop(wire.until(|message| message.tag == 'E'));
    wire.send(&frames(&[copy_done(), sync()]));
    assert_eq!(shape(&wire.until_ready()), "ZI");
    assert_eq!(wire.value("SELECT 2"), "2");
}

/// One text means something else under other settings; it is not one prepared statement.
#[test]
fn prepared_statements_are_shared_only_under_the_same_settings() {
    let proxy = plain("transaction", 1);
    let ask = |zone: &str| {
        let mut wire = Wire::connect(proxy.port);
        let parameters = [("user", "app"), ("database", "app"), ("TimeZone", zone)];
        wire.send(&startup(VERSION_3_0, &parameters));
        drop(wire.until_ready());
        let text = "SELECT extract(epoch FROM timestamptz '2020-01-01')::int";
        wire.send(&frames(&[
            parse("s", text),
            bind("", "s", &[]),
            execute(""),
            sync(),
        ]));
        let messages = wire.until_ready();
        messages
            .iter()
            .find(|message| message.tag == 'D')
            .expect("a row")
            .first_value()
    };
    assert_eq!(ask("UTC"), "1577836800");
    assert_eq!(ask("Asia/Tokyo"), "1577804400");
}

#[test]
fn deallocate_all_and_a_parse_in_one_batch_poison_nobody() {
    let proxy = plain("transaction", 1);
    let mut one = proxy.login("app");
    one.send(&frames(&[parse("s", "SELECT 41"), sync()]));
    drop(one.until_ready());
    one.send(&frames(&[
        parse("", "DEALLOCATE ALL"),
        bind("", "", &[]),
        execute(""),
        parse("t", "SELECT 41"),
        sync(),
    ]));
    assert_eq!(shape(&one.until_ready()), "1 2 C 1 ZI");
    for wire in [&mut one, &mut proxy.login("app")] {
        wire.send(&frames(&[
            parse("u", "SELECT 41"),
            bind("", "u", &[]),
            execute(""),
            sync(),
        ]));
        assert_eq!(shape(&wire.until_ready()), "1 2 D C ZI");
    }
}

/// The arguments of EXECUTE are part of the statement.
#[test]
fn functions_in_the_arguments_of_execute_are_seen() {
    let proxy = Proxy::start(&PolicyText::of(Cluster::shared()).stage(
        "authorize",
        "no-files",
        "when = { functions = [\"pg_read_file\", \"nextval\"] }\ndeny = { code = \"42501\", message = \"no such functions\" }",
    ));
    let mut wire = proxy.login("app");
    wire.works("PREPARE q(text) AS SELECT $1");
    assert_eq!(wire.value("EXECUTE q('a')"), "a");
    assert_eq!(
        wire.fails("EXECUTE q(pg_read_file('/etc/hostname'))")
            .message,
        "no such functions"
    );
}
