//! SIGTERM drains with a limit; a second one stops at once.

use crate::support::cluster::Cluster;
use crate::support::frames::query;
use crate::support::message::shape;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::signal;
use crate::support::wait_for;
use crate::support::wire::Wire;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

fn start(arguments: &[&str]) -> Proxy {
    Proxy::start_with(&PolicyText::of(Cluster::shared()), &[], arguments)
}

fn wait_until_closed(proxy: &Proxy) {
    let address = ("127.0.0.1", proxy.port);
    wait_for("the listener closes", || {
        TcpStream::connect(address).is_err().then_some(())
    });
}

#[test]
fn a_statement_that_runs_is_finished_and_nobody_comes_in() {
    let mut proxy = start(&["--drain-timeout", "20s"]);
    let mut busy = proxy.login("app");
    let mut idle = proxy.login("app");
    idle.works("SELECT 1");
    busy.send(&query("SELECT pg_sleep(1), 'finished'"));
    proxy.terminate();
    wait_until_closed(&proxy);
    assert!(proxy.runs());
    assert_eq!(shape(&busy.until_ready()), "T D C ZI");
    for mut wire in [busy, idle] {
        let last = wire.until_closed();
        assert_eq!(last.len(), 1, "exactly one final message: {last:?}");
        assert_eq!(last[0].problem().code, "57P01");
    }
    assert_eq!(proxy.ended().code(), Some(0));
}

#[test]
fn a_transaction_is_let_come_to_its_end() {
    let mut proxy = start(&["--drain-timeout", "20s"]);
    let mut wire = proxy.login("app");
    wire.works("BEGIN");
    proxy.terminate();
    wait_until_closed(&proxy);
    wire.works("SELECT 1");
    wire.works("COMMIT");
    assert_eq!(
        wire.until_closed()
            .last()
            .expect("a final error")
            .problem()
            .code,
        "57P01"
    );
    assert_eq!(proxy.ended().code(), Some(0));
}

#[test]
fn draining_has_a_limit() {
    let mut proxy = start(&["--drain-timeout", "500ms"]);
    let mut wire = proxy.login("app");
    wire.works("BEGIN");
    let start = Instant::now();
    proxy.terminate();
    proxy.ended();
    let took = start.elapsed();
    assert!(
        (Duration::from_millis(400)..Duration::from_secs(10)).contains(&took),
        "{took:?}"
    );
    assert_eq!(
        wire.until_closed()
            .last()
            .expect("a final error")
            .problem()
            .code,
        "57P01"
    );
}

#[test]
fn a_second_sigterm_stops_at_once() {
    let mut proxy = start(&["--drain-timeout", "600s"]);
    let mut wire = proxy.login("app");
    wire.send(&query("SELECT pg_sleep(600)"));
    proxy.terminate();
    wait_until_closed(&proxy);
    assert!(proxy.runs());
    let start = Instant::now();
    proxy.terminate();
    proxy.ended();
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    drop(wire.until_closed());
    let left = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'";
    wait_for("the node's session ends", || {
        (Cluster::shared().primary.value(left) == "0").then_some(())
    });
}

#[test]
fn a_pipelining_client_gets_one_final_error() {
    let mut proxy = start(&["--drain-timeout", "20s"]);
    let mut wire: Wire = proxy.login("app");
    wire.send(&query("SELECT pg_sleep(0.5)").repeat(3));
    proxy.terminate();
    let messages = wire.until_closed();
    let fatal = messages.iter().filter(|message| message.tag == 'E').count();
    assert_eq!(fatal, 1, "{messages:?}");
    assert_eq!(messages.last().expect("a final error").tag, 'E');
    assert_eq!(proxy.ended().code(), Some(0));
}

/// A reload that reads a pipe nobody writes to never ends by itself.
#[test]
fn a_reload_that_takes_for_ever_does_not_hold_up_the_stop() {
    let base = PolicyText::of(Cluster::shared());
    let mut proxy = Proxy::start_with(&base, &[], &["--drain-timeout", "600s"]);
    let mut make = std::process::Command::new("mkfifo");
    let made = make.arg(proxy.path("pipe.toml")).status();
    assert!(made.expect("mkfifo").success());
    let text = base.text();
    let text = text.replacen(
        "name = \"it\"\n",
        "name = \"it\"\ninclude = [\"pipe.toml\"]\n",
        1,
    );
    proxy.write_policy(&text);
    signal("HUP", proxy.pid());
    let mut wire = proxy.login("app");
    wire.send(&query("SELECT pg_sleep(600)"));
    let start = Instant::now();
    proxy.terminate();
    wait_until_closed(&proxy);
    assert!(proxy.runs());
    proxy.terminate();
    assert_eq!(proxy.ended().code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}
