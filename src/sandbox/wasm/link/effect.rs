//! Shims of what happens after the call: attributes and events.

use super::super::super::host::Request;
use super::super::super::host::call;
use super::Host;
use super::enter;
use super::read_text;
use wasmi::Error;

pub(super) fn attribute_set(
    caller: Host<'_>,
    name: i32,
    name_len: i32,
    value: i32,
    len: i32,
) -> Result<(), Error> {
    enter(caller, |memory, turn| {
        let name = read_text(memory, name, name_len)?;
        let value = read_text(memory, value, len)?;
        call(turn, Request::AttributeSet { name, value })?;
        Ok(())
    })
}

pub(super) fn emit(
    caller: Host<'_>,
    name: i32,
    name_len: i32,
    payload: i32,
    len: i32,
) -> Result<(), Error> {
    enter(caller, |memory, turn| {
        let name = read_text(memory, name, name_len)?;
        let payload = read_text(memory, payload, len)?;
        call(turn, Request::Emit { name, payload })?;
        Ok(())
    })
}
