//! The manifest that lies in a file beside a plugin made for heliosdb-proxy: which file that is, and where in it a mistake stands. Owns
//! nothing of what a manifest means.

use super::code;
use super::reading::Table;
use super::report::At;
use super::report::Diagnostic;
use crate::digest::sha256_hex;
use crate::sandbox::Abi;
use crate::sandbox::Artefact;
use crate::sandbox::Manifest;
use crate::sandbox::ManifestForm;
use crate::sandbox::Packing;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// What is said about a plugin.
#[derive(Default)]
pub(super) struct Told {
    pub(super) manifest: Option<Arc<Manifest>>,
    /// The hash of the file beside the plugin that says it.
    pub(super) sidecar: Option<Arc<str>>,
}

/// What a plugin says about itself, or else the file beside it. `None` where that file cannot be used, which is reported.
pub(super) fn told(
    table: &Table<'_, '_>,
    abi: Abi,
    path: &Path,
    artefact: &Artefact,
) -> Option<Told> {
    let own = Told {
        manifest: artefact.manifest.clone(),
        sidecar: None,
    };
    if abi != Abi::Helios1 || artefact.packing != Packing::Module {
        return Some(own);
    }
    let at = table.value_at("path");
    let errors = table.reading.errors();
    let beside = ManifestForm::beside(path).into_iter();
    let found: Vec<(PathBuf, ManifestForm, Arc<[u8]>)> = beside
        .filter_map(|(path, form)| {
            let bytes = table.reading.bytes_if_there(at, &path)?;
            Some((path, form, bytes))
        })
        .collect();
    if table.reading.errors() != errors {
        return None;
    }
    match found.as_slice() {
        [] => Some(own),
        [(path, form, bytes)] => read(table, at, artefact, (path, *form, bytes)),
        [(first, ..), (second, ..), ..] => {
            let message = format!(
                "both `{}` and `{}` lie beside the plugin, and a plugin has one manifest",
                first.display(),
                second.display()
            );
            let found = Diagnostic::error(code::CONTRADICTION, at, message);
            table.reading.add(found.label("remove one of them"));
            None
        }
    }
}

fn read(
    table: &Table<'_, '_>,
    from: At,
    artefact: &Artefact,
    (path, form, bytes): (&Path, ManifestForm, &[u8]),
) -> Option<Told> {
    if ManifestForm::BYTES_MAX < bytes.len() {
        let max = ManifestForm::BYTES_MAX;
        let message = format!("`{}` is larger than {max} bytes", path.display());
        table.reading.error(code::TOO_LARGE, from, message);
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = error.valid_up_to();
            let message = format!("`{}` is not UTF-8 at byte {valid}", path.display());
            table.reading.error(code::NOT_UTF8, from, message);
            return None;
        }
    };
    match artefact.told_beside(text, form) {
        Ok(manifest) => Some(Told {
            manifest: Some(manifest),
            sidecar: Some(sha256_hex(bytes).into()),
        }),
        Err(mistake) => {
            let source = table.reading.add_source(path.to_owned(), text.into());
            let span = mistake.span.unwrap_or(0..text.len());
            let message = format!("the plugin's manifest: {}", mistake.message);
            let found = Diagnostic::error(code::BAD_MANIFEST, At::new(source, span), message);
            table
                .reading
                .add(found.related(from, "the plugin it lies beside").help(
                    "correct it; without the file the plugin runs with what the policy says alone",
                ));
            None
        }
    }
}
