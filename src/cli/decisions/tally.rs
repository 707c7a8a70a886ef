//! What recorded traffic came to under two policies, or under the log's own and another: counted, grouped by statement and user,
//! in bounded memory; and told to people and programs. Owns no deciding.

use super::again::Undecided;
use super::outcome::Decided;
use super::outcome::Outcome;
use super::record::Record;
use crate::cli::control;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

/// Groups that are told one by one.
const GROUPS_MAX: usize = 10_000;
/// Reasons, revisions and broken lines that are told one by one.
const LISTED_MAX: usize = 100;
/// Broken lines that people are told one by one.
const BROKEN_SHOWN_MAX: usize = 10;
/// Characters of a statement that people are shown.
const STATEMENT_CHARS_MAX: usize = 60;

/// What is counted.
#[derive(Default)]
pub(in crate::cli) struct Tally {
    decided: u64,
    changed: u64,
    /// How often each verdict was reached: before, and now.
    verdicts: BTreeMap<&'static str, [u64; 2]>,
    groups: HashMap<Key, Group>,
    /// Changes in groups that are too many.
    beyond: u64,
    undecided: BTreeMap<String, Group>,
    broken: Vec<String>,
    broken_lines: u64,
    revisions: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    fingerprint: Option<Arc<str>>,
    user: Arc<str>,
    old: Outcome,
    new: Outcome,
    /// Both replace the text, by other ones.
    otherwise: bool,
}

#[derive(Default)]
struct Group {
    count: u64,
    example: String,
    statement: Option<Arc<str>>,
}

impl Group {
    fn add(&mut self, record: &Record) {
        if self.count == 0 {
            self.example.clone_from(&record.id);
            self.statement = record.came().normalized.clone();
        }
        self.count += 1;
    }
}

impl Tally {
    /// Counts one decision: what came of it, and what would.
    pub(in crate::cli) fn count(
        &mut self,
        record: &Record,
        old: Result<Decided, Undecided>,
        new: Result<Decided, Undecided>,
    ) {
        if self.revisions.len() < LISTED_MAX {
            self.revisions.insert(record.revision.clone());
        }
        match (old, new) {
            (Ok(old), Ok(new)) => {
                self.decided += 1;
                self.verdicts.entry(old.outcome.verdict).or_default()[0] += 1;
                self.verdicts.entry(new.outcome.verdict).or_default()[1] += 1;
                if old.differs(&new) {
                    self.changed += 1;
                    self.group(record, &old, new);
                }
            }
            (Err(why), _) | (_, Err(why)) => {
                let mut why = why.to_string();
                if LISTED_MAX <= self.undecided.len() && !self.undecided.contains_key(&why) {
                    "for other reasons".clone_into(&mut why);
                }
                self.undecided.entry(why).or_default().add(record);
            }
        }
    }

    fn group(&mut self, record: &Record, old: &Decided, new: Decided) {
        let key = Key {
            fingerprint: record.came().fingerprint.clone(),
            user: Arc::clone(&record.user),
            otherwise: old.is_rewritten_otherwise(&new),
            old: old.outcome.clone(),
            new: new.outcome,
        };
        if GROUPS_MAX <= self.groups.len() && !self.groups.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        self.groups.entry(key).or_default().add(record);
    }

    /// Counts a line that is no decision.
    pub(in crate::cli) fn broken(&mut self, place: &str, why: &str) {
        self.broken_lines += 1;
        if self.broken.len() < LISTED_MAX {
            self.broken.push(format!("{place}: {why}"));
        }
    }

    /// Whether anything would be otherwise.
    pub(in crate::cli) fn has_changes(&self) -> bool {
        self.changed != 0
    }

    /// Whether nothing at all could be decided.
    pub(in crate::cli) fn is_void(&self) -> bool {
        self.decided == 0
    }

    /// Whether every line was a decision that could be decided.
    pub(in crate::cli) fn is_complete(&self) -> bool {
        self.undecided.is_empty() && self.broken_lines == 0
    }

    /// The revisions that decided, in short.
    pub(in crate::cli) fn revisions(&self) -> String {
        let mut all = self.revisions.iter();
        match (all.next(), all.count()) {
            (None, _) => "none".to_owned(),
            (Some(first), 0) => control::short(first).to_owned(),
            (Some(first), more) => format!("{} and {more} more", control::short(first)),
        }
    }

    /// The largest groups first.
    fn sorted(&self) -> Vec<(&Key, &Group)> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by(|(key, group), (other_key, other)| {
            (other.count, key).cmp(&(group.count, other_key))
        });
        groups
    }

    /// For people: a line for each group, then what it comes to. `was` and `would be` head the outcomes.
    pub(in crate::cli) fn human(&self, was: &str, would_be: &str) -> String {
        let mut out = String::new();
        if !self.groups.is_empty() {
            let head = [
                "count",
                "user",
                "fingerprint",
                was,
                would_be,
                "example",
                "statement",
            ];
            let rows = self.sorted().into_iter().map(|(key, group)| {
                let otherwise = if key.otherwise { " otherwise" } else { "" };
                vec![
                    group.count.to_string(),
                    plain(&key.user),
                    plain(key.fingerprint.as_deref().unwrap_or("-")),
                    plain(&key.old.to_string()),
                    plain(&format!("{}{otherwise}", key.new)),
                    plain(&group.example),
                    plain(&cut(group.statement.as_deref().unwrap_or("-"))),
                ]
            });
            let table = control::table(&head, &rows.collect::<Vec<_>>());
            out.extend(table.lines().map(|line| format!("  {line}\n")));
        }
        if self.beyond != 0 {
            out.push_str(&format!("  {} more in other groups\n", self.beyond));
        }
        out.push_str(&self.sums());
        out
    }

    fn sums(&self) -> String {
        let undecided: u64 = self.undecided.values().map(|group| group.count).sum();
        let mut out = format!(
            "{} decided, {} changed, {undecided} could not be decided\n",
            self.decided, self.changed
        );
        let verdicts = self.verdicts.iter();
        let verdicts = verdicts.map(|(verdict, [old, new])| match old == new {
            true => format!("{verdict} {old}"),
            false => format!("{verdict} {old} -> {new}"),
        });
        let verdicts: Vec<String> = verdicts.collect();
        if !verdicts.is_empty() {
            out.push_str(&format!("  {}\n", verdicts.join(", ")));
        }
        for (why, group) in &self.undecided {
            out.push_str(&format!("  {}: {}\n", group.count, plain(why)));
        }
        if self.broken_lines != 0 {
            out.push_str(&format!("{} lines are no decisions\n", self.broken_lines));
        }
        for line in self.broken.iter().take(BROKEN_SHOWN_MAX) {
            out.push_str(&format!("  {}\n", plain(line)));
        }
        out
    }

    /// The same for programs.
    pub(in crate::cli) fn json(&self) -> Value {
        let outcome = |outcome: &Outcome| {
            json!({
                "verdict": outcome.verdict,
                "by": &*outcome.by,
                "code": outcome.code.as_deref(),
                "route": outcome.route.as_deref(),
                "rewritten": outcome.rewritten,
                "masked": outcome.masked.iter().map(|column| &**column).collect::<Vec<_>>(),
            })
        };
        let change = |(key, group): (&Key, &Group)| {
            json!({
                "count": group.count,
                "user": &*key.user,
                "fingerprint": key.fingerprint.as_deref(),
                "statement": group.statement.as_deref(),
                "old": outcome(&key.old),
                "new": outcome(&key.new),
                "rewritten_otherwise": key.otherwise,
                "example": group.example,
            })
        };
        let changes: Vec<Value> = self.sorted().into_iter().map(change).collect();
        let undecided = self.undecided.iter();
        let undecided = undecided.map(
            |(why, group)| json!({ "count": group.count, "why": why, "example": group.example }),
        );
        json!({
            "revisions": &self.revisions,
            "decided": self.decided,
            "changed": self.changed,
            "verdicts": self.verdicts.iter().map(|(verdict, [old, new])| {
                ((*verdict).to_owned(), json!({ "old": old, "new": new }))
            }).collect::<serde_json::Map<String, Value>>(),
            "changes": changes,
            "changes_in_other_groups": self.beyond,
            "undecided": undecided.collect::<Vec<_>>(),
            "broken_lines": self.broken_lines,
            "broken": &self.broken,
        })
    }
}

/// What a client has written is no command for a terminal.
pub(in crate::cli) fn plain(text: &str) -> String {
    let letters = text.chars();
    letters
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(STATEMENT_CHARS_MAX) {
        Some((at, _)) => format!("{}..", &text[..at]),
        None => text.to_owned(),
    }
}
