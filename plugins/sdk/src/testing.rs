//! A host for a plugin's own tests: inputs built field by field, a store and a configuration per thread, answers read back.
//! Owns no permission: what a test gives is there. The sandbox's rules are tested in the sandbox.

mod sha256;

mod rows;
mod verdict;

pub use rows::rows;

use crate::Context;
use crate::Field;
use crate::Verdict;
use crate::host::QueryError;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What the functions of [`crate::host`] find and leave, per thread.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Configuration by dotted path: `roles.0`.
    pub config: BTreeMap<String, String>,
    /// Stored values.
    pub kv: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Nothing more can be stored or cached.
    pub full: bool,
    /// What the cache holds.
    pub cache: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Whether a field, by its number, matches a pattern, by its name.
    pub matches: BTreeMap<(u16, String), bool>,
    /// The tables that a text names, each a schema or `None` and a name; other texts cannot be read.
    pub tables: BTreeMap<String, Vec<(Option<String>, String)>>,
    /// Texts without their literals; other texts are as they are.
    pub normalized: BTreeMap<String, String>,
    /// Attributes that were set.
    pub attributes: BTreeMap<String, String>,
    /// Events that were emitted: name and payload.
    pub events: Vec<(String, String)>,
    /// What the stage has loaded, by name; [`rows`] makes it.
    pub loaded: BTreeMap<String, Vec<u8>>,
    /// What `query` gives for a statement and its arguments. What is not here is unavailable.
    pub queries: BTreeMap<Question, Result<Vec<u8>, QueryError>>,
    /// The rows of the last query that succeeded.
    queried: Vec<u8>,
    /// Log lines.
    pub log: Vec<String>,
    /// Metric changes, as `name value`.
    pub metrics: Vec<String>,
    /// The time, in microseconds since 1970.
    pub now: i64,
    /// What the functions that look at fields find.
    fields: BTreeMap<u16, Vec<u8>>,
}

/// A statement's name and its arguments.
pub type Question = (String, Vec<Option<String>>);

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// Looks at this thread's host, or changes it.
pub fn host<R>(with: impl FnOnce(&mut Host) -> R) -> R {
    HOST.with_borrow_mut(with)
}

/// An input in the making.
#[derive(Clone, Debug, Default)]
pub struct Input {
    fields: BTreeMap<u16, (u16, Vec<u8>)>,
    large: BTreeMap<u16, Vec<u8>>,
}

impl Input {
    /// An input without fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a text.
    #[must_use]
    pub fn text(mut self, field: Field, text: &str) -> Self {
        self.fields
            .insert(field as u16, (1, text.as_bytes().to_vec()));
        self
    }

    /// With a number.
    #[must_use]
    pub fn number(mut self, field: Field, number: u64) -> Self {
        self.fields
            .insert(field as u16, (2, number.to_le_bytes().to_vec()));
        self
    }

    /// With a flag.
    #[must_use]
    pub fn flag(mut self, field: Field, flag: bool) -> Self {
        self.fields.insert(field as u16, (3, vec![u8::from(flag)]));
        self
    }

    /// With a list; names of tables are a schema or `None`, then a name.
    #[must_use]
    pub fn items(mut self, field: Field, items: &[Option<&str>]) -> Self {
        let mut bytes = Vec::new();
        items.iter().for_each(|text| item(&mut bytes, *text));
        self.fields.insert(field as u16, (4, bytes));
        self
    }

    /// With pairs: the claims and attributes of a user, the attributes that stages have set.
    #[must_use]
    pub fn pairs(self, field: Field, pairs: &[(&str, &str)]) -> Self {
        let items: Vec<Option<&str>> = pairs
            .iter()
            .flat_map(|(key, value)| [Some(*key), Some(*value)])
            .collect();
        self.items(field, &items)
    }

    /// With a large field.
    #[must_use]
    pub fn large(mut self, field: Field, text: &str) -> Self {
        self.large.insert(field as u16, text.as_bytes().to_vec());
        self
    }

    /// Asks a plugin's function.
    pub fn ask(&self, function: fn(&Context<'_>) -> Verdict) -> Verdict {
        let small = self.fields.iter().map(|(id, (_, bytes))| (*id, bytes));
        let large = self.large.iter().map(|(id, bytes)| (*id, bytes));
        let fields = small.chain(large);
        let fields = fields.map(|(id, bytes)| (id, bytes.clone())).collect();
        host(|host| host.fields = fields);
        let frame = self.frame();
        let Some(context) = Context::new(&frame) else {
            unreachable!("a frame built here begins with the magic");
        };
        function(&context)
    }

    fn frame(&self) -> Vec<u8> {
        let mut entries: BTreeMap<u16, (u16, usize, &[u8])> = BTreeMap::new();
        for (id, (kind, bytes)) in &self.fields {
            entries.insert(*id, (*kind, bytes.len(), bytes));
        }
        for (id, bytes) in &self.large {
            entries.insert(*id, (7, bytes.len(), &[]));
        }
        let mut out = b"pgw1\0\0\0\0".to_vec();
        out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        let mut offset = out.len() + entries.len() * 12;
        for (id, (kind, len, bytes)) in &entries {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&kind.to_le_bytes());
            let at = if *kind == 7 { 0 } else { offset as u32 };
            out.extend_from_slice(&at.to_le_bytes());
            out.extend_from_slice(&(*len as u32).to_le_bytes());
            offset += bytes.len();
        }
        entries
            .values()
            .for_each(|(_, _, bytes)| out.extend_from_slice(bytes));
        out
    }
}

/// An item of a list, as a frame has it.
fn item(bytes: &mut Vec<u8>, item: Option<&str>) {
    let len = item.map_or(u32::MAX, |item| item.len() as u32);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(item.unwrap_or_default().as_bytes());
}

/// What the functions of [`crate::host`] call off wasm32.
pub(crate) mod import {
    use super::host;
    use crate::host::QueryError;

    const FULL: i32 = -2;

    fn give(content: &[u8], into: &mut [u8]) -> i32 {
        let len = content.len().min(into.len());
        into[..len].copy_from_slice(&content[..len]);
        content.len() as i32
    }

    pub(crate) fn log(_level: i32, message: &[u8]) {
        host(|host| host.log.push(String::from_utf8_lossy(message).into_owned()));
    }

    pub(crate) fn get(field: i32, offset: usize, into: &mut [u8]) -> i32 {
        host(|host| match host.fields.get(&(field as u16)) {
            Some(content) => {
                give(&content[offset.min(content.len())..], into);
                content.len() as i32
            }
            None => -1,
        })
    }

    pub(crate) fn contains(field: i32, needle: &[u8]) -> i32 {
        host(|host| match host.fields.get(&(field as u16)) {
            Some(content) => i32::from(
                needle.is_empty() || content.windows(needle.len()).any(|window| window == needle),
            ),
            None => -1,
        })
    }

    pub(crate) fn config(path: &[u8], into: &mut [u8]) -> i32 {
        let path = String::from_utf8_lossy(path).into_owned();
        host(|host| {
            host.config
                .get(&path)
                .map_or(-1, |value| give(value.as_bytes(), into))
        })
    }

    pub(crate) fn kv_get(key: &[u8], into: &mut [u8]) -> i32 {
        host(|host| host.kv.get(key).map_or(-1, |value| give(value, into)))
    }

    pub(crate) fn kv_set(key: &[u8], value: &[u8], _ttl_ms: i64) -> i32 {
        host(|host| {
            if host.full {
                return FULL;
            }
            host.kv.insert(key.to_vec(), value.to_vec());
            0
        })
    }

    pub(crate) fn kv_delete(key: &[u8]) -> i32 {
        host(|host| i32::from(host.kv.remove(key).is_some()))
    }

    pub(crate) fn kv_add(key: &[u8], delta: i64, _ttl_ms: i64, sum: &mut [u8; 8]) -> i32 {
        host(|host| {
            let old = host
                .kv
                .get(key)
                .map_or("0", |old| std::str::from_utf8(old).unwrap_or("-"));
            let Some(new) = old
                .parse::<i64>()
                .ok()
                .and_then(|old| old.checked_add(delta))
            else {
                return -3;
            };
            if host.full {
                return FULL;
            }
            host.kv.insert(key.to_vec(), new.to_string().into_bytes());
            *sum = new.to_le_bytes();
            0
        })
    }

    pub(crate) fn kv_cas(key: &[u8], old: Option<&[u8]>, new: &[u8], _ttl_ms: i64) -> i32 {
        host(|host| {
            let same = host.kv.get(key).map(Vec::as_slice) == old;
            if same && host.full {
                return FULL;
            }
            if same {
                host.kv.insert(key.to_vec(), new.to_vec());
            }
            i32::from(same)
        })
    }

    fn metric(name: &[u8], value: f64) {
        host(|host| {
            host.metrics
                .push(format!("{} {value}", String::from_utf8_lossy(name)))
        });
    }

    pub(crate) fn metric_add(name: &[u8], value: f64) {
        metric(name, value);
    }

    pub(crate) fn metric_set(name: &[u8], value: f64) {
        metric(name, value);
    }

    pub(crate) fn metric_observe(name: &[u8], value: f64) {
        metric(name, value);
    }

    pub(crate) fn now() -> i64 {
        host(|host| host.now)
    }

    pub(crate) fn random() -> i64 {
        4
    }

    pub(crate) fn sha256(bytes: &[u8], hex: &mut [u8; 64]) {
        write_hex(&super::sha256::sha256(bytes), hex);
    }

    pub(crate) fn hmac_sha256(key: &[u8], bytes: &[u8], hex: &mut [u8; 64]) {
        write_hex(&super::sha256::hmac(key, bytes), hex);
    }

    fn write_hex(bytes: &[u8; 32], hex: &mut [u8; 64]) {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.copy_from_slice(digits.as_bytes());
    }

    pub(crate) fn ct_eq(left: &[u8], right: &[u8]) -> i32 {
        i32::from(left == right)
    }

    pub(crate) fn matches(field: i32, pattern: &[u8]) -> i32 {
        let pattern = String::from_utf8_lossy(pattern).into_owned();
        host(|host| {
            let known = host.matches.get(&(field as u16, pattern));
            known.map_or(-1, |matches| i32::from(*matches))
        })
    }

    /// The same number for the same text.
    pub(crate) fn fingerprint(text: &[u8]) -> i64 {
        text.iter().fold(0, |sum, byte| {
            (sum ^ i64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    pub(crate) fn normalize(text: &[u8], into: &mut [u8]) -> i32 {
        let given = String::from_utf8_lossy(text).into_owned();
        host(|host| match host.normalized.get(&given) {
            Some(normalized) => give(normalized.as_bytes(), into),
            None => give(text, into),
        })
    }

    pub(crate) fn tables(text: &[u8], into: &mut [u8]) -> i32 {
        let text = String::from_utf8_lossy(text).into_owned();
        host(|host| {
            let Some(tables) = host.tables.get(&text) else {
                return -1;
            };
            let mut bytes = Vec::new();
            for (schema, name) in tables {
                super::item(&mut bytes, schema.as_deref());
                super::item(&mut bytes, Some(name));
            }
            give(&bytes, into)
        })
    }

    pub(crate) fn cache_get(key: &[u8], into: &mut [u8]) -> i32 {
        host(|host| host.cache.get(key).map_or(-1, |value| give(value, into)))
    }

    pub(crate) fn cache_put(key: &[u8], value: &[u8], _ttl_ms: i64) -> i32 {
        host(|host| {
            if host.full {
                return FULL;
            }
            host.cache.insert(key.to_vec(), value.to_vec());
            0
        })
    }

    pub(crate) fn cache_delete(key: &[u8]) -> i32 {
        host(|host| i32::from(host.cache.remove(key).is_some()))
    }

    pub(crate) fn attribute_set(name: &[u8], value: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        host(|host| host.attributes.insert(text(name), text(value)));
    }

    pub(crate) fn loaded(name: &[u8], offset: usize, into: &mut [u8]) -> i32 {
        let name = String::from_utf8_lossy(name).into_owned();
        host(|host| {
            host.loaded
                .get(&name)
                .map_or(-1, |rows| part(rows, offset, into))
        })
    }

    pub(crate) fn query(name: &[u8], mut args: &[u8]) -> i32 {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut question = (text(name), Vec::new());
        while let Some((len, rest)) = args.split_first_chunk::<4>() {
            let len = u32::from_le_bytes(*len);
            let taken = if len == u32::MAX { 0 } else { len as usize };
            let (arg, rest) = rest.split_at(taken);
            question.1.push((len != u32::MAX).then(|| text(arg)));
            args = rest;
        }
        host(|host| match host.queries.get(&question) {
            Some(Ok(rows)) => {
                host.queried.clone_from(rows);
                host.queried.len() as i32
            }
            Some(Err(QueryError::TimedOut)) => -5,
            Some(Err(QueryError::TooMuch)) => -6,
            Some(Err(QueryError::Refused)) => -7,
            Some(Err(QueryError::Unavailable | QueryError::NoRoom)) | None => -4,
        })
    }

    pub(crate) fn rows(offset: usize, into: &mut [u8]) -> i32 {
        host(|host| part(&host.queried, offset, into))
    }

    fn part(bytes: &[u8], offset: usize, into: &mut [u8]) -> i32 {
        give(&bytes[offset.min(bytes.len())..], into);
        bytes.len() as i32
    }

    pub(crate) fn emit(name: &[u8], payload: &[u8]) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        host(|host| host.events.push((text(name), text(payload))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;
    use crate::host as functions;
    use crate::host::StoreError;

    fn busy(context: &Context<'_>) -> Verdict {
        let mut buffer = [0; 64];
        let text = "SELECT * FROM s.a, b";
        let Some(mut tables) = functions::tables(text, &mut buffer) else {
            return Verdict::allow();
        };
        let first = Name {
            schema: Some("s"),
            name: "a",
        };
        assert_eq!(tables.next(), Some(first));
        assert_eq!(tables.next().map(|table| table.name), Some("b"));
        assert_eq!(tables.next(), None);
        assert!(context.contains(Field::UserName, "ad"));
        assert!(context.contains(Field::Text, "secret"));
        assert_eq!(functions::matches(Field::Text, "pan"), Some(true));
        assert_eq!(
            functions::normalize("SELECT 1", &mut [0; 16]),
            Some("select $1")
        );
        functions::attribute_set("plan", "gold");
        functions::emit("seen", "ada");
        assert_eq!(functions::cache_put("k", b"v", 0), Ok(()));
        assert_eq!(functions::kv_add("n", 2, 0), Ok(2));
        Verdict::next()
    }

    #[test]
    fn functions_find_what_the_test_gave_and_leave_what_it_can_look_at() {
        host(|host| {
            *host = Host::default();
            let tables = vec![
                (Some("s".to_owned()), "a".to_owned()),
                (None, "b".to_owned()),
            ];
            host.tables
                .insert("SELECT * FROM s.a, b".to_owned(), tables);
            host.matches
                .insert((Field::Text as u16, "pan".to_owned()), true);
            host.normalized
                .insert("SELECT 1".to_owned(), "select $1".to_owned());
        });
        let input = Input::new()
            .text(Field::UserName, "ada")
            .pairs(Field::SessionAttributes, &[("plan", "free")])
            .large(Field::Text, "a secret");
        assert_eq!(input.ask(busy), Verdict::next());
        host(|host| {
            assert_eq!(host.attributes["plan"], "gold");
            assert_eq!(host.events, [("seen".to_owned(), "ada".to_owned())]);
            assert_eq!(host.cache[&b"k"[..]], b"v");
            assert_eq!(host.kv[&b"n"[..]], b"2");
            host.full = true;
        });
        assert_eq!(functions::kv_set("n", b"3", 0), Err(StoreError::Full));
        assert_eq!(functions::cache_put("k", b"w", 0), Err(StoreError::Full));
        let hex = functions::sha256(b"abc");
        assert!(hex.starts_with(b"ba7816bf"));
    }
}
