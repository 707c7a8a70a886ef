//! Pipelines: which stages are asked in which order, which logins are taken, and what holds where nobody decides.

use super::Differs;
use super::Findings;
use super::Way;
use super::force::Force;
use super::path;
use super::stage;
use super::words::ticked;
use crate::hook::Hook;
use crate::policy::Action;
use crate::policy::AuthorizeOtherwise;
use crate::policy::Pipeline;
use crate::policy::Policy;
use crate::policy::Stage;
use crate::policy::action::Names;

fn of<'p>(policy: &'p Policy, name: &str) -> Option<&'p Pipeline> {
    policy.pipelines.iter().find(|known| &*known.name == name)
}

pub(super) fn differs(found: &mut Findings<'_>, differs: &Differs<'_>) -> bool {
    let (Some(old), Some(new)) = (of(found.old, differs.name), of(found.new, differs.name)) else {
        return false;
    };
    key(found, differs.key, old, new)
}

/// Everything of two pipelines, where a listener went from the one to the other.
pub(super) fn compare(found: &mut Findings<'_>, old: &Pipeline, new: &Pipeline) {
    for hook in Hook::all() {
        key(found, hook.name(), old, new);
    }
    for other in ["builtin", "otherwise.authorize", "otherwise.route"] {
        key(found, other, old, new);
    }
}

fn key(found: &mut Findings<'_>, key: &str, old: &Pipeline, new: &Pipeline) -> bool {
    let path = path("pipeline", &new.name, key);
    match key {
        "builtin" => builtin(found, &path, old, new),
        "otherwise.authorize" => {
            let (before, after) = (old.otherwise.authorize, new.otherwise.authorize);
            let (way, why) = match (before, after) {
                (AuthorizeOtherwise::Deny, AuthorizeOtherwise::Allow) => {
                    (Way::Widens, "what no stage decides on may run")
                }
                (AuthorizeOtherwise::Allow, AuthorizeOtherwise::Deny) => {
                    (Way::Narrows, "what no stage decides on is refused")
                }
                _ => return true,
            };
            let word = |otherwise| match otherwise {
                AuthorizeOtherwise::Allow => "allow",
                AuthorizeOtherwise::Deny => "deny",
            };
            found.add(
                way,
                path,
                format!("{} -> {}", word(before), word(after)),
                why,
            );
        }
        "otherwise.route" => {
            let target = |policy: &Policy, pipeline: &Pipeline| {
                let names = Names {
                    nodes: &policy.nodes,
                    branches: &policy.branches,
                };
                names.target(pipeline.otherwise.route)
            };
            let (before, after) = (target(found.old, old), target(found.new, new));
            if before != after {
                found.add(Way::Changes, path, format!("{before} -> {after}"), "");
            }
        }
        _ => {
            let Some(hook) = Hook::parse(key) else {
                return false;
            };
            list(found, &path, hook, old, new);
        }
    }
    true
}

/// The proxy's own methods, which may follow the `authenticate` stages.
fn builtin(found: &mut Findings<'_>, path: &str, old: &Pipeline, new: &Pipeline) {
    let names = |pipeline: &Pipeline| -> Vec<String> {
        let names = pipeline.builtin.iter();
        names.map(|method| method.name().to_owned()).collect()
    };
    let path = path.replace("builtin", "authenticate");
    found.items(
        &path,
        (&names(old), &names(new)),
        (Way::Widens, "logins by it are taken"),
        (Way::Narrows, "logins by it are no longer taken"),
    );
}

fn list(found: &mut Findings<'_>, path: &str, hook: Hook, old: &Pipeline, new: &Pipeline) {
    let before: Vec<&Stage> = stages(found.old, old, hook);
    let after: Vec<&Stage> = stages(found.new, new, hook);
    let twin = |stage: &Stage, of: &[&Stage]| {
        of.iter()
            .position(|other| found.is_same("stage", &stage.name, &other.name))
    };
    let mut kept = Vec::new();
    let mut gone = Vec::new();
    for stage in &before {
        match twin(stage, &after) {
            Some(at) => kept.push(at),
            None => gone.push(*stage),
        }
    }
    let came: Vec<&Stage> = (0..after.len())
        .filter(|at| !kept.contains(at))
        .filter_map(|at| after.get(at).copied())
        .collect();
    for stage in gone {
        // One that is nowhere any more is told by itself.
        if stage::of(found.new, &stage.name).is_some() || found.stays("stage", &stage.name) {
            let force = Force::of(found.old, stage);
            let what = format!("- `{}`", stage.name);
            let way = force.way_of_presence().opposite();
            found.add(way, path, what, stage::why_gone(stage, force));
        }
    }
    for stage in came {
        if stage::of(found.old, &stage.name).is_some() || found.stayed("stage", &stage.name) {
            let force = Force::of(found.new, stage);
            let what = format!("+ `{}`", stage.name);
            found.add(
                force.way_of_presence(),
                path,
                what,
                stage::why_came(stage, force),
            );
        }
    }
    moves(found, path, &after, &kept);
}

fn stages<'p>(policy: &'p Policy, pipeline: &Pipeline, hook: Hook) -> Vec<&'p Stage> {
    let ids = pipeline.hooks.get(hook.index()).into_iter().flatten();
    ids.filter_map(|id| policy.stages.get(*id)).collect()
}

/// `kept` are positions in `after`, in the order from before: where they fall, something was moved.
fn moves(found: &mut Findings<'_>, path: &str, after: &[&Stage], kept: &[usize]) {
    let still = longest_rise(kept);
    for (was, at) in kept
        .iter()
        .enumerate()
        .filter(|(_, at)| !still.contains(at))
    {
        let Some(stage) = after.get(*at) else {
            continue;
        };
        let mut jumped = Vec::new();
        for (other_was, other_at) in kept.iter().enumerate() {
            let Some(other) = after.get(*other_at) else {
                continue;
            };
            if (other_was < was) != (other_at < at) {
                // The one that is asked first now, and the one that was.
                jumped.push(match at < other_at {
                    true => (*stage, *other),
                    false => (*other, *stage),
                });
            }
        }
        let what = match at.checked_sub(1).and_then(|before| after.get(before)) {
            Some(before) => format!("moved `{}` after `{}`", stage.name, before.name),
            None => format!("moved `{}` to the front", stage.name),
        };
        for (way, why) in order(found.new, &jumped) {
            found.add(way, path, &*what, &why);
        }
    }
}

/// What it does that the first of each pair is now asked before the second, and not after it.
fn order(policy: &Policy, pairs: &[(&Stage, &Stage)]) -> Vec<(Way, String)> {
    let mut narrows = false;
    let mut unknown = false;
    let mut spared = Vec::new();
    for (first, second) in pairs {
        if first.passes(second) {
            continue;
        }
        match (
            Force::in_list(policy, first),
            Force::in_list(policy, second),
        ) {
            (Force::Nothing, _) | (_, Force::Nothing) => (),
            (Force::Loosens, Force::Tightens) => spared.push(&*second.name),
            (Force::Tightens, Force::Loosens) => narrows = true,
            (Force::Tightens | Force::Loosens, Force::Tightens | Force::Loosens) => {
                unknown |= depends_on_order(first) || depends_on_order(second);
            }
            _ => unknown = true,
        }
    }
    let mut told = Vec::new();
    if !spared.is_empty() {
        let why = format!("what it lets by is spared {}", ticked(spared));
        told.push((Way::Widens, why));
    }
    if narrows && !unknown {
        let why = "what it refuses is refused first".to_owned();
        told.push((Way::Narrows, why));
    }
    if told.is_empty() {
        told.push((Way::Changes, String::new()));
    }
    told
}

/// What is asked about is the rewritten text, and what is refused before is not counted.
fn depends_on_order(stage: &Stage) -> bool {
    matches!(stage.action, Action::Rewrite { .. } | Action::Limit(_))
}

/// The longest part of `positions` that rises: what need not be taken for moved. Lists of stages are short.
fn longest_rise(positions: &[usize]) -> Vec<usize> {
    let mut best: Vec<Vec<usize>> = Vec::new();
    for position in positions {
        let before = best
            .iter()
            .filter(|rise| rise.last().is_some_and(|last| last < position));
        let mut rise = before
            .max_by_key(|rise| rise.len())
            .cloned()
            .unwrap_or_default();
        rise.push(*position);
        best.push(rise);
    }
    let longest = best.into_iter().max_by_key(Vec::len);
    longest.unwrap_or_default()
}
