//! What is written means what was read, however it was put together.

use super::Defaults;
use super::effective;
use super::value;
use crate::policy::Policy;
use crate::policy::tests::Memory;
use std::path::Path;

const ROOT: &str = r#"
policy = 1
include = ["parts/users.toml", "../shared/more.toml"]

[vars]
host = "10.0.0.1"
size = 7
name = { env = "NAME" }

[env.prod.vars]
size = 70

[listener.main]
bind = ["127.0.0.1:6432"]

[node.pg]
role = "primary"
host = { var = "host" }

[pool.main]
nodes = ["pg"]
size = { var = "size" }
database = "*"
login = { user = { var = "name" }, password = { file = "pw" } }

[stage.long]
hook = "authorize"
when = { kind = ["insert", "update", "delete", "merge"], client = ["10.0.0.0/8", "192.168.0.0/16"], tls = false }
deny = { message = "no \"plain\"\ttext", hint = "use TLS\nplease" }

[stage.script]
hook = "pre_query"
script = '''
// a comment
next()
'''

[pipeline.default]
pre_query = ["script", "filed"]
authorize = ["long"]
otherwise = { authorize = "allow" }

[[test]]
name = "t"
given = { user = "ada" }
cases = [{ sql = "INSERT INTO a VALUES (1)", expect = { verdict = "deny" } }, { sql = "SELECT 1", expect = { verdict = "allow" } }]
"#;

const USERS: &str = r#"
policy = 1
[role.app]
[user.ada]
password = { file = "pw" }
roles = "app"
[user."eve o'neil"]
password = { file = "../pw" }
attributes = { "a b" = "c" }
[decisions]
sink = "file:decisions.log"
"#;

const MORE: &str =
    "policy = 1\n[stage.filed]\nhook = \"pre_query\"\nscript = { file = \"filed.rhai\" }\n";

fn memory() -> Memory {
    Memory::default()
        .file("policies/policy.toml", ROOT)
        .file("policies/parts/users.toml", USERS)
        .file("shared/more.toml", MORE)
        .file("shared/filed.rhai", "next()\n")
        .file("policies/pw", "one")
        .file("policies/parts/pw", "two")
        .variable("NAME", "postgres")
}

const PLACE: &str = "policies/policy.toml";

fn load(memory: &Memory, environment: Option<&str>) -> Policy {
    let (policy, report) = crate::policy::load(Path::new(PLACE), environment, memory);
    policy.unwrap_or_else(|_| panic!("{}", report.render(crate::policy::Colour::Never)))
}

fn render(memory: &Memory, environment: Option<&str>, defaults: Defaults) -> String {
    effective(Path::new(PLACE), environment, memory, defaults)
        .unwrap_or_else(|report| panic!("{}", report.render(crate::policy::Colour::Never)))
}

#[test]
fn the_text_is_a_policy_that_means_the_same_and_proves_the_same() {
    for environment in [None, Some("prod")] {
        for defaults in [Defaults::Hidden, Defaults::Shown] {
            let before = load(&memory(), environment);
            let text = render(&memory(), environment, defaults);
            let alone = memory().file(PLACE, &text);
            let after = load(&alone, None);
            assert_eq!(before.canonical(), after.canonical(), "{text}");
            assert!(before.difference(&after).changes.is_empty(), "{text}");
            let files = alone.asked.borrow();
            assert!(
                !files.iter().any(|file| file.ends_with("users.toml")),
                "{files:?}"
            );
            assert_eq!(
                after.users["ada"].credential_reference,
                before.users["ada"].credential_reference
            );
        }
    }
}

#[test]
fn it_says_where_each_line_comes_from_and_no_secret() {
    let text = render(&memory(), Some("prod"), Defaults::Hidden);
    for line in [
        "# policy policy  revision ",
        "size     = 70                                                   # policies/policy.toml:22, `size` at policies/policy.toml:11",
        "[user.ada]                                                      # policies/parts/users.toml:4",
        "password = { file = \"parts/pw\" }                                # policies/parts/users.toml:5",
        "script = { file = \"../shared/filed.rhai\" }                      # shared/more.toml:4",
        "sink = \"file:parts/decisions.log\"                               # policies/parts/users.toml:11",
        "login    = { user = { var = \"name\" }, password = { file = \"pw\" } }  # policies/policy.toml:24",
        "name = { env = \"NAME\" }                                         # policies/policy.toml:8",
        "[stage.long.when]",
        "hint = \"use TLS\\nplease\" }",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    for hidden in ["postgres", "one", "two"] {
        let found = text
            .lines()
            .any(|line| line.split(['"', ' ', '#']).any(|word| word == hidden));
        assert!(!found, "{hidden}\n{text}");
    }
    assert!(!text.contains("include"), "{text}");
}

#[test]
fn defaults_are_those_of_the_policy() {
    let text = render(&memory(), None, Defaults::Shown);
    let default = |key: &str, value: &str| {
        let mut lines = text.lines();
        lines.any(|line| {
            let found = line.split_once(" = ");
            found.is_some_and(|(found, rest)| {
                found.trim_end() == key && rest.starts_with(value) && rest.ends_with("# default")
            })
        })
    };
    for (key, value) in [
        ("port", "5432"),
        ("mode", "\"session\""),
        ("wait", "\"2m\""),
        ("max_connections", "1000"),
        ("fuel", "2000000"),
        ("on_failure", "\"closed\""),
        ("# on_unparsed", "\"deny\""),
        ("gate", "\"check\""),
    ] {
        assert!(default(key, value), "{key} = {value}\n{text}");
    }
    assert!(!render(&memory(), None, Defaults::Hidden).contains("# default"));
}

#[test]
fn texts_are_read_back() {
    for text in [
        "", "a", "\"", "\\", "'", "a\nb", "a\nb'", "'''\n", "\n", "\u{7f}\n", "\r\n", "\u{1}",
        "\u{e9}\t",
    ] {
        let read: toml::Value = toml::from_str(&format!("a = {}", value::text(text))).unwrap();
        assert_eq!(read["a"].as_str(), Some(text));
        if text.contains('\n') {
            continue;
        }
        let written = format!("{} = 1", value::key_text(text));
        let read: toml::Table = toml::from_str(&written).unwrap();
        assert_eq!(read.keys().next().map(String::as_str), Some(text));
    }
    for number in [0.0, 1.0, 0.5, -1e300, f64::INFINITY] {
        let read: toml::Value = toml::from_str(&format!("a = {}", value::float(number))).unwrap();
        assert_eq!(read["a"].as_float(), Some(number));
    }
}

#[test]
fn a_policy_with_mistakes_has_no_text() {
    let broken = memory().file("policies/parts/users.toml", "policy = 1\n[usr.a]\n");
    let told = effective(Path::new(PLACE), None, &broken, Defaults::Hidden);
    assert!(told.is_err_and(|report| report.has_errors()));
}
