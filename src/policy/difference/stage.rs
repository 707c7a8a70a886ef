//! Stages: what becomes of what one forces on statements when it comes, goes, changes its guards or what it does.

use super::Differs;
use super::Findings;
use super::Way;
use super::action;
use super::force::Force;
use super::grants;
use super::guest;
use super::path;
use super::plugin;
use super::words::cut;
use crate::policy::Action;
use crate::policy::Mode;
use crate::policy::OnFailure;
use crate::policy::Policy;
use crate::policy::Stage;
use crate::policy::predicate::Growth;

pub(super) fn of<'p>(policy: &'p Policy, name: &str) -> Option<&'p Stage> {
    policy.stages.iter().find(|known| &*known.name == name)
}

pub(super) fn is_guest(stage: &Stage) -> bool {
    matches!(stage.action, Action::Script(_) | Action::Plugin(_))
}

pub(super) fn came(found: &mut Findings<'_>, name: &str) {
    let Some(stage) = of(found.new, name) else {
        return;
    };
    let force = Force::of(found.new, stage);
    let path = path("stage", name, "");
    let what = format!("new {}", summary(stage));
    found.add(
        force.way_of_presence(),
        &*path,
        what,
        why_came(stage, force),
    );
    if is_guest(stage) {
        grants::beyond_standard(found, &path, &stage.grants);
    }
    if let Action::Log { fields, .. } = &stage.action {
        action::log_fields(found, &format!("{path}.log"), &[], fields);
    }
}

pub(super) fn gone(found: &mut Findings<'_>, name: &str) {
    let Some(stage) = of(found.old, name) else {
        return;
    };
    let force = Force::of(found.old, stage);
    let what = format!("removed {}", summary(stage));
    let way = force.way_of_presence().opposite();
    found.add(way, path("stage", name, ""), what, why_gone(stage, force));
}

/// `deny at pre_query`.
fn summary(stage: &Stage) -> String {
    let mut hooks: Vec<&str> = stage.hooks.iter().map(|hook| hook.name()).collect();
    hooks.sort_unstable();
    let mode = match stage.mode {
        Mode::Enforce => "",
        Mode::Observe => ", observing",
        Mode::Off => ", off",
    };
    format!("{} at {}{mode}", stage.action.name(), hooks.join(", "))
}

/// What it means that a stage is asked now.
pub(super) fn why_came(stage: &Stage, force: Force) -> &'static str {
    match (force, &stage.action) {
        (Force::Tightens, Action::Rewrite { .. } | Action::Limit(_)) => "bounds what it matches",
        (Force::Tightens, _) => "refuses what it matches",
        (Force::Loosens, Action::Route { .. }) => "what stands behind it is not asked",
        (Force::Loosens, _) => "allows what it matches",
        (Force::Rewrites, _) => "what stands behind it looks at another text",
        (Force::Unknown, _) => "foreign code decides there",
        (Force::Nothing, Action::Allow) if stage.mode == Mode::Enforce => {
            "nothing behind it could refuse"
        }
        (Force::Nothing, _) => "",
    }
}

/// What it means that a stage is no longer asked.
pub(super) fn why_gone(stage: &Stage, force: Force) -> &'static str {
    match (force, &stage.action) {
        (Force::Tightens, Action::Rewrite { .. } | Action::Limit(_)) => {
            "no longer bounds what it matched"
        }
        (Force::Tightens, _) => "no longer refuses what it matched",
        (Force::Loosens, Action::Route { .. }) => "what stands behind it is asked",
        (Force::Loosens, _) => "no longer allows what it matched",
        (Force::Rewrites, _) => "what stands behind it looks at the text as it came",
        (Force::Unknown, _) => "foreign code no longer decides there",
        (Force::Nothing, _) => "",
    }
}

pub(super) fn differs(found: &mut Findings<'_>, differs: &Differs<'_>) -> bool {
    let (Some(old), Some(new)) = (of(found.old, differs.name), of(found.new, differs.name)) else {
        return false;
    };
    if let Some(told) = guard(found, differs, old, new) {
        return told;
    }
    if differs.key == old.action.name() || differs.key == new.action.name() {
        return action::differs(found, differs, old, new);
    }
    match differs.key {
        // Which lists it stands in is told by the pipelines.
        "hooks" => true,
        "mode" => mode(found, differs, old, new),
        "waiver" => waiver(found, differs, old, new),
        _ => of_guest(found, differs, old, new),
    }
}

fn mode(found: &mut Findings<'_>, differs: &Differs<'_>, old: &Stage, new: &Stage) -> bool {
    let (before, after) = (Force::of(found.old, old), Force::of(found.new, new));
    let (way, why) = match (old.mode, new.mode) {
        (Mode::Enforce, _) => (before.way_of_presence().opposite(), why_gone(old, before)),
        (_, Mode::Enforce) => (after.way_of_presence(), why_came(new, after)),
        _ => (Way::Changes, ""),
    };
    found.add(way, differs.path(), differs.values(), why);
    true
}

/// More time for what is loosened widens; who answers for it, and why, is only told.
fn waiver(found: &mut Findings<'_>, differs: &Differs<'_>, old: &Stage, new: &Stage) -> bool {
    let end = |stage: &Stage| stage.waiver.as_ref().map(|waiver| waiver.expires);
    let way = Way::of_rise(end(old), end(new));
    let why = match (way, end(old)) {
        (Way::Widens, None) => "is loosened for a time",
        (Way::Widens, Some(_)) => "is loosened for longer",
        (Way::Narrows, _) => "is loosened for less",
        (Way::Changes, _) => "",
    };
    found.add(way, differs.path(), differs.values(), why);
    true
}

/// `when` and `unless`, a key at a time. `None` where the fact is of neither.
fn guard(
    found: &mut Findings<'_>,
    differs: &Differs<'_>,
    old: &Stage,
    new: &Stage,
) -> Option<bool> {
    let (is_when, written) = match differs.key.split_once('.')? {
        ("when", rest) => (true, rest),
        ("unless", rest) => (false, rest),
        _ => return None,
    };
    let (before, after) = match is_when {
        true => (&old.when, &new.when),
        false => (&old.unless, &new.unless),
    };
    let keys = before.canonical().chain(after.canonical());
    let mut keys = keys.map(|(key, _)| key);
    let key = keys.find(|key| format!("{key:?}") == written)?.to_owned();
    let value = |predicate: &crate::policy::Predicate| {
        let mut facts = predicate.canonical();
        let fact = facts.find(|(known, _)| *known == key);
        fact.map(|(_, wanted)| wanted.to_owned())
    };
    let (when, unless) = new.polarities();
    let polarity = if is_when { when } else { unless };
    let growth = before.growth(after, &key, polarity);
    let force = match (Force::of(found.old, old), Force::of(found.new, new)) {
        (before, after) if before == after => after,
        _ => Force::Nothing,
    };
    let asked_more = match growth {
        Growth::Grew => Some(is_when),
        Growth::Shrank => Some(!is_when),
        Growth::Same | Growth::Unclear => None,
    };
    let (way, why) = match asked_more {
        None if growth == Growth::Same => (Way::Changes, "matches the same"),
        None => (Way::Changes, ""),
        Some(true) => (force.way_of_presence(), more_of(force)),
        Some(false) => (force.way_of_presence().opposite(), less_of(force)),
    };
    let what = values(value(before), value(after));
    found.add(way, differs.path(), what, why);
    Some(true)
}

fn more_of(force: Force) -> &'static str {
    match force {
        Force::Tightens => "is met by more",
        Force::Loosens => "lets more pass",
        Force::Rewrites => "bounds more",
        Force::Unknown => "is asked about more",
        Force::Nothing => "",
    }
}

fn less_of(force: Force) -> &'static str {
    match force {
        Force::Tightens => "is met by less",
        Force::Loosens => "lets less pass",
        Force::Rewrites => "bounds less",
        Force::Unknown => "is asked about less",
        Force::Nothing => "",
    }
}

/// `+ delete` where items of a list came or went, `a -> b` where nothing is common to both.
fn values(old: Option<String>, new: Option<String>) -> String {
    let (old, new) = match (old, new) {
        (None, new) => return format!("+ {}", cut(&new.unwrap_or_default())),
        (Some(old), None) => return format!("- {}", cut(&old)),
        (Some(old), Some(new)) => (old, new),
    };
    let (before, after): (Vec<&str>, Vec<&str>) =
        (old.split(", ").collect(), new.split(", ").collect());
    if !before.iter().any(|item| after.contains(item)) {
        return format!("{} -> {}", cut(&old), cut(&new));
    }
    let added = after.iter().filter(|item| !before.contains(item));
    let added: Vec<String> = added.map(|item| format!("+ {item}")).collect();
    let removed = before.iter().filter(|item| !after.contains(item));
    let removed = removed.map(|item| format!("- {item}"));
    let all: Vec<String> = added.into_iter().chain(removed).collect();
    cut(&all.join("  "))
}

/// What only scripts and plugins have.
fn of_guest(found: &mut Findings<'_>, differs: &Differs<'_>, old: &Stage, new: &Stage) -> bool {
    let told = found.changes.len();
    let is_told = of_guest_itself(found, differs, old, new);
    if new.on_failure == OnFailure::Open {
        guest::may_fail_more(found, told);
    }
    is_told
}

fn of_guest_itself(
    found: &mut Findings<'_>,
    differs: &Differs<'_>,
    old: &Stage,
    new: &Stage,
) -> bool {
    if !is_guest(old) || !is_guest(new) {
        // The other action brought it along.
        return true;
    }
    let prefix = match old.grants.name == new.grants.name && !new.grants.name.is_empty() {
        true => path("permissions", &new.grants.name, ""),
        false => path("stage", differs.name, ""),
    };
    if grants::differ(found, &prefix, differs.key, &old.grants, &new.grants) {
        return true;
    }
    match differs.key {
        "on_failure" => {
            let (way, why) = match new.on_failure {
                OnFailure::Open => (Way::Widens, "a failure lets pass"),
                OnFailure::Closed => (Way::Narrows, "a failure refuses"),
            };
            found.add(way, differs.path(), differs.values(), why);
        }
        "breaker" => guest::breaker(found, differs),
        // A stage has it from its plugin, where it is told.
        "state" => return plugins(found, old, new).is_some(),
        key if guest::is_limit(key) => {
            if let Some((before, after)) = plugins(found, old, new)
                && guest::is_equal(&before.limits, &old.limits, key)
                && guest::is_equal(&after.limits, &new.limits, key)
            {
                return true;
            }
            return guest::limits(found, differs, &old.limits, &new.limits);
        }
        _ => return false,
    }
    true
}

/// The plugin of a stage on both sides, where it is the same one.
fn plugins<'p>(
    found: &Findings<'p>,
    old: &Stage,
    new: &Stage,
) -> Option<(&'p crate::policy::Plugin, &'p crate::policy::Plugin)> {
    let (Action::Plugin(old), Action::Plugin(new)) = (&old.action, &new.action) else {
        return None;
    };
    let before = found.old.plugins.get(*old)?;
    let after = plugin::of(found.new, &before.name)?;
    let same = found.new.plugins.get(*new)?.name == after.name;
    same.then_some((before, after))
}
