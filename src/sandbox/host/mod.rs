//! The one table of host functions and the one gate in front of them: permission, charge, then the call.
//! Owns no engine: a shim turns its arguments into a `Request` and a `Response` into its results, and decides nothing.

mod perform;

use super::Fault;
use super::Level;
use super::MetricOp;
use super::StoreError;
use super::permission::Call;
use super::turn::Turn;
use crate::hook::abi::Field;
use perform::perform;
use std::borrow::Cow;
use std::sync::Arc;

/// One host function's row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) function: HostFunction,
    /// The import's name in a module.
    pub(crate) import: &'static str,
    /// Module and name in a script; `None` where a script has a variable or a method for it.
    pub(crate) script: Option<(&'static str, &'static str)>,
    /// The permission it needs; `None` where what it reaches was granted by `see`.
    pub(crate) needs: Option<Call>,
}

/// Everything a guest may call, whatever its engine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HostFunction {
    /// A line in the log.
    Log,
    /// A field of the input, or a part of it.
    Get,
    /// Whether a text field contains a text.
    Contains,
    /// A value of the configuration.
    Config,
    /// A stored value.
    KvGet,
    /// Stores a value.
    KvSet,
    /// Forgets a stored value.
    KvDelete,
    /// Adds to a stored number.
    KvAdd,
    /// Replaces a stored value if it is as expected.
    KvCompareAndSwap,
    /// Raises a counter.
    MetricAdd,
    /// Sets a gauge.
    MetricSet,
    /// Adds to a histogram.
    MetricObserve,
    /// The time of day.
    Now,
    /// A random number.
    Random,
    /// The SHA-256 of bytes, as lower-case hex.
    Sha256,
    /// The HMAC-SHA-256 of bytes, as lower-case hex.
    HmacSha256,
    /// Whether two texts are equal, in a time that does not tell where they differ.
    ConstantTimeEqual,
    /// Whether a text field matches a pattern of the permission set.
    Matches,
    /// The fingerprint of a statement's text.
    Fingerprint,
    /// A statement's text with `$n` for literals.
    Normalize,
    /// A value of the cache.
    CacheGet,
    /// Puts a value into the cache; the oldest go when it is full.
    CachePut,
    /// Forgets a value of the cache.
    CacheDelete,
    /// Sets an attribute that later stages see.
    AttributeSet,
    /// Runs the `custom` chain for an event, after this call.
    Emit,
}

use HostFunction as F;

/// In the order of the enum. All are legal at every hook; an observer may store, count and log.
static TABLE: [Row; 25] = [
    row(F::Log, "log", None, Some(Call::Log)),
    row(F::Get, "get", None, None),
    row(F::Contains, "contains", Some(("field", "contains")), None),
    row(F::Config, "config", None, None),
    row(F::KvGet, "kv_get", Some(("kv", "get")), Some(Call::KvRead)),
    row(F::KvSet, "kv_set", Some(("kv", "set")), Some(Call::KvWrite)),
    row(
        F::KvDelete,
        "kv_delete",
        Some(("kv", "delete")),
        Some(Call::KvWrite),
    ),
    row(F::KvAdd, "kv_add", Some(("kv", "add")), Some(Call::KvWrite)),
    row(
        F::KvCompareAndSwap,
        "kv_cas",
        Some(("kv", "cas")),
        Some(Call::KvWrite),
    ),
    row(
        F::MetricAdd,
        "metric_add",
        Some(("metric", "add")),
        Some(Call::Metrics),
    ),
    row(
        F::MetricSet,
        "metric_set",
        Some(("metric", "set")),
        Some(Call::Metrics),
    ),
    row(
        F::MetricObserve,
        "metric_observe",
        Some(("metric", "observe")),
        Some(Call::Metrics),
    ),
    row(F::Now, "now", Some(("time", "now")), Some(Call::Time)),
    row(
        F::Random,
        "random",
        Some(("random", "number")),
        Some(Call::Random),
    ),
    row(
        F::Sha256,
        "sha256",
        Some(("sha256", "hex")),
        Some(Call::Sha256),
    ),
    row(
        F::HmacSha256,
        "hmac_sha256",
        Some(("sha256", "hmac")),
        Some(Call::Sha256),
    ),
    row(
        F::ConstantTimeEqual,
        "ct_eq",
        Some(("sha256", "equal")),
        None,
    ),
    row(F::Matches, "matches", Some(("field", "matches")), None),
    row(
        F::Fingerprint,
        "fingerprint",
        Some(("statement", "fingerprint")),
        None,
    ),
    row(
        F::Normalize,
        "normalize",
        Some(("statement", "normalize")),
        None,
    ),
    row(
        F::CacheGet,
        "cache_get",
        Some(("cache", "get")),
        Some(Call::Cache),
    ),
    row(
        F::CachePut,
        "cache_put",
        Some(("cache", "put")),
        Some(Call::Cache),
    ),
    row(
        F::CacheDelete,
        "cache_delete",
        Some(("cache", "delete")),
        Some(Call::Cache),
    ),
    row(
        F::AttributeSet,
        "attribute_set",
        Some(("attribute", "set")),
        Some(Call::Attributes),
    ),
    row(F::Emit, "emit", Some(("event", "emit")), Some(Call::Emit)),
];

/// How much dearer than copying a byte it is to hash one, to match one, to read one as SQL.
const HASHING: usize = 8;
const MATCHING: usize = 64;
const READING: usize = 16;

/// `log` is four functions in a script, one per level, and one with a level in a module.
pub(crate) const SCRIPT_LOG: &str = "log";

const fn row(
    function: HostFunction,
    import: &'static str,
    script: Option<(&'static str, &'static str)>,
    needs: Option<Call>,
) -> Row {
    Row {
        function,
        import,
        script,
        needs,
    }
}

impl HostFunction {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.function)
    }

    /// The import's name in a module.
    #[must_use]
    pub fn import_name(self) -> &'static str {
        self.row().import
    }

    /// The permission it needs.
    #[must_use]
    pub fn needs(self) -> Option<Call> {
        self.row().needs
    }

    /// The name in a script, as it is written.
    pub(crate) fn script_name(self) -> Option<String> {
        self.row()
            .script
            .map(|(module, name)| format!("{module}::{name}"))
    }

    pub(crate) fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    pub(crate) fn by_import(name: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|row| row.import == name)
            .map(|row| row.function)
    }

    /// The function a script writes as `module::name`.
    pub(crate) fn by_script_name(module: &str, name: &str) -> Option<Self> {
        if module == SCRIPT_LOG {
            return Level::parse(name).map(|_| Self::Log);
        }
        TABLE
            .iter()
            .find(|row| row.script == Some((module, name)))
            .map(|row| row.function)
    }
}

/// A call, with its arguments.
#[derive(Debug)]
pub(crate) enum Request<'a> {
    Log {
        level: Level,
        message: &'a [u8],
    },
    Get {
        field: Field,
        offset: usize,
        len: usize,
    },
    Contains {
        field: Field,
        needle: &'a [u8],
    },
    Config {
        path: &'a str,
    },
    KvGet {
        key: &'a [u8],
    },
    KvSet {
        key: &'a [u8],
        value: &'a [u8],
        ttl_ms: i64,
    },
    KvDelete {
        key: &'a [u8],
    },
    KvAdd {
        key: &'a [u8],
        delta: i64,
        ttl_ms: i64,
    },
    KvCompareAndSwap {
        key: &'a [u8],
        expected: Option<&'a [u8]>,
        value: &'a [u8],
        ttl_ms: i64,
    },
    Metric {
        op: MetricOp,
        name: &'a [u8],
        value: f64,
    },
    Now,
    Random,
    Sha256 {
        bytes: &'a [u8],
    },
    HmacSha256 {
        key: &'a [u8],
        bytes: &'a [u8],
    },
    ConstantTimeEqual {
        left: &'a [u8],
        right: &'a [u8],
    },
    Matches {
        field: Field,
        pattern: &'a str,
    },
    Fingerprint {
        text: &'a str,
    },
    Normalize {
        text: &'a str,
    },
    CacheGet {
        key: &'a [u8],
    },
    CachePut {
        key: &'a [u8],
        value: &'a [u8],
        ttl_ms: i64,
    },
    CacheDelete {
        key: &'a [u8],
    },
    AttributeSet {
        name: &'a str,
        value: &'a str,
    },
    Emit {
        name: &'a str,
        payload: &'a str,
    },
}

/// A call's result.
#[derive(Debug)]
pub(crate) enum Response {
    Nothing,
    /// There is no such value.
    Missing,
    Flag(bool),
    Number(i64),
    Bytes(Arc<[u8]>),
    Text(String),
    /// A part of a field, `total` bytes long as a whole. The bytes are in the turn's frame.
    Part {
        field: Field,
        offset: usize,
        len: usize,
        total: usize,
    },
    Store(StoreError),
}

impl Request<'_> {
    fn function(&self) -> HostFunction {
        match self {
            Self::Log { .. } => F::Log,
            Self::Get { .. } => F::Get,
            Self::Contains { .. } => F::Contains,
            Self::Config { .. } => F::Config,
            Self::KvGet { .. } => F::KvGet,
            Self::KvSet { .. } => F::KvSet,
            Self::KvDelete { .. } => F::KvDelete,
            Self::KvAdd { .. } => F::KvAdd,
            Self::KvCompareAndSwap { .. } => F::KvCompareAndSwap,
            Self::Metric {
                op: MetricOp::Add, ..
            } => F::MetricAdd,
            Self::Metric {
                op: MetricOp::Set, ..
            } => F::MetricSet,
            Self::Metric {
                op: MetricOp::Observe,
                ..
            } => F::MetricObserve,
            Self::Now => F::Now,
            Self::Random => F::Random,
            Self::Sha256 { .. } => F::Sha256,
            Self::HmacSha256 { .. } => F::HmacSha256,
            Self::ConstantTimeEqual { .. } => F::ConstantTimeEqual,
            Self::Matches { .. } => F::Matches,
            Self::Fingerprint { .. } => F::Fingerprint,
            Self::Normalize { .. } => F::Normalize,
            Self::CacheGet { .. } => F::CacheGet,
            Self::CachePut { .. } => F::CachePut,
            Self::CacheDelete { .. } => F::CacheDelete,
            Self::AttributeSet { .. } => F::AttributeSet,
            Self::Emit { .. } => F::Emit,
        }
    }

    /// Bytes that go in, or are looked through.
    fn bytes(&self, turn: &Turn) -> usize {
        match self {
            Self::Log { message, .. } => message.len(),
            Self::Contains { field, needle } => {
                needle.len() + turn.frame.content(*field).map_or(0, <[u8]>::len)
            }
            Self::Config { path } => path.len(),
            Self::KvGet { key } | Self::KvDelete { key } | Self::KvAdd { key, .. } => key.len(),
            Self::KvSet { key, value, .. } => key.len() + value.len(),
            Self::KvCompareAndSwap {
                key,
                expected,
                value,
                ..
            } => key.len() + expected.map_or(0, <[u8]>::len) + value.len(),
            Self::Metric { name, .. } => name.len(),
            Self::Sha256 { bytes } => bytes.len() * HASHING,
            Self::HmacSha256 { key, bytes } => (key.len() + bytes.len()) * HASHING,
            Self::ConstantTimeEqual { left, right } => left.len() + right.len(),
            Self::Matches { field, pattern } => {
                pattern.len() + turn.frame.content(*field).map_or(0, <[u8]>::len) * MATCHING
            }
            Self::Fingerprint { text } | Self::Normalize { text } => text.len() * READING,
            Self::CacheGet { key } | Self::CacheDelete { key } => key.len(),
            Self::CachePut { key, value, .. } => key.len() + value.len(),
            Self::AttributeSet { name, value } => name.len() + value.len(),
            Self::Emit { name, payload } => name.len() + payload.len(),
            Self::Get { .. } | Self::Now | Self::Random => 0,
        }
    }
}

impl Response {
    fn bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Text(text) => text.len(),
            Self::Part { len, .. } => *len,
            _ => 0,
        }
    }
}

/// The gate. Nothing else reaches a service.
pub(crate) fn call(turn: &mut Turn, request: Request<'_>) -> Result<Response, Fault> {
    let row = request.function().row();
    if !row.needs.is_none_or(|call| turn.may_call(call)) || !turn.is_open() {
        return Err(Fault::CallRefused(row.import));
    }
    turn.count_call()?;
    let bytes = request.bytes(turn);
    turn.meter.charge_call(bytes)?;
    let response = perform(turn, request)?;
    turn.meter
        .charge(response.bytes() as u64 / super::limits::BYTES_PER_FUEL)?;
    Ok(response)
}

/// A guest's bytes as text for a log line: control characters would forge lines.
pub(crate) fn printable(bytes: &[u8], bytes_max: usize) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(&bytes[..bytes.len().min(bytes_max)]);
    text.chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

#[cfg(test)]
mod tests;
