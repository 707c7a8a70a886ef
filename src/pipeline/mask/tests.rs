//! Tests of `mask`: what is refused, what is hidden where, and what the rows come to.

use super::judge::judge;
use super::*;
use crate::statement::Exposure;
use crate::statement::analyze;
use crate::wire::backend;
use crate::wire::encode;

const ATTEMPTS: &str = include_str!("attempts.sql");

const COLUMNS: [&str; 4] = [
    "users.email",
    "users.ssn",
    "app.cards.pan",
    "\"Odd\".\"A b\"",
];

fn columns(written: &[&str]) -> Vec<MaskedColumn> {
    let parse = |column: &&str| MaskedColumn::parse(column).unwrap();
    written.iter().map(parse).collect()
}

/// `1,3` for positions, `*` with what is found by name, or the refusal.
fn judged(text: &str) -> String {
    let columns = columns(&COLUMNS);
    let facts = analyze(text, Mask::NEEDS);
    if facts.kinds.contains(Kind::Unparsed) {
        return "unread".to_owned();
    }
    let tables = &facts.relations.tables;
    let named = |column: &MaskedColumn| tables.iter().any(|table| column.may_be_of(table));
    if !columns.iter().any(named) {
        return "-".to_owned();
    }
    let exposure = Exposure::of(text);
    match judge(&columns, &facts, exposure.as_ref()) {
        Err(refusal) => format!("! {}", refusal.message),
        Ok(hits) => shown(&hits, &columns),
    }
}

fn shown(hits: &Hits, columns: &[MaskedColumn]) -> String {
    let positions = |list: &[bool]| -> String {
        let marks = list.iter().map(|masked| if *masked { 'x' } else { '.' });
        marks.collect()
    };
    let mut out = positions(&hits.first);
    if let Some(last) = &hits.last {
        out.push('*');
        out.push_str(&positions(last));
        for index in &hits.starred {
            out.push(' ');
            out.push_str(&columns[*index].written);
        }
        for label in &hits.labels {
            out.push(' ');
            out.push_str(label);
        }
    }
    out
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let got = judged(text);
        match expected.strip_suffix("..") {
            Some(begin) => assert!(got.starts_with(begin), "{text}\n{got}"),
            None => assert_eq!(got, *expected, "{text}"),
        }
    }
}

#[test]
fn what_stands_alone_is_found_by_its_place_and_behind_a_star_by_its_name() {
    check(&[
        ("select id from orders", "-"),
        ("select email from orders", "-"),
        ("select id, email from users", ".x"),
        (
            "select EMAIL, id, users.ssn as s, u.name from app.users u",
            "x.x.",
        ),
        ("select u.email e, 'x' email, count(*) from users u", "x.."),
        ("select * from users", "* users.email users.ssn"),
        ("select id, * from users", ".* users.email users.ssn"),
        (
            "select *, email as e, id from users",
            "*x. users.email users.ssn e",
        ),
        (
            "select u.*, email e, c.* from users u, c",
            "* users.email users.ssn e",
        ),
        ("select c.*, u.id from users u, companies c", "*."),
        (
            "select c.email, u.email from users u join companies c on c.id = u.id",
            ".x",
        ),
        (
            "select c.email from users u join companies c on c.email = 'x'",
            ".",
        ),
        ("select email from users u, companies c", "x"),
        ("table users", "* users.email users.ssn"),
        ("select s.email as e from (select * from users) s", "x"),
        (
            "select * from (select id, email from users) s",
            "* users.email users.ssn",
        ),
        ("with c as (table users) select id, ssn from c", ".x"),
        (
            "with users as (select 1 as email) select email from users",
            "-",
        ),
        (
            "with users as (select * from users) select email from users",
            "x",
        ),
    ]);
}

#[test]
fn names_are_folded_and_found_in_subqueries_as_postgresql_does() {
    check(&[
        ("select \"A b\" from \"Odd\"", "x"),
        ("select \"a b\" from \"Odd\"", "."),
        ("select \"A b\" from odd", "-"),
        ("select pan from cards", "x"),
        ("select pan from app.cards", "x"),
        ("select pan from other.cards", "-"),
        ("select U&\"em\\0061il\" from U&\"us\\0065rs\"", "x"),
        (
            "select (select max(id) from users), exists (select * from users where id = 1)",
            "..",
        ),
        (
            "select id from users where name = 'x' order by name limit 3",
            ".",
        ),
        (
            "select id, email from users order by id, name desc for update of users",
            ".x",
        ),
        (
            "select email from users where id in (select user_id from orders)",
            "x",
        ),
        (
            "select email, g from users, generate_series(1, 2) g(n)",
            "x.",
        ),
    ]);
}

#[test]
fn what_writes_gives_rows_as_well_and_what_gives_none_needs_no_mask() {
    check(&[
        (
            "insert into users (id, email) values (1, 'x') returning id, email",
            ".x",
        ),
        (
            "insert into users (id, email) values (1, 'x')",
            "* users.email users.ssn",
        ),
        (
            "update users set email = 'x', name = 'y' where id = 1 returning *",
            "* users.email users.ssn",
        ),
        (
            "update users u set ssn = s.ssn from staging s where s.id = u.id returning u.id",
            ".",
        ),
        (
            "delete from users where id = 1 returning old.email, new.id",
            "x.",
        ),
        ("insert into users select * from staging returning id", "."),
        (
            "with gone as (delete from users returning email) select email from gone",
            "x",
        ),
        ("explain select email from users", ""),
        ("explain analyze select * from users", ""),
        ("truncate users", ""),
        ("copy users from stdin", ""),
        ("declare c cursor for select id from users", ""),
        ("copy (select id from users) to stdout", ""),
        (
            "select id from users union all select id from companies",
            "",
        ),
    ]);
}

#[test]
fn what_could_tell_a_value_otherwise_is_refused() {
    for text in ATTEMPTS.lines().filter(|line| !line.starts_with("--")) {
        let got = judged(text);
        assert!(got.starts_with('!') || got == "unread", "{text}\n{got}");
    }
}

#[test]
fn a_refusal_names_the_column_and_the_cure() {
    check(&[
        (
            "select lower(u.email) from users u",
            "! column users.email is masked for you; select it plainly or leave it out",
        ),
        (
            "select u from users u",
            "! `u` may stand for a whole row, and column users.email in it is masked for you; name the columns in its place",
        ),
        (
            "insert into leak select * from users",
            "! `*` may stand for column users.email, which is masked for you; name the columns in its place",
        ),
        (
            "select id from users natural join orders",
            "! NATURAL JOIN may compare column users.email, which is masked for you; write ON or USING",
        ),
        (
            "copy users to stdout",
            "! column users.email is masked for you; only SELECT, INSERT, UPDATE and DELETE may name its table",
        ),
        (
            "select email as e from users order by e",
            "! `e` is column users.email, which is masked for you; select it plainly or leave it out",
        ),
    ]);
}

fn description(names: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    encode::row_description(&mut out, names.iter().copied(), false);
    out.split_off(5)
}

fn masks(text: &str, stages: &[(&[&str], policy::MaskWith)]) -> Masks {
    let facts = analyze(text, Mask::NEEDS);
    let mut masks = Masks::default();
    for (written, with) in stages {
        let columns = columns(written);
        let hits = judge(&columns, &facts, Exposure::of(text).as_ref()).unwrap();
        masks.push(Hidden {
            columns: columns.into(),
            hits,
            method: Arc::new(Method::new(with)),
            stats: Arc::default(),
        });
    }
    masks
}

fn row(masks: &Masks, names: &[&str], values: &[&str]) -> Result<Vec<Option<String>>, Undescribed> {
    let mut rows = masks.rows(&description(names), true)?;
    let mut body = Vec::new();
    encode::data_row(&mut body, values.iter().map(|value| Some(value.as_bytes())));
    let mut out = Vec::new();
    rows.rewrite(&body[5..], &mut out)?;
    let values = backend::row_values(&out[5..]).unwrap();
    let text = |value: Option<&[u8]>| value.map(|value| String::from_utf8(value.to_vec()).unwrap());
    Ok(values.into_iter().map(text).collect())
}

#[test]
fn of_two_stages_the_first_says_what_stands_in_a_column() {
    let masks = masks(
        "select email, ssn, id from users",
        &[
            (&["users.email"], policy::MaskWith::Redact),
            (&["users.email", "users.ssn"], policy::MaskWith::Null),
        ],
    );
    let got = row(&masks, &["email", "ssn", "id"], &["a", "b", "c"]).unwrap();
    assert_eq!(got, [Some("***".to_owned()), None, Some("c".to_owned())]);
    assert_eq!(masks.columns(), ["users.email".into(), "users.ssn".into()]);
}

#[test]
fn rows_that_are_not_the_statements_do_not_pass() {
    let all: &[(&[&str], policy::MaskWith)] = &[(&["users.email"], policy::MaskWith::Redact)];
    let plain = masks("select id, email from users", all);
    assert!(row(&plain, &["id"], &["1"]).is_err());
    assert!(row(&plain, &["id", "email", "x"], &["1", "2", "3"]).is_err());
    assert!(row(&plain, &["id", "e"], &["1", "a", "b"]).is_err());
    let starred = masks("select id, *, email as e from users", all);
    assert!(row(&starred, &["id"], &["1"]).is_err());
    let got = row(
        &starred,
        &["a", "b", "email", "c", "e"],
        &["1", "2", "3", "4", "5"],
    )
    .unwrap();
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(
        got,
        [text("1"), text("2"), text("***"), text("4"), text("***")]
    );
}

#[test]
fn a_name_that_cannot_be_read_is_masked() {
    let all: &[(&[&str], policy::MaskWith)] = &[(&["users.email"], policy::MaskWith::Redact)];
    let masks = masks("select * from users", all);
    let described = description(&["\u{e9}", "a"]);
    let covered = |is_utf8: bool| {
        let rows = masks.rows(&described, is_utf8).unwrap();
        rows.passes()
    };
    assert!(covered(true));
    assert!(!covered(false));
}
