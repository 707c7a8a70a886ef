//! Shims of hashes and comparisons.

use super::super::super::host::Request;
use super::super::super::host::Response;
use super::super::super::host::call;
use super::Host;
use super::enter;
use super::outcome;
use super::place;
use super::read;
use super::unexpected;
use wasmi::Error;

pub(super) fn sha256(caller: Host<'_>, bytes: i32, len: i32, out: i32) -> Result<(), Error> {
    enter(caller, |memory, turn| {
        match call(
            turn,
            Request::Sha256 {
                bytes: read(memory, bytes, len)?,
            },
        )? {
            Response::Text(hex) => {
                place(memory, out, 64)?.copy_from_slice(hex.as_bytes());
                Ok(())
            }
            _ => unexpected(),
        }
    })
}

pub(super) fn hmac(
    caller: Host<'_>,
    key: i32,
    key_len: i32,
    bytes: i32,
    len: i32,
    out: i32,
) -> Result<(), Error> {
    enter(caller, |memory, turn| {
        let (key, bytes) = (read(memory, key, key_len)?, read(memory, bytes, len)?);
        match call(turn, Request::HmacSha256 { key, bytes })? {
            Response::Text(hex) => {
                place(memory, out, 64)?.copy_from_slice(hex.as_bytes());
                Ok(())
            }
            _ => unexpected(),
        }
    })
}

pub(super) fn equal(
    caller: Host<'_>,
    left: i32,
    left_len: i32,
    right: i32,
    right_len: i32,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let (left, right) = (
            read(memory, left, left_len)?,
            read(memory, right, right_len)?,
        );
        outcome(&call(turn, Request::ConstantTimeEqual { left, right })?)
    })
}
