//! Files and environment variables as the policy asks for them, and whether the files have changed since. The policy itself
//! does no I/O.

use crate::policy::Files;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

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

/// How a file is found, without its content: nothing where it is missing. A file that was replaced, written, moved or
/// made readable is found otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp(Option<Found>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Found {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        Self(std::fs::metadata(path).ok().map(|file| Found {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }))
    }
}

/// Every file that a policy was made from, or failed for, as it was found just before it was read: a change that comes
/// while it is read is seen afterwards.
pub(super) type Stamps = BTreeMap<PathBuf, Stamp>;

/// The same files as they are found now.
pub(super) fn stamps_now(stamps: &Stamps) -> Stamps {
    let paths = stamps.keys();
    paths.map(|path| (path.clone(), Stamp::of(path))).collect()
}

/// The disk, remembering what is read.
#[derive(Debug, Default)]
pub(super) struct Watched(RefCell<Stamps>);

impl Watched {
    pub(super) fn into_stamps(self) -> Stamps {
        self.0.into_inner()
    }
}

impl Files for Watched {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let stamp = Stamp::of(path);
        // The first look counts: whoever reads twice may get two contents.
        self.0.borrow_mut().entry(path.to_owned()).or_insert(stamp);
        Disk.read(path)
    }

    fn env(&self, name: &str) -> Option<String> {
        Disk.env(name)
    }
}
