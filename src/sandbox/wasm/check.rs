//! Compares a module with its grants, its limits and the hooks it will be asked at, before anything of it runs.
//! Owns no decision at run time: what is refused here is also simply not linked.

use super::super::GuestSpec;
use super::super::HostFunction;
use super::super::LoadError;
use super::super::Manifest;
use super::super::Permission;
use super::super::See;
use super::super::Uses;
use super::super::guest::code;
use super::super::suggest::nearest;
use super::helios;
use super::instance::ALLOC;
use super::instance::MEMORY;
use super::instance::ON_UNLOAD;
use super::link::signature;
use crate::hook::abi::IMPORT_MODULE;
use std::collections::BTreeSet;
use wasmi::ExternType;
use wasmi::FuncType;
use wasmi::ImportType;
use wasmi::Module;
use wasmi::ValType;

pub(super) const PAGE_BYTES: u64 = 64 << 10;

/// What to do with a module that was made for another proxy.
const THEIRS: &str = "made for heliosdb-proxy? write `abi = \"helios-1\"`";

pub(super) fn errors(module: &Module, spec: &GuestSpec) -> Vec<LoadError> {
    let mut errors: Vec<LoadError> = module
        .imports()
        .filter_map(|import| import_error(&import, spec))
        .collect();
    errors.extend(memory_error(module, spec));
    errors.extend(table_errors(module, spec));
    if let Some(manifest) = &spec.manifest {
        errors.extend(manifest.errors(&spec.hooks, &spec.grants));
    }
    let alloc = FuncType::new([ValType::I32], [ValType::I32]);
    let error = export_error(module, ALLOC, &alloc, "the ABI");
    errors.extend(error.map(|error| match module.get_export(helios::ALLOC) {
        Some(_) => error.help(THEIRS),
        None => error,
    }));
    if module.get_export(ON_UNLOAD).is_some() {
        let unload = FuncType::new([], []);
        errors.extend(export_error(module, ON_UNLOAD, &unload, "unloading"));
    }
    let hook_type = FuncType::new([ValType::I32, ValType::I32], [ValType::I64]);
    for hook in &spec.hooks {
        errors.extend(export_error(
            module,
            hook.export_name(),
            &hook_type,
            &format!("the hook `{hook}`"),
        ));
    }
    errors
}

fn import_error(import: &ImportType<'_>, spec: &GuestSpec) -> Option<LoadError> {
    let (from, name) = (import.module(), import.name());
    if from != IMPORT_MODULE {
        let message =
            format!("imports `{from}.{name}`; host functions live in `{IMPORT_MODULE}` only");
        let error = LoadError::new(code::UNKNOWN_IMPORT, message);
        return Some(if helios::function(from, name).is_some() {
            error.help(THEIRS)
        } else {
            error
        });
    }
    let Some(function) = HostFunction::by_import(name) else {
        let error = LoadError::new(
            code::UNKNOWN_IMPORT,
            format!("imports `{name}`, which is no host function"),
        );
        let known = nearest(name, HostFunction::all().map(HostFunction::import_name));
        return Some(match known {
            Some(known) => error.help(format!("did you mean `{known}`?")),
            None => error,
        });
    };
    let expected = signature(function);
    match import.ty() {
        ExternType::Func(found) if *found == expected => {}
        found => return Some(wrong_type(&format!("import `{name}`"), &expected, found)),
    }
    not_granted(name, function, spec)
}

/// What it can call is what it imports. What it looks at is known only where its manifest says.
pub(super) fn uses(module: &Module, manifest: Option<&Manifest>) -> Uses {
    let imports = module.imports();
    let called = imports.filter_map(|import| HostFunction::by_import(import.name())?.needs());
    let mut uses = Uses {
        see: None,
        call: Some(called.collect()),
    };
    let Some((manifest, reads)) = manifest.and_then(|it| Some((it, it.reads?))) else {
        return uses;
    };
    let mut see: BTreeSet<See> = reads.iter().filter_map(See::needed_for).collect();
    // What it says it wants is as good as a use.
    for permission in manifest.needs.iter().chain(&manifest.wants) {
        match (permission, &mut uses.call) {
            (Permission::See(wanted), _) => {
                see.insert(*wanted);
            }
            (Permission::Call(wanted), Some(call)) => {
                call.insert(*wanted);
            }
            (Permission::Call(_), None) => (),
        }
    }
    uses.see = Some(see);
    uses
}

pub(super) fn not_granted(
    name: &str,
    function: HostFunction,
    spec: &GuestSpec,
) -> Option<LoadError> {
    let needed = function
        .needs()
        .filter(|needed| !spec.grants.may_call(*needed))?;
    let grants = match &*spec.grants.name {
        "" => "the standard permissions do".to_owned(),
        name => format!("permissions `{name}` do"),
    };
    let message = format!("imports `{name}`, which {grants} not grant");
    Some(
        LoadError::new(code::CALL_NOT_GRANTED, message)
            .help(format!("needs `{}` in `call`", needed.name())),
    )
}

pub(super) fn memory_error(module: &Module, spec: &GuestSpec) -> Option<LoadError> {
    let memory = match module.get_export(MEMORY) {
        Some(ExternType::Memory(memory)) => memory,
        _ => {
            let message = format!("does not export its memory as `{MEMORY}`");
            return Some(LoadError::new(code::MISSING_EXPORT, message));
        }
    };
    let wanted = spec
        .manifest
        .as_ref()
        .and_then(|manifest| manifest.memory_bytes);
    let bytes = memory
        .minimum()
        .saturating_mul(PAGE_BYTES)
        .max(wanted.unwrap_or(0));
    let max = spec.limits.memory_bytes_max as u64;
    if bytes <= max {
        return None;
    }
    let message = format!("declares {bytes} bytes of memory, over the limit of {max}");
    let help = "raise `memory`, or link with a smaller stack (`-zstack-size=16384`)";
    Some(LoadError::new(code::MEMORY_ABOVE_LIMIT, message).help(help))
}

pub(super) fn table_errors(module: &Module, spec: &GuestSpec) -> Vec<LoadError> {
    let max = spec.limits.table_entries_max as u64;
    let tables = module.exports().filter_map(|export| match export.ty() {
        ExternType::Table(table) if max < table.minimum() => Some(table.minimum()),
        _ => None,
    });
    let message =
        |entries| format!("declares a table of {entries} entries, over the limit of {max}");
    tables
        .map(|entries| LoadError::new(code::MEMORY_ABOVE_LIMIT, message(entries)))
        .collect()
}

pub(super) fn export_error(
    module: &Module,
    name: &str,
    expected: &FuncType,
    needed_by: &str,
) -> Option<LoadError> {
    match module.get_export(name) {
        Some(ExternType::Func(found)) if found == *expected => None,
        Some(found) => Some(wrong_type(&format!("export `{name}`"), expected, &found)),
        None => {
            let error = LoadError::new(
                code::MISSING_EXPORT,
                format!("does not export `{name}`, which {needed_by} needs"),
            );
            let functions: Vec<String> = module
                .exports()
                .filter(|export| matches!(export.ty(), ExternType::Func(_)))
                .map(|export| export.name().to_owned())
                .collect();
            let known = nearest(name, functions.iter().map(String::as_str));
            Some(match known {
                Some(known) => error.help(format!("it exports `{known}`")),
                None => error,
            })
        }
    }
}

pub(super) fn wrong_type(what: &str, expected: &FuncType, found: &ExternType) -> LoadError {
    let found = match found {
        ExternType::Func(found) => written(found),
        ExternType::Memory(_) => "a memory".to_owned(),
        ExternType::Table(_) => "a table".to_owned(),
        ExternType::Global(_) => "a global".to_owned(),
    };
    LoadError::new(
        code::WRONG_SIGNATURE,
        format!("{what} is {found}, and must be {}", written(expected)),
    )
}

pub(super) fn written(function: &FuncType) -> String {
    let list = |types: &[ValType]| {
        types
            .iter()
            .map(|of| format!("{of:?}").to_lowercase())
            .collect::<Vec<_>>()
            .join(", ")
    };
    format!(
        "({}) -> ({})",
        list(function.params()),
        list(function.results())
    )
}
