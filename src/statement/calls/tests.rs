//! Tests of `calls`, through `analyze`: what is proven to be a read, and what is not.

use super::super::Needs;
use super::super::analyze;

const READS: &[&str] = &[
    "select 1",
    "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;",
    "values (1), (2)",
    "table t",
    "show all",
    "select count(*) filter (where a) over (partition by b), row_number() over w from t window w as (order by a)",
    "select pg_catalog.lower('A'), \"pg_catalog\".\"upper\"('b'), \"now\"()",
    "select coalesce(a, 1), nullif(a, b), greatest(1, 2), row(1, 2), array[1, 2], exists(select 1), a in (1, 2)",
    "select extract(year from now()), substring('a' from 1 for 2), trim(both 'a' from 'b'), position('a' in 'b')",
    "select cast(a as varchar(10)), b::numeric(10, 2), c::geometry(point, 4326), d::s.t(3), interval '1' day",
    "select a from t x(a), (values (1)) v(b), unnest('{1}'::int[]) as u(c), generate_series(1, 2) with ordinality g(d, e)",
    "with a(x) as (select 1), b(y) as materialized (select 2) select * from a, b",
    "with recursive a(x) as (select 1 union all select x + 1 from a) select * from a",
    "select * from a left join (select 1) b on true join (c cross join d) on (true) join lateral (select 1) e on true",
    "select a from t group by grouping sets ((a), (b)), rollup (a), cube (b) having count(*) > 1",
    "select distinct on (a) lower(b) from t where a = any (array[1]) and b like ('x') and c not ilike ('y')",
    "select a operator(pg_catalog.+) abs(b) from t",
    "select * from t tablesample system (10) repeatable (1)",
    "select left('a', 1), right('b', 1), a at time zone 'utc', character varying(3) 'abc' from t",
    "select percentile_cont(0.5) within group (order by a) from t fetch first (1) rows only",
    "copy (select 1) to stdout",
    "copy t to stdout with (format csv)",
    "explain select 1",
    "explain analyze select 1",
    "explain (analyze, buffers) select count(*) from t",
    "select t.random, a.b.nextval from t",
    "select 'nextval(1)', $$ nextval(1) $$, \"nextval\" from t",
    "select 1 as update, 2 as \"for update\"",
];

const WRITES: &[&str] = &[
    "select nextval('s')",
    "select/**/NextVal/**/('s')",
    "select \"nextval\"('s')",
    "select pg_catalog.nextval('s')",
    "select U&\"n\\0065xtval\"('s')",
    "select U&\"n!0065xtval\" uescape '!' ('s')",
    "select ('s'::regclass).nextval",
    "select ('s'::regclass).\"nextval\"",
    "select ($1).nextval",
    "select $1.nextval",
    "select treat('s'::regclass as nextval)",
    "select f(1)",
    "select s.lower('a')",
    "select d.pg_catalog.lower('a')",
    "select \"Lower\"('a')",
    "select \"\"\"lower\"('a')",
    "select distinct on (a) f(b) from t",
    "select 1 operator(pg_catalog.+) f(1)",
    "select 1 operator(s.+) 2",
    "select 1 operator(\"S\".+) 2",
    "select a::timestamp with time zone, nextval('s')",
    "select * from xmltable('/a' passing x columns a text path nextval('s')::text)",
    "select join(1)",
    "select over(1)",
    "select distinct on (a) over(1)",
    "select a from t order by join(1)",
    "select materialized(1)",
    "select not materialized(1)",
    "select cube(1)",
    "select * from t tablesample mine (10)",
    "select set_config('a', 'b', true)",
    "select pg_advisory_lock(1)",
    "select random()",
    "select txid_current()",
    "select * from t for update",
    "select * from t for no key update",
    "select * from t for key share",
    "select * from (select * from t for share) x",
    "select 1 into t",
    "with d as (delete from t returning *) select * from d",
    "copy t from stdin",
    "copy t to '/tmp/x'",
    "copy (select 1) to '/tmp/x'",
    "copy (select 1) to program 'x'",
    "copy (delete from t returning 1) to stdout",
    "copy (select nextval('s')) to stdout",
    "explain analyze delete from t",
    "explain delete from t",
    "explain analyze select nextval('s')",
    "explain execute p",
    "declare c cursor for select 1",
    "fetch c",
    "execute p",
    "prepare p as select 1",
    "begin",
    "start transaction read only",
    "set a = 1",
    "call p()",
    "do 'x'",
    "lock t",
    "select 1; select 2",
    "select '",
    "nonsense",
];

#[test]
fn read_only_is_proven() {
    for text in READS {
        assert!(analyze(text, Needs::default()).read_only, "{text}");
    }
    for text in WRITES {
        assert!(!analyze(text, Needs::default()).read_only, "{text}");
    }
    let deep = format!("select {}1{}", "(".repeat(100), ")".repeat(100));
    assert!(!analyze(&deep, Needs::default()).read_only);
    let padded = format!("select {} nextval('s')", "1, ".repeat(100_000));
    assert!(!analyze(&padded, Needs::default()).read_only);
}
