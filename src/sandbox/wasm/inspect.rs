//! What a module imports and exports, for people. Owns no judgement about any policy: `check` has that.

use super::super::Abi;
use super::super::HostFunction;
use super::super::Limits;
use super::check::PAGE_BYTES;
use super::check::written;
use super::engine;
use super::helios;
use super::instance::ALLOC;
use super::instance::MEMORY;
use crate::hook::Hook;
use crate::hook::abi::IMPORT_MODULE;
use wasmi::ExternType;
use wasmi::Module;

/// A module from outside.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// How it wants to be called, by the way it gives room for its input.
    pub abi: Abi,
    /// In the order of the module.
    pub imports: Vec<Imported>,
    /// The hooks it can be asked at.
    pub hooks: Vec<Hook>,
    /// Other functions it exports, with their types.
    pub others: Vec<String>,
    /// Bytes of memory at the start, and at most, if it exports one.
    pub memory: Option<(u64, Option<u64>)>,
}

/// One import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// `module.name`.
    pub name: String,
    /// The host function, where it is one.
    pub function: Option<HostFunction>,
}

/// Looks at a module without running anything of it.
///
/// # Errors
/// It is none, or none that may be loaded.
pub fn inspect_wasm(bytes: &[u8]) -> Result<Inspected, String> {
    let module = Module::new(&engine(&Limits::default()), bytes)
        .map_err(|error| format!("not a module that can be loaded: {error}"))?;
    let imports = module.imports().map(|import| Imported {
        name: format!("{}.{}", import.module(), import.name()),
        function: match import.module() {
            IMPORT_MODULE => HostFunction::by_import(import.name()),
            module => helios::function(module, import.name()),
        },
    });
    let mut hooks: Vec<Hook> = Vec::new();
    let mut others = Vec::new();
    for export in module.exports() {
        let ExternType::Func(function) = export.ty() else {
            continue;
        };
        match Hook::all().find(|hook| hook.export_name() == export.name()) {
            Some(hook) => hooks.push(hook),
            None if [ALLOC, helios::ALLOC].contains(&export.name()) => (),
            None => others.push(format!("{} {}", export.name(), written(function))),
        }
    }
    hooks.sort_unstable();
    let memory = match module.get_export(MEMORY) {
        Some(ExternType::Memory(memory)) => Some((
            memory.minimum().saturating_mul(PAGE_BYTES),
            memory
                .maximum()
                .map(|pages| pages.saturating_mul(PAGE_BYTES)),
        )),
        _ => None,
    };
    let abi = match (module.get_export(ALLOC), module.get_export(helios::ALLOC)) {
        (None, Some(_)) => Abi::Helios1,
        _ => Abi::Pgwarden1,
    };
    Ok(Inspected {
        abi,
        imports: imports.collect(),
        hooks,
        others,
        memory,
    })
}
