//! Compares a module made for heliosdb-proxy with its grants, its limits and the hooks it will be asked at.
//! Owns only what differs from `pgwarden-1`: four imports, `alloc`, and hooks that may have no result.

use super::super::super::GuestSpec;
use super::super::super::LoadError;
use super::super::super::guest::code;
use super::super::super::suggest::nearest;
use super::super::check::export_error;
use super::super::check::memory_error;
use super::super::check::not_granted;
use super::super::check::table_errors;
use super::super::check::wrong_type;
use super::ALLOC;
use super::DEALLOC;
use super::link::IMPORTS;
use super::link::Import;
use super::link::MODULE;
use crate::hook::abi::IMPORT_MODULE;
use wasmi::ExternType;
use wasmi::FuncType;
use wasmi::ImportType;
use wasmi::Module;
use wasmi::ValType;

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
    errors.extend(export_error(module, ALLOC, &alloc, "the ABI"));
    if module.get_export(DEALLOC).is_some() {
        let dealloc = FuncType::new([ValType::I32, ValType::I32], []);
        errors.extend(export_error(module, DEALLOC, &dealloc, "the ABI"));
    }
    let silent = FuncType::new([ValType::I32, ValType::I32], []);
    let answering = FuncType::new([ValType::I32, ValType::I32], [ValType::I64]);
    for hook in &spec.hooks {
        let name = hook.export_name();
        match module.get_export(name) {
            Some(ExternType::Func(found)) if found == silent => {}
            _ => {
                let needed_by = format!("the hook `{hook}`");
                errors.extend(export_error(module, name, &answering, &needed_by));
            }
        }
    }
    errors
}

fn import_error(import: &ImportType<'_>, spec: &GuestSpec) -> Option<LoadError> {
    let (from, name) = (import.module(), import.name());
    let found = Import::by_name(name).filter(|_| from == MODULE);
    let Some(known) = found else {
        let message = format!("imports `{from}.{name}`, which `helios-1` does not have");
        let error = LoadError::new(code::UNKNOWN_IMPORT, message);
        let names = || IMPORTS.iter().map(|import| import.name);
        return Some(match nearest(name, names()) {
            _ if from == IMPORT_MODULE => error.help("made for pgwarden? leave `abi` out"),
            Some(known) => error.help(format!("did you mean `{MODULE}.{known}`?")),
            None => error.help(format!(
                "`{MODULE}` has {}",
                names().collect::<Vec<_>>().join(", ")
            )),
        });
    };
    if !known.accepts(import.ty()) {
        let what = format!("import `{MODULE}.{name}`");
        return Some(wrong_type(&what, &known.signature(), import.ty()));
    }
    not_granted(&format!("{MODULE}.{name}"), known.function, spec)
}
