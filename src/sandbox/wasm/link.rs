//! The wasm shims of the host functions: pointers and lengths to a `Request`, a `Response` to a result. They decide nothing.

mod digest;
mod effect;
mod rows;
mod store;
mod text;

pub(super) use rows::HostWait;

use super::super::Fault;
use super::super::Grants;
use super::super::HostFunction;
use super::super::Level;
use super::super::MetricOp;
use super::super::StoreError;
use super::super::host::Request;
use super::super::host::Response;
use super::super::host::Value;
use super::super::host::call;
use super::super::turn::Turn;
use super::instance::Data;
use crate::hook::abi::Field;
use crate::hook::abi::IMPORT_MODULE;
use std::fmt;
use wasmi::Caller;
use wasmi::Engine;
use wasmi::Error;
use wasmi::FuncType;
use wasmi::Linker;
use wasmi::ValType;
use wasmi::errors::HostError;
use wasmi::errors::LinkerError;

/// There is no such value.
pub(super) const MISSING: i32 = -1;
/// The namespace is full.
const FULL: i32 = -2;
/// `kv_add` met something else.
const NOT_A_NUMBER: i32 = -3;

/// A fault on its way through wasmi. A guest cannot catch it.
#[derive(Debug)]
pub(super) struct HostFault(pub(super) Fault);

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl HostError for HostFault {}

/// The type a function is imported with.
pub(super) fn signature(function: HostFunction) -> FuncType {
    let row = function.row();
    let params: Vec<ValType> = row.import_params().map(value_type).collect();
    FuncType::new(params, row.import_result().map(value_type))
}

fn value_type(value: Value) -> ValType {
    match value {
        Value::I32 => ValType::I32,
        Value::I64 => ValType::I64,
        Value::F64 => ValType::F64,
    }
}

/// A linker with the granted functions and no others.
pub(super) fn linker(engine: &Engine, grants: &Grants) -> Result<Linker<Data>, LinkerError> {
    let mut linker = Linker::new(engine);
    for function in HostFunction::all() {
        if function
            .needs()
            .is_none_or(|needed| grants.may_call(needed))
        {
            define(&mut linker, function)?;
        }
    }
    Ok(linker)
}

fn define(linker: &mut Linker<Data>, function: HostFunction) -> Result<(), LinkerError> {
    let name = function.import_name();
    match function {
        HostFunction::Log => linker.func_wrap(IMPORT_MODULE, name, log),
        HostFunction::Get => linker.func_wrap(IMPORT_MODULE, name, get),
        HostFunction::Contains => linker.func_wrap(IMPORT_MODULE, name, contains),
        HostFunction::Config => linker.func_wrap(IMPORT_MODULE, name, config),
        HostFunction::KvGet => linker.func_wrap(IMPORT_MODULE, name, store::kv_get),
        HostFunction::KvSet => linker.func_wrap(IMPORT_MODULE, name, store::kv_set),
        HostFunction::KvDelete => linker.func_wrap(IMPORT_MODULE, name, store::kv_delete),
        HostFunction::KvAdd => linker.func_wrap(IMPORT_MODULE, name, store::kv_add),
        HostFunction::KvCompareAndSwap => linker.func_wrap(IMPORT_MODULE, name, store::kv_cas),
        HostFunction::MetricAdd => linker.func_wrap(
            IMPORT_MODULE,
            name,
            |caller: Host<'_>, name: i32, len: i32, value: f64| {
                metric(caller, MetricOp::Add, name, len, value)
            },
        ),
        HostFunction::MetricSet => linker.func_wrap(
            IMPORT_MODULE,
            name,
            |caller: Host<'_>, name: i32, len: i32, value: f64| {
                metric(caller, MetricOp::Set, name, len, value)
            },
        ),
        HostFunction::MetricObserve => linker.func_wrap(
            IMPORT_MODULE,
            name,
            |caller: Host<'_>, name: i32, len: i32, value: f64| {
                metric(caller, MetricOp::Observe, name, len, value)
            },
        ),
        HostFunction::Now => linker.func_wrap(IMPORT_MODULE, name, |caller: Host<'_>| {
            number(caller, Request::Now)
        }),
        HostFunction::Random => linker.func_wrap(IMPORT_MODULE, name, |caller: Host<'_>| {
            number(caller, Request::Random)
        }),
        HostFunction::Sha256 => linker.func_wrap(IMPORT_MODULE, name, digest::sha256),
        HostFunction::HmacSha256 => linker.func_wrap(IMPORT_MODULE, name, digest::hmac),
        HostFunction::ConstantTimeEqual => linker.func_wrap(IMPORT_MODULE, name, digest::equal),
        HostFunction::Matches => linker.func_wrap(IMPORT_MODULE, name, text::matches),
        HostFunction::Fingerprint => linker.func_wrap(IMPORT_MODULE, name, text::fingerprint),
        HostFunction::Normalize => linker.func_wrap(IMPORT_MODULE, name, text::normalize),
        HostFunction::Tables => linker.func_wrap(IMPORT_MODULE, name, text::tables),
        HostFunction::CacheGet => linker.func_wrap(IMPORT_MODULE, name, store::cache_get),
        HostFunction::CachePut => linker.func_wrap(IMPORT_MODULE, name, store::cache_put),
        HostFunction::CacheDelete => linker.func_wrap(IMPORT_MODULE, name, store::cache_delete),
        HostFunction::AttributeSet => linker.func_wrap(IMPORT_MODULE, name, effect::attribute_set),
        HostFunction::Emit => linker.func_wrap(IMPORT_MODULE, name, effect::emit),
        HostFunction::Loaded => linker.func_wrap(IMPORT_MODULE, name, rows::loaded),
        HostFunction::Query => linker.func_wrap(IMPORT_MODULE, name, rows::query),
        HostFunction::Rows => linker.func_wrap(IMPORT_MODULE, name, rows::rows),
    }?;
    Ok(())
}

pub(super) type Host<'a> = Caller<'a, Data>;

/// Runs a shim with the guest's memory and the turn. The engine's fuel goes into the meter meanwhile and what the call did not
/// use comes back, so that a call's charge shortens the slice.
pub(super) fn enter<R>(
    mut caller: Host<'_>,
    shim: impl FnOnce(&mut [u8], &mut Turn) -> Result<R, Fault>,
) -> Result<R, Error> {
    let lent = caller.get_fuel()?;
    let Some(memory) = caller.data().memory else {
        return Err(Error::host(HostFault(Fault::CallRefused(
            "a start function may call nothing",
        ))));
    };
    let (memory, data) = memory.data_and_store_mut(&mut caller);
    let meter = &mut data.turn.meter;
    meter.give_back(lent);
    let before = meter.left();
    let result = shim(memory, &mut data.turn);
    let meter = &mut data.turn.meter;
    let charged = before - meter.left();
    let back = meter.lend(lent.saturating_sub(charged));
    caller.set_fuel(back)?;
    result.map_err(|fault| Error::host(HostFault(fault)))
}

fn range(pointer: i32, len: i32) -> Option<std::ops::Range<usize>> {
    let start = pointer.cast_unsigned() as usize;
    Some(start..start.checked_add(len.cast_unsigned() as usize)?)
}

pub(super) fn read(memory: &[u8], pointer: i32, len: i32) -> Result<&[u8], Fault> {
    range(pointer, len)
        .and_then(|range| memory.get(range))
        .ok_or(Fault::trap("a pointer leads outside of the memory"))
}

fn read_text(memory: &[u8], pointer: i32, len: i32) -> Result<&str, Fault> {
    std::str::from_utf8(read(memory, pointer, len)?).map_err(|_| Fault::trap("a text is not UTF-8"))
}

pub(super) fn place(memory: &mut [u8], pointer: i32, len: i32) -> Result<&mut [u8], Fault> {
    range(pointer, len)
        .and_then(|range| memory.get_mut(range))
        .ok_or(Fault::trap("a pointer leads outside of the memory"))
}

/// Copies as much of `content` as there is room for; says how long it is.
fn give(memory: &mut [u8], pointer: i32, room: i32, content: &[u8]) -> Result<i32, Fault> {
    let place = place(memory, pointer, room)?;
    let len = content.len().min(place.len());
    place[..len].copy_from_slice(&content[..len]);
    Ok(length(content.len()))
}

pub(super) fn length(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}

pub(super) fn unexpected<R>() -> Result<R, Fault> {
    Err(Fault::Internal(
        "a host function gave another kind of result",
    ))
}

fn field(id: i32) -> Result<Field, Fault> {
    Field::by_id(id.cast_unsigned()).ok_or(Fault::trap("no such field"))
}

fn outcome(response: &Response) -> Result<i32, Fault> {
    Ok(match response {
        Response::Flag(flag) => i32::from(*flag),
        Response::Missing => MISSING,
        Response::Store(StoreError::Full) => FULL,
        Response::Store(StoreError::NotANumber) => NOT_A_NUMBER,
        _ => return unexpected(),
    })
}

fn log(caller: Host<'_>, level: i32, message: i32, len: i32) -> Result<(), Error> {
    enter(caller, |memory, turn| {
        let level = match level {
            0 => Level::Debug,
            1 => Level::Info,
            2 => Level::Warn,
            3 => Level::Error,
            _ => return Err(Fault::trap("no such log level")),
        };
        call(
            turn,
            Request::Log {
                level,
                message: read(memory, message, len)?,
            },
        )?;
        Ok(())
    })
}

fn get(caller: Host<'_>, id: i32, offset: i32, pointer: i32, len: i32) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let (offset, room) = (
            offset.cast_unsigned() as usize,
            len.cast_unsigned() as usize,
        );
        match call(
            turn,
            Request::Get {
                field: field(id)?,
                offset,
                len: room,
            },
        )? {
            Response::Part {
                field,
                offset,
                len: part,
                total,
            } => {
                let content = turn.frame.content(field).unwrap_or_default();
                give(memory, pointer, len, &content[offset..offset + part])?;
                Ok(length(total))
            }
            Response::Missing => Ok(MISSING),
            _ => unexpected(),
        }
    })
}

fn contains(caller: Host<'_>, id: i32, needle: i32, len: i32) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let needle = read(memory, needle, len)?;
        outcome(&call(
            turn,
            Request::Contains {
                field: field(id)?,
                needle,
            },
        )?)
    })
}

fn config(
    caller: Host<'_>,
    path: i32,
    path_len: i32,
    pointer: i32,
    len: i32,
) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let path = read_text(memory, path, path_len)?;
        match call(turn, Request::Config { path })? {
            Response::Text(text) => give(memory, pointer, len, text.as_bytes()),
            Response::Missing => Ok(MISSING),
            _ => unexpected(),
        }
    })
}

fn metric(caller: Host<'_>, op: MetricOp, name: i32, len: i32, value: f64) -> Result<(), Error> {
    enter(caller, |memory, turn| {
        call(
            turn,
            Request::Metric {
                op,
                name: read(memory, name, len)?,
                value,
            },
        )?;
        Ok(())
    })
}

fn number(caller: Host<'_>, request: Request<'_>) -> Result<i64, Error> {
    enter(caller, |_, turn| match call(turn, request)? {
        Response::Number(number) => Ok(number),
        _ => unexpected(),
    })
}
