//! Plugins made for heliosdb-proxy: what a policy may say of them, and the attributes they are told.

use super::*;
use crate::digest::sha256_hex;

/// A policy with a plugin and a stage at these hooks that asks it.
fn with(plugin: &str, hooks: &[&str], stage: &str) -> Memory {
    let module = b"any bytes";
    let listed: String = hooks
        .iter()
        .map(|hook| format!("{hook} = [\"s\"]\n"))
        .collect();
    let root = SMALLEST.replace("otherwise", &format!("{listed}otherwise"));
    let hash = sha256_hex(module);
    let text = format!(
        "{root}[plugin.p]\npath = \"p.wasm\"\nsha256 = \"{hash}\"\n{plugin}\n[stage.s]\nhook = {hooks:?}\nplugin = \"p\"\n{stage}\n"
    );
    Memory::default()
        .file("policy.toml", text)
        .file("p.wasm", module)
}

const HELIOS: &str = "abi = \"helios-1\"";

#[test]
fn attributes_are_read_into_fields() {
    let stage = "attributes = { tenant_id = \"user.tenant\", team = \"user.attributes.team\", rows = \"result.rows\" }";
    let policy = with(HELIOS, &["pre_query", "post_query"], stage).policy();
    let shown: Vec<String> = policy.stages[0]
        .attributes
        .iter()
        .map(crate::policy::attributes::shown)
        .collect();
    assert_eq!(
        shown,
        [
            "tenant_id = user.tenant",
            "team = user.attributes.team",
            "rows = result.rows"
        ]
    );
    let other = with(
        HELIOS,
        &["pre_query", "post_query"],
        &stage.replace("user.tenant", "user.id"),
    );
    assert!(policy.revision != other.policy().revision);
}

/// Plugin table, hooks, stage, code, what is said.
const MISTAKEN: &[(&str, &[&str], &str, &str, &str)] = &[
    (
        HELIOS,
        &["pre_query"],
        "attributes = { t = \"user.tenent\" }",
        "P0301",
        "did you mean `user.tenant`?",
    ),
    (
        HELIOS,
        &["pre_query"],
        "attributes = { t = \"tenant\" }",
        "P0301",
        "no field `tenant`",
    ),
    (
        HELIOS,
        &["pre_query"],
        "attributes = { t = \"user.claims\" }",
        "P0501",
        "write `user.claims.NAME`",
    ),
    (
        HELIOS,
        &["pre_query"],
        "attributes = { t = \"user.tenant.x\" }",
        "P0501",
        "write `user.tenant`",
    ),
    (
        HELIOS,
        &["pre_query"],
        "attributes = { t = \"sql.text\" }",
        "P0609",
        "needs `sql.text` in `see`",
    ),
    (
        HELIOS,
        &["pre_query"],
        "attributes = { t = \"result.rows\" }",
        "P0603",
        "`result` does not exist at `pre_query`",
    ),
    (
        HELIOS,
        &["pre_query"],
        "attributes = { t = 7 }",
        "P0202",
        "text",
    ),
    (
        HELIOS,
        &["authenticate"],
        "attributes = { t = \"user.tenant\" }",
        "P0208",
        "none at `authenticate`",
    ),
    (
        "",
        &["pre_query"],
        "attributes = { t = \"user.tenant\" }",
        "P0208",
        "asks no plugin with `abi = \"helios-1\"`",
    ),
];

#[test]
fn attributes_that_say_nothing_are_mistakes() {
    for (plugin, hooks, stage, code, said) in MISTAKEN {
        let (policy, report) = with(plugin, hooks, stage).load(None);
        let text = report.render(Colour::Never);
        assert!(
            policy.is_none() && text.contains(code) && text.contains(said),
            "{stage}\n{text}"
        );
    }
}

#[test]
fn what_such_a_plugin_cannot_have_is_a_mistake() {
    for (keys, code, said) in [
        ("state = \"kept\"", "P0610", "fresh memory for each call"),
        ("config = { a = 1 }", "P0208", "`config` has no effect"),
        ("fuel = 4_000_001", "P0607", "at most 4000000"),
    ] {
        let (policy, report) = with(&format!("{HELIOS}\n{keys}"), &["pre_query"], "").load(None);
        let text = report.render(Colour::Never);
        assert!(
            policy.is_none() && text.contains(code) && text.contains(said),
            "{text}"
        );
    }
    let (_, report) = with("abi = \"helios-2\"", &["pre_query"], "").load(None);
    let text = report.render(Colour::Never);
    assert!(
        text.contains("P0502") && text.contains("helios-1"),
        "{text}"
    );
}

#[test]
fn its_fuel_is_more_unless_a_ceiling_is_written() {
    let fuel = |plugin: &str, more: &str| {
        let policy = with(plugin, &["pre_query"], more).policy();
        policy.stages[0].limits.fuel
    };
    assert_eq!(fuel("", ""), 2_000_000);
    assert_eq!(fuel(HELIOS, ""), 4_000_000);
    assert_eq!(fuel(HELIOS, "fuel = 1_000"), 1_000);
    assert_eq!(fuel(HELIOS, "[sandbox]\nfuel = 3_000_000"), 3_000_000);
    assert_eq!(fuel("abi = \"helios-1\"\nfuel = 9_000", ""), 9_000);
}

#[test]
fn a_plugin_that_is_shown_no_text_is_a_warning() {
    let warned = |plugin: &str, hook: &str, more: &str| {
        let (policy, report) = with(plugin, &[hook], more).load(None);
        let text = report.render(Colour::Never);
        assert!(policy.is_some(), "{text}");
        text.contains("P0459")
    };
    assert!(warned(HELIOS, "pre_query", ""));
    assert!(!warned("", "pre_query", ""));
    assert!(!warned(HELIOS, "on_connect", ""));
    for see in ["sql.text", "sql.normalized"] {
        let more = format!("permissions = \"q\"\n[permissions.q]\nsee = [\"{see}\"]");
        assert!(!warned(HELIOS, "pre_query", &more));
    }
}
