//! `[[test]]`: what the operator expects of the policy, as plain data. Running it is a verb's; it never changes the revision.

mod circumstances;

pub use circumstances::NodeState;

use super::action;
use super::action::RouteTarget;
use super::code;
use super::document::Entry;
use super::document::Value;
use super::document::Word;
use super::keys::CASE;
use super::keys::EXPECT;
use super::keys::GIVEN;
use super::keys::LISTENER;
use super::keys::Noun;
use super::keys::STAGE;
use super::keys::STEP;
use super::keys::TEST;
use super::keys::USER;
use super::mocks;
use super::mocks::GivenStep;
use super::mocks::Mocks;
use super::pool;
use super::pool::Pool;
use super::reading::Table;
use super::reading::unknown;
use super::report::Diagnostic;
use super::report::Place;
use super::scope::Scope;
use super::user::User;
use crate::hook::ClientAddress;
use crate::hook::Protocol;
use crate::sandbox::Fault;
use crate::sqlstate::SqlState;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// One test: a name and one or several cases.
#[derive(Clone, Debug)]
pub struct Test {
    /// What it shows.
    pub name: Arc<str>,
    /// At least one. Each is a session of its own.
    pub cases: Vec<Case>,
    /// Where it is written.
    pub place: Place,
}

/// One session and what must come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The session and what it sends.
    pub given: Given,
    /// What must come of it.
    pub expect: Expect,
    /// Where it is written.
    pub place: Place,
}

/// A session and what it sends.
#[derive(Clone, Debug)]
pub struct Given {
    /// Who.
    pub user: Arc<str>,
    /// Which database.
    pub database: Arc<str>,
    /// From where.
    pub client: ClientAddress,
    /// `application_name`.
    pub app: Arc<str>,
    /// An index of `Policy::listeners`.
    pub listener: usize,
    /// Whether over TLS.
    pub tls: bool,
    /// How the statements arrive.
    pub protocol: Protocol,
    /// The messages, in order; none for a test of connecting alone.
    pub steps: Vec<GivenStep>,
    /// What is loaded.
    pub mocks: Mocks,
    /// The time of day, in seconds since 1970.
    pub time: Option<i64>,
    /// Stored values: namespace, key, value.
    pub kv: Vec<(Arc<str>, Arc<str>, Arc<str>)>,
    /// Faults, by the index of the stage that fails.
    pub inject: BTreeMap<usize, Fault>,
    /// How nodes are, by their index; the others are well and not behind.
    pub nodes: BTreeMap<usize, NodeState>,
}

/// What must come of a session or of one step. What is `None` is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// Whether it runs.
    pub verdict: Option<ExpectedVerdict>,
    /// The error's SQLSTATE.
    pub code: Option<SqlState>,
    /// The error's message.
    pub message: Option<Arc<str>>,
    /// The stage that decided, `otherwise`, or `sql`.
    pub by: Option<Arc<str>>,
    /// Where it goes.
    pub route: Option<RouteTarget>,
    /// The text that is sent.
    pub sql: Option<Arc<str>>,
    /// Whether the text is sent as it came.
    pub unchanged: Option<bool>,
    /// The time after which it is cancelled.
    pub statement_timeout: Option<Duration>,
    /// The fuel all stages used is less than this.
    pub fuel_below: Option<u64>,
    /// The same for each step; empty, or as many as there are steps.
    pub steps: Vec<Expect>,
}

/// Whether a statement runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExpectedVerdict {
    /// It does.
    Allow,
    /// It does not.
    Deny,
}

/// What decides besides stages.
const DECIDERS: [&str; 2] = ["otherwise", "sql"];
const VERDICTS: [(&str, ExpectedVerdict); 2] = [
    ("allow", ExpectedVerdict::Allow),
    ("deny", ExpectedVerdict::Deny),
];
const PROTOCOLS: [(&str, Protocol); 2] = [
    ("simple", Protocol::Simple),
    ("extended", Protocol::Extended),
];

/// Who tests can be about.
#[derive(Clone, Copy)]
pub(super) struct Cast<'c> {
    pub(super) users: &'c BTreeMap<Arc<str>, User>,
    pub(super) pools: &'c [Pool],
}

pub(super) fn read(scope: Scope<'_, '_>, cast: Cast<'_>) -> Vec<Test> {
    let mut tests: Vec<Test> = Vec::new();
    for word in &scope.words.tests {
        let Some(table) = Table::open(scope.reading, &TEST, word.at, "`[[test]]`", word) else {
            continue;
        };
        let test = test(scope, &table, cast);
        table.finish();
        let Some(test) = test else {
            continue;
        };
        if let Some(first) = tests.iter().find(|first| first.name == test.name) {
            let found = Diagnostic::error(
                code::REDEFINED,
                test.place.at,
                format!("two tests are called `{}`", test.name),
            );
            scope
                .reading
                .add(found.related(first.place.at, "the first one"));
        }
        tests.push(test);
    }
    tests
}

fn test(scope: Scope<'_, '_>, table: &Table<'_, '_>, cast: Cast<'_>) -> Option<Test> {
    let place = scope.reading.place(table.at);
    let name = table.arc("name");
    let given = table
        .entry("given")
        .map(|entry| entry.word.entries())
        .unwrap_or_default();
    let expect = table.entry("expect");
    let listed = table.entry("cases");
    if expect.is_some() == listed.is_some() {
        let message = "a test needs exactly one of `expect` and `cases`";
        scope.reading.error(code::EXACTLY_ONE, table.at, message);
    }
    let mut cases = Vec::new();
    if let Some(expect) = expect {
        let word = Word::new(table.value_at("given"), Value::Table(given.to_vec()));
        cases.extend(case(scope, &GIVEN, &word, &[], &expect.word, cast));
    }
    match listed.map(|entry| &entry.word) {
        Some(Word {
            value: Value::List(items),
            ..
        }) => {
            for item in items {
                let Some(expect) = item.entries().iter().find(|entry| entry.key == "expect") else {
                    // Opening the case reports what is missing.
                    Table::open(scope.reading, &CASE, item.at, "a case", item);
                    continue;
                };
                cases.extend(case(scope, &CASE, item, given, &expect.word, cast));
            }
        }
        Some(other) => scope.reading.wrong_type(other, "a list of tables"),
        None => (),
    }
    Some(Test {
        name: name?,
        cases,
        place,
    })
}

/// One case: its own keys, and those of `given` that it does not have.
fn case(
    scope: Scope<'_, '_>,
    noun: &'static Noun,
    own: &Word,
    given: &[Entry],
    expect: &Word,
    cast: Cast<'_>,
) -> Option<Case> {
    let mut entries = own.entries().to_vec();
    for entry in given {
        let replaced = match entry.key.as_str() {
            "sql" | "steps" => entries
                .iter()
                .any(|own| matches!(own.key.as_str(), "sql" | "steps")),
            key => entries.iter().any(|own| own.key == key),
        };
        if !replaced {
            entries.push(entry.clone());
        }
    }
    let merged = Word::new(own.at, Value::Table(entries));
    let title = if noun.name == "case" {
        "a case"
    } else {
        "`given`"
    };
    let table = Table::open(scope.reading, noun, own.at, title, &merged)?;
    let given = session(scope, &table, cast);
    if noun.key("expect").is_some() {
        table.entry("expect");
    }
    table.finish();
    let expect = expectation(scope, &EXPECT, expect)?;
    let given = given?;
    if !expect.steps.is_empty() && expect.steps.len() != given.steps.len() {
        let message = format!(
            "{} steps are expected, and {} are given",
            expect.steps.len(),
            given.steps.len()
        );
        scope.reading.error(code::CONTRADICTION, own.at, message);
    }
    Some(Case {
        given,
        expect,
        place: scope.reading.place(own.at),
    })
}

fn session(scope: Scope<'_, '_>, table: &Table<'_, '_>, cast: Cast<'_>) -> Option<Given> {
    let user = table.text("user");
    if user.is_none() && !table.has("user") {
        scope.reading.error(
            code::MISSING_KEY,
            table.at,
            "the test does not say which `user`",
        );
    }
    if let Some(spot) = user.as_ref().filter(|_| !cast.users.is_empty()) {
        scope.find(&USER, spot);
    }
    let mut steps = mocks::steps(scope, table);
    let mocks = mocks::read(scope, table);
    let sql = table.word("sql").and_then(|word| scope.reading.text(&word));
    if table.has("sql") && table.has("steps") {
        scope.reading.error(
            code::EXACTLY_ONE,
            table.key_at("steps"),
            "write `sql` or `steps`, not both",
        );
    }
    steps.extend(sql.map(|spot| GivenStep {
        sql: spot.value.into(),
        mocks: Mocks::default(),
    }));
    let database = table.arc("database");
    let client = client(table);
    let app = table.arc("app").unwrap_or_default();
    let listener = scope.one(table, "listener", &LISTENER).unwrap_or(0);
    let tls = table.boolean("tls").unwrap_or(false);
    let protocol = table
        .choice("protocol", &PROTOCOLS)
        .unwrap_or(Protocol::Simple);
    let time = table.date("time");
    let kv = circumstances::stored(scope, table);
    let inject = circumstances::faults(scope, table);
    let nodes = circumstances::nodes(scope, table);
    let user: Arc<str> = user?.value.into();
    let database = database.unwrap_or_else(|| usual_database(&user, cast));
    Some(Given {
        user,
        database,
        client,
        app,
        listener,
        tls,
        protocol,
        steps,
        mocks,
        time,
        kv,
        inject,
        nodes,
    })
}

/// The database of the user's pool, of the first pool that has just one, or `postgres`.
fn usual_database(user: &str, cast: Cast<'_>) -> Arc<str> {
    let own = cast
        .users
        .get(user)
        .and_then(|user| cast.pools.get(user.pool?));
    let mut exact = own
        .into_iter()
        .chain(cast.pools)
        .filter_map(|pool| pool.database.exact());
    let fallback = || pool::serving(cast.pools, "postgres").map_or("", |_| "postgres");
    exact.next().unwrap_or_else(fallback).into()
}

pub(super) fn client(table: &Table<'_, '_>) -> ClientAddress {
    let usual = ClientAddress::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let Some(spot) = table.text("client") else {
        return usual;
    };
    match spot.value.parse() {
        _ if spot.value == "unix" => ClientAddress::Unix,
        Ok(address) => ClientAddress::Ip(address, 0),
        Err(_) => {
            let found = Diagnostic::error(
                code::BAD_ADDRESS,
                spot.at,
                format!("`{}` is no address", spot.value),
            );
            table
                .reading
                .add(found.label("expected an address without a port, or `unix`"));
            usual
        }
    }
}

fn expectation(scope: Scope<'_, '_>, noun: &'static Noun, word: &Word) -> Option<Expect> {
    let table = Table::open(scope.reading, noun, word.at, "`expect`", word)?;
    if table.is_empty() {
        scope
            .reading
            .error(code::EMPTY, word.at, "this expects nothing");
    }
    let code = table.text("code").and_then(|spot| {
        let parsed = SqlState::parse(&spot.value);
        if parsed.is_none() {
            scope.reading.error(
                code::BAD_SQLSTATE,
                spot.at,
                format!("`{}` is not a SQLSTATE", spot.value),
            );
        }
        parsed
    });
    let by = table.text("by").map(|spot| {
        let names = scope.words.names(&STAGE).chain(DECIDERS);
        if !names.clone().any(|name| name == spot.value) {
            scope.reading.add(unknown(
                code::UNKNOWN_NAME,
                spot.at,
                "stage",
                &spot.value,
                names,
            ));
        }
        spot.value.into()
    });
    let mut steps = Vec::new();
    if noun.key("steps").is_some()
        && let Some(entry) = table.entry("steps")
    {
        match &entry.word.value {
            Value::List(items) => steps.extend(
                items
                    .iter()
                    .filter_map(|item| expectation(scope, &STEP, item)),
            ),
            _ => scope.reading.wrong_type(&entry.word, "a list of tables"),
        }
    }
    let expect = Expect {
        verdict: table.choice("verdict", &VERDICTS),
        code,
        message: table.arc("message"),
        by,
        route: table
            .text("route")
            .and_then(|spot| action::target(scope, &spot)),
        sql: table.arc("sql"),
        unchanged: table.boolean("unchanged"),
        statement_timeout: table.duration("statement_timeout"),
        fuel_below: table.integer("fuel_below", 1..=u64::MAX),
        steps,
    };
    table.finish();
    Some(expect)
}
