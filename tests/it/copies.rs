//! What is neither a simple nor an extended query: COPY, FunctionCall, notices, notifications.

use crate::support::cluster::Cluster;
use crate::support::frames::bind;
use crate::support::frames::copy_data;
use crate::support::frames::copy_done;
use crate::support::frames::copy_fail;
use crate::support::frames::execute;
use crate::support::frames::function_call;
use crate::support::frames::message;
use crate::support::frames::parse;
use crate::support::frames::query;
use crate::support::frames::sync;
use crate::support::frames::terminate;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wire::Wire;

const MODES: [&str; 2] = ["transaction", "session"];

fn proxy(mode: &'static str) -> Proxy {
    Proxy::start(&PolicyText::of(Cluster::shared()).mode(mode))
}

const TABLE: &str = "BEGIN; CREATE TEMP TABLE copied (n int, note text) ON COMMIT DROP";

#[test]
fn copy_in_and_out() {
    for mode in MODES {
        let proxy = proxy(mode);
        let mut wire = proxy.login("app");
        wire.works(TABLE);
        wire.send(&query("COPY copied FROM STDIN"));
        assert_eq!(wire.message().tag, 'G');
        wire.send(&[copy_data(b"1\tone\n2\t"), copy_data(b"two\n"), copy_done()].concat());
        assert_eq!(shape(&wire.until_ready()), "C ZT");
        let messages = wire.query("COPY copied TO STDOUT");
        assert_eq!(shape(&messages), "H d d c C ZT");
        assert_eq!(messages[2].body, b"2\ttwo\n");
        wire.works("COMMIT");
    }
}

#[test]
fn copy_that_the_client_or_the_node_ends() {
    for mode in MODES {
        let proxy = proxy(mode);
        let mut wire = proxy.login("app");
        wire.send(&query("COPY orders FROM STDIN"));
        assert_eq!(wire.message().tag, 'G');
        wire.send(&[copy_data(b"1000\tx\t1\n"), copy_fail("changed my mind")].concat());
        let answer = wire.until_ready();
        assert_eq!(only_problem(&answer).code, "57014");
        wire.send(&query("COPY orders FROM STDIN"));
        assert_eq!(wire.message().tag, 'G');
        // The node finds the mistake; what the client still sends is thrown away up to the end.
        wire.send(
            &[
                copy_data(b"not a number\tx\t1\n"),
                copy_data(&[b'z'; 100_000]),
                copy_done(),
            ]
            .concat(),
        );
        assert_eq!(only_problem(&wire.until_ready()).code, "22P02");
        assert_eq!(
            wire.value("SELECT count(*) FROM orders WHERE id = 1000"),
            "0"
        );
    }
}

#[test]
fn copy_in_the_extended_protocol_and_in_a_query_of_several_statements() {
    for mode in MODES {
        let proxy = proxy(mode);
        let mut wire = proxy.login("app");
        wire.works(TABLE);
        wire.send(
            &[
                parse("", "COPY copied FROM STDIN"),
                bind("", "", &[]),
                execute(""),
            ]
            .concat(),
        );
        wire.send(&message(b'H', &[]));
        assert_eq!(shape(&wire.until(|message| message.tag == 'G')), "1 2 G");
        wire.send(&[copy_data(b"7\tseven\n"), copy_done(), sync()].concat());
        assert_eq!(shape(&wire.until_ready()), "C ZT");
        wire.send(&query("SELECT 1; COPY copied TO STDOUT; SELECT 2"));
        assert_eq!(shape(&wire.until_ready()), "T D C H d c C T D C ZT");
        wire.works("COMMIT");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_copy_leaves_nothing() {
    for mode in MODES {
        let proxy = Proxy::start(&PolicyText::of(Cluster::shared()).mode(mode).size(1));
        let mut wire = proxy.login("app");
        wire.send(&query("COPY orders FROM STDIN"));
        assert_eq!(wire.message().tag, 'G');
        wire.send(&copy_data(b"1001\tx\t1\n"));
        drop(wire);
        assert_eq!(
            proxy
                .login("app")
                .value("SELECT count(*) FROM orders WHERE id = 1001"),
            "0",
            "{mode}"
        );
    }
}

fn oid(function: &str) -> u32 {
    let sql = format!("SELECT '{function}'::regprocedure::oid");
    Cluster::shared()
        .primary
        .value(&sql)
        .parse()
        .expect("an oid")
}

#[test]
fn a_function_call_is_answered() {
    for mode in MODES {
        let proxy = proxy(mode);
        let mut wire = proxy.login("app");
        wire.send(&function_call(oid("abs(integer)"), &["-7"]));
        let messages = wire.until_ready();
        assert_eq!(shape(&messages), "V ZI", "{mode}");
        assert_eq!(&messages[0].body[4..], b"7");
    }
}

#[test]
fn a_function_call_is_decided_like_any_statement() {
    let policy = PolicyText::of(Cluster::shared()).stage(
        "authorize",
        "no-calls",
        "when = { kind = \"call\" }\ndeny = { code = \"42501\", message = \"no calls\" }",
    );
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    wire.send(&function_call(oid("abs(integer)"), &["-7"]));
    let messages = wire.until_ready();
    assert_eq!(shape(&messages), "E ZI");
    assert_eq!(only_problem(&messages).code, "42501");
    wire.works("BEGIN");
    wire.send(&function_call(oid("abs(integer)"), &["-7"]));
    assert_eq!(shape(&wire.until_ready()), "E ZE");
    wire.works("ROLLBACK");
}

#[test]
fn notices_and_warnings_pass() {
    for mode in MODES {
        let proxy = proxy(mode);
        let mut wire = proxy.login("app");
        let messages = wire.query("DO $$ BEGIN RAISE NOTICE 'heard'; END $$");
        assert_eq!(shape(&messages), "N C ZI", "{mode}");
        assert_eq!(messages[0].problem().message, "heard");
        assert_eq!(shape(&wire.query("COMMIT")), "N C ZI", "{mode}");
    }
}

#[test]
fn notifications_pass_while_the_session_is_idle() {
    let proxy = proxy("session");
    let mut listener = proxy.login("app");
    listener.works("LISTEN news");
    proxy.login("app").works("NOTIFY news, 'hello'");
    let message = listener.message();
    assert_eq!(message.tag, 'A');
    assert_eq!(&message.body[4..], b"news\0hello\0");
    // The process id is the one the session was told (pitfall T3).
    assert_eq!(
        listener.value("SELECT pg_backend_pid()"),
        own_pid(&listener)
    );
}

fn own_pid(wire: &Wire) -> String {
    let bytes = wire.key.first_chunk::<4>().expect("BackendKeyData");
    i32::from_be_bytes(*bytes).to_string()
}

#[test]
fn terminate_ends_the_session_and_is_not_an_error() {
    let proxy = proxy("transaction");
    let mut wire = proxy.login("app");
    wire.works("SELECT 1");
    wire.send(&terminate());
    assert_eq!(wire.until_closed(), []);
    assert!(!proxy.log().contains("\"ERROR\""), "{}", proxy.log());
}
