//! Tests of `exposure`: whatever text comes, reading it neither panics nor loses a name.

use super::super::lexer::tests::soup;
use super::*;
use proptest::prop_assert;
use proptest::proptest;

fn of(text: &str) -> Exposure {
    Exposure::of(text).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn the_form_is_that_of_the_outermost_verb() {
    for (text, expected) in [
        ("select 1", Form::Query),
        ("(select 1)", Form::Query),
        ("select 1 union select 2", Form::Query),
        ("table t", Form::Query),
        ("values (1)", Form::Query),
        ("insert into t values (1)", Form::Query),
        ("with a as (select 1) update t set a = 1", Form::Query),
        ("explain analyze delete from t", Form::Query),
        ("explain (verbose) select 1", Form::Query),
        ("declare c cursor for select 1", Form::Query),
        ("copy (select 1) to stdout", Form::Query),
        ("copy t from stdin", Form::Silent),
        ("copy t to stdout", Form::Other),
        ("truncate t", Form::Silent),
        ("analyze t", Form::Silent),
        ("vacuum t", Form::Silent),
        ("lock table t", Form::Silent),
        ("", Form::Silent),
        ("select 1 into t", Form::Other),
        ("create table t as select 1", Form::Other),
        ("explain create table t as select 1", Form::Other),
        ("create view v as select 1", Form::Other),
        (
            "merge into t using u on true when matched then delete",
            Form::Other,
        ),
        ("alter table t rename column a to b", Form::Other),
        ("drop table t", Form::Other),
        ("grant select on t to u", Form::Other),
    ] {
        assert_eq!(of(text).form, expected, "{text}");
    }
}

#[test]
fn a_name_that_stands_nowhere_known_is_used() {
    let used = |text: &str| -> Vec<String> {
        let exposure = of(text);
        exposure
            .used
            .iter()
            .map(|used| used.name.to_string())
            .collect()
    };
    for (text, expected) in [
        ("select a, t.b, c as d from t", ""),
        ("select a || 'x' from t", "a"),
        ("select (a) from t", "a"),
        ("select lower(a) from t", "a lower"),
        ("select a from t where b = 1", "b"),
        ("select a from t order by t.c", "c"),
        ("select distinct a from t", "a distinct"),
        ("select a from t order by 1", "a"),
        ("select a from t order by $1", "a"),
        ("select a from t order by b + 1", "b"),
        ("select a from t group by rollup (1)", "a"),
        ("(select a from t) order by (1)", "a"),
        ("select a from t union select b from t", "a b union"),
        ("select x from (select a, b as c from t) s", "b"),
        ("select exists (select a from t where b)", "b"),
        ("select (select a from t)", "a"),
        ("insert into t (a) select b from t", "b"),
        (
            "insert into t (a) values (1) on conflict (b) do nothing",
            "b",
        ),
        ("update t set a = b where current of c", "b c"),
        ("select a from t join u using (b)", "b join"),
        (
            "select U&\"\\0061\" || U&\"!0062\" uescape '!' from t",
            "a b",
        ),
        ("select name, value from t where type = 1", "type"),
        ("select (t).a, t.b.c from t", "a t"),
        ("select s.a from t s for update of s", "update"),
    ] {
        assert_eq!(used(text).join(" "), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in soup()) {
        if let Some(exposure) = Exposure::of(&text) {
            prop_assert!(exposure.used.iter().all(|used| used.name.len() <= 63));
        }
    }
}
