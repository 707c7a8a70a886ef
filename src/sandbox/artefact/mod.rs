//! A plugin as it is handed over: a module alone, or a `.tar.gz` of `manifest.json`, `plugin.wasm` and perhaps `plugin.sig`.
//! Owns the unpacking and its limits. Reads no file, and decides about no trust: whose key must have signed is the policy's to say.

mod archive;
mod seal;

pub use seal::PublicKey;
pub use seal::SealError;
pub use seal::SecretKey;
pub use seal::Signature;

use super::Manifest;
use super::ManifestForm;
use super::ManifestMistake;
use super::manifest::OwnHash;
use std::io::Read as _;
use std::sync::Arc;

/// What a gzip stream begins with (RFC 1952, 2.3.1).
const GZIP: &[u8] = b"\x1f\x8b";
/// What an archive may hold beside the module: headers, manifest, signature.
const BESIDE_BYTES_MAX: usize = 256 << 10;

const MANIFEST: &str = "manifest.json";
const MODULE: &str = "plugin.wasm";
const SIGNATURE: &str = "plugin.sig";

/// An unpacked plugin.
#[derive(Clone, Debug)]
pub struct Artefact {
    /// The module: these bytes are compiled.
    pub module: Arc<[u8]>,
    /// What the plugin says about itself: the module's own section, or else the archive's `manifest.json`. What lies in a file beside a
    /// module is asked for with `told_beside`.
    pub manifest: Option<Arc<Manifest>>,
    /// The archive's `plugin.sig`, which is of the module.
    pub signature: Option<Signature>,
    /// How it was handed over.
    pub packing: Packing,
}

/// How a plugin was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// A module alone.
    Module,
    /// An archive.
    TarGz,
}

/// What is wrong with a plugin's file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArtefactError {
    /// The archive.
    #[error("the archive {0}")]
    Archive(String),
    /// The manifest.
    #[error("{0}")]
    Manifest(String),
}

/// Whether a text is the name of a file, and of nothing that could lie elsewhere.
fn is_file_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain)
}

impl Artefact {
    /// Unpacks a plugin's file. Nothing of it is run, and nothing is written anywhere.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(file: &Arc<[u8]>, module_bytes_max: usize) -> Result<Self, ArtefactError> {
        if file.starts_with(GZIP) {
            return Self::unpack(file, module_bytes_max);
        }
        let manifest = Manifest::of_module(file).map_err(ArtefactError::Manifest)?;
        Ok(Self {
            module: Arc::clone(file),
            manifest: manifest.map(Arc::new),
            signature: None,
            packing: Packing::Module,
        })
    }

    /// What a manifest in a file beside the module says about it.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn told_beside(
        &self,
        text: &str,
        form: ManifestForm,
    ) -> Result<Arc<Manifest>, ManifestMistake> {
        let own = self.manifest.as_ref();
        Manifest::apart(text, form, &self.module, own, OwnHash::Optional)
    }

    fn unpack(file: &[u8], module_bytes_max: usize) -> Result<Self, ArtefactError> {
        let tar = inflate(file, module_bytes_max.saturating_add(BESIDE_BYTES_MAX))?;
        let wrong = |what: &str| ArtefactError::Archive(what.to_owned());
        let files = archive::files(&tar).map_err(ArtefactError::Archive)?;
        let find = |wanted: &str| files.iter().find(|(name, _)| *name == wanted);
        if let Some((name, _)) = files
            .iter()
            .find(|(name, _)| ![MANIFEST, MODULE, SIGNATURE].contains(name))
        {
            return Err(ArtefactError::Archive(format!(
                "holds `{name}`; there is room for `{MANIFEST}`, `{MODULE}` and `{SIGNATURE}` only"
            )));
        }
        let (_, module) = find(MODULE).ok_or_else(|| wrong("holds no `plugin.wasm`"))?;
        let (_, text) = find(MANIFEST).ok_or_else(|| wrong("holds no `manifest.json`"))?;
        let signature = find(SIGNATURE)
            .map(|(_, bytes)| Signature::parse(bytes))
            .transpose()
            .map_err(|error| ArtefactError::Archive(format!("holds `{SIGNATURE}`: {error}")))?;
        Ok(Self {
            manifest: Some(packed_manifest(text, module)?),
            module: (*module).into(),
            signature,
            packing: Packing::TarGz,
        })
    }
}

/// The whole stream, which must be one gzip member and nothing behind it.
fn inflate(file: &[u8], bytes_max: usize) -> Result<Vec<u8>, ArtefactError> {
    let wrong = |what: String| ArtefactError::Archive(what);
    let mut decoder = flate2::bufread::GzDecoder::new(file);
    let mut tar = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    (&mut decoder)
        .take(limit.saturating_add(1))
        .read_to_end(&mut tar)
        .map_err(|error| wrong(format!("cannot be inflated: {error}")))?;
    if bytes_max < tar.len() {
        return Err(wrong(format!(
            "inflates to more than {bytes_max} bytes, which is what `max_module` allows"
        )));
    }
    if !decoder.into_inner().is_empty() {
        return Err(wrong("goes on behind its end".to_owned()));
    }
    Ok(tar)
}

/// The manifest of an archive, which must say which module it is of.
fn packed_manifest(text: &[u8], module: &[u8]) -> Result<Arc<Manifest>, ArtefactError> {
    let wrong = |what: String| ArtefactError::Manifest(format!("`{MANIFEST}`: {what}"));
    let text = std::str::from_utf8(text).map_err(|error| wrong(error.to_string()))?;
    let own = Manifest::of_module(module).map_err(ArtefactError::Manifest)?;
    let own = own.map(Arc::new);
    let json = ManifestForm::Json;
    Manifest::apart(text, json, module, own.as_ref(), OwnHash::Required).map_err(|mistake| {
        wrong(match mistake.position(text) {
            Some((line, column)) => format!("{mistake} at line {line} column {column}"),
            None => mistake.to_string(),
        })
    })
}

#[cfg(test)]
mod tests;
