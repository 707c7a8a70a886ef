//! Tests of `classify`, through `analyze`.

use super::super::Kind;
use super::super::KindSet;
use super::super::Needs;
use super::super::SessionEffect;
use super::super::Sql;
use super::super::analyze;

fn kinds(text: &str) -> String {
    let kinds: Vec<_> = analyze(text, Needs::default())
        .kinds
        .iter()
        .map(Kind::name)
        .collect();
    kinds.join(" ")
}

const KINDS: &[(&str, &str)] = &[
    ("", ""),
    (" -- nothing\n;", ""),
    ("SELECT 1", "select"),
    ("/* DELETE FROM t */ sElEcT 'DELETE FROM t'", "select"),
    ("(((select 1)))", "select"),
    ("values (1)", "select"),
    ("table t", "select"),
    ("with a as (values (1)) values (2)", "select"),
    ("select * from t for update", "select"),
    ("select 1 into t", "select ddl"),
    ("select 1 as into, t.into from t", "select"),
    ("insert into t values (1)", "insert"),
    ("insert into t select 1", "select insert"),
    (
        "insert into t values (1) on conflict (a) do update set a = 1",
        "insert update",
    ),
    ("insert into t values (1) on conflict do nothing", "insert"),
    ("update t set a = 1", "update"),
    ("update t set a = (select 1)", "select update"),
    ("delete from t", "delete"),
    (
        "merge into t using u on true when matched then delete",
        "delete merge",
    ),
    (
        "merge into t using u on a when matched and b then update set a = 1 when not matched then insert values (1)",
        "insert update merge",
    ),
    (
        "with d as (delete from t returning *) select * from d",
        "select delete",
    ),
    (
        "with d as not materialized (/**/delete/**/from t returning *) table d",
        "select delete",
    ),
    (
        "with d as (insert into t values (1) returning *) select 1",
        "select insert",
    ),
    (
        "with d as (update only t set a = 1 returning *) select 1",
        "select update",
    ),
    (
        "with d as (update \"t\" set a = 1 returning *) select 1",
        "select update",
    ),
    (
        "with d as (with e as (select 1) delete from t returning *) select 1",
        "select delete",
    ),
    ("with d as (select 1) delete from t", "select delete"),
    ("with d as (select 1) update set set a = 1", "select update"),
    (
        "with recursive d as (select 1) search depth first by a set key update t set a = 1",
        "select update",
    ),
    (
        "with recursive d as (select 1) cycle a set b using c delete from t",
        "select delete",
    ),
    (
        "with d as (select 1) merge into t using d on true when matched then do nothing",
        "select merge",
    ),
    (
        "insert into t with d as (delete from u returning *) select * from d",
        "select insert delete",
    ),
    (
        "with a as (select id, delete from t) select update, a.insert from a",
        "select",
    ),
    ("with update as (select 1) select * from update", "select"),
    (
        "with a as (select 1 from t for no key update) select 1",
        "select",
    ),
    ("select delete from t", "select"),
    ("truncate t", "ddl"),
    ("create table t (a int)", "ddl"),
    ("create table t as select 1", "select ddl"),
    (
        "create temp table if not exists t on commit drop as with d as (delete from u returning *) select 1",
        "select delete ddl",
    ),
    ("create table t as execute p", "ddl execute"),
    ("create materialized view v as select 1", "select ddl"),
    ("create view v as select 1", "ddl"),
    (
        "create rule r as on insert to t do instead delete from u",
        "ddl",
    ),
    (
        "create function f() returns int begin atomic delete from t; select 1; end",
        "select delete ddl",
    ),
    (
        "create table t (a int generated always as (1) stored)",
        "ddl",
    ),
    ("create schema s grant select on t to public", "ddl grant"),
    ("alter table t add a int", "ddl"),
    (
        "alter default privileges grant select on tables to public",
        "ddl grant",
    ),
    ("comment on table t is 'x'", "ddl"),
    ("grant select on t to u", "grant"),
    ("revoke all on t from u", "grant"),
    ("copy t from stdin", "copy_in"),
    ("copy binary t from stdin", "copy_in"),
    ("copy t (a, b) to stdout", "copy_out"),
    ("copy s.to from stdin", "copy_in"),
    ("copy t from program 'x'", "copy_in copy_program"),
    (
        "copy (select 1) to program 'x'",
        "select copy_out copy_program",
    ),
    ("copy (select 1) to stdout", "select copy_out"),
    (
        "copy (delete from t returning *) to stdout",
        "delete copy_out",
    ),
    (
        "copy (with d as (delete from t returning *) select 1) to stdout",
        "select delete copy_out",
    ),
    ("call p()", "call"),
    ("do $$ begin delete from t; end $$", "do"),
    ("set a = 1", "set"),
    ("reset all", "set"),
    ("discard all", "set"),
    ("show a", "show"),
    ("explain select 1", "select explain"),
    ("explain analyze delete from t", "delete explain"),
    (
        "explain (analyze, verbose off) delete from t",
        "delete explain",
    ),
    ("explain (analyze) (select 1)", "select explain"),
    (
        "explain (with d as (delete from t returning 1) select 1)",
        "select delete explain",
    ),
    ("explain ((select 1))", "select explain"),
    ("explain analyze verbose execute p(1)", "explain execute"),
    (
        "explain analyze create table t as select 1",
        "select ddl explain",
    ),
    ("explain declare c cursor for select 1", "select explain"),
    ("begin", "tx"),
    ("start transaction read only", "tx"),
    ("end", "tx"),
    ("rollback to savepoint a", "tx"),
    ("prepare transaction 'x'", "tx"),
    ("listen a", "listen"),
    ("notify a, 'b'", "listen"),
    ("prepare p as delete from t", "delete prepare"),
    (
        "prepare p (int, text) as with d as (delete from t returning 1) select 1",
        "select delete prepare",
    ),
    ("prepare transaction as delete from t", "delete prepare"),
    ("execute p", "execute"),
    ("deallocate all", "prepare"),
    ("declare c cursor with hold for select 1", "select"),
    ("declare c cursor for select 1 from t for update", "select"),
    ("fetch all from c", "select"),
    ("lock t", "other"),
    ("vacuum t", "other"),
    ("nonsense", "unparsed"),
    ("'select 1'", "unparsed"),
    ("select 'open", "select unparsed"),
    ("select /* open", "select unparsed"),
    ("select 1; delete from t", "select unparsed"),
    ("select {", "select unparsed"),
    (
        r"select '\', $$'; delete from t; select $$'",
        "select unparsed",
    ),
    ("copy t", "unparsed"),
    ("explain", "explain unparsed"),
    ("(((", "unparsed"),
    ("prepare p", "unparsed"),
    ("prepare U&\"p\" as select 1", "unparsed"),
];

#[test]
fn every_kind_a_statement_contains_is_found() {
    for (text, expected) in KINDS {
        assert_eq!(kinds(text), *expected, "{text}");
    }
}

#[test]
fn prepared_statements_are_named() {
    let prepare = |name: &str, body| Sql::Prepare {
        name: name.into(),
        body,
    };
    let cases = [
        ("select 1", Sql::Plain),
        ("PREPARE Foo AS SELECT 1 ; ", prepare("foo", 15..23)),
        (
            "prepare \"Foo\" (int) as /* x */ delete from t",
            prepare("Foo", 31..44),
        ),
        ("prepare transaction 'x'", Sql::Plain),
        ("execute Foo(1)", Sql::Execute { name: "foo".into() }),
        (
            "explain analyze execute foo",
            Sql::Execute { name: "foo".into() },
        ),
        (
            "explain (analyze) execute \"F\"\"oo\"(1)",
            Sql::Execute {
                name: "F\"oo".into(),
            },
        ),
        (
            "create table t as execute foo(1) with data",
            Sql::Execute { name: "foo".into() },
        ),
        (
            "deallocate foo",
            Sql::Deallocate {
                name: Some("foo".into()),
            },
        ),
        (
            "deallocate prepare Foo",
            Sql::Deallocate {
                name: Some("foo".into()),
            },
        ),
        (
            "deallocate prepare",
            Sql::Deallocate {
                name: Some("prepare".into()),
            },
        ),
        ("deallocate all", Sql::Deallocate { name: None }),
        ("deallocate prepare all", Sql::Deallocate { name: None }),
        (
            "deallocate \"all\"",
            Sql::Deallocate {
                name: Some("all".into()),
            },
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(analyze(text, Needs::default()).sql, expected, "{text}");
    }
}

#[test]
fn parameters_are_counted() {
    for (text, count) in [
        ("select 1", 0),
        ("select $2, '$3' /* $4 */", 2),
        ("select $99999", u16::MAX),
    ] {
        assert_eq!(analyze(text, Needs::default()).param_count, count, "{text}");
    }
}

#[test]
fn an_empty_statement_has_no_kind_and_no_effect() {
    let facts = analyze(
        " ; /* */",
        Needs {
            normalized: true,
            parse: true,
        },
    );
    assert_eq!(
        (facts.kinds, facts.read_only, facts.effect),
        (KindSet::EMPTY, true, SessionEffect::None)
    );
}
