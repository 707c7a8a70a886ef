//! One policy with a rule, a script and a plugin that each refuse something, and every way a statement can arrive.
//! What PostgreSQL itself would have left is the measure: each conversation is held twice, with the node about a table
//! that does not exist and with the proxy about a table that is refused, and both must look the same.

use crate::support::cluster::Cluster;
use crate::support::frames::bind;
use crate::support::frames::close_statement;
use crate::support::frames::describe_portal;
use crate::support::frames::describe_statement;
use crate::support::frames::execute;
use crate::support::frames::extended;
use crate::support::frames::flush;
use crate::support::frames::parse;
use crate::support::frames::query;
use crate::support::frames::sync;
use crate::support::frames::unsynced;
use crate::support::message::Message;
use crate::support::message::Problem;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wire::Wire;

/// A table of this name exists nowhere: the node's own error.
const MISSING: &str = "by_nobody";

/// The table, and what reading it is refused with.
const REFUSED: [(&str, &str, &str); 3] = [
    ("by_rule", "42501", "the rule says no"),
    ("by_script", "42000", "the script says no"),
    ("by_plugin", "42000", "the plugin says no"),
];

const SCRIPT: &str = "\
permissions = \"tables\"
script = '''
for table in sql.tables {
    if table.name == \"by_script\" { return deny(\"the script says no\"); }
}
next()
'''";

/// One policy for all: the rule and the plugin are told by `when` what to look at, the script looks for itself.
fn proxy(mode: &'static str) -> Proxy {
    let plugin = plugins::refusing("the plugin says no");
    let policy = PolicyText::of(Cluster::shared())
        .mode(mode)
        .extra("[permissions.tables]\nsee = [\"identity\", \"sql.tables\"]")
        .extra(&plugins::table("refusing", &plugin))
        .stage(
            "pre_query",
            "rule",
            "when = { tables = [\"by_rule\"] }\ndeny = { code = \"42501\", message = \"the rule says no\" }",
        )
        .stage("pre_query", "script", SCRIPT)
        .stage("pre_query", "plugin", "when = { tables = [\"by_plugin\"] }\nplugin = \"refusing\"");
    Proxy::start_with(&policy, &[("refusing.wasm", &plugin)], &[])
}

/// Holds a conversation in turns: each turn is sent, then answered up to its number of ReadyForQuery.
fn hold(wire: &mut Wire, turns: &[Vec<u8>]) -> Vec<Vec<Message>> {
    turns
        .iter()
        .map(|turn| {
            wire.send(turn);
            wire.until_ready()
        })
        .collect()
}

/// Shapes without the messages that only say how far a refused statement came before it was refused: the node finds
/// out in Parse, a proxy may do so in Parse or in Execute.
fn outline(turns: &[Vec<Message>]) -> Vec<String> {
    turns
        .iter()
        .map(|turn| {
            let kept: Vec<Message> = turn
                .iter()
                .filter(|message| !"12tTn".contains(message.tag))
                .cloned()
                .collect();
            shape(&kept)
        })
        .collect()
}

/// Holds one conversation about each refused table, in both pool modes, and compares with the node.
#[track_caller]
fn as_the_node_does(conversation: impl Fn(&str) -> Vec<Vec<u8>>) {
    let node = Cluster::shared().primary.port;
    let expected = outline(&hold(
        &mut Wire::login(node, "app", "app"),
        &conversation(MISSING),
    ));
    for mode in ["transaction", "session"] {
        let proxy = proxy(mode);
        for (table, code, message) in REFUSED {
            let mut wire = proxy.login("app");
            let turns = hold(&mut wire, &conversation(table));
            assert_eq!(outline(&turns), expected, "{mode} {table}: {turns:?}");
            let first = turns
                .iter()
                .flatten()
                .find(|message| message.tag == 'E')
                .expect("a refusal")
                .problem();
            assert_refused(&first, code, message);
            assert_eq!(wire.value("SELECT 'alive'"), "alive");
        }
    }
}

#[track_caller]
fn assert_refused(problem: &Problem, code: &str, message: &str) {
    let got = (
        problem.severity.as_str(),
        problem.code.as_str(),
        problem.message.as_str(),
    );
    assert_eq!(got, ("ERROR", code, message));
}

#[test]
fn a_simple_query_is_refused() {
    as_the_node_does(|table| vec![query(&format!("SELECT * FROM {table}")), query("SELECT 1")]);
}

#[test]
fn an_extended_query_is_refused() {
    as_the_node_does(|table| {
        vec![
            extended(&format!("SELECT * FROM {table}")),
            extended("SELECT 1"),
        ]
    });
}

#[test]
fn a_named_statement_is_refused() {
    as_the_node_does(|table| {
        let prepare = [
            parse("s", &format!("SELECT * FROM {table}")),
            describe_statement("s"),
            sync(),
        ]
        .concat();
        // It does not exist, so that using it fails too.
        let execute = [bind("", "s", &[]), describe_portal(""), execute(""), sync()].concat();
        vec![prepare, execute, [close_statement("s"), sync()].concat()]
    });
}

#[test]
fn a_refusal_in_a_transaction_aborts_it() {
    as_the_node_does(|table| {
        vec![
            query("BEGIN"),
            query("CREATE TABLE left_behind (n int)"),
            query(&format!("SELECT * FROM {table}")),
            query("SELECT 1"),
            extended("SELECT 1"),
            query("COMMIT"),
            query("SELECT * FROM left_behind"),
        ]
    });
}

#[test]
fn a_refusal_in_a_transaction_of_extended_queries_aborts_it() {
    as_the_node_does(|table| {
        vec![
            extended("BEGIN"),
            extended("CREATE TABLE left_behind (n int)"),
            extended(&format!("SELECT * FROM {table}")),
            extended("SELECT 1"),
            extended("ROLLBACK"),
            extended("SELECT * FROM left_behind"),
        ]
    });
}

#[test]
fn a_refusal_rolls_back_to_a_savepoint_only() {
    as_the_node_does(|table| {
        vec![
            query("BEGIN"),
            query("SAVEPOINT here"),
            query(&format!("SELECT * FROM {table}")),
            query("ROLLBACK TO here"),
            query("SELECT 1"),
            query("COMMIT"),
        ]
    });
}

#[test]
fn a_refusal_in_a_pipeline_skips_to_sync_and_answers_once() {
    as_the_node_does(|table| {
        let refused = unsynced(&format!("SELECT * FROM {table}"));
        let pipeline = [unsynced("SELECT 1"), refused, unsynced("SELECT 2"), sync()].concat();
        vec![pipeline, extended("SELECT 3")]
    });
}

#[test]
fn a_refusal_in_a_pipeline_leaves_nothing_of_its_implicit_transaction() {
    as_the_node_does(|table| {
        let refused = unsynced(&format!("SELECT * FROM {table}"));
        let pipeline = [
            unsynced("CREATE TABLE left_behind (n int)"),
            refused,
            sync(),
        ]
        .concat();
        vec![pipeline, query("SELECT * FROM left_behind")]
    });
}

#[test]
fn pipelined_syncs_are_each_answered() {
    let conversation = |table: &str| {
        [
            extended("SELECT 1"),
            extended(&format!("SELECT * FROM {table}")),
            query("SELECT 2"),
            query(&format!("SELECT * FROM {table}")),
            extended("SELECT 3"),
        ]
        .concat()
    };
    let answers = |mut wire: Wire, table: &str| {
        wire.send(&conversation(table));
        outline(&(0..5).map(|_| wire.until_ready()).collect::<Vec<_>>())
    };
    let expected = answers(
        Wire::login(Cluster::shared().primary.port, "app", "app"),
        MISSING,
    );
    let proxy = proxy("transaction");
    for (table, ..) in REFUSED {
        assert_eq!(answers(proxy.login("app"), table), expected, "{table}");
    }
}

#[test]
fn a_refusal_is_answered_at_flush_and_the_rest_skipped_until_sync() {
    let proxy = proxy("transaction");
    for (table, code, message) in REFUSED {
        let mut wire = proxy.login("app");
        wire.send(&[unsynced(&format!("SELECT * FROM {table}")), flush()].concat());
        let refusal = wire.until(|message| message.tag == 'E');
        assert_refused(&only_problem(&refusal), code, message);
        wire.send(&[unsynced("SELECT 1"), flush(), unsynced("SELECT 2"), sync()].concat());
        assert_eq!(shape(&wire.until_ready()), "ZI");
    }
}

#[test]
fn prepare_and_execute_are_refused() {
    as_the_node_does(|table| {
        vec![
            query(&format!("PREPARE q AS SELECT * FROM {table}")),
            query("EXECUTE q"),
        ]
    });
}

#[test]
fn the_second_statement_of_a_query_is_refused_and_the_first_leaves_nothing() {
    let proxy = proxy("transaction");
    for (table, code, message) in REFUSED {
        let mut wire = proxy.login("app");
        let both = format!("INSERT INTO orders VALUES (777, 'left', 1); SELECT * FROM {table}");
        let answer = wire.query(&both);
        assert_refused(&only_problem(&answer), code, message);
        assert!(shape(&answer).ends_with("E ZI"), "{answer:?}");
        assert_eq!(
            wire.value("SELECT count(*) FROM orders WHERE id = 777"),
            "0"
        );
        // In a transaction block of its own the whole block is aborted.
        let answer = wire.query(&format!("BEGIN; SELECT 1; SELECT * FROM {table}; COMMIT"));
        assert_refused(&only_problem(&answer), code, message);
        drop(wire.query("ROLLBACK"));
        assert_eq!(wire.value("SELECT 'alive'"), "alive");
    }
}

/// Ways to name a table that a guard which searches text does not see.
fn disguises(table: &str) -> Vec<String> {
    let unicode: String = table
        .chars()
        .map(|letter| format!("\\{:04x}", u32::from(letter)))
        .collect();
    let (first, rest) = table.split_at(3);
    vec![
        format!("SELECT/**/*/**/FROM/**/{table}"),
        format!("/* a /* nested */ comment */ SELECT * FROM -- to the end of the line\n {table}"),
        format!("select * from {}", table.to_uppercase()),
        format!("SELECT * FROM \"{table}\""),
        format!("SELECT * FROM public.{table}"),
        format!("SELECT * FROM U&\"{unicode}\""),
        format!(
            "SELECT * FROM U&\"{first}!{:04x}{}\" UESCAPE '!'",
            u32::from(rest.as_bytes()[0]),
            &rest[1..]
        ),
        format!("TABLE {table}"),
        format!("SELECT * FROM ONLY {table}"),
        format!("SELECT * FROM orders, {table}"),
        format!("SELECT (SELECT max(id) FROM {table})"),
        format!("SELECT 1 WHERE EXISTS (TABLE {table})"),
        format!("WITH seen AS (SELECT * FROM {table}) SELECT * FROM seen"),
        format!("WITH orders AS (SELECT * FROM {table}) SELECT * FROM orders"),
        format!("SELECT $$ ' $$ AS a, E'\\'' AS b, $tag$ $$ $tag$ AS c, id FROM {table}"),
        format!("SELECT ';' AS a; /* ; */ SELECT ';', id FROM {table};"),
        format!("INSERT INTO orders SELECT id, '', 0 FROM {table}"),
        format!("UPDATE orders SET amount = 0 FROM {table} WHERE orders.id = {table}.id"),
        format!("DELETE FROM orders USING {table} WHERE orders.id = {table}.id"),
        format!("WITH gone AS (DELETE FROM {table} RETURNING *) SELECT * FROM gone"),
        format!("EXPLAIN ANALYZE SELECT * FROM {table}"),
        format!("EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM {table}"),
        format!("CREATE TEMP TABLE copied AS SELECT * FROM {table}"),
        format!("SELECT * INTO TEMP copied FROM {table}"),
        format!("CREATE VIEW seen AS SELECT * FROM {table}"),
        format!("BEGIN; DECLARE c CURSOR FOR SELECT * FROM {table}"),
        format!("COPY {table} TO STDOUT"),
        format!("COPY (SELECT * FROM {table}) TO STDOUT"),
        format!("COPY {table} FROM STDIN"),
        format!("LOCK TABLE {table}"),
        format!("TRUNCATE {table}"),
        format!("{}SELECT * FROM {table}", "/* padding */ ".repeat(3000)),
    ]
}

#[test]
fn disguised_statements_are_refused() {
    let proxy = proxy("transaction");
    for (table, code, message) in REFUSED {
        for sql in disguises(table) {
            let mut wire = proxy.login("app");
            let problem = wire.fails(&sql);
            assert_eq!(
                (problem.code.as_str(), problem.message.as_str()),
                (code, message),
                "{sql:.200}"
            );
        }
    }
}

#[test]
fn disguised_statements_are_refused_in_the_extended_protocol() {
    let proxy = proxy("transaction");
    for (table, code, message) in REFUSED {
        // More than one statement is not for Parse.
        for sql in disguises(table).iter().filter(|sql| !sql.contains("; ")) {
            let mut wire = proxy.login("app");
            let problem = only_problem(&wire.extended(sql));
            assert_eq!(
                (problem.code.as_str(), problem.message.as_str()),
                (code, message),
                "{sql:.200}"
            );
        }
    }
}

#[test]
fn what_is_too_long_to_be_read_is_not_let_through() {
    let proxy = proxy("transaction");
    for (table, ..) in REFUSED {
        let sql = format!("{}SELECT * FROM {table}", "/* padding */ ".repeat(300_000));
        let mut wire = proxy.login("app");
        let answer = wire.query(&sql);
        assert_eq!(shape(&answer), "E ZI", "{table}");
        assert_eq!(wire.value("SELECT 'alive'"), "alive");
    }
}

#[test]
fn a_statement_prepared_before_a_reload_is_decided_by_the_new_policy() {
    let cluster = Cluster::shared();
    let open = PolicyText::of(cluster);
    let closed = open.clone().stage(
        "pre_query",
        "rule",
        "when = { tables = [\"by_rule\"] }\ndeny = { code = \"42501\", message = \"the rule says no\" }",
    );
    let proxy = Proxy::start(&open);
    let mut wire = proxy.login("app");
    wire.works("PREPARE sql_level AS SELECT * FROM by_rule");
    wire.send(&[parse("protocol_level", "SELECT * FROM by_rule"), sync()].concat());
    assert_eq!(shape(&wire.until_ready()), "1 ZI");
    proxy.reload(&closed.text());
    assert_refused(
        &wire.fails("EXECUTE sql_level"),
        "42501",
        "the rule says no",
    );
    assert_refused(
        &wire.fails("EXPLAIN ANALYZE EXECUTE sql_level"),
        "42501",
        "the rule says no",
    );
    wire.send(&[bind("", "protocol_level", &[]), execute(""), sync()].concat());
    assert_refused(
        &only_problem(&wire.until_ready()),
        "42501",
        "the rule says no",
    );
}

#[test]
fn what_no_stage_allows_is_refused_where_the_pipeline_ends_so() {
    let policy = PolicyText::of(Cluster::shared())
        .otherwise("authorize = \"deny\"")
        .stage(
            "authorize",
            "reads",
            "when = { kind = \"select\" }\nallow = true",
        );
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    assert_eq!(wire.value("SELECT 'alive'"), "alive");
    for sql in [
        "DELETE FROM orders",
        "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "SELECT 1; DELETE FROM orders",
        "PREPARE p AS DELETE FROM orders",
        "DO 'BEGIN DELETE FROM orders; END'",
        "SELECT * INTO kept FROM orders",
    ] {
        let answer = wire.query(sql);
        assert!(shape(&answer).ends_with("E ZI"), "{sql}: {answer:?}");
    }
    assert_eq!(
        wire.value("SELECT count(*) FROM orders WHERE id <= 100"),
        "100"
    );
}

#[test]
fn an_example_plugin_built_from_source_refuses() {
    let plugin = plugins::example("deny_ddl");
    let policy = PolicyText::of(Cluster::shared())
        .extra(&plugins::table("deny_ddl", &plugin))
        .stage("authorize", "no-ddl", "plugin = \"deny_ddl\"");
    let proxy = Proxy::start_with(&policy, &[("deny_ddl.wasm", &plugin)], &[]);
    let mut wire = proxy.login("app");
    for sql in [
        "DROP TABLE orders",
        "/**/ALTER/**/TABLE orders ADD COLUMN x int",
        "SELECT 1; TRUNCATE orders; DROP TABLE orders",
    ] {
        let answer = wire.query(sql);
        assert!(shape(&answer).ends_with("E ZI"), "{sql}: {answer:?}");
        assert_ne!(only_problem(&answer).code, "58000", "{sql}: {answer:?}");
    }
    assert_eq!(shape(&wire.extended("DROP TABLE orders")), "E ZI");
    assert_eq!(
        wire.value("SELECT count(*) FROM orders WHERE id <= 100"),
        "100"
    );
}

#[test]
fn what_is_not_refused_is_untouched() {
    let proxy = proxy("transaction");
    let node = Cluster::shared().primary.port;
    let conversation = [
        query("SELECT 1; SELECT 'two'; "),
        query(""),
        query("-- nothing"),
        query("SELECT 1 / 0"),
        extended("SELECT id, item FROM orders ORDER BY id LIMIT 3"),
        extended(""),
        query("BEGIN; SELECT 1; COMMIT"),
        query("DO $$ BEGIN RAISE NOTICE 'by_rule'; END $$"),
        query("SELECT 'by_rule by_script by_plugin'"),
    ];
    let through = hold(&mut proxy.login("app"), &conversation);
    let direct = hold(&mut Wire::login(node, "app", "app"), &conversation);
    assert_eq!(through, direct);
}
