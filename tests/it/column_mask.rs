//! The plugin column_mask in front of a real table: masks wherever a statement looks, and nothing behind them.

use crate::support::cluster::Cluster;
use crate::support::frames::bind;
use crate::support::frames::execute;
use crate::support::frames::parse;
use crate::support::frames::sync;
use crate::support::message::Message;
use crate::support::message::shape;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wire::Wire;

/// What no masked user may ever be sent: the items are `item 1` to `item 100`.
const SECRET: &[u8] = b"item ";

fn proxy() -> Proxy {
    let plugin = plugins::example("column_mask");
    let policy = PolicyText::of(Cluster::shared())
        .users(
            "[role.dba]\n[user.app]\ntrust = true\n[user.other]\ntrust = true\nroles = [\"dba\"]",
        )
        .extra(&plugins::table("column_mask", &plugin))
        .extra("[plugin.column_mask.config]\nexempt_roles = [\"dba\"]")
        .extra(
            "[plugin.column_mask.config.tables.orders]\ncolumns = [\"id\", \"item\", \"amount\"]",
        )
        .extra("masks = { item = \"'no. ' || right(item, 1)\" }")
        .extra(
            "[permissions.masks]\nsee = [\"identity\", \"sql.kind\", \"sql.tables\", \"sql.text\"]",
        )
        .stage(
            "rewrite",
            "masks",
            "plugin = \"column_mask\"\npermissions = \"masks\"",
        );
    Proxy::start_with(&policy, &[("column_mask.wasm", &plugin)], &[])
}

fn tells(messages: &[Message]) -> bool {
    messages.iter().any(|message| {
        let mut windows = message.body.windows(SECRET.len());
        windows.any(|window| window == SECRET)
    })
}

#[test]
fn a_column_is_masked_and_the_rest_is_as_it_was() {
    let proxy = proxy();
    let mut wire = proxy.login("app");
    for (sql, expected) in [
        ("SELECT item FROM orders WHERE id = 17", "no. 7"),
        ("SELECT amount FROM orders WHERE id = 17", "170"),
        (
            "SELECT o.item FROM products p JOIN \"orders\" o USING (id) WHERE id = 9",
            "no. 9",
        ),
        (
            "-- all\nWITH ours AS (SELECT * FROM orders) SELECT item FROM ours WHERE id = 3",
            "no. 3",
        ),
        (
            "WITH RECURSIVE n AS (SELECT 5 AS id) SELECT item FROM n JOIN orders USING (id)",
            "no. 5",
        ),
        (
            "WITH orders AS (SELECT 'mine' AS item) SELECT item FROM orders",
            "mine",
        ),
        ("SELECT (SELECT item FROM orders WHERE id = 4)", "no. 4"),
        (
            "(SELECT item FROM orders WHERE id = 6) UNION ALL (SELECT item FROM orders WHERE false)",
            "no. 6",
        ),
        ("SELECT count(*) FROM orders WHERE item LIKE 'item%'", "0"),
    ] {
        assert_eq!(wire.value(sql), expected, "{sql}");
    }
    assert_eq!(
        wire.query("TABLE orders LIMIT 1")[0].columns(),
        ["id", "item", "amount"]
    );
    let plan = wire.query("EXPLAIN (ANALYZE, COSTS OFF) SELECT item FROM orders WHERE id = 1");
    assert!(shape(&plan).starts_with("T D"), "{plan:?}");
    let mut exempt = proxy.login("other");
    assert_eq!(
        exempt.value("SELECT item FROM public.orders WHERE id = 17"),
        "item 17"
    );
}

#[test]
fn prepared_statements_are_masked_each_time() {
    let proxy = proxy();
    let mut wire = proxy.login("app");
    wire.send(
        &[
            parse("by_id", "SELECT item FROM orders WHERE id = $1"),
            sync(),
        ]
        .concat(),
    );
    assert_eq!(shape(&wire.until_ready()), "1 ZI");
    for (id, expected) in [("12", "no. 2"), ("13", "no. 3")] {
        wire.send(&[bind("", "by_id", &[id]), execute(""), sync()].concat());
        let answer = wire.until_ready();
        assert_eq!(shape(&answer), "2 D C ZI", "{answer:?}");
        assert_eq!(answer[1].first_value(), expected);
    }
    wire.works("BEGIN");
    wire.send(&[bind("", "by_id", &["14"]), execute(""), sync()].concat());
    assert_eq!(wire.until_ready()[1].first_value(), "no. 4");
    wire.works("COMMIT");
}

/// Whatever comes of these, the values stay where they are: some are masked, some refused, some no SQL with a WITH before them.
#[test]
fn no_statement_gets_behind_the_masks() {
    let proxy = proxy();
    let mut wire = proxy.login("app");
    for sql in [
        "SELECT orders FROM orders",
        "SELECT row_to_json(o) FROM orders o",
        "SELECT o.* FROM only orders o",
        "TABLE orders",
        "VALUES ((SELECT item FROM orders LIMIT 1))",
        "SELECT item FROM U&\"\\006frders\"",
        "SELECT item FROM /* ; */ orders -- public",
        "SELECT item FROM public.orders",
        "SELECT item FROM app.public.orders",
        "SELECT item FROM \"public\" . orders",
        "WITH orders AS (SELECT * FROM orders) SELECT item FROM orders",
        "SELECT * FROM (WITH orders AS (SELECT * FROM orders) TABLE orders) x",
        "(WITH o AS (TABLE orders) TABLE o)",
        "SELECT item FROM orders FOR UPDATE",
        "SELECT item FROM orders TABLESAMPLE SYSTEM (100)",
        "SELECT item FROM orders WHERE ctid = '(0,1)'",
        "COPY orders TO STDOUT",
        "COPY (SELECT item FROM orders) TO STDOUT",
        "UPDATE orders SET amount = amount RETURNING item",
        "WITH u AS (UPDATE orders SET amount = amount RETURNING item) SELECT item FROM u",
        "CREATE TEMP TABLE mine AS SELECT item FROM orders; SELECT * FROM mine",
        "CREATE TEMP VIEW mine AS SELECT item FROM orders; SELECT * FROM mine",
        "SELECT item INTO TEMP mine FROM orders; SELECT * FROM mine",
        "PREPARE p AS SELECT item FROM orders; EXECUTE p",
        "BEGIN; DECLARE c CURSOR FOR SELECT item FROM orders; FETCH ALL FROM c; COMMIT",
        "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM orders WHERE item = 'x'",
        "SELECT 1; SELECT item FROM orders",
    ] {
        let answer = wire.query(sql);
        assert!(!tells(&answer), "{sql}: {answer:?}");
        let answer = wire.extended(sql);
        assert!(!tells(&answer), "{sql}, extended: {answer:?}");
        wire.query("ROLLBACK");
    }
    assert_eq!(wire.value("SELECT item FROM orders WHERE id = 8"), "no. 8");
}

#[test]
fn what_cannot_be_masked_is_told_so() {
    let proxy = proxy();
    let mut wire = proxy.login("app");
    let masked = "columns of orders are masked: ";
    for (sql, how) in [
        ("SELECT item FROM public.orders", "name it without a schema"),
        ("DELETE FROM orders", "only a SELECT may name it"),
        ("COPY orders TO STDOUT", "only a SELECT may name it"),
    ] {
        let by_query = wire.fails(sql);
        assert_eq!(
            (by_query.code.as_str(), by_query.message),
            ("42501", format!("{masked}{how}"))
        );
        let answer = wire.extended(sql);
        assert_eq!(shape(&answer), "E ZI", "{sql}: {answer:?}");
    }
    let mut unmasked = Wire::login(proxy.port, "app", "app");
    assert_eq!(
        unmasked.value("SELECT name FROM public.products WHERE id = 1"),
        "product 1"
    );
}
