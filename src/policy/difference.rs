//! Two policies beside each other, by what they mean: what the newer one lets happen that the older one did not, what it no
//! longer lets happen, and what is merely different. Owns no text of a policy and no output.
//!
//! Every fact that differs is told by the rule of its noun, or, where there is no rule, as a change: two policies of
//! different revisions never look alike. A direction is claimed only where it is certain; see the nouns for why.

mod action;
mod environment;
mod force;
mod grants;
mod guards;
mod guest;
mod listener;
mod mask;
mod node;
mod pipeline;
mod plugin;
mod pool;
mod proof;
mod settings;
mod stage;
#[cfg(test)]
mod tests;
mod user;
mod words;

use super::Policy;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use words::plain_name;
use words::shown;

/// Which way a change moves a policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Way {
    /// Something can happen, be seen or go unproven that could not before.
    Widens,
    /// Something is different; whether more or less can happen is not certain, or it is the same.
    Changes,
    /// Something can no longer happen.
    Narrows,
}

/// One change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Change {
    /// Which way.
    pub way: Way,
    /// What of the policy, as in `permissions.budget.see`.
    pub path: String,
    /// What became of it.
    pub what: String,
    /// What follows from it; may be empty.
    pub why: String,
}

/// Everything that two policies differ in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What widens first, then what merely changes, then what narrows.
    pub changes: Vec<Change>,
}

impl Difference {
    /// Whether the newer policy lets anything happen that the older one did not.
    #[must_use]
    pub fn widens(&self) -> bool {
        self.changes.iter().any(|change| change.way == Way::Widens)
    }
}

impl Way {
    /// The word in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Widens => "widens",
            Self::Changes => "changes",
            Self::Narrows => "narrows",
        }
    }

    fn opposite(self) -> Self {
        match self {
            Self::Widens => Self::Narrows,
            Self::Changes => Self::Changes,
            Self::Narrows => Self::Widens,
        }
    }

    /// Of something whose rise lets more happen.
    fn of_rise<T: PartialOrd>(old: T, new: T) -> Self {
        match old.partial_cmp(&new) {
            Some(std::cmp::Ordering::Less) => Self::Widens,
            Some(std::cmp::Ordering::Greater) => Self::Narrows,
            _ => Self::Changes,
        }
    }
}

impl Policy {
    /// What `newer` means that this policy does not, and the other way round.
    #[must_use]
    pub fn difference(&self, newer: &Self) -> Difference {
        let mut found = Findings {
            old: self,
            new: newer,
            renamed: BTreeMap::new(),
            changes: Vec::new(),
        };
        if self.name != newer.name {
            let what = format!("{} -> {}", self.name, newer.name);
            found.add(Way::Changes, "name", what, "");
        }
        found.facts();
        user::regime(&mut found);
        proof::compare(&mut found);
        if found.changes.is_empty() && self.revision != newer.revision {
            // No rule may hide what the revision tells.
            found.add(Way::Changes, "policy", "means something else", "");
        }
        let mut changes = found.changes;
        // Stable, so that within a direction the nouns stay in their order.
        changes.sort_by_key(|change| change.way);
        let mut seen = BTreeSet::new();
        changes.retain(|change| seen.insert(change.clone()));
        Difference { changes }
    }
}

/// What has been found so far, and between what.
struct Findings<'p> {
    old: &'p Policy,
    new: &'p Policy,
    /// Tables that are only called otherwise, by noun and old name.
    renamed: BTreeMap<(&'static str, String), String>,
    changes: Vec<Change>,
}

/// One fact that differs, of a table that both policies have.
struct Differs<'f> {
    noun: &'static str,
    name: &'f str,
    key: &'f str,
    old: Option<&'f str>,
    new: Option<&'f str>,
}

/// The facts of each table.
type Tables = BTreeMap<(usize, String), Table>;

struct Table {
    noun: &'static str,
    facts: BTreeMap<String, String>,
}

/// The order in which a reader meets them.
const NOUNS: [&str; 12] = [
    "listener",
    "node",
    "branch",
    "pool",
    "user",
    "plugin",
    "stage",
    "pipeline",
    "sql",
    "admin",
    "reload",
    "decisions",
];

/// Tables that mean the same whatever they are called. A user's name is what it logs in with.
const ONLY_NAMES: [&str; 7] = [
    "listener", "node", "branch", "pool", "plugin", "stage", "pipeline",
];

fn tables(policy: &Policy) -> Tables {
    let mut tables = Tables::new();
    for fact in policy.meaning().facts() {
        // The policy's own name is told by itself.
        if fact.noun == "policy" {
            continue;
        }
        let order = NOUNS.iter().position(|noun| *noun == fact.noun);
        let table = tables
            .entry((order.unwrap_or(NOUNS.len()), fact.name))
            .or_insert_with(|| Table {
                noun: fact.noun,
                facts: BTreeMap::new(),
            });
        table.facts.insert(fact.key, fact.value);
    }
    tables
}

impl Findings<'_> {
    /// Every table, then every fact of it.
    fn facts(&mut self) {
        let (old, new) = (tables(self.old), tables(self.new));
        self.renames(&old, &new);
        let ids: BTreeSet<&(usize, String)> = old.keys().chain(new.keys()).collect();
        for id in ids {
            match (old.get(id), new.get(id)) {
                (Some(before), Some(after)) => self.table(&id.1, before, after),
                (Some(before), None) => self.gone(before.noun, &id.1),
                (None, Some(after)) => self.came(after.noun, &id.1),
                (None, None) => (),
            }
        }
    }

    /// A table that is gone and one that came are the same if all they say is, and if no other could be meant.
    fn renames(&mut self, old: &Tables, new: &Tables) {
        let gone = || old.iter().filter(|(id, _)| !new.contains_key(id));
        let came = || new.iter().filter(|(id, _)| !old.contains_key(id));
        for (id, table) in gone() {
            let twins = gone().filter(|(_, other)| same(table, other)).count();
            let mut found = came().filter(|(_, other)| same(table, other));
            if let (Some((to, _)), None, 1) = (found.next(), found.next(), twins) {
                self.renamed
                    .insert((table.noun, id.1.clone()), to.1.clone());
            }
        }
    }

    /// Whether two names are of one table.
    fn is_same(&self, noun: &'static str, old: &str, new: &str) -> bool {
        old == new
            || self
                .renamed
                .get(&(noun, old.to_owned()))
                .is_some_and(|to| to == new)
    }

    /// Whether an old table is there under another name.
    fn stays(&self, noun: &'static str, name: &str) -> bool {
        self.renamed.contains_key(&(noun, name.to_owned()))
    }

    /// Whether a new table was there under another name.
    fn stayed(&self, noun: &'static str, name: &str) -> bool {
        let mut renamed = self.renamed.iter();
        renamed.any(|((other, _), to)| *other == noun && to == name)
    }

    fn table(&mut self, name: &str, before: &Table, after: &Table) {
        let keys: BTreeSet<&String> = before.facts.keys().chain(after.facts.keys()).collect();
        for key in keys {
            let differs = Differs {
                noun: before.noun,
                name,
                key,
                old: before.facts.get(key).map(String::as_str),
                new: after.facts.get(key).map(String::as_str),
            };
            if differs.old != differs.new {
                self.fact(&differs);
            }
        }
    }

    fn fact(&mut self, differs: &Differs<'_>) {
        let since = self.changes.len();
        let told = match differs.noun {
            "listener" => listener::differs(self, differs),
            "node" => node::differs(self, differs),
            "pool" => pool::differs(self, differs),
            "user" => user::differs(self, differs),
            "plugin" => plugin::differs(self, differs),
            "stage" => stage::differs(self, differs),
            "pipeline" => pipeline::differs(self, differs),
            "sql" | "admin" | "reload" | "decisions" => settings::differs(self, differs),
            _ => false,
        };
        if !told {
            self.plainly(differs);
        }
        environment::withhold(self, since, differs);
    }

    /// A fact without a rule of its own.
    fn plainly(&mut self, differs: &Differs<'_>) {
        self.add(Way::Changes, differs.path(), differs.values(), "");
    }

    fn came(&mut self, noun: &'static str, name: &str) {
        if self.stayed(noun, name) {
            return;
        }
        let since = self.changes.len();
        match noun {
            "listener" => listener::came(self, name),
            "pool" => pool::came(self, name),
            "user" => user::came(self, name),
            "stage" => stage::came(self, name),
            "decisions" => settings::decisions_came(self),
            _ => self.add(Way::Changes, path(noun, name, ""), "new", ""),
        }
        environment::shorten(self, since, self.new, (noun, name));
    }

    fn gone(&mut self, noun: &'static str, name: &str) {
        if let Some(to) = self.renamed.get(&(noun, name.to_owned())).cloned() {
            let what = format!("renamed to `{to}`");
            self.add(Way::Changes, path(noun, name, ""), what, "");
            if noun == "listener" {
                listener::renamed(self, name, &to);
            }
            return;
        }
        let since = self.changes.len();
        match noun {
            "listener" => listener::gone(self, name),
            "pool" => pool::gone(self, name),
            "user" => user::gone(self, name),
            "stage" => stage::gone(self, name),
            "decisions" => {
                let why = "decisions are no longer written";
                self.add(Way::Changes, noun, "removed", why);
            }
            _ => self.add(Way::Changes, path(noun, name, ""), "removed", ""),
        }
        environment::shorten(self, since, self.old, (noun, name));
    }

    fn add(&mut self, way: Way, path: impl Into<String>, what: impl Into<String>, why: &str) {
        self.changes.push(Change {
            way,
            path: path.into(),
            what: what.into(),
            why: why.to_owned(),
        });
    }

    /// A line for each item that came and each that is gone; false where neither did.
    fn items(
        &mut self,
        path: &str,
        (old, new): (&[String], &[String]),
        (added, why_added): (Way, &str),
        (removed, why_removed): (Way, &str),
    ) -> bool {
        let before = self.changes.len();
        for item in new.iter().filter(|item| !old.contains(item)) {
            self.add(added, path, format!("+ {item}"), why_added);
        }
        for item in old.iter().filter(|item| !new.contains(item)) {
            self.add(removed, path, format!("- {item}"), why_removed);
        }
        before < self.changes.len()
    }
}

fn same(one: &Table, other: &Table) -> bool {
    ONLY_NAMES.contains(&one.noun) && one.noun == other.noun && one.facts == other.facts
}

impl Differs<'_> {
    fn path(&self) -> String {
        path(self.noun, self.name, &self.key.replace('"', ""))
    }

    /// `20 -> 30`.
    fn values(&self) -> String {
        let value = |value: Option<&str>| value.map_or_else(|| "none".to_owned(), shown);
        let (old, new) = (value(self.old), value(self.new));
        // What is too long to show may well begin and end alike.
        if old == new {
            return "other value".to_owned();
        }
        format!("{old} -> {new}")
    }
}

/// `noun.name.key`, without what is empty.
fn path(noun: &str, name: &str, key: &str) -> String {
    let name = plain_name(name);
    let parts = [noun, &*name, key];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(".")
}
