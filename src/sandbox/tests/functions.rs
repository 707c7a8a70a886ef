//! Host functions, each called through both engines: the same result, the same refusal, the same effects.

use super::*;
use crate::hook::Answer;
use crate::sandbox::Effects;
use crate::sandbox::HostFunction;

/// A call in both languages. The module leaves 1 on the stack where the result is as expected.
struct Case {
    function: HostFunction,
    imports: &'static str,
    /// Texts of the module's memory, at 16, 80, 144, ...
    texts: &'static [&'static str],
    wat: &'static str,
    script: &'static str,
}

const CASES: &[Case] = &[
    Case {
        function: HostFunction::HmacSha256,
        imports: "(import \"pgwarden1\" \"hmac_sha256\" (func $hmac (param i32 i32 i32 i32 i32)))
                  (import \"pgwarden1\" \"ct_eq\" (func $eq (param i32 i32 i32 i32) (result i32)))",
        texts: &["key", "The quick brown fox jumps over the lazy dog", "", "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"],
        wat: "(call $hmac (i32.const 16) (i32.const 3) (i32.const 80) (i32.const 43) (i32.const 600))
              (call $eq (i32.const 600) (i32.const 64) (i32.const 208) (i32.const 64))",
        script: "sha256::equal(sha256::hmac(\"key\", \"The quick brown fox jumps over the lazy dog\"), \"f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8\")",
    },
    Case {
        function: HostFunction::ConstantTimeEqual,
        imports: "(import \"pgwarden1\" \"ct_eq\" (func $eq (param i32 i32 i32 i32) (result i32)))",
        texts: &["abc", "abd"],
        wat: "(i32.and (i32.eqz (call $eq (i32.const 16) (i32.const 3) (i32.const 80) (i32.const 3)))
                       (call $eq (i32.const 16) (i32.const 2) (i32.const 80) (i32.const 2)))",
        script: "!sha256::equal(\"abc\", \"abd\") && sha256::equal(\"ab\", \"ab\")",
    },
    Case {
        function: HostFunction::Matches,
        imports: "(import \"pgwarden1\" \"matches\" (func $matches (param i32 i32 i32) (result i32)))",
        texts: &["pan"],
        wat: "(i32.and (call $matches (i32.const 60) (i32.const 16) (i32.const 3))
                       (i32.eqz (call $matches (i32.const 1) (i32.const 16) (i32.const 3))))",
        script: "field::matches(\"sql.text\", \"pan\") && !field::matches(\"user.name\", \"pan\")",
    },
    Case {
        function: HostFunction::Fingerprint,
        imports: "(import \"pgwarden1\" \"fingerprint\" (func $fingerprint (param i32 i32) (result i64)))",
        texts: &["SELECT 1", "select   2 -- x"],
        wat: "(i64.eq (call $fingerprint (i32.const 16) (i32.const 8)) (call $fingerprint (i32.const 80) (i32.const 15)))",
        script: "statement::fingerprint(\"SELECT 1\") == statement::fingerprint(\"select   2 -- x\")",
    },
    Case {
        function: HostFunction::Normalize,
        imports: "(import \"pgwarden1\" \"normalize\" (func $normalize (param i32 i32 i32 i32) (result i32)))",
        texts: &["SELECT  'x' ", "select $1"],
        wat: "(i32.and (i32.eq (call $normalize (i32.const 16) (i32.const 12) (i32.const 600) (i32.const 64)) (i32.const 9))
                       (i64.eq (i64.load (i32.const 600)) (i64.load (i32.const 80))))",
        script: "statement::normalize(\"SELECT  'x' \") == \"select $1\"",
    },
    Case {
        function: HostFunction::CachePut,
        imports: "(import \"pgwarden1\" \"cache_put\" (func $put (param i32 i32 i32 i32 i64) (result i32)))
                  (import \"pgwarden1\" \"cache_get\" (func $get (param i32 i32 i32 i32) (result i32)))",
        texts: &["k", "value"],
        wat: "(i32.and (i32.eq (call $put (i32.const 16) (i32.const 1) (i32.const 80) (i32.const 5) (i64.const 0)) (i32.const 0))
                       (i32.eq (call $get (i32.const 16) (i32.const 1) (i32.const 600) (i32.const 64)) (i32.const 5)))",
        script: "cache::put(\"k\", \"value\"); cache::get(\"k\") == \"value\"",
    },
    Case {
        function: HostFunction::CacheDelete,
        imports: "(import \"pgwarden1\" \"cache_delete\" (func $delete (param i32 i32) (result i32)))",
        texts: &["none"],
        wat: "(i32.eqz (call $delete (i32.const 16) (i32.const 4)))",
        script: "!cache::delete(\"none\")",
    },
    Case {
        function: HostFunction::AttributeSet,
        imports: "(import \"pgwarden1\" \"attribute_set\" (func $set (param i32 i32 i32 i32)))",
        texts: &["plan", "gold"],
        wat: "(call $set (i32.const 16) (i32.const 4) (i32.const 80) (i32.const 4)) (i32.const 1)",
        script: "attribute::set(\"plan\", \"gold\"); true",
    },
    Case {
        function: HostFunction::Emit,
        imports: "(import \"pgwarden1\" \"emit\" (func $emit (param i32 i32 i32 i32)))",
        texts: &["login", "ada"],
        wat: "(call $emit (i32.const 16) (i32.const 5) (i32.const 80) (i32.const 3)) (i32.const 1)",
        script: "event::emit(\"login\", \"ada\"); true",
    },
];

impl Case {
    fn module(&self) -> String {
        let data: String = self
            .texts
            .iter()
            .enumerate()
            .map(|(index, text)| format!("(data (i32.const {}) \"{text}\")", 16 + 64 * index))
            .collect();
        format!(
            "(module {} (memory (export \"memory\") 1) {data}
             (func (export \"pgw_alloc\") (param i32) (result i32) i32.const 1024)
             (func (export \"authorize\") (param i32 i32) (result i64)
                (if (result i64) (block (result i32) {}) (then (i64.const 1)) (else (i64.const 0)))))",
            self.imports, self.wat
        )
    }

    fn script(&self) -> String {
        match self.script.rsplit_once("; ") {
            Some((before, last)) => format!("{before}; if {last} {{ allow() }} else {{ next() }}"),
            None => format!("if {} {{ allow() }} else {{ next() }}", self.script),
        }
    }
}

#[test]
fn the_same_call_has_the_same_result_and_effects() {
    for case in CASES {
        let mut replies = Vec::new();
        for guest in both(&case.module(), &case.script(), &trusted()) {
            let reply = ask(&*guest, "SELECT '4111111111111111'", &stub());
            let reply = reply.unwrap_or_else(|failed| panic!("{:?} {failed:?}", case.function));
            assert_eq!(reply.answer, Answer::Allow, "{:?}", case.function);
            replies.push(reply.effects);
        }
        assert_eq!(replies[0], replies[1], "{:?}", case.function);
        let expected = match case.function {
            HostFunction::AttributeSet => Some(Effects {
                attributes: vec![("plan".into(), "gold".into())],
                ..Effects::default()
            }),
            HostFunction::Emit => Some(Effects {
                events: vec![("login".into(), "ada".into())],
                ..Effects::default()
            }),
            _ => None,
        };
        assert_eq!(
            replies[0].as_deref(),
            expected.as_ref(),
            "{:?}",
            case.function
        );
    }
}

#[test]
fn what_is_not_granted_does_not_load_in_either_engine() {
    for case in CASES.iter().filter(|case| case.function.needs().is_some()) {
        let codes = |errors: Vec<LoadError>| {
            errors
                .into_iter()
                .map(|error| error.code)
                .collect::<Vec<_>>()
        };
        let module = wasm(&case.module(), spec()).map(|_| ()).map_err(codes);
        let script = load_script(&case.script(), spec())
            .map(|_| ())
            .map_err(codes);
        assert!(module.is_err() && script.is_err(), "{:?}", case.function);
        for codes in [module.unwrap_err(), script.unwrap_err()] {
            assert!(
                codes.iter().all(|code| *code == "P0412"),
                "{:?} {codes:?}",
                case.function
            );
        }
    }
}

#[test]
fn a_call_that_faults_has_no_effects_and_calls_are_counted() {
    let mut spec = trusted();
    spec.limits.host_calls_max = 20;
    let module = "(module (import \"pgwarden1\" \"emit\" (func $emit (param i32 i32 i32 i32)))
        (import \"pgwarden1\" \"now\" (func $now (result i64)))
        (memory (export \"memory\") 1) (data (i32.const 16) \"x\")
        (func (export \"pgw_alloc\") (param i32) (result i32) i32.const 1024)
        (func (export \"authorize\") (param i32 i32) (result i64)
            (call $emit (i32.const 16) (i32.const 1) (i32.const 16) (i32.const 1))
            (loop $again (drop (call $now)) (br $again)) (i64.const 0)))";
    let script = "event::emit(\"x\", \"x\"); while true { time::now(); }";
    for guest in both(module, script, &spec) {
        assert_eq!(fault(&*guest, &stub()), Fault::TooManyCalls);
        assert_eq!(
            fault(&*guest, &stub()),
            Fault::TooManyCalls,
            "counted for each call anew"
        );
    }
}

#[test]
fn a_pattern_that_is_not_declared_is_found_at_load_or_traps() {
    let errors = load_script("field::matches(\"sql.text\", \"pin\")", trusted())
        .map(|_| ())
        .unwrap_err();
    assert_eq!(
        (errors[0].code, errors[0].help.as_deref()),
        ("P0404", Some("did you mean `pan`?"))
    );
    let guest = load_script(
        "let p = \"p\" + \"in\"; field::matches(\"sql.text\", p); next()",
        trusted(),
    );
    let guest = guest.unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(fault(&*guest, &stub()).kind(), "trap");
}

#[test]
fn a_full_cache_makes_room() {
    let script = "for i in 0..20 { cache::put(`k${i}`, i, 1000 + i); } if cache::get(\"k19\") == \"19\" && cache::get(\"k0\") == () { allow() }";
    let guest = load_script(script, trusted()).unwrap_or_else(|errors| panic!("{errors:?}"));
    let services = stub();
    assert_eq!(
        ask(&*guest, "SELECT 1", &services)
            .expect("an answer")
            .answer,
        Answer::Allow
    );
    let (keys, _) = services.store.usage("cache:n");
    assert!((1..=4).contains(&keys), "{keys}");
}
