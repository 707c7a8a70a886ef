//! Every script here is run twice, lowered and by Rhai, and must come to the same.

use super::super::super::Fault;
use super::super::super::GuestSpec;
use super::super::super::limits::FUEL_PER_NODE;
use super::super::super::tests::Stub;
use super::super::super::tests::ask_at;
use super::super::super::tests::stub;
use super::super::super::tests::trusted;
use super::super::ScriptGuest;
use super::super::load;
use super::super::load_script;
use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::abi::Fields;
use proptest::prelude::Just;
use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prop_oneof;
use proptest::proptest;
use std::sync::Arc;

const STATEMENTS: [&str; 6] = [
    "SELECT 1",
    "SELECT a, b FROM shop.tenant_7 JOIN tenant_8 USING (a) WHERE b = $1",
    "DELETE FROM tenant_8",
    "UPDATE \"T\" SET a = lower(b) WHERE c LIKE '%x%'",
    "DROP TABLE app.\u{e9}t\u{e9}",
    "EXPLAIN ANALYZE DELETE FROM t",
];

const HOOKS: [Hook; 5] = [
    Hook::Authenticate,
    Hook::Authorize,
    Hook::PreQuery,
    Hook::Route,
    Hook::OnConnect,
];

fn spec() -> GuestSpec {
    GuestSpec {
        hooks: HOOKS.to_vec(),
        config: Some(serde_json::json!({ "limit": 3, "word": "tenant", "on": true, "list": [1] })),
        ..trusted()
    }
}

fn both(script: &str) -> [ScriptGuest; 2] {
    let loaded = || load(script, spec()).unwrap_or_else(|errors| panic!("{script}\n{errors:?}"));
    let mut plain = loaded();
    plain.lowered = None;
    [loaded(), plain]
}

fn come_to(
    guest: &ScriptGuest,
    hook: Hook,
    sql: &str,
    services: &Arc<Stub>,
) -> Result<Answer, &'static str> {
    let ended = ask_at(guest, hook, sql, services);
    ended
        .map(|reply| reply.answer)
        .map_err(|failed| failed.fault.kind())
}

/// Whether lowered and plain come to the same everywhere; gives whether it was lowered.
fn same(script: &str) -> bool {
    let [lowered, plain] = both(script);
    let services = stub();
    for sql in STATEMENTS {
        for hook in HOOKS {
            assert_eq!(
                come_to(&lowered, hook, sql, &services),
                come_to(&plain, hook, sql, &services),
                "{script}\n{sql} at {hook}"
            );
        }
    }
    lowered.lowered.is_some()
}

#[test]
fn the_common_kind_is_lowered_and_means_the_same() {
    let scripts = [
        "if sql.kind == \"ddl\" { deny(\"no schema changes\") } else { next() }",
        "if sql.kind == \"ddl\" { return deny(\"42501\", \"no\", \"ask\"); } next()",
        "next()",
        "next();",
        "",
        "let a = 1; a = a + 2; if a == 3 { allow() }",
        "let x = 5; x += 1; x -= sql.bytes; let t = \"a\"; t += sql.kind; deny(`${x} ${t}`)",
        "let t = \"a\"; t += 1; t += (); deny(t)",
        "let a = 1; { let a = 5; } if a == 1 { deny(\"shadow\") }",
        "let a = 1; let a = `${a}x`; if a == \"1x\" { deny(a) }",
        "for t in sql.tables { if t.name.starts_with(\"tenant_\") && t.name != `tenant_${user.tenant}` { return deny(`${t.name} belongs to another tenant`); } } next()",
        "for t in sql.tables { if t.schema == () { continue; } if t.schema == \"shop\" { deny(t.schema); } else { break; } }",
        "for (t, i) in sql.tables { if i == 1 { return deny(`second: ${t.name}`); } }",
        "for k in sql.kinds { if k == \"delete\" { return deny(k); } }",
        "if \"delete\" in sql.kinds || \"ddl\" in sql.kinds { deny(\"x\") } else { defer() }",
        "if \"dba\" !in user.roles { deny(\"x\") }",
        "if !user.has_role(\"dba\") || sql.has_kind(\"update\") { deny(\"has\") }",
        "if user.attributes.team == \"red\" && \"team\" in user.attributes { deny(user.attributes.team) }",
        "if user.attributes.nothing == 1 { deny(\"x\") }",
        "if sql.text.contains(\"tenant\") && sql.text.len() > 20 { rewrite(sql.text.to_lower()) }",
        "if sql.bytes > config.limit * 10 { deny(config.word + \" \" + sql.normalized) }",
        "if config.on { route(\"node:\" + config.word) } else { route(\"nowhere\") }",
        "route(if sql.read_only { \"standby\" } else { \"primary\" })",
        "route(\"nowhere\")",
        "deny(\"00000\", \"no error\")",
        "deny(\"not a code\", \"x\")",
        "deny(5)",
        "let m = if sql.has_where { \"where\" } else if sql.has_cte { \"with\" } else { \"none\" }; deny(m)",
        "if sql.tables.len() == 2 { deny(`${sql.tables.len()} tables, ${sql.read_only} ${hook}`) }",
        "if sql.tables.is_empty() && user.roles.len() == 2 && !session.app.is_empty() { deny(session.client) }",
        "if sql.fingerprint.len() == 16 && session.request_id.len() == 36 { deny(`${sql.fingerprint} ${session.client_id}`) }",
        "if session.branch == () { deny(`<${session.branch}>`) }",
        "if user.tenant != 7 && user.tenant == \"7\" && () != 1 { deny(\"types\") }",
        "if \"abc\" < \"abd\" && 3 >= 3 && 2 < 3 && !(\"b\" <= \"a\") { deny(\"order\") }",
        "if sql.kind { deny(\"not a flag\") }",
        "if 1 < \"a\" { deny(\"x\") } else { allow() }",
        "if () < () || true < false { deny(\"x\") }",
        "9223372036854775807 + sql.bytes",
        "if 9223372036854775807 + sql.bytes > 0 { next() }",
        "let v = deny(\"kept\"); if sql.read_only { v } else { next() }",
        "5",
        "\"text\"",
        "for x in user.name { next() }",
        "for a in sql.columns { for b in sql.columns { for c in sql.functions { if a == b && c.name == \"lower\" { return deny(a); } } } }",
        "return;",
        "return allow();",
        "if user.name in [\"bob\", \"ada\", 7] { deny(user.name) } else if sql.kind !in [\"select\"] { allow() }",
        "if sql.bytes in [1, 8, 22] || () in [\"a\"] || true in [1] { deny(`${sql.bytes}`) }",
        "if sql.kinds in [\"select\"] { deny(\"x\") }",
        "deny(session.branch ?? user.tenant ?? \"none\")",
        "let t = user.tenant ?? 0; if t ?? () == \"7\" { deny(user.attributes.team ?? \"x\") }",
        "let p = `tenant_${user.tenant}`; for t in sql.tables { if t.name == p || p == t.schema { let q = p; q += \"!\"; return deny(`${p} ${q}`); } }",
        "deny(\"constant\"); rewrite(\"SELECT 2\")",
        "deny(\"55000\", \"constant\", sql.kind)",
        "if sql.text.starts_with(\"\u{44}\") && sql.text.ends_with(\"\u{e9}\") { deny(sql.text.to_upper()) }",
    ];
    for script in scripts {
        assert!(same(script), "not lowered: {script}");
    }
}

#[test]
fn what_has_effects_or_is_not_known_is_left_to_rhai() {
    let scripts = [
        "log::info(sql.kind); next()",
        "kv::set(\"a\", \"b\"); next()",
        "let a = [1, 2]; if a.len() == 2 { deny(\"x\") }",
        "fn f(x) { x + 1 } if f(1) == 2 { deny(\"x\") }",
        "let x = 7; x %= 4; if x == 3 { deny(\"x\") }",
        "while true { return next(); }",
        "switch sql.kind { \"select\" => allow(), _ => deny(\"x\") }",
        "rows([\"a\"], [[\"1\"]])",
        "if sql.text.split(\" \").len() > 3 { deny(\"x\") }",
        "try { deny(5) } catch { next() }",
    ];
    for script in scripts {
        assert!(!same(script), "lowered: {script}");
    }
}

/// The scripts of a text that holds them between `'''`.
fn quoted(text: &str) -> Vec<&str> {
    text.split("'''").skip(1).step_by(2).collect()
}

#[test]
fn the_scripts_of_the_example_policies_are_lowered() {
    let texts = [
        include_str!("../../../../policies/quickstart.toml"),
        include_str!("../../../../policies/tenant-isolation.toml"),
        include_str!("../../../../docs/scripts.md"),
    ];
    for text in texts {
        let scripts = quoted(text);
        assert!(!scripts.is_empty(), "{text}");
        // One shows mistakes.
        for script in scripts
            .into_iter()
            .filter(|script| !script.contains("event.nam)"))
        {
            assert!(same(script), "not lowered: {script}");
        }
    }
}

#[test]
fn a_list_that_rhai_would_not_hold_is_left_to_it() {
    let names = |count: usize, name: &str| {
        let names: Vec<String> = (0..count).map(|number| format!("{name}{number}")).collect();
        names.join(", ")
    };
    let services = stub();
    for script in [
        "for t in sql.tables { if t.name == \"t3\" { return deny(t.name); } }",
        "if sql.tables.len() > 3 { deny(`${sql.tables.len()}`) }",
        "for c in sql.columns { if c.ends_with(\"3\") { return deny(c); } }",
        "if \"c3\" in sql.columns { deny(\"in\") }",
    ] {
        let [lowered, plain] = both(script);
        assert!(lowered.lowered.is_some(), "{script}");
        for (columns, tables) in [(2, 2), (2, 600), (1_000, 2), (1_500, 1_100), (4_500, 1)] {
            let long = "c".repeat(30);
            for column in ["c", &long] {
                let sql = format!(
                    "SELECT {} FROM {}",
                    names(columns, column),
                    names(tables, "t")
                );
                assert_eq!(
                    come_to(&lowered, Hook::Authorize, &sql, &services),
                    come_to(&plain, Hook::Authorize, &sql, &services),
                    "{script} with {columns} columns and {tables} tables"
                );
            }
        }
    }
}

#[test]
fn a_field_that_is_not_in_the_set_is_not_read() {
    for script in [
        "deny(user.name)",
        "if user.has_role(\"dba\") { deny(\"x\") }",
        "deny(user.attributes.team)",
    ] {
        let mut guest = load(script, spec()).unwrap();
        assert!(come_to(&guest, Hook::Authorize, "SELECT 1", &stub()).is_ok());
        Arc::get_mut(&mut guest.profile).unwrap().fields = Fields::NONE;
        assert_eq!(
            come_to(&guest, Hook::Authorize, "SELECT 1", &stub()),
            Err("trap"),
            "{script}"
        );
    }
}

#[test]
fn an_input_is_weighed_as_its_frame() {
    let script = "if sql.kind == \"ddl\" { deny(`${user.name} ${sql.tables.len()}`) }";
    let sql = "DROP TABLE shop.orders";
    for input_bytes_max in 60..100 {
        let spec = |input_bytes_max| {
            let mut spec = spec();
            spec.limits.input_bytes_max = input_bytes_max;
            spec
        };
        let lowered = load(script, spec(input_bytes_max)).unwrap();
        let mut plain = load(script, spec(input_bytes_max)).unwrap();
        plain.lowered = None;
        let fault = |guest| ask_at(guest, Hook::Authorize, sql, &stub()).map_err(|it| it.fault);
        let (lowered, plain) = (fault(&lowered), fault(&plain));
        let answers = (
            lowered.map(|reply| reply.answer),
            plain.map(|reply| reply.answer),
        );
        assert_eq!(answers.0, answers.1, "{input_bytes_max}");
    }
}

#[test]
fn loops_within_loops_end_with_the_fuel_and_the_deadline() {
    let columns: Vec<String> = (0..200).map(|number| format!("c{number}")).collect();
    let sql = format!("SELECT {} FROM t", columns.join(", "));
    let script = "for a in sql.columns { for b in sql.columns { for c in sql.columns { if a == \"\" { return next(); } } } }";
    let guest = load_script(script, spec()).unwrap();
    let failed = ask_at(&*guest, Hook::Authorize, &sql, &stub()).unwrap_err();
    assert_eq!(failed.fault, Fault::OutOfFuel);
    assert_eq!(failed.fuel, spec().limits.fuel);
    let slow = Arc::new(Stub::ticking(std::time::Duration::from_millis(6)));
    let failed = ask_at(&*guest, Hook::Authorize, &sql, &slow).unwrap_err();
    assert_eq!(failed.fault, Fault::Deadline);
}

/// Also where nothing is looked at that has a length.
#[test]
fn each_step_is_paid_for() {
    let script = |steps: usize| {
        let all = vec!["sql.read_only"; steps].join(" && ");
        format!("if {all} {{ deny(\"x\") }} else {{ next() }}")
    };
    let fuel = |steps: usize, most: u64| {
        let mut spec = spec();
        spec.limits.fuel = most;
        let guest = load(&script(steps), spec).unwrap();
        assert!(guest.lowered.is_some());
        ask_at(&guest, Hook::Authorize, "SELECT 1", &stub())
    };
    let most = spec().limits.fuel;
    let (few, many) = (fuel(2, most).unwrap().fuel, fuel(22, most).unwrap().fuel);
    assert_eq!(many - few, 20 * FUEL_PER_NODE);
    assert_eq!(fuel(22, many - 1).unwrap_err().fault, Fault::OutOfFuel);
}

#[test]
fn texts_that_are_kept_count_as_memory() {
    let mut spec = spec();
    spec.limits.memory_bytes_max = 100;
    let script = "let a = sql.text.to_lower(); let b = sql.text.to_lower(); let c = a + b; next()";
    let guest = load(script, spec).unwrap();
    assert!(guest.lowered.is_some());
    let sql = format!("SELECT {}", "x".repeat(60));
    let failed = ask_at(&guest, Hook::Authorize, &sql, &stub()).unwrap_err();
    assert_eq!(failed.fault, Fault::OutOfMemory);
}

fn text() -> impl Strategy<Value = String> {
    let atoms = [
        "sql.kind",
        "user.name",
        "user.tenant",
        "sql.text",
        "session.app",
        "hook",
        "config.word",
        "\"ddl\"",
        "\"tenant\"",
        "\"\"",
        "\"a\"",
        "session.branch",
        "sql.fingerprint",
        "t",
        "n.name",
        "n.schema",
    ];
    proptest::sample::select(atoms.to_vec()).prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = String> {
    let atoms = [
        "0",
        "1",
        "7",
        "sql.bytes",
        "sql.param_count",
        "config.limit",
        "sql.tables.len()",
        "sql.text.len()",
        "i",
        "9223372036854775807",
    ];
    proptest::sample::select(atoms.to_vec()).prop_map(str::to_owned)
}

fn any_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![4 => text(), 2 => number(), 1 => Just("()".to_owned()), 1 => Just("true".to_owned())];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (
                inner.clone(),
                inner.clone(),
                proptest::sample::select(vec!["+", "-", "*"])
            )
                .prop_map(|(a, b, op)| format!("({a} {op} {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("`${{{a}}}-${{{b}}}`")),
            inner.clone().prop_map(|a| format!("({a}).to_lower()")),
            inner.prop_map(|a| format!("({a}).len()")),
        ]
    })
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (
            any_value(),
            any_value(),
            proptest::sample::select(vec!["==", "!=", "<", "<=", ">", ">="])
        )
            .prop_map(|(a, b, op)| format!("{a} {op} {b}")),
        (
            any_value(),
            proptest::sample::select(vec![
                "sql.kinds",
                "user.roles",
                "user.attributes",
                "sql.text"
            ])
        )
            .prop_map(|(a, list)| format!("{a} in {list}")),
        (
            text(),
            text(),
            proptest::sample::select(vec!["contains", "starts_with", "ends_with"])
        )
            .prop_map(|(a, b, method)| format!("{a}.{method}({b})")),
        Just("sql.read_only".to_owned()),
        Just("sql.has_where".to_owned()),
        text().prop_map(|a| format!("user.has_role({a})")),
        any_value(),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

fn script() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("next();".to_owned()),
        Just("allow()".to_owned()),
        any_value().prop_map(|a| format!("deny({a})")),
        any_value().prop_map(|a| format!("return deny(`<${{{a}}}>`);")),
        any_value().prop_map(|a| format!("t = {a};")),
        any_value().prop_map(|a| format!("t += {a};")),
        any_value().prop_map(|a| format!("let i = {a};")),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            (condition(), inner.clone(), inner.clone())
                .prop_map(|(c, a, b)| format!("if {c} {{ {a} }} else {{ {b} }}")),
            (condition(), inner.clone()).prop_map(|(c, a)| format!("if {c} {{ {a} }}")),
            inner
                .clone()
                .prop_map(|a| format!("for (n, i) in sql.tables {{ {a} }}")),
            inner
                .clone()
                .prop_map(|a| format!("for t in sql.kinds {{ {a} }}")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{{ {a} }} {b}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_lowered_means_what_rhai_makes_of_it(body in script()) {
        let script = format!("let t = \"t\"; let i = 3; let n = \"n\"; {body}");
        if load_script(&script, spec()).is_ok() {
            same(&script);
        }
    }
}
