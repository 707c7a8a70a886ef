//! The log of decisions: every way a statement can arrive is in it, what is secret is not, and it survives rotation, reloads
//! and the end of the process.

use crate::support::cluster::Cluster;
use crate::support::frames::bind;
use crate::support::frames::copy_data;
use crate::support::frames::copy_done;
use crate::support::frames::execute;
use crate::support::frames::function_call;
use crate::support::frames::parse;
use crate::support::frames::query;
use crate::support::frames::sync;
use crate::support::message::Problem;
use crate::support::message::only_problem;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::Reload;
use crate::support::proxy::pgwarden;
use crate::support::repository;
use crate::support::wait_for;
use serde_json::Value;
use std::io::BufRead;
use std::io::Read;
use std::path::Path;

/// Stands in statements as a literal.
const SECRET: &str = "hush-hush-4711";
const FILE: &str = "decisions.jsonl";

fn with_log(keys: &str) -> PolicyText {
    PolicyText::of(Cluster::shared()).extra(&format!("[decisions]\nsink = \"file:{FILE}\"\n{keys}"))
}

/// A rule, a script and a plugin, each of which refuses a table of its own.
fn guarded(keys: &str) -> (Proxy, Vec<u8>) {
    let plugin = plugins::refusing("the plugin says no");
    let policy = with_log(keys)
        .extra("[permissions.tables]\nsee = [\"sql.tables\"]\ncall = [\"log\"]")
        .extra(&plugins::table("refusing", &plugin))
        .stage("pre_query", "rule", "when = { tables = [\"by_rule\"] }\ndeny = \"no\"")
        .stage(
            "pre_query",
            "script",
            "permissions = \"tables\"\nscript = 'log::trace(\"asked\"); if sql.tables.some(|t| t.name == \"by_script\") { deny(\"the script says no\") } else { next() }'",
        )
        .stage("pre_query", "plugin", "when = { tables = [\"by_plugin\"] }\nplugin = \"refusing\"")
        .stage("pre_query", "loops", "when = { tables = [\"by_loop\"] }\nscript = 'loop { }'");
    let proxy = Proxy::start_with(&policy, &[("refusing.wasm", &plugin)], &[]);
    (proxy, plugin)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Waits until that many decisions are written.
#[track_caller]
fn written(proxy: &Proxy, count: usize) -> Vec<Value> {
    let path = proxy.path(FILE);
    wait_for("the decisions are written", || {
        let lines = lines(&path);
        (count <= lines.len()).then_some(lines)
    })
}

/// What a decision came to, in short.
fn short(decision: &Value) -> String {
    let stages = decision["stages"].as_array().expect("a list");
    let stages = stages.iter().map(|part| {
        let result = part["fault"].as_str().or(part["result"].as_str());
        format!(
            " {}={}",
            part["stage"].as_str().expect("a name"),
            result.expect("a result")
        )
    });
    let word = |key: &str| decision[key].as_str().expect(key).to_owned();
    format!(
        "{} {} by {}:{}",
        word("protocol"),
        word("verdict"),
        word("by"),
        stages.collect::<String>()
    )
}

#[test]
fn every_way_a_statement_can_arrive_is_recorded() {
    let (proxy, _) = guarded("");
    let mut wire = proxy.login("app");
    let mut refusals = Vec::new();
    wire.works(&format!("SELECT '{SECRET}'"));
    refusals.push(wire.fails(&format!("SELECT '{SECRET}' FROM by_rule")));
    refusals.push(only_problem(
        &wire.extended(&format!("SELECT '{SECRET}' FROM by_script")),
    ));
    refusals.push(wire.fails("SELECT 1; SELECT * FROM by_plugin"));
    wire.works("PREPARE p AS SELECT 1");
    wire.works("EXECUTE p");
    wire.works("DEALLOCATE p");
    wire.send(&query("COPY products FROM STDIN"));
    wire.until(|message| message.tag == 'G');
    wire.send(&[copy_data(b""), copy_done()].concat());
    wire.until_ready();
    wire.send(
        &[
            parse("", "SELECT 2"),
            bind("", "", &[]),
            execute(""),
            sync(),
        ]
        .concat(),
    );
    wire.until_ready();
    // What abs(double precision) reads is not known, so it may be what the rule refuses.
    wire.send(&function_call(1395, &["-7"]));
    refusals.push(only_problem(&wire.until_ready()));
    refusals.push(wire.fails("SELECT * FROM by_loop"));
    let decisions = written(&proxy, 12);
    let told: Vec<String> = decisions.iter().map(short).collect();
    assert_eq!(
        told,
        [
            "simple allow by otherwise: script=continue",
            "simple deny by rule: rule=block",
            "extended deny by script: script=block",
            "simple allow by otherwise: script=continue",
            "simple deny by plugin: script=continue plugin=block",
            "simple allow by otherwise: script=continue",
            "simple allow by otherwise: script=continue",
            "simple allow by otherwise: script=continue",
            "simple allow by otherwise: script=continue",
            "extended allow by otherwise: script=continue",
            "function_call deny by rule: rule=block",
            "simple deny by loops: script=continue loops=out_of_fuel",
        ]
    );
    clients_were_told(&refusals, &decisions);
    costs_are_told(&decisions);
    let text = std::fs::read_to_string(proxy.path(FILE)).expect("a file");
    assert!(
        !text.contains(SECRET) && !text.contains("says no"),
        "{text}"
    );
    is_as_the_schema_says(&decisions);
}

/// The client has the decision's id and the policy's revision.
#[track_caller]
fn clients_were_told(refusals: &[Problem], decisions: &[Value]) {
    let refused: Vec<&Value> = decisions
        .iter()
        .filter(|one| one["verdict"] == "deny")
        .collect();
    for (problem, decision) in refusals.iter().zip(refused) {
        let (id, code) = (decision["id"].as_str(), decision["code"].as_str());
        assert!(
            problem.detail.contains(id.expect("an id")),
            "{problem:?} {decision}"
        );
        assert_eq!(Some(&*problem.code), code);
        let revision = &decision["revision"].as_str().expect("a revision")[..8];
        assert!(problem.detail.contains(revision), "{problem:?}");
    }
}

/// Guests have fuel and time, rules have neither.
#[track_caller]
fn costs_are_told(decisions: &[Value]) {
    let loops = &decisions[11]["stages"][1];
    assert!(Some(1_000_000) < loops["fuel"].as_u64(), "{loops}");
    assert!(Some(1_000) < loops["nanos"].as_u64(), "{loops}");
    let fuel = |part: &Value| part["fuel"].as_u64();
    let plugin = decisions[4]["stages"].as_array().expect("a list");
    let sum: u64 = plugin.iter().filter_map(fuel).sum();
    assert_eq!(decisions[4]["fuel"].as_u64(), Some(sum));
    assert_eq!(fuel(&decisions[1]["stages"][0]), None);
}

#[track_caller]
fn is_as_the_schema_says(decisions: &[Value]) {
    let path = repository().join("schemas/decision.schema.json");
    let schema = std::fs::read_to_string(path).expect("the schema");
    let schema = serde_json::from_str(&schema).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    for decision in decisions {
        let errors: Vec<String> = schema
            .iter_errors(decision)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:?}\n{decision}");
    }
}

#[test]
fn with_sql_text_the_file_has_the_statement_and_what_became_of_it() {
    let policy = with_log("sql = \"text\"")
        .stage(
            "rewrite",
            "cap",
            "when = { kind = \"select\", has_limit = false }\nrewrite = { add_limit = 7 }",
        )
        .stage("route", "reads", "route = \"node:pg1\"");
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    wire.works(&format!("SELECT '{SECRET}'"));
    let decisions = written(&proxy, 1);
    let one = &decisions[0];
    assert_eq!(one["text"], format!("SELECT '{SECRET}'"));
    assert_eq!(one["sent"], format!("SELECT '{SECRET}' LIMIT 7"));
    assert_eq!(
        (&one["route"], &one["routed_by"]),
        (&"node:pg1".into(), &"reads".into())
    );
    assert_eq!(one["normalized"], "select $1 limit $2");
    is_as_the_schema_says(&decisions);
}

#[test]
fn shares_are_by_verdict_and_rules_of_sql_refuse_as_well() {
    let policy = with_log("sample = { allow = 0.0 }")
        .extra("[sql]\nmax_statements = 2\nmax_bytes = \"1KiB\"");
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    wire.works("SELECT 1");
    wire.fails("SELECT 1; SELECT 2; SELECT 3");
    wire.fails(&format!("SELECT '{}'", "x".repeat(2_000)));
    wire.fails("SELEC 1 FORM (");
    wire.works("SELECT 1");
    let told: Vec<String> = written(&proxy, 3).iter().map(short).collect();
    assert_eq!(
        told,
        [
            "simple deny by max_statements:",
            "simple deny by max_bytes:",
            "simple deny by on_unparsed:",
        ]
    );
}

#[test]
fn a_file_that_is_moved_away_is_made_anew() {
    let proxy = Proxy::start(&with_log(""));
    let mut wire = proxy.login("app");
    wire.works("SELECT 1");
    assert_eq!(written(&proxy, 1).len(), 1);
    let moved = proxy.path("decisions.1");
    std::fs::rename(proxy.path(FILE), &moved).expect("renamed");
    wire.works("SELECT 2");
    assert_eq!(written(&proxy, 1).len(), 1, "the new file has the new line");
    assert_eq!(lines(&moved).len(), 1, "the old one stays as it was");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(proxy.path(FILE))
            .expect("a file")
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_place_that_cannot_be_written_is_a_mistake_and_a_reload_moves_the_log() {
    let base = PolicyText::of(Cluster::shared());
    let to = |path: &str| {
        base.clone()
            .extra(&format!("[decisions]\nsink = \"file:{path}\""))
            .text()
    };
    let proxy = Proxy::start(&base);
    let mut wire = proxy.login("app");
    let mut admin = proxy.admin();
    wire.works("SELECT 1");
    assert!(admin.table("SHOW DECISIONS").is_empty());
    assert_eq!(proxy.reload(&to("no/such/folder/log")), Reload::Kept);
    assert!(
        proxy
            .log()
            .contains("decisions cannot be written to file:no/such/folder/log")
    );
    assert_eq!(proxy.reload(&to(FILE)), Reload::Swapped);
    wire.works("SELECT 2");
    assert_eq!(written(&proxy, 1).len(), 1);
    let row = wait_for("it is counted", || {
        let rows = admin.table("SHOW DECISIONS");
        (rows[0]["written"] == "1").then(|| rows[0].clone())
    });
    assert_eq!(row["sink"], format!("file:{FILE}"));
    assert_eq!(proxy.reload(&to("other.jsonl")), Reload::Swapped);
    wire.works("SELECT 3");
    wait_for("the other file", || {
        (lines(&proxy.path("other.jsonl")).len() == 1).then_some(())
    });
    assert_eq!(lines(&proxy.path(FILE)).len(), 1);
    let policy = proxy.folder().join("wrong.toml");
    std::fs::write(&policy, to("no/such/folder/log")).expect("written");
    let output = pgwarden(&["run"])
        .arg(policy)
        .output()
        .expect("pgwarden starts");
    assert!(!output.status.success());
}

#[test]
fn what_waits_is_written_before_the_process_ends() {
    let mut proxy = Proxy::start(&with_log("sql = \"none\""));
    let mut wire = proxy.login("app");
    let batch: Vec<u8> = (0..500)
        .flat_map(|_| {
            [
                parse("", "SELECT 1"),
                bind("", "", &[]),
                execute(""),
                sync(),
            ]
            .concat()
        })
        .collect();
    wire.send(&batch);
    for _ in 0..500 {
        wire.until_ready();
    }
    proxy.terminate();
    assert!(proxy.ended().success());
    let decisions = lines(&proxy.path(FILE));
    assert_eq!(decisions.len(), 500);
    assert!(decisions.iter().all(|one| one.get("fingerprint").is_none()));
}

fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo").success());
}

/// Opening a pipe waits for whoever reads it; nobody else may.
#[test]
fn a_pipe_that_nobody_reads_holds_up_nothing() {
    let base = PolicyText::of(Cluster::shared());
    let proxy = Proxy::start(&base);
    let mut wire = proxy.login("app");
    pipe(&proxy.path("pipe"));
    let to_pipe = base.extra("[decisions]\nsink = \"file:pipe\"").text();
    assert_eq!(proxy.reload(&to_pipe), Reload::Swapped);
    wire.works("SELECT 1");
    proxy.login("app").works("SELECT 1");
    let rows = proxy.admin().table("SHOW DECISIONS");
    assert_eq!(rows[0]["sink"], "file:pipe");
    // Whoever comes to read gets what was written.
    let mut reader = std::fs::File::open(proxy.path("pipe")).expect("opened");
    let mut line = [0; 64];
    reader.read_exact(&mut line).expect("a decision");
    assert!(line.starts_with(b"{\"version\":"), "{line:?}");
}

/// The file is left while lines still wait for it, and then the process is told to stop.
#[test]
fn what_waits_is_written_also_where_a_reload_has_left_the_file() {
    const STATEMENTS: usize = 400;
    let folder = crate::support::Folder::new("slow");
    let path = folder.path().join("pipe");
    pipe(&path);
    let base = PolicyText::of(Cluster::shared());
    let to = |sink: &str| {
        base.clone()
            .extra(&format!("[decisions]\nsink = \"file:{sink}\""))
    };
    let mut proxy = Proxy::start(&to(path.to_str().expect("UTF-8")));
    // It holds 64 KiB; the rest waits until somebody reads.
    let reader = std::fs::File::open(&path).expect("opened");
    let mut wire = proxy.login("app");
    for _ in 0..STATEMENTS {
        wire.works("SELECT 1");
    }
    assert_eq!(proxy.reload(&to(FILE).text()), Reload::Swapped);
    wire.works("SELECT 1");
    assert_eq!(written(&proxy, 1).len(), 1);
    drop(wire);
    proxy.terminate();
    wait_for("nobody is let in", || {
        std::net::TcpStream::connect(("127.0.0.1", proxy.port))
            .is_err()
            .then_some(())
    });
    let lines = std::io::BufReader::new(reader).lines();
    assert_eq!(lines.map_while(Result::ok).count(), STATEMENTS);
    assert!(proxy.ended().success());
}

/// The log says what became of a statement, not what the stages would have had.
#[test]
fn what_a_session_cannot_do_is_recorded_as_refused() {
    let rows = "script = 'rows([\"id\"], [[\"7\"]])'";
    let policy = with_log("sample = { allow = 0.0 }")
        .pool_key("session_state = \"refuse\"")
        .extra("[sql]\non_unparsed = \"as_write\"")
        .stage(
            "pre_query",
            "table",
            &format!("when = {{ tables = [\"products\"] }}\nunless = {{ protocol = \"function_call\" }}\n{rows}"),
        )
        .stage(
            "pre_query",
            "call",
            &format!("when = {{ protocol = \"function_call\" }}\n{rows}"),
        );
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    let mut told = vec![
        wire.fails("SET work_mem = '1MB'"),
        only_problem(&wire.extended("PREPARE p AS SELECT 1")),
        wire.fails("SELECT 1; SELECT * FROM products"),
    ];
    wire.send(&function_call(1, &[]));
    told.push(only_problem(&wire.until_ready()));
    let decisions = written(&proxy, 4);
    let short: Vec<String> = decisions.iter().map(short).collect();
    assert_eq!(
        short,
        [
            "simple deny by session_state:",
            "extended deny by session_state:",
            "simple deny by table: table=cached",
            "function_call deny by call: call=cached",
        ]
    );
    clients_were_told(&told, &decisions);
    is_as_the_schema_says(&decisions);
}
