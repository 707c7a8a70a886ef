//! Typed access to a table's values. A value of the wrong type is reported and then treated as absent: the policy is refused anyway,
//! and the reader can go on to find the next mistake. Owns no meaning.

use super::code;
use super::document::Value;
use super::document::Word;
use super::document::unix_seconds;
use super::reading::Reading;
use super::reading::Spot;
use super::reading::Table;
use super::reading::unknown;
use super::report::At;
use super::report::Diagnostic;
use super::secret::Secret;
use crate::unit;
use crate::unit::UnitError;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

impl Reading<'_> {
    /// Text.
    pub(super) fn text(&self, word: &Word) -> Option<Spot<String>> {
        let settled = self.settle(word)?;
        match &settled.value {
            Value::Text(text) => Some(Spot {
                at: word.at,
                value: text.clone(),
            }),
            _ => {
                self.wrong_type(&settled, "text");
                None
            }
        }
    }

    /// One text or a list of them.
    pub(super) fn texts(&self, word: &Word) -> Vec<Spot<String>> {
        let Some(settled) = self.settle(word) else {
            return Vec::new();
        };
        match &settled.value {
            Value::List(items) => {
                if items.is_empty() {
                    self.error(code::EMPTY, word.at, "the list is empty");
                }
                items.iter().filter_map(|item| self.text(item)).collect()
            }
            _ => self.text(word).into_iter().collect(),
        }
    }

    /// An integer from 0.
    pub(super) fn integer(&self, word: &Word) -> Option<u64> {
        let settled = self.settle(word)?;
        let number = match &settled.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(text) if settled.from_env => text.trim().parse().ok(),
            _ => {
                self.wrong_type(&settled, "an integer");
                return None;
            }
        };
        if number.is_none() {
            self.error(code::OUT_OF_RANGE, word.at, "expected an integer from 0");
        }
        number
    }

    /// True or false.
    pub(super) fn boolean(&self, word: &Word) -> Option<bool> {
        let settled = self.settle(word)?;
        match &settled.value {
            Value::Boolean(value) => Some(*value),
            Value::Text(text) if settled.from_env && text == "true" => Some(true),
            Value::Text(text) if settled.from_env && text == "false" => Some(false),
            _ => {
                self.wrong_type(&settled, "`true` or `false`");
                None
            }
        }
    }

    fn unit<T>(
        &self,
        word: &Word,
        what: &str,
        parse: fn(&str) -> Result<T, UnitError>,
    ) -> Option<T> {
        let settled = self.settle(word)?;
        let Value::Text(text) = &settled.value else {
            self.wrong_type(&settled, &format!("a {what} in quotes"));
            return None;
        };
        let parsed = parse(text);
        parsed
            .map_err(|error| {
                self.add(Diagnostic::error(
                    code::BAD_VALUE,
                    word.at,
                    format!("invalid {what}: {error}"),
                ))
            })
            .ok()
    }

    /// JSON of any value, for plugins. References are followed; dates become text.
    pub(super) fn json(&self, word: &Word) -> Option<serde_json::Value> {
        self.json_with(word, &|secret| {
            let text = String::from_utf8_lossy(secret.expose());
            text.into_owned()
        })
    }

    /// The same with references to files and the environment as they are written: what stands behind them may be secret.
    pub(super) fn json_as_written(&self, word: &Word) -> Option<serde_json::Value> {
        self.json_with(word, &|secret| secret.reference().to_owned())
    }

    fn json_with(
        &self,
        word: &Word,
        tell: &dyn Fn(&Secret) -> String,
    ) -> Option<serde_json::Value> {
        if let Some(secret) = self.referred(word) {
            return Some(tell(&secret?).into());
        }
        let settled = self.settle(word)?;
        if let (true, Value::Text(text), Some(name)) =
            (settled.from_env, &settled.value, word.single("var"))
        {
            let reference = format!("{{ var = {:?} }}", self.text(name)?.value);
            let secret = Secret::new(text.clone().into_bytes(), reference);
            return Some(tell(&secret).into());
        }
        Some(match &settled.value {
            Value::Text(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Boolean(value) => (*value).into(),
            Value::Datetime(datetime) => datetime.to_string().into(),
            Value::List(items) => items
                .iter()
                .filter_map(|item| self.json_with(item, tell))
                .collect(),
            Value::Table(entries) => {
                let pairs = entries.iter().filter_map(|entry| {
                    Some((entry.key.clone(), self.json_with(&entry.word, tell)?))
                });
                serde_json::Value::Object(pairs.collect())
            }
        })
    }

    /// `{ file = ".." }` or `{ env = ".." }`. `None` if the word is neither.
    pub(super) fn referred(&self, word: &Word) -> Option<Option<Secret>> {
        if let Some(name) = word.single("env") {
            let reference = format!("{{ env = {:?} }}", self.text(name)?.value);
            return Some(
                self.env(name)
                    .map(|text| Secret::new(text.into_bytes(), reference)),
            );
        }
        let path = self.text(word.single("file")?)?;
        // As the root's folder sees it: two files of one name in two folders are two secrets.
        let shown = self.as_from_root(path.at, &path.value);
        let reference = format!("{{ file = {shown:?} }}");
        let bytes = self.secret_bytes(path.at, &self.beside(path.at, &path.value));
        Some(bytes.map(|mut bytes| {
            // Editors and `echo` end a file with a newline that is no part of the secret.
            let end = bytes
                .iter()
                .rposition(|byte| !matches!(byte, b'\n' | b'\r'))
                .map_or(0, |last| last + 1);
            bytes.truncate(end);
            Secret::new(bytes, reference)
        }))
    }

    /// A word out of a closed list.
    pub(super) fn one_of<T>(
        &self,
        spot: &Spot<String>,
        what: &str,
        names: impl IntoIterator<Item = &'static str>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(&spot.value);
        if parsed.is_none() {
            let names: Vec<&str> = names.into_iter().collect();
            self.add(unknown(
                code::NOT_ONE_OF,
                spot.at,
                what,
                &spot.value,
                names.into_iter(),
            ));
        }
        parsed
    }

    /// Reports a number outside of its range.
    pub(super) fn in_range(&self, at: At, value: u64, range: &RangeInclusive<u64>) -> Option<u64> {
        if range.contains(&value) {
            return Some(value);
        }
        let message = format!(
            "{value} is out of range; expected {} to {}",
            range.start(),
            range.end()
        );
        self.error(code::OUT_OF_RANGE, at, message);
        None
    }
}

impl Table<'_, '_> {
    pub(super) fn text(&self, key: &'static str) -> Option<Spot<String>> {
        let spot = self.reading.text(&self.entry(key)?.word)?;
        if spot.value.is_empty() {
            self.reading
                .error(code::EMPTY, spot.at, format!("`{key}` is empty"));
            return None;
        }
        Some(spot)
    }

    pub(super) fn arc(&self, key: &'static str) -> Option<Arc<str>> {
        Some(self.text(key)?.value.into())
    }

    pub(super) fn texts(&self, key: &'static str) -> Vec<Spot<String>> {
        self.entry(key)
            .map(|entry| self.reading.texts(&entry.word))
            .unwrap_or_default()
    }

    /// An integer within a range.
    pub(super) fn integer(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let entry = self.entry(key)?;
        let value = self.reading.integer(&entry.word)?;
        self.reading.in_range(entry.word.at, value, &range)
    }

    /// A count that fits in memory.
    pub(super) fn count(&self, key: &'static str, range: RangeInclusive<u64>) -> Option<usize> {
        self.integer(key, range)
            .and_then(|value| usize::try_from(value).ok())
    }

    pub(super) fn boolean(&self, key: &'static str) -> Option<bool> {
        self.reading.boolean(&self.entry(key)?.word)
    }

    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        self.reading
            .unit(&self.entry(key)?.word, "duration", unit::parse_duration)
    }

    /// A duration that is not zero.
    pub(super) fn timeout(&self, key: &'static str) -> Option<Duration> {
        let duration = self.duration(key)?;
        if duration.is_zero() {
            self.reading.error(
                code::OUT_OF_RANGE,
                self.value_at(key),
                format!("`{key}` must be more than zero"),
            );
            return None;
        }
        Some(duration)
    }

    /// A size that is not zero and fits in memory.
    pub(super) fn size(&self, key: &'static str) -> Option<usize> {
        let size = self
            .reading
            .unit(&self.entry(key)?.word, "size", unit::parse_size)?;
        let size = self
            .reading
            .in_range(self.value_at(key), size, &(1..=1 << 30))?;
        usize::try_from(size).ok()
    }

    /// Seconds since 1970.
    pub(super) fn date(&self, key: &'static str) -> Option<i64> {
        let word = self.word(key)?;
        let Value::Datetime(datetime) = &word.value else {
            self.reading.wrong_type(
                &word,
                "a date such as 2026-12-31, or a time such as 2026-12-31T18:00:00Z",
            );
            return None;
        };
        let seconds = unix_seconds(datetime);
        if seconds.is_none() {
            let found = Diagnostic::error(
                code::BAD_VALUE,
                word.at,
                "a time needs a date and an offset",
            );
            self.reading.add(found.label("write `Z` behind it for UTC"));
        }
        seconds
    }

    /// A number from 0 to 1.
    pub(super) fn share(&self, key: &'static str) -> Option<f64> {
        let word = self.word(key)?;
        let value = match &word.value {
            Value::Float(value) => *value,
            Value::Integer(0) => 0.0,
            Value::Integer(1) => 1.0,
            Value::Text(text) if word.from_env => text.parse().unwrap_or(f64::NAN),
            Value::Integer(_) => f64::NAN,
            _ => {
                self.reading.wrong_type(&word, "a number from 0 to 1");
                return None;
            }
        };
        if !(0.0..=1.0).contains(&value) {
            let message = format!("`{key}` is a share: a number from 0 to 1");
            self.reading.error(code::OUT_OF_RANGE, word.at, message);
            return None;
        }
        Some(value)
    }

    /// A word out of a closed list, of which the key's table knows the names.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let spot = self.text(key)?;
        let names = choices.iter().map(|(name, _)| *name);
        let parse = |text: &str| {
            choices
                .iter()
                .find(|(name, _)| *name == text)
                .map(|(_, value)| *value)
        };
        self.reading
            .one_of(&spot, &format!("`{key}`"), names, parse)
    }

    /// A path, as seen from the file it is written in, and the bytes behind it.
    pub(super) fn file(&self, key: &'static str) -> Option<(PathBuf, Arc<[u8]>)> {
        let spot = self.text(key)?;
        let path = self.reading.beside(spot.at, &spot.value);
        let bytes = self.reading.bytes(spot.at, &path)?;
        Some((path, bytes))
    }

    /// A secret, which must be a reference.
    pub(super) fn secret(&self, key: &'static str) -> Option<Secret> {
        let word = &self.entry(key)?.word;
        if let Some(referred) = self.reading.referred(word) {
            self.reading.holds_secret(word);
            return referred;
        }
        let found = Diagnostic::error(
            code::PLAIN_SECRET,
            word.at,
            format!("`{key}` may not stand in the policy itself"),
        )
        .conceal();
        self.reading
            .add(found.label("write { file = \"..\" } or { env = \"..\" }"));
        None
    }

    /// Remembers that the value of a key, where it is in a file, must stay secret.
    pub(super) fn holds_secret(&self, key: &'static str) {
        if let Some(entry) = self.entry(key) {
            self.reading.holds_secret(&entry.word);
        }
    }

    /// Text that is written itself or referred to, and is no secret: the file behind it is part of the policy.
    pub(super) fn text_or_file(&self, key: &'static str) -> Option<Spot<String>> {
        let word = &self.entry(key)?.word;
        let Some(path) = word.single("file") else {
            return self.text(key);
        };
        let path = self.reading.text(path)?;
        let beside = self.reading.beside(path.at, &path.value);
        let bytes = self.reading.bytes(path.at, &beside)?;
        Some(Spot {
            at: word.at,
            value: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    /// A value that may be written itself or referred to.
    pub(super) fn referable(&self, key: &'static str) -> Option<Spot<Secret>> {
        let word = &self.entry(key)?.word;
        let value = match self.reading.referred(word) {
            Some(referred) => referred?,
            None => Secret::written(self.text(key)?.value.into_bytes()),
        };
        Some(Spot { at: word.at, value })
    }
}

impl<'r, 'a> Table<'r, 'a> {
    /// A table within this one.
    pub(super) fn table(
        &self,
        key: &'static str,
        noun: &'static super::keys::Noun,
    ) -> Option<Table<'r, 'a>> {
        let entry = self.entry(key)?;
        Table::open(
            self.reading,
            noun,
            entry.key_at,
            format!("`{key}`"),
            &entry.word,
        )
    }
}
