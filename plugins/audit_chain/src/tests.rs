//! Records follow one another, say what happened and nothing more, and fit into a line.

use super::*;
use pgwarden_guest::Field;
use pgwarden_guest::testing::Input;
use pgwarden_guest::testing::host;

fn clear() {
    host(|host| {
        host.kv.clear();
        host.log.clear();
        host.now = 1_700_000_000_000_000;
    });
}

fn lines() -> Vec<String> {
    host(|host| host.log.clone())
}

fn session() -> Input {
    Input::new()
        .text(Field::UserName, "alice")
        .text(Field::Database, "shop")
}

fn statement(tables: &[Option<&str>]) -> Input {
    session()
        .number(Field::Fingerprint, 0xabc)
        .items(Field::Kinds, &[Some("delete"), Some("select")])
        .items(Field::Tables, tables)
        .flag(Field::Success, false)
        .text(Field::Code, "42501")
        .number(Field::ResultRows, 7)
}

/// The hash and the record of a line.
fn parts(line: &str) -> (&str, &str) {
    let rest = line.strip_prefix("audit ").expect("audit");
    rest.split_once(' ').expect("a hash and a record")
}

#[test]
fn each_record_is_linked_to_the_one_before() {
    clear();
    assert_eq!(session().ask(connected), Verdict::next());
    assert_eq!(
        statement(&[None, Some("orders")]).ask(asked),
        Verdict::next()
    );
    assert_eq!(session().ask(left), Verdict::next());
    let lines = lines();
    let mut before = GENESIS.to_owned();
    for (index, line) in lines.iter().enumerate() {
        let (hash, record) = parts(line);
        let linked = format!("{before}{record}");
        let expected = pgwarden_guest::host::sha256(linked.as_bytes());
        assert_eq!(hash.as_bytes(), expected, "{line}");
        let start = format!("{{\"chain\":1700000000000000,\"seq\":{}", index + 1);
        assert!(record.starts_with(&start), "{record}");
        before = hash.to_owned();
    }
    assert_eq!(lines.len(), 3);
    assert_eq!(
        parts(&lines[1]).1,
        "{\"chain\":1700000000000000,\"seq\":2,\"time\":1700000000000000,\"event\":\"statement\",\"session\":\"\",\
         \"user\":\"alice\",\"database\":\"shop\",\"fingerprint\":\"0000000000000abc\",\"kinds\":[\"delete\",\"select\"],\
         \"success\":false,\"code\":\"42501\",\"rows\":7,\"tables\":[\"orders\"]}"
    );
}

#[test]
fn names_cannot_forge_a_record_and_a_line_never_overflows() {
    clear();
    let evil = "a\",\"x\":\"\\\n\u{85}é".repeat(40);
    let many: Vec<Option<&str>> = (0..50)
        .flat_map(|_| [Some("a_schema"), Some("a\"table\twith_a_name")])
        .collect();
    let input = statement(&many)
        .text(Field::UserName, &evil)
        .text(Field::Database, &evil);
    assert_eq!(input.ask(asked), Verdict::next());
    let lines = lines();
    assert!(lines[0].len() <= 1024, "{}", lines[0].len());
    let (_, record) = parts(&lines[0]);
    assert!(
        record.chars().all(|letter| !letter.is_control()),
        "{record}"
    );
    assert!(
        record.contains("\"user\":\"a\\\",\\\"x\\\":\\\"\\\\\\u000a\\u0085é"),
        "{record}"
    );
    assert!(
        record.contains("\"a_schema.a\\\"table\\u0009with_a_name\""),
        "{record}"
    );
    assert!(record.contains(",\"more_tables\":39"), "{record}");
    assert!(record.ends_with('}'), "{record}");
}

#[test]
fn nobody_connects_when_records_cannot_be_linked() {
    clear();
    host(|host| host.kv.insert(b"head".to_vec(), b"nonsense".to_vec()));
    let (code, _) = session().ask(connected).refusal().expect("a refusal");
    assert_eq!(code, "58000");
    assert_eq!(statement(&[]).ask(asked), Verdict::next());
    let lines = lines();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[1].starts_with("audit unlinked (the head cannot be read) {\"time\":"),
        "{}",
        lines[1]
    );
}
