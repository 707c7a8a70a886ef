//! Nodes that are away, restart or end a connection: waiting as configured, then an error that names the pool and no
//! address, and sessions that go on.

use crate::support::cluster::Cluster;
use crate::support::frames::query;
use crate::support::message::Problem;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use std::time::Duration;
use std::time::Instant;

#[track_caller]
fn assert_away(problem: &Problem, port: u16) {
    assert!(problem.code.starts_with("08"), "{problem:?}");
    let said = format!("{problem:?}");
    assert!(said.contains("main"), "the pool is named: {said}");
    assert!(
        !said.contains("127.0.0.1") && !said.contains(&port.to_string()),
        "no address: {said}"
    );
}

#[test]
fn a_node_that_is_away_is_waited_for_and_then_an_error() {
    let mut cluster = Cluster::new(0);
    let proxy = Proxy::start(&PolicyText::of(&cluster).pool_key("wait = \"1s\""));
    let mut wire = proxy.login("app");
    wire.works("SELECT 1");
    cluster.primary.stop();
    // The first may find out that its connection is gone; from then on there is none.
    drop(wire.query("SELECT 1"));
    let start = Instant::now();
    assert_away(&wire.fails("SELECT 1"), cluster.primary.port);
    let took = start.elapsed();
    assert!(
        (Duration::from_millis(500)..Duration::from_secs(10)).contains(&took),
        "{took:?}"
    );
    assert_away(
        &only_problem(&wire.extended("SELECT 1")),
        cluster.primary.port,
    );
    cluster.primary.start_again();
    assert_eq!(wire.value("SELECT 'back'"), "back");
}

#[test]
fn a_node_that_comes_back_in_time_means_a_wait_and_no_error() {
    let mut cluster = Cluster::new(0);
    let proxy = Proxy::start(&PolicyText::of(&cluster).pool_key("wait = \"30s\""));
    let mut wire = proxy.login("app");
    wire.works("SELECT 1");
    cluster.primary.stop();
    // Whatever had no answer before the node went may fail; this one begins while it is away.
    drop(wire.query("SELECT 'lost'"));
    wire.send(&query("SELECT 'waited'"));
    cluster.primary.start_again();
    assert_eq!(shape(&wire.until_ready()), "T D C ZI");
}

#[test]
fn a_connection_that_the_node_ends_is_an_error_of_that_statement_only() {
    for mode in ["transaction", "session"] {
        let proxy = Proxy::start(&PolicyText::of(Cluster::shared()).mode(mode).size(1));
        let mut wire = proxy.login("app");
        wire.works("BEGIN");
        let pid = wire.value("SELECT pg_backend_pid()");
        Cluster::shared()
            .primary
            .value(&format!("SELECT pg_terminate_backend({pid})::text"));
        let messages = {
            wire.send(&query("SELECT 1"));
            wire.until_ready()
        };
        let problem = only_problem(&messages);
        assert!(
            problem.code == "57P01" || problem.code.starts_with("08"),
            "{mode}: {problem:?}"
        );
        // The place in the pool is free again, for this session or, where that one ended, for the next.
        assert_eq!(
            proxy.login("app").value("SELECT 'alive'"),
            "alive",
            "{mode}"
        );
    }
}

#[test]
fn a_database_that_does_not_exist_is_the_nodes_own_error() {
    let proxy = Proxy::start(&PolicyText::of(Cluster::shared()));
    let mut wire = crate::support::wire::Wire::connect(proxy.port);
    let parameters = [("user", "app"), ("database", "no_such_database")];
    wire.send(&crate::support::frames::startup(
        crate::support::frames::VERSION_3_0,
        &parameters,
    ));
    let messages = wire.until_ready();
    // At login where the proxy asks the node first, with the first statement where it does not.
    let messages = if messages.iter().any(|message| message.tag == 'E') {
        messages
    } else {
        wire.query("SELECT 1")
    };
    assert_eq!(only_problem(&messages).code, "3D000");
}
