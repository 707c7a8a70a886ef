//! A plugin as it is made for heliosdb-proxy, unmodified, at every hook: what it is told, and what its answers do in both dialects.

use crate::support::cluster::Cluster;
use crate::support::frames::VERSION_3_0;
use crate::support::frames::password;
use crate::support::frames::startup;
use crate::support::message::Message;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use crate::support::wait_for;
use crate::support::wire::Wire;
use serde_json::Value;

/// Everything, and stored values.
const PERMISSIONS: &str = "\
[permissions.legacy]
see  = [\"identity\", \"session\", \"sql.text\", \"sql.normalized\", \"sql.kind\", \"sql.tables\", \"result.summary\",
        \"result.error\", \"auth.password\"]
call = [\"kv.read\", \"kv.write\", \"sha256\"]
kv   = { namespace = \"legacy\" }
";

const WHERE: &str = "SELECT current_setting('port'), 'fixture:";

fn fixture() -> Vec<u8> {
    plugins::example("helios_fixture")
}

/// The plugin at these hooks, each a stage with these keys.
fn policy(hooks: &[&str], keys: &str) -> PolicyText {
    let plugin = plugins::table("fixture", &fixture());
    let policy = PolicyText::of(Cluster::shared())
        .extra(&format!("{plugin}abi = \"helios-1\"\n\n{PERMISSIONS}"));
    hooks.iter().fold(policy, |policy, hook| {
        let name = hook.replace('_', "-");
        let keys = format!("plugin = \"fixture\"\npermissions = \"legacy\"\n{keys}");
        policy.stage(hook, &name, &keys)
    })
}

fn start(policy: &PolicyText) -> Proxy {
    Proxy::start_with(policy, &[("fixture.wasm", &fixture())], &[])
}

fn asking(word: &str) -> String {
    format!("SELECT 'fixture:{word}'")
}

/// The error of a statement, the same in both protocols: code and message.
fn refusal(wire: &mut Wire, sql: &str) -> (String, String) {
    let simple = wire.fails(sql);
    let extended = only_problem(&wire.extended(sql));
    assert_eq!(
        (&simple.code, &simple.message),
        (&extended.code, &extended.message)
    );
    (simple.code, simple.message)
}

fn refused(code: &str, message: &str) -> (String, String) {
    (code.to_owned(), message.to_owned())
}

fn first_value(messages: &[Message]) -> String {
    let row = messages.iter().find(|message| message.tag == 'D');
    row.unwrap_or_else(|| panic!("no row in {messages:?}"))
        .first_value()
}

/// What the plugin stored of the last statement with `fixture:note` at a hook.
fn noted(wire: &mut Wire, hook: &str) -> Value {
    let shown = wire.fails(&asking(&format!("pre_query.show.{hook}")));
    serde_json::from_str(&shown.message).unwrap_or_else(|error| panic!("{error}: {shown:?}"))
}

#[test]
fn before_a_statement_it_goes_on_rewrites_refuses_and_answers() {
    let proxy = start(&policy(&["pre_query"], ""));
    let mut wire = proxy.login("app");
    for dialect in ["action", "kind"] {
        let asking = |answer: &str| asking(&format!("pre_query.{dialect}.{answer}"));
        let plain = format!("fixture:pre_query.{dialect}.continue");
        assert_eq!(wire.value(&asking("continue")), plain);
        assert_eq!(wire.value(&asking("rewrite")), "rewritten");
        assert_eq!(first_value(&wire.extended(&asking("rewrite"))), "rewritten");
        assert_eq!(
            refusal(&mut wire, &asking("block")),
            refused("42000", &format!("blocked by {dialect}"))
        );
    }
    let cached = wire.query(&asking("pre_query.action.cached"));
    assert_eq!(shape(&cached), "T D C ZI");
    assert_eq!(cached[0].columns(), ["a", "b"]);
    assert_eq!(cached[1].values(), [Some("1".to_owned()), None]);
    assert_eq!(
        shape(&wire.query(&asking("pre_query.kind.cached"))),
        "T C ZI"
    );
    let (code, message) = refusal(&mut wire, &asking("pre_query.nonsense"));
    assert_eq!(code, "58000");
    assert!(message.contains("bad_answer"), "{message}");
    // An answer for another hook is none here.
    assert_eq!(
        wire.value(&asking("rewrite.kind.block")),
        "fixture:rewrite.kind.block"
    );
}

#[test]
fn other_hooks_of_a_statement_have_their_answers() {
    let hooks = ["rewrite", "authorize", "cache_get"];
    let policy = policy(&hooks, "").otherwise("authorize = \"deny\", route = \"primary\"");
    let proxy = start(&policy);
    let mut wire = proxy.login("app");
    assert_eq!(
        wire.value(&asking("authorize.action.success")),
        "fixture:authorize.action.success"
    );
    let denied = refused("42501", "may not run");
    assert_eq!(
        refusal(&mut wire, &asking("authorize.action.denied")),
        denied
    );
    assert_eq!(refusal(&mut wire, &asking("authorize.kind.denied")), denied);
    // Not decided, and silent: `otherwise` denies.
    for word in ["authorize.action.defer", "nothing"] {
        assert_eq!(refusal(&mut wire, &asking(word)).0, "42501", "{word}");
    }
    let allowed = self::policy(&hooks, "");
    let proxy = start(&allowed);
    let mut wire = proxy.login("app");
    assert_eq!(wire.value(&asking("rewrite.action.rewrite")), "rewritten");
    assert_eq!(
        refusal(&mut wire, &asking("rewrite.kind.block")),
        refused("42000", "not to be rewritten")
    );
    assert_eq!(wire.value(&asking("cache_get.action.cached")), "kept");
    assert_eq!(
        first_value(&wire.extended(&asking("cache_get.action.cached"))),
        "kept"
    );
}

#[test]
fn it_routes_to_roles_nodes_and_branches() {
    let policy =
        policy(&["route"], "").extra("[branch.dev]\nnode = \"pg1\"\ndatabase = \"app_dev\"");
    let proxy = start(&policy);
    let mut wire = proxy.login("app");
    let cluster = Cluster::shared();
    let (primary, standby) = (cluster.primary.port, cluster.standbys[0].port);
    for (answer, port) in [
        ("route.action.default", primary),
        ("route.action.primary", primary),
        ("route.action.standby", standby),
        ("route.action.node", standby),
        ("nothing", primary),
    ] {
        let sql = format!("{WHERE}{answer}'");
        assert_eq!(wire.value(&sql), port.to_string(), "{answer}");
        assert_eq!(
            first_value(&wire.extended(&sql)),
            port.to_string(),
            "{answer}"
        );
    }
    let branch = "SELECT current_database(), 'fixture:route.kind.branch'";
    assert_eq!(wire.value(branch), "app_dev");
    assert_eq!(
        refusal(&mut wire, &asking("route.action.block")),
        refused("42000", "nowhere to go")
    );
    assert_eq!(
        refusal(&mut wire, &asking("route.action.nowhere")).0,
        "58000"
    );
}

/// Logs in over TLS with a password; what came after it.
fn log_in(proxy: &Proxy, secret: &str) -> (Wire, Vec<Message>) {
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
    wire.send(&password(secret));
    let messages = wire.until(|message| matches!(message.tag, 'Z' | 'E'));
    (wire, messages)
}

#[test]
fn it_says_who_a_client_is() {
    let policy = policy(&["authenticate", "pre_query"], "").listed("authenticate", "trust");
    let proxy = start(&policy);
    let (mut wire, messages) = log_in(&proxy, "fixture:authenticate.action.success");
    assert!(shape(&messages).ends_with("ZI"), "{messages:?}");
    let told: Value =
        serde_json::from_str(&wire.fails(&asking("pre_query.echo")).message).expect("JSON");
    let expected = serde_json::json!({
        "user_id": "u7", "username": "app", "roles": ["clerk"], "tenant_id": "acme", "claims": { "iss": "fixture" },
    });
    assert_eq!(told["hook_context"]["identity"], expected);
    for dialect in ["action", "kind"] {
        let (_, messages) = log_in(&proxy, &format!("fixture:authenticate.{dialect}.denied"));
        assert_eq!(only_problem(&messages).code, "28P01");
    }
    // Deferring and silent, the next method is asked, which trusts.
    for secret in ["fixture:authenticate.action.defer", "sesame"] {
        let (mut wire, messages) = log_in(&proxy, secret);
        assert!(shape(&messages).ends_with("ZI"), "{messages:?}");
        assert_eq!(wire.value("SELECT 'alive'"), "alive");
    }
}

#[test]
fn it_may_refuse_a_connection_and_sees_its_end() {
    let proxy = start(&policy(&["on_connect", "pre_query", "on_disconnect"], ""));
    let mut wire = Wire::connect(proxy.port);
    wire.send(&startup(
        VERSION_3_0,
        &[("user", "other"), ("database", "app")],
    ));
    let problem = only_problem(&wire.until_closed());
    assert_eq!(
        (problem.severity.as_str(), problem.message.as_str()),
        ("FATAL", "not from there")
    );
    let mut first = proxy.login("app");
    let echo: Value =
        serde_json::from_str(&first.fails(&asking("pre_query.echo")).message).expect("JSON");
    let client = echo["hook_context"]["client_id"].clone();
    drop(first);
    let mut second = proxy.login("app");
    wait_for("the plugin hears of the end", || {
        let shown = second
            .fails(&asking("pre_query.show.on_disconnect"))
            .message;
        let context: Value = serde_json::from_str(&shown).ok()?;
        (context["client_id"] == client).then_some(())
    });
}

#[test]
fn after_a_statement_it_knows_how_it_ended() {
    let hooks = ["pre_query", "post_query", "metrics"];
    let keys = "attributes = { listener = \"session.listener\", tables = \"sql.tables\" }";
    let proxy = start(&policy(&hooks, keys));
    let mut wire = proxy.login("app");
    for send in [Wire::query, Wire::extended] {
        drop(send(
            &mut wire,
            "SELECT id, 'fixture:note' FROM orders WHERE id <= 7",
        ));
        let (before, after) = (
            noted(&mut wire, "pre_query"),
            noted(&mut wire, "post_query"),
        );
        assert_eq!(before, after[0], "one statement, one context");
        assert_eq!(
            before["query"],
            "SELECT id, 'fixture:note' FROM orders WHERE id <= 7"
        );
        assert_eq!(before["tables"], serde_json::json!(["orders"]));
        assert_eq!(before["is_read_only"], true);
        let context = &before["hook_context"];
        assert_eq!(context["request_id"].as_str().map(str::len), Some(36));
        assert_eq!(context["database"], "app");
        assert_eq!(
            context["attributes"],
            serde_json::json!({ "listener": "main", "tables": "orders" })
        );
        let outcome = &after[1];
        assert_eq!(outcome["success"], true);
        assert_eq!(outcome["target_node"], "pg1");
        assert!(outcome["response_bytes"].as_u64() > Some(100), "{outcome}");
        assert!(outcome["elapsed_us"].as_u64() > Some(0), "{outcome}");
        assert_eq!(outcome["error"], Value::Null);
        assert_eq!(noted(&mut wire, "metrics"), after);
    }
    wire.fails("SELECT 1 / 0, 'fixture:note'");
    let after = noted(&mut wire, "post_query");
    assert_eq!(after[1]["success"], false);
    assert_eq!(after[1]["error"], "division by zero");
    assert_eq!(wire.fails(&asking("pre_query.forget")).message, "forgotten");
    assert_eq!(
        wire.fails(&asking("pre_query.show.post_query")).message,
        "nothing"
    );
    assert_eq!(
        wire.fails(&asking("pre_query.hash")).message,
        plugins::sha256(b"fixture")
    );
}

#[test]
fn it_hears_of_events() {
    let emit =
        "permissions = \"emits\"\nscript = 'event::emit(\"paid\", \"fixture:note\"); next()'";
    let policy = policy(&["pre_query", "custom"], "")
        .extra("[permissions.emits]\ncall = [\"emit\"]")
        .stage("on_connect", "emits", emit);
    let proxy = start(&policy);
    let mut wire = proxy.login("app");
    let event = noted(&mut wire, "custom_hook");
    assert_eq!(event["name"], "paid");
    assert_eq!(event["payload"], "fixture:note");
    assert_eq!(event["hook_context"]["identity"]["username"], "app");
}

/// A budget for each tenant, with no literal shown: the tenant comes as an attribute.
fn budget() -> PolicyText {
    let plugin = plugins::table("cost_governor", &fixture());
    let stage = "hook = [\"pre_query\", \"post_query\"]\nplugin = \"cost_governor\"\npermissions = \"budget\"\n\
        attributes = { tenant_id = \"user.tenant\" }";
    PolicyText::of(Cluster::shared())
        .users(
            "[user.app]\ntrust = true\nattributes = { tenant = \"acme\" }\n\
             [user.other]\ntrust = true\nattributes = { tenant = \"globex\" }",
        )
        .extra(&format!("{plugin}abi = \"helios-1\"\nfuel = 1_500_000\n"))
        .extra(
            "[permissions.budget]\nsee = [\"identity\", \"sql.fingerprint\", \"result.summary\"]\n\
             call = [\"kv.read\", \"kv.write\", \"sha256\"]\nkv = { namespace = \"budget\", max_keys = 5000 }",
        )
        .extra(&format!("[stage.budget]\n{stage}"))
        .listed("pre_query", "budget")
        .listed("post_query", "budget")
}

#[test]
fn a_budget_is_each_tenants_own() {
    let proxy = start_as(&budget());
    let mut acme = proxy.login("app");
    let mut globex = proxy.login("other");
    assert_eq!(acme.value("SELECT 1"), "1");
    assert_eq!(first_value(&acme.extended("SELECT 2")), "2");
    acme.works("SELECT 3");
    assert_eq!(
        refusal(&mut acme, "SELECT 4"),
        refused("42000", "the tenant is over budget")
    );
    assert_eq!(globex.value("SELECT 1"), "1");
}

fn start_as(policy: &PolicyText) -> Proxy {
    Proxy::start_with(policy, &[("cost_governor.wasm", &fixture())], &[])
}

#[test]
fn a_policy_tests_such_a_plugin_without_a_node() {
    let tests = "
[[test]]
name   = \"over budget\"
given  = { user = \"app\", sql = \"SELECT 1\", kv = { budget = { \"tenant:acme:used\" = \"3\" } } }
expect = { verdict = \"deny\", by = \"budget\", message = \"the tenant is over budget\", fuel_below = 100_000 }

[[test]]
name   = \"within the budget\"
given  = { user = \"app\", sql = \"SELECT 1\", kv = { budget = { \"tenant:acme:used\" = \"2\" } } }
expect = { verdict = \"allow\" }

[[test]]
name   = \"a broken budget plugin stops traffic instead of waving it through\"
given  = { user = \"app\", sql = \"SELECT 1\", inject = { budget = \"out_of_fuel\" } }
expect = { verdict = \"deny\", code = \"58000\", by = \"budget\" }
";
    let proxy = start_as(&budget().extra(tests));
    Said::ends(pgwarden(&["test"]).arg(proxy.path("policy.toml")), 0);
}
