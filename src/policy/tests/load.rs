//! `load` of permissions and stages, and what tests give in its place.

use super::*;
use crate::sandbox::QueryNode;
use std::time::Duration;

const POOL: &str = r#"
[pool.shop]
database = "shop"
nodes    = ["pg"]
login    = { user = "proxy" }

[user.ada]
trust = true
"#;
const PERMISSIONS: &str = r#"
[permissions.tenant]
see  = ["sql.tables"]
call = ["load"]
load = { pool = "shop", max_rows = 1, timeout = "20ms", statements = { tenant_of = "select tenant from app_users where login = $1" } }
"#;
const STAGE: &str = r#"
[stage.tenants]
hook        = "authorize"
permissions = "tenant"
load        = { tenant = { statement = "tenant_of", args = ["user.name"], cache = "60s" } }
script      = 'if load.tenant == () { deny("no tenant") } else { next() }'
"#;

fn memory(text: &str) -> Memory {
    let root = SMALLEST.replace("otherwise", "authorize = [\"tenants\"]\notherwise");
    Memory::default().file("policy.toml", format!("{root}\n{text}"))
}

fn right() -> String {
    format!("{POOL}{PERMISSIONS}{STAGE}")
}

#[test]
fn a_stage_loads_a_declared_statement() {
    let policy = memory(&right()).policy();
    let [load] = &policy.stages[0].loads[..] else {
        panic!("one load");
    };
    assert_eq!(&*load.name, "tenant");
    assert_eq!(load.cache, Some(Duration::from_secs(60)));
    let statement = &load.statement;
    assert_eq!((&*statement.pool, &*statement.database), ("shop", "shop"));
    assert_eq!((statement.params, statement.max_rows), (1, 1));
    assert_eq!(statement.node, QueryNode::Primary);
    assert_eq!(statement.timeout, Duration::from_millis(20));
    let revision = |text: &str| memory(text).policy().revision;
    let same = right()
        .replace("permissions.tenant", "permissions.other")
        .replace("permissions = \"tenant\"", "permissions = \"other\"");
    assert_eq!(
        revision(&right()),
        revision(&same),
        "a set's name is a name"
    );
    for (old, new) in [
        ("max_rows = 1", "max_rows = 2"),
        ("where login = $1", "where name = $1"),
        ("\"user.name\"", "\"session.app\""),
        ("cache = \"60s\"", "cache = \"61s\""),
    ] {
        let changed = revision(&right().replace(old, new));
        assert_ne!(revision(&right()), changed, "{new}");
    }
}

/// What is replaced in the right policy, the code, and what is said.
const WRONG: &[(&str, &str, &str, &str)] = &[
    (
        "pool = \"shop\"",
        "pool = \"shpo\"",
        "P0301",
        "did you mean `shop`?",
    ),
    (
        "login    = { user = \"proxy\" }",
        "",
        "P0610",
        "has no `login`",
    ),
    (
        "database = \"shop\"",
        "database = \"shop*\"",
        "P0201",
        "need one database",
    ),
    (
        "max_rows = 1,",
        "node = \"standby\",",
        "P0610",
        "pool `shop` has no standby",
    ),
    ("max_rows = 1,", "max_rows = 1001,", "P0503", "1 to 1000"),
    ("\"20ms\"", "\"61s\"", "P0503", "at most 1m"),
    (
        "max_rows = 1,",
        "max_bytes = \"17MiB\",",
        "P0503",
        "at most 16MiB",
    ),
    (
        "where login = $1",
        "where login = $1 for update",
        "P0611",
        "`tenant_of` is not proven",
    ),
    (
        "select tenant",
        "select nextval('s'), tenant",
        "P0611",
        "not proven",
    ),
    (
        "select tenant",
        "select my_own(tenant)",
        "P0611",
        "not proven",
    ),
    (
        "login = $1\"",
        "login = $1; select 1\"",
        "P0611",
        "not proven",
    ),
    (
        "select tenant from app_users where login = $1",
        "delete from app_users where login = $1",
        "P0611",
        "not proven",
    ),
    (
        "select tenant from app_users where login = $1",
        "show all",
        "P0611",
        "not proven",
    ),
    (
        "call = [\"load\"]",
        "call = [\"log\"]",
        "P0208",
        "no effect without `load` or `query`",
    ),
    ("load = { pool", "kv = { pool", "P0201", "need statements"),
    (
        "statement = \"tenant_of\"",
        "statement = \"tenant_fo\"",
        "P0301",
        "did you mean `tenant_of`?",
    ),
    (
        "args = [\"user.name\"], ",
        "",
        "P0612",
        "takes 1 arguments, and gets 0",
    ),
    (
        "[\"user.name\"]",
        "[\"user.name\", \"session.app\"]",
        "P0612",
        "gets 2",
    ),
    (
        "\"user.name\"",
        "\"user.nmae\"",
        "P0301",
        "did you mean `user.name`?",
    ),
    (
        "\"user.name\"",
        "\"user.roles\"",
        "P0501",
        "a list is no argument",
    ),
    (
        "\"user.name\"",
        "\"user.attributes\"",
        "P0501",
        "`user.attributes.NAME`",
    ),
    (
        "\"user.name\"",
        "\"user.name.first\"",
        "P0501",
        "has no entries",
    ),
    (
        "\"user.name\"",
        "\"result.node\"",
        "P0603",
        "no value at `authorize`",
    ),
    (
        "\"user.name\"",
        "\"sql.text\"",
        "P0609",
        "needs `sql.text` in `see`",
    ),
    (
        "\"user.name\"",
        "\"auth.password\"",
        "P0301",
        "unknown field",
    ),
    (
        "load        = { tenant",
        "load        = { Tenant",
        "P0205",
        "a script can write",
    ),
    (
        "permissions = \"tenant\"",
        "",
        "P0609",
        "the standard permissions do not grant",
    ),
    (
        "script      = 'if load.tenant == () { deny(\"no tenant\") } else { next() }'",
        "deny = \"no\"",
        "P0208",
        "`load` has no effect",
    ),
];

#[test]
fn what_is_wrong_is_told_where_it_stands() {
    for (old, new, code, said) in WRONG {
        assert!(right().contains(old), "{old}");
        let (policy, report) = memory(&right().replacen(old, new, 1)).load(None);
        let text = report.render(Colour::Never);
        assert!(policy.is_none(), "{new}");
        assert!(text.contains(code) && text.contains(said), "{new}\n{text}");
        assert!(text.contains("policy.toml:"), "{text}");
    }
}

#[test]
fn arguments_may_be_entries_and_what_the_stage_may_see() {
    for (see, arg) in [
        ("sql.tables", "user.attributes.team"),
        ("sql.tables", "user.claims.sub"),
        ("sql.text", "sql.text"),
        ("sql.kind", "sql.kind"),
    ] {
        let text = right().replace("\"sql.tables\"", &format!("{see:?}"));
        let policy = memory(&text.replace("user.name", arg)).policy();
        assert_eq!(policy.stages[0].loads[0].args.len(), 1, "{arg}");
    }
}

#[test]
fn tests_give_rows_for_all_steps_or_for_one() {
    let test = r#"
[[test]]
name   = "t"
given  = { user = "ada", load = { tenant = "3" }, query = { tenant_of = [{ a = "1" }, { b = "2" }] }, steps = ["SELECT 1", { sql = "SELECT 2", load = { tenant = [] } }] }
expect = { verdict = "allow" }
"#;
    let policy = memory(&format!("{}{test}", right())).policy();
    let given = &policy.tests[0].cases[0].given;
    let tenant = &given.mocks.loads["tenant"];
    assert_eq!(tenant.rows, [[Some("3".to_owned())]]);
    let queried = &given.mocks.queries["tenant_of"];
    assert_eq!(queried.columns, ["a", "b"]);
    let rows = [[Some("1".to_owned()), None], [None, Some("2".to_owned())]];
    assert_eq!(queried.rows, rows);
    assert_eq!(&*given.steps[1].sql, "SELECT 2");
    assert!(given.steps[1].mocks.loads["tenant"].rows.is_empty());
    assert!(given.steps[0].mocks.loads.is_empty());
    for (old, new, said) in [
        (
            "load = { tenant = \"3\" }",
            "load = { tennat = \"3\" }",
            "did you mean `tenant`?",
        ),
        (
            "query = { tenant_of",
            "query = { tenant_fo",
            "did you mean `tenant_of`?",
        ),
        ("tenant = \"3\"", "tenant = 3", "expected text"),
        ("tenant = []", "tenant = [\"3\"]", "a table for a row"),
    ] {
        let (policy, report) = memory(&format!("{}{}", right(), test.replace(old, new))).load(None);
        let text = report.render(Colour::Never);
        assert!(policy.is_none() && text.contains(said), "{new}\n{text}");
    }
}
