//! Prepared statements on one server connection: which texts it knows, under which names, and which to forget next.

use foldhash::HashMap;
use foldhash::HashMapExt as _;
use siphasher::sip128::Hasher128 as _;
use siphasher::sip128::SipHasher13;
use std::hash::BuildHasher;
use std::hash::Hasher as _;
use std::hash::RandomState;
use std::sync::LazyLock;

/// What makes two prepared statements the same: text and declared parameter types, as a keyed 128-bit hash.
///
/// The key is drawn per process, so a client cannot make two texts meet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StatementKey(u128);

static HASH_KEYS: LazyLock<[u64; 2]> = LazyLock::new(|| {
    let [low, high] = [(); 2].map(|()| RandomState::new().hash_one(()));
    [low, high]
});

impl StatementKey {
    /// The key of a text and the parameter types as Parse carries them, under settings whose hash is `settings`: what a text
    /// means depends on encoding, search_path, DateStyle and the like (pitfall P4).
    #[must_use]
    pub fn new(sql: &[u8], types: &[u8], settings: u64) -> Self {
        let [low, high] = *HASH_KEYS;
        let mut hasher = SipHasher13::new_with_keys(low, high);
        hasher.write_u64(settings);
        hasher.write_usize(types.len());
        hasher.write(types);
        hasher.write(sql);
        Self(hasher.finish128().as_u128())
    }

    /// Bytes of its name.
    pub const NAME_BYTES: usize = 36;

    /// Its name on every server connection.
    #[must_use]
    pub fn name(self) -> String {
        format!("pgw_{:032x}", self.0)
    }

    /// Appends its name, without a zero.
    pub fn push_name(self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        out.extend_from_slice(b"pgw_");
        for byte in self.0.to_be_bytes() {
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        }
    }
}

/// The prepared statements of one server connection.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    known: HashMap<StatementKey, u64>,
    unnamed: Option<StatementKey>,
    clock: u64,
}

impl Prepared {
    pub(super) fn new() -> Self {
        Self {
            known: HashMap::new(),
            unnamed: None,
            clock: 0,
        }
    }

    /// Whether the statement is there; marks it as used.
    pub(super) fn touch(&mut self, key: StatementKey) -> bool {
        self.clock += 1;
        let clock = self.clock;
        self.known.get_mut(&key).map(|used| *used = clock).is_some()
    }

    /// Notes a statement, and names the one to close for it when there are more than `max`.
    /// One used since `batch_start` may still be named by messages under way and is never chosen.
    pub(super) fn insert(
        &mut self,
        key: StatementKey,
        max: usize,
        batch_start: u64,
    ) -> Option<StatementKey> {
        self.clock += 1;
        self.known.insert(key, self.clock);
        if self.known.len() <= max {
            return None;
        }
        let (&oldest, &used) = self.known.iter().min_by_key(|(_, used)| **used)?;
        if batch_start < used {
            return None;
        }
        self.known.remove(&oldest);
        Some(oldest)
    }

    /// A statement that is there after all, the first to go.
    pub(super) fn put_back(&mut self, key: StatementKey) {
        self.known.entry(key).or_insert(0);
    }

    pub(super) fn remove(&mut self, key: StatementKey) {
        self.known.remove(&key);
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.unnamed = None;
    }

    pub(super) fn clock(&self) -> u64 {
        self.clock
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn unnamed(&self) -> Option<StatementKey> {
        self.unnamed
    }

    pub(super) fn set_unnamed(&mut self, key: Option<StatementKey>) {
        self.unnamed = key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_but_never_one_in_use() {
        let key = |text: &str| StatementKey::new(text.as_bytes(), b"\0\0", 0);
        let mut prepared = Prepared::new();
        assert_eq!(prepared.insert(key("a"), 2, 0), None);
        assert_eq!(prepared.insert(key("b"), 2, 0), None);
        assert!(prepared.touch(key("a")));
        let batch = prepared.clock();
        assert_eq!(prepared.insert(key("c"), 2, batch), Some(key("b")));
        assert_eq!(prepared.insert(key("d"), 2, 0), None, "all are in use");
        assert!(!prepared.touch(key("b")));
    }

    #[test]
    fn text_and_types_make_the_key() {
        assert_ne!(
            StatementKey::new(b"a", b"\0\0", 0),
            StatementKey::new(b"a", b"\0\x01\0\0\0\x17", 0)
        );
        assert_eq!(
            StatementKey::new(b"a", b"\0\0", 0),
            StatementKey::new(b"a", b"\0\0", 0)
        );
        let key = StatementKey::new(b"a", b"\0\0", 0);
        let mut name = Vec::new();
        key.push_name(&mut name);
        assert_eq!(name, key.name().into_bytes());
        assert_eq!(name.len(), StatementKey::NAME_BYTES);
    }
}
