//! What a stage does, on both sides: another verb, another bound, another refusal, other fields of a log line. Owns no guard and
//! no right of foreign code.

use super::Differs;
use super::Findings;
use super::Way;
use super::force::Force;
use super::grants;
use super::path;
use super::stage::is_guest;
use crate::hook::Refusal;
use crate::policy::Action;
use crate::policy::Cache;
use crate::policy::Exceed;
use crate::policy::Field;
use crate::policy::Limit;
use crate::policy::Stage;
use std::time::Duration;

/// Fields of a log line that hold what clients wrote.
const TELLING_FIELDS: [&str; 2] = ["sql.text", "error"];

/// What it does. Another verb is told once, where the new one stands.
pub(super) fn differs(
    found: &mut Findings<'_>,
    differs: &Differs<'_>,
    old: &Stage,
    new: &Stage,
) -> bool {
    if old.action.name() != new.action.name() {
        if differs.key == new.action.name() {
            another_verb(found, differs, old, new);
        }
        return true;
    }
    let path = differs.path();
    match (&old.action, &new.action) {
        (Action::Deny(old), Action::Deny(new)) => refusal(found, &path, old, new),
        (Action::Rewrite { .. }, Action::Rewrite { .. }) => rewrites(found, &path, old, new),
        (
            Action::Log {
                level,
                fields: before,
            },
            Action::Log {
                level: loud,
                fields: after,
            },
        ) => {
            if level.name() != loud.name() {
                let what = format!("{} -> {}", level.name(), loud.name());
                found.add(Way::Changes, format!("{path}.level"), what, "");
            }
            log_fields(found, &path, before, after);
        }
        (Action::Limit(old), Action::Limit(limit)) => {
            let counts = Force::of(found.new, new) == Force::Tightens;
            limits(found, &path, counts, old, limit);
        }
        (Action::Cache(old), Action::Cache(new)) => caches(found, &path, old, new),
        (Action::Script(_), Action::Script(_)) => {
            found.add(
                Way::Changes,
                path,
                "other script",
                "foreign code decides otherwise",
            );
        }
        (Action::Plugin(_), Action::Plugin(_)) => {
            found.add(Way::Changes, path, differs.values(), "other code");
        }
        (Action::Route { .. }, Action::Route { .. }) => {
            let what = differs
                .values()
                .replace(" otherwise none", "")
                .replace('"', "");
            // What is led to the default goes on to the rest of the list.
            let way = match (Force::of(found.old, old), Force::of(found.new, new)) {
                (before, after) if before == after => Way::Changes,
                _ => exchange(found, old, new),
            };
            found.add(way, path, what.replace(" otherwise None", ""), "");
        }
        _ => return false,
    }
    true
}

fn rewrites(found: &mut Findings<'_>, path: &str, old: &Stage, new: &Stage) {
    let bounds = |stage: &Stage| match &stage.action {
        Action::Rewrite {
            add_limit,
            statement_timeout,
        } => (*add_limit, *statement_timeout),
        _ => (None, None),
    };
    let counts = Force::of(found.new, new) == Force::Tightens
        && Force::of(found.old, old) == Force::Tightens;
    let ((old_limit, old_timeout), (limit, timeout)) = (bounds(old), bounds(new));
    let key = format!("{path}.add_limit");
    bound(found, &key, counts, (old_limit, limit), |limit| {
        limit.to_string()
    });
    let key = format!("{path}.statement_timeout");
    let shown = crate::unit::format_duration;
    bound::<Duration>(found, &key, counts, (old_timeout, timeout), shown);
}

fn another_verb(found: &mut Findings<'_>, differs: &Differs<'_>, old: &Stage, new: &Stage) {
    let way = exchange(found, old, new);
    let what = format!("{} -> {}", old.action.name(), new.action.name());
    found.add(way, path("stage", differs.name, ""), what, "");
    if is_guest(new) && !is_guest(old) {
        let path = path("stage", differs.name, "");
        grants::beyond_standard(found, &path, &new.grants);
    }
    if let Action::Log { fields, .. } = &new.action {
        log_fields(found, &differs.path(), &[], fields);
    }
}

/// A stage that does something else now.
fn exchange(found: &Findings<'_>, old: &Stage, new: &Stage) -> Way {
    match (Force::of(found.old, old), Force::of(found.new, new)) {
        // A refusal takes more than any bound does.
        (Force::Tightens, Force::Tightens) => match (&old.action, &new.action) {
            (_, Action::Deny(_)) => Way::Narrows,
            (Action::Deny(_), _) => Way::Widens,
            _ => Way::Changes,
        },
        (Force::Unknown, _) | (_, Force::Unknown) => Way::Changes,
        (Force::Rewrites, _) => match new.action {
            Action::Deny(_) => Way::Narrows,
            _ => Way::Changes,
        },
        (_, Force::Rewrites) => match old.action {
            Action::Deny(_) => Way::Widens,
            _ => Way::Changes,
        },
        (Force::Nothing, new) => new.way_of_presence(),
        (old, Force::Nothing) => old.way_of_presence().opposite(),
        (_, new) => new.way_of_presence(),
    }
}

fn refusal(found: &mut Findings<'_>, path: &str, old: &Refusal, new: &Refusal) {
    if old.code != new.code {
        let what = format!("{} -> {}", old.code, new.code);
        found.add(Way::Changes, format!("{path}.code"), what, "");
    }
    let texts = |refusal: &Refusal| {
        (
            refusal.message.clone(),
            refusal.hint.clone(),
            refusal.detail.clone(),
        )
    };
    if texts(old) != texts(new) {
        found.add(Way::Changes, path, "other words", "");
    }
}

/// Something of which less may happen the lower it is, and anything where it is absent.
fn bound<T: PartialOrd + Copy>(
    found: &mut Findings<'_>,
    path: &str,
    counts: bool,
    (old, new): (Option<T>, Option<T>),
    shown: impl Fn(T) -> String,
) {
    let way = match (old, new) {
        (None, None) => return,
        (None, Some(_)) => Way::Narrows,
        (Some(_), None) => Way::Widens,
        (Some(old), Some(new)) if old == new => return,
        (Some(old), Some(new)) => Way::of_rise(old, new),
    };
    let text = |value: Option<T>| value.map_or_else(|| "none".to_owned(), &shown);
    let what = format!("{} -> {}", text(old), text(new));
    found.add(if counts { way } else { Way::Changes }, path, what, "");
}

/// `limit`: more in a time, more at once, or more that are counted apart.
fn limits(found: &mut Findings<'_>, path: &str, counts: bool, old: &Limit, new: &Limit) {
    let mut tell = |key: &str, way: Way, what: String| {
        let way = if counts { way } else { Way::Changes };
        found.add(way, format!("{path}.{key}"), what, "");
    };
    if (old.rate, old.per) != (new.rate, new.per) {
        let shown = |limit: &Limit| {
            let per = crate::unit::format_duration(limit.per);
            format!("{} in {per}", limit.rate)
        };
        // As many in the same time.
        let pace = |one: &Limit, other: &Limit| u128::from(one.rate) * other.per.as_nanos();
        let way = Way::of_rise(pace(old, new), pace(new, old));
        tell("rate", way, format!("{} -> {}", shown(old), shown(new)));
    }
    if old.burst != new.burst {
        let way = Way::of_rise(old.burst, new.burst);
        tell("burst", way, format!("{} -> {}", old.burst, new.burst));
    }
    for key in new.keys.iter().filter(|key| !old.keys.contains(key)) {
        tell("key", Way::Widens, format!("+ {}", key.name()));
    }
    for key in old.keys.iter().filter(|key| !new.keys.contains(key)) {
        tell("key", Way::Narrows, format!("- {}", key.name()));
    }
    if old.exceed != new.exceed {
        let most = |limit: &Limit| match limit.exceed {
            Exceed::Refuse => Duration::ZERO,
            Exceed::Delay(most) => most,
        };
        let shown = |limit: &Limit| match limit.exceed {
            Exceed::Refuse => "refuse".to_owned(),
            Exceed::Delay(most) => format!("delay {}", crate::unit::format_duration(most)),
        };
        let way = Way::of_rise(most(old), most(new));
        tell("exceed", way, format!("{} -> {}", shown(old), shown(new)));
    }
    refusal(found, path, &old.refusal, &new.refusal);
}

/// `cache`: whom answers cross, how long they are given, and what ends them.
fn caches(found: &mut Findings<'_>, path: &str, old: &Cache, new: &Cache) {
    let why = "answers are now given to others too";
    for vary in old.vary.iter().filter(|vary| !new.vary.contains(vary)) {
        let what = format!("- {}", vary.name());
        found.add(Way::Widens, format!("{path}.vary"), what, why);
    }
    for vary in new.vary.iter().filter(|vary| !old.vary.contains(vary)) {
        let what = format!("+ {}", vary.name());
        found.add(Way::Narrows, format!("{path}.vary"), what, "");
    }
    let mut tell = |key: &str, old: String, new: String| {
        if old != new {
            let what = format!("{old} -> {new}");
            found.add(Way::Changes, format!("{path}.{key}"), what, "");
        }
    };
    let time = crate::unit::format_duration;
    let size = |bytes: usize| crate::unit::format_size(u64::try_from(bytes).unwrap_or(u64::MAX));
    tell("ttl", time(old.ttl), time(new.ttl));
    tell("max_bytes", size(old.bytes_max), size(new.bytes_max));
    let largest = |cache: &Cache| size(cache.entry_bytes_max);
    tell("max_entry", largest(old), largest(new));
    let ends = |cache: &Cache| cache.invalidate.name().to_owned();
    tell("invalidate", ends(old), ends(new));
}

/// A field that holds what clients wrote widens who reads it.
pub(super) fn log_fields(found: &mut Findings<'_>, path: &str, old: &[Field], new: &[Field]) {
    let path = format!("{path}.fields");
    for field in new.iter().filter(|field| !old.contains(field)) {
        let (way, why) = match TELLING_FIELDS.contains(&field.name()) {
            true => (Way::Widens, "literals are now written to the log"),
            false => (Way::Changes, ""),
        };
        // A new stage has told what it is.
        if way == Way::Widens || !old.is_empty() {
            found.add(way, &*path, format!("+ {:?}", field.name()), why);
        }
    }
    for field in old.iter().filter(|field| !new.contains(field)) {
        let way = match TELLING_FIELDS.contains(&field.name()) {
            true => Way::Narrows,
            false => Way::Changes,
        };
        found.add(way, &*path, format!("- {:?}", field.name()), "");
    }
    if old.len() == new.len() && new.iter().all(|field| old.contains(field)) && old != new {
        found.add(Way::Changes, &*path, "in another order", "");
    }
}
