//! A difference as text for people, and as JSON. Owns columns and order of words, no judgement.

use crate::policy::Change;
use crate::policy::Difference;
use crate::policy::Policy;
use crate::policy::Way;
use serde_json::Value;
use serde_json::json;

/// Columns that a longer text may exceed, so that one long line does not push all others apart.
const PATH_WIDTH_MAX: usize = 40;
const WHAT_WIDTH_MAX: usize = 40;

/// Tables whose limits are mostly changed together, by `[sandbox]`.
const TOGETHER: [&str; 2] = ["stage", "plugin"];

/// Names of tables that are told in one line.
const NAMES_MAX: usize = 3;

/// The policies, then a line for each change.
pub(super) fn human(old: &Policy, new: &Policy, difference: &Difference) -> String {
    let mut out = header(old, new);
    if difference.changes.is_empty() {
        out.push_str("  no difference in meaning\n");
        return out;
    }
    let changes = joined(&difference.changes);
    let width = |text: fn(&Change) -> &str, max: usize| {
        let widths = changes.iter().map(|change| text(change).chars().count());
        widths.filter(|width| *width <= max).max().unwrap_or(0)
    };
    let path = width(|change| &change.path, PATH_WIDTH_MAX);
    let what = width(|change| &change.what, WHAT_WIDTH_MAX);
    for change in &changes {
        let line = format!(
            "  {:<7}  {:<path$}  {:<what$}  {}",
            word(change.way),
            change.path,
            change.what,
            change.why
        );
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The one that needs a look stands out.
fn word(way: Way) -> &'static str {
    match way {
        Way::Widens => "WIDENS",
        other => other.name(),
    }
}

fn header(old: &Policy, new: &Policy) -> String {
    let name = match old.name == new.name {
        true => new.name.to_string(),
        false => format!("{} -> {}", old.name, new.name),
    };
    let revision = match old.revision == new.revision {
        true => new.revision.to_string(),
        false => format!("{} -> {}", old.revision, new.revision),
    };
    format!("policy {name}  revision {revision}\n")
}

/// Several stages or plugins to which the same happened, in one line.
fn joined(changes: &[Change]) -> Vec<Change> {
    let mut joined: Vec<(Change, Vec<String>)> = Vec::new();
    for change in changes {
        let parts: Option<(&str, &str, &str)> = parts(&change.path);
        let twin = parts.and_then(|(noun, _, key)| {
            joined.iter_mut().find(|(known, names)| {
                !names.is_empty()
                    && (known.way, &known.what, &known.why)
                        == (change.way, &change.what, &change.why)
                    && known.path == format!("{noun}..{key}")
            })
        });
        match (twin, parts) {
            (Some((_, names)), Some((_, name, _))) => names.push(name.to_owned()),
            (_, Some((noun, name, key))) => {
                let path = format!("{noun}..{key}");
                let change = Change {
                    path,
                    ..change.clone()
                };
                joined.push((change, vec![name.to_owned()]));
            }
            (_, None) => joined.push((change.clone(), Vec::new())),
        }
    }
    let told = joined.into_iter().map(|(change, names)| {
        let path = match &names[..] {
            [] => change.path,
            [one] => change.path.replacen("..", &format!(".{one}."), 1),
            many => change
                .path
                .replacen("..", &format!(".{}.", several(many)), 1),
        };
        Change { path, ..change }
    });
    told.collect()
}

/// `stage.NAME.KEY` in its parts, where several could be told together.
fn parts(path: &str) -> Option<(&str, &str, &str)> {
    let (noun, rest) = path.split_once('.')?;
    let (name, key) = rest.split_once('.')?;
    let plain = !name.starts_with('"') && !key.contains(['.', '"']);
    (plain && TOGETHER.contains(&noun)).then_some((noun, name, key))
}

fn several(names: &[String]) -> String {
    match names.len().checked_sub(NAMES_MAX).filter(|more| *more > 0) {
        None => format!("{{{}}}", names.join(", ")),
        Some(more) => {
            let first: Vec<&str> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
            format!("{{{} and {more} more}}", first.join(", "))
        }
    }
}

/// The same for programs, with whole revisions and every change by itself.
pub(super) fn json(old: &Policy, new: &Policy, difference: &Difference) -> Value {
    let side = |policy: &Policy| {
        json!({
            "name": &*policy.name,
            "revision": policy.revision.full(),
            "bundle": policy.bundle.to_string(),
        })
    };
    let change = |change: &Change| {
        json!({
            "way": change.way.name(),
            "path": change.path,
            "what": change.what,
            "why": change.why,
        })
    };
    let changes: Vec<Value> = difference.changes.iter().map(change).collect();
    json!({
        "old": side(old),
        "new": side(new),
        "widens": difference.widens(),
        "changes": changes,
    })
}
