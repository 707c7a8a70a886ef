//! What comes out of the process's environment: that it is another is told, and never what it is.

use super::BASE;
use super::told;
use crate::policy::Policy;
use crate::policy::tests::Memory;

/// What must not be seen.
const VALUES: [&str; 2] = ["hunter2", "hunter3"];

fn policy(text: &str, value: &str) -> Policy {
    Memory::default()
        .file("policy.toml", text)
        .file("cert.pem", "-----BEGIN CERTIFICATE-----\n")
        .file("key.pem", "-----BEGIN PRIVATE KEY-----\n")
        .file("pw", "secret")
        .variable("BOB", "secret")
        .variable("HIDDEN", value)
        .policy()
}

/// What stands in the base, the same with `REFERENCE` in the place of a value, and the line.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "host = \"10.0.0.1\"",
        "host = REFERENCE",
        "changes node.pg.address: 10.0.0.1:5432 -> REFERENCE",
    ),
    (
        "unless = { app = \"batch*\" }",
        "unless = { app = REFERENCE }",
        "changes stage.reads.unless.app: batch* -> REFERENCE",
    ),
    (
        "unless = { app = \"batch*\" }",
        "unless = { app = [\"batch*\", REFERENCE] }",
        "narrows stage.reads.unless.app: \"batch*\" -> REFERENCE",
    ),
    (
        "when = { kind = [\"insert\", \"update\"], client = \"10.0.0.0/8\" }",
        "when = { kind = [\"insert\", \"update\"], client = \"10.0.0.0/8\", attr.tenant = REFERENCE }",
        "widens stage.no-writes.when.attr.tenant: none -> REFERENCE",
    ),
    (
        "deny = { message = \"no\" }",
        "deny = { message = REFERENCE }",
        "changes stage.no-writes.deny: other words",
    ),
    (
        "login = { user = \"proxy\",",
        "login = { user = REFERENCE,",
        "changes pool.main.login.user: \"proxy\" -> REFERENCE",
    ),
    (
        "namespace = \"n\"",
        "namespace = REFERENCE",
        "changes permissions.budget.kv: REFERENCE",
    ),
    (
        "[user.bob]\n",
        "[user.bob]\nattributes = { tenant = REFERENCE }\n",
        "changes user.bob.attributes: {} -> REFERENCE",
    ),
];

#[test]
fn a_value_of_the_environment_is_told_as_its_reference() {
    let variable = BASE.replacen(
        "name   = \"shop\"",
        "name   = \"shop\"\nvars.hidden = { env = \"HIDDEN\" }",
        1,
    );
    for (reference, base) in [
        ("{ env = \"HIDDEN\" }", BASE),
        ("{ var = \"hidden\" }", &*variable),
    ] {
        for (from, to, line) in CHANGES {
            let to = to.replace("REFERENCE", reference);
            let text = base.replacen(from, &to, 1);
            assert_ne!(text, base, "{from}");
            let (plain, one) = (policy(base, VALUES[0]), policy(&text, VALUES[0]));
            let other = policy(&text, VALUES[1]);
            let there = told(&plain, &one);
            let line = line.replace("REFERENCE", reference);
            if !line.contains("permissions") {
                assert_eq!(there, [line.as_str()], "{to}");
            }
            let again = told(&one, &other);
            assert_eq!(again.len(), 1, "{to}: {again:?}");
            let is_named = again[0].contains(&format!("another value of {reference}"));
            assert!(is_named || again[0].ends_with(": other words"), "{again:?}");
            for line in [there, told(&other, &plain), again].concat() {
                let shows = VALUES.iter().any(|value| line.contains(value));
                assert!(!shows, "{line}");
            }
        }
    }
}

#[test]
fn what_comes_and_goes_shows_no_value_of_the_environment() {
    let more = "[pool.more]\ndatabase = { env = \"HIDDEN\" }\nnodes = \"pg\"\n[role.app]";
    let more = BASE.replacen("[role.app]", more, 1);
    let (base, more) = (policy(BASE, VALUES[0]), policy(&more, VALUES[0]));
    assert_eq!(told(&base, &more), ["widens pool.more: new"]);
    assert_eq!(told(&more, &base), ["narrows pool.more: removed"]);
}
