//! Files, environment variables and trusted keys as the policy asks for them, and whether the files have changed since. The
//! policy itself does no I/O.

use super::snapshot::Snapshot;
use crate::policy::Files;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// A policy file, a certificate or a plugin is not longer than this.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A key file is not longer than this.
const KEY_BYTES_MAX: u64 = 1_024;

/// Whose signatures of plugins count. Given to the process, so that whoever writes the policy cannot say whom to trust.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// A folder of public keys, one file `NAME.pub` each. It is read anew for every load: a key that is gone is revoked.
    pub root: Option<PathBuf>,
    /// Whether every plugin must be signed.
    pub require_signed: bool,
}

/// The file system and the environment of this process.
#[derive(Clone, Copy, Debug)]
pub struct Disk<'a> {
    /// Whose signatures count.
    pub trust: &'a Trust,
}

impl Disk<'_> {
    fn key_path(&self, name: &str) -> Option<PathBuf> {
        let root = self.trust.root.as_ref()?;
        Some(root.join(format!("{name}.pub")))
    }
}

impl Files for Disk<'_> {
    fn trusted_key(&self, name: &str) -> Option<io::Result<Vec<u8>>> {
        Some(read(&self.key_path(name)?, KEY_BYTES_MAX))
    }

    fn requires_signatures(&self) -> bool {
        self.trust.require_signed
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        Some(std::fs::metadata(path).ok()?.mode() & 0o7777)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        read(path, FILE_BYTES_MAX)
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

    /// Device and inode.
    fn file(&self) -> Option<(u64, u64)> {
        let Self(found) = self;
        found.map(|found| (found.device, found.inode))
    }
}

/// Every file that a policy was made from, or failed for, as it was found just before it was read: a change that comes
/// while it is read is seen afterwards.
pub(super) type Stamps = BTreeMap<PathBuf, Stamp>;

/// The files of a policy as they were found, for whoever waits until one changes.
#[derive(Debug)]
pub struct Seen(pub(super) Stamps);

/// The same files as they are found now.
pub(super) fn stamps_now(stamps: &Stamps) -> Stamps {
    let paths = stamps.keys();
    paths.map(|path| (path.clone(), Stamp::of(path))).collect()
}

/// The disk, remembering what is read. A file is read once: what is hashed is what is compiled, and what is kept.
#[derive(Debug)]
pub(super) struct Watched<'a> {
    disk: Disk<'a>,
    stamps: RefCell<Stamps>,
    files: RefCell<BTreeMap<PathBuf, Arc<[u8]>>>,
    secrets: RefCell<BTreeSet<PathBuf>>,
}

impl<'a> Watched<'a> {
    pub(super) fn new(trust: &'a Trust) -> Self {
        Self {
            disk: Disk { trust },
            stamps: RefCell::default(),
            files: RefCell::default(),
            secrets: RefCell::default(),
        }
    }

    /// A secret is one by whatever path it is read: by a symbolic or hard link, or by the same path spelt otherwise.
    pub(super) fn into_parts(self) -> (Stamps, Snapshot) {
        let (stamps, files) = (self.stamps.into_inner(), self.files.into_inner());
        let mut secrets = self.secrets.into_inner();
        let file_of = |path: &PathBuf| stamps.get(path).and_then(Stamp::file);
        let known: BTreeSet<(u64, u64)> = secrets.iter().filter_map(file_of).collect();
        let same = files.keys().filter(|path| {
            let file = file_of(path);
            file.is_some_and(|file| known.contains(&file))
        });
        secrets.extend(same.cloned());
        let snapshot = Snapshot::new(files, secrets);
        (stamps, snapshot)
    }

    fn remember(&self, path: PathBuf) {
        let stamp = Stamp::of(&path);
        // The first look counts: whoever reads twice may get two contents.
        self.stamps.borrow_mut().entry(path).or_insert(stamp);
    }
}

impl Files for Watched<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Some(bytes) = self.files.borrow().get(path) {
            return Ok(bytes.to_vec());
        }
        self.remember(path.to_owned());
        let bytes = self.disk.read(path)?;
        let mut files = self.files.borrow_mut();
        files.insert(path.to_owned(), bytes.as_slice().into());
        Ok(bytes)
    }

    fn read_secret(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.remember(path.to_owned());
        self.secrets.borrow_mut().insert(path.to_owned());
        self.disk.read(path)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.disk.env(name)
    }

    fn trusted_key(&self, name: &str) -> Option<io::Result<Vec<u8>>> {
        // A key that is taken away revokes what it signed, as soon as somebody looks.
        self.remember(self.disk.key_path(name)?);
        self.disk.trusted_key(name)
    }

    fn requires_signatures(&self) -> bool {
        self.disk.requires_signatures()
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        self.disk.mode(path)
    }
}

fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes_max < bytes.len() as u64 {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("is longer than {bytes_max} bytes"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_by_every_path_to_it() {
        let root = std::env::temp_dir().join(format!("pgwarden-source-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&root));
        std::fs::create_dir_all(root.join("more")).unwrap();
        let at = |name: &str| root.join(name);
        std::fs::write(at("secret"), "no PEM at all").unwrap();
        std::fs::write(at("plain"), "no secret").unwrap();
        std::fs::hard_link(at("secret"), at("hard")).unwrap();
        std::os::unix::fs::symlink(at("secret"), at("soft")).unwrap();
        let trust = Trust::default();
        let files = Watched::new(&trust);
        files.read_secret(&at("secret")).unwrap();
        for name in ["plain", "hard", "soft", "more/../secret"] {
            files.read(&at(name)).unwrap();
        }
        let (_, snapshot) = files.into_parts();
        let kept: Vec<&PathBuf> = snapshot.files.keys().collect();
        assert_eq!(kept, [&at("plain")]);
        assert_eq!(snapshot.secrets.len(), 4);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
