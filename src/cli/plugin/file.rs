//! Reads and writes the files of plugins. Owns no format: `sandbox` unpacks.

use super::Complaint;
use super::place;
use super::project::Project;
use crate::digest::sha256_hex;
use crate::policy::Files as _;
use crate::sandbox::Abi;
use crate::sandbox::Artefact;
use crate::sandbox::Limits;
use crate::sandbox::ManifestForm;
use crate::sandbox::Packing;
use crate::sandbox::inspect_wasm;
use crate::server::Disk;
use crate::server::Trust;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// A plugin's file and what it holds.
pub(super) struct PluginFile {
    pub(super) path: PathBuf,
    pub(super) bytes: Arc<[u8]>,
    pub(super) artefact: Artefact,
}

impl PluginFile {
    /// Opens a file, or what was built in a plugin's folder.
    pub(super) fn open(path: &Path) -> Result<Self, Complaint> {
        let path = match path.is_dir() {
            true => Project::open(path)?.module(),
            false => path.to_owned(),
        };
        let bytes: Arc<[u8]> = read(&path)?.into();
        let artefact = Artefact::read(&bytes, Limits::default().module_bytes_max)
            .map_err(|error| Complaint::new(format!("`{}`: {error}", path.display())))?;
        Ok(Self {
            path,
            bytes,
            artefact,
        })
    }

    /// The same with what a file beside it says about a module made for heliosdb-proxy, as a policy would read it.
    pub(super) fn told(mut self) -> Result<Self, Complaint> {
        let is_theirs = |module: &[u8]| inspect_wasm(module).is_ok_and(|of| of.abi == Abi::Helios1);
        if self.artefact.packing != Packing::Module || !is_theirs(&self.artefact.module) {
            return Ok(self);
        }
        let beside = ManifestForm::beside(&self.path).into_iter();
        let found: Vec<_> = beside.filter(|(path, _)| path.exists()).collect();
        let (path, form) = match found.as_slice() {
            [] => return Ok(self),
            [one] => one,
            [(first, _), (second, _), ..] => {
                return Err(Complaint::new(format!(
                    "both `{}` and `{}` lie beside the plugin, and a plugin has one manifest",
                    first.display(),
                    second.display()
                )));
            }
        };
        let shown = path.display();
        let bytes = read(path)?;
        let text = Some(&*bytes)
            .filter(|bytes| bytes.len() <= ManifestForm::BYTES_MAX)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .ok_or_else(|| {
                let max = ManifestForm::BYTES_MAX;
                Complaint::new(format!("`{shown}` is not UTF-8 of at most {max} bytes"))
            })?;
        let told = self.artefact.told_beside(text, *form).map_err(|mistake| {
            let (line, column) = mistake.position(text).unwrap_or((1, 1));
            Complaint::new(format!("{shown}:{line}:{column}: {mistake}"))
        })?;
        self.artefact.manifest = Some(told);
        Ok(self)
    }

    pub(super) fn sha256(&self) -> String {
        sha256_hex(&self.bytes)
    }

    /// The name to show: the manifest's, or else the file's.
    pub(super) fn name(&self) -> String {
        match &self.artefact.manifest {
            Some(manifest) => manifest.name.to_string(),
            None => self
                .path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default(),
        }
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Complaint> {
    let trust = Trust::default();
    Disk { trust: &trust }
        .read(path)
        .map_err(|error| Complaint::new(format!("cannot read `{}`: {error}", path.display())))
}

/// Puts a whole file in the place of another, or of none.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Complaint> {
    place::replace(path, bytes)
        .map_err(|error| Complaint::new(format!("cannot write `{}`: {error}", path.display())))
}

/// A path in a folder, without the `.` that stands for the folder one is in.
pub(super) fn within(folder: &Path, name: &str) -> PathBuf {
    match folder == Path::new(".") {
        true => PathBuf::from(name),
        false => folder.join(name),
    }
}
