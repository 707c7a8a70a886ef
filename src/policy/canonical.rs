//! The canonical form of a policy: one line for each fact, sorted, with defaults written out. Two policies that mean the same have the
//! same form; the revision is its hash. Owns the writing; which facts there are is told by each noun.

use super::secret::Secret;
use crate::digest::sha256_hex;
use crate::sandbox::Limits;
use crate::unit;
use std::fmt::Debug;
use std::fmt::Write;
use std::time::Duration;

/// Facts being collected.
#[derive(Default)]
pub(super) struct Canonical {
    facts: Vec<Fact>,
}

/// One thing that a policy says, in the one form that it has however it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fact {
    /// `stage`.
    pub(super) noun: &'static str,
    /// The name in the policy; empty for tables that exist once.
    pub(super) name: String,
    /// `mode`.
    pub(super) key: String,
    /// What it is there.
    pub(super) value: String,
}

/// One table's facts.
pub(super) struct Section<'c> {
    canonical: &'c mut Canonical,
    noun: &'static str,
    name: String,
}

impl Canonical {
    /// `[noun.name]`.
    pub(super) fn section(&mut self, noun: &'static str, name: &str) -> Section<'_> {
        Section {
            canonical: self,
            noun,
            name: name.to_owned(),
        }
    }

    /// One by one, in the order of the nouns.
    pub(super) fn facts(self) -> Vec<Fact> {
        self.facts
    }

    /// As one text, a line for each fact, sorted.
    pub(super) fn finish(self) -> String {
        let mut lines: Vec<String> = self.facts.iter().map(Fact::line).collect();
        lines.sort();
        lines.join("\n")
    }
}

impl Fact {
    /// The name is quoted, so that no name can look like another line.
    fn line(&self) -> String {
        format!(
            "{}.{:?}.{} = {}",
            self.noun, self.name, self.key, self.value
        )
    }
}

impl Section<'_> {
    fn line(&mut self, key: &str, value: &str) {
        self.canonical.facts.push(Fact {
            noun: self.noun,
            name: self.name.clone(),
            key: key.to_owned(),
            value: value.to_owned(),
        });
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.line(key, &format!("{value:?}"));
    }

    /// Integers, booleans, enums and optional texts: everything whose `Debug` is ours or never changes.
    pub(super) fn debug(&mut self, key: &str, value: &impl Debug) {
        self.line(key, &format!("{value:?}"));
    }

    pub(super) fn duration(&mut self, key: &str, value: Option<Duration>) {
        self.line(
            key,
            &value.map_or_else(|| "none".to_owned(), unit::format_duration),
        );
    }

    pub(super) fn list<T: AsRef<str>>(&mut self, key: &str, items: &[T]) {
        let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
        self.line(key, &format!("{items:?}"));
    }

    /// Content of a file that is part of the policy, by its hash.
    pub(super) fn bytes(&mut self, key: &str, bytes: Option<&[u8]>) {
        let hash = bytes.map_or_else(|| "none".to_owned(), sha256_hex);
        self.line(key, &hash);
    }

    /// A secret, by where it comes from and never by what it is.
    pub(super) fn reference(&mut self, key: &str, secret: Option<&Secret>) {
        let reference = secret.map_or("none", Secret::reference);
        self.line(key, &format!("{reference:?}"));
    }

    /// The limits that a policy can write. The engines' inner limits belong to the program, not to the policy.
    pub(super) fn limits(&mut self, limits: &Limits) {
        self.debug("fuel", &limits.fuel);
        self.debug("memory", &limits.memory_bytes_max);
        self.duration("deadline", Some(limits.deadline));
        self.debug("max_input", &limits.input_bytes_max);
        self.debug("max_output", &limits.output_bytes_max);
        self.debug("max_host_calls", &limits.host_calls_max);
        self.debug("max_module", &limits.module_bytes_max);
        self.debug("max_log_lines", &limits.log_lines_max);
    }

    /// JSON with sorted keys, whatever order the map has.
    pub(super) fn json(&mut self, key: &str, value: Option<&serde_json::Value>) {
        let mut text = String::new();
        if let Some(value) = value {
            write_json(value, &mut text);
        }
        self.line(key, &text);
    }
}

fn write_json(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in pairs {
                put(out, format_args!("{key:?}:"));
                write_json(value, out);
                out.push(',');
            }
            out.push('}');
        }
        serde_json::Value::Array(items) => {
            out.push('[');
            for item in items {
                write_json(item, out);
                out.push(',');
            }
            out.push(']');
        }
        other => put(out, format_args!("{other}")),
    }
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(arguments).unwrap_or_default();
}
