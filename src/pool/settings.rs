//! Settings a client brings along (startup parameters, `options`), and how a server connection gets from one client's to
//! the next one's with one hidden Query, or with none when they agree.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;

/// Settings by name, sorted, and their hash for a fast comparison. Names are lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    values: Vec<(Box<str>, Box<str>)>,
    hash: u64,
}

impl Settings {
    /// From names and values; the last of a name counts.
    #[must_use]
    pub fn new<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut settings = Self::default();
        for (name, value) in pairs {
            settings.put(name, value);
        }
        settings.rehash();
        settings
    }

    fn put(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        match self
            .values
            .binary_search_by(|(known, _)| (**known).cmp(&name))
        {
            Ok(at) => self.values[at].1 = value.into(),
            Err(at) => self.values.insert(at, (name.into(), value.into())),
        }
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of a setting the client brought.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self
            .values
            .binary_search_by(|(known, _)| (**known).cmp(name))
            .ok()?;
        Some(&self.values[found].1)
    }

    /// Changes one value, keeping the hash true.
    pub fn set(&mut self, name: &str, value: &str) {
        self.put(name, value);
        self.rehash();
    }

    fn rehash(&mut self) {
        let mut hasher = DefaultHasher::new();
        if !self.values.is_empty() {
            self.values.hash(&mut hasher);
            self.hash = hasher.finish();
        } else {
            self.hash = 0;
        }
    }

    /// A hash of everything that may change what a statement means: all but `application_name`.
    #[must_use]
    pub fn meaning(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let meaningful = self.iter().filter(|(name, _)| *name != "application_name");
        meaningful.for_each(|setting| setting.hash(&mut hasher));
        hasher.finish()
    }

    /// Whether both are the same, by hash first.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.hash == other.hash && self.values == other.values
    }

    /// The Query text that makes a server connection with `self` applied have `wanted` applied; `None` when nothing is to do.
    #[must_use]
    pub fn change_to(&self, wanted: &Self) -> Option<String> {
        let mut text = String::new();
        for (name, _) in &self.values {
            if wanted.get(name).is_none() {
                text.push_str(&format!("RESET {};", quote_name(name)));
            }
        }
        let mut select = "SELECT ";
        for (name, value) in &wanted.values {
            if self.get(name) != Some(value) {
                let change = format!(
                    "{select}pg_catalog.set_config({},{},false)",
                    quote(name),
                    quote(value)
                );
                text.push_str(&change);
                select = ",";
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

/// An escape string literal: it means the same whatever `standard_conforming_strings` is.
fn quote(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_changed() {
        let a = Settings::new([("TimeZone", "UTC"), ("work_mem", "4MB")].into_iter());
        let b = Settings::new([("timezone", "UTC"), ("application_name", "o'k\\")].into_iter());
        assert_eq!(a.change_to(&a), None);
        assert_eq!(
            a.change_to(&b).as_deref(),
            Some(
                "RESET \"work_mem\";SELECT pg_catalog.set_config(E'application_name',E'o''k\\\\',false)"
            )
        );
        assert_eq!(Settings::default().change_to(&Settings::default()), None);
        assert!(!a.same(&b) && a.same(&a.clone()));
    }
}
