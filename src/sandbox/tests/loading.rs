//! What is found before anything runs.

use super::*;

fn codes(errors: &[LoadError]) -> Vec<&'static str> {
    errors.iter().map(|error| error.code).collect()
}

fn script_errors(text: &str) -> Vec<(&'static str, &str, String, Option<String>)> {
    let errors = load_script(text, spec()).err().unwrap_or_default();
    errors
        .into_iter()
        .map(|error| {
            (
                error.code,
                &text[error.span.unwrap()],
                error.message,
                error.help,
            )
        })
        .collect()
}

#[test]
fn each_import_that_is_wrong_is_named() {
    let errors = wasm(wat!("not_granted"), spec()).err().expect("refused");
    assert_eq!(codes(&errors), ["P0412", "P0425", "P0424", "P0425"]);
    assert_eq!(
        errors[0].message,
        "imports `kv_set`, which the standard permissions do not grant"
    );
    assert_eq!(
        errors[0].help.as_deref(),
        Some("needs `kv.write` in `call`")
    );
    assert_eq!(errors[1].help.as_deref(), Some("did you mean `kv_get`?"));
    assert_eq!(
        errors[2].message,
        "import `log` is (i32) -> (), and must be (i32, i32, i32) -> ()"
    );
}

#[test]
fn a_module_must_fit() {
    let errors = wasm(wat!("too_large"), spec()).err().expect("refused");
    assert_eq!(codes(&errors), ["P0422"]);
    let errors = wasm(wat!("wrong_exports"), spec()).err().expect("refused");
    assert_eq!(codes(&errors), ["P0424", "P0423"]);
    assert_eq!(errors[1].help.as_deref(), Some("it exports `autorize`"));
    let errors = wasm(wat!("start_loop"), spec()).err().expect("refused");
    assert_eq!(
        (errors[0].code, &*errors[0].message),
        ("P0426", "the module cannot be started: out of fuel")
    );
    let errors = load_wasm(b"\0asm\x01\0\0\0garbage", spec())
        .err()
        .expect("refused");
    assert_eq!(codes(&errors), ["P0420"]);
    let mut limited = spec();
    limited.limits.module_bytes_max = 8;
    assert_eq!(
        codes(&wasm(wat!("next"), limited).err().expect("refused")),
        ["P0421"]
    );
}

#[test]
fn a_module_needs_each_hook_of_its_stage() {
    let spec = GuestSpec {
        hooks: vec![Hook::Authorize, Hook::PostQuery],
        ..spec()
    };
    let errors = wasm(wat!("next"), spec).err().expect("refused");
    assert_eq!(
        errors[0].message,
        "does not export `post_query`, which the hook `post_query` needs"
    );
}

#[test]
fn every_mistake_of_a_script_is_found_at_its_place() {
    let text = "if sqll.kind == \"a\" || sql.kynd == \"b\" { return dny(\"x\"); }\nkv::set(\"a\", user.nam);\nkv::st(1);\nsql.text;\n\"a\".starts_wit(\"b\");\nlet user = 1;\nrewrite(\"x\");\ndeny();\nresult.rows";
    let found = script_errors(text);
    let brief: Vec<_> = found
        .iter()
        .map(|(code, at, _, help)| (*code, *at, help.as_deref()))
        .collect();
    assert_eq!(
        brief,
        [
            ("P0403", "sqll", Some("did you mean `sql`?")),
            ("P0404", "kynd", Some("did you mean `kind`?")),
            ("P0402", "dny", Some("did you mean `deny`?")),
            ("P0412", "kv::set", Some("needs `kv.write` in `call`")),
            ("P0404", "nam", Some("did you mean `name`?")),
            ("P0402", "kv::st", Some("did you mean `kv::set`?")),
            ("P0405", "text", Some("needs `sql.text` in `see`")),
            ("P0402", "starts_wit", Some("did you mean `starts_with`?")),
            ("P0406", "user", None),
            ("P0407", "rewrite", None),
            ("P0402", "deny", None),
            ("P0408", "rows", None),
        ]
    );
}

#[test]
fn syntax_errors_have_a_place() {
    let found = script_errors("let a = 1;\nif a == ) { }");
    assert_eq!((found[0].0, found[0].1), ("P0401", ")"));
    for text in ["eval(\"1\")", "import \"x\" as x;", "export let a = 1;"] {
        assert!(!script_errors(text).is_empty(), "{text}");
    }
}

#[test]
fn nothing_that_sleeps_prints_or_loads_can_be_called() {
    for text in [
        "sleep(1)",
        "print(1)",
        "debug(1)",
        "exit()",
        "timestamp()",
        "parse_json(\"1\")",
        "rand()",
        "blob()",
    ] {
        assert_eq!(script_errors(text)[0].0, "P0402", "{text}");
    }
}
