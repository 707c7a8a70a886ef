//! Every hook is called where it should be, with what it should be told, and its answers do what they say.

use crate::support::cluster::Cluster;
use crate::support::frames::VERSION_3_0;
use crate::support::frames::copy_data;
use crate::support::frames::copy_done;
use crate::support::frames::password;
use crate::support::frames::query;
use crate::support::frames::startup;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wait_for;
use crate::support::wire::Wire;

/// In the order of phases; `custom` runs only when it is named.
const HOOKS: [&str; 11] = [
    "on_connect",
    "authenticate",
    "pre_query",
    "rewrite",
    "authorize",
    "cache_get",
    "route",
    "cache_set",
    "post_query",
    "metrics",
    "on_disconnect",
];

#[test]
fn every_hook_is_called_in_its_order() {
    let mut policy = PolicyText::of(Cluster::shared());
    for hook in HOOKS {
        // All deferring, the built-in methods decide, which trust `app`.
        let (name, answer) = if hook == "authenticate" {
            ("auth.username", "defer()")
        } else {
            ("user.name", "next()")
        };
        let script = format!("script = 'log::info(\"saw {hook} of \" + {name}); {answer}'");
        policy = policy.stage(hook, &format!("log-{}", hook.replace('_', "-")), &script);
    }
    policy = policy.listed("authenticate", "trust");
    let proxy = Proxy::start(&policy);
    for send in [Wire::query, Wire::extended] {
        let before = proxy.log().len();
        // `authenticate` stages get a password, which is asked for over TLS only.
        let mut wire = Wire::connect_tls(proxy.port);
        wire.send(&startup(
            VERSION_3_0,
            &[("user", "app"), ("database", "app")],
        ));
        assert_eq!(
            wire.message().body,
            [0, 0, 0, 3],
            "AuthenticationCleartextPassword"
        );
        wire.send(&password("whatever"));
        assert!(shape(&wire.until_ready()).ends_with("ZI"));
        drop(send(&mut wire, "SELECT 1"));
        drop(wire);
        let log = wait_for("the session ends", || {
            let log = proxy.log()[before..].to_owned();
            log.contains("saw on_disconnect of app").then_some(log)
        });
        let places: Vec<Option<usize>> = HOOKS
            .iter()
            .map(|hook| log.find(&format!("saw {hook} of ")))
            .collect();
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{places:?}\n{log}"
        );
    }
}

/// What `post_query` is told of every way a statement can end.
#[test]
fn the_outcome_is_true_for_every_path() {
    let script = "script = '''\n\
        let code = if result.code == () { \"none\" } else { result.code };\n\
        log::info(`${sql.kind} success=${result.success} rows=${result.rows} code=${code} node=${result.node}.`);\nnext()\n'''";
    let proxy =
        Proxy::start(&PolicyText::of(Cluster::shared()).stage("post_query", "outcome", script));
    let mut wire = proxy.login("app");
    let said = |what: &str| wait_for(what, || proxy.log().contains(what).then_some(()));
    wire.works("SELECT * FROM orders WHERE id <= 7");
    said("select success=true rows=7 code=none node=pg1.");
    drop(wire.extended("SELECT * FROM orders WHERE id <= 8"));
    said("select success=true rows=8 code=none node=pg1.");
    wire.works("BEGIN; UPDATE orders SET amount = amount WHERE id <= 9; ROLLBACK");
    said("update success=true rows=9 code=none node=pg1.");
    wire.fails("SELECT 1 / 0");
    said("select success=false rows=0 code=22012 node=pg1.");
    drop(wire.query("COPY (SELECT * FROM orders WHERE id <= 11) TO STDOUT"));
    said("copy_out success=true rows=11 code=none node=pg1.");
    wire.works("BEGIN; CREATE TEMP TABLE t (n int) ON COMMIT DROP");
    wire.send(&query("COPY t FROM STDIN"));
    assert_eq!(wire.message().tag, 'G');
    wire.send(&[copy_data(b"1\n2\n3\n"), copy_done()].concat());
    assert_eq!(shape(&wire.until_ready()), "C ZT");
    said("copy_in success=true rows=3 code=none node=pg1.");
}

#[test]
fn a_client_can_be_refused_when_it_connects() {
    let deny =
        "when = { app = \"scraper\" }\ndeny = { code = \"28000\", message = \"not from there\" }";
    let proxy =
        Proxy::start(&PolicyText::of(Cluster::shared()).stage("on_connect", "network", deny));
    let mut wire = Wire::connect(proxy.port);
    let parameters = [
        ("user", "app"),
        ("database", "app"),
        ("application_name", "scraper"),
    ];
    wire.send(&startup(VERSION_3_0, &parameters));
    let problem = only_problem(&wire.until_closed());
    let got = (
        problem.severity.as_str(),
        problem.code.as_str(),
        problem.message.as_str(),
    );
    assert_eq!(got, ("FATAL", "28000", "not from there"));
    proxy.login("app").works("SELECT 1");
}

#[test]
fn a_rewrite_is_what_is_sent_and_what_later_stages_see() {
    const REWRITE: u16 = 9;
    const SQL: u16 = 5;
    let plugin = plugins::answering("rewrite", REWRITE, SQL, "SELECT * FROM by_rule");
    let policy = PolicyText::of(Cluster::shared())
        .extra(&plugins::table("rewriting", &plugin))
        .stage("rewrite", "cap", "when = { kind = \"select\" }\nrewrite = { add_limit = 5 }")
        .stage("rewrite", "elsewhere", "when = { tables = [\"products\"] }\nplugin = \"rewriting\"")
        .stage(
            "authorize",
            "rule",
            "when = { tables = [\"by_rule\"] }\ndeny = { code = \"42501\", message = \"the rule says no\" }",
        );
    let proxy = Proxy::start_with(&policy, &[("rewriting.wasm", &plugin)], &[]);
    let mut wire = proxy.login("app");
    assert_eq!(wire.table("SELECT * FROM orders").len(), 5);
    assert_eq!(wire.table("SELECT * FROM orders LIMIT 3").len(), 3);
    assert_eq!(
        wire.table("SELECT * FROM orders ORDER BY id LIMIT 50; -- and no more")
            .len(),
        5
    );
    let rows = wire
        .extended("SELECT * FROM orders")
        .iter()
        .filter(|message| message.tag == 'D')
        .count();
    assert_eq!(rows, 5);
    // The first rewrite does not end the chain (pitfall Q8).
    assert_eq!(
        wire.fails("SELECT * FROM products").message,
        "the rule says no"
    );
    assert_eq!(
        only_problem(&wire.extended("SELECT * FROM products")).message,
        "the rule says no"
    );
}

#[test]
fn a_statement_timeout_is_of_that_statement_only() {
    let rewrite = "when = { user = \"other\" }\nrewrite = { statement_timeout = \"200ms\" }";
    let proxy = Proxy::start(
        &PolicyText::of(Cluster::shared())
            .size(1)
            .stage("rewrite", "slow", rewrite),
    );
    let mut wire = proxy.login("other");
    assert_eq!(wire.fails("SELECT pg_sleep(30)").code, "57014");
    assert_eq!(
        only_problem(&wire.extended("SELECT pg_sleep(30)")).code,
        "57014"
    );
    assert_eq!(wire.value("SELECT 'alive'"), "alive");
    assert_eq!(proxy.login("app").value("SHOW statement_timeout"), "0");
}

#[test]
fn a_stage_can_answer_with_rows_of_its_own() {
    let script = "when = { tables = [\"products\"] }\nscript = 'rows([\"id\", \"name\"], [[\"7\", \"cached\"], [\"8\", ()]])'";
    for hook in ["pre_query", "cache_get"] {
        let proxy = Proxy::start(&PolicyText::of(Cluster::shared()).stage(hook, "cached", script));
        let mut wire = proxy.login("app");
        let messages = wire.query("SELECT * FROM products");
        assert_eq!(shape(&messages), "T D D C ZI", "{hook}");
        assert_eq!(messages[0].columns(), ["id", "name"]);
        assert_eq!(
            messages[1].values(),
            [Some("7".to_owned()), Some("cached".to_owned())]
        );
        assert_eq!(messages[2].values(), [Some("8".to_owned()), None]);
        assert_eq!(
            shape(&wire.extended("SELECT * FROM products")),
            "1 2 T D D C ZI",
            "{hook}"
        );
        wire.works("BEGIN");
        assert_eq!(
            shape(&wire.query("SELECT * FROM products")),
            "T D D C ZT",
            "{hook}"
        );
        assert_eq!(wire.works("COMMIT"), "C ZI");
    }
}

/// `observe` writes down what it would have said, and says nothing.
#[test]
fn a_stage_that_observes_decides_nothing() {
    let deny = "mode = \"observe\"\nwhen = { tables = [\"by_rule\"] }\ndeny = { message = \"no\" }";
    let proxy =
        Proxy::start(&PolicyText::of(Cluster::shared()).stage("pre_query", "watching", deny));
    assert_eq!(proxy.login("app").value("SELECT id FROM by_rule"), "1");
    proxy.event("what it would have said is logged", |event| {
        event.to_string().contains("watching")
    });
}

/// Both engines share what the store keeps, and what it keeps outlives a call and a reload.
#[test]
fn stored_values_outlive_calls_and_reloads() {
    let permissions = "[permissions.count]\nsee = [\"identity\"]\ncall = [\"kv.read\", \"kv.write\"]\n\
        kv = { namespace = \"count\", max_keys = 10, max_bytes = \"4KiB\" }";
    let script = "when = { user = \"other\" }\npermissions = \"count\"\n\
        script = 'if kv::add(user.name, 1) > 3 { deny(\"three times\") } else { next() }'";
    let policy =
        PolicyText::of(Cluster::shared())
            .extra(permissions)
            .stage("pre_query", "count", script);
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("other");
    for _ in 0..2 {
        wire.works("SELECT 1");
    }
    proxy.reload(&policy.text().replace("three times", "thrice"));
    wire.works("SELECT 1");
    assert_eq!(wire.fails("SELECT 1").message, "thrice");
}

/// Permissions for what the test below does.
const EFFECTS: &str = r#"[permissions.effects]
see = ["identity", "session", "sql.text"]
call = ["attributes", "emit", "cache", "kv.write", "kv.read"]
kv = { namespace = "effects" }
cache = { namespace = "effects", max_keys = 10 }
patterns = { pan = '\b\d{16}\b' }"#;

#[test]
fn attributes_events_cache_and_patterns_reach_other_stages_and_sessions() {
    let guest = |script: &str| format!("permissions = \"effects\"\nscript = '''{script}'''");
    let greet =
        guest("attribute::set(\"plan\", \"free\"); event::emit(\"hello\", user.name); next()");
    let pan = guest(
        "if field::matches(\"sql.text\", \"pan\") { attribute::set(\"pan\", \"yes\"); } next()",
    );
    let free =
        "when = { tables = [\"gold\"], attr = { plan = \"free\" } }\ndeny = \"not on this plan\"";
    let carded =
        "when = { attr = { pan = \"yes\" } }\ndeny = \"card numbers stay out of statements\"";
    let seen = guest(
        "if sql.text.contains(\"remember\") { cache::put(\"k\", user.name); }
         else if sql.text.contains(\"recall\") { return deny(`cached: ${cache::get(\"k\")}, greeted: ${kv::get(\"hello\")}`); }
         next()",
    );
    let policy = PolicyText::of(Cluster::shared())
        .extra(EFFECTS)
        .stage("on_connect", "greet", &greet)
        .stage("pre_query", "pan", &pan)
        .stage("pre_query", "free", free)
        .stage("pre_query", "carded", carded)
        .stage("pre_query", "seen", &seen)
        .stage("custom", "count", &guest("kv::add(event.name, 1); next()"));
    let proxy = Proxy::start(&policy);
    let mut first = proxy.login("app");
    let mut second = proxy.login("app");
    assert_eq!(
        first.fails("SELECT * FROM gold").message,
        "not on this plan"
    );
    let refused = only_problem(&second.extended("SELECT '4111111111111111'"));
    assert_eq!(refused.message, "card numbers stay out of statements");
    second.works("SELECT '411111111111111'");
    first.works("SELECT 'remember'");
    assert_eq!(
        second.fails("SELECT 'recall'").message,
        "cached: app, greeted: 2"
    );
}
