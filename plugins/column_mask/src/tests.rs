//! What is rewritten to what, what is refused, and what is let through as it is.

use super::*;
use pgwarden_guest::testing::Input;
use pgwarden_guest::testing::host;

const TABLES: &str = r#"{"users":{"schema":"public","columns":["id","na\"me","email"],"masks":{"email":"left(email, 1) || '*'"}},
    "Cards":{"schema":"pay","columns":["pan"],"masks":{"pan":"null::text"}}}"#;
const USERS: &str = r#""users" AS NOT MATERIALIZED (SELECT "id", "na""me", (left(email, 1) || '*') AS "email" FROM "public"."users")"#;
const CARDS: &str =
    r#""Cards" AS NOT MATERIALIZED (SELECT (null::text) AS "pan" FROM "pay"."Cards")"#;

fn ask(role: &str, kinds: &[&str], tables: &[(Option<&str>, &str)], sql: &str) -> Verdict {
    host(|host| {
        host.config
            .entry("tables".to_owned())
            .or_insert_with(|| TABLES.to_owned());
        host.config
            .insert("exempt_roles".to_owned(), r#"["dba", "audit"]"#.to_owned());
    });
    let kinds: Vec<Option<&str>> = kinds.iter().copied().map(Some).collect();
    let names: Vec<Option<&str>> = tables
        .iter()
        .flat_map(|(schema, name)| [*schema, Some(*name)])
        .collect();
    Input::new()
        .items(Field::UserRoles, &[Some(role)])
        .items(Field::Kinds, &kinds)
        .items(Field::Tables, &names)
        .large(Field::Text, sql)
        .ask(decide)
}

fn rewritten(tables: &[(Option<&str>, &str)], sql: &str) -> String {
    ask("app", &["select"], tables, sql)
        .value(5)
        .unwrap_or_else(|| panic!("{sql} is rewritten"))
}

#[track_caller]
fn refused(verdict: Verdict, part: &str) {
    let (code, message) = verdict.refusal().expect("a refusal");
    assert_eq!(code, "42501");
    assert!(message.contains(part), "{message}");
}

#[test]
fn a_with_of_the_tables_name_stands_before_everything() {
    let users = [(None, "users")];
    assert_eq!(
        rewritten(&users, "SELECT email FROM users WHERE id = $1"),
        format!("WITH {USERS} SELECT email FROM users WHERE id = $1")
    );
    assert_eq!(
        rewritten(&users, "with recursive a as (table users) table a"),
        format!("with recursive {USERS}, a as (table users) table a")
    );
    assert_eq!(
        rewritten(&users, "EXPLAIN (costs off) SELECT 1 FROM users"),
        format!("EXPLAIN (costs off) WITH {USERS} SELECT 1 FROM users")
    );
    assert_eq!(
        rewritten(
            &[(None, "Cards"), (None, "orders"), (None, "users")],
            "SELECT 1"
        ),
        format!("WITH {CARDS}, {USERS} SELECT 1")
    );
}

#[test]
fn what_cannot_be_masked_is_refused() {
    let users = [(None, "users")];
    let select = "SELECT 1 FROM users";
    refused(
        ask("app", &["select"], &[(Some("public"), "users")], select),
        "without a schema",
    );
    refused(
        ask("app", &["ddl"], &[(Some("pay"), "*")], "DROP SCHEMA pay"),
        "without a schema",
    );
    for kind in [
        "update", "delete", "insert", "copy_out", "copy_in", "prepare", "execute", "ddl", "grant",
    ] {
        refused(
            ask("app", &["select", kind], &users, select),
            "only a SELECT",
        );
    }
    refused(
        ask(
            "app",
            &["select"],
            &users,
            "DECLARE c CURSOR FOR SELECT 1 FROM users",
        ),
        "begin the statement",
    );
    refused(ask("app", &["unparsed"], &[], "???"), "cannot be read");
    let long = format!("SELECT '{}' FROM users", "x".repeat(SQL_BYTES_MAX));
    refused(ask("app", &["select"], &users, &long), "too long");
    let nearly = format!("SELECT '{}' FROM users", "x".repeat(SQL_BYTES_MAX - 50));
    refused(ask("app", &["select"], &users, &nearly), "too long");
}

#[test]
fn a_configuration_that_cannot_be_meant_refuses() {
    for tables in [
        r#"{"users":{"columns":["id","email"],"masks":{"emial":"null"}}}"#.to_owned(),
        format!(
            r#"{{"users":{{"columns":["{}"],"masks":{{}}}}}}"#,
            "x".repeat(CONFIG_BYTES_MAX)
        ),
    ] {
        host(|host| host.config.insert("tables".to_owned(), tables));
        let verdict = ask(
            "app",
            &["select"],
            &[(None, "users")],
            "SELECT 1 FROM users",
        );
        refused(verdict, "masks");
    }
}

#[test]
fn everything_else_is_not_its_business() {
    let select = "SELECT 1";
    for (role, kinds, tables) in [
        ("app", &["select"][..], &[][..]),
        ("app", &["select"], &[(None, "orders")]),
        ("app", &["delete"], &[(None, "cards")]),
        ("app", &["select"], &[(Some("archive"), "users")]),
        ("app", &["ddl"], &[(Some("archive"), "*")]),
        ("dba", &["select"], &[(None, "users")]),
        ("audit", &["delete"], &[(Some("public"), "users")]),
        ("dba", &["unparsed"], &[]),
    ] {
        assert_eq!(
            ask(role, kinds, tables, select),
            Verdict::next(),
            "{role} {kinds:?} {tables:?}"
        );
    }
}
