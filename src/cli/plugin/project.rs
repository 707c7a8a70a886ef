//! A plugin's folder: `manifest.json`, the source in one of three languages, `tests/cases.toml`, and `NAME.wasm` once it is built.

use super::Complaint;
use super::file;
use crate::sandbox::Manifest;
use std::path::Path;
use std::path::PathBuf;

/// The file every plugin's folder has.
pub(super) const MANIFEST: &str = "manifest.json";

/// A plugin's folder.
pub(super) struct Project {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    /// The manifest as it is written.
    pub(super) manifest: Vec<u8>,
}

/// What it is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Language {
    Rust,
    C,
    Wat,
}

impl Project {
    pub(super) fn open(folder: &Path) -> Result<Self, Complaint> {
        let path = folder.join(MANIFEST);
        if !path.exists() {
            return Err(Complaint::new(format!(
                "`{}` is no plugin's folder: it has no `{MANIFEST}`",
                folder.display()
            )));
        }
        let manifest = file::read(&path)?;
        let read = Manifest::parse(&manifest)
            .map_err(|error| Complaint::new(format!("`{}`: {error}", path.display())))?;
        Ok(Self {
            folder: folder.to_owned(),
            name: read.name.to_string(),
            manifest,
        })
    }

    /// What is built.
    pub(super) fn module(&self) -> PathBuf {
        file::within(&self.folder, &format!("{}.wasm", self.name))
    }

    /// What it is built from.
    pub(super) fn source(&self) -> Result<(Language, PathBuf), Complaint> {
        let places = [
            (Language::Rust, "Cargo.toml".to_owned()),
            (Language::C, format!("{}.c", self.name)),
            (Language::Wat, format!("{}.wat", self.name)),
        ];
        let found = places
            .into_iter()
            .map(|(language, name)| (language, self.folder.join(name)))
            .find(|(_, path)| path.exists());
        found.ok_or_else(|| {
            Complaint::new(format!(
                "`{}` has no `Cargo.toml`, `{name}.c` or `{name}.wat`",
                self.folder.display(),
                name = self.name
            ))
        })
    }
}

/// The tests of a plugin: what was asked for, or `tests/cases.toml` beside the file or in the folder.
pub(super) fn cases(plugin: &Path, asked: Option<&Path>) -> PathBuf {
    let folder = match plugin.is_dir() {
        true => plugin,
        false => plugin.parent().unwrap_or(Path::new("")),
    };
    asked.map_or_else(|| folder.join("tests/cases.toml"), Path::to_owned)
}
