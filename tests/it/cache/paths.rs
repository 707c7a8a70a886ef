//! Every way a statement arrives is answered from what is kept as a node would answer it, and told of as what it is.

use super::Kept;
use super::make;
use super::stage;
use crate::figures::figure;
use crate::figures::scrape;
use crate::support::cluster::Cluster;
use crate::support::frames::bind;
use crate::support::frames::describe_portal;
use crate::support::frames::describe_statement;
use crate::support::frames::execute;
use crate::support::frames::message;
use crate::support::frames::parse;
use crate::support::frames::query;
use crate::support::frames::sync;
use crate::support::frames::unsynced;
use crate::support::free_port;
use crate::support::message::Message;
use crate::support::message::shape;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use crate::support::wait_for;
use crate::support::wire::Wire;
use serde_json::Value;

/// Bind of one text parameter with a result in binary.
fn bind_binary(value: &str) -> Vec<u8> {
    let mut body = b"\0\0\0\0\0\x01".to_vec();
    body.extend_from_slice(&u32::try_from(value.len()).expect("short").to_be_bytes());
    body.extend_from_slice(value.as_bytes());
    body.extend_from_slice(&[0, 1, 0, 1]);
    message(b'B', &body)
}

/// Execute of at most so many rows.
fn execute_some(rows: u8) -> Vec<u8> {
    message(b'E', &[0, 0, 0, 0, rows])
}

fn ask(wire: &mut Wire, parts: &[Vec<u8>]) -> Vec<Message> {
    wire.send(&[parts.concat(), sync()].concat());
    wire.until_ready()
}

/// Reads in batches; the parameters of two differ, and so does a format.
fn batches() -> Vec<Vec<Vec<u8>>> {
    let select = "SELECT id, note, at FROM kept_batches WHERE id = $1";
    let all = || vec![parse("", THREE), bind("", "", &[])];
    let one = |id| vec![parse("", select), bind("", "", &[id])];
    let columns = || describe_portal("");
    vec![
        [one("1"), vec![columns(), execute("")]].concat(),
        [one("1"), vec![execute("")]].concat(),
        vec![parse("", select), bind_binary("1"), columns(), execute("")],
        [one("2"), vec![columns(), execute("")]].concat(),
        vec![
            parse("", select),
            describe_statement(""),
            bind("p", "", &["1"]),
            execute("p"),
        ],
        [all(), vec![execute("")]].concat(),
        [all(), vec![execute_some(2), execute_some(2)]].concat(),
        [all(), vec![execute_some(3), execute("")]].concat(),
        vec![
            parse("", THREE),
            bind("p", "", &[]),
            execute("p"),
            execute("p"),
            message(b'C', b"Pp\0"),
        ],
        [all(), vec![execute(""), unsynced("SELECT 7")]].concat(),
    ]
}

const THREE: &str = "SELECT n FROM kept_batches, generate_series(1, 3) n ORDER BY n";

/// What a node answers a batch once, it is answered again; the same messages, byte by byte.
#[test]
fn a_batch_is_answered_as_the_node_answered_it() {
    for mode in ["transaction", "session"] {
        let policy = PolicyText::of(Cluster::shared()).mode(mode);
        let kept = Kept::over(policy, "kept_batches", "");
        for (number, batch) in batches().iter().enumerate() {
            let answers: Vec<String> = (0..3)
                .map(|_| format!("{:?}", ask(&mut kept.login("app"), batch)))
                .collect();
            assert_eq!(answers[0], answers[1], "{mode}, batch {number}");
            assert_eq!(answers[0], answers[2], "{mode}, batch {number}");
            assert!(!answers[0].contains("ERROR"), "{answers:?}");
        }
        // Two parameters, a format, and all three rows; whoever asks first for each asks a node.
        let figures = kept.figures();
        assert_eq!(figures["stored"], "4", "{mode}: {figures:?}");
        assert_eq!(shape(&kept.login("app").query(THREE)), "T D D D C ZI");
        assert_eq!(kept.figure("stored"), 4, "a Query asks for the same");
    }
}

#[test]
fn prepared_statements_are_answered_by_what_is_bound_to_them() {
    let mut kept = Kept::start("kept_prepared", "");
    kept.direct
        .works("INSERT INTO kept_prepared VALUES (2, 'other')");
    let mut wire = kept.login("app");
    let select = "SELECT note FROM kept_prepared WHERE id = $1";
    assert_eq!(shape(&ask(&mut wire, &[parse("s", select)])), "1 ZI");
    let mut note = |id: &str| {
        let answer = ask(&mut wire, &[bind("", "s", &[id]), execute("")]);
        assert_eq!(shape(&answer), "2 D C ZI", "{answer:?}");
        answer[1].first_value()
    };
    assert_eq!(
        (note("1"), note("2")),
        ("first".to_owned(), "other".to_owned())
    );
    kept.direct
        .works("UPDATE kept_prepared SET note = 'second'");
    assert_eq!(
        (note("1"), note("2")),
        ("first".to_owned(), "other".to_owned())
    );
    assert_eq!(kept.figure("hits"), 2);
    // Another session that prepares the same finds the same.
    let mut other = kept.login("app");
    let batch = [parse("mine", select), bind("", "mine", &["2"]), execute("")];
    assert_eq!(ask(&mut other, &batch)[2].first_value(), "other");
    // What a stranger to the cache does with the name is not disturbed: it is prepared where it is needed.
    other.works("BEGIN");
    let inside = ask(&mut other, &[bind("", "mine", &["2"]), execute("")]);
    assert_eq!(
        inside[1].first_value(),
        "second",
        "nothing is given inside of a transaction"
    );
    other.works("COMMIT");
    // A moment is never the same.
    let dated = "SELECT note FROM kept_prepared WHERE at < $1::date AND id = 1";
    let before = kept.figures();
    for _ in 0..2 {
        drop(ask(
            &mut other,
            &[parse("", dated), bind("", "", &["today"]), execute("")],
        ));
    }
    assert_eq!(kept.figures(), before);
}

/// Mistakes in a batch of which no node has heard are those a node would have told, and the batch ends there.
#[test]
fn mistakes_are_told_where_no_node_has_heard_of_them() {
    for mode in ["transaction", "session"] {
        let policy = PolicyText::of(Cluster::shared()).mode(mode);
        let kept = Kept::over(policy, "kept_mistakes", "");
        let select = || parse("", &kept.select);
        let mut wire = kept.login("app");
        let good = [select(), bind("", "", &[]), execute("")];
        for _ in 0..2 {
            assert_eq!(shape(&ask(&mut wire, &good)), "1 2 D C ZI", "{mode}");
        }
        let no_portal = ask(&mut wire, &[select(), execute("none"), execute("none")]);
        assert_eq!(shape(&no_portal), "1 E ZI", "{mode}");
        assert_eq!(no_portal[1].problem().code, "34000");
        let gone = [
            bind("", "", &[]),
            message(b'C', b"P\0"),
            describe_portal(""),
        ];
        let gone = ask(&mut wire, &[vec![select()], gone.to_vec()].concat());
        assert_eq!(shape(&gone), "1 2 3 E ZI", "{mode}");
        let too_many = ask(&mut wire, &[select(), bind("", "", &["1"]), execute("")]);
        assert_eq!(shape(&too_many), "1 E ZI", "{mode}");
        assert_eq!(too_many[1].problem().code, "08P01");
        let of_before = ask(&mut wire, &[execute("")]);
        assert_eq!(
            shape(&of_before),
            "E ZI",
            "{mode}: portals end with their batch"
        );
        assert_eq!(shape(&ask(&mut wire, &good)), "1 2 D C ZI", "{mode}");
    }
}

/// Two Queries at once, and a write before a read in one batch.
#[test]
fn what_is_pipelined_is_answered_in_its_order() {
    let mut kept = Kept::start("kept_pipelined", "");
    let mut wire = kept.login("app");
    kept.fill(&mut wire);
    let select = kept.select.clone();
    let write = "UPDATE kept_pipelined SET note = 'third' WHERE id = 1";
    wire.send(&[query(&select), query(write), query(&select)].concat());
    assert_eq!(wire.until_ready()[1].first_value(), "first");
    assert_eq!(shape(&wire.until_ready()), "C ZI");
    assert_eq!(wire.until_ready()[1].first_value(), "third");
    let write = "UPDATE kept_pipelined SET note = 'fourth' WHERE id = 1";
    let batch = [
        [parse("", write), bind("", "", &[]), execute("")].concat(),
        [parse("", &select), bind("", "", &[]), execute("")].concat(),
    ];
    let answer = ask(&mut wire, &batch);
    assert_eq!(shape(&answer), "1 2 C 1 2 D C ZI");
    assert_eq!(answer[5].first_value(), "fourth");
    assert_eq!(wire.value(&select), "fourth");
    // Several statements in one Query are not answered one by one.
    let answer = wire.query(&format!("{select}; {select}"));
    assert_eq!(shape(&answer), "T D C T D C ZI");
}

/// What fails, is broken off or comes with a notice is not kept.
#[test]
fn only_whole_and_quiet_answers_are_kept() {
    let kept = Kept::start("kept_whole", "");
    let mut wire = kept.login("app");
    for _ in 0..2 {
        assert_eq!(
            wire.fails("SELECT 1 / (id - 1) FROM kept_whole").code,
            "22012"
        );
        let answer = ask(
            &mut wire,
            &[
                parse("", "SELECT id FROM kept_whole"),
                bind("", "", &[]),
                execute_some(1),
            ],
        );
        assert_eq!(shape(&answer), "1 2 D s ZI");
        assert_eq!(wire.fails("SELECT nothing FROM kept_whole").code, "42703");
    }
    assert_eq!(kept.figure("stored"), 0);
    assert_eq!(kept.figure("hits"), 0);
    assert_eq!(wire.works("SELECT id FROM kept_whole"), "T D C ZI");
    assert_eq!(kept.figure("stored"), 1);
}

/// A cache is a reason not to notice that a node is away.
#[test]
fn a_node_that_is_away_is_not_missed() {
    let mut cluster = Cluster::new(0);
    drop(make("kept_away", cluster.primary.port));
    let policy = PolicyText::of(&cluster).pool_key("wait = \"1s\"");
    let proxy = Proxy::start(&stage(policy, "kept_away", "ttl = \"1h\""));
    let mut wire = proxy.login("app");
    let select = "SELECT note FROM kept_away WHERE id = $1";
    let batch = [
        parse("", select),
        bind("", "", &["1"]),
        describe_portal(""),
        execute(""),
    ];
    let named = [bind("", "s", &["1"]), execute("")];
    assert_eq!(shape(&ask(&mut wire, &[parse("s", select)])), "1 ZI");
    assert_eq!(wire.value("SELECT note FROM kept_away"), "first");
    assert_eq!(shape(&ask(&mut wire, &batch)), "1 2 T D C ZI");
    assert_eq!(shape(&ask(&mut wire, &named)), "2 D C ZI");
    cluster.primary.stop();
    assert_eq!(wire.value("SELECT note FROM kept_away"), "first");
    assert_eq!(shape(&ask(&mut wire, &batch)), "1 2 T D C ZI");
    assert_eq!(shape(&ask(&mut wire, &named)), "2 D C ZI");
    let failed = ask(
        &mut wire,
        &[parse("", select), bind("", "", &["2"]), execute("")],
    );
    assert!(shape(&failed).ends_with("E ZI"), "{failed:?}");
    assert_eq!(shape(&ask(&mut wire, &batch)), "1 2 T D C ZI");
    cluster.primary.start_again();
}

const LOG: &str = "decisions.jsonl";

/// So many decisions, in short and in order of their words.
fn decisions(proxy: &Proxy, count: usize) -> Vec<String> {
    let lines = wait_for("the decisions are written", || {
        let text = std::fs::read_to_string(proxy.path(LOG)).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let lines: Vec<Value> = lines.collect();
        (lines.len() == count).then_some(lines)
    });
    let short = |line: &Value| {
        let part = &line["stages"][0]["result"];
        let words = [
            &line["protocol"],
            &line["verdict"],
            &line["by"],
            part,
            &line["route"],
        ];
        words.map(|word| word.as_str().unwrap_or("-")).join(" ")
    };
    let mut short: Vec<String> = lines.iter().map(short).collect();
    short.sort();
    short
}

/// The log of decisions, the observers and the figures say where an answer came from.
#[test]
fn an_answer_that_was_kept_is_told_of_as_such() {
    let observer = "when = { cached = true }\nlog = { fields = [\"cached\", \"rows\", \"bytes_out\", \"node\"] }";
    let metrics = free_port();
    let policy = PolicyText::of(Cluster::shared())
        .admin_key(&format!("metrics = \"127.0.0.1:{metrics}\""))
        .extra(&format!("[decisions]\nsink = \"file:{LOG}\""))
        .stage("post_query", "told", observer);
    let kept = Kept::over(policy, "kept_told", "");
    let mut wire = kept.login("app");
    let select = kept.select.clone();
    for _ in 0..2 {
        wire.works(&select);
        drop(wire.extended(&format!("{select} AND true")));
    }
    assert_eq!(
        decisions(&kept.proxy, 4),
        [
            "extended allow otherwise cache primary",
            "extended reply kept cached -",
            "simple allow otherwise cache primary",
            "simple reply kept cached -",
        ]
    );
    kept.proxy.event("the observer is told", |event| {
        event.to_string().contains("cached=true rows=1")
    });
    let samples = scrape(metrics);
    for (name, expected) in [
        (
            "pgwarden_cache_lookups_total{stage=\"kept\",outcome=\"hit\"}",
            2.0,
        ),
        (
            "pgwarden_cache_lookups_total{stage=\"kept\",outcome=\"miss\"}",
            2.0,
        ),
        (
            "pgwarden_cache_answers_total{stage=\"kept\",outcome=\"stored\"}",
            2.0,
        ),
        (
            "pgwarden_cache_answers_total{stage=\"kept\",outcome=\"unfit\"}",
            0.0,
        ),
        (
            "pgwarden_cache_ended_total{stage=\"kept\",why=\"invalidated\"}",
            0.0,
        ),
        ("pgwarden_cache_entries{stage=\"kept\"}", 4.0),
    ] {
        assert_eq!(figure(&samples, name), expected, "{name}");
    }
    assert!(0.0 < figure(&samples, "pgwarden_cache_bytes{stage=\"kept\"}"));
    let stages = kept.proxy.admin().table("SHOW STAGES");
    let stage = stages
        .iter()
        .find(|row| row["stage"] == "kept")
        .expect("its line");
    assert_eq!(
        (stage["action"].as_str(), stage["calls"].as_str()),
        ("cache", "4")
    );
}

#[test]
fn tests_and_explain_play_what_would_be_kept() {
    let test = r#"
[[test]]
name = "a read is kept until its table is written"
given = { user = "app", database = "app", steps = ["SELECT * FROM products", "SELECT * FROM products", "DELETE FROM products", "SELECT * FROM products", "SELECT * FROM products"] }
expect = { steps = [{ by = "otherwise", route = "primary" }, { verdict = "allow", by = "kept" }, { route = "primary" }, { by = "otherwise" }, { by = "kept" }] }
[[test]]
name = "what is refused writes nothing"
given = { user = "other", database = "app", steps = ["SELECT * FROM products", "DELETE FROM products", "SELECT * FROM products", "UPDATE products SET id = 1; DELETE FROM products", "SELECT * FROM products"] }
expect = { steps = [{ by = "otherwise" }, { verdict = "deny", by = "no-deletes" }, { by = "kept" }, { verdict = "deny", by = "no-deletes" }, { by = "kept" }] }
[[test]]
name = "not in a transaction, and not another table"
given = { user = "app", database = "app", steps = ["BEGIN", "SELECT * FROM products", "SELECT * FROM products", "COMMIT", "SELECT * FROM orders", "SELECT * FROM orders"] }
expect = { steps = [{ route = "primary" }, { route = "primary" }, { route = "primary" }, { route = "primary" }, { route = "primary" }, { route = "primary" }] }
"#;
    let rule = "when = { user = \"other\", kind = \"delete\" }\ndeny = \"no\"";
    let policy = PolicyText::of(Cluster::shared()).extra(test);
    let policy = policy.stage("pre_query", "no-deletes", rule);
    let proxy = Proxy::start(&stage(policy, "products", "ttl = \"1h\""));
    let path = proxy.path("policy.toml");
    let path = path.to_str().expect("a path");
    let run = |arguments: &[&str]| {
        let said = Said::by(&mut pgwarden(arguments));
        (said.code == Some(0), said.out)
    };
    let (good, said) = run(&["test", path, "--coverage"]);
    assert!(good, "{said}");
    let read = "SELECT * FROM products";
    let (_, said) = run(&[
        "explain",
        path,
        "--user",
        "app",
        "--database",
        "app",
        "--sql",
        read,
        "--sql",
        read,
        "--sql",
        "SELECT now(), * FROM products",
    ]);
    assert!(
        said.contains("=> answered by kept from its cache"),
        "{said}"
    );
    assert!(said.contains("continue: it calls a function"), "{said}");
}
