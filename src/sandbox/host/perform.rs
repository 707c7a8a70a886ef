//! What each host function does, once the gate has let it. Owns no permission and no charge.

use super::super::Fault;
use super::super::MetricOp;
use super::super::StoreError;
use super::super::permission::is_metric_name;
use super::super::query;
use super::super::turn::Turn;
use super::Request;
use super::Response;
use crate::digest::hex;
use crate::digest::sha256_hex;
use crate::hook::Hook;
use crate::hook::Rows;
use crate::hook::abi::Field;
use crate::statement;
use crate::statement::Kind;
use crate::statement::Needs;
use hmac::Hmac;
use hmac::KeyInit as _;
use hmac::Mac as _;
use sha2::Sha256;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// Bytes of a stored value's key.
const KEY_BYTES_MAX: usize = 256;
/// Bytes of an attribute's or event's name, and of an attribute's value.
const NAME_BYTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 1_024;
/// Attributes, and events, of one call.
const EFFECTS_MAX: usize = 16;

type HmacSha256 = Hmac<Sha256>;

pub(super) fn perform(turn: &mut Turn, request: Request<'_>) -> Result<Response, Fault> {
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
        Request::Sha256 { bytes } => Ok(Response::Text(sha256_hex(bytes))),
        Request::HmacSha256 { key, bytes } => {
            let mut mac =
                HmacSha256::new_from_slice(key).map_err(|_| Fault::trap("no key for an HMAC"))?;
            mac.update(bytes);
            Ok(Response::Text(hex(&mac.finalize().into_bytes())))
        }
        Request::ConstantTimeEqual { left, right } => {
            Ok(Response::Flag(bool::from(left.ct_eq(right))))
        }
        Request::Matches { field, pattern } => matches(turn, field, pattern),
        Request::Fingerprint { text } => {
            let facts = statement::analyze(text, Needs::default());
            Ok(Response::Number(facts.fingerprint.cast_signed()))
        }
        Request::Normalize { text } => {
            let needs = Needs {
                normalized: true,
                ..Needs::default()
            };
            let normalized = statement::analyze(text, needs).normalized;
            Ok(Response::Text(normalized.as_ref().to_owned()))
        }
        Request::Tables { text } => Ok(tables(text)),
        Request::Loaded { name, offset, len } => {
            let rows = turn.loaded(name).map(|loaded| Arc::clone(&loaded.rows));
            part_of_rows(turn, rows, offset, len)
        }
        Request::Rows { offset, len } => {
            let rows = turn.rows().map(Arc::clone);
            part_of_rows(turn, rows, offset, len)
        }
        Request::Query { name, args } => {
            let args = query::decode_args(args);
            let args = args.ok_or(Fault::trap("the arguments of `query` are no list of texts"))?;
            turn.wait(name, args)?;
            Ok(Response::Wait)
        }
        Request::AttributeSet { name, value } => attribute(turn, name, value),
        Request::Emit { name, payload } => emit(turn, name, payload),
        Request::CacheGet { .. } | Request::CachePut { .. } | Request::CacheDelete { .. } => {
            cached(turn, request)
        }
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

fn tables(text: &str) -> Response {
    let needs = Needs {
        parse: true,
        ..Needs::default()
    };
    let facts = statement::analyze(text, needs);
    if facts.kinds.contains(Kind::Unparsed) {
        return Response::Missing;
    }
    Response::Names(facts.relations.tables.clone())
}

fn part_of_rows(
    turn: &mut Turn,
    rows: Option<Arc<Rows>>,
    offset: usize,
    len: usize,
) -> Result<Response, Fault> {
    let Some(rows) = rows else {
        return Ok(Response::Missing);
    };
    let total = turn.encoded(&rows)?.len();
    let offset = offset.min(total);
    Ok(Response::PartOfRows {
        rows,
        offset,
        len: len.min(total - offset),
        total,
    })
}

/// A guest names a pattern and never gives one: what it takes to match was reviewed with the policy.
fn matches(turn: &Turn, field: Field, pattern: &str) -> Result<Response, Fault> {
    let Some(pattern) = turn.pattern(pattern) else {
        return Err(Fault::trap("the permissions have no pattern of that name"));
    };
    let Some(content) = turn.frame.content(field) else {
        return Ok(Response::Missing);
    };
    let text = std::str::from_utf8(content).map_err(|_| Fault::trap("that field is no text"))?;
    Ok(Response::Flag(pattern.is_match(text)))
}

fn named(name: &str) -> Result<&str, Fault> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_name = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(legal);
    is_name.then_some(name).ok_or(Fault::trap(
        "a name has 1 to 64 of letters, digits, _ - and .",
    ))
}

fn attribute(turn: &mut Turn, name: &str, value: &str) -> Result<Response, Fault> {
    let name = named(name)?;
    if VALUE_BYTES_MAX < value.len() {
        return Err(Fault::trap("an attribute has at most 1024 bytes"));
    }
    if turn.hook == Hook::Authenticate {
        return Err(Fault::trap(
            "at `authenticate` an identity has claims for that",
        ));
    }
    let effects = turn.effects();
    if EFFECTS_MAX <= effects.attributes.len() {
        return Err(Fault::trap("at most 16 attributes a call"));
    }
    effects.attributes.push((name.into(), value.into()));
    Ok(Response::Nothing)
}

fn emit(turn: &mut Turn, name: &str, payload: &str) -> Result<Response, Fault> {
    let name = named(name)?;
    if turn.hook == Hook::Custom {
        return Err(Fault::trap("a stage that handles an event cannot emit one"));
    }
    let effects = turn.effects();
    if EFFECTS_MAX <= effects.events.len() {
        return Err(Fault::trap("at most 16 events a call"));
    }
    effects.events.push((name.into(), payload.into()));
    Ok(Response::Nothing)
}

fn cached(turn: &Turn, request: Request<'_>) -> Result<Response, Fault> {
    let (namespace, quota) = turn.cache()?;
    let services = turn.services()?;
    let (store, now) = (services.store(), services.unix_micros());
    Ok(match request {
        Request::CacheGet { key } => store
            .get(&namespace, bounded(key)?, now)
            .map_or(Response::Missing, Response::Bytes),
        Request::CachePut { key, value, ttl_ms } => {
            let ttl = ttl(ttl_ms)?;
            let put = store.put_evicting(&namespace, quota, bounded(key)?, value, ttl, now);
            status(put, |()| Response::Flag(true))
        }
        Request::CacheDelete { key } => {
            Response::Flag(store.delete(&namespace, bounded(key)?, now))
        }
        _ => return Err(Fault::Internal("not a call of the cache")),
    })
}

fn metric(turn: &mut Turn, op: MetricOp, name: &[u8], value: f64) -> Result<Response, Fault> {
    let name = std::str::from_utf8(name).ok();
    let Some(name) = name.filter(|name| is_metric_name(name)) else {
        return Err(Fault::trap("a metric's name has 1 to 64 of a-z, 0-9 and _"));
    };
    if !value.is_finite() || (op == MetricOp::Add && value < 0.0) {
        return Err(Fault::trap(
            "a metric's value is finite, and a counter only goes up",
        ));
    }
    turn.profile()
        .grants
        .may_touch(name, op)
        .map_err(Fault::trap)?;
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
