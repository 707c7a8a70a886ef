//! Puts files where they belong, whole or not at all. Owns no content.

use std::fs::OpenOptions;
use std::io::Result;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

/// Whoever reads a secret has it: nobody but its owner may.
pub(super) const SECRET: u32 = 0o600;
/// What the umask leaves of it is up to the user.
const ANY: u32 = 0o666;
/// What anybody may read.
pub(super) const PUBLIC: u32 = 0o644;

/// Puts a whole file in the place of another, or of none: nobody ever reads half of it. The rights stay.
///
/// # Errors
/// Then the old one is as it was.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let next = beside(path, &format!(".{}.new", std::process::id()));
    let before = std::fs::metadata(path).ok().map(|file| file.permissions());
    // Nobody may read the new bytes who may not read the old ones, at no time.
    let mode = before.as_ref().map_or(ANY, |rights| rights.mode() & ANY);
    let written = || {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&next)?;
        if let Some(before) = &before {
            file.set_permissions(before.clone())?;
        }
        file.write_all(bytes)?;
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
