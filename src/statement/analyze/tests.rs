//! Tests of `effect`.

use super::super::SessionEffect;
use super::super::effect;

const EFFECTS: &[(SessionEffect, &str)] = &[
    (SessionEffect::None, "select 1"),
    (SessionEffect::None, ""),
    (
        SessionEffect::None,
        "insert into t values (1); delete from t; copy t from stdin",
    ),
    (
        SessionEffect::None,
        "create table t (a int); create view v as select 1; alter role r set a = 1",
    ),
    (
        SessionEffect::None,
        "select 'set_config', set_config from t -- set a = 1",
    ),
    (
        SessionEffect::None,
        "notify a; call p(); truncate t; show a; explain select 1; fetch c",
    ),
    (SessionEffect::Transaction, "begin; select 1; commit"),
    (SessionEffect::Transaction, "set local a = 1"),
    (
        SessionEffect::Transaction,
        "set transaction read only; set constraints all deferred",
    ),
    (
        SessionEffect::Transaction,
        "select set_config('a', f(b, c), true)",
    ),
    (
        SessionEffect::Transaction,
        "select pg_advisory_xact_lock(1)",
    ),
    (SessionEffect::Transaction, "declare c cursor for select 1"),
    (
        SessionEffect::Transaction,
        "declare c cursor without hold for select 1",
    ),
    (
        SessionEffect::Transaction,
        "create temp table t (a int) on commit drop",
    ),
    (SessionEffect::Transaction, "lock t"),
    (SessionEffect::Session, "set a = 1"),
    (SessionEffect::Session, "select 1; set /* local */ a = 1"),
    (SessionEffect::Session, "set local.a = 1"),
    (SessionEffect::Session, "set local to 1"),
    (
        SessionEffect::Session,
        "set session characteristics as transaction read only",
    ),
    (SessionEffect::Session, "set role r; begin"),
    (SessionEffect::Session, "reset a"),
    (SessionEffect::Session, "discard temp"),
    (SessionEffect::Session, "prepare p as select 1"),
    (SessionEffect::Session, "deallocate p"),
    (SessionEffect::Session, "listen a"),
    (SessionEffect::Session, "unlisten *"),
    (SessionEffect::Session, "load 'x'"),
    (SessionEffect::Session, "create temp table t (a int)"),
    (
        SessionEffect::Session,
        "create temp table t on commit preserve rows as select 1",
    ),
    (
        SessionEffect::Session,
        "create temp table t as select commit drop from u",
    ),
    (
        SessionEffect::Session,
        "create local temporary view v as select 1",
    ),
    (
        SessionEffect::Session,
        "create or replace temp view v as select 1",
    ),
    (SessionEffect::Session, "create table pg_temp.t (a int)"),
    (
        SessionEffect::Session,
        "create table if not exists \"pg_temp\" . t (a int)",
    ),
    (
        SessionEffect::Session,
        "create sequence if not exists pg_temp_3.s",
    ),
    (
        SessionEffect::Session,
        "create function pg_temp.f() returns int as '' language sql",
    ),
    (SessionEffect::Session, "select 1 into temp t"),
    (
        SessionEffect::Session,
        "select 1 into local temporary table t",
    ),
    (SessionEffect::Session, "select 1 into pg_temp.t"),
    (SessionEffect::Session, "select 1 into table pg_temp.t"),
    (
        SessionEffect::Session,
        "declare c cursor with hold for select 1",
    ),
    (SessionEffect::Session, "select set_config('a', 'b', false)"),
    (
        SessionEffect::Session,
        "select set_config('a', 'b', not true)",
    ),
    (SessionEffect::Session, "select set_config('a', true, $1)"),
    (
        SessionEffect::Session,
        "select \"set_config\"('a', 'b', $1)",
    ),
    (
        SessionEffect::Session,
        "select set_config('a', set_config('b', 'c', false), true)",
    ),
    (
        SessionEffect::Session,
        "insert into t select pg_catalog.set_config('a', 'b', false)",
    ),
    (
        SessionEffect::Session,
        "with a as (select pg_try_advisory_lock(1)) select 1",
    ),
    (
        SessionEffect::Session,
        "select (1::bigint).pg_advisory_lock",
    ),
    (
        SessionEffect::Session,
        "select U&\"set\\005fconfig\"('a', 'b', false)",
    ),
    (
        SessionEffect::Session,
        "explain analyze select pg_advisory_lock(1)",
    ),
    (
        SessionEffect::Session,
        "copy (select pg_advisory_lock(1)) to stdout",
    ),
    (
        SessionEffect::Session,
        "create table t as select pg_advisory_lock(1)",
    ),
    (
        SessionEffect::Session,
        "execute p(set_config('a', 'b', false))",
    ),
    (
        SessionEffect::Session,
        "update t set a = pg_advisory_lock(1) where b",
    ),
    (SessionEffect::Session, "select 1; nonsense"),
    (SessionEffect::Session, "select '"),
    (
        SessionEffect::Session,
        r"select '\', $$'; set a = 1; select $$'",
    ),
    (
        SessionEffect::DiscardAll,
        "set a = 1; discard all; select 1",
    ),
];

#[test]
fn the_worst_effect_of_a_text_is_found() {
    for (expected, text) in EFFECTS {
        assert_eq!(effect(text), *expected, "{text}");
    }
}
