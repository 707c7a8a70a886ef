//! The action `limit`: what comes too fast is refused or waits, each key for itself, on every way a statement can arrive.

use crate::support::cluster::Cluster;
use crate::support::frames::VERSION_3_0;
use crate::support::frames::query;
use crate::support::frames::startup;
use crate::support::message::only_problem;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::Reload;
use crate::support::wire::Wire;
use std::time::Duration;
use std::time::Instant;

fn limited(keys: &str) -> PolicyText {
    PolicyText::of(Cluster::shared()).stage("pre_query", "rate", &format!("limit = {{ {keys} }}"))
}

#[test]
fn what_comes_too_fast_is_refused_however_it_arrives() {
    let proxy = Proxy::start(&limited(
        "rate = 3, per = \"1h\", key = \"user\", hint = \"slower\"",
    ));
    let (mut wire, mut other) = (proxy.login("app"), proxy.login("other"));
    wire.works("SELECT 1");
    wire.works("SELECT 1; SELECT 2");
    let problem = wire.fails("SELECT 1");
    assert_eq!(problem.code, "53400");
    assert_eq!(problem.hint, "slower");
    assert_eq!(problem.message, "too many statements; try again later");
    assert_eq!(only_problem(&wire.extended("SELECT 1")).code, "53400");
    assert_eq!(wire.fails("PREPARE p AS SELECT 1").code, "53400");
    let again = proxy.login("app").fails("SELECT 1").code;
    assert_eq!(again, "53400", "another session of the same user");
    other.works("SELECT 1");
}

#[test]
fn buckets_survive_a_reload_and_another_rate_holds_at_once() {
    let proxy = Proxy::start(&limited("rate = 2, per = \"1h\""));
    let mut wire = proxy.login("app");
    wire.works("SELECT 1");
    wire.works("SELECT 1");
    let more = |burst: u32| limited(&format!("rate = 2, per = \"1h\", burst = {burst}"));
    let text = |burst| {
        let mut policy = more(burst);
        policy.port = proxy.port;
        policy.text()
    };
    assert_eq!(
        proxy.reload(&text(2).replace("rate = 2,", "rate = 2 ,")),
        Reload::Swapped
    );
    assert_eq!(wire.fails("SELECT 1").code, "53400");
    assert_eq!(proxy.reload(&text(3)), Reload::Swapped);
    wire.works("SELECT 1");
    assert_eq!(wire.fails("SELECT 1").code, "53400");
}

#[test]
fn what_waits_comes_at_the_rate() {
    let keys = "rate = 20, burst = 1, key = \"session\", exceed = \"delay\", max_delay = \"10s\"";
    let proxy = Proxy::start(&limited(keys));
    let mut wire = proxy.login("app");
    let started = Instant::now();
    for _ in 0..11 {
        wire.works("SELECT 1");
    }
    let took = started.elapsed();
    assert!(Duration::from_millis(450) < took, "{took:?}");
}

#[test]
fn who_waits_holds_up_nobody_else() {
    // Longer than any answer may take.
    let keys =
        "rate = 1, per = \"60s\", key = \"session\", exceed = \"delay\", max_delay = \"60s\"";
    let proxy = Proxy::start(&limited(keys).size(1));
    let (mut slow, mut other) = (proxy.login("app"), proxy.login("app"));
    slow.works("SELECT 1");
    slow.send(&query("SELECT 2"));
    // The pool's only server connection is free meanwhile.
    other.works("SELECT 1");
    assert!(slow.is_silent(), "it waits for its turn");
}

#[test]
fn what_would_wait_too_long_is_refused() {
    let policy = limited("rate = 1, per = \"1h\", exceed = \"delay\", max_delay = \"10ms\"");
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    wire.works("SELECT 1");
    assert_eq!(wire.fails("SELECT 1").code, "53400");
}

#[test]
fn connections_are_limited_as_well() {
    let policy = PolicyText::of(Cluster::shared()).stage(
        "on_connect",
        "logins",
        "limit = { rate = 2, per = \"1h\", key = \"client\", message = \"come back later\" }",
    );
    let proxy = Proxy::start(&policy);
    drop((proxy.login("app"), proxy.login("other")));
    let mut wire = Wire::connect(proxy.port);
    let parameters = [("user", "app"), ("database", "app")];
    wire.send(&startup(VERSION_3_0, &parameters));
    let problem = only_problem(&wire.until_ready());
    assert_eq!(problem.severity, "FATAL");
    assert_eq!(
        (&*problem.code, &*problem.message),
        ("53400", "come back later")
    );
}
