//! Tests of `relations`: who is named, through every place the grammar has for a name.

use super::super::Kind;
use super::super::Needs;
use super::super::analyze;
use super::super::lexer::tests::soup;
use super::super::split;
use super::*;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;

const NEEDS: Needs = Needs {
    normalized: true,
    parse: true,
};

fn list(names: &[Name]) -> String {
    let dotted = |name: &Name| match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.to_string(),
    };
    names.iter().map(dotted).collect::<Vec<_>>().join(" ")
}

const TABLES: &[(&str, &str)] = &[
    ("select 1", ""),
    ("select * from T, s.\"U\" as x, only v, w*", "t v w s.U"),
    (
        "select * from a join b using (id) left join (c cross join d) on true",
        "a b c d",
    ),
    (
        "select (select 1 from a), exists (select 1 from b) from c where d in (table e)",
        "a b c e",
    ),
    ("select * from d.s.t", "s.t"),
    (
        "select * from U&\"d\\0061ta\", U&\"d!0061te\" uescape '!'",
        "data date",
    ),
    (
        "select * from a_name_that_is_longer_than_sixty_three_bytes_so_the_server_cuts_it_off",
        "a_name_that_is_longer_than_sixty_three_bytes_so_the_server_cuts",
    ),
    ("table t", "t"),
    (
        "select * from (values (1)) v, f(1) g, lateral (select * from h) i",
        "h",
    ),
    ("insert into t select * from u", "t u"),
    (
        "insert into t as x values (1) on conflict (a) do update set a = (select b from u)",
        "t u",
    ),
    (
        "update only (t) set a = b from u where c in (select d from v)",
        "t u v",
    ),
    (
        "delete from t using u where exists (select 1 from v)",
        "t u v",
    ),
    (
        "merge into t using u on true when matched then delete",
        "t u",
    ),
    ("copy t (a) from stdin", "t"),
    ("copy (select * from t) to stdout", "t"),
    ("explain analyze delete from t", "t"),
    ("prepare p as select * from t", "t"),
    ("declare c cursor for select * from t", "t"),
    ("create table t as select * from u", "t u"),
    ("select * into t from u", "t u"),
    (
        "create table t (a int references u, like v) inherits (w)",
        "t u v w",
    ),
    ("create view v as select * from t", "t v"),
    ("create index i on t (a)", "t"),
    (
        "create trigger g before update on t execute function f()",
        "t",
    ),
    (
        "create rule r as on insert to t do instead delete from u",
        "t u",
    ),
    ("create policy p on t using (a in (select b from u))", "t u"),
    ("alter table s.t rename to u", "u s.t"),
    ("drop table a, s.b", "a s.b"),
    ("drop view v", "v"),
    ("truncate a, only b", "a b"),
    ("lock table a", "a"),
    ("vacuum a", "a"),
    ("analyze a (b)", "a"),
    ("grant select on a, s.b to c", "a s.b"),
    ("comment on table a is 'x'", "a"),
    ("comment on column a.b is 'x'", "a"),
    ("refresh materialized view v", "v"),
    ("drop schema s cascade", "s.*"),
    ("grant select on all tables in schema s to a", "s.*"),
    // WITH hides what it defines, where it can be seen and from there on.
    ("with t as (select 1) select * from t", ""),
    ("with T as (select 1) select * from \"t\"", ""),
    ("with t as (select * from t) select * from t", "t"),
    ("with recursive t as (select * from t) select * from t", ""),
    (
        "with a as (select * from b), b as (select 1) select * from a, b",
        "b",
    ),
    (
        "with recursive a as (select * from b), b as (select 1) select * from a, b",
        "",
    ),
    ("with t as (select 1) select * from s.t", "s.t"),
    (
        "select (with t as (select 1) select 1 from t), 1 from t",
        "t",
    ),
    (
        "with t as (select 1) select 1 from t union select 2 from t",
        "",
    ),
    (
        "(with t as (select 1) select 1 from t) union select 2 from t",
        "t",
    ),
    (
        "with t as (select 1) select * from (select * from t) x, (with u as (select 1) table u) y",
        "",
    ),
    ("with t as (select 1) insert into t select * from t", "t"),
    ("with t as (select 1) update t set a = 1 from t x", "t"),
    ("with t as (select 1) delete from t using t x", "t"),
    ("with d as (delete from t returning *) select * from d", "t"),
    ("with \"T\" as (select 1) select * from t", "t"),
];

#[test]
fn tables_are_found_wherever_they_are_named() {
    for (text, expected) in TABLES {
        let facts = analyze(text, NEEDS);
        assert!(!facts.kinds.contains(Kind::Unparsed), "{text}");
        assert_eq!(list(&facts.relations.tables), *expected, "{text}");
    }
}

#[test]
fn functions_and_columns_are_found() {
    let cases = [
        ("select a, t.b, s.t.c, t.* from t", "", "* a b c"),
        (
            "select F(a), s.\"G\"(t.b), count(*) from t",
            "count f s.G",
            "a b",
        ),
        ("select * from f(1), rows from (g(2), h(3)) x", "f g h", "*"),
        (
            "select (a).b, (f(1)).c.d, (a).nextval from t",
            "b c d f nextval",
            "a b c d nextval",
        ),
        (
            "select treat(a as nextval), extract(year from b), coalesce(c, 1)",
            "coalesce extract pg_catalog.nextval",
            "a b c",
        ),
        ("select t from t where u = 'v'", "", "t u"),
        (
            "select a[b], c::d(1), array[e], case f when g then h end from t",
            "",
            "a b c e f g h",
        ),
        (
            "select sum(a) filter (where b) over (partition by c order by d) from t",
            "sum",
            "a b c d",
        ),
        (
            "insert into t (a) values (f(b)) returning c, *",
            "f",
            "* a b c",
        ),
        ("update t set a = b, (c, d) = (e, f)", "", "a b c d e f"),
        (
            "select * from a join b using (c) order by d group by e",
            "",
            "",
        ),
        ("call s.p(a)", "s.p", "a"),
        (
            "create trigger g before update on t execute function s.f()",
            "s.f",
            "",
        ),
        ("drop function s.f(int)", "s.f", ""),
        ("select a from t for update of t", "", "a"),
        ("select f(a => b) from t", "f", "b"),
        (
            "select ('x'::regclass).nextval, x.y.z",
            "nextval",
            "nextval z",
        ),
    ];
    for (text, functions, columns) in cases {
        let facts = analyze(text, NEEDS);
        let unparsed = facts.kinds.contains(Kind::Unparsed);
        assert_eq!(
            unparsed,
            functions.is_empty() && columns.is_empty(),
            "{text}"
        );
        assert_eq!(list(&facts.relations.functions), functions, "{text}");
        assert_eq!(facts.relations.columns.join(" "), columns, "{text}");
    }
}

#[test]
fn clauses_are_known() {
    // text, where, limit, cte
    let cases = [
        ("select 1", false, false, false),
        ("select 1 from t where a limit 5", true, true, false),
        ("select 1 where a union select 1", false, false, false),
        (
            "select 1 where a union (select 1 where b limit 1)",
            true,
            false,
            false,
        ),
        ("(select 1 limit 5)", false, true, false),
        ("select 1 limit all", false, false, false),
        ("select 1 limit null", false, false, false),
        ("select 1 limit 1 + 1", false, false, false),
        ("select 1 limit $1 offset 5", false, true, false),
        ("select 1 fetch first row only", false, true, false),
        ("select 1 from (select 1 limit 5) x", false, false, false),
        ("explain select 1 from t where a limit 5", true, true, false),
        (
            "copy (select 1 from t where a limit 5) to stdout",
            true,
            true,
            false,
        ),
        (
            "prepare p as select 1 from t where a limit 5",
            true,
            true,
            false,
        ),
        ("delete from t", false, false, false),
        ("delete from t where a", true, false, false),
        ("delete from t where current of c", true, false, false),
        ("update t set a = (select 1 where b)", false, false, false),
        (
            "with d as (delete from t) select 1 where a",
            false,
            false,
            true,
        ),
        (
            "with d as (delete from t where a) select 1",
            true,
            false,
            true,
        ),
        ("explain analyze delete from t", false, false, false),
        (
            "insert into t values (1) on conflict (a) do update set a = 1",
            true,
            false,
            false,
        ),
        ("create table t (a int)", true, false, false),
    ];
    for (text, has_where, has_limit, has_cte) in cases {
        let facts = analyze(text, NEEDS);
        assert!(!facts.kinds.contains(Kind::Unparsed), "{text}");
        assert_eq!(
            (facts.has_where, facts.has_limit, facts.has_cte),
            (has_where, has_limit, has_cte),
            "{text}"
        );
    }
}

#[test]
fn what_the_parser_cannot_read_is_unparsed_and_keeps_its_kinds() {
    let nested = format!(
        "delete from t where {}1{}",
        "(".repeat(200),
        ")".repeat(200)
    );
    let padded = format!("delete from t where a in (1{})", ", 1".repeat(100_000));
    for text in [
        "delete from t where where",
        "delete from t where E'x'\n'\\'' = ''",
        &nested,
        &padded,
    ] {
        let facts = analyze(text, NEEDS);
        assert_eq!(
            facts.kinds,
            KindSet::of(Kind::Delete).with(Kind::Unparsed),
            "{text:.100}"
        );
        assert!(!facts.read_only && facts.relations.tables.is_empty());
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_fail(text in prop_oneof![any::<String>(), soup()]) {
        let facts = analyze(&text, NEEDS);
        let plain = analyze(&text, Needs::default());
        prop_assert!(plain.kinds.is_subset(facts.kinds));
        prop_assert_eq!(plain.fingerprint, facts.fingerprint);
        prop_assert!(!facts.read_only || plain.read_only);
        let mut at = 0;
        for range in split(&text) {
            prop_assert!(range.start >= at && range.start < range.end && text.get(range.clone()).is_some());
            at = range.end;
        }
    }

    /// What is one statement whole must not be two in pieces, nor a read whose pieces are not.
    #[test]
    fn pieces_are_no_safer_than_the_whole(text in soup()) {
        let whole = super::super::effect(&text);
        for range in split(&text) {
            prop_assert!(super::super::effect(&text[range]) <= whole);
        }
        let facts = analyze(&text, Needs::default());
        if !facts.kinds.contains(Kind::Unparsed) {
            prop_assert!(split(&text).count() <= 1);
        }
    }

    #[test]
    fn the_normal_form_is_its_own(text in soup()) {
        let facts = analyze(&text, NEEDS);
        if !facts.kinds.contains(Kind::Unparsed) {
            // A parameter is not a literal everywhere (`FETCH 1`), so only the tokens are read again.
            let again = analyze(&facts.normalized, Needs::default());
            prop_assert_eq!(&again.fingerprint, &facts.fingerprint, "{}", facts.normalized);
            prop_assert_eq!(again.kinds, facts.kinds, "{}", facts.normalized);
        }
    }

    #[test]
    fn literals_do_not_move_a_boundary(inner in prop_oneof![any::<String>(), soup()]) {
        let literal = inner.replace('\'', "''").replace('\\', "");
        let text = format!("select '{literal}'; delete from t");
        prop_assert_eq!(split(&text).count(), 2);
    }
}
