//! Values that guests keep between calls: one bounded map per namespace, each behind its own lock.
//! Owns no clock (the time is an argument) and no permission (`host` asks for that).

use dashmap::DashMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Bytes of bookkeeping an entry is counted with, so that many tiny entries are not free.
const ENTRY_OVERHEAD_BYTES: usize = 64;

/// Keys of a namespace that a store over another remembers as deleted.
const DELETED_MAX: usize = 10_000;

/// What a namespace may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// Keys.
    pub keys_max: usize,
    /// Bytes of keys and values, with 64 bytes of bookkeeping for each entry.
    pub bytes_max: usize,
}

/// Why a value was not stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The namespace holds all it may.
    #[error("the namespace is full")]
    Full,
    /// `add` met something that is not a number, or the sum does not fit.
    #[error("not a number, or the sum is out of range")]
    NotANumber,
}

#[derive(Clone, Debug)]
struct Entry {
    value: Arc<[u8]>,
    /// Microseconds since 1970; `u64::MAX` for never.
    expires: u64,
}

/// One namespace. Keys come from clients in the end, so the map hashes with a key of its own.
#[derive(Debug)]
struct Namespace {
    entries: HashMap<Box<[u8]>, Entry>,
    bytes: usize,
    /// No entry expires before this: sweeping earlier finds nothing.
    first_expiry: u64,
    /// Of a store over another: keys that were deleted here, and are there beneath.
    deleted: HashSet<Box<[u8]>>,
}

/// Stored values of all namespaces. Survives reloads.
#[derive(Debug, Default)]
pub struct Store {
    namespaces: DashMap<Arc<str>, Arc<Mutex<Namespace>>>,
    /// Whose values are read where this one has none of its own.
    beneath: Option<Arc<Store>>,
}

impl Store {
    /// A store that reads the values of another, and changes none of them: what is written here is seen here alone, and from
    /// then on hides what is beneath.
    #[must_use]
    pub fn over(beneath: Arc<Self>) -> Self {
        Self {
            namespaces: DashMap::new(),
            beneath: Some(beneath),
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, namespace: &str, key: &[u8], now: u64) -> Option<Arc<[u8]>> {
        Some(self.entry(namespace, key, now)?.value)
    }

    fn entry(&self, namespace: &str, key: &[u8], now: u64) -> Option<Entry> {
        if let Some(own) = self.existing(namespace) {
            let mut own = lock(&own);
            if let Some(entry) = own.live(key, now) {
                return Some(entry.clone());
            }
            if own.deleted.contains(key) {
                return None;
            }
        }
        let beneath = self.beneath.as_ref()?;
        beneath.entry(namespace, key, now)
    }

    /// Takes the value beneath over before it is changed here.
    fn take_over(
        &self,
        namespace: &Arc<str>,
        quota: Quota,
        key: &[u8],
        now: u64,
    ) -> Result<(), StoreError> {
        let Some(beneath) = &self.beneath else {
            return Ok(());
        };
        let own = self.open(namespace);
        let mut own = lock(&own);
        if own.live(key, now).is_none()
            && !own.deleted.contains(key)
            && let Some(Entry { value, expires }) = beneath.entry(namespace, key, now)
        {
            own.put(quota, key, &value, expires, now)?;
        }
        Ok(())
    }

    /// Sets a value, for ever or for `ttl` microseconds.
    ///
    /// # Errors
    /// When the namespace is full.
    pub fn set(
        &self,
        namespace: &Arc<str>,
        quota: Quota,
        key: &[u8],
        value: &[u8],
        ttl: Option<u64>,
        now: u64,
    ) -> Result<(), StoreError> {
        let namespace = self.open(namespace);
        lock(&namespace).put(quota, key, value, expiry(ttl, now), now)
    }

    /// Sets a value, and makes room for it: what expires first goes first.
    ///
    /// # Errors
    /// When it is larger than all the namespace may hold.
    pub fn put_evicting(
        &self,
        namespace: &Arc<str>,
        quota: Quota,
        key: &[u8],
        value: &[u8],
        ttl: Option<u64>,
        now: u64,
    ) -> Result<(), StoreError> {
        let namespace = self.open(namespace);
        let mut namespace = lock(&namespace);
        let expires = expiry(ttl, now);
        if namespace.put(quota, key, value, expires, now).is_err() {
            namespace.make_room();
            namespace.put(quota, key, value, expires, now)?;
        }
        Ok(())
    }

    /// Forgets a key; whether it was there.
    pub fn delete(&self, namespace: &str, key: &[u8], now: u64) -> bool {
        if let Some(beneath) = &self.beneath
            && beneath.entry(namespace, key, now).is_some()
        {
            let own = self.open(&Arc::from(namespace));
            let mut own = lock(&own);
            let was_seen = own.remove(key) | !own.deleted.contains(key);
            if own.deleted.len() < DELETED_MAX {
                own.deleted.insert(key.into());
            }
            return was_seen;
        }
        let Some(namespace) = self.existing(namespace) else {
            return false;
        };
        let mut namespace = lock(&namespace);
        namespace.live(key, now).is_some() && namespace.remove(key)
    }

    /// Adds to a number and returns the sum. A missing key counts as 0 and gets the `ttl`; an existing one keeps its own.
    ///
    /// # Errors
    /// When the value is not a number, the sum does not fit, or the namespace is full.
    pub fn add(
        &self,
        namespace: &Arc<str>,
        quota: Quota,
        key: &[u8],
        delta: i64,
        ttl: Option<u64>,
        now: u64,
    ) -> Result<i64, StoreError> {
        self.take_over(namespace, quota, key, now)?;
        let namespace = self.open(namespace);
        let mut namespace = lock(&namespace);
        let (old, expires) = match namespace.live(key, now) {
            Some(entry) => {
                let text = std::str::from_utf8(&entry.value).map_err(|_| StoreError::NotANumber)?;
                (
                    text.parse::<i64>().map_err(|_| StoreError::NotANumber)?,
                    entry.expires,
                )
            }
            None => (0, expiry(ttl, now)),
        };
        let sum = old.checked_add(delta).ok_or(StoreError::NotANumber)?;
        namespace.put(quota, key, sum.to_string().as_bytes(), expires, now)?;
        Ok(sum)
    }

    /// Sets a value if the old one is as expected (`None`: there is none); whether it did.
    ///
    /// # Errors
    /// When the namespace is full.
    #[expect(
        clippy::too_many_arguments,
        reason = "one atomic step needs all of them, and each is a plain value"
    )]
    pub fn compare_and_swap(
        &self,
        namespace: &Arc<str>,
        quota: Quota,
        key: &[u8],
        expected: Option<&[u8]>,
        value: &[u8],
        ttl: Option<u64>,
        now: u64,
    ) -> Result<bool, StoreError> {
        self.take_over(namespace, quota, key, now)?;
        let namespace = self.open(namespace);
        let mut namespace = lock(&namespace);
        if namespace.live(key, now).map(|entry| &*entry.value) != expected {
            return Ok(false);
        }
        namespace.put(quota, key, value, expiry(ttl, now), now)?;
        Ok(true)
    }

    /// Keys and bytes a namespace holds.
    #[must_use]
    pub fn usage(&self, namespace: &str) -> (usize, usize) {
        self.existing(namespace).map_or((0, 0), |namespace| {
            let namespace = lock(&namespace);
            (namespace.entries.len(), namespace.bytes)
        })
    }

    fn existing(&self, namespace: &str) -> Option<Arc<Mutex<Namespace>>> {
        self.namespaces
            .get(namespace)
            .map(|found| Arc::clone(&found))
    }

    fn open(&self, namespace: &Arc<str>) -> Arc<Mutex<Namespace>> {
        if let Some(found) = self.existing(namespace) {
            return found;
        }
        Arc::clone(
            &self
                .namespaces
                .entry(Arc::clone(namespace))
                .or_insert_with(|| Arc::new(Mutex::new(Namespace::new()))),
        )
    }
}

/// No code of a guest runs under the lock, so a poisoned one is still consistent.
fn lock(namespace: &Mutex<Namespace>) -> MutexGuard<'_, Namespace> {
    namespace.lock().unwrap_or_else(PoisonError::into_inner)
}

fn expiry(ttl: Option<u64>, now: u64) -> u64 {
    ttl.map_or(u64::MAX, |ttl| now.saturating_add(ttl))
}

fn weight(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_OVERHEAD_BYTES
}

impl Namespace {
    fn new() -> Self {
        Self {
            entries: HashMap::new(),
            bytes: 0,
            first_expiry: u64::MAX,
            deleted: HashSet::new(),
        }
    }

    fn live(&mut self, key: &[u8], now: u64) -> Option<&Entry> {
        if self.entries.get(key)?.expires <= now {
            self.remove(key);
            return None;
        }
        self.entries.get(key)
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let Some(entry) = self.entries.remove(key) else {
            return false;
        };
        self.bytes -= weight(key, &entry.value);
        true
    }

    fn put(
        &mut self,
        quota: Quota,
        key: &[u8],
        value: &[u8],
        expires: u64,
        now: u64,
    ) -> Result<(), StoreError> {
        if !self.fits(quota, key, value) {
            self.sweep(now);
            if !self.fits(quota, key, value) {
                return Err(StoreError::Full);
            }
        }
        self.remove(key);
        self.deleted.remove(key);
        self.bytes += weight(key, value);
        self.first_expiry = self.first_expiry.min(expires);
        self.entries.insert(
            key.into(),
            Entry {
                value: value.into(),
                expires,
            },
        );
        Ok(())
    }

    /// Drops the quarter of the entries that would expire first, so that the next puts find room at once.
    fn make_room(&mut self) {
        let mut order: Vec<(u64, Box<[u8]>)> = self
            .entries
            .iter()
            .map(|(key, entry)| (entry.expires, key.clone()))
            .collect();
        let dropped = order.len().div_ceil(4);
        if dropped < order.len() {
            order.select_nth_unstable(dropped);
        }
        for (_, key) in order.into_iter().take(dropped) {
            self.remove(&key);
        }
    }

    fn fits(&self, quota: Quota, key: &[u8], value: &[u8]) -> bool {
        let (keys, bytes) = match self.entries.get(key) {
            Some(old) => (self.entries.len(), self.bytes - weight(key, &old.value)),
            None => (self.entries.len() + 1, self.bytes),
        };
        keys <= quota.keys_max && bytes.saturating_add(weight(key, value)) <= quota.bytes_max
    }

    fn sweep(&mut self, now: u64) {
        if now < self.first_expiry {
            return;
        }
        let mut bytes = 0;
        let mut first_expiry = u64::MAX;
        self.entries.retain(|key, entry| {
            let keep = now < entry.expires;
            if keep {
                bytes += weight(key, &entry.value);
                first_expiry = first_expiry.min(entry.expires);
            }
            keep
        });
        self.bytes = bytes;
        self.first_expiry = first_expiry;
    }
}

#[cfg(test)]
mod tests;
