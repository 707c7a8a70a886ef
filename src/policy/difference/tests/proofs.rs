//! Tests of policies: with fewer of them less is proven.

use super::BASE;
use super::policy;
use super::told;

const ONE: &str = r#"
[[test]]
name = "writes are refused"
given = { user = "ada" }
cases = [
  { sql = "DELETE FROM a", expect = { verdict = "deny" } },
  { sql = "UPDATE a SET b = 1", expect = { verdict = "deny" } },
]
"#;

fn with(tests: &str) -> crate::policy::Policy {
    policy(&format!("{BASE}{tests}"))
}

#[test]
fn tests_come_and_go() {
    let (none, one) = (with(""), with(ONE));
    assert_eq!(none.revision, one.revision);
    assert_eq!(
        told(&one, &none),
        ["widens test \"writes are refused\": removed"]
    );
    assert_eq!(
        told(&none, &one),
        ["narrows test \"writes are refused\": new"]
    );
}

#[test]
fn cases_come_and_go() {
    let second = "  { sql = \"UPDATE a SET b = 1\", expect = { verdict = \"deny\" } },\n";
    let (two, one) = (with(ONE), with(&ONE.replacen(second, "", 1)));
    let path = "test \"writes are refused\"";
    assert_eq!(told(&two, &one), [format!("widens {path}: 1 case fewer")]);
    assert_eq!(told(&one, &two), [format!("narrows {path}: 1 case more")]);
    let other = with(&ONE.replacen("DELETE FROM a", "DELETE FROM b", 1));
    assert_eq!(
        told(&two, &other),
        [format!("changes {path}: proves something else")]
    );
}

#[test]
fn a_test_by_another_name_or_in_another_policy_proves_the_same() {
    let renamed = with(&ONE.replacen("writes are refused", "nobody writes", 1));
    assert_eq!(told(&with(ONE), &renamed), [""; 0]);
    // Another listener before the one that is meant, and another stage.
    let moved = BASE.replacen(
        "[listener.app]",
        "[listener.aaa]\nbind = \"[::1]:1\"\n[listener.app]",
        1,
    );
    let given = ONE.replacen("given = {", "given = { listener = \"app\",", 1);
    let (old, new) = (
        policy(&format!("{BASE}{given}")),
        policy(&format!("{moved}{given}")),
    );
    assert_eq!(told(&old, &new), ["widens listener.aaa: new, on `[::1]:1`"]);
}
