//! Every way in which rows come to a client, and every way of masking them.

use super::MASK;
use super::base;
use super::login;
use super::proxy;
use crate::support::frames::bind;
use crate::support::frames::describe_portal;
use crate::support::frames::describe_statement;
use crate::support::frames::execute;
use crate::support::frames::function_call;
use crate::support::frames::message;
use crate::support::frames::parse;
use crate::support::frames::sync;
use crate::support::message::Message;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::proxy::Proxy;
use crate::support::proxy::Reload;
use crate::support::wire::Wire;

/// The rows among messages, NULL as `-`.
fn rows(messages: &[Message]) -> Vec<String> {
    let rows = messages.iter().filter(|message| message.tag == 'D');
    let value = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let row = |row: &Message| {
        let values: Vec<String> = row.values().into_iter().map(value).collect();
        values.join("|")
    };
    rows.map(row).collect()
}

/// Bind that wants every column in binary.
fn bind_binary(portal: &str, statement: &str) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0\0\0\0\0").into_bytes();
    body.extend_from_slice(&[0, 1, 0, 1]);
    message(b'B', &body)
}

fn execute_some(portal: &str, rows: u32) -> Vec<u8> {
    let mut body = format!("{portal}\0").into_bytes();
    body.extend_from_slice(&rows.to_be_bytes());
    message(b'E', &body)
}

#[test]
fn a_simple_query_shows_null_in_place_of_masked_columns() {
    let proxy = proxy();
    let mut wire = login(&proxy, "app", "apart");
    for (sql, expected) in [
        ("SELECT id, email FROM users WHERE id = 1", "1|-"),
        (
            "SELECT u.email AS e, id, ssn FROM apart.users u WHERE id = 2",
            "-|2|-",
        ),
        ("SELECT * FROM users WHERE id = 3", "3|name 3|-|-|153"),
        ("TABLE users ORDER BY id LIMIT 1", "1|name 1|-|-|151"),
        (
            "SELECT *, email AS e, tall FROM users WHERE id = 3",
            "3|name 3|-|-|153|-|153",
        ),
        (
            "SELECT u.*, c.* FROM users u, companies c WHERE u.id = 1",
            "1|name 1|-|-|151|1|-",
        ),
        (
            "SELECT c.*, u.id FROM users u, companies c WHERE u.id = 1",
            "1|company@example.org|1",
        ),
        (
            "SELECT c.email, u.email FROM users u, companies c WHERE u.id = 1",
            "company@example.org|-",
        ),
        ("SELECT email FROM companies", "company@example.org"),
        (
            "WITH c AS (SELECT * FROM users) SELECT email, id FROM c WHERE id = 4",
            "-|4",
        ),
        (
            "SELECT * FROM (SELECT id, email FROM users) s WHERE id = 5",
            "5|-",
        ),
        (
            "BEGIN; UPDATE users SET name = name WHERE id = 6 RETURNING email, id; ROLLBACK",
            "-|6",
        ),
        (
            "BEGIN; UPDATE users SET name = name WHERE id = 6 RETURNING *; ROLLBACK",
            "6|name 6|-|-|156",
        ),
        ("SELECT id FROM users WHERE id = 7", "7"),
    ] {
        assert_eq!(rows(&wire.query(sql)), [expected], "{sql}");
    }
    let several = wire.query("SELECT email FROM users WHERE id = 1; SELECT 'x' AS email; SELECT id, ssn FROM users WHERE id = 2");
    assert_eq!(shape(&several), "T D C T D C T D C ZI");
    assert_eq!(rows(&several), ["-", "x", "2|-"]);
    let plan = wire.query("EXPLAIN (COSTS OFF) SELECT email FROM users");
    assert_eq!(rows(&plan), ["Seq Scan on users"]);
    let mut exempt = login(&proxy, "other", "apart");
    assert_eq!(
        exempt.value("SELECT upper(email) FROM users WHERE id = 1"),
        "KOLIBRI7@EXAMPLE.ORG"
    );
}

#[test]
fn sql_level_prepared_statements_are_masked_each_time() {
    let proxy = proxy();
    let mut wire = login(&proxy, "app", "apart");
    wire.works("PREPARE one (int) AS SELECT email, id FROM users WHERE id = $1");
    for _ in 0..2 {
        assert_eq!(rows(&wire.query("EXECUTE one (3)")), ["-|3"]);
    }
    assert_eq!(
        rows(&wire.query("EXPLAIN (COSTS OFF) EXECUTE one (3)")).len(),
        2
    );
    let copied = wire.fails("CREATE TEMP TABLE stolen AS EXECUTE one (3)");
    assert_eq!(copied.code, "42501");
    assert_eq!(
        wire.fails("PREPARE two AS SELECT upper(email) FROM users")
            .code,
        "42501"
    );
}

#[test]
fn the_extended_protocol_is_masked_described_or_not() {
    let proxy = proxy();
    let mut wire = login(&proxy, "app", "apart");
    wire.send(
        &[
            parse("one", "SELECT id, email FROM users WHERE id = $1"),
            parse(
                "all",
                "SELECT *, email e FROM users WHERE id < 3 ORDER BY id",
            ),
            describe_statement("all"),
            sync(),
        ]
        .concat(),
    );
    let described = wire.until_ready();
    assert_eq!(shape(&described), "1 1 t T ZI");
    assert_eq!(
        described[3].columns(),
        ["id", "name", "email", "ssn", "tall", "e"]
    );
    for _ in 0..2 {
        // Not described; described; two portals and a plain statement in one batch.
        wire.send(&[bind("", "one", &["4"]), execute(""), sync()].concat());
        let answer = wire.until_ready();
        assert_eq!(
            (shape(&answer).as_str(), rows(&answer)),
            ("2 D C ZI", vec!["4|-".to_owned()])
        );
        wire.send(
            &[
                bind("a", "one", &["5"]),
                bind("b", "all", &[]),
                describe_portal("a"),
                execute("b"),
                parse("", "SELECT 'x' AS email"),
                bind("", "", &[]),
                execute(""),
                execute("a"),
                sync(),
            ]
            .concat(),
        );
        let answer = wire.until_ready();
        assert_eq!(shape(&answer), "2 2 T D D C 1 2 D C D C ZI");
        let expected = ["1|name 1|-|-|151|-", "2|name 2|-|-|152|-", "x", "5|-"];
        assert_eq!(rows(&answer), expected);
    }
}

#[test]
fn a_portal_read_in_parts_and_in_binary_is_masked() {
    let proxy = proxy();
    let mut wire = login(&proxy, "app", "apart");
    wire.works("BEGIN");
    wire.send(
        &[
            parse("all", "SELECT email, id FROM users ORDER BY id"),
            bind_binary("p", "all"),
            execute_some("p", 2),
            sync(),
        ]
        .concat(),
    );
    let first = wire.until_ready();
    assert_eq!(shape(&first), "1 2 D D s ZT");
    wire.send(&[execute_some("p", 1), execute_some("p", 0), sync()].concat());
    let rest = wire.until_ready();
    assert_eq!(shape(&rest), format!("D s {}C ZT", "D ".repeat(6)));
    for row in first
        .iter()
        .chain(&rest)
        .filter(|message| message.tag == 'D')
    {
        assert_eq!(row.values()[0], None);
        assert_eq!(row.values()[1].as_ref().map(String::len), Some(4));
    }
    wire.works("COMMIT");
}

#[test]
fn each_method_shows_what_it_says_in_both_formats() {
    let keyed = base()
        .stage("authorize", "names", "mask = { columns = [\"users.name\"], with = \"redact\" }")
        .stage("authorize", "numbers", "mask = { columns = [\"users.ssn\", \"users.tall\"], with = { keep_last = 4 } }")
        .stage("authorize", "mails", "mask = { columns = [\"users.email\"], with = \"hash\", key = { file = \"mask.key\" } }")
        .stage("authorize", "late", "mask = { columns = [\"users.name\", \"users.id\"] }");
    let proxy = Proxy::start_with(&keyed, &[("mask.key", b"0123456789abcdef\n")], &[]);
    let mut wire = login(&proxy, "app", "apart");
    let sql = "SELECT name, email, ssn, tall, id FROM users LIMIT 1";
    let text = rows(&wire.query(sql));
    let columns: Vec<&str> = text[0].split('|').collect();
    assert_eq!((columns[0], columns[3], columns[4]), ("***", "-", "-"));
    assert_eq!(columns[1].len(), 64);
    assert!(
        columns[2].starts_with("**********") && columns[2].len() == 14,
        "{text:?}"
    );
    wire.send(&[parse("", sql), bind_binary("", ""), execute(""), sync()].concat());
    assert_eq!(rows(&wire.until_ready()), text);
}

#[test]
fn a_stage_that_observes_masks_nothing_and_counts() {
    let proxy =
        Proxy::start(&base().stage("authorize", "masks", &format!("mode = \"observe\"\n{MASK}")));
    let mut wire = login(&proxy, "app", "apart");
    assert_eq!(
        wire.value("SELECT email FROM users WHERE id = 1"),
        "kolibri7@example.org"
    );
    assert_eq!(
        wire.value("SELECT upper(email) FROM users WHERE id = 1"),
        "KOLIBRI7@EXAMPLE.ORG"
    );
}

#[test]
fn what_is_allowed_before_is_masked_all_the_same() {
    let policy = base()
        .stage(
            "authorize",
            "reads",
            "when = { kind = \"select\" }\nallow = true",
        )
        .stage("authorize", "masks", MASK)
        .stage("authorize", "rest", "deny = \"no\"");
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    assert_eq!(
        rows(&wire.query("SELECT email FROM apart.users LIMIT 1")),
        ["-"]
    );
    assert_eq!(
        wire.fails("SELECT upper(email) FROM apart.users").code,
        "42501"
    );
    assert_eq!(wire.fails("DELETE FROM apart.orders").message, "no");
}

#[test]
fn a_reload_masks_what_was_prepared_before() {
    let base = base();
    let proxy = Proxy::start(&base);
    let mut wire = login(&proxy, "app", "apart");
    wire.send(&[parse("one", "SELECT email FROM users WHERE id = 1"), sync()].concat());
    wire.until_ready();
    wire.works("PREPARE two AS SELECT email FROM users WHERE id = 1");
    let asked = |wire: &mut Wire| {
        wire.send(&[bind("", "one", &[]), execute(""), sync()].concat());
        let mut both = rows(&wire.until_ready());
        both.extend(rows(&wire.query("EXECUTE two")));
        both
    };
    assert_eq!(
        asked(&mut wire),
        ["kolibri7@example.org", "kolibri7@example.org"]
    );
    let masked = base.stage("authorize", "masks", MASK);
    assert_eq!(proxy.reload(&masked.text()), Reload::Swapped);
    assert_eq!(asked(&mut wire), ["-", "-"]);
}

#[test]
fn an_error_does_not_show_the_row_it_is_about() {
    let proxy = proxy();
    let mut wire = login(&proxy, "app", "apart");
    for sql in [
        "UPDATE users SET tall = 0 WHERE id = 1",
        "UPDATE users SET name = NULL WHERE id = 1",
        "INSERT INTO orders (id) VALUES (1)",
        "DELETE FROM users WHERE id = 99; UPDATE users SET tall = -1",
    ] {
        let problem = wire.fails(sql);
        assert_eq!(
            (&problem.code[..2], problem.detail.as_str()),
            ("23", ""),
            "{sql}: {problem:?}"
        );
        let problem = only_problem(&wire.extended(sql.split(';').next_back().expect("one")));
        assert_eq!(
            (&problem.code[..2], problem.detail.as_str()),
            ("23", ""),
            "{sql}: {problem:?}"
        );
    }
    let mut exempt = login(&proxy, "other", "apart");
    let problem = exempt.fails("UPDATE users SET tall = 0 WHERE id = 1");
    assert!(problem.detail.contains("kolibri7"), "{problem:?}");
}

#[test]
fn a_function_call_is_refused() {
    let proxy = proxy();
    let mut wire = proxy.login("app");
    wire.send(&function_call(1598, &[]));
    let problem = only_problem(&wire.until_ready());
    assert_eq!(problem.code, "42501");
}

#[test]
fn a_row_too_long_to_be_masked_ends_the_session() {
    let proxy = proxy();
    let mut wire = login(&proxy, "app", "apart");
    let mut direct = login(&proxy, "other", "apart");
    let long = "SELECT email, repeat('x', 20000000) FROM users WHERE id = 1";
    assert_eq!(shape(&direct.query(long)), "T D C ZI");
    wire.send(&crate::support::frames::query(long));
    let end = wire.until_closed();
    let problem = only_problem(&end);
    assert_eq!(problem.code, "54000");
    assert!(problem.message.contains("too long"), "{problem:?}");
    assert_eq!(
        shape(
            &login(&proxy, "app", "apart").query("SELECT email, repeat('x', 2000000) FROM users")
        ),
        format!("T {}C ZI", "D ".repeat(9))
    );
}

#[test]
fn what_a_cache_keeps_for_others_is_not_given_in_place_of_masks() {
    let policy = base().stage("authorize", "masks", MASK).stage(
        "cache_get",
        "kept",
        "cache = { ttl = \"1m\", vary = \"database\" }",
    );
    let proxy = Proxy::start(&policy);
    let sql = "SELECT id, email FROM apart.users WHERE id = 1";
    let (mut exempt, mut masked) = (proxy.login("other"), proxy.login("app"));
    for _ in 0..3 {
        for answer in [exempt.query(sql), exempt.extended(sql)] {
            assert_eq!(rows(&answer), ["1|kolibri7@example.org"]);
        }
        for answer in [masked.query(sql), masked.extended(sql)] {
            assert_eq!(rows(&answer), ["1|-"]);
        }
    }
}
