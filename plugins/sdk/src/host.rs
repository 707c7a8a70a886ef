//! The host's functions. Each needs a permission, except reading what was granted and the configuration; a module that imports
//! one that is not granted is not loaded. Off wasm32 they act on what `testing` was given.

use crate::Field;
use crate::Names;
pub use crate::rows::QueryError;
pub use crate::rows::Rows;
use crate::rows::write_args;

/// How loud a log line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Level {
    /// For its author.
    Debug = 0,
    /// Worth knowing.
    Info = 1,
    /// Worth a look.
    Warn = 2,
    /// Worth waking someone.
    Error = 3,
}

/// Why a value was not stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// The namespace holds all it may.
    Full,
    /// `kv_add` met something that is not a number, or the sum does not fit.
    NotANumber,
}

#[cfg(target_arch = "wasm32")]
use crate::import as raw;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::import as raw;

/// What the stage has loaded under a name; `None` where it loads nothing of that name, or where `buffer` is too small for it.
/// Needs `load`.
pub fn loaded<'a>(name: &str, buffer: &'a mut [u8]) -> Option<Rows<'a>> {
    let len = usize::try_from(raw::loaded(name.as_bytes(), 0, buffer)).ok()?;
    Rows::new(buffer.get(..len)?)
}

/// Asks a declared statement and waits for its rows; the buffer holds the arguments first and then the rows. Needs `query`.
///
/// # Errors
/// When there are no rows, and why; what to make of that is the plugin's.
pub fn query<'a>(
    name: &str,
    args: &[Option<&str>],
    buffer: &'a mut [u8],
) -> Result<Rows<'a>, QueryError> {
    let len = write_args(args, buffer).ok_or(QueryError::NoRoom)?;
    let len = match raw::query(name.as_bytes(), &buffer[..len]) {
        -5 => return Err(QueryError::TimedOut),
        -6 => return Err(QueryError::TooMuch),
        -7 => return Err(QueryError::Refused),
        len => usize::try_from(len).map_err(|_| QueryError::Unavailable)?,
    };
    let rows = buffer.get_mut(..len).ok_or(QueryError::NoRoom)?;
    raw::rows(0, rows);
    Rows::new(rows).ok_or(QueryError::Unavailable)
}

/// Writes a line to the log; needs `log`.
pub fn log(level: Level, message: &str) {
    raw::log(level as i32, message.as_bytes());
}

/// Copies a part of a field; says how long the field is, `None` where it is missing.
pub fn get(field: Field, offset: usize, into: &mut [u8]) -> Option<usize> {
    usize::try_from(raw::get(field as i32, offset, into)).ok()
}

/// Whether a field contains a text; `false` where the field is missing.
#[must_use]
pub fn contains(field: Field, needle: &str) -> bool {
    raw::contains(field as i32, needle.as_bytes()) == 1
}

/// Reads the value at a dotted path of the configuration (`roles.0`) into a buffer; `None` where there is none or it does not
/// fit. Texts are as they are, anything else is JSON.
pub fn config<'a>(path: &str, into: &'a mut [u8]) -> Option<&'a str> {
    let len = raw::config(path.as_bytes(), into);
    core::str::from_utf8(into.get(..usize::try_from(len).ok()?)?).ok()
}

/// Reads a stored value into a buffer; `None` where there is none or it does not fit. Needs `kv.read`.
pub fn kv_get<'a>(key: &str, into: &'a mut [u8]) -> Option<&'a [u8]> {
    let len = raw::kv_get(key.as_bytes(), into);
    into.get(..usize::try_from(len).ok()?)
}

/// Stores a value, for ever (0) or for so many milliseconds. Needs `kv.write`.
///
/// # Errors
/// When the namespace is full.
pub fn kv_set(key: &str, value: &[u8], ttl_ms: i64) -> Result<(), StoreError> {
    status(raw::kv_set(key.as_bytes(), value, ttl_ms)).map(|_| ())
}

/// Forgets a stored value; whether there was one. Needs `kv.write`.
pub fn kv_delete(key: &str) -> bool {
    raw::kv_delete(key.as_bytes()) == 1
}

/// Adds to a stored number and gives the sum; a missing one counts as 0 and gets the ttl. Needs `kv.write`.
///
/// # Errors
/// When the namespace is full, or the value is not a number.
pub fn kv_add(key: &str, delta: i64, ttl_ms: i64) -> Result<i64, StoreError> {
    let mut sum = [0; 8];
    status(raw::kv_add(key.as_bytes(), delta, ttl_ms, &mut sum))?;
    Ok(i64::from_le_bytes(sum))
}

/// Stores a value if the old one is as expected (`None`: there is none); whether it did. Needs `kv.write`.
///
/// # Errors
/// When the namespace is full.
pub fn kv_compare_and_swap(
    key: &str,
    old: Option<&[u8]>,
    new: &[u8],
    ttl_ms: i64,
) -> Result<bool, StoreError> {
    status(raw::kv_cas(key.as_bytes(), old, new, ttl_ms)).map(|done| done == 1)
}

/// Raises a counter. Needs `metrics`.
pub fn metric_add(name: &str, value: f64) {
    raw::metric_add(name.as_bytes(), value);
}

/// Sets a gauge. Needs `metrics`.
pub fn metric_set(name: &str, value: f64) {
    raw::metric_set(name.as_bytes(), value);
}

/// Adds to a histogram. Needs `metrics`.
pub fn metric_observe(name: &str, value: f64) {
    raw::metric_observe(name.as_bytes(), value);
}

/// Microseconds since 1970. Needs `time`.
#[must_use]
pub fn now() -> i64 {
    raw::now()
}

/// Sixty-four random bits. Needs `random`.
#[must_use]
pub fn random() -> i64 {
    raw::random()
}

/// The SHA-256 of bytes as 64 lower-case hex digits. Needs `sha256`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 64] {
    let mut hex = [0; 64];
    raw::sha256(bytes, &mut hex);
    hex
}

/// The HMAC-SHA-256 of bytes as 64 lower-case hex digits. Needs `sha256`.
#[must_use]
pub fn hmac_sha256(key: &[u8], bytes: &[u8]) -> [u8; 64] {
    let mut hex = [0; 64];
    raw::hmac_sha256(key, bytes, &mut hex);
    hex
}

/// Whether both are equal, in a time that does not tell where they differ: for secrets and what is made of them.
#[must_use]
pub fn constant_time_equal(left: &[u8], right: &[u8]) -> bool {
    raw::ct_eq(left, right) == 1
}

/// Whether a text field matches a pattern of the permission set; `None` where the field is not granted or has no value.
#[must_use]
pub fn matches(field: Field, pattern: &str) -> Option<bool> {
    match raw::matches(field as i32, pattern.as_bytes()) {
        -1 => None,
        found => Some(found == 1),
    }
}

/// The fingerprint of a statement's text, as in `sql.fingerprint`.
#[must_use]
pub fn fingerprint(text: &str) -> u64 {
    raw::fingerprint(text.as_bytes()) as u64
}

/// A statement's text with `$n` for literals; `None` where `buffer` is too small for it.
pub fn normalize<'a>(text: &str, buffer: &'a mut [u8]) -> Option<&'a str> {
    let len = usize::try_from(raw::normalize(text.as_bytes(), buffer)).ok()?;
    core::str::from_utf8(buffer.get(..len)?).ok()
}

/// The tables a statement's text names; `None` where the text cannot be read, or `buffer` is too small for them.
pub fn tables<'a>(text: &str, buffer: &'a mut [u8]) -> Option<Names<'a>> {
    let len = usize::try_from(raw::tables(text.as_bytes(), buffer)).ok()?;
    Some(Names::new(buffer.get(..len)?))
}

/// A value of the cache; `None` where there is none, or where `buffer` is too small for it. Needs `cache`.
pub fn cache_get<'a>(key: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(raw::cache_get(key.as_bytes(), buffer)).ok()?;
    buffer.get(..len)
}

/// Puts a value into the cache, for `ttl_ms` milliseconds or, with 0, until it is driven out. Needs `cache`.
///
/// # Errors
/// When the value is larger than the cache.
pub fn cache_put(key: &str, value: &[u8], ttl_ms: i64) -> Result<(), StoreError> {
    status(raw::cache_put(key.as_bytes(), value, ttl_ms)).map(|_| ())
}

/// Forgets a value of the cache; whether there was one. Needs `cache`.
pub fn cache_delete(key: &str) -> bool {
    raw::cache_delete(key.as_bytes()) == 1
}

/// Sets an attribute that later stages see. Needs `attributes`.
pub fn attribute_set(name: &str, value: &str) {
    raw::attribute_set(name.as_bytes(), value.as_bytes());
}

/// Runs the `custom` chain for an event, after this call. Needs `emit`.
pub fn emit(name: &str, payload: &str) {
    raw::emit(name.as_bytes(), payload.as_bytes());
}

fn status(status: i32) -> Result<i32, StoreError> {
    match status {
        -3 => Err(StoreError::NotANumber),
        negative if negative < 0 => Err(StoreError::Full),
        done => Ok(done),
    }
}
