//! What `pgwarden test` says would happen is what happens: sessions drawn at random are played through a running proxy in front of real
//! nodes, what came of each message is written down as the tests of the same policy, and those must pass.
//!
//! `PROPTEST_CASES` is the number of sessions. The same ones come again in each run; more of them begin with these.

mod draw;

use crate::support::cluster::Cluster;
use crate::support::frames::VERSION_3_0;
use crate::support::frames::bind;
use crate::support::frames::execute;
use crate::support::frames::parse;
use crate::support::frames::query;
use crate::support::frames::startup;
use crate::support::frames::sync;
use crate::support::message::Message as Answer;
use crate::support::message::Problem;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use crate::support::wait_for;
use crate::support::wire::Wire;
use draw::Drawn;
use draw::Session;
use proptest::strategy::Strategy as _;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Sessions, unless the environment says how many.
const SESSIONS: usize = 200;
const FILE: &str = "decisions.jsonl";

/// Tables of both databases, each with one row.
const SCHEMA: &str = "
CREATE TABLE plain (id int PRIMARY KEY, note text);
CREATE TABLE pinned (LIKE plain INCLUDING ALL);
CREATE TABLE secret (LIKE plain INCLUDING ALL);
CREATE TABLE after (LIKE plain INCLUDING ALL);
CREATE TABLE counted (LIKE plain INCLUDING ALL);
CREATE TABLE \"Quoted\" (LIKE plain INCLUDING ALL);
CREATE TABLE written (note text);
INSERT INTO plain VALUES (1, 'a');
INSERT INTO pinned VALUES (1, 'a');
INSERT INTO secret VALUES (1, 'a');
INSERT INTO after VALUES (1, 'a');
INSERT INTO counted VALUES (1, 'a');
INSERT INTO \"Quoted\" VALUES (1, 'a');
";

const ALSO_IN_APP: &str = "ALTER TABLE by_plugin ADD note text;";
const ALSO_IN_DEV: &str = "CREATE TABLE by_plugin (LIKE plain INCLUDING ALL); CREATE SEQUENCE numbers; INSERT INTO by_plugin VALUES (1);";

/// Every action a policy has, in front of a primary, a standby and a branch.
fn policy(cluster: &Cluster, plugin: &[u8]) -> PolicyText {
    let users = "[role.clerk]\n[role.analyst]\n\
                 [user.app]\ntrust = true\nroles = [\"clerk\"]\n[user.other]\ntrust = true\nroles = [\"clerk\", \"analyst\"]\n";
    PolicyText::of(cluster)
        .users(users)
        .extra(&format!("[decisions]\nsink = \"file:{FILE}\"\nsql = \"text\""))
        .extra("[branch.dev]\nnode = \"pg1\"\ndatabase = \"app_dev\"")
        .extra("[permissions.sees]\nsee = [\"identity\", \"session\", \"sql.kind\", \"sql.tables\", \"sql.text\"]")
        .extra(&plugins::table("refusing", plugin))
        .otherwise("authorize = \"deny\", route = \"primary\"")
        .stage("on_connect", "away", "when = { app = \"away-*\" }\ndeny = { code = \"28000\", message = \"not this one\" }")
        .stage("pre_query", "told", "when = { kind = \"delete\" }\nlog = { fields = [\"user\", \"sql.kind\"] }")
        .stage("pre_query", "watched", "when = { tables = \"plain\" }\nmode = \"observe\"\ndeny = \"never\"")
        .stage("pre_query", "unused", "mode = \"off\"\ndeny = \"never\"")
        .stage("pre_query", "rate", "when = { tables = \"counted\" }\nlimit = { rate = 2, per = \"1h\", key = \"session\" }")
        .stage(
            "pre_query",
            "whole-table",
            "when = { kind = [\"update\", \"delete\"], has_where = false }\nunless = { role = \"analyst\" }\n\
             deny = { code = \"42501\", message = \"which rows?\", hint = \"WHERE\" }",
        )
        .stage("pre_query", "crowd", "when = { statement_count = \">3\" }\ndeny = \"too many at once\"")
        .stage("pre_query", "plugin", "when = { tables = \"by_plugin\" }\nplugin = \"refusing\"")
        .stage(
            "pre_query",
            "script",
            "permissions = \"sees\"\nscript = '''\nif sql.tables.some(|t| t.name == \"secret\") && !user.has_role(\"analyst\") {\n    \
             return deny(\"42501\", `${user.name} may not: ${session.in_transaction} ${session.tx_writes} ${session.protocol}`);\n}\nnext()\n'''",
        )
        .stage("rewrite", "cap", "when = { kind = \"select\", has_limit = false, tables = [\"plain\", \"pinned\"] }\nrewrite = { add_limit = 7 }")
        .stage(
            "rewrite",
            "signed",
            "permissions = \"sees\"\nwhen = { kind = \"insert\" }\nscript = 'rewrite(`${sql.text} /* ${user.name} */`)'",
        )
        .stage("authorize", "no-ddl", "when = { kind = [\"ddl\", \"grant\"] }\nunless = { in_transaction = true }\ndeny = \"no\"")
        .stage("authorize", "settled", "when = { tables = \"after\", tx_writes = true }\ndeny = \"after a write\"")
        .stage(
            "authorize",
            "known",
            "when = { kind = [\"select\", \"insert\", \"update\", \"delete\", \"ddl\", \"copy_out\", \"set\", \"show\", \"explain\", \"tx\", \"prepare\", \"execute\"] }\nallow = true",
        )
        .stage("route", "dev", "when = { hint = \"dev\" }\nroute = \"branch:dev\"")
        .stage("route", "here", "when = { tables = \"pinned\" }\nroute = \"node:pg1\"")
        .stage(
            "route",
            "reads",
            "when = { read_only = true, in_transaction = false }\nunless = { hint = \"primary\" }\nroute = { to = \"standby\", otherwise = \"primary\" }",
        )
}

/// What came of one message.
struct Came {
    sql: String,
    /// The error that ended it, if one did.
    problem: Option<Problem>,
    /// `port database` of every row that tells.
    places: Vec<String>,
    /// The transaction that is open has failed.
    is_aborted: bool,
    /// How many decisions it takes if nothing is refused.
    decisions: usize,
    /// It was prepared first, and is decided once more where it runs.
    again: bool,
}

/// A session as it was played.
struct Played {
    session: Session,
    app: String,
    turned_away: Option<Problem>,
    came: Vec<Came>,
}

/// A client that knows which names it has prepared.
struct Client {
    wire: Wire,
    names: Vec<String>,
    prepared: usize,
}

impl Client {
    /// The text of a drawn statement.
    fn text(&mut self, drawn: &Drawn, extended: bool) -> String {
        let known = |names: &[String], pick: usize| {
            let missing = "missing".to_owned();
            names
                .get(pick % (names.len() + 1))
                .cloned()
                .unwrap_or(missing)
        };
        match drawn {
            Drawn::Text(text) => text.clone(),
            Drawn::Parameter(text, _) if extended => text.clone(),
            Drawn::Parameter(_, text) => text.clone(),
            Drawn::Prepare(text) => self.prepare(text),
            // Seldom one that does not exist.
            Drawn::Execute(pick) if self.names.is_empty() && pick % 4 != 0 => {
                self.prepare("SELECT id FROM plain WHERE id = 1")
            }
            Drawn::Execute(pick) => format!("EXECUTE {}", known(&self.names, *pick)),
            Drawn::Deallocate(pick) => format!("DEALLOCATE {}", known(&self.names, *pick)),
        }
    }

    fn prepare(&mut self, text: &str) -> String {
        self.prepared += 1;
        format!("PREPARE p{} AS {text}", self.prepared)
    }

    /// Sends one message and gives what came of it.
    fn send(&mut self, texts: &[String], extended: bool, ahead: bool) -> Came {
        let sql = texts.join("; ");
        let mut answers = Vec::new();
        let mut again = false;
        if extended {
            let values: &[&str] = if sql.contains("$1") { &["1"] } else { &[] };
            let run = [bind("", "", values), execute(""), sync()].concat();
            let prepare = parse("", &sql);
            if ahead {
                self.wire.send(&[prepare, sync()].concat());
                answers = self.wire.until_ready();
                again = problem(&answers).is_none();
                if again {
                    self.wire.send(&run);
                    answers.extend(self.wire.until_ready());
                }
            } else {
                self.wire.send(&[prepare, run].concat());
                answers = self.wire.until_ready();
            }
        } else {
            self.wire.send(&query(&sql));
            answers.extend(self.wire.until_ready());
        }
        let problem = problem(&answers);
        if problem.is_none() {
            self.follow(texts);
        }
        let rows = answers.iter().filter(|answer| answer.tag == 'D');
        Came {
            is_aborted: answers.last().is_some_and(|end| end.body == b"E"),
            places: rows.filter_map(place).collect(),
            decisions: if extended { 1 } else { texts.len().max(1) },
            again,
            problem,
            sql,
        }
    }

    fn follow(&mut self, texts: &[String]) {
        for text in texts {
            let mut words = text.split(' ');
            match (words.next(), words.next()) {
                (Some("PREPARE"), Some(name)) => self.names.push(name.to_owned()),
                (Some("DEALLOCATE"), Some(name)) => self.names.retain(|known| known != name),
                _ => (),
            }
        }
    }
}

/// Of a message that the session itself does not send.
fn is_of_session(problem: &Problem) -> bool {
    problem
        .message
        .starts_with("the policy sends this statement to another branch")
}

/// Whether a node says no, not the proxy.
fn is_of_node(problem: &Problem) -> bool {
    !problem.detail.starts_with("Policy it (") && !is_of_session(problem)
}

/// The error among answers, if there is one.
fn problem(answers: &[Answer]) -> Option<Problem> {
    let error = answers.iter().find(|answer| answer.tag == 'E');
    error.map(Answer::problem)
}

/// `port database` where a row holds that.
fn place(row: &Answer) -> Option<String> {
    let value = row.values().into_iter().next()??;
    let (port, _) = value.split_once(' ')?;
    port.parse::<u16>().ok()?;
    Some(value)
}

fn play(proxy: &Proxy, number: usize, session: Session) -> Played {
    let app = match session.turned_away {
        true => format!("away-{number}"),
        false => format!("s-{number}"),
    };
    let mut wire = Wire::connect(proxy.port);
    let parameters = [
        ("user", session.user),
        ("database", "app"),
        ("application_name", &*app),
    ];
    wire.send(&startup(VERSION_3_0, &parameters));
    let turned_away = problem(&wire.until_ready());
    let mut played = Played {
        session,
        app,
        turned_away,
        came: Vec::new(),
    };
    if played.turned_away.is_some() {
        return played;
    }
    let mut client = Client {
        wire,
        names: Vec::new(),
        prepared: 0,
    };
    let extended = played.session.extended;
    for message in &played.session.messages {
        let statements = match extended {
            true => &message.statements[..1],
            false => &message.statements[..],
        };
        let texts = statements.iter().map(|drawn| client.text(drawn, extended));
        let mut texts: Vec<String> = texts.collect();
        if texts.len() > 1 {
            // Between others they are no statements.
            texts.retain(|text| !text.is_empty() && !text.starts_with("--"));
        }
        // Whoever prepares ahead is decided about twice, and counted twice by a limit.
        let ahead = message.ahead && !texts[0].contains("counted");
        let came = client.send(&texts, extended, ahead);
        let is_aborted = came.is_aborted;
        let node_failed = came.problem.as_ref().is_some_and(is_of_node);
        played.came.push(came);
        // A test goes on as if every node had succeeded.
        if node_failed {
            break;
        }
        // What a failed transaction still answers is no question of policies.
        if is_aborted {
            let end = ["ROLLBACK".to_owned()];
            played.came.push(client.send(&end, extended, false));
        }
    }
    played
}

/// The decisions of each session, in order, once all are written.
fn written(proxy: &Proxy, all: &[Played]) -> BTreeMap<String, Vec<Value>> {
    let path = proxy.path(FILE);
    // The last session's last message is the last one decided.
    let last = all.iter().rev().find(|played| !played.came.is_empty());
    let last = last.expect("one session at least gets in");
    let (last, wanted) = (&last.app, last.came.len());
    wait_for("the decisions are written", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut decisions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for line in text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            let one: Value = serde_json::from_str(line).expect("JSON");
            let app = one["app"].as_str().expect("an app").to_owned();
            decisions.entry(app).or_default().push(one);
        }
        (wanted <= decisions.get(last).map_or(0, Vec::len)).then_some(decisions)
    })
}

/// The place of a row as a policy calls it.
fn route(cluster: &Cluster, place: &str) -> &'static str {
    let (port, database) = place.split_once(' ').expect("port and database");
    let is_primary = port == cluster.primary.port.to_string();
    match (is_primary, database) {
        (true, "app") => "primary",
        (false, "app") => "standby",
        (true, "app_dev") => "branch:dev",
        _ => panic!("nothing leads to {place}"),
    }
}

/// In front of which the sessions were played, and by which policy.
struct Around<'a> {
    cluster: &'a Cluster,
    policy: &'a str,
}

/// What a test of the policy must expect of one message.
fn expected(
    around: &Around<'_>,
    came: &Came,
    decisions: &mut impl Iterator<Item = Value>,
) -> String {
    let (mut sent, mut refused) = (Vec::new(), None);
    for _ in 0..came.decisions {
        let decision = decisions
            .next()
            .unwrap_or_else(|| panic!("no decision about {:?}", came.sql));
        if decision["verdict"] == "deny" {
            refused = Some(decision);
            break;
        }
        let text = decision["sent"].as_str().or(decision["text"].as_str());
        sent.push(text.unwrap_or_default().to_owned());
    }
    if came.again && refused.is_none() {
        // The last word counts.
        let again = decisions.next().expect("a decision at Bind");
        refused = (again["verdict"] == "deny").then_some(again);
    }
    let problem = came.problem.as_ref();
    let of_session = problem.filter(|problem| is_of_session(problem));
    if let (None, Some(problem)) = (&refused, of_session) {
        return denied("sql", problem);
    }
    let Some(decision) = refused else {
        let mut keys = format!("verdict = \"allow\", sql = {}", quoted(&sent.join("; ")));
        let mut routes: Vec<&str> = came
            .places
            .iter()
            .map(|place| route(around.cluster, place))
            .collect();
        routes.dedup();
        assert!(routes.len() < 2, "{}: {routes:?}", came.sql);
        if let [route] = routes[..] {
            write!(keys, ", route = \"{route}\"").expect("a string grows");
        }
        return format!("{{ {keys} }}");
    };
    let by = decision["by"].as_str().expect("who");
    // What refused unread is called so as a whole.
    let by = if by == "otherwise" || around.policy.contains(&format!("[stage.{by}]")) {
        by
    } else {
        "sql"
    };
    let problem =
        problem.unwrap_or_else(|| panic!("{} is refused, and no error came: {decision}", came.sql));
    assert_eq!(decision["code"], problem.code, "{}", came.sql);
    denied(by, problem)
}

/// The expectation of a refusal.
fn denied(by: &str, problem: &Problem) -> String {
    let Problem { code, message, .. } = problem;
    let message = quoted(message);
    format!("{{ verdict = \"deny\", by = \"{by}\", code = \"{code}\", message = {message} }}")
}

/// A text of TOML.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text")
}

/// One session as a test of the policy.
fn test(around: &Around<'_>, number: usize, played: &Played, decisions: Vec<Value>) -> String {
    let Played {
        session,
        app,
        turned_away,
        came,
    } = played;
    let protocol = if session.extended {
        "extended"
    } else {
        "simple"
    };
    let given = format!(
        "user = \"{}\", database = \"app\", app = \"{app}\", protocol = \"{protocol}\"",
        session.user
    );
    let head = format!("[[test]]\nname = \"session {number}\"\n");
    if let Some(problem) = turned_away {
        let expect = denied("away", problem);
        return format!("{head}given = {{ {given} }}\nexpect = {expect}\n");
    }
    let mut decisions = decisions.into_iter();
    let steps: Vec<String> = came
        .iter()
        .map(|came| format!("  {},\n", quoted(&came.sql)))
        .collect();
    let expect: Vec<String> = came
        .iter()
        .map(|came| format!("  {},\n", expected(around, came, &mut decisions)))
        .collect();
    let rest: Vec<Value> = decisions.collect();
    assert!(
        rest.is_empty(),
        "session {number} has more decisions than statements: {rest:?}"
    );
    format!(
        "{head}given = {{ {given}, steps = [\n{}] }}\nexpect = {{ steps = [\n{}] }}\n",
        steps.concat(),
        expect.concat()
    )
}

#[test]
fn what_test_says_is_what_happens() {
    let cluster = Cluster::new(1);
    for (database, also) in [("app", ALSO_IN_APP), ("app_dev", ALSO_IN_DEV)] {
        Wire::login(cluster.primary.port, "app", database).works(&format!("{SCHEMA}{also}"));
    }
    cluster.wait_for_standbys();
    let plugin = plugins::refusing("the plugin says no");
    let policy = policy(&cluster, &plugin);
    let proxy = Proxy::start_with(&policy, &[("refusing.wasm", &plugin)], &[]);
    let sessions = std::env::var("PROPTEST_CASES").ok();
    let sessions = sessions
        .and_then(|text| text.parse().ok())
        .unwrap_or(SESSIONS);
    let mut runner = TestRunner::deterministic();
    let drawn = draw::session();
    let all: Vec<Played> = (0..sessions)
        .map(|number| {
            let session = drawn.new_tree(&mut runner).expect("a session").current();
            play(&proxy, number, session)
        })
        .collect();
    let mut decisions = written(&proxy, &all);
    let policy = policy.text();
    let around = Around {
        cluster: &cluster,
        policy: &policy,
    };
    let mut tests = Vec::new();
    for (number, played) in all.iter().enumerate() {
        let decisions = decisions.remove(&played.app).unwrap_or_default();
        tests.push(test(&around, number, played, decisions));
    }
    let text = format!("{policy}{}", tests.concat());
    std::fs::write(proxy.path("tested.toml"), text).expect("written");
    let said = Said::by(pgwarden(&["test"]).arg(proxy.path("tested.toml")));
    let failed = |number: &usize| said.out.contains(&format!("FAIL session {number} "));
    let failed: Vec<&str> = (0..tests.len())
        .filter(failed)
        .map(|number| &*tests[number])
        .collect();
    assert_eq!(said.code, Some(0), "{}\n{}", said.all(), failed.concat());
    let passed = format!("{sessions} passed, 0 failed");
    assert!(said.out.contains(&passed), "{}", said.all());
}
