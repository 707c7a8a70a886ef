//! What a fault of a guest means, hook by hook: a no, unless the policy says otherwise. Put to `pipeline` through the same
//! doors as `test` and the server.

use super::*;
use crate::pipeline::StatsRegistry;
use crate::pipeline::compile_with_faults;
use crate::policy;
use crate::policy::Colour;
use crate::policy::OneFile;
use crate::sandbox::Fault;
use crate::statement::Analyzer;
use std::path::Path;

/// The faults that a test can have happen: all but a mistake of ours.
fn kinds() -> impl Iterator<Item = &'static str> {
    let kinds = Fault::KINDS.into_iter();
    kinds.filter(|kind| Fault::injected(kind).is_some())
}

/// What becomes of a connection and then of a statement where the only stage, at that hook, fails in that way.
fn asked(hook: &str, keys: &str, kind: &str) -> (Result<(), TurnedAway>, Played) {
    let text = format!(
        "policy = 1\nname = \"p\"\nlistener.l.bind = \"127.0.0.1:1\"\nnode.n = {{ role = \"primary\", host = \"h\" }}\n\
         pool.p = {{ database = \"*\", nodes = \"n\" }}\nuser.ada.trust = true\n\
         [stage.guard]\nhook = \"{hook}\"\nscript = 'next()'\n{keys}\n\
         [pipeline.default]\n{hook} = [\"guard\"]\notherwise = {{ authorize = \"allow\" }}\n"
    );
    let (policy, mut report) = policy::load(Path::new("policy.toml"), None, &OneFile(text));
    let policy = policy.unwrap_or_else(|_| panic!("{}", report.render(Colour::Never)));
    let faults = BTreeMap::from([(0, Fault::injected(kind).unwrap())]);
    let (stats, analyzer) = (StatsRegistry::default(), Arc::new(Analyzer::new(1)));
    let pipelines = compile_with_faults(&policy, &mut report, &stats, &analyzer, &faults).unwrap();
    let who = Who {
        user: "ada",
        database: "d",
        client: ClientAddress::Unix,
        app: "",
        listener: 0,
        tls: false,
        protocol: Protocol::Simple,
    };
    let services = Arc::new(StillServices::new(0));
    let mut scenario = Scenario::new(&policy, Arc::clone(&pipelines[0]), services, &who);
    let (connected, _) = scenario.connect();
    (connected, scenario.play("SELECT 1", Detail::Verdict))
}

const AT_A_STATEMENT: [&str; 5] = ["pre_query", "rewrite", "authorize", "cache_get", "route"];

#[test]
fn a_fault_of_any_kind_refuses_the_statement() {
    for hook in AT_A_STATEMENT {
        for kind in kinds() {
            let (connected, played) = asked(hook, "", kind);
            assert_eq!(connected, Ok(()));
            let refusal = played.refusal();
            assert_eq!(refusal.unwrap().code.to_string(), "58000", "{hook} {kind}");
            assert_eq!(*played.by(), Decider::Stage("guard".into()));
        }
    }
}

#[test]
fn a_fault_of_any_kind_refuses_the_connection() {
    for kind in kinds() {
        let (connected, _) = asked("on_connect", "", kind);
        let turned_away = connected.unwrap_err();
        assert_eq!(&*turned_away.by, "guard");
        assert_eq!(turned_away.refusal.code.to_string(), "58000", "{kind}");
    }
}

#[test]
fn a_fault_lets_pass_only_where_the_policy_says_so() {
    for hook in ["pre_query", "rewrite", "cache_get", "route"] {
        for keys in ["on_failure = \"open\"", "mode = \"observe\""] {
            let (_, played) = asked(hook, keys, "trap");
            assert_eq!(played.refusal(), None, "{hook} {keys}");
        }
    }
    let (connected, _) = asked("on_connect", "on_failure = \"open\"", "trap");
    assert_eq!(connected, Ok(()));
    assert_eq!(kinds().count(), Fault::KINDS.len() - 1);
}
