//! Every answer of both dialects, and what is none.

use super::*;
use crate::hook::RouteAnswer;
use crate::sqlstate::SqlState;

/// What becomes of an answer.
fn said(hook: Hook, answer: &str) -> Result<Answer, Fault> {
    let data: String = answer.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let word = 64_u64 << 32 | answer.len() as u64;
    let text = format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 64) "{data}")
        (func (export "alloc") (param i32) (result i32) i32.const 4096)
        (func (export "{}") (param i32 i32) (result i64) i64.const {word}))"#,
        hook.export_name()
    );
    asked(&text, spec(hook), "SELECT 1", &stub())
}

type Said = (Hook, &'static str, Answer);

fn block(message: &str) -> Answer {
    Answer::Block(Refusal::new(message))
}

fn of_texts() -> Vec<Said> {
    vec![
        (Hook::PreQuery, r#"{"action":"continue"}"#, Answer::Continue),
        (
            Hook::PreQuery,
            r#"{"kind":"Continue","sql":null}"#,
            Answer::Continue,
        ),
        (
            Hook::PreQuery,
            r#"{"action":"block","value":"no"}"#,
            block("no"),
        ),
        (
            Hook::PreQuery,
            r#"{"kind":"block","reason":"no"}"#,
            block("no"),
        ),
        (
            Hook::Rewrite,
            r#"{"action":"rewrite","value":"SELECT 2"}"#,
            Answer::Rewrite("SELECT 2".into()),
        ),
        (
            Hook::PreQuery,
            r#"{"kind":"rewrite","sql":"SELECT 2"}"#,
            Answer::Rewrite("SELECT 2".into()),
        ),
    ]
}

fn of_routes() -> Vec<Said> {
    vec![
        (Hook::Route, r#"{"action":"default"}"#, Answer::Continue),
        (
            Hook::Route,
            r#"{"action":"primary"}"#,
            Answer::Route(RouteAnswer::Primary),
        ),
        (
            Hook::Route,
            r#"{"kind":"standby"}"#,
            Answer::Route(RouteAnswer::Standby),
        ),
        (
            Hook::Route,
            r#"{"action":"node","target":"pg2"}"#,
            Answer::Route(RouteAnswer::Node("pg2".into())),
        ),
        (
            Hook::Route,
            r#"{"kind":"branch","target":"dev"}"#,
            Answer::Route(RouteAnswer::Branch("dev".into())),
        ),
        (
            Hook::Route,
            r#"{"action":"block","reason":"no"}"#,
            block("no"),
        ),
    ]
}

fn of_logins_and_observers() -> Vec<Said> {
    let denied = |message: &str| {
        let code = SqlState::INSUFFICIENT_PRIVILEGE;
        Answer::Block(Refusal::with_code(code, message))
    };
    vec![
        (Hook::Authorize, r#"{"action":"success"}"#, Answer::Allow),
        (Hook::Authorize, r#"{"action":"defer"}"#, Answer::Continue),
        (
            Hook::Authorize,
            r#"{"action":"denied","message":"no"}"#,
            denied("no"),
        ),
        (
            Hook::Authorize,
            r#"{"kind":"denied","reason":"no"}"#,
            denied("no"),
        ),
        (Hook::Authenticate, r#"{"action":"defer"}"#, Answer::Defer),
        (
            Hook::Authenticate,
            r#"{"action":"denied","message":"no"}"#,
            Answer::Denied("no".into()),
        ),
        (
            Hook::OnConnect,
            r#"{"action":"block","value":"no"}"#,
            block("no"),
        ),
        (Hook::Custom, r#"{"action":"continue"}"#, Answer::Continue),
        (
            Hook::PostQuery,
            r#"{"action":"continue"}"#,
            Answer::Continue,
        ),
    ]
}

#[test]
fn both_dialects_say_every_answer() {
    let said_so = of_texts().into_iter().chain(of_routes());
    for (hook, answer, expected) in said_so.chain(of_logins_and_observers()) {
        assert_eq!(said(hook, answer), Ok(expected), "{hook}: {answer}");
    }
    for hook in Hook::all() {
        let silent = if hook == Hook::Authenticate {
            Answer::Defer
        } else {
            Answer::Continue
        };
        assert_eq!(said(hook, ""), Ok(silent), "{hook}");
    }
}

#[test]
fn an_identity_arrives_whole() {
    for dialect in ["action", "kind"] {
        let answer = format!(
            r#"{{"{dialect}":"success","identity":{{"user_id":"u7","username":"ada","roles":["app"],
            "tenant_id":"acme","claims":{{"iss":"me","exp":7}}}}}}"#
        );
        let Ok(Answer::Success(identity)) = said(Hook::Authenticate, &answer) else {
            panic!("{answer}")
        };
        assert_eq!(&*identity.user, "ada");
        assert_eq!(identity.user_id.as_deref(), Some("u7"));
        assert_eq!(identity.roles, ["app".into()]);
        assert_eq!(identity.tenant.as_deref(), Some("acme"));
        assert_eq!(identity.claims["iss"], "me");
        assert_eq!(identity.claims["exp"], "7");
    }
}

#[test]
fn rows_come_as_json_as_text_and_as_bytes() {
    let rows = r#"{"columns":["id","name"],"rows":[[7,"x"],[true,null]]}"#;
    let bytes = json!(rows.as_bytes()).to_string();
    for data in [rows.to_owned(), json!(rows).to_string(), bytes] {
        for (dialect, key) in [("action", "data"), ("kind", "bytes")] {
            let answer = format!(r#"{{"{dialect}":"cached","{key}":{data}}}"#);
            let Ok(Answer::Cached(rows)) = said(Hook::CacheGet, &answer) else {
                panic!("{answer}")
            };
            assert_eq!(rows.columns, ["id", "name"]);
            let expected = [
                [Some("7".to_owned()), Some("x".to_owned())],
                [Some("t".to_owned()), None],
            ];
            assert_eq!(rows.rows, expected);
        }
    }
}

#[test]
fn anything_else_is_a_bad_answer() {
    for (hook, answer) in [
        (Hook::PreQuery, "{}"),
        (Hook::PreQuery, "null"),
        (Hook::PreQuery, "\"continue\""),
        (Hook::PreQuery, "{\"action\":\"continue\"} and more"),
        (Hook::PreQuery, r#"{"action":"continue","kind":"continue"}"#),
        (
            Hook::PreQuery,
            r#"{"action":"continue","action":"continue"}"#,
        ),
        (
            Hook::PreQuery,
            r#"{"action":"continue","reason":"over budget"}"#,
        ),
        (Hook::PreQuery, r#"{"action":"continue","verdict":"no"}"#),
        (Hook::PreQuery, r#"{"action":"explode"}"#),
        (Hook::PreQuery, r#"{"action":"block"}"#),
        (Hook::PreQuery, r#"{"action":"block","value":7}"#),
        (Hook::PreQuery, r#"{"kind":"block","value":"no"}"#),
        (Hook::PreQuery, r#"{"action":"rewrite","sql":"SELECT 2"}"#),
        (
            Hook::PreQuery,
            r#"{"action":"rewrite","value":"SELECT 2\u0000"}"#,
        ),
        (Hook::PreQuery, r#"{"action":"primary"}"#),
        (Hook::PreQuery, r#"{"action":"success"}"#),
        (
            Hook::Rewrite,
            r#"{"action":"cached","data":{"columns":["a"],"rows":[]}}"#,
        ),
        (Hook::CacheGet, r#"{"action":"cached","data":[1,2,300]}"#),
        (Hook::CacheGet, r#"{"action":"cached","data":[1,2,3]}"#),
        (
            Hook::CacheGet,
            r#"{"action":"cached","data":{"columns":[],"rows":[]}}"#,
        ),
        (
            Hook::CacheGet,
            r#"{"action":"cached","data":{"columns":["a"],"rows":[["1","2"]]}}"#,
        ),
        (Hook::CacheGet, r#"{"action":"cached"}"#),
        (Hook::Route, r#"{"action":"node"}"#),
        (Hook::Authenticate, r#"{"action":"success"}"#),
        (
            Hook::Authenticate,
            r#"{"action":"success","identity":{"username":""}}"#,
        ),
        (
            Hook::Authenticate,
            r#"{"action":"success","identity":{"username":"a","admin":true}}"#,
        ),
        (Hook::PostQuery, r#"{"action":"block","value":"too late"}"#),
    ] {
        let fault = said(hook, answer).expect_err(answer);
        assert_eq!(fault.kind(), "bad_answer", "{answer}");
        let text = fault.to_string();
        assert!(
            !text.contains("explode") && !text.contains("verdict"),
            "{text}"
        );
    }
}
