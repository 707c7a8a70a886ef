//! Rows for guests: those that are loaded before a call, and those a module asks for in the middle of one.

use super::*;
use crate::hook::Answer;
use crate::hook::Loaded;
use crate::hook::Rows;
use crate::sandbox::Called;
use crate::sandbox::DeclaredQuery;
use crate::sandbox::LoadGrant;
use crate::sandbox::QueryError;
use crate::sandbox::QueryNode;
use crate::sandbox::QueryResult;

fn granted(call: Call) -> GuestSpec {
    let statement = DeclaredQuery {
        set: "tenant".into(),
        name: "tenant_of".into(),
        sql: "SELECT tenant FROM app_users WHERE login = $1".into(),
        params: 1,
        pool: "main".into(),
        database: "app".into(),
        node: QueryNode::Primary,
        max_rows: 1,
        max_bytes: 1_024,
        timeout: Duration::from_secs(1),
    };
    let mut spec = spec();
    spec.grants.call.insert(call);
    spec.grants.load = Some(LoadGrant {
        statements: vec![Arc::new(statement)],
        max_queries: 2,
    });
    spec
}

fn rows(columns: &[&str], rows: &[&[Option<&str>]]) -> Arc<Rows> {
    let row = |row: &&[Option<&str>]| row.iter().map(|value| value.map(str::to_owned)).collect();
    Arc::new(Rows {
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        rows: rows.iter().map(row).collect(),
    })
}

/// A guest at `authorize` with these exports and imports beside the usual ones.
fn module(imports: &str, body: &str) -> String {
    format!(
        r#"(module {imports}
            (memory (export "memory") 1)
            (data (i32.const 16) "tenant_of")
            (func (export "pgw_alloc") (param i32) (result i32) (i32.const 8192))
            (func (export "authorize") (param i32 i32) (result i64) {body}))"#
    )
}

const QUERY: &str =
    r#"(import "pgwarden1" "query" (func $query (param i32 i32 i32 i32) (result i32)))"#;
const LOADED: &str =
    r#"(import "pgwarden1" "loaded" (func $loaded (param i32 i32 i32 i32 i32) (result i32)))"#;
/// One argument that is NULL lies at 64: four bytes of 255.
const ASK: &str = "(i32.store (i32.const 64) (i32.const -1))
    (call $query (i32.const 16) (i32.const 9) (i32.const 64) (i32.const 4))";

fn with_input<R>(loaded: &[Loaded], sql: &str, ask: impl FnOnce(&Input<'_>) -> R) -> R {
    let session = session();
    let needs = Needs {
        normalized: true,
        parse: true,
    };
    let facts = analyze(sql, needs);
    let statement = StatementContext {
        facts: &facts,
        text: sql,
        protocol: Protocol::Simple,
        in_transaction: false,
        tx_writes: false,
        statement_count: 1,
    };
    ask(&Input {
        hook: Hook::Authorize,
        request_id: Uuid::nil(),
        session: &session,
        statement: Some(&statement),
        outcome: None,
        auth: None,
        custom: None,
        loaded,
        now: None,
        lag: None,
    })
}

/// Asks, and answers each question of the guest in turn. What was asked, and what came of it.
fn converse(
    guest: &dyn Guest,
    slow: &Arc<Stub>,
    sql: &str,
    answers: &[QueryResult],
) -> (Vec<Vec<Option<String>>>, Result<Reply, Failed>) {
    let services: Arc<dyn Services> = Arc::<Stub>::clone(slow);
    with_input(&[], sql, |input| {
        let mut called = guest.call(input, &services);
        let mut asked = Vec::new();
        loop {
            let suspended = match called {
                Called::Done(result) => return (asked, result),
                Called::Waiting(suspended) => suspended,
            };
            asked.push(suspended.query().args.clone());
            slow.looks.fetch_add(10_000, Ordering::Relaxed);
            called = suspended.resume(answers[asked.len() - 1].clone());
        }
    })
}

#[test]
fn a_module_waits_for_rows_and_goes_on_with_them() {
    for state in [State::Fresh, State::Kept] {
        let spec = GuestSpec {
            state,
            ..granted(Call::Query)
        };
        let guest = wasm(wat!("tenant_query"), spec).expect("loads");
        assert!(guest.may_wait());
        let no = Answer::Block(crate::hook::Refusal::new("refused by policy"));
        for (rows, sql, expected) in [
            (
                Ok(rows(&["tenant"], &[&[Some("3")]])),
                "SELECT * FROM tenant_3",
                Answer::Continue,
            ),
            (
                Ok(rows(&["tenant"], &[&[Some("3")]])),
                "SELECT * FROM tenant_7",
                no.clone(),
            ),
            (
                Ok(rows(&["tenant"], &[])),
                "SELECT * FROM tenant_3",
                no.clone(),
            ),
            (
                Err(QueryError::TimedOut),
                "SELECT * FROM tenant_3",
                no.clone(),
            ),
        ] {
            let (asked, result) = converse(&*guest, &stub(), sql, std::slice::from_ref(&rows));
            assert_eq!(asked, [[Some("ada".to_owned())]]);
            assert_eq!(
                result.expect("an answer").answer,
                expected,
                "{sql} {rows:?}"
            );
        }
    }
}

#[test]
fn a_failing_query_is_a_status_and_each_has_its_own() {
    let body = format!(
        "{ASK} (i32.eq (i32.const -6)) (if (result i64) (then (i64.const 1)) (else (i64.const 0)))"
    );
    let guest = wasm(&module(QUERY, &body), granted(Call::Query)).expect("loads");
    for (error, expected) in [
        (QueryError::TooMuch, Answer::Allow),
        (QueryError::Unavailable, Answer::Continue),
        (QueryError::Refused("42P01".into()), Answer::Continue),
    ] {
        let (asked, result) = converse(&*guest, &stub(), "SELECT 1", &[Err(error)]);
        assert_eq!(asked, [[None]]);
        assert_eq!(result.expect("an answer").answer, expected);
    }
}

#[test]
fn waiting_is_not_the_guests_time_and_its_queries_are_counted() {
    // Each look at the clock is 1 ms later, and a wait takes 10 s; the guest's own work is several slices long.
    let work = "(local.set 2 (i32.const 100000))
        (loop $again (local.set 2 (i32.sub (local.get 2) (i32.const 1))) (br_if $again (local.get 2)))";
    let body = format!("(local i32) {work} (drop (block (result i32) {ASK})) {work} (i64.const 1)");
    let spec = |fuel| {
        let mut spec = granted(Call::Query);
        spec.limits.fuel = fuel;
        spec.limits.deadline = Duration::from_millis(500);
        spec
    };
    let guest = wasm(&module(QUERY, &body), spec(2_000_000)).expect("loads");
    let rows = rows(&["tenant"], &[]);
    let slow = Arc::new(Stub::ticking(Duration::from_millis(1)));
    let (_, result) = converse(&*guest, &slow, "SELECT 1", &[Ok(Arc::clone(&rows))]);
    let fuel = result.expect("an answer").fuel;
    assert!(700_000 < fuel, "both halves were paid for: {fuel}");
    let poor = wasm(&module(QUERY, &body), spec(fuel - 1)).expect("loads");
    let (_, result) = converse(&*poor, &stub(), "SELECT 1", &[Ok(Arc::clone(&rows))]);
    assert_eq!(result.expect_err("a fault").fault, Fault::OutOfFuel);
    let often =
        format!("(loop $again (drop (block (result i32) {ASK})) (br $again)) (i64.const 1)");
    let guest = wasm(&module(QUERY, &often), granted(Call::Query)).expect("loads");
    let answers = [Ok(Arc::clone(&rows)), Ok(rows)];
    let (asked, result) = converse(&*guest, &stub(), "SELECT 1", &answers);
    assert_eq!(asked.len(), 2);
    let refused = Fault::CallRefused("query, more often than `max_queries`");
    assert_eq!(result.expect_err("a fault").fault, refused);
}

#[test]
fn what_is_not_declared_cannot_be_asked() {
    let ask = |name: i32, args: i32| {
        format!(
            "(drop (call $query (i32.const 16) (i32.const {name}) (i32.const 64) (i32.const {args}))) (i64.const 1)"
        )
    };
    for (body, said) in [
        (ask(6, 0), "names no declared statement"),
        (ask(9, 0), "takes 1 arguments, and gets 0"),
        (ask(9, 3), "no list of texts"),
    ] {
        let guest = wasm(&module(QUERY, &body), granted(Call::Query)).expect("loads");
        let (asked, result) = converse(&*guest, &stub(), "SELECT 1", &[]);
        let fault = result.expect_err("a fault").fault.to_string();
        assert!(asked.is_empty() && fault.contains(said), "{fault}");
    }
    for (imports, call) in [(QUERY, Call::Load), (LOADED, Call::Query)] {
        let errors = wasm(&module(imports, "(i64.const 1)"), granted(call)).err();
        assert_eq!(errors.expect("not granted")[0].code, "P0412");
    }
    let start = format!(
        r#"(module {QUERY} (memory (export "memory") 1) (start $start)
            (func $start (drop (call $query (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))
            (func (export "pgw_alloc") (param i32) (result i32) (i32.const 8192))
            (func (export "authorize") (param i32 i32) (result i64) (i64.const 1)))"#
    );
    let errors = wasm(&start, granted(Call::Query)).err();
    assert_eq!(errors.expect("refused")[0].code, "P0426");
    let alloc = module(QUERY, "(i64.const 1)").replace(
        "(result i32) (i32.const 8192))",
        &format!("(result i32) {ASK})"),
    );
    let guest = wasm(&alloc, granted(Call::Query)).expect("loads");
    let (_, result) = converse(&*guest, &stub(), "SELECT 1", &[]);
    let refused = Fault::CallRefused("query outside of a hook");
    assert_eq!(result.expect_err("a fault").fault, refused);
}

/// Asks with something loaded under the name `x`.
fn ask_with(guest: &dyn Guest, rows: &Arc<Rows>, single: bool) -> Result<Answer, Fault> {
    let loaded = [Loaded {
        name: "x".into(),
        rows: Arc::clone(rows),
        single,
    }];
    let services: Arc<dyn Services> = stub();
    with_input(&loaded, "SELECT 1", |input| {
        let result = guest.call(input, &services).done();
        result
            .map(|reply| reply.answer)
            .map_err(|failed| failed.fault)
    })
}

fn loading() -> GuestSpec {
    GuestSpec {
        loads: vec!["x".into()],
        ..granted(Call::Load)
    }
}

#[test]
fn a_script_finds_what_is_loaded() {
    let one = rows(&["a"], &[&[Some("1")]]);
    let two = rows(&["a", "b"], &[&[Some("1"), None], &[Some("2"), Some("z")]]);
    for (script, rows, single) in [
        ("load.x == \"1\"", &one, true),
        ("load.x == ()", &rows(&["a"], &[]), true),
        ("load.x == ()", &rows(&["a"], &[&[None]]), true),
        ("load.x.len() == 1 && load.x[0].a == \"1\"", &one, false),
        ("load.x == []", &rows(&["a"], &[]), false),
        (
            "load.x.len() == 2 && load.x[0].b == () && load.x[1].b == \"z\"",
            &two,
            false,
        ),
        (
            "load.x[0].a == \"1\"",
            &rows(&["a", "b"], &[&[Some("1"), None]]),
            true,
        ),
    ] {
        let text = format!("if {script} {{ allow() }} else {{ next() }}");
        let guest = load_script(&text, loading()).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert!(!guest.may_wait());
        assert_eq!(
            ask_with(&*guest, rows, single),
            Ok(Answer::Allow),
            "{script}"
        );
    }
    let long = rows(&["a"], &[&[Some(&"x".repeat(100 << 10))]]);
    let guest = load_script("load.x; next()", loading()).unwrap_or_else(|e| panic!("{e:?}"));
    let fault = ask_with(&*guest, &long, true).expect_err("a fault");
    assert_eq!(fault.kind(), "input_too_large");
}

#[test]
fn a_module_finds_what_is_loaded_in_parts() {
    // Eight bytes of counts, then from the 9th on; the whole length is always given.
    let body = "(i32.store8 (i32.const 32) (i32.const 120))
        (i32.eq (call $loaded (i32.const 32) (i32.const 1) (i32.const 8) (i32.const 64) (i32.const 4)) (i32.const 18))
        (i32.and (i32.eq (i32.load (i32.const 64)) (i32.const 1)))
        (i32.and (i32.eq (call $loaded (i32.const 16) (i32.const 9) (i32.const 0) (i32.const 64) (i32.const 4)) (i32.const -1)))
        (if (result i64) (then (i64.const 1)) (else (i64.const 0)))";
    let guest = wasm(&module(LOADED, body), loading()).expect("loads");
    let rows = rows(&["a"], &[&[Some("1")]]);
    assert_eq!(ask_with(&*guest, &rows, true), Ok(Answer::Allow));
}

#[test]
fn a_script_names_what_its_stage_loads() {
    let errors = |script: &str, spec| load_script(script, spec).err().expect("errors");
    let found = errors("load.y == ()", loading());
    assert_eq!(found[0].code, "P0404");
    assert_eq!(found[0].message, "stage `stage` loads no `y`");
    let found = errors("load.xx == ()", loading());
    assert_eq!(found[0].help.as_deref(), Some("did you mean `x`?"));
    assert_eq!(errors("let load = 1;", spec())[0].code, "P0406");
}
