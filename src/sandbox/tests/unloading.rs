//! What a module is asked when its revision goes.

use super::*;

fn unload(guest: &dyn Guest, services: &Arc<Stub>) -> Result<(), Fault> {
    let services: Arc<dyn Services> = Arc::<Stub>::clone(services);
    guest.unload(&services)
}

#[test]
fn on_unload_is_called_with_the_permissions_of_the_guest() {
    for state in [State::Fresh, State::Kept] {
        let spec = GuestSpec { state, ..trusted() };
        let guest = wasm(wat!("leaves"), spec).expect("loads");
        let services = stub();
        for _ in 0..2 {
            ask(&*guest, "SELECT 1", &services).expect("an answer");
        }
        assert_eq!(unload(&*guest, &services), Ok(()));
        let stored = |key: &[u8]| services.store.get("n", key, 0);
        assert_eq!(stored(b"asked").as_deref(), Some(&b"2"[..]));
        assert_eq!(stored(b"went").as_deref(), Some(&b"1"[..]));
        assert_eq!(*services.log.lock().unwrap(), ["stage info went"]);
    }
}

#[test]
fn what_the_last_call_used_is_not_missing_when_it_goes() {
    let mut spec = GuestSpec {
        state: State::Kept,
        ..trusted()
    };
    spec.limits.host_calls_max = 1;
    let log = r#"(call $log (i32.const 1) (i32.const 0) (i32.const 0))"#;
    let text = format!(
        r#"(module
            (import "pgwarden1" "log" (func $log (param i32 i32 i32)))
            (memory (export "memory") 1)
            (func (export "pgw_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "authorize") (param i32 i32) (result i64) {log} (i64.const 0))
            (func (export "on_unload") {log}))"#
    );
    let guest = wasm(&text, spec).unwrap_or_else(|errors| panic!("{errors:?}"));
    ask(&*guest, "SELECT 1", &stub()).expect("an answer");
    assert_eq!(unload(&*guest, &stub()), Ok(()));
}

#[test]
fn a_guest_without_it_goes_quietly() {
    for guest in both(wat!("next"), "next()", &trusted()) {
        assert_eq!(unload(&*guest, &stub()), Ok(()));
    }
}

/// A module whose `on_unload` does this.
fn leaving(body: &str) -> String {
    format!(
        r#"(module
            (import "pgwarden1" "get" (func $get (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "pgw_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "authorize") (param i32 i32) (result i64) (i64.const 0))
            (func (export "on_unload") {body}))"#
    )
}

#[test]
fn it_runs_under_the_same_limits() {
    for (body, kind) in [
        ("(loop $again (br $again))", "out_of_fuel"),
        ("unreachable", "trap"),
        (
            "(loop $again (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br $again))",
            "out_of_memory",
        ),
        // There is no statement any more: field 60 is the text.
        (
            "(if (i32.ne (call $get (i32.const 60) (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const -1)) (then (loop $again (br $again)))) unreachable",
            "trap",
        ),
    ] {
        let guest = wasm(&leaving(body), trusted()).unwrap_or_else(|errors| panic!("{errors:?}"));
        ask(&*guest, "SELECT 1", &stub()).expect("an answer");
        let fault = unload(&*guest, &stub()).expect_err("a fault");
        assert_eq!(fault.kind(), kind, "{body}");
    }
}

#[test]
fn an_export_of_another_type_is_refused() {
    let text = leaving("").replace(
        "(export \"on_unload\")",
        "(export \"on_unload\") (param i32)",
    );
    let errors = wasm(&text, trusted()).err().expect("refused");
    assert_eq!(errors[0].code, "P0424");
    assert!(errors[0].message.contains("on_unload"), "{errors:?}");
}
