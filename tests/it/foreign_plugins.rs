//! One plugin in Rust, in C and in AssemblyScript, and as a rule of the policy: the same statements, the same answers.

use crate::support::cluster::Cluster;
use crate::support::drivers::has_node;
use crate::support::message::Message;
use crate::support::message::shape;
use crate::support::plugins;
use crate::support::plugins::Language;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;

const HOOKS: [&str; 2] = ["pre_query", "authorize"];

/// More roles than have one digit, and the one that counts is last.
const CONFIG: &str = "[plugin.deny_ddl.config]\nroles = [\"r0\", \"r1\", \"r2\", \"r3\", \"r4\", \"r5\", \"r6\", \"r7\", \"r8\", \"r9\", \"dba\"]";
const RULE: &str = "when = { kind = [\"ddl\", \"grant\", \"unparsed\"] }\nunless = { role = \"dba\" }\n\
    deny = { code = \"42501\", message = \"schema changes go through migrations\", hint = \"ask someone with a role that may\" }";

/// Nothing of these touches a table that other tests use, whoever may run them.
const STATEMENTS: &[&str] = &[
    "SELECT 1",
    "CREATE TEMP TABLE kept_by_no_one (id int)",
    "/* DROP */ SELECT count(*) > 0 FROM orders",
    "SELECT 1; CREATE TEMP TABLE kept_by_no_one (id int)",
    "GRANT SELECT ON no_such_table TO other",
    "EXPLAIN CREATE TEMP TABLE kept_by_no_one AS SELECT 1",
    "SELECT 1 AS kept INTO TEMP kept_by_no_one",
    "UPDATE orders SET amount = amount WHERE false",
    "SELECT 1/0",
    "BEGIN",
    "DROP TABLE IF EXISTS no_such_table",
    "ROLLBACK",
];

fn base() -> PolicyText {
    PolicyText::of(Cluster::shared()).users(
        "[role.dba]\n[role.r]\n[user.app]\ntrust = true\nroles = [\"r\"]\n[user.postgres]\ntrust = true\nroles = [\"dba\"]",
    )
}

fn with_plugin(hook: &str, plugin: &[u8]) -> Proxy {
    let policy = base()
        .extra(&plugins::table("deny_ddl", plugin))
        .extra(CONFIG)
        .stage(hook, "no-ddl", "plugin = \"deny_ddl\"");
    Proxy::start_with(&policy, &[("deny_ddl.wasm", plugin)], &[])
}

/// What each user gets for each statement; of an error what does not name a decision.
fn answers(proxy: &Proxy) -> Vec<String> {
    let error = |message: &Message| {
        let problem = message.problem();
        format!(" {} {} ({})", problem.code, problem.message, problem.hint)
    };
    let mut said = Vec::new();
    for user in ["app", "postgres"] {
        let mut wire = proxy.login(user);
        for sql in STATEMENTS {
            // What the second user may do is undone.
            let in_block = user == "postgres" && !matches!(*sql, "BEGIN" | "ROLLBACK");
            if in_block {
                wire.query("BEGIN");
            }
            for answer in [wire.query(sql), wire.extended(sql)] {
                let errors: String = answer
                    .iter()
                    .filter(|message| message.tag == 'E')
                    .map(error)
                    .collect();
                said.push(format!("{user} {sql}: {}{errors}", shape(&answer)));
            }
            if in_block {
                wire.query("ROLLBACK");
            }
        }
    }
    said
}

fn assert_same_as_rust(hook: &str, other: &[u8]) {
    let expected = answers(&with_plugin(hook, &plugins::example("deny_ddl")));
    let refused =
        "42501 schema changes (ddl) go through migrations (ask someone with a role that may)";
    assert!(
        expected
            .iter()
            .any(|said| said.starts_with("app") && said.ends_with(refused)),
        "{expected:#?}"
    );
    assert!(
        expected
            .iter()
            .all(|said| !(said.starts_with("postgres") && said.contains("42501"))),
        "{expected:#?}"
    );
    assert_eq!(answers(&with_plugin(hook, other)), expected);
}

#[test]
fn a_plugin_in_c_answers_as_the_one_in_rust() {
    let plugin = plugins::foreign(Language::C);
    HOOKS
        .into_iter()
        .for_each(|hook| assert_same_as_rust(hook, &plugin));
}

#[test]
fn a_plugin_in_assemblyscript_answers_as_the_one_in_rust() {
    if !has_node() {
        eprintln!("skipped: Node.js is not there");
        return;
    }
    let plugin = plugins::foreign(Language::AssemblyScript);
    HOOKS
        .into_iter()
        .for_each(|hook| assert_same_as_rust(hook, &plugin));
}

/// A rule says one message for all kinds, and is otherwise the same in four lines.
#[test]
fn a_rule_refuses_what_the_plugin_refuses() {
    let without_kind = |said: String| {
        ["(ddl) ", "(grant) ", "(unparsed) "]
            .iter()
            .fold(said, |said, kind| said.replace(kind, ""))
    };
    let plugin = answers(&with_plugin("authorize", &plugins::example("deny_ddl")));
    let plugin: Vec<String> = plugin.into_iter().map(without_kind).collect();
    let rule = Proxy::start(&base().stage("authorize", "no-ddl", RULE));
    assert_eq!(answers(&rule), plugin);
}

/// Both were written with a manifest, so that `check` knows what they are configured with.
#[test]
fn the_manifests_of_other_languages_are_read() {
    let mut languages = vec![Language::C];
    if has_node() {
        languages.push(Language::AssemblyScript);
    }
    for language in languages {
        let plugin = plugins::foreign(language);
        let proxy = with_plugin("authorize", &plugin);
        let text = std::fs::read_to_string(proxy.path("policy.toml")).expect("the policy");
        proxy.write_policy(&text.replace("roles = [\"r0\"", "rolse = [\"r0\""));
        let mut check = pgwarden(&["check"]);
        let said = Said::by(check.arg(proxy.path("policy.toml"))).all();
        assert!(
            said.contains("P0453") && said.contains("did you mean `roles`"),
            "{language:?}: {said}"
        );
    }
}
