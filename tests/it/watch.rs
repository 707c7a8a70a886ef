//! Changes on disk: `[reload] watch`, the gate of tests, and what plugins hear when their revision goes.

use crate::support::cluster::Cluster;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::Reload;
use crate::support::wait_for;
use crate::support::wire::Wire;

const WATCH: &str = "[reload]\nwatch = true";
const INCLUDE: &str = "name = \"it\"\ninclude = [\"more.toml\"]\n";

/// A policy whose rule is in an included file.
fn including(base: &PolicyText) -> String {
    let text = base.text().replacen("name = \"it\"\n", INCLUDE, 1);
    text.replace(
        "[pipeline.default]\n",
        "[pipeline.default]\npre_query = [\"rule\"]\n",
    )
}

fn rule(message: &str) -> String {
    format!(
        "policy = 1\n[stage.rule]\nhook = \"pre_query\"\nwhen = {{ tables = [\"by_rule\"] }}\ndeny = {{ message = \"{message}\" }}\n"
    )
}

#[track_caller]
fn says(wire: &mut Wire, message: &str) {
    wait_for(&format!("the rule says {message}"), || {
        let answer = wire.query("SELECT * FROM by_rule");
        (shape(&answer).starts_with('E') && only_problem(&answer).message == message).then_some(())
    });
}

fn count(proxy: &Proxy, message: &str) -> usize {
    let events = proxy.events();
    events
        .iter()
        .filter(|event| event["message"] == message)
        .count()
}

#[test]
fn a_change_of_any_file_reloads_and_a_mistake_is_told_once() {
    let base = PolicyText::of(Cluster::shared()).extra(WATCH);
    let proxy = Proxy::start(&base);
    let mut wire = proxy.login("app");
    std::fs::write(proxy.path("more.toml"), rule("first")).expect("written");
    proxy.write_policy(&including(&base));
    says(&mut wire, "first");
    // The included file alone, written in place.
    std::fs::write(proxy.path("more.toml"), rule("second")).expect("written");
    says(&mut wire, "second");
    // Gone: a mistake, told once, and not an unload.
    let refused = count(&proxy, "reload refused, the running policy stays");
    let swapped = count(&proxy, "policy reloaded");
    std::fs::remove_file(proxy.path("more.toml")).expect("removed");
    wait_for("the loss is told", || {
        (count(&proxy, "reload refused, the running policy stays") > refused).then_some(())
    });
    says(&mut wire, "second");
    // Half of it, then the whole.
    let half = rule("third");
    std::fs::write(proxy.path("more.toml"), &half[..half.len() / 2]).expect("written");
    wait_for("the half is refused", || {
        (count(&proxy, "reload refused, the running policy stays") > refused + 1).then_some(())
    });
    says(&mut wire, "second");
    std::fs::write(proxy.path("more.toml"), rule("third")).expect("written");
    says(&mut wire, "third");
    assert_eq!(
        count(&proxy, "reload refused, the running policy stays"),
        refused + 2
    );
    // It is in force a little before it is told.
    wait_for("the reload is told", || {
        (swapped < count(&proxy, "policy reloaded")).then_some(())
    });
    assert_eq!(count(&proxy, "policy reloaded"), swapped + 1);
}

#[test]
fn a_plugin_that_changes_with_its_pin_is_taken_over() {
    let bytes = plugins::refusing("old");
    let policy = PolicyText::of(Cluster::shared())
        .extra(WATCH)
        .extra("[plugin.p]\npath = \"p.wasm\"\nsha256 = { file = \"p.sha256\" }")
        .stage("pre_query", "asks", "plugin = \"p\"");
    let sum = plugins::sha256(&bytes);
    let proxy = Proxy::start_with(
        &policy,
        &[("p.wasm", &bytes), ("p.sha256", sum.as_bytes())],
        &[],
    );
    let mut wire = proxy.login("app");
    assert_eq!(wire.fails("SELECT 1").message, "old");
    let new = plugins::refusing("new");
    // The plugin without its pin is refused; the two together are not.
    std::fs::write(proxy.path("p.wasm"), &new).expect("written");
    wait_for("the mismatch is told", || {
        proxy.log().contains("P0451").then_some(())
    });
    assert_eq!(wire.fails("SELECT 1").message, "old");
    std::fs::write(proxy.path("p.sha256"), plugins::sha256(&new)).expect("written");
    wait_for("the new plugin is asked", || {
        (wire.fails("SELECT 1").message == "new").then_some(())
    });
}

#[test]
fn without_watch_a_change_waits_for_a_reload() {
    let base = PolicyText::of(Cluster::shared());
    let rule = |message: &str| {
        let keys = format!("when = {{ tables = [\"by_rule\"] }}\ndeny = \"{message}\"");
        base.clone().stage("pre_query", "rule", &keys)
    };
    let watched = rule("watched").extra(WATCH);
    let proxy = Proxy::start(&rule("first"));
    let mut wire = proxy.login("app");
    proxy.write_policy(&rule("second").text());
    assert_eq!(wire.fails("SELECT * FROM by_rule").message, "first");
    // The policy that asks for it comes by SIGHUP, and the next one by itself.
    assert_eq!(proxy.reload(&watched.text()), Reload::Swapped);
    proxy.write_policy(&rule("third").extra(WATCH).text());
    says(&mut wire, "third");
    assert_eq!(count(&proxy, "a file of the policy has changed"), 1);
}

/// A test of the policy: whether `app` may read `by_rule`.
fn expecting(verdict: &str) -> String {
    format!(
        "[reload]\ngate = \"tests\"\n[[test]]\nname = \"readers may not\"\ngiven = {{ user = \"app\", sql = \"SELECT * FROM by_rule\" }}\nexpect = {{ verdict = \"{verdict}\" }}\n"
    )
}

#[test]
fn a_test_that_fails_refuses_the_reload_by_its_name() {
    let keys = "when = { tables = [\"by_rule\"] }\ndeny = \"no\"";
    let base = PolicyText::of(Cluster::shared());
    let with = |tests: &str| base.clone().stage("pre_query", "rule", keys).extra(tests);
    let proxy = Proxy::start(&base);
    let (mut wire, mut admin) = (proxy.login("app"), proxy.admin());
    let before = admin.table("SHOW POLICY").swap_remove(0);
    assert_eq!(before["last_reload"], "none");
    assert_eq!(
        proxy.reload(&with(&expecting("allow")).text()),
        Reload::Kept
    );
    assert_eq!(wire.value("SELECT id FROM by_rule"), "1");
    let row = admin.table("SHOW POLICY").swap_remove(0);
    assert_eq!(row["last_reload"], "refused");
    assert_eq!(row["revision"], before["revision"]);
    assert!(
        row["mistakes"].contains("test `readers may not` fails: expected verdict = \"allow\""),
        "{row:?}"
    );
    assert!(proxy.log().contains("readers may not"));
    assert_eq!(
        proxy.reload(&with(&expecting("deny")).text()),
        Reload::Swapped
    );
    assert_eq!(wire.fails("SELECT id FROM by_rule").message, "no");
    let row = admin.table("SHOW POLICY").swap_remove(0);
    assert_eq!((&*row["last_reload"], &*row["mistakes"]), ("swapped", ""));
    // Tests of a policy are no calls of the stages that serve.
    assert_eq!(admin.table("SHOW STAGES")[0]["calls"], "1");
    // The running policy's gate holds for one that has none.
    let loosened = base
        .clone()
        .extra(&expecting("deny").replace("\"tests\"", "\"none\""));
    assert_eq!(proxy.reload(&loosened.text()), Reload::Kept);
}

/// A module that logs when it goes.
fn leaving() -> Vec<u8> {
    plugins::wat(
        r#"(module
            (import "pgwarden1" "log" (func $log (param i32 i32 i32)))
            (memory (export "memory") 1)
            (data (i32.const 16) "goodbye")
            (func (export "pgw_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "pre_query") (param i32 i32) (result i64) (i64.const 0))
            (func (export "on_unload") (call $log (i32.const 1) (i32.const 16) (i32.const 7))))"#,
    )
}

#[test]
fn a_plugin_hears_once_that_it_goes_when_its_last_session_has_left() {
    let module = leaving();
    let base = PolicyText::of(Cluster::shared());
    let with = base.clone().extra(&plugins::table("p", &module)).stage(
        "pre_query",
        "leaves",
        "plugin = \"p\"",
    );
    let mut proxy = Proxy::start_with(&with, &[("p.wasm", &module)], &[]);
    let said = |proxy: &Proxy| {
        let events = proxy.events();
        events
            .iter()
            .filter(|event| event.to_string().contains("goodbye"))
            .count()
    };
    let (mut first, mut second) = (proxy.login("app"), proxy.login("app"));
    first.works("SELECT 1");
    second.works("SELECT 1");
    assert_eq!(proxy.reload(&base.text()), Reload::Swapped);
    first.works("SELECT 1");
    assert_eq!(
        said(&proxy),
        0,
        "the second session is still in the old revision"
    );
    second.works("SELECT 1");
    wait_for("it says goodbye", || (said(&proxy) == 1).then_some(()));
    let rows = wait_for("it is shown", || {
        let rows = proxy.admin().table("SHOW PLUGINS");
        (!rows.is_empty()).then_some(rows)
    });
    assert_eq!((&*rows[0]["plugin"], &*rows[0]["state"]), ("p", "unloaded"));
    // Back again, and the end of the process is an end too.
    assert_eq!(proxy.reload(&with.text()), Reload::Swapped);
    let rows = proxy.admin().table("SHOW PLUGINS");
    assert_eq!((rows.len(), &*rows[0]["state"]), (1, "ready"));
    drop((first, second));
    proxy.terminate();
    assert!(proxy.ended().success());
    assert_eq!(said(&proxy), 2);
}
