//! Which values of a policy come out of the process's environment, and what is written in their place. Wherever a policy is told,
//! that stands for the value: what an environment holds is not ours to show. Owns no value.

use super::document::Value;
use super::document::Word;
use super::reading::Reading;
use super::sources::Words;
use std::collections::BTreeMap;

/// The references to the environment, by noun and name of the table that they stand in.
#[derive(Clone, Debug, Default)]
pub(super) struct References {
    tables: BTreeMap<(&'static str, String), Vec<Reference>>,
}

/// One reference.
#[derive(Clone, Debug)]
struct Reference {
    /// The keys that lead to it, as in `when.attr.tenant`. Items of a list have the path of the list.
    path: String,
    /// `{ env = "HOST" }`, or the variable that stands for it.
    written: String,
}

impl References {
    /// Every reference in every table.
    pub(super) fn of(reading: &Reading<'_>, words: &Words) -> Self {
        let mut tables = BTreeMap::new();
        for (noun, name, entry) in words.tables() {
            let mut found = Vec::new();
            collect(reading, "", &entry.word, &mut found);
            if !found.is_empty() {
                tables.insert((noun, name.to_owned()), found);
            }
        }
        Self { tables }
    }

    /// What is written where a value, or a part of it, comes out of the environment. `key` is a path of keys within the table.
    pub(super) fn at(&self, noun: &'static str, name: &str, key: &str) -> Option<&str> {
        let references = self.tables.get(&(noun, name.to_owned()))?;
        let mut references = references.iter();
        let found = references.find(|found| leads(&found.path, key) || leads(key, &found.path));
        found.map(|found| &*found.written)
    }
}

/// Whether `path` is `longer` or its beginning.
fn leads(path: &str, longer: &str) -> bool {
    let rest = longer.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn collect(reading: &Reading<'_>, path: &str, word: &Word, found: &mut Vec<Reference>) {
    if let Some(written) = reference(reading, word) {
        let path = path.to_owned();
        found.push(Reference { path, written });
        return;
    }
    match &word.value {
        Value::List(items) => {
            let items = items.iter();
            items.for_each(|item| collect(reading, path, item, found));
        }
        Value::Table(entries) => {
            for entry in entries {
                let path = match path.is_empty() {
                    true => entry.key.clone(),
                    false => format!("{path}.{}", entry.key),
                };
                collect(reading, &path, &entry.word, found);
            }
        }
        _ => (),
    }
}

/// What is written, if it stands for the environment or for a variable that does.
fn reference(reading: &Reading<'_>, word: &Word) -> Option<String> {
    let name = |word: &Word| match &word.value {
        Value::Text(name) => Some(name.clone()),
        _ => None,
    };
    if let Some(variable) = word.single("env") {
        return Some(format!("{{ env = {:?} }}", name(variable)?));
    }
    let variable = name(word.single("var")?)?;
    let is_from_env = reading.with_var(&variable, |found| {
        let mut inner = Vec::new();
        collect(reading, "", found, &mut inner);
        found.from_env || !inner.is_empty()
    });
    is_from_env.then(|| format!("{{ var = {variable:?} }}"))
}
