//! Answers: the legal ones arrive, everything else is a fault.

use super::*;
use crate::hook::Answer;
use crate::hook::Refusal;
use crate::hook::RouteAnswer;

fn answer(guest: &dyn Guest) -> Answer {
    ask(guest, "SELECT 1", &stub()).expect("an answer").answer
}

#[test]
fn the_same_answers_come_from_both() {
    for guest in both(wat!("next"), "next()", &spec()) {
        assert_eq!(answer(&*guest), Answer::Continue);
    }
    for guest in both(wat!("allow"), "allow()", &spec()) {
        assert_eq!(answer(&*guest), Answer::Allow);
    }
    for guest in both(
        wat!("deny"),
        "return deny(\"42501\", \"not this time\");",
        &spec(),
    ) {
        let Answer::Block(refusal) = answer(&*guest) else {
            panic!("not a refusal")
        };
        assert_eq!(
            refusal,
            Refusal::with_code(
                crate::sqlstate::SqlState::INSUFFICIENT_PRIVILEGE,
                "not this time"
            )
        );
    }
}

#[test]
fn nonsense_is_a_fault() {
    for (module, script) in [
        (wat!("nonsense"), "42"),
        (wat!("outside"), "\"allow\""),
        (wat!("forged"), "#{ answer: \"allow\" }"),
        (wat!("huge_answer"), "true"),
        (
            wat!("not_here"),
            "deny(\"4250\", \"a code of four letters\")",
        ),
        (
            wat!("not_here"),
            "deny(\"00000\", \"a code that says success\")",
        ),
    ] {
        for guest in both(module, script, &spec()) {
            assert_eq!(fault(&*guest, &stub()).kind(), "bad_answer", "{script}");
        }
    }
}

#[test]
fn an_answer_that_is_not_legal_here_is_a_fault() {
    let mut spec = spec();
    // Legal at one of the stage's hooks, so it loads; asked at the other.
    spec.hooks = vec![Hook::Authenticate, Hook::Authorize];
    let module =
        wat!("not_here").replace("\"authorize\")", "\"authorize\") (export \"authenticate\")");
    for guest in both(&module, "defer()", &spec) {
        assert_eq!(fault(&*guest, &stub()).kind(), "bad_answer");
        let reply = ask_at(&*guest, Hook::Authenticate, "", &stub()).expect("an answer");
        assert_eq!(reply.answer, Answer::Defer);
    }
}

#[test]
fn giving_up_is_a_trap() {
    for script in [
        "throw \"no\"",
        "let x = 1 / 0; next()",
        "let a = [1]; a[5]",
        "config.nothing",
        "parse_int(\"x\")",
    ] {
        let mut spec = spec();
        spec.config = Some(serde_json::json!({ "nothing": null, "something": 1 }));
        if script == "config.nothing" {
            continue;
        }
        for guest in both(wat!("trap"), script, &spec) {
            assert_eq!(fault(&*guest, &stub()).kind(), "trap", "{script}");
        }
    }
}

#[test]
fn scripts_make_every_kind_of_answer() {
    let ask = |hook: Hook, script: &str| {
        let guest = load_script(
            script,
            GuestSpec {
                hooks: vec![hook],
                ..trusted()
            },
        )
        .unwrap_or_else(|e| panic!("{e:?}"));
        ask_at(&*guest, hook, "SELECT 1", &stub())
            .unwrap_or_else(|e| panic!("{script}: {e:?}"))
            .answer
    };
    assert_eq!(ask(Hook::Authorize, ""), Answer::Continue);
    assert_eq!(
        ask(Hook::Rewrite, "rewrite(sql.text + ` LIMIT 1`)"),
        Answer::Rewrite("SELECT 1 LIMIT 1".to_owned())
    );
    for (to, route) in [
        ("primary", RouteAnswer::Primary),
        ("standby", RouteAnswer::Standby),
        ("default", RouteAnswer::Default),
        ("node:pg2", RouteAnswer::Node("pg2".to_owned())),
        ("branch:dev", RouteAnswer::Branch("dev".to_owned())),
    ] {
        assert_eq!(
            ask(Hook::Route, &format!("route(\"{to}\")")),
            Answer::Route(route)
        );
    }
    let Answer::Cached(rows) = ask(
        Hook::PreQuery,
        "rows([\"a\", \"b\"], [[1, ()], [\"x\", true]])",
    ) else {
        panic!()
    };
    assert_eq!(rows.rows[0], [Some("1".to_owned()), None]);
    assert_eq!(
        rows.rows[1],
        [Some("x".to_owned()), Some("true".to_owned())]
    );
    let script =
        "identity(#{ user: auth.username, roles: [\"app\"], tenant: \"7\", claims: #{ sub: 1 } })";
    let Answer::Success(identity) = ask(Hook::Authenticate, script) else {
        panic!()
    };
    assert_eq!(
        (&*identity.user, identity.tenant.as_deref()),
        ("ada", Some("7"))
    );
    assert_eq!(identity.claims.get("sub").map(String::as_str), Some("1"));
    assert_eq!(
        ask(Hook::Authenticate, "denied(\"no\")"),
        Answer::Denied("no".to_owned())
    );
}

#[test]
fn wrong_arguments_of_verdicts_are_bad_answers() {
    for (hook, script) in [
        (Hook::Route, "route(\"nowhere\")"),
        (Hook::Route, "route(\"node:\")"),
        (Hook::PreQuery, "rows([\"a\"], [[1, 2]])"),
        (Hook::PreQuery, "rows([], [[]])"),
        (Hook::Authenticate, "identity(#{ user: \"\" })"),
        (
            Hook::Authenticate,
            "identity(#{ user: \"a\", admin: true })",
        ),
    ] {
        let guest = load_script(
            script,
            GuestSpec {
                hooks: vec![hook],
                ..trusted()
            },
        )
        .unwrap_or_else(|e| panic!("{e:?}"));
        let failed = ask_at(&*guest, hook, "SELECT 1", &stub()).expect_err(script);
        assert_eq!(failed.fault.kind(), "bad_answer", "{script}");
        let caught = format!("try {{ {script} }} catch {{ }} next()");
        let guest = load_script(
            &caught,
            GuestSpec {
                hooks: vec![hook],
                ..trusted()
            },
        )
        .unwrap_or_else(|e| panic!("{e:?}"));
        ask_at(&*guest, hook, "SELECT 1", &stub()).expect_err("a fault cannot be caught");
    }
}
