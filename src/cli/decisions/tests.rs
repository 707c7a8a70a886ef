//! A policy decides what it has recorded as it did, whatever the log holds of a statement, or says what is missing; and what is
//! decided without a text is what is decided with it.

use super::Again;
use super::Decided;
use super::Record;
use super::lines::Line;
use crate::cli::scenario::Logged;
use crate::cli::scenario::Scenario;
use crate::cli::scenario::StillServices;
use crate::cli::scenario::Who;
use crate::hook::ClientAddress;
use crate::hook::Protocol;
use crate::hook::SessionContext;
use crate::pipeline::DecisionLog;
use crate::pipeline::Detail;
use crate::pipeline::NoPrepared;
use crate::pipeline::Prepared;
use crate::pipeline::Queue;
use crate::pipeline::Statement;
use crate::pipeline::StatsRegistry;
use crate::policy::Colour;
use crate::policy::OneFile;
use crate::policy::WhenFull;
use crate::server::Source;
use crate::server::Trust;
use crate::server::build_from;
use crate::session::World;
use crate::statement::Analyzer;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prop_assert;
use proptest::prop_oneof;
use proptest::proptest;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Stages by their hook and keys, in the order of their hooks.
type Stages = Vec<(&'static str, &'static str)>;

const STAGES: [(&str, &str); 22] = [
    ("pre_query", "when = { kind = \"ddl\" }\ndeny = \"no\""),
    ("pre_query", "when = { tables = \"orders\" }\ndeny = \"no\""),
    (
        "pre_query",
        "when = { columns = [\"email\", \"id\"] }\ndeny = \"no\"",
    ),
    (
        "pre_query",
        "when = { functions = \"pg_*\" }\nunless = { user = \"bob\" }\ndeny = \"no\"",
    ),
    (
        "pre_query",
        "when = { schemas = \"s\", kind = \"select\" }\ndeny = \"no\"",
    ),
    ("pre_query", "when = { hint = \"batch\" }\ndeny = \"no\""),
    (
        "pre_query",
        "when = { bytes = \">30B\" }\nunless = { kind = \"select\" }\ndeny = \"no\"",
    ),
    (
        "pre_query",
        "when = { kind = [\"update\", \"delete\"], has_where = false }\ndeny = \"no\"",
    ),
    (
        "pre_query",
        "when = { param_count = \">1\" }\ndeny = \"no\"",
    ),
    ("pre_query", "when = { has_cte = true }\ndeny = \"no\""),
    (
        "pre_query",
        "script = 'if sql.read_only { next() } else { deny(\"writes\") }'",
    ),
    (
        "pre_query",
        "when = { kind = \"select\" }\npermissions = \"names\"\nscript = 'if sql.tables.some(|t| t.name == \"t\") { deny(\"t\") } else { next() }'",
    ),
    (
        "pre_query",
        "when = { kind = \"select\" }\npermissions = \"text\"\nscript = 'if sql.text.contains(\"7\") { deny(\"seven\") } else { next() }'",
    ),
    (
        "pre_query",
        "when = { kind = \"select\", tables = \"t\" }\npermissions = \"text\"\nscript = 'if sql.text.contains(\"7\") { rewrite(\"select a from orders\") } else { next() }'",
    ),
    (
        "rewrite",
        "when = { kind = \"select\", has_limit = false }\nrewrite = { add_limit = 7 }",
    ),
    ("rewrite", "rewrite = { add_limit = 7 }"),
    (
        "authorize",
        "when = { has_limit = true }\ndeny = \"limited\"",
    ),
    (
        "authorize",
        "unless = { in_transaction = true }\nallow = true",
    ),
    (
        "authorize",
        "when = { kind = \"insert\", tx_writes = true }\ndeny = \"no\"",
    ),
    (
        "authorize",
        "when = { has_limit = true, tables = \"t\" }\nmode = \"observe\"\ndeny = \"limited\"",
    ),
    ("route", "when = { read_only = true }\nroute = \"standby\""),
    (
        "route",
        "when = { tables = \"t\" }\nunless = { has_limit = true }\nroute = \"node:n\"",
    ),
];

const STATEMENTS: [&str; 20] = [
    "SELECT 1",
    "SELECT a FROM t",
    "SELECT a FROM t WHERE b = 7 LIMIT 100",
    "SELECT a FROM t WHERE b = 7",
    "SELECT email FROM orders WHERE id = $1 AND x = $2",
    "SELECT * FROM s.orders",
    "SELECT pg_sleep(1)",
    "WITH d AS (DELETE FROM orders RETURNING 1) SELECT * FROM d",
    "/* batch */ SELECT a FROM t",
    "DELETE FROM orders",
    "UPDATE t SET a = 'seven' WHERE b = 2",
    "INSERT INTO t VALUES (1)",
    "CREATE TABLE t (a int)",
    "PREPARE p AS SELECT a FROM t WHERE b = 7",
    "PREPARE p AS DELETE FROM orders",
    "EXECUTE p(1)",
    "BEGIN",
    "COPY orders TO STDOUT",
    "SELEC a FORM (",
    "SELECT 'open",
];

fn world(stages: &Stages, level: &str, sql: &str) -> World {
    let mut text = format!(
        "policy = 1\nname = \"p\"\nlistener.l.bind = \"127.0.0.1:1\"\nnode.n = {{ role = \"primary\", host = \"h\" }}\n\
         pool.p = {{ database = \"*\", nodes = \"n\" }}\nuser.ada.trust = true\nuser.bob.trust = true\n\
         decisions = {{ sink = \"stdout\", sql = \"{level}\" }}\nsql = {{ on_unparsed = \"{sql}\" }}\n\
         [permissions.names]\nsee = [\"sql.kind\", \"sql.tables\"]\n[permissions.text]\nsee = [\"sql.text\"]\n"
    );
    for (index, (hook, keys)) in stages.iter().enumerate() {
        text.push_str(&format!("[stage.s{index}]\nhook = \"{hook}\"\n{keys}\n"));
    }
    text.push_str("[pipeline.default]\notherwise = { authorize = \"allow\" }\n");
    for hook in ["pre_query", "rewrite", "authorize", "route"] {
        let numbered = stages.iter().enumerate();
        let names = numbered.filter(|(_, (of, _))| *of == hook);
        let names: Vec<String> = names.map(|(index, _)| format!("s{index}")).collect();
        if !names.is_empty() {
            text.push_str(&format!("{hook} = {names:?}\n"));
        }
    }
    let source = Source {
        path: "policy.toml".into(),
        environment: None,
        trust: Trust::default(),
    };
    let analyzer = Arc::new(Analyzer::new(10));
    let (world, report) = build_from(
        &source,
        &OneFile(text.clone()),
        &StatsRegistry::default(),
        &analyzer,
    );
    world.unwrap_or_else(|| panic!("{}\n{text}", report.render(Colour::Never)))
}

/// A session that is on the way.
fn scenario<'w>(world: &'w World, user: &str) -> Scenario<'w> {
    let who = Who {
        user,
        database: "d",
        client: ClientAddress::Unix,
        app: "",
        listener: 0,
        tls: false,
        protocol: Protocol::Simple,
    };
    let services = Arc::new(StillServices::new(0));
    Scenario::new(
        &world.policy,
        Arc::clone(&world.pipelines[0]),
        services,
        &who,
    )
}

/// What the log has of it, as read again.
fn recorded(world: &World, context: &SessionContext, logged: &Logged<'_>, user: &str) -> Record {
    struct Body(Option<Arc<str>>);
    impl Prepared for Body {
        fn body(&self, name: &str) -> Option<Arc<str>> {
            self.0.clone().or_else(|| NoPrepared.body(name))
        }
    }
    let trace = scenario(world, user).decide(logged, Detail::Stages);
    let rules = world.policy.decisions.as_ref().unwrap();
    let queue = Arc::new(Queue::new(WhenFull::DropOldest));
    let revision = world.policy.revision.full();
    let log = DecisionLog::new(rules, &revision, None, Arc::clone(&queue));
    let body = Body(logged.runs.clone());
    let statement = Statement {
        session: context,
        request_id: logged.id,
        text: logged.text,
        protocol: logged.protocol,
        in_transaction: logged.in_transaction,
        tx_writes: logged.tx_writes,
        statement_count: logged.statement_count,
        lag: None,
        prepared: &body,
    };
    log.record(&world.pipelines[0], &statement, &trace, Duration::ZERO);
    let lines = queue.take(Duration::ZERO).unwrap();
    let line = Line {
        place: String::new(),
        bytes: Some(lines[0].to_string().into_bytes()),
    };
    Record::read(&line).unwrap()
}

fn stages() -> impl Strategy<Value = Stages> {
    let one = proptest::sample::select(STAGES.to_vec());
    proptest::collection::vec(one, 0..5)
}

fn logged(text: &'static str, flags: u8, body: Option<&str>) -> Logged<'static> {
    Logged {
        id: Uuid::nil(),
        text: if flags & 3 == 3 {
            "FunctionCall 1395"
        } else {
            text
        },
        facts: None,
        runs: body.map(Arc::from),
        protocol: match flags & 3 {
            0 | 1 => Protocol::Simple,
            2 => Protocol::Extended,
            _ => Protocol::FunctionCall,
        },
        in_transaction: flags & 4 != 0,
        tx_writes: flags & 8 != 0,
        statement_count: 1 + u32::from(flags & 16 != 0),
    }
}

fn level() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("none"),
        Just("fingerprint"),
        Just("normalized"),
        Just("text")
    ]
}

proptest! {
    #[test]
    fn a_policy_decides_what_it_recorded_as_it_did(
        stages in stages(),
        level in level(),
        text in proptest::sample::select(STATEMENTS.to_vec()),
        flags in 0_u8..32,
        unparsed in prop_oneof![Just("deny"), Just("as_write")],
        prepared in proptest::bool::ANY,
    ) {
        let world = world(&stages, level, unparsed);
        let logged = logged(text, flags, prepared.then_some("SELECT a FROM t WHERE b = 7"));
        let context = scenario(&world, "ada").into_context();
        let record = recorded(&world, &context, &logged, "ada");
        let now = Again::new(&world).decide(&record);
        if level == "text" {
            prop_assert!(now.is_ok(), "{now:?}");
        }
        if let Ok(now) = now {
            let then = Decided::of_record(&record);
            prop_assert!(!then.differs(&now), "{then:?} -> {now:?}\n{record:?}");
        }
    }

    /// The text-level record of the same statement is the judge of what a lesser one comes to under another policy.
    #[test]
    fn another_policy_decides_a_lesser_record_as_it_decides_the_whole(
        old in stages(),
        new in stages(),
        level in level(),
        text in proptest::sample::select(STATEMENTS.to_vec()),
        flags in 0_u8..32,
        unparsed in prop_oneof![Just("deny"), Just("as_write")],
        prepared in proptest::bool::ANY,
    ) {
        let logged = logged(text, flags, prepared.then_some("SELECT a FROM t WHERE b = 7"));
        let next = world(&new, "none", unparsed);
        let decide = |level: &str| {
            let world = world(&old, level, "as_write");
            let context = scenario(&world, "ada").into_context();
            let record = recorded(&world, &context, &logged, "ada");
            (Again::new(&next).decide(&record), record)
        };
        let ((lesser, record), (whole, _)) = (decide(level), decide("text"));
        if let (Ok(lesser), Ok(whole)) = (lesser, whole) {
            prop_assert!(!whole.differs(&lesser), "{whole:?} -> {lesser:?}\n{record:?}");
        }
    }
}
