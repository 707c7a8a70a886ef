//! Host functions: permission, effect, charge, and what one call leaves for the next.

use super::*;
use crate::hook::Answer;
use crate::sandbox::HostFunction;
use crate::sandbox::host::Request;
use crate::sandbox::host::call;
use crate::sandbox::turn::Profile;
use crate::sandbox::turn::Turn;

#[test]
fn stored_values_count_across_calls() {
    for guest in both(
        wat!("count"),
        "if kv::add(\"calls\", 1) == 1 { allow() } else { next() }",
        &trusted(),
    ) {
        let services = stub();
        let answers = [(); 3].map(|()| {
            ask(&*guest, "SELECT 1", &services)
                .expect("an answer")
                .answer
        });
        assert_eq!(answers, [Answer::Allow, Answer::Continue, Answer::Continue]);
        assert_eq!(
            services.store.get("n", b"calls", 0).as_deref(),
            Some(&b"3"[..])
        );
    }
}

#[test]
fn a_fresh_guest_remembers_nothing_and_a_kept_one_may() {
    let guest = wasm(wat!("remember"), spec()).expect("loads");
    for _ in 0..3 {
        assert_eq!(
            ask(&*guest, "SELECT 1", &stub()).expect("an answer").answer,
            Answer::Allow
        );
    }
    let guest = wasm(
        wat!("remember"),
        GuestSpec {
            state: State::Kept,
            ..spec()
        },
    )
    .expect("loads");
    let answers = [(); 2].map(|()| ask(&*guest, "SELECT 1", &stub()).expect("an answer").answer);
    assert_eq!(answers, [Answer::Allow, Answer::Continue]);
    let guest = load_script(
        "config.n += 1; if config.n == 1 { allow() } else { next() }",
        spec(),
    );
    assert!(
        guest.is_err(),
        "a script cannot even write to what it is given"
    );
}

#[test]
fn a_script_cannot_change_its_configuration_for_the_next_call() {
    let spec = GuestSpec {
        config: Some(serde_json::json!({ "list": [1] })),
        ..spec()
    };
    let script = "let list = config.list; list.push(2); if config.list.len() == 1 && list.len() == 2 { allow() }";
    let guest = load_script(script, spec).unwrap_or_else(|e| panic!("{e:?}"));
    for _ in 0..2 {
        assert_eq!(
            ask(&*guest, "SELECT 1", &stub()).expect("an answer").answer,
            Answer::Allow
        );
    }
}

#[test]
fn a_flood_of_log_lines_is_cut_and_paid_for() {
    let mut spec = spec();
    spec.limits.host_calls_max = u32::MAX;
    for guest in both(wat!("chatty"), "loop { log::info(\"hello\"); }", &spec) {
        let services = stub();
        assert_eq!(fault(&*guest, &services), Fault::OutOfFuel);
        let log = services.log.lock().unwrap();
        assert_eq!(log.len(), 16);
        assert_eq!(log[0], "stage info hello");
    }
}

#[test]
fn the_gate_refuses_what_is_not_granted_whoever_asks() {
    let profile = Arc::new(Profile::new(spec()));
    let mut turn = Turn::new(&profile);
    let services: Arc<dyn Services> = stub();
    open(&mut turn, &services);
    for request in [
        Request::KvGet { key: b"a" },
        Request::KvSet {
            key: b"a",
            value: b"b",
            ttl_ms: 0,
        },
        Request::KvDelete { key: b"a" },
        Request::KvAdd {
            key: b"a",
            delta: 1,
            ttl_ms: 0,
        },
        Request::KvCompareAndSwap {
            key: b"a",
            expected: None,
            value: b"b",
            ttl_ms: 0,
        },
        Request::Metric {
            op: MetricOp::Add,
            name: b"a",
            value: 1.0,
        },
        Request::Now,
        Request::Random,
        Request::Sha256 { bytes: b"" },
    ] {
        let fault = call(&mut turn, request).expect_err("refused");
        assert_eq!(fault.kind(), "call_refused");
    }
    assert_eq!(
        turn.meter.used(),
        0,
        "what is refused costs nothing and does nothing"
    );
    call(
        &mut turn,
        Request::Log {
            level: Level::Info,
            message: b"granted",
        },
    )
    .expect("granted");
    turn.end();
    call(
        &mut turn,
        Request::Log {
            level: Level::Info,
            message: b"late",
        },
    )
    .expect_err("outside of a call");
}

fn open(turn: &mut Turn, services: &Arc<dyn Services>) {
    let session = session();
    let input = Input {
        hook: Hook::OnConnect,
        request_id: Uuid::nil(),
        session: &session,
        statement: None,
        outcome: None,
        auth: None,
        custom: None,
        loaded: &[],
        now: None,
        lag: None,
    };
    turn.begin(&input, services).expect("opens");
}

#[test]
fn wrong_arguments_are_traps_in_both() {
    let call_metric = |name: &str, value: &str| {
        format!(
            r#"(module (import "pgwarden1" "metric_add" (func $add (param i32 i32 f64)))
            (memory (export "memory") 1) (data (i32.const 16) "{name}")
            (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
            (func (export "authorize") (param i32 i32) (result i64)
                (call $add (i32.const 16) (i32.const {}) (f64.const {value})) i64.const 0))"#,
            name.len()
        )
    };
    for (name, value) in [("Bad Name", "1.0"), ("", "1.0"), ("good", "-1.0")] {
        let script = format!("metric::add(\"{name}\", {value});");
        for guest in both(&call_metric(name, value), &script, &trusted()) {
            assert_eq!(fault(&*guest, &stub()).kind(), "trap", "{name} {value}");
        }
    }
    for guest in both(
        &call_metric("good", "2.0"),
        "metric::add(\"good\", 2);",
        &trusted(),
    ) {
        let services = stub();
        ask(&*guest, "SELECT 1", &services).expect("an answer");
        assert_eq!(*services.metrics.lock().unwrap(), ["stage good Add 2"]);
    }
}

#[test]
fn pointers_outside_of_the_memory_are_traps() {
    let guest = wasm(wat!("bad_pointer"), spec()).expect("loads");
    assert_eq!(fault(&*guest, &stub()).kind(), "trap");
}

#[test]
fn scripts_reach_every_function() {
    let script = "
        kv::set(\"a\", 5); kv::set(\"b\", \"x\", 1000);
        if kv::get(\"a\") != \"5\" { throw \"get\" }
        if kv::get(\"none\") != () { throw \"missing\" }
        if !kv::cas(\"a\", \"5\", 6) { throw \"cas\" }
        if kv::cas(\"a\", \"5\", 7) { throw \"cas twice\" }
        if !kv::cas(\"new\", (), 1) { throw \"cas on nothing\" }
        if kv::add(\"a\", -2) != 4 { throw \"add\" }
        if !kv::delete(\"a\") { throw \"delete\" }
        if time::now() != 0 { throw \"now\" }
        if random::number() != 7 { throw \"random\" }
        if sha256::hex(\"abc\") != \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\" { throw \"sha\" }
        if !field::contains(\"sql.text\", \"secret\") { throw \"contains\" }
        metric::set(\"gauge\", 1.5); metric::observe(\"histogram\", 2);
        let full = false;
        try { for i in 0..20 { kv::add(i.to_string(), 1); } } catch (e) { full = e == \"the namespace is full\"; }
        if !full { throw \"full\" }
        allow()";
    let guest = load_script(script, trusted()).unwrap_or_else(|e| panic!("{e:?}"));
    let reply = ask(&*guest, "SELECT 'secret'", &stub()).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(reply.answer, Answer::Allow);
}

#[test]
fn every_function_can_be_imported_with_its_documented_type() {
    wasm(wat!("everything"), trusted()).unwrap_or_else(|e| panic!("{e:?}"));
    let text = wat!("everything");
    for function in HostFunction::all() {
        assert!(
            text.contains(&format!("\"{}\"", function.import_name())),
            "{function:?} is in everything.wat"
        );
    }
}

#[test]
fn the_same_call_costs_the_same() {
    // The difference between two guests that differ in one call only is the call's charge, whatever runs it.
    let charge = |with: &dyn Guest, without: &dyn Guest| {
        let fuel = |guest: &dyn Guest| ask(guest, "SELECT 1", &stub()).expect("an answer").fuel;
        fuel(with) - fuel(without)
    };
    let module = |calls: usize| {
        let calls = "(call $log (i32.const 1) (i32.const 16) (i32.const 400))".repeat(calls);
        format!(
            r#"(module (import "pgwarden1" "log" (func $log (param i32 i32 i32)))
            (memory (export "memory") 1) (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
            (func (export "authorize") (param i32 i32) (result i64) {calls} i64.const 0))"#
        )
    };
    let modules = [module(1), module(0)].map(|text| wasm(&text, spec()).expect("loads"));
    let own = charge(&*modules[0], &*modules[1]);
    assert!(
        (82..=90).contains(&own),
        "32 + 400/8, and a few operators: {own}"
    );
}
