//! The first bytes of a connection: encryption, versions, cancel requests, and what is not the protocol at all.

use crate::support::cluster::Cluster;
use crate::support::frames::VERSION_3_0;
use crate::support::frames::cancel_request;
use crate::support::frames::gssenc_request;
use crate::support::frames::message;
use crate::support::frames::query;
use crate::support::frames::ssl_request;
use crate::support::frames::startup;
use crate::support::frames::untagged;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wait_for;
use crate::support::wire::Wire;
use std::time::Duration;
use std::time::Instant;

const APP: [(&str, &str); 2] = [("user", "app"), ("database", "app")];

fn proxy(tls: &'static str) -> Proxy {
    Proxy::start(&PolicyText::of(Cluster::shared()).tls(tls))
}

#[track_caller]
fn logs_in(mut wire: Wire) {
    wire.log_in("app", "app");
    assert_eq!(wire.value("SELECT 'alive'"), "alive");
}

/// Sends bytes as the first of a connection; the connection must end with one FATAL of this code.
#[track_caller]
fn is_fatal(proxy: &Proxy, bytes: &[u8], code: &str) {
    let mut wire = Wire::connect(proxy.port);
    wire.send(bytes);
    let problem = only_problem(&wire.until_closed());
    assert_eq!(
        (problem.severity.as_str(), problem.code.as_str()),
        ("FATAL", code),
        "{problem:?}"
    );
}

#[test]
fn tls_is_offered_when_asked_for() {
    let proxy = proxy("allow");
    logs_in(Wire::connect_tls(proxy.port));
    logs_in(Wire::connect_direct_tls(proxy.port));
    logs_in(Wire::connect(proxy.port));
}

#[test]
fn a_listener_without_tls_says_so_and_goes_on_in_the_clear() {
    let proxy = proxy("disable");
    let mut wire = Wire::connect(proxy.port);
    wire.send(&ssl_request());
    assert_eq!(wire.byte(), 'N');
    logs_in(wire);
}

#[test]
fn a_listener_that_requires_tls_refuses_plain_text() {
    let proxy = proxy("require");
    logs_in(Wire::connect_tls(proxy.port));
    is_fatal(&proxy, &startup(VERSION_3_0, &APP), "28000");
}

#[test]
fn gss_encryption_is_declined_and_tls_may_follow() {
    let proxy = proxy("allow");
    let mut wire = Wire::connect(proxy.port);
    wire.send(&gssenc_request());
    assert_eq!(wire.byte(), 'N');
    wire.send(&ssl_request());
    assert_eq!(wire.byte(), 'S');
    let mut wire = Wire::connect(proxy.port);
    wire.send(&gssenc_request());
    assert_eq!(wire.byte(), 'N');
    logs_in(wire);
}

#[test]
fn bytes_that_come_before_the_handshake_are_refused() {
    let proxy = proxy("allow");
    let mut wire = Wire::connect(proxy.port);
    wire.send(&[ssl_request(), startup(VERSION_3_0, &APP)].concat());
    let said = wire.rest();
    // Not one byte of a session: no authentication, no parameters.
    assert!(!said.contains(&b'R') && !said.contains(&b'Z'), "{said:?}");
    logs_in(Wire::connect_tls(proxy.port));
}

#[test]
fn a_newer_minor_version_and_unknown_options_are_negotiated() {
    let proxy = proxy("disable");
    let mut wire = Wire::connect(proxy.port);
    let parameters = [
        ("user", "app"),
        ("database", "app"),
        ("_pq_.something_new", "1"),
    ];
    wire.send(&startup(3 << 16 | 9999, &parameters));
    let messages = wire.until_ready();
    let negotiated = messages
        .iter()
        .find(|message| message.tag == 'v')
        .expect("NegotiateProtocolVersion");
    assert!(
        String::from_utf8_lossy(&negotiated.body).contains("_pq_.something_new"),
        "{negotiated:?}"
    );
    assert!(shape(&messages).ends_with("ZI"), "{messages:?}");
    assert_eq!(wire.value("SELECT 'alive'"), "alive");
}

#[test]
fn another_major_version_is_refused() {
    let proxy = proxy("disable");
    is_fatal(&proxy, &startup(2 << 16, &APP), "0A000");
    is_fatal(&proxy, &startup(4 << 16, &APP), "0A000");
}

#[test]
fn what_is_not_the_protocol_is_a_fatal_08p01() {
    let proxy = proxy("disable");
    let mut bystander = proxy.login("app");
    is_fatal(
        &proxy,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "08P01",
    );
    is_fatal(&proxy, &[0, 0, 0, 0, 0, 0, 0, 0], "08P01");
    is_fatal(&proxy, &[255; 64], "08P01");
    is_fatal(
        &proxy,
        &untagged(&[&VERSION_3_0.to_be_bytes()[..], b"user\0app"].concat()),
        "08P01",
    );
    let long = "x".repeat(20_000);
    is_fatal(
        &proxy,
        &startup(VERSION_3_0, &[("user", "app"), ("application_name", &long)]),
        "08P01",
    );
    assert_eq!(bystander.value("SELECT 'alive'"), "alive");
}

#[test]
fn a_session_that_stops_speaking_the_protocol_ends_alone() {
    let proxy = proxy("disable");
    let mut bystander = proxy.login("app");
    let nonsense = [
        message(b'!', b"what is this"),
        vec![b'Q', 0, 0, 0, 3],
        vec![b'Q', 255, 255, 255, 255],
        message(b'Q', b"no zero byte at the end"),
        message(b'P', b"no zero byte"),
    ];
    for bytes in nonsense {
        let mut wire = proxy.login("app");
        wire.send(&bytes);
        let problem = only_problem(&wire.until_closed());
        assert_eq!(
            (problem.severity.as_str(), problem.code.as_str()),
            ("FATAL", "08P01"),
            "{bytes:?}"
        );
    }
    assert_eq!(bystander.value("SELECT 'alive'"), "alive");
}

#[test]
fn a_startup_message_without_a_user_is_refused() {
    is_fatal(
        &proxy("disable"),
        &startup(VERSION_3_0, &[("database", "app")]),
        "28000",
    );
}

#[test]
fn a_probe_logs_no_error() {
    let proxy = proxy("allow");
    for _ in 0..5 {
        drop(Wire::connect(proxy.port));
    }
    logs_in(Wire::connect(proxy.port));
    let loud = |event: &&serde_json::Value| {
        ["WARN", "ERROR"].contains(&event["level"].as_str().unwrap_or_default())
    };
    let events = proxy.events();
    assert_eq!(events.iter().filter(loud).count(), 0, "{events:?}");
}

#[test]
fn the_login_has_a_deadline_that_counts_from_accept() {
    let policy = PolicyText::of(Cluster::shared()).listener_key("login_timeout = \"1s\"");
    let proxy = Proxy::start(&policy);
    for first in [vec![], vec![0], ssl_request()] {
        let start = Instant::now();
        let mut wire = Wire::connect(proxy.port);
        wire.send(&first);
        drop(wire.rest());
        let took = start.elapsed();
        assert!(
            (Duration::from_millis(950)..Duration::from_secs(10)).contains(&took),
            "{first:?}: {took:?}"
        );
    }
    logs_in(Wire::connect(proxy.port));
}

#[test]
fn more_clients_than_the_listener_allows_are_told() {
    let proxy =
        Proxy::start(&PolicyText::of(Cluster::shared()).listener_key("max_connections = 3"));
    // The proxy may still be counting the connection that found out that it accepts.
    let sessions: Vec<Wire> = (0..3)
        .map(|_| wait_for("a place", || Wire::try_login(proxy.port, "app", "app")))
        .collect();
    is_fatal(&proxy, &startup(VERSION_3_0, &APP), "53300");
    drop(sessions);
    wait_for("a place", || Wire::try_login(proxy.port, "app", "app"));
}

#[test]
fn startup_settings_reach_the_node_and_do_not_leak() {
    for mode in ["transaction", "session"] {
        let proxy = Proxy::start(&PolicyText::of(Cluster::shared()).mode(mode).size(1));
        let mut wire = Wire::connect(proxy.port);
        let options = "-c statement_timeout=12345 --search-path=pg_catalog\\,public";
        let parameters = [
            ("user", "app"),
            ("database", "app"),
            ("application_name", "probe"),
            ("options", options),
            ("DateStyle", "German"),
        ];
        wire.send(&startup(VERSION_3_0, &parameters));
        assert!(shape(&wire.until_ready()).ends_with("ZI"));
        assert_eq!(wire.value("SHOW statement_timeout"), "12345ms", "{mode}");
        assert_eq!(
            wire.value("SHOW search_path"),
            "pg_catalog,public",
            "{mode}"
        );
        assert_eq!(wire.value("SHOW application_name"), "probe", "{mode}");
        assert_eq!(wire.value("SHOW datestyle"), "German, DMY", "{mode}");
        drop(wire);
        let mut wire = proxy.login("app");
        assert_eq!(wire.value("SHOW statement_timeout"), "0", "{mode}");
        assert_eq!(wire.value("SHOW datestyle"), "ISO, MDY", "{mode}");
    }
}

#[test]
fn the_parameters_a_client_needs_are_reported_at_login() {
    let proxy = proxy("disable");
    let wire = proxy.login("app");
    let node = Wire::login(Cluster::shared().primary.port, "app", "app");
    let names = |wire: &Wire| {
        let mut names: Vec<_> = wire
            .parameters
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&wire), names(&node));
    let version = |wire: &Wire| {
        wire.parameters
            .iter()
            .find(|(name, _)| name == "server_version")
            .cloned()
    };
    assert_eq!(version(&wire), version(&node));
    assert!(!wire.key.is_empty(), "BackendKeyData");
}

#[test]
fn a_cancel_request_reaches_the_statement_of_its_own_session_only() {
    for mode in ["transaction", "session"] {
        let proxy = Proxy::start(&PolicyText::of(Cluster::shared()).mode(mode));
        let mut victim = proxy.login("app");
        let mut bystander = proxy.login("app");
        victim.send(&query("SELECT pg_sleep(60)"));
        bystander.send(&query("SELECT pg_sleep(1)"));
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'";
        wait_for("the statement runs", || {
            (Cluster::shared().primary.value(sleeping) == "1").then_some(())
        });
        // A wrong secret is ignored.
        let mut wrong = victim.key.clone();
        *wrong.last_mut().expect("a secret") ^= 1;
        let mut request = Wire::connect(proxy.port);
        request.send(&cancel_request(&wrong));
        assert_eq!(request.rest(), b"", "{mode}");
        assert_eq!(Cluster::shared().primary.value(sleeping), "1", "{mode}");
        let mut request = Wire::connect(proxy.port);
        request.send(&cancel_request(&victim.key));
        assert_eq!(request.rest(), b"", "{mode}");
        let answer = victim.until_ready();
        assert_eq!(only_problem(&answer).code, "57014", "{mode}");
        assert!(shape(&answer).ends_with("E ZI"), "{mode}: {answer:?}");
        assert_eq!(shape(&bystander.until_ready()), "T D C ZI", "{mode}");
        assert_eq!(victim.value("SELECT 'alive'"), "alive", "{mode}");
    }
}

#[test]
fn a_cancel_request_works_over_tls() {
    let proxy = proxy("require");
    let mut victim = Wire::connect_tls(proxy.port);
    victim.log_in("app", "app");
    victim.send(&query("SELECT pg_sleep(61)"));
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(61)' AND state = 'active'";
    wait_for("the statement runs", || {
        (Cluster::shared().primary.value(sleeping) == "1").then_some(())
    });
    Wire::connect_tls(proxy.port).send(&cancel_request(&victim.key));
    assert_eq!(only_problem(&victim.until_ready()).code, "57014");
}

#[test]
fn a_cancel_request_of_an_idle_session_disturbs_nobody() {
    let proxy = Proxy::start(&PolicyText::of(Cluster::shared()).size(1));
    let mut idle = proxy.login("app");
    idle.works("SELECT 1");
    let mut busy = proxy.login("app");
    busy.send(&query("SELECT pg_sleep(0.5)"));
    let mut request = Wire::connect(proxy.port);
    request.send(&cancel_request(&idle.key));
    assert_eq!(request.rest(), b"");
    assert_eq!(shape(&busy.until_ready()), "T D C ZI");
}
