//! Case files of plugins: what they may say, and what is wrong with one.

use super::*;
use crate::policy::Colour;
use crate::policy::tests::Memory;

fn load(text: &str) -> Result<PluginCases, String> {
    let files = Memory::default().file("cases.toml", text);
    plugin_cases(Path::new("cases.toml"), &files).map_err(|report| report.render(Colour::Never))
}

#[test]
fn a_case_says_what_is_told_and_expected() {
    let cases = load(
        r#"
        permissions = { see = ["sql.text"], call = ["kv.write"], kv = { namespace = "n" } }

        [[case]]
        name   = "all of it"
        hook   = "post_query"
        config = { limit = 3 }
        repeat = 2
        kv     = { seen = "1" }
        [case.given]
        sql     = "DELETE FROM t"
        time    = 2026-02-01T00:00:00Z
        user    = { name = "bob", roles = ["app"], tenant = "7", claims = { a = "b" } }
        session = { tls = true, client = "unix", auth_method = "scram", statement_count = 2 }
        result  = { code = "23505", rows = 3, elapsed = "2ms" }
        [case.expect]
        answer     = "continue"
        log        = ["seen"]
        kv         = { seen = "2" }
        fuel_below = 1000
        "#,
    )
    .unwrap();
    assert_eq!(cases.grants.unwrap().see.len(), 1);
    let case = &cases.cases[0];
    assert_eq!(
        (&*case.name, case.hook, case.repeat),
        ("all of it", Hook::PostQuery, 2)
    );
    assert_eq!(case.config, Some(serde_json::json!({ "limit": 3 })));
    assert_eq!(&*case.given.session.identity.user, "bob");
    assert!(case.given.session.tls && !case.given.outcome.success);
    assert_eq!(case.expect.answer, Some(AnswerKind::Continue));
    assert_eq!(case.expect.fuel_below, Some(1_000));
}

#[test]
fn mistakes_are_told_with_their_place() {
    let head = "[[case]]\nname = \"a\"\nhook = \"authorize\"\n";
    for (text, said) in [
        ("", "needs `case`"),
        ("[[case]]\nname = \"a\"", "`[[case]]` needs `hook`"),
        (
            "[[case]]\nname = \"a\"\nhook = \"autorize\"\nexpect = { answer = \"allow\" }",
            "did you mean `authorize`?",
        ),
        (&format!("{head}expect = {{}}"), "expects nothing"),
        (
            &format!("{head}expect = {{ answer = \"rewrite\" }}"),
            "the answer `rewrite` is not possible at `authorize`",
        ),
        (
            &format!("{head}expect = {{ answer = \"allow\", message = \"x\" }}"),
            "`message` is part of the answer `block` only",
        ),
        (
            &format!("{head}expect = {{ answer = \"allow\", fault = \"trap\" }}"),
            "with an `answer` or with a `fault`",
        ),
        (
            &format!("{head}expect = {{ fault = \"tarp\" }}"),
            "did you mean `trap`?",
        ),
        (
            &format!("{head}expect = {{ answr = \"allow\" }}"),
            "did you mean `answer`?",
        ),
        (
            &format!(
                "{head}given = {{ user = {{ nam = \"x\" }} }}\nexpect = {{ answer = \"allow\" }}"
            ),
            "did you mean `name`?",
        ),
        (
            &format!(
                "{head}expect = {{ answer = \"allow\" }}\n{head}expect = {{ answer = \"allow\" }}"
            ),
            "two cases are called `a`",
        ),
        ("[[case]", "error[P0101]"),
    ] {
        let found = load(text).unwrap_err();
        assert!(found.contains(said), "{said}\n{found}");
    }
}
