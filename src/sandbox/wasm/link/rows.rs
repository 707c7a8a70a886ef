//! The shims of what gives rows: `loaded`, and `query`, at which the engine stops until they have come.

use super::Host;
use super::MISSING;
use super::enter;
use super::give;
use super::length;
use super::read;
use super::read_text;
use super::unexpected;
use crate::sandbox::Fault;
use crate::sandbox::host::Request;
use crate::sandbox::host::Response;
use crate::sandbox::host::call;
use crate::sandbox::turn::Turn;
use std::fmt;
use wasmi::Error;
use wasmi::errors::HostError;

/// The guest waits for rows: not a fault, and the engine goes on when they have come.
#[derive(Debug)]
pub(in crate::sandbox::wasm) struct HostWait;

impl fmt::Display for HostWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("waiting for rows")
    }
}

impl HostError for HostWait {}

pub(super) fn loaded(
    caller: Host<'_>,
    name: i32,
    name_len: i32,
    offset: i32,
    pointer: i32,
    len: i32,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let (offset, room) = (
            offset.cast_unsigned() as usize,
            len.cast_unsigned() as usize,
        );
        let name = read_text(memory, name, name_len)?;
        let response = call(
            turn,
            Request::Loaded {
                name,
                offset,
                len: room,
            },
        )?;
        give_rows(memory, turn, pointer, len, &response)
    })
}

pub(super) fn rows(caller: Host<'_>, offset: i32, pointer: i32, len: i32) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let (offset, room) = (
            offset.cast_unsigned() as usize,
            len.cast_unsigned() as usize,
        );
        let response = call(turn, Request::Rows { offset, len: room })?;
        give_rows(memory, turn, pointer, len, &response)
    })
}

fn give_rows(
    memory: &mut [u8],
    turn: &mut Turn,
    pointer: i32,
    room: i32,
    response: &Response,
) -> Result<i32, Fault> {
    match response {
        Response::PartOfRows {
            rows,
            offset,
            len,
            total,
        } => {
            let part = &turn.encoded(rows)?[*offset..offset + len];
            give(memory, pointer, room, part)?;
            Ok(length(*total))
        }
        Response::Missing => Ok(MISSING),
        _ => unexpected(),
    }
}

/// Always stops the engine; its result is given when the rows have come.
pub(super) fn query(
    caller: Host<'_>,
    name: i32,
    name_len: i32,
    args: i32,
    args_len: i32,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let name = read_text(memory, name, name_len)?;
        let args = read(memory, args, args_len)?;
        match call(turn, Request::Query { name, args })? {
            Response::Wait => Ok(()),
            _ => unexpected(),
        }
    })?;
    Err(Error::host(HostWait))
}
