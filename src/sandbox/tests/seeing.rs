//! What guests are told: only what `see` grants.

use super::*;
use crate::hook::Answer;
use crate::sandbox::See;

#[test]
fn a_text_that_is_not_granted_is_not_there() {
    let module = wasm(wat!("peek"), spec()).expect("loads");
    let reply = ask(&*module, "SELECT 'secret'", &stub()).expect("an answer");
    assert_eq!(reply.answer, Answer::Continue);
    let script = "if sql.text.contains(\"secret\") { deny(\"refused by policy\") } else { next() }";
    let errors = load_script(script, spec()).err().expect("refused");
    assert_eq!(errors[0].code, "P0405");
    for guest in both(wat!("peek"), script, &trusted()) {
        let reply = ask(&*guest, "SELECT 'secret'", &stub()).expect("an answer");
        assert!(matches!(reply.answer, Answer::Block(_)));
    }
}

#[test]
fn a_field_asked_for_through_another_name_is_a_fault() {
    let guest = load_script("let s = sql; if s.text == \"\" { allow() }", spec())
        .unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(fault(&*guest, &stub()).kind(), "trap");
}

#[test]
fn a_script_finds_the_statement() {
    let script = "
        if user.name != \"ada\" || user.tenant != \"7\" || !(\"dba\" in user.roles) { throw \"user\" }
        if user.attributes.team != \"red\" || user.claims.len() != 0 || user.id != () { throw \"attributes\" }
        if session.database != \"shop\" || session.branch != () || session.client != \"10.0.0.9\" { throw \"session\" }
        if !session.tls || session.auth_method != \"scram\" || session.in_transaction { throw \"session\" }
        if session.request_id.len() != 36 { throw \"request\" }
        if sql.kind != \"delete\" || sql.kinds.len() != 1 || sql.read_only || !sql.has_where { throw \"sql\" }
        if sql.fingerprint.len() != 16 || sql.param_count != 0 { throw \"fingerprint\" }
        if !user.has_role(\"dba\") || user.has_role(\"db\") || !sql.has_kind(\"delete\") { throw \"has\" }
        let found = false;
        for t in sql.tables { if t.name == \"orders\" && t.schema == () { found = true; } }
        if !found { throw \"tables\" }
        if hook != \"authorize\" { throw \"hook\" }
        if config.limit != 3 || !(\"limit\" in config) || (\"other\" in config) { throw \"config\" }
        let functions = \"see what they are given, and the statement\"; fn named(s) { s.kind } fn direct() { sql.kind }
        if named(sql) != \"delete\" || direct() != \"delete\" { throw \"functions\" }
        let closure = |name| name == user.name;
        if !closure.call(\"ada\") { throw \"closure\" }
        allow()";
    let spec = GuestSpec {
        config: Some(serde_json::json!({ "limit": 3 })),
        ..spec()
    };
    let guest = load_script(script, spec).unwrap_or_else(|e| panic!("{e:?}"));
    let reply = ask(&*guest, "DELETE FROM orders WHERE id = 1", &stub())
        .unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(reply.answer, Answer::Allow);
}

#[test]
fn an_observer_finds_the_outcome() {
    let script = "if result.rows != 3 || result.elapsed_us != 1500 || result.code != () { throw \"result\" }";
    let spec = GuestSpec {
        hooks: vec![Hook::PostQuery],
        ..spec()
    };
    let guest = load_script(script, spec).unwrap_or_else(|e| panic!("{e:?}"));
    ask_at(&*guest, Hook::PostQuery, "SELECT 1", &stub()).unwrap_or_else(|e| panic!("{e:?}"));
}

#[test]
fn the_password_is_shown_only_where_it_is_granted() {
    let script = "if auth.password == \"hunter2\" { denied(\"seen\") } else { defer() }";
    let mut spec = GuestSpec {
        hooks: vec![Hook::Authenticate],
        ..spec()
    };
    assert_eq!(
        load_script(script, spec.clone()).err().expect("refused")[0].code,
        "P0405"
    );
    spec.grants.see.insert(See::Password);
    let guest = load_script(script, spec).unwrap_or_else(|e| panic!("{e:?}"));
    let reply = ask_at(&*guest, Hook::Authenticate, "", &stub()).expect("an answer");
    assert_eq!(reply.answer, Answer::Denied("seen".to_owned()));
}

#[test]
fn a_frame_holds_what_is_granted_and_reads_back() {
    use crate::hook::abi::ENTRY_BYTES;
    use crate::hook::abi::Field;
    use crate::hook::abi::Frame;
    use crate::hook::abi::HEADER_BYTES;
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
    let mut frame = Frame::default();
    for _ in 0..2 {
        frame.encode(
            &input,
            [Field::UserName, Field::UserRoles, Field::Kind, Field::Tls]
                .into_iter()
                .collect(),
        );
        assert_eq!(frame.text(Field::UserName), Some("ada"));
        assert_eq!(
            frame
                .items(Field::UserRoles)
                .unwrap()
                .flatten()
                .collect::<Vec<_>>(),
            ["app", "dba"]
        );
        assert_eq!(frame.flag(Field::Tls), Some(true));
        assert_eq!(
            frame.content(Field::Kind),
            None,
            "no statement at this hook"
        );
        assert_eq!(frame.content(Field::Database), None, "not in the set");
        let bytes = frame.bytes();
        assert_eq!(&bytes[..12], b"pgw1\0\0\0\0\x03\0\0\0");
        let ids = (0..3).map(|n| bytes[HEADER_BYTES + n * ENTRY_BYTES]);
        assert_eq!(ids.collect::<Vec<_>>(), [1, 3, 22]);
    }
}

#[test]
fn a_guest_says_what_must_be_found_out() {
    let needs = |text: &str| {
        load_script(text, trusted())
            .unwrap_or_else(|e| panic!("{e:?}"))
            .needs()
    };
    assert_eq!(
        needs("sql.kind; user.has_role(\"x\");"),
        Needs {
            normalized: false,
            parse: false
        }
    );
    assert_eq!(
        needs("sql.tables;"),
        Needs {
            normalized: false,
            parse: true
        }
    );
    assert_eq!(
        needs("sql.has_where;"),
        Needs {
            normalized: false,
            parse: true
        }
    );
    assert_eq!(
        needs("sql.normalized;"),
        Needs {
            normalized: true,
            parse: false
        }
    );
    assert_eq!(
        needs("let s = sql;"),
        Needs {
            normalized: true,
            parse: true
        }
    );
    let module = wasm(wat!("next"), spec()).expect("loads");
    assert_eq!(
        module.needs(),
        Needs {
            normalized: false,
            parse: true
        },
        "a module may look at all it is granted"
    );
}

#[test]
fn a_method_is_a_use_of_its_field() {
    let mut spec = spec();
    spec.grants.see.clear();
    let errors = load_script("user.has_role(\"dba\"); sql.has_kind(\"ddl\");", spec)
        .err()
        .expect("refused");
    assert_eq!(
        errors.iter().map(|error| error.code).collect::<Vec<_>>(),
        ["P0405", "P0405"]
    );
}
