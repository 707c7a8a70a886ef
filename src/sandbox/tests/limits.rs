//! Fuel, memory, time, stack and sizes.

use super::*;

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    for guest in both(wat!("loop"), "loop {}", &spec()) {
        let failed = ask(&*guest, "SELECT 1", &stub()).expect_err("a fault");
        assert_eq!(failed.fault, Fault::OutOfFuel);
        assert_eq!(failed.fuel, Limits::default().fuel);
    }
}

#[test]
fn a_lower_limit_of_fuel_holds() {
    let mut spec = spec();
    spec.limits.fuel = 10_000;
    for guest in both(wat!("loop"), "let x = 0; loop { x += 1; }", &spec) {
        let failed = ask(&*guest, "SELECT 1", &stub()).expect_err("a fault");
        assert_eq!((failed.fault, failed.fuel), (Fault::OutOfFuel, 10_000));
    }
}

#[test]
fn what_takes_too_long_is_stopped() {
    let mut spec = spec();
    spec.limits.fuel = u64::MAX / 2;
    for guest in both(wat!("loop"), "loop {}", &spec) {
        let services = Arc::new(Stub {
            tick: Duration::from_millis(1),
            ..Stub::default()
        });
        assert_eq!(fault(&*guest, &services), Fault::Deadline);
        assert_eq!(
            services.looks.load(Ordering::Relaxed),
            12,
            "10 ms, looked at each millisecond"
        );
    }
}

#[test]
fn a_short_guest_never_reads_the_clock() {
    for guest in both(wat!("allow"), "allow()", &spec()) {
        let services = stub();
        ask(&*guest, "SELECT 1", &services).expect("an answer");
        assert_eq!(services.looks.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn unbounded_growth_is_stopped() {
    let mut spec = spec();
    spec.limits.fuel = u64::MAX / 2;
    spec.limits.memory_bytes_max = 256 << 10;
    spec.limits.deadline = Duration::from_secs(60);
    for script in [
        "let m = #{}; let i = 0; loop { m[i.to_string()] = \"0123456789012345678901234567890123456789\"; i += 1; }",
        "let a = []; loop { a.push([1, 2, 3]); }",
        "let s = \"x\"; loop { s += s; }",
        "let a = [1]; loop { a += a; }",
        "let big = \"x\"; for i in 0..15 { big += big; } let a = []; loop { a.push(big); }",
        "let m = #{}; let n = #{}; let i = 0; loop { n[i.to_string()] = 1; m[i.to_string()] = n; i += 1; }",
        "let big = \"x\"; for i in 0..12 { big += big; } let a = []; a.pad(1000, 0); a = a.map(|x| big + x); allow()",
        "fn grow() { let i = 0; loop { this[i.to_string()] = \"0123456789\"; i += 1; } } let m = #{}; m.grow();",
        "fn f(m, n) { let i = 0; while i < 1000 { m[i.to_string()] = i; i += 1; } f(m, n + 1) } f(#{}, 0)",
    ] {
        for guest in both(wat!("grow"), script, &spec) {
            let fault = fault(&*guest, &stub());
            assert!(
                matches!(fault, Fault::OutOfMemory | Fault::StackOverflow),
                "{script}: {fault}"
            );
        }
    }
}

/// To the page: what would fill the whole of a module's address space ends somewhere as well.
#[test]
fn memory_of_a_module_ends_where_its_limit_is() {
    let grows = |pages: u32| {
        let module = format!(
            r#"(module (memory (export "memory") 1)
            (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
            (func (export "authorize") (param i32 i32) (result i64)
                (drop (memory.grow (i32.const {pages}))) i64.const 1))"#
        );
        let mut spec = spec();
        spec.limits.memory_bytes_max = 4 << 16;
        ask(&*wasm(&module, spec).expect("loads"), "SELECT 1", &stub())
    };
    assert!(grows(3).is_ok());
    assert_eq!(grows(4).unwrap_err().fault, Fault::OutOfMemory);
}

#[test]
fn a_table_of_a_module_ends_where_its_limit_is() {
    let grows = |entries: usize| {
        let module = format!(
            r#"(module (memory (export "memory") 1) (table $t 1 funcref)
            (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
            (func (export "authorize") (param i32 i32) (result i64)
                (drop (table.grow $t (ref.null func) (i32.const {entries}))) i64.const 1))"#
        );
        ask(&*wasm(&module, spec()).expect("loads"), "SELECT 1", &stub())
    };
    let most = spec().limits.table_entries_max;
    assert!(grows(most - 1).is_ok());
    assert_eq!(grows(most).unwrap_err().fault, Fault::OutOfMemory);
}

#[test]
fn deep_recursion_is_stopped() {
    for guest in both(wat!("recurse"), "fn f(x) { f(x + 1) + 1 } f(0)", &spec()) {
        assert_eq!(fault(&*guest, &stub()), Fault::StackOverflow);
    }
}

#[test]
fn a_guest_goes_on_after_each_fault() {
    for state in [State::Fresh, State::Kept] {
        let spec = GuestSpec { state, ..spec() };
        let module = r#"(module (memory (export "memory") 1) (global $n (mut i32) (i32.const 0))
            (func (export "pgw_alloc") (param i32) (result i32) i32.const 1024)
            (func (export "authorize") (param i32 i32) (result i64)
                (if (i32.eqz (global.get $n)) (then (global.set $n (i32.const 1)) (unreachable))) i64.const 1))"#;
        let guest = wasm(module, spec).expect("loads");
        for _ in 0..3 {
            assert_eq!(
                fault(&*guest, &stub()).kind(),
                "trap",
                "a faulted instance is not asked again"
            );
        }
    }
}

#[test]
fn what_a_guest_is_told_is_bounded() {
    let mut spec = trusted();
    spec.limits.input_bytes_max = 4_096;
    let long = format!("SELECT '{}'", "x".repeat(5_000));
    for guest in both(
        wat!("peek"),
        "if sql.text.contains(\"secret\") { deny(\"x\") } else { next() }",
        &spec,
    ) {
        let failed = ask(&*guest, &long, &stub()).expect_err("a fault");
        assert_eq!(failed.fault.kind(), "input_too_large");
    }
}

#[test]
fn what_a_guest_answers_is_bounded() {
    let mut spec = spec();
    spec.limits.output_bytes_max = 64;
    let answer = |script: String| load_script(&script, spec.clone()).expect("loads");
    let long = "x".repeat(65);
    // Lowered, run by Rhai, and a module that says its answer is as long.
    let guests = [
        answer(format!("deny(\"{long}\")")),
        answer(format!("switch 1 {{ _ => deny(\"{long}\") }}")),
        wasm(wat!("huge_answer"), spec.clone()).expect("loads"),
    ];
    for guest in guests {
        let fault = fault(&*guest, &stub());
        assert_eq!(fault.kind(), "bad_answer");
        assert!(
            fault.to_string().contains("over the limit of 64"),
            "{fault}"
        );
    }
    let refused = ask(
        &*answer(format!("deny(\"{}\")", &long[1..])),
        "SELECT 1",
        &stub(),
    );
    assert!(refused.is_ok(), "as long as it may be");
}

#[test]
fn a_script_is_bounded_in_length_and_depth() {
    let mut limited = spec();
    limited.limits.script_bytes_max = 10;
    let errors = load_script("next();      next()", limited)
        .err()
        .expect("refused");
    assert_eq!(errors[0].code, "P0421");
    let deep = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    assert_eq!(
        load_script(&deep, spec()).err().expect("refused")[0].code,
        "P0401"
    );
}

#[test]
fn deeply_nested_values_do_not_exhaust_our_own_stack() {
    let mut spec = spec();
    spec.limits.fuel = 50_000_000;
    for script in [
        "let a = []; for i in 0..100000 { a = [a]; } allow()",
        "let m = #{}; for i in 0..100000 { m = #{ m: m }; } allow()",
        "let m = #{}; for i in 0..100000 { let n = #{}; n.a = m; n.b = m; m = n; } allow()",
        "let f = || 1; for i in 0..100000 { let g = f; f = || g.call(); } allow()",
        "let m = #{}; for i in 0..100000 { let n = #{}; n[\"m\"] = m; m = n; } allow()",
    ] {
        let guest = load_script(script, spec.clone()).unwrap_or_else(|errors| panic!("{errors:?}"));
        let fault = fault(&*guest, &stub());
        assert!(
            matches!(fault, Fault::OutOfMemory | Fault::OutOfFuel),
            "{script}: {fault}"
        );
    }
}
