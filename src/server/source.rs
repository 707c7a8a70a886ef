//! Files and environment variables as the policy asks for them. The policy itself does no I/O.

use crate::policy::Files;
use std::io;
use std::io::Read as _;
use std::path::Path;

/// A policy file, a certificate or a plugin is not longer than this.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The file system and the environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = std::fs::File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"));
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if FILE_BYTES_MAX < bytes.len() as u64 {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("is longer than {FILE_BYTES_MAX} bytes"),
            ));
        }
        Ok(bytes)
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}
