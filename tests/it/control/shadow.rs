//! `reload --shadow`: a policy that decides every statement beside the running one, and acts on nothing.

use super::*;
use crate::figures::scrape;
use crate::support::frames::bind;
use crate::support::frames::execute;
use crate::support::frames::function_call;
use crate::support::frames::parse;
use crate::support::frames::sync;
use crate::support::free_port;

/// A process whose policy has no stage, so that nothing of it reads a statement.
fn plain() -> Running {
    Running::over(PolicyText::of(Cluster::shared()), with_socket, &[])
}

/// One whose policy has a stage with this guard.
fn reading(when: &str) -> Running {
    let make = |base: &PolicyText, socket: &Path| {
        let keys = format!("when = {{ {when} }}\ndeny = \"no\"");
        with_socket(base, socket)
            .extra("[sql]\non_unparsed = \"as_write\"")
            .stage("pre_query", "own", &keys)
    };
    Running::over(PolicyText::of(Cluster::shared()), make, &[])
}

/// Sets a shadow.
#[track_caller]
fn set(running: &Running, policy: &PolicyText) -> String {
    let path = running.candidate(policy);
    let out = works(&running.socket, &["reload", "--shadow", &path]);
    assert!(out.starts_with("ok: shadow policy it revision "), "{out}");
    assert!(out.contains("decides and does not act"), "{out}");
    out
}

fn shadow(running: &Running) -> Value {
    status(&running.socket)["shadow"].clone()
}

/// The difference of that kind, if there is one: how many, and the last of them.
fn found(running: &Running, difference: &str, by: (&str, &str)) -> Option<(u64, Value)> {
    let shadow = shadow(running);
    let all = shadow["differences"].as_array()?;
    let one = all.iter().find(|one| {
        (&one["difference"], &one["running"], &one["shadow"])
            == (&difference.into(), &by.0.into(), &by.1.into())
    })?;
    let last = one["last"].as_array()?.last()?.clone();
    Some((one["count"].as_u64()?, last))
}

/// Does it until there is one more difference of that kind: a shadow that has just taken long rests for a while.
#[track_caller]
fn noticed(running: &Running, difference: &str, by: (&str, &str), mut act: impl FnMut()) -> Value {
    let before = found(running, difference, by).map_or(0, |(count, _)| count);
    wait_for(&format!("{difference} {by:?}"), || {
        act();
        let (count, last) = found(running, difference, by)?;
        (before < count).then_some(last)
    })
}

/// Refuses a table, and whatever is unknown.
fn strict(base: &PolicyText) -> PolicyText {
    let keys =
        "when = { tables = [\"by_rule\"] }\ndeny = { code = \"42501\", message = \"strict\" }";
    base.clone().stage("authorize", "strict", keys)
}

/// Every way a statement can arrive is decided by the shadow too, and goes on.
#[track_caller]
fn sees_every_way(running: &Running) {
    set(running, &strict(&running.with_socket()));
    let mut wire = running.proxy.login("app");
    let by = ("otherwise", "strict");
    let sql = "SELECT id FROM by_rule WHERE id = 1";
    let last = noticed(running, "deny", by, || assert_eq!(wire.value(sql), "1"));
    assert_eq!(last["running"], "allow to primary");
    assert_eq!(last["shadow"], "deny 42501");
    assert_eq!(
        (&last["user"], &last["database"]),
        (&"app".into(), &"app".into())
    );
    assert_eq!(last["protocol"], "simple");
    let other = "SELECT id FROM by_rule WHERE id = 2";
    let same = noticed(running, "deny", by, || drop(wire.works(other)));
    assert_eq!(same["fingerprint"], last["fingerprint"]);
    let last = noticed(running, "deny", by, || {
        assert!(wire.extended(sql).iter().any(|message| message.tag == 'D'));
    });
    assert_eq!(last["protocol"], "extended");
    // A statement that was prepared before is decided at every Bind.
    wire.send(&[parse("kept", sql), sync()].concat());
    wire.until_ready();
    noticed(running, "deny", by, || {
        wire.send(&[bind("", "kept", &[]), execute(""), sync()].concat());
        assert!(wire.until_ready().iter().any(|message| message.tag == 'D'));
    });
    wire.works(&format!("PREPARE p AS {sql}"));
    noticed(running, "deny", by, || {
        assert_eq!(wire.value("EXECUTE p"), "1")
    });
    let several = format!("SELECT 1; {sql}; SELECT 2");
    noticed(running, "deny", by, || drop(wire.works(&several)));
    noticed(running, "deny", by, || {
        wire.works("COPY by_rule TO STDOUT");
    });
    let call = noticed(running, "deny", by, || {
        wire.send(&function_call(1395, &["-7"]));
        assert!(wire.until_ready().iter().any(|message| message.tag == 'V'));
    });
    assert_eq!(call["protocol"], "function_call");
    // What both let pass is no difference.
    let before = shadow(running)["differing"].clone();
    wire.works("SELECT * FROM products");
    assert_eq!(shadow(running)["differing"], before);
}

#[test]
fn a_shadow_is_asked_about_every_statement_however_it_arrives() {
    sees_every_way(&reading("user = \"other\""));
}

#[test]
fn so_it_is_where_no_stage_of_the_running_policy_reads_them() {
    sees_every_way(&plain());
}

/// What nobody could know is not called a difference: a PREPARE that no stage of the running policy has seen, and a route that
/// leads to the same place by another word.
#[test]
fn what_is_the_same_or_cannot_be_known_is_no_difference() {
    let running = plain();
    let base = running.with_socket().otherwise("authorize = \"allow\"");
    set(&running, &strict(&base));
    let mut wire = running.proxy.login("app");
    let count = |key: &str| shadow(&running)[key].as_u64().expect("a number");
    wait_for("both decide it", || {
        wire.works("SELECT * FROM products");
        (count("compared") > 0).then_some(())
    });
    wait_for("it is left out", || {
        wire.works("PREPARE q AS SELECT 1; EXECUTE q; DEALLOCATE q");
        (count("unread") > 0).then_some(())
    });
    wire.works("");
    assert_eq!(count("differing"), 0);
}

#[test]
fn each_kind_of_difference_is_told_with_who_decided() {
    let running = reading("tables = [\"by_plugin\"]");
    let base = running.with_socket();
    let candidate = base
        .stage(
            "pre_query",
            "own",
            "when = { tables = [\"nothing\"] }\ndeny = \"no\"",
        )
        .stage(
            "rewrite",
            "bounded",
            "when = { tables = [\"products\"] }\nrewrite = { add_limit = 3 }",
        )
        .stage(
            "rewrite",
            "short",
            "when = { tables = [\"orders\"] }\nrewrite = { statement_timeout = \"9s\" }",
        )
        .stage(
            "pre_query",
            "answers",
            "when = { tables = [\"tenant_acme\"] }\nscript = 'rows([\"a\"], [[\"b\"]])'",
        )
        .stage(
            "route",
            "elsewhere",
            "when = { tables = [\"tenant_globex\"] }\nroute = \"node:pg1\"",
        );
    set(&running, &candidate);
    let mut wire = running.proxy.login("app");
    let mut noticed = |kind: &str, by: (&str, &str), sql: &str| {
        noticed(&running, kind, by, || drop(wire.query(sql)))
    };
    let last = noticed("allow", ("own", "otherwise"), "SELECT * FROM by_plugin");
    assert_eq!(
        (&last["running"], &last["shadow"]),
        (&"deny 42000".into(), &"allow to primary".into())
    );
    let last = noticed("text", ("otherwise", "bounded"), "SELECT * FROM products");
    assert_eq!(last["shadow"], "allow to primary, rewritten");
    let last = noticed("timeout", ("otherwise", "short"), "SELECT * FROM orders");
    assert_eq!(last["shadow"], "allow to primary, within 9s");
    noticed(
        "reply",
        ("otherwise", "answers"),
        "SELECT * FROM tenant_acme",
    );
    let last = noticed(
        "route",
        ("otherwise", "elsewhere"),
        "SELECT * FROM tenant_globex",
    );
    assert_eq!(last["shadow"], "allow to node:pg1");
    let told = works(&running.socket, &["status"]);
    for word in ["statements compared", "elsewhere", "allow to node:pg1"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let rows = running.proxy.admin().table("SHOW POLICY");
    let parts: Vec<&str> = rows.iter().map(|row| &*row["part"]).collect();
    assert_eq!(parts, ["in force", "shadow"]);
    assert_ne!(rows[0]["revision"], rows[1]["revision"]);
}

#[test]
fn a_mask_that_one_of_them_has_is_a_difference() {
    let running = plain();
    let mask = "mask = { columns = [\"by_rule.id\"] }";
    set(
        &running,
        &running.with_socket().stage("authorize", "hidden", mask),
    );
    let mut wire = running.proxy.login("app");
    let last = noticed(&running, "mask", ("otherwise", "otherwise"), || {
        wire.works("SELECT id FROM by_rule");
    });
    assert_eq!(last["running"], "allow to primary");
    assert_eq!(last["shadow"], "allow to primary, masked by_rule.id");
}

const COUNTS: &str = "[permissions.counts]
see = [\"identity\"]
call = [\"kv.read\", \"kv.write\", \"metrics\", \"log\"]
kv = { namespace = \"n\", max_keys = 10, max_bytes = \"4KiB\" }
";

/// Counts, and says how often it was asked.
fn counting(base: &PolicyText, name: &str) -> PolicyText {
    let script = format!(
        "permissions = \"counts\"\nscript = '''\nmetric::add(\"asked\", 1.0);\nlog::warn(\"{name} was asked\");\nlet n = kv::add(\"n\", 1);\nif n > 1000 {{ deny(\"too many\") }} else {{ next() }}\n'''"
    );
    base.clone().extra(COUNTS).stage("pre_query", name, &script)
}

#[test]
fn what_the_stages_of_a_shadow_do_acts_on_nothing() {
    let base = PolicyText::of(Cluster::shared());
    let limit = "limit = { rate = 1000000, per = \"1h\", key = \"user\" }";
    let make = |base: &PolicyText, socket: &Path| {
        let counted = counting(&with_socket(base, socket), "counts");
        counted.stage("pre_query", "rate", limit)
    };
    let running = Running::over(base, make, &[]);
    // The same names: a shadow's limit of one must not use up the running one, nor its values be seen.
    let next = counting(&running.with_socket(), "counts").stage(
        "pre_query",
        "rate",
        "limit = { rate = 1, per = \"1m\", key = \"user\", exceed = \"delay\", max_delay = \"1m\" }",
    );
    let next = next
        .stage(
            "pre_query",
            "refused",
            "limit = { rate = 1, per = \"2h\", key = \"user\" }",
        )
        .stage("metrics", "late", "script = 'loop { }'");
    set(&running, &next);
    let mut wire = running.proxy.login("app");
    let mut sent = 0;
    noticed(&running, "deny", ("otherwise", "refused"), || {
        wire.works("SELECT 1");
        sent += 1;
    });
    let metrics = running.proxy.admin().table("SHOW METRICS");
    assert_eq!(metrics.len(), 1, "{metrics:?}");
    assert_eq!(metrics[0]["value"], sent.to_string());
    let lines = running.proxy.events();
    let warned = lines
        .iter()
        .filter(|line| line["message"] == "counts was asked");
    assert_eq!(warned.count(), sent);
    let stages = running.proxy.admin().table("SHOW STAGES");
    let calls = stages
        .iter()
        .map(|row| (&*row["stage"], row["calls"].clone()));
    let calls: Vec<(&str, String)> = calls.collect();
    assert_eq!(
        calls,
        [("counts", sent.to_string()), ("rate", sent.to_string())]
    );
    // The running policy's own count is that of its statements alone: at the limit of a thousand it would begin to refuse.
    for _ in sent..1000 {
        wire.works("SELECT 1");
    }
    assert_eq!(wire.fails("SELECT 1").message, "too many");
}

#[test]
fn a_shadow_that_fails_or_takes_long_refuses_nothing() {
    let running = plain();
    let base = running.with_socket();
    set(
        &running,
        &base.stage("pre_query", "loops", "script = 'loop { }'"),
    );
    let mut wire = running.proxy.login("app");
    noticed(&running, "deny", ("otherwise", "loops"), || {
        drop(wire.works("SELECT 1"))
    });
    let found = shadow(&running);
    assert!(found["faults"].as_u64() > Some(0), "{found}");
    assert_eq!(found["stages"][0]["stage"], "loops");
    assert!(found["stages"][0]["faults"].as_u64() > Some(0), "{found}");
    wire.works("SELECT 1");
}

#[test]
fn a_shadow_that_takes_long_rests() {
    let running = plain();
    let slow = "fuel = 400_000_000\ndeadline = \"200ms\"\nscript = 'loop { }'";
    let base = running
        .with_socket()
        .extra("[sandbox]\nfuel = 400_000_000\ndeadline = \"200ms\"");
    set(&running, &base.stage("pre_query", "slow", slow));
    let mut wire = running.proxy.login("app");
    wait_for("it rests", || {
        wire.works("SELECT 1");
        shadow(&running)["rested"]
            .as_u64()
            .filter(|rested| 5 < *rested)
    });
}

#[test]
fn a_shadow_with_mistakes_is_refused_and_its_gate_runs() {
    let running = plain();
    let base = running.with_socket();
    let text = strict(&base).text().replace("tables = [", "tabels = [");
    let path = running.proxy.path("next.toml");
    std::fs::write(&path, text).expect("written");
    let refused = ask(
        &running.socket,
        &["reload", "--shadow", path.to_str().expect("UTF-8")],
    );
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("tabels"), "{refused:?}");
    let test = "[reload]\ngate = \"tests\"\n[[test]]\nname = \"may read\"\ngiven = { user = \"app\", sql = \"SELECT * FROM by_rule\" }\nexpect = { verdict = \"allow\" }";
    let path = running.candidate(&strict(&base).extra(test));
    let refused = ask(&running.socket, &["reload", "--shadow", &path]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("may read"), "{refused:?}");
    assert_eq!(shadow(&running), Value::Null);
    let gone = ask(
        &running.socket,
        &["reload", "--shadow", "/nowhere/policy.toml"],
    );
    assert_eq!(gone.code, Some(1), "{gone:?}");
}

#[test]
fn a_shadow_ends_when_it_is_told_to_and_with_a_reload() {
    let running = plain();
    let none = || ask(&running.socket, &["reload", "--shadow", "none"]);
    assert_eq!(none().code, Some(1));
    let candidate = strict(&running.with_socket());
    let mut wire = running.proxy.login("app");
    for end in ["none", "withdraw", "reload"] {
        set(&running, &candidate);
        noticed(&running, "deny", ("otherwise", "strict"), || {
            wire.works("SELECT * FROM by_rule");
        });
        let out = match end {
            "none" => works(&running.socket, &["reload", "--shadow", "none"]),
            other => works(&running.socket, &[other]),
        };
        assert!(out.starts_with("ok: "), "{out}");
        assert_eq!(shadow(&running), Value::Null);
        wire.works("SELECT * FROM by_rule");
    }
    let reloads = status(&running.socket);
    assert_eq!(reloads["swapped"], 1, "a shadow is no reload: {reloads}");
}

/// The plugin of a shadow hears that it goes, once; the running policy's, which is the same, does not.
#[test]
fn the_guests_of_a_shadow_go_with_it() {
    let module = plugins::wat(
        r#"(module
            (import "pgwarden1" "log" (func $log (param i32 i32 i32)))
            (memory (export "memory") 1)
            (data (i32.const 16) "goodbye")
            (func (export "pgw_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "pre_query") (param i32 i32) (result i64) (i64.const 0))
            (func (export "on_unload") (call $log (i32.const 1) (i32.const 16) (i32.const 7))))"#,
    );
    let running = Running::over(
        PolicyText::of(Cluster::shared()),
        with_socket,
        &["--log", "pgwarden=debug"],
    );
    std::fs::write(running.proxy.path("p.wasm"), &module).expect("written");
    let base = running.with_socket().extra(&plugins::table("p", &module));
    set(&running, &base.stage("pre_query", "asks", "plugin = \"p\""));
    let mut wire = running.proxy.login("app");
    wait_for("it is asked", || {
        wire.works("SELECT 1");
        (shadow(&running)["stages"][0]["calls"].as_u64() > Some(0)).then_some(())
    });
    works(&running.socket, &["reload", "--shadow", "none"]);
    wire.works("SELECT 1");
    let said = || {
        let events = running.proxy.events();
        let said = events.iter().filter(|line| line["message"] == "goodbye");
        said.count()
    };
    wait_for("it says goodbye", || (said() == 1).then_some(()));
    let rows = running.proxy.admin().table("SHOW PLUGINS");
    assert!(rows.is_empty(), "it was never in force: {rows:?}");
}

#[test]
fn figures_tell_of_a_shadow_while_there_is_one() {
    let port = free_port();
    let base =
        PolicyText::of(Cluster::shared()).admin_key(&format!("metrics = \"127.0.0.1:{port}\""));
    let running = Running::over(base, with_socket, &[]);
    let told = || -> Vec<String> { scrape(port).into_keys().collect() };
    assert!(!told().iter().any(|name| name.contains("shadow")));
    set(&running, &strict(&running.with_socket()));
    let mut wire = running.proxy.login("app");
    noticed(&running, "deny", ("otherwise", "strict"), || {
        wire.works("SELECT * FROM by_rule");
    });
    let told = told();
    for begin in [
        "pgwarden_shadow_info{policy=\"it\",revision=\"",
        "pgwarden_shadow_statements_total{outcome=\"differing\"}",
        "pgwarden_shadow_differences_total{difference=\"deny\",running=\"otherwise\",shadow=\"strict\"}",
    ] {
        let found = told.iter().any(|name| name.starts_with(begin));
        assert!(found, "{begin}: {told:?}");
    }
}

/// What a shadow refuses by their number alone is not looked at one by one.
#[test]
fn more_statements_than_a_shadow_allows_are_compared_once() {
    let running = plain();
    set(&running, &strict(&running.with_socket()));
    let mut wire = running.proxy.login("app");
    let compared = || shadow(&running)["compared"].as_u64().expect("a number");
    wait_for("it is asked", || {
        wire.works("SELECT 1");
        (compared() != 0).then_some(())
    });
    let before = compared();
    let last = noticed(&running, "deny", ("otherwise", "max_statements"), || {
        wire.query(&"SELECT 1;".repeat(1_001));
    });
    assert_eq!(last["running"], "allow to primary");
    assert!(compared() <= before + 2, "{} {before}", compared());
}

/// How nodes are is known by their names.
#[test]
fn a_shadow_has_no_other_server_under_a_name_that_serves() {
    let running = plain();
    let port = Cluster::shared().primary.port;
    let text = running.with_socket().text();
    let other = text.replace(&format!("port = {port}\n"), "port = 1\n");
    assert_ne!(other, text);
    std::fs::write(running.proxy.path("next.toml"), &other).expect("written");
    let path = running.proxy.path("next.toml");
    let path = path.to_str().expect("UTF-8");
    let said = ask(&running.socket, &["reload", "--shadow", path]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err
            .contains("`node.pg1`: the running policy has another server"),
        "{said:?}"
    );
    std::fs::write(path, other.replace("pg1", "elsewhere")).expect("written");
    works(&running.socket, &["reload", "--shadow", path]);
}
