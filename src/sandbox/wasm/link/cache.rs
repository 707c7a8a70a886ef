//! Shims of the cache.

use super::super::super::host::Request;
use super::super::super::host::Response;
use super::super::super::host::call;
use super::Host;
use super::MISSING;
use super::enter;
use super::give;
use super::outcome;
use super::read;
use super::unexpected;
use wasmi::Error;

pub(super) fn get(
    caller: Host<'_>,
    key: i32,
    key_len: i32,
    pointer: i32,
    room: i32,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let key = read(memory, key, key_len)?;
        match call(turn, Request::CacheGet { key })? {
            Response::Bytes(bytes) => give(memory, pointer, room, &bytes),
            Response::Missing => Ok(MISSING),
            _ => unexpected(),
        }
    })
}

pub(super) fn put(
    caller: Host<'_>,
    key: i32,
    key_len: i32,
    value: i32,
    value_len: i32,
    ttl_ms: i64,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let (key, value) = (read(memory, key, key_len)?, read(memory, value, value_len)?);
        outcome(&call(turn, Request::CachePut { key, value, ttl_ms })?)
            .map(|done| if done == 1 { 0 } else { done })
    })
}

pub(super) fn delete(caller: Host<'_>, key: i32, key_len: i32) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let key = read(memory, key, key_len)?;
        outcome(&call(turn, Request::CacheDelete { key })?)
    })
}
