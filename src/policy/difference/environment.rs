//! What comes out of the process's environment is told as it is written, never as what it is. Owns which words of a policy the
//! facts of a table come from.

use super::Differs;
use super::Findings;
use super::path;
use super::stage;
use super::words::shown;
use crate::policy::Action;
use crate::policy::Policy;

/// Facts that are not called like the keys that they come from.
const OTHERWISE_CALLED: [(&str, &str, &[&str]); 4] = [
    ("node", "address", &["host", "port"]),
    ("branch", "nodes", &["node"]),
    ("stage", "hooks", &["hook"]),
    ("pipeline", "builtin", &["authenticate"]),
];

/// Keys of which a table's first line tells the value, behind a comma.
const IN_FIRST_LINE: [(&str, &str); 4] = [
    ("listener", "bind"),
    ("pool", "database"),
    ("user", "roles"),
    ("decisions", "sink"),
];

/// Between what was and what is.
const ARROW: &str = " -> ";

/// What is written where the value of a fact, or a part of it, comes out of the environment.
pub(super) fn written<'p>(
    policy: &'p Policy,
    noun: &'static str,
    name: &str,
    key: &str,
) -> Option<&'p str> {
    // `when."kind"`.
    let key = key.replace('"', "");
    let at = |noun, name: &str, key: &str| policy.environment.at(noun, name, key);
    let mut others = OTHERWISE_CALLED.iter();
    let other = others.find(|(of, fact, _)| *of == noun && *fact == key);
    let others = other.map_or(&[][..], |(_, _, keys)| keys);
    let own = at(noun, name, &key).or_else(|| others.iter().find_map(|key| at(noun, name, key)));
    own.or_else(|| match noun {
        "stage" => {
            let stage = stage::of(policy, name)?;
            let granted = key.split('.').next().unwrap_or_default();
            let plugin = match stage.action {
                Action::Plugin(id) => policy.plugins.get(id),
                _ => None,
            };
            at("permissions", &stage.grants.name, granted)
                .or_else(|| at("plugin", &plugin?.name, &key))
                .or_else(|| at("sandbox", "", &key))
        }
        "plugin" => at("sandbox", "", &key),
        _ => None,
    })
}

/// Of what was told of a fact since, no value that comes out of the environment is left.
pub(super) fn withhold(found: &mut Findings<'_>, since: usize, differs: &Differs<'_>) {
    let of = |policy| written(policy, differs.noun, differs.name, differs.key);
    let (old, new) = (of(found.old), of(found.new));
    if old.is_none() && new.is_none() {
        return;
    }
    for change in found.changes.iter_mut().skip(since) {
        // These words tell no value.
        let is_bare = ["other ", "another "]
            .iter()
            .any(|word| change.what.starts_with(word));
        if !is_bare {
            change.what = without(&change.what, differs, (old, new));
        }
    }
}

/// `old -> new`, with what is written in the place of what comes out of the environment.
fn without(told: &str, differs: &Differs<'_>, written: (Option<&str>, Option<&str>)) -> String {
    let is_list = ["+ ", "- "].iter().any(|sign| told.starts_with(sign));
    // From the end of the other side: what is withheld may have an arrow in it.
    let sides = match written {
        _ if is_list => None,
        (None, Some(_)) => told.split_once(ARROW),
        _ => told.rsplit_once(ARROW),
    };
    let side = |written: Option<&str>, told: Option<&str>, value: Option<&str>| match written {
        Some(written) if value.is_some() => written.to_owned(),
        _ => told.map_or_else(
            || value.map_or_else(|| "none".to_owned(), shown),
            str::to_owned,
        ),
    };
    let old = side(written.0, sides.map(|(old, _)| old), differs.old);
    let new = side(written.1, sides.map(|(_, new)| new), differs.new);
    match old == new {
        true => format!("another value of {new}"),
        false => format!("{old}{ARROW}{new}"),
    }
}

/// Of what was told of a table that came or is gone, only that.
pub(super) fn shorten(
    found: &mut Findings<'_>,
    since: usize,
    policy: &Policy,
    (noun, name): (&'static str, &str),
) {
    let told = path(noun, name, "");
    let mut keys = IN_FIRST_LINE.iter().filter(|(of, _)| *of == noun);
    if keys.any(|(_, key)| written(policy, noun, name, key).is_some()) {
        for change in found.changes.iter_mut().skip(since) {
            if change.path == told
                && let Some((first, _)) = change.what.split_once(',')
            {
                change.what = first.to_owned();
            }
        }
    }
}
