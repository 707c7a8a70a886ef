//! What `diff` claims is held against what the pipelines do: where it says that a policy only narrows, nothing may run that
//! could not run before, and where it says that it only widens, nothing may be refused that ran.

use super::STATEMENTS_MAX;
use crate::cli::scenario::Scenario;
use crate::cli::scenario::StillServices;
use crate::cli::scenario::Who;
use crate::hook::ClientAddress;
use crate::hook::Protocol;
use crate::pipeline;
use crate::pipeline::Detail;
use crate::pipeline::Pipeline;
use crate::pipeline::StatsRegistry;
use crate::policy;
use crate::policy::Colour;
use crate::policy::OneFile;
use crate::policy::Policy;
use crate::policy::Way;
use crate::statement::Analyzer;
use proptest::prelude::Just;
use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::proptest;
use std::path::Path;
use std::sync::Arc;

/// What may stand in the list of a hook.
const HOOKS: [(&str, &[&str]); 3] = [
    (
        "authorize",
        &[
            "deny = \"no\"",
            "deny = \"no\"",
            "allow = true",
            "allow = true",
            "deny = \"no\"\nmode = \"observe\"",
            "log = { fields = \"user\" }",
        ],
    ),
    (
        "pre_query",
        &[
            "deny = \"no\"",
            "deny = \"no\"",
            "allow = true",
            "rewrite = { add_limit = 5 }",
            "rewrite = { add_limit = 5 }",
            "rewrite = { statement_timeout = \"1s\" }",
        ],
    ),
    (
        "route",
        &[
            "deny = \"no\"",
            "deny = \"no\"",
            "route = \"primary\"",
            "route = \"default\"",
            "route = { to = \"standby\", otherwise = \"primary\" }",
            "log = { fields = \"user\" }",
        ],
    ),
];

const ACTIONS: usize = 6;

const GUARDS: [&str; 22] = [
    "",
    "",
    "kind = \"select\"",
    "kind = [\"select\", \"insert\"]",
    "kind = \"insert\"",
    "kind = [\"delete\", \"unparsed\"]",
    "tables = \"a\"",
    "tables = \"a*\"",
    "tables = [\"a\", \"b\"]",
    "tables = \"s.*\"",
    "tables = \"s.a\"",
    "tables = \"*.a\"",
    "schemas = \"s\"",
    "user = \"ada\"",
    "role = \"app\"",
    "role = [\"app\", \"dba\"]",
    "read_only = true",
    "kind = \"select\", user = \"a*\"",
    "has_limit = false",
    "bytes = \"<16B\"",
    "listener = \"l*\"",
    "tables = [\"a*\", \"ab\"]",
];

const STATEMENTS: [&str; 10] = [
    "SELECT 1",
    "SELECT 2 LIMIT 2",
    "SELECT * FROM a",
    "SELECT * FROM s.a",
    "SELECT * FROM a, s.b",
    "SELECT * FROM ab",
    "INSERT INTO a VALUES (1)",
    "WITH d AS (DELETE FROM b RETURNING 1) SELECT * FROM d",
    "CREATE TABLE t.a (b int)",
    "FROBNICATE a",
];

/// One stage: what it does, when, and unless.
type Variant = (usize, usize, usize);

/// Three stages of a hook of which some may be missing, their order, what holds otherwise, the roles of a user, and what the
/// listener is called.
#[derive(Clone, Debug)]
struct Draft {
    hook: usize,
    stages: [Option<Variant>; 3],
    order: Vec<usize>,
    allows: bool,
    roles: usize,
    listener: usize,
}

/// Before all others in the order of names.
const LISTENERS: [&str; 2] = ["l", "k"];

const ROLES: [&str; 3] = ["", "roles = \"app\"", "roles = [\"app\", \"dba\"]"];

impl Draft {
    fn text(&self) -> String {
        let (hook, actions) = HOOKS[self.hook];
        let mut text = format!(
            "policy = 1\nname = \"p\"\nlistener.{}.bind = \"127.0.0.1:1\"\n\
             listener.lz.bind = \"127.0.0.1:2\"\n",
            LISTENERS[self.listener]
        );
        text.push_str(
            "node.n = { role = \"primary\", host = \"h\" }\npool.p = { database = \"*\", nodes = \"n\" }\n\
             role.app = {}\nrole.dba = {}\nsql.on_unparsed = \"as_write\"\nuser.bob.trust = true\n",
        );
        text.push_str(&format!(
            "[user.ada]\ntrust = true\n{}\n",
            ROLES[self.roles]
        ));
        let mut list = Vec::new();
        for id in &self.order {
            let Some((action, when, unless)) = self.stages[*id] else {
                continue;
            };
            list.push(format!("\"s{id}\""));
            text.push_str(&format!(
                "[stage.s{id}]\nhook = \"{hook}\"\n{}\n",
                actions[action]
            ));
            for (key, guard) in [("when", when), ("unless", unless)] {
                if !GUARDS[guard].is_empty() {
                    text.push_str(&format!("{key} = {{ {} }}\n", GUARDS[guard]));
                }
            }
        }
        text.push_str("[pipeline.default]\n");
        if !list.is_empty() {
            text.push_str(&format!("{hook} = [{}]\n", list.join(", ")));
        }
        let word = if self.allows { "allow" } else { "deny" };
        text.push_str(&format!("otherwise = {{ authorize = \"{word}\" }}\n"));
        text
    }
}

fn build(text: &str) -> (Policy, Arc<Pipeline>) {
    let files = OneFile(text.to_owned());
    let (policy, mut report) = policy::load(Path::new("policy.toml"), None, &files);
    let policy = policy.unwrap_or_else(|_| panic!("{}\n{text}", report.render(Colour::Never)));
    let analyzer = Arc::new(Analyzer::new(STATEMENTS_MAX));
    let pipelines = pipeline::compile(&policy, &mut report, &StatsRegistry::default(), &analyzer);
    let pipeline = Arc::clone(&pipelines.unwrap()[0]);
    (policy, pipeline)
}

/// Whether each user's statements may run, in one order.
fn verdicts((policy, pipeline): &(Policy, Arc<Pipeline>)) -> Vec<bool> {
    let mut verdicts = Vec::new();
    for user in ["ada", "bob"] {
        for sql in STATEMENTS {
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
            let mut scenario = Scenario::new(policy, Arc::clone(pipeline), services, &who);
            verdicts.push(scenario.play(sql, Detail::Verdict).refusal().is_none());
        }
    }
    verdicts
}

/// Whether a claim was made that can be held against the verdicts.
fn check(old: &str, new: &str) -> bool {
    let (old_policy, new_policy) = (build(old), build(new));
    let (before, after) = (verdicts(&old_policy), verdicts(&new_policy));
    let opens = before.iter().zip(&after).any(|(old, new)| !old && *new);
    let closes = before.iter().zip(&after).any(|(old, new)| *old && !new);
    let difference = old_policy.0.difference(&new_policy.0);
    let only = |way: Way| difference.changes.iter().all(|change| change.way == way);
    let told = || format!("{:#?}\n{old}\nbecomes\n{new}", difference.changes);
    assert!(
        !(opens && only(Way::Narrows)),
        "something opens: {}",
        told()
    );
    assert!(
        !(closes && only(Way::Widens)),
        "something closes: {}",
        told()
    );
    let back = new_policy.0.difference(&old_policy.0);
    assert_eq!(
        difference.changes.is_empty(),
        old_policy.0.revision == new_policy.0.revision
    );
    assert_eq!(difference.changes.is_empty(), back.changes.is_empty());
    !difference.changes.is_empty() && (only(Way::Narrows) || only(Way::Widens))
}

fn variants() -> impl Strategy<Value = Option<Variant>> {
    let variant = (0..ACTIONS, 0..GUARDS.len(), 0..GUARDS.len());
    prop::option::weighted(0.8, variant)
}

fn drafts() -> impl Strategy<Value = Draft> {
    let stages = [variants(), variants(), variants()];
    let order = Just(vec![0, 1, 2]).prop_shuffle();
    let around = (any::<bool>(), 0..ROLES.len(), 0..LISTENERS.len());
    let parts = (0..HOOKS.len(), stages, order, around);
    parts.prop_map(|(hook, stages, order, (allows, roles, listener))| Draft {
        hook,
        stages,
        order,
        allows,
        roles,
        listener,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// One thing is changed: the case a reviewer mostly has.
    #[test]
    fn one_change_does_what_is_claimed(
        old in drafts(),
        other in drafts(),
        part in 0..10_usize,
    ) {
        let mut new = old.clone();
        match part {
            0..3 => new.stages[part] = other.stages[part],
            // A guard alone.
            3..6 => if let (Some(stage), Some(other)) = (&mut new.stages[part - 3], other.stages[part - 3]) {
                (stage.1, stage.2) = (other.1, stage.2);
            },
            6 => new.order = other.order,
            7 => new.allows = other.allows,
            8 => new.roles = other.roles,
            _ => new.listener = other.listener,
        }
        check(&old.text(), &new.text());
    }

    #[test]
    fn many_changes_do_what_is_claimed(old in drafts(), new in drafts()) {
        check(&old.text(), &new.text());
    }
}

#[test]
fn claims_are_made_at_all() {
    let draft = |stages: [Option<Variant>; 3]| Draft {
        hook: 0,
        listener: 0,
        stages,
        order: vec![0, 1, 2],
        allows: true,
        roles: 0,
    };
    let (one, two) = (
        draft([Some((0, 2, 0)), None, None]),
        draft([Some((0, 3, 0)), None, None]),
    );
    assert!(check(&one.text(), &two.text()));
    assert!(check(&two.text(), &one.text()));
}

#[test]
fn a_role_that_both_an_allow_and_a_deny_spare_is_no_claim_either_way() {
    let unless_app = GUARDS.iter().position(|guard| *guard == "role = \"app\"");
    let draft = |roles| Draft {
        hook: 0,
        listener: 0,
        stages: [
            Some((2, 0, unless_app.unwrap())),
            None,
            Some((0, 0, unless_app.unwrap())),
        ],
        order: vec![0, 1, 2],
        allows: false,
        roles,
    };
    // Without the role the `allow` matches, which comes before the `deny`.
    assert!(!check(&draft(1).text(), &draft(0).text()));
    assert!(!check(&draft(0).text(), &draft(1).text()));
}
