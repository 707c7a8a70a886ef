//! What an agent is refused, and that it is told what to do instead.

use super::*;
use pgwarden_guest::testing::Input;
use pgwarden_guest::testing::host;

fn input(kinds: &[&str]) -> Input {
    let kinds: Vec<Option<&str>> = kinds.iter().map(|kind| Some(*kind)).collect();
    Input::new()
        .items(Field::Kinds, &kinds)
        .flag(Field::HasWhere, true)
        .flag(Field::HasLimit, false)
        .flag(Field::ReadOnly, kinds == [Some("select")])
}

fn configure(config: &[(&str, &str)]) {
    host(|host| {
        host.config = config
            .iter()
            .map(|(path, value)| ((*path).to_owned(), (*value).to_owned()))
            .collect();
    });
}

fn message(input: &Input) -> String {
    let verdict = input.ask(decide);
    let Some((code, message)) = verdict.refusal() else {
        return String::new();
    };
    assert_eq!(code, "42501");
    assert!(
        verdict.value(3).is_some_and(|hint| !hint.is_empty()),
        "{message} has no hint"
    );
    message
}

#[test]
fn what_changes_more_than_rows_is_refused_wherever_it_hides() {
    configure(&[]);
    for (kind, said) in [
        ("ddl", "change the schema"),
        ("grant", "who may do what"),
        ("do", "DO blocks"),
        ("call", "procedures"),
        ("copy_program", "programs"),
        ("unparsed", "cannot be understood"),
    ] {
        let message = message(&input(&["select", kind]));
        assert!(message.contains(said), "{kind}: {message}");
    }
    assert_eq!(message(&input(&["select"])), "");
    assert_eq!(message(&input(&["insert"])), "");
}

#[test]
fn whole_tables_are_neither_changed_nor_emptied() {
    configure(&[]);
    for kind in ["update", "delete"] {
        assert_eq!(message(&input(&[kind])), "");
        let whole = input(&["select", kind]).flag(Field::HasWhere, false);
        assert_eq!(message(&whole), "UPDATE or DELETE without WHERE");
    }
    let unknown = Input::new().items(Field::Kinds, &[Some("delete")]);
    assert_ne!(message(&unknown), "");
}

#[test]
fn named_tables_are_read_with_a_limit() {
    configure(&[
        ("limit_tables.0", "orders"),
        ("limit_tables.1", "log.event_*"),
    ]);
    let reading = |schema: Option<&str>, table: &str| {
        input(&["select"]).items(Field::Tables, &[None, Some("small"), schema, Some(table)])
    };
    for (schema, table) in [
        (None, "orders"),
        (Some("public"), "orders"),
        (Some("log"), "event_1"),
        (None, "event_"),
    ] {
        let message = message(&reading(schema, table));
        assert!(
            message.ends_with("needs a LIMIT"),
            "{schema:?} {table}: {message}"
        );
        let limited = reading(schema, table).flag(Field::HasLimit, true);
        assert_eq!(limited.ask(decide), Verdict::next());
    }
    for (schema, table) in [
        (None, "order"),
        (Some("app"), "event_1"),
        (None, "products"),
    ] {
        assert_eq!(message(&reading(schema, table)), "", "{schema:?} {table}");
    }
    let copied = input(&["copy_out"]).items(Field::Tables, &[None, Some("orders")]);
    assert_eq!(message(&copied), "reading orders needs a LIMIT");
    let changed = input(&["update"]).items(Field::Tables, &[None, Some("orders")]);
    assert_eq!(message(&changed), "");
}

#[test]
fn reading_alone_and_more_kinds_are_settings() {
    configure(&[("read_only", "true"), ("refuse.0", "explain")]);
    assert_eq!(message(&input(&["select"])), "");
    assert_eq!(message(&input(&["tx"])), "");
    assert_eq!(message(&input(&["insert"])), "this account may only read");
    let calls = input(&["select"]).flag(Field::ReadOnly, false);
    assert_eq!(message(&calls), "this account may only read");
    let explained = message(&input(&["explain", "select"]));
    assert!(explained.ends_with("the kind explain"), "{explained}");
}

#[test]
fn globs() {
    for (pattern, text, fits) in [
        ("*", "", true),
        ("a*c", "abcbc", true),
        ("a*c", "abcb", false),
        ("?", "ä", true),
        ("?", "", false),
        ("a**b?", "axxbc", true),
        ("", "a", false),
    ] {
        assert_eq!(is_like(pattern, text), fits, "{pattern} {text}");
    }
}
