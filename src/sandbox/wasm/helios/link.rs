//! The four imports of `helios-1`: a table, and the shims that hand their arguments to the one gate in `host`.
//! Owns no permission and no charge.

use super::super::super::Fault;
use super::super::super::Grants;
use super::super::super::HostFunction;
use super::super::super::host::Request;
use super::super::super::host::Response;
use super::super::super::host::call;
use super::super::instance::Data;
use super::super::link::Host;
use super::super::link::MISSING;
use super::super::link::enter;
use super::super::link::length;
use super::super::link::place;
use super::super::link::read;
use super::super::link::unexpected;
use wasmi::Engine;
use wasmi::Error;
use wasmi::ExternType;
use wasmi::FuncType;
use wasmi::Linker;
use wasmi::Module;
use wasmi::ValType;
use wasmi::errors::LinkerError;

/// The module the imports are named under.
pub(super) const MODULE: &str = "env";
/// The value does not fit into the room given for it.
const TOO_SMALL: i32 = -2;
/// Characters of a SHA-256.
const HEX_BYTES: i32 = 64;

/// One import.
pub(super) struct Import {
    pub(super) name: &'static str,
    /// The host function behind it.
    pub(super) function: HostFunction,
    params: usize,
    /// Whether it says something. One that does not may still be imported with an `i32`, which is 0 then.
    answers: bool,
}

pub(super) static IMPORTS: [Import; 4] = [
    import("kv_get", HostFunction::KvGet, 4, true),
    import("kv_set", HostFunction::KvSet, 4, false),
    import("kv_delete", HostFunction::KvDelete, 2, false),
    import("sha256_hex", HostFunction::Sha256, 3, false),
];

const fn import(
    name: &'static str,
    function: HostFunction,
    params: usize,
    answers: bool,
) -> Import {
    Import {
        name,
        function,
        params,
        answers,
    }
}

impl Import {
    pub(super) fn by_name(name: &str) -> Option<&'static Self> {
        IMPORTS.iter().find(|import| import.name == name)
    }

    /// Its type; of two that are legal the first.
    pub(super) fn signature(&self) -> FuncType {
        self.of_type(self.answers)
    }

    fn of_type(&self, answers: bool) -> FuncType {
        FuncType::new(
            std::iter::repeat_n(ValType::I32, self.params),
            answers.then_some(ValType::I32),
        )
    }

    pub(super) fn accepts(&self, found: &ExternType) -> bool {
        match found {
            ExternType::Func(found) => {
                *found == self.of_type(true) || (!self.answers && *found == self.of_type(false))
            }
            _ => false,
        }
    }
}

/// The host function behind an import of a module that was made for heliosdb-proxy.
pub(in super::super) fn function(module: &str, name: &str) -> Option<HostFunction> {
    let import = Import::by_name(name).filter(|_| module == MODULE)?;
    Some(import.function)
}

/// A linker with what the module imports, as far as it is granted.
pub(super) fn linker(
    engine: &Engine,
    module: &Module,
    grants: &Grants,
) -> Result<Linker<Data>, LinkerError> {
    let mut linker = Linker::new(engine);
    for found in module.imports().filter(|found| found.module() == MODULE) {
        let Some(import) = Import::by_name(found.name()) else {
            continue;
        };
        if import
            .function
            .needs()
            .is_none_or(|needed| grants.may_call(needed))
        {
            let answers = matches!(found.ty(), ExternType::Func(of) if !of.results().is_empty());
            define(&mut linker, import, answers)?;
        }
    }
    Ok(linker)
}

fn define(linker: &mut Linker<Data>, import: &Import, answers: bool) -> Result<(), LinkerError> {
    let name = import.name;
    match (import.function, answers) {
        (HostFunction::KvGet, _) => linker.func_wrap(MODULE, name, kv_get),
        (HostFunction::KvSet, false) => linker.func_wrap(MODULE, name, kv_set),
        (HostFunction::KvSet, true) => linker.func_wrap(
            MODULE,
            name,
            |caller: Host<'_>, key: i32, key_len: i32, value: i32, value_len: i32| {
                kv_set(caller, key, key_len, value, value_len).map(|()| 0_i32)
            },
        ),
        (HostFunction::KvDelete, false) => linker.func_wrap(MODULE, name, kv_delete),
        (HostFunction::KvDelete, true) => {
            linker.func_wrap(MODULE, name, |caller: Host<'_>, key: i32, len: i32| {
                kv_delete(caller, key, len).map(|()| 0_i32)
            })
        }
        (_, false) => linker.func_wrap(MODULE, name, sha256_hex),
        (_, true) => linker.func_wrap(
            MODULE,
            name,
            |caller: Host<'_>, bytes: i32, len: i32, out: i32| {
                sha256_hex(caller, bytes, len, out).map(|()| 0_i32)
            },
        ),
    }?;
    Ok(())
}

fn kv_get(caller: Host<'_>, key: i32, key_len: i32, out: i32, room: i32) -> Result<i32, Error> {
    enter(caller, |memory, turn| {
        let key = read(memory, key, key_len)?;
        match call(turn, Request::KvGet { key })? {
            Response::Bytes(bytes) => {
                let place = place(memory, out, room)?;
                match place.get_mut(..bytes.len()) {
                    Some(place) => {
                        place.copy_from_slice(&bytes);
                        Ok(length(bytes.len()))
                    }
                    None => Ok(TOO_SMALL),
                }
            }
            Response::Missing => Ok(MISSING),
            _ => unexpected(),
        }
    })
}

/// A value that cannot be stored is a fault: a plugin that counts would believe it had.
fn kv_set(caller: Host<'_>, key: i32, key_len: i32, value: i32, len: i32) -> Result<(), Error> {
    enter(caller, |memory, turn| {
        let (key, value) = (read(memory, key, key_len)?, read(memory, value, len)?);
        let ttl_ms = 0; // for ever
        match call(turn, Request::KvSet { key, value, ttl_ms })? {
            Response::Flag(_) => Ok(()),
            Response::Store(error) => Err(Fault::trap(format!("kv_set: {error}"))),
            _ => unexpected(),
        }
    })
}

fn kv_delete(caller: Host<'_>, key: i32, len: i32) -> Result<(), Error> {
    enter(caller, |memory, turn| {
        let key = read(memory, key, len)?;
        match call(turn, Request::KvDelete { key })? {
            Response::Flag(_) => Ok(()),
            _ => unexpected(),
        }
    })
}

fn sha256_hex(caller: Host<'_>, bytes: i32, len: i32, out: i32) -> Result<(), Error> {
    enter(caller, |memory, turn| {
        let bytes = read(memory, bytes, len)?;
        match call(turn, Request::Sha256 { bytes })? {
            Response::Text(hex) => {
                place(memory, out, HEX_BYTES)?.copy_from_slice(hex.as_bytes());
                Ok(())
            }
            _ => unexpected(),
        }
    })
}
