//! What predicates match: the safe side of every set and every unknown, and the values of every key.

use super::*;
use crate::hook::AuthMethod;
use crate::hook::ClientAddress;
use crate::hook::Hook;
use crate::hook::Identity;
use crate::hook::Outcome;
use crate::hook::Protocol;
use crate::hook::SessionContext;
use crate::hook::StatementContext;
use crate::policy::Policy;
use crate::policy::tests::Memory;
use crate::policy::tests::SMALLEST;
use crate::statement::Facts;
use crate::statement::Kind;
use crate::statement::Name;
use crate::statement::Relations;
use crate::statement::SessionEffect;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// A policy with one stage whose guard is `guard`.
fn policy(guard: &str) -> Policy {
    let root = SMALLEST
        .replace("otherwise", "post_query = [\"s\"]\notherwise")
        .replace(
            "[\"pg\"]",
            "[\"pg\", \"near\"]\nlogin = { user = \"proxy\" }",
        );
    let stage = format!(
        "[node.near]\nrole = \"standby\"\nhost = \"b\"\n[role.app]\n[role.dba]\n[stage.s]\nhook = \"post_query\"\n{guard}\nlog = {{ fields = [\"user\"] }}\n"
    );
    Memory::default()
        .file("policy.toml", format!("{root}{stage}"))
        .policy()
}

fn facts(kinds: &[Kind], tables: &[(Option<&str>, &str)]) -> Facts {
    let name = |(schema, name): &(Option<&str>, &str)| Name {
        schema: schema.map(Into::into),
        name: (*name).into(),
    };
    Facts {
        kinds: kinds.iter().copied().collect(),
        read_only: false,
        effect: SessionEffect::None,
        sql: crate::statement::Sql::Plain,
        fingerprint: 0xabc,
        normalized: "".into(),
        has_where: false,
        has_limit: false,
        has_cte: false,
        param_count: 2,
        bytes: 48,
        relations: Arc::new(Relations {
            tables: tables.iter().map(name).collect(),
            functions: Vec::new(),
            columns: vec!["id".into()],
        }),
    }
}

fn asked<T>(facts: &Facts, ask: impl FnOnce(&Input<'_>) -> T) -> T {
    let session = SessionContext {
        client_id: Uuid::nil(),
        identity: Identity {
            user: "ana".into(),
            roles: vec!["app".into()],
            ..Identity::default()
        },
        database: "shop".into(),
        branch: None,
        app: "psql".into(),
        listener: "main".into(),
        client: ClientAddress::Ip("10.1.2.3".parse().unwrap(), 5),
        tls: true,
        auth_method: AuthMethod::Scram,
        attributes: BTreeMap::from([("tenant".into(), "acme".into())]),
        learned: BTreeMap::new(),
    };
    let statement = StatementContext {
        facts,
        text: "/* pgwarden: primary, team=billing */ 0123456789",
        protocol: Protocol::Extended,
        in_transaction: false,
        tx_writes: false,
        statement_count: 1,
    };
    let outcome = Outcome {
        success: false,
        node: Some("pg".into()),
        elapsed: Duration::from_millis(600),
        rows: 7,
        bytes_out: 2_048,
        code: Some(crate::sqlstate::SqlState::INSUFFICIENT_PRIVILEGE),
        error: None,
        cached: false,
        lag: Some(Duration::from_secs(3)),
    };
    ask(&Input {
        hook: Hook::PostQuery,
        request_id: Uuid::nil(),
        session: &session,
        statement: Some(&statement),
        outcome: Some(&outcome),
        auth: None,
        custom: None,
        loaded: &[],
        now: Some(1_795_530_600_000_000),
        lag: None,
    })
}

fn when(guard: &str, facts: &Facts, polarity: Polarity) -> bool {
    let policy = policy(&format!("when = {{ {guard} }}"));
    asked(facts, |input| {
        policy.stages[0].when.matches(input, polarity)
    })
}

type Table = (Option<&'static str>, &'static str);
const PUBLIC: Table = (Some("public"), "orders");
const PRIVATE: Table = (Some("private"), "salaries");

/// A guard, what the statement is, and whether it matches by any and by all.
type Set = (&'static str, &'static [Kind], &'static [Table], bool, bool);
const SETS: &[Set] = &[
    (
        "kind = \"select\"",
        &[Kind::Select, Kind::Delete],
        &[],
        true,
        false,
    ),
    ("kind = \"select\"", &[Kind::Select], &[], true, true),
    (
        "kind = [\"select\", \"delete\"]",
        &[Kind::Select, Kind::Delete],
        &[],
        true,
        true,
    ),
    ("kind = \"select\"", &[], &[], false, false),
    (
        "tables = \"public.*\"",
        &[Kind::Select],
        &[PUBLIC, PRIVATE],
        true,
        false,
    ),
    (
        "tables = \"public.*\"",
        &[Kind::Select],
        &[PUBLIC],
        true,
        true,
    ),
    ("tables = \"public.*\"", &[Kind::Select], &[], false, false),
    (
        "schemas = \"public\"",
        &[Kind::Select],
        &[PUBLIC, PRIVATE],
        true,
        false,
    ),
    (
        "schemas = \"public\"",
        &[Kind::Select],
        &[PUBLIC],
        true,
        true,
    ),
    // A name without a schema could be in any.
    (
        "tables = \"private.salaries\"",
        &[Kind::Select],
        &[(None, "salaries")],
        true,
        false,
    ),
    (
        "tables = \"salaries\"",
        &[Kind::Select],
        &[(None, "salaries")],
        true,
        true,
    ),
    // What could not be read could be anything that writes.
    ("kind = \"ddl\"", &[Kind::Unparsed], &[], true, false),
    ("kind = \"select\"", &[Kind::Unparsed], &[], false, false),
    ("kind = \"unparsed\"", &[Kind::Unparsed], &[], true, true),
    ("tables = \"secrets\"", &[Kind::Unparsed], &[], true, false),
    ("has_where = false", &[Kind::Unparsed], &[], true, false),
    ("has_where = true", &[Kind::Unparsed], &[], true, false),
];

#[test]
fn a_set_matches_by_any_where_it_tightens_and_by_all_where_it_loosens() {
    for (guard, kinds, tables, any, all) in SETS {
        let facts = facts(kinds, tables);
        assert_eq!(
            when(guard, &facts, Polarity::Any),
            *any,
            "{guard} {kinds:?} {tables:?}"
        );
        assert_eq!(
            when(guard, &facts, Polarity::All),
            *all,
            "{guard} {kinds:?} {tables:?}"
        );
    }
}

#[test]
fn every_column_is_behind_a_star() {
    let mut facts = facts(&[Kind::Select], &[]);
    facts.relations = Arc::new(Relations {
        columns: vec!["*".into()],
        ..Relations::default()
    });
    assert!(when("columns = \"email\"", &facts, Polarity::Any));
    assert!(!when("columns = \"email\"", &facts, Polarity::All));
}

#[test]
fn every_key_says_yes_and_no() {
    let facts = facts(&[Kind::Select], &[(None, "orders")]);
    for (yes, no) in [
        ("user = \"an?\"", "user = \"bob\""),
        ("role = [\"dba\", \"app\"]", "role = \"dba\""),
        ("database = \"sh*\"", "database = \"Shop\""),
        ("client = [\"10.0.0.0/8\"]", "client = [\"unix\", \"::/0\"]"),
        ("app = \"psql\"", "app = \"pgbench\""),
        ("listener = \"main\"", "listener = [\"m*\"], tls = false"),
        ("tls = true", "tls = false"),
        (
            "auth_method = \"scram\"",
            "auth_method = [\"md5\", \"trust\"]",
        ),
        ("attr = { tenant = \"ac*\" }", "attr.tenant = \"globex\""),
        ("attr.tenant = \"acme\"", "attr.other = \"*\""),
        ("tables = \"Orders\"", "tables = '\"Orders\"'"),
        ("columns = \"id\"", "columns = \"email\""),
        ("read_only = false", "read_only = true"),
        ("statement_count = 1", "statement_count = \">1\""),
        ("param_count = \"1..3\"", "param_count = \"3..9\""),
        ("bytes = \"<=48B\"", "bytes = \"<48B\""),
        ("hint = \"primary\"", "hint = [\"standby\", \"team\"]"),
        ("hint = \"team=*\"", "hint = \"Primary\""),
        ("protocol = \"extended\"", "protocol = \"simple\""),
        ("in_transaction = false", "tx_writes = true"),
        (
            "fingerprint = \"0000000000000abc\"",
            "fingerprint = \"0000000000000abd\"",
        ),
        ("elapsed = \">500ms\"", "elapsed = \">600ms\""),
        ("elapsed = \">=600ms\"", "elapsed = \"<600ms\""),
        ("rows = \"5..7\"", "rows = \">7\""),
        ("bytes_out = \"2KiB\"", "bytes_out = \">2KiB\""),
        ("error = true", "error = false"),
        ("code = \"42*\"", "code = \"53*\""),
        ("node = \"pg\"", "cached = true"),
        ("lag = \">2s\"", "lag = \"<=2s\""),
        // It is Tuesday, 14:30 UTC.
        ("time = \"08:00..18:00\"", "time = \"15:00..14:30\""),
        (
            "time = [\"01:00..02:00\", \"16:30..17:00+02:00\"]",
            "time = \"08:00..18:00-08:00\"",
        ),
        ("weekday = \"mon..fri\"", "weekday = [\"sat\", \"sun\"]"),
        ("weekday = \"wed+10:00\"", "weekday = \"wed\""),
    ] {
        for polarity in [Polarity::Any, Polarity::All] {
            assert!(when(yes, &facts, polarity), "{yes}");
            assert!(!when(no, &facts, polarity), "{no}");
        }
    }
}

#[test]
fn when_needs_every_key_and_unless_any() {
    let facts = facts(&[Kind::Select], &[]);
    let policy =
        policy("when = { user = \"ana\", tls = false }\nunless = { user = \"ana\", tls = false }");
    let stage = &policy.stages[0];
    asked(&facts, |input| {
        assert!(!stage.when.matches(input, Polarity::Any));
        assert!(stage.unless.matches(input, Polarity::Any));
    });
    let empty = Predicate::empty(Join::Any);
    assert!(empty.is_empty() && !asked(&facts, |input| empty.matches(input, Polarity::Any)));
    assert!(asked(&facts, |input| Predicate::empty(Join::All)
        .matches(input, Polarity::All)));
}

#[test]
fn needs_and_explanations() {
    let facts = facts(&[Kind::Select, Kind::Delete], &[]);
    let policy =
        policy("when = { kind = [\"delete\", \"update\"], elapsed = \">500ms\", tables = \"x\" }");
    let when = &policy.stages[0].when;
    assert!(when.needs().parse && !when.needs().normalized);
    let explained = asked(&facts, |input| when.explain(input, Polarity::Any));
    let told: Vec<_> = explained
        .iter()
        .map(|key| (&*key.key, &*key.wanted, key.found.as_str(), key.matched))
        .collect();
    let expected = [
        ("elapsed", ">500ms", "600ms", true),
        ("kind", "update, delete", "select, delete", true),
        ("tables", "x", "none", false),
    ];
    assert_eq!(told, expected);
}
