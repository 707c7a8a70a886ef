//! The one table of host functions and the one gate in front of them: permission, charge, then the call.
//! Owns no engine: a shim turns its arguments into a `Request` and a `Response` into its results, and decides nothing.

use super::Fault;
use super::Level;
use super::MetricOp;
use super::StoreError;
use super::permission::Call;
use super::turn::Turn;
use crate::hook::abi::Field;
use sha2::Digest;
use sha2::Sha256;
use std::borrow::Cow;
use std::sync::Arc;

/// Bytes of a metric's name.
const METRIC_NAME_BYTES_MAX: usize = 64;
/// Bytes of a stored value's key.
const KEY_BYTES_MAX: usize = 256;

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
}

use HostFunction as F;

/// In the order of the enum. All are legal at every hook; an observer may store, count and log.
static TABLE: [Row; 15] = [
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
];

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
            Self::Sha256 { bytes } => bytes.len() * 8, // hashing is that much dearer than copying
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
    let bytes = request.bytes(turn);
    turn.meter.charge_call(bytes)?;
    let response = perform(turn, request)?;
    turn.meter
        .charge(response.bytes() as u64 / super::limits::BYTES_PER_FUEL)?;
    Ok(response)
}

fn perform(turn: &mut Turn, request: Request<'_>) -> Result<Response, Fault> {
    match request {
        Request::Log { level, message } => {
            turn.log(level, message);
            Ok(Response::Nothing)
        }
        Request::Get { field, offset, len } => Ok(part(turn, field, offset, len)),
        Request::Contains { field, needle } => Ok(match turn.frame.content(field) {
            Some(content) => Response::Flag(memchr::memmem::find(content, needle).is_some()),
            None => Response::Missing,
        }),
        Request::Config { path } => Ok(turn.config(path).map_or(Response::Missing, Response::Text)),
        Request::Metric { op, name, value } => metric(turn, op, name, value),
        Request::Now => Ok(Response::Number(signed(turn.services()?.unix_micros()))),
        Request::Random => Ok(Response::Number(turn.services()?.random().cast_signed())),
        Request::Sha256 { bytes } => Ok(Response::Text(hex(&Sha256::digest(bytes)))),
        Request::KvGet { .. }
        | Request::KvSet { .. }
        | Request::KvDelete { .. }
        | Request::KvAdd { .. }
        | Request::KvCompareAndSwap { .. } => stored(turn, request),
    }
}

fn part(turn: &Turn, field: Field, offset: usize, len: usize) -> Response {
    let Some(content) = turn.frame.content(field) else {
        return Response::Missing;
    };
    let total = content.len();
    let offset = offset.min(total);
    Response::Part {
        field,
        offset,
        len: len.min(total - offset),
        total,
    }
}

fn metric(turn: &mut Turn, op: MetricOp, name: &[u8], value: f64) -> Result<Response, Fault> {
    let legal = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    let name = std::str::from_utf8(name).ok().filter(|name| {
        !name.is_empty() && name.len() <= METRIC_NAME_BYTES_MAX && name.as_bytes().iter().all(legal)
    });
    let Some(name) = name else {
        return Err(Fault::trap("a metric's name has 1 to 64 of a-z, 0-9 and _"));
    };
    if !value.is_finite() || (op == MetricOp::Add && value < 0.0) {
        return Err(Fault::trap(
            "a metric's value is finite, and a counter only goes up",
        ));
    }
    let stage = turn.stage();
    turn.services()?.metric(&stage, name, op, value);
    Ok(Response::Nothing)
}

fn stored(turn: &Turn, request: Request<'_>) -> Result<Response, Fault> {
    let (namespace, quota) = turn.namespace()?;
    let services = turn.services()?;
    let (store, now) = (services.store(), services.unix_micros());
    Ok(match request {
        Request::KvGet { key } => store
            .get(&namespace, bounded(key)?, now)
            .map_or(Response::Missing, Response::Bytes),
        Request::KvSet { key, value, ttl_ms } => status(
            store.set(&namespace, quota, bounded(key)?, value, ttl(ttl_ms)?, now),
            |()| Response::Flag(true),
        ),
        Request::KvDelete { key } => Response::Flag(store.delete(&namespace, bounded(key)?, now)),
        Request::KvAdd { key, delta, ttl_ms } => status(
            store.add(&namespace, quota, bounded(key)?, delta, ttl(ttl_ms)?, now),
            Response::Number,
        ),
        Request::KvCompareAndSwap {
            key,
            expected,
            value,
            ttl_ms,
        } => {
            let ttl = ttl(ttl_ms)?;
            let swapped =
                store.compare_and_swap(&namespace, quota, bounded(key)?, expected, value, ttl, now);
            status(swapped, Response::Flag)
        }
        _ => return Err(Fault::Internal("not a stored-value call")),
    })
}

fn status<T>(result: Result<T, StoreError>, good: impl FnOnce(T) -> Response) -> Response {
    result.map_or_else(Response::Store, good)
}

fn bounded(key: &[u8]) -> Result<&[u8], Fault> {
    if key.is_empty() || KEY_BYTES_MAX < key.len() {
        return Err(Fault::trap("a key has 1 to 256 bytes"));
    }
    Ok(key)
}

/// Milliseconds as a guest gives them (0: for ever) to microseconds.
fn ttl(ttl_ms: i64) -> Result<Option<u64>, Fault> {
    let ttl_ms = u64::try_from(ttl_ms).map_err(|_| Fault::trap("a ttl is not negative"))?;
    Ok((ttl_ms != 0).then(|| ttl_ms.saturating_mul(1_000)))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| {
            [
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]
        })
        .map(char::from)
        .collect()
}

/// A guest's bytes as text for a log line: control characters would forge lines.
pub(crate) fn printable(bytes: &[u8], bytes_max: usize) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(&bytes[..bytes.len().min(bytes_max)]);
    text.chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.function as usize, index);
            assert_eq!(HostFunction::by_import(row.import), Some(row.function));
            if let Some((module, name)) = row.script {
                assert_eq!(
                    HostFunction::by_script_name(module, name),
                    Some(row.function)
                );
            }
        }
        assert_eq!(
            HostFunction::by_script_name("log", "warn"),
            Some(HostFunction::Log)
        );
        assert_eq!(HostFunction::by_script_name("log", "shout"), None);
    }

    #[test]
    fn log_lines_cannot_be_forged() {
        assert_eq!(printable(b"a\nb\x1b[31m\xff", 100), "a b [31m\u{fffd}");
        assert_eq!(printable(b"abc", 2), "ab");
    }
}
