//! Shims of what guests keep: values of `kv` and of the cache, which differ in nothing but the request.

use super::super::super::host::Request;
use super::super::super::host::Response;
use super::super::super::host::call;
use super::Host;
use super::MISSING;
use super::enter;
use super::give;
use super::outcome;
use super::place;
use super::read;
use super::unexpected;
use wasmi::Error;

pub(super) fn kv_get(
    caller: Host<'_>,
    key: i32,
    key_len: i32,
    pointer: i32,
    room: i32,
) -> Result<i32, Error> {
    fetch(caller, (key, key_len), (pointer, room), |key| {
        Request::KvGet { key }
    })
}

pub(super) fn cache_get(
    caller: Host<'_>,
    key: i32,
    key_len: i32,
    pointer: i32,
    room: i32,
) -> Result<i32, Error> {
    fetch(caller, (key, key_len), (pointer, room), |key| {
        Request::CacheGet { key }
    })
}

pub(super) fn kv_set(
    caller: Host<'_>,
    key: i32,
    key_len: i32,
    value: i32,
    value_len: i32,
    ttl_ms: i64,
) -> Result<i32, Error> {
    keep(caller, (key, key_len), (value, value_len), |key, value| {
        Request::KvSet { key, value, ttl_ms }
    })
}

pub(super) fn cache_put(
    caller: Host<'_>,
    key: i32,
    key_len: i32,
    value: i32,
    value_len: i32,
    ttl_ms: i64,
) -> Result<i32, Error> {
    keep(caller, (key, key_len), (value, value_len), |key, value| {
        Request::CachePut { key, value, ttl_ms }
    })
}

pub(super) fn kv_delete(caller: Host<'_>, key: i32, key_len: i32) -> Result<i32, Error> {
    forget(caller, (key, key_len), |key| Request::KvDelete { key })
}

pub(super) fn cache_delete(caller: Host<'_>, key: i32, key_len: i32) -> Result<i32, Error> {
    forget(caller, (key, key_len), |key| Request::CacheDelete { key })
}

/// Pointer and length.
type Place = (i32, i32);

fn fetch(
    caller: Host<'_>,
    key: Place,
    (pointer, room): Place,
    request: impl FnOnce(&[u8]) -> Request<'_>,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let key = read(memory, key.0, key.1)?;
        match call(turn, request(key))? {
            Response::Bytes(bytes) => give(memory, pointer, room, &bytes),
            Response::Missing => Ok(MISSING),
            _ => unexpected(),
        }
    })
}

fn keep(
    caller: Host<'_>,
    key: Place,
    value: Place,
    request: impl for<'a> FnOnce(&'a [u8], &'a [u8]) -> Request<'a>,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let (key, value) = (read(memory, key.0, key.1)?, read(memory, value.0, value.1)?);
        outcome(&call(turn, request(key, value))?).map(|done| if done == 1 { 0 } else { done })
    })
}

fn forget(
    caller: Host<'_>,
    key: Place,
    request: impl FnOnce(&[u8]) -> Request<'_>,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let key = read(memory, key.0, key.1)?;
        outcome(&call(turn, request(key))?)
    })
}

pub(super) fn kv_add(
    caller: Host<'_>,
    key: i32,
    key_len: i32,
    delta: i64,
    ttl_ms: i64,
    sum: i32,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        match call(
            turn,
            Request::KvAdd {
                key: read(memory, key, key_len)?,
                delta,
                ttl_ms,
            },
        )? {
            Response::Number(number) => {
                place(memory, sum, 8)?.copy_from_slice(&number.to_le_bytes());
                Ok(0)
            }
            other => outcome(&other),
        }
    })
}

#[expect(
    clippy::too_many_arguments,
    reason = "the ABI's arguments are pointers and lengths"
)]
pub(super) fn kv_cas(
    caller: Host<'_>,
    key: i32,
    key_len: i32,
    old: i32,
    old_len: i32,
    new: i32,
    new_len: i32,
    ttl_ms: i64,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let key = read(memory, key, key_len)?;
        let expected = if old_len == -1 {
            None
        } else {
            Some(read(memory, old, old_len)?)
        };
        let value = read(memory, new, new_len)?;
        outcome(&call(
            turn,
            Request::KvCompareAndSwap {
                key,
                expected,
                value,
                ttl_ms,
            },
        )?)
    })
}
