//! Plugins: which code, who vouches for it, and what it may use, told once however many stages ask it.

use super::told;
use crate::policy::Policy;
use crate::policy::tests::Memory;

const BASE: &str = r#"
policy = 1
name = "p"
listener.l.bind = "127.0.0.1:1"
node.n = { role = "primary", host = "h" }
pool.p = { database = "*", nodes = "n" }

[plugin.guard]
path = "guard.wasm"
sha256 = { file = "guard.wasm.sha256" }
fuel = 100

[stage.one]
hook = "authorize"
plugin = "guard"

[stage.two]
hook = "pre_query"
plugin = "guard"
fuel = 50

[pipeline.default]
pre_query = ["two"]
authorize = ["one"]
otherwise = { authorize = "allow" }
"#;

fn policy(text: &str, module: &str) -> Policy {
    let hash = crate::digest::sha256_hex(module.as_bytes());
    Memory::default()
        .file("policy.toml", text)
        .file("guard.wasm", module)
        .file("guard.wasm.sha256", hash)
        .policy()
}

#[test]
fn other_bytes_are_other_code() {
    let lines = told(&policy(BASE, "one"), &policy(BASE, "two"));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("changes plugin.guard.sha256: "),
        "{lines:?}"
    );
}

#[test]
fn what_a_plugin_has_is_not_told_of_its_stages_again() {
    for (from, to, there, back) in [
        (
            "fuel = 100",
            "fuel = 200",
            "widens plugin.guard.fuel: 100 -> 200",
            "narrows plugin.guard.fuel: 200 -> 100",
        ),
        (
            "fuel = 100",
            "fuel = 100\nstate = \"kept\"",
            "widens plugin.guard.state: fresh -> kept",
            "narrows plugin.guard.state: kept -> fresh",
        ),
        (
            "fuel = 50",
            "fuel = 60",
            "widens stage.two.fuel: 50 -> 60",
            "narrows stage.two.fuel: 60 -> 50",
        ),
        (
            "fuel = 100",
            "fuel = 100\nconfig = { a = 1 }",
            "changes plugin.guard.config: other configuration",
            "changes plugin.guard.config: other configuration",
        ),
    ] {
        let (old, new) = (policy(BASE, "m"), policy(&BASE.replacen(from, to, 1), "m"));
        assert_eq!(told(&old, &new), [there]);
        assert_eq!(told(&new, &old), [back]);
    }
}

#[test]
fn a_plugin_that_may_use_less_may_fail_more_often() {
    let open = BASE.replacen("fuel = 50", "fuel = 50\non_failure = \"open\"", 1);
    let more = open.replacen("fuel = 100", "fuel = 200", 1);
    let (less, more) = (policy(&open, "m"), policy(&more, "m"));
    assert_eq!(told(&less, &more), ["widens plugin.guard.fuel: 100 -> 200"]);
    assert_eq!(
        told(&more, &less),
        ["changes plugin.guard.fuel: 200 -> 100"]
    );
}
