//! Shims of what looks at texts: patterns and statements.

use super::super::super::host::Request;
use super::super::super::host::Response;
use super::super::super::host::call;
use super::Host;
use super::MISSING;
use super::enter;
use super::field;
use super::give;
use super::outcome;
use super::read_text;
use super::unexpected;
use crate::hook::abi::encode_names;
use wasmi::Error;

pub(super) fn matches(caller: Host<'_>, id: i32, name: i32, len: i32) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let pattern = read_text(memory, name, len)?;
        let field = field(id)?;
        outcome(&call(turn, Request::Matches { field, pattern })?)
    })
}

pub(super) fn fingerprint(caller: Host<'_>, text: i32, len: i32) -> Result<i64, Error> {
    enter(caller, |memory, turn| {
        let text = read_text(memory, text, len)?;
        match call(turn, Request::Fingerprint { text })? {
            Response::Number(number) => Ok(number),
            _ => unexpected(),
        }
    })
}

pub(super) fn normalize(
    caller: Host<'_>,
    text: i32,
    len: i32,
    pointer: i32,
    room: i32,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let text = read_text(memory, text, len)?;
        match call(turn, Request::Normalize { text })? {
            Response::Text(text) => give(memory, pointer, room, text.as_bytes()),
            Response::Missing => Ok(MISSING),
            _ => unexpected(),
        }
    })
}

pub(super) fn tables(
    caller: Host<'_>,
    text: i32,
    len: i32,
    pointer: i32,
    room: i32,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let text = read_text(memory, text, len)?;
        match call(turn, Request::Tables { text })? {
            Response::Names(names) => give(memory, pointer, room, &encode_names(&names)),
            Response::Missing => Ok(MISSING),
            _ => unexpected(),
        }
    })
}
