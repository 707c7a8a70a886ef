//! Tests: what is proven of a policy. They are no part of its meaning, but with fewer of them less is certain, so that a test
//! that is gone widens.

use super::Findings;
use super::Way;
use crate::policy::Case;
use crate::policy::Expect;
use crate::policy::Given;
use crate::policy::Policy;
use crate::policy::RouteTarget;
use crate::policy::Test;
use crate::policy::action::Names;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What each test proves, by its name.
type Proofs<'p> = BTreeMap<&'p str, BTreeSet<String>>;

pub(super) fn compare(found: &mut Findings<'_>) {
    let (old, new) = (proofs(found.old), proofs(found.new));
    for (name, before) in &old {
        let path = format!("test {name:?}");
        let Some(after) = new.get(name) else {
            // Under another name it proves the same.
            let proven: BTreeSet<&String> = new.values().flatten().collect();
            if !before.iter().all(|case| proven.contains(case)) {
                found.add(Way::Widens, path, "removed", "less is proven");
            }
            continue;
        };
        let (lost, won) = (
            before.difference(after).count(),
            after.difference(before).count(),
        );
        match (lost, won) {
            (0, 0) => (),
            (_, 0) => {
                let what = format!("{} fewer", cases(lost));
                found.add(Way::Widens, path, what, "less is proven");
            }
            (0, _) => {
                let what = format!("{} more", cases(won));
                found.add(Way::Narrows, path, what, "more is proven");
            }
            _ => found.add(Way::Changes, path, "proves something else", ""),
        }
    }
    let proven: BTreeSet<&String> = old.values().flatten().collect();
    for (name, after) in &new {
        if !old.contains_key(name) && !after.iter().all(|case| proven.contains(case)) {
            let path = format!("test {name:?}");
            found.add(Way::Narrows, path, "new", "more is proven");
        }
    }
}

fn cases(count: usize) -> String {
    match count {
        1 => "1 case".to_owned(),
        many => format!("{many} cases"),
    }
}

fn proofs(policy: &Policy) -> Proofs<'_> {
    let of = |test: &Test| test.cases.iter().map(|case| proof(policy, case)).collect();
    let tests = policy.tests.iter();
    tests.map(|test| (&*test.name, of(test))).collect()
}

/// A case as one text, with names in place of the ids of its policy.
fn proof(policy: &Policy, case: &Case) -> String {
    let Given {
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
    } = &case.given;
    let listener = policy.listeners.get(*listener).map(|known| &known.name);
    let inject: Vec<_> = inject
        .iter()
        .map(|(id, fault)| (policy.stages.get(*id).map(|stage| &stage.name), fault))
        .collect();
    let nodes: Vec<_> = nodes
        .iter()
        .map(|(id, state)| (policy.nodes.get(*id).map(|node| &node.name), state))
        .collect();
    let who = (user, database, client, app, listener, tls, protocol);
    let sends = (steps, mocks, time, kv, inject, nodes);
    format!("{who:?} {sends:?} {}", expected(policy, &case.expect))
}

fn expected(policy: &Policy, expect: &Expect) -> String {
    let Expect {
        verdict,
        code,
        message,
        by,
        route,
        sql,
        unchanged,
        statement_timeout,
        fuel_below,
        steps,
    } = expect;
    let names = Names {
        nodes: &policy.nodes,
        branches: &policy.branches,
    };
    let route = route.map(|target: RouteTarget| names.target(target));
    let steps: Vec<String> = steps.iter().map(|step| expected(policy, step)).collect();
    let bounds = (statement_timeout, fuel_below);
    let told = (
        verdict, code, message, by, route, sql, unchanged, bounds, steps,
    );
    format!("{told:?}")
}
