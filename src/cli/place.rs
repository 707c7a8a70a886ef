//! Puts files where they belong, whole or not at all. Owns no content.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Result;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

/// Whoever reads a secret has it: nobody but its owner may.
pub(super) const SECRET: u32 = 0o600;
/// What anybody may read.
pub(super) const PUBLIC: u32 = 0o644;

/// Puts a whole file in the place of another, or of none: nobody ever reads half of it. The rights stay.
///
/// # Errors
/// Then the old one is as it was.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let next = beside(path, &format!(".{}.new", std::process::id()));
    let written = || {
        let mut file = File::create(&next)?;
        file.write_all(bytes)?;
        if let Ok(before) = std::fs::metadata(path) {
            file.set_permissions(before.permissions())?;
        }
        file.sync_all()?;
        std::fs::rename(&next, path)
    };
    written().inspect_err(|_| drop(std::fs::remove_file(&next)))
}

/// Writes a file that is not there yet, with these rights.
///
/// # Errors
/// Also where something of that name is there.
pub(super) fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// `plugin.wasm.new` for `plugin.wasm` and `.new`.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
