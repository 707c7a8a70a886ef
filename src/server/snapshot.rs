//! The bytes a revision was built from, so that it can be built again, and the way a policy reads them. Holds no secret: of
//! those it knows the paths alone, and whoever reads again reads them where they lie.

use super::source::Disk;
use super::source::Trust;
use crate::policy::Files;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// The bytes of a policy's files, by the paths it reads them by.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Its files.
    pub files: BTreeMap<PathBuf, Arc<[u8]>>,
    /// Files that hold a secret. None of them is among the others.
    pub secrets: BTreeSet<PathBuf>,
}

impl Snapshot {
    /// A file that is read as a secret is one, whatever else it is read as: a certificate and its key can be one file. So is one
    /// that holds a private key, whoever reads it.
    pub(super) fn new(
        mut files: BTreeMap<PathBuf, Arc<[u8]>>,
        mut secrets: BTreeSet<PathBuf>,
    ) -> Self {
        files.retain(|path, bytes| {
            if holds_private_key(bytes) {
                secrets.insert(path.clone());
            }
            !secrets.contains(path)
        });
        Self { files, secrets }
    }

    /// Takes over the bytes of files that are the same in another, so that they are held once.
    pub(super) fn share(&mut self, other: &Self) {
        for (path, bytes) in &mut self.files {
            if let Some(same) = other.files.get(path).filter(|same| *same == bytes) {
                *bytes = Arc::clone(same);
            }
        }
    }
}

/// Whether there is a private key in the file, as PEM (RFC 7468): in PKCS #8, encrypted or not, or in a form of its own (`RSA`,
/// `EC`, `OPENSSH`).
fn holds_private_key(bytes: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const END: &[u8] = b"PRIVATE KEY-----";
    memchr::memmem::find_iter(bytes, BEGIN).any(|at| {
        let rest = &bytes[at + BEGIN.len()..];
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        memchr::memmem::find(&rest[..end], END).is_some()
    })
}

/// A snapshot as a policy reads it. What it does not have is not there, even where it is on disk by now.
#[derive(Debug)]
pub struct Stored<'a> {
    snapshot: &'a Snapshot,
    disk: Disk<'a>,
    /// What relative paths are seen from, where that is not the folder of this process.
    folder: PathBuf,
}

impl<'a> Stored<'a> {
    /// With the keys that are trusted now: a key that was revoked stays so.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, trust: &'a Trust) -> Self {
        Self {
            snapshot,
            disk: Disk { trust },
            folder: PathBuf::new(),
        }
    }

    /// With secrets as they are seen from another folder.
    #[must_use]
    pub fn seen_from(self, folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            ..self
        }
    }
}

impl Files for Stored<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if let Some(bytes) = self.snapshot.files.get(path) {
            return Ok(bytes.to_vec());
        }
        if self.snapshot.secrets.contains(path) {
            return self.disk.read(&self.folder.join(path));
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "is not among the kept files",
        ))
    }

    fn read_secret(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read(&self.folder.join(path))
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        self.disk.mode(&self.folder.join(path))
    }

    fn env(&self, name: &str) -> Option<String> {
        self.disk.env(name)
    }

    fn trusted_key(&self, name: &str) -> Option<io::Result<Vec<u8>>> {
        self.disk.trusted_key(name)
    }

    fn requires_signatures(&self) -> bool {
        self.disk.requires_signatures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> BTreeSet<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    fn files(names: &[&str]) -> BTreeMap<PathBuf, Arc<[u8]>> {
        let paths = paths(names).into_iter();
        paths
            .map(|path| (path, Arc::from(&b"content"[..])))
            .collect()
    }

    #[test]
    fn a_file_that_holds_a_secret_is_not_kept_though_it_holds_a_certificate_too() {
        let read = files(&["policy.toml", "both.pem"]);
        let snapshot = Snapshot::new(read, paths(&["both.pem", "password"]));
        assert_eq!(snapshot.files, files(&["policy.toml"]));
        assert_eq!(snapshot.secrets, paths(&["both.pem", "password"]));
    }

    #[test]
    fn a_file_with_a_private_key_is_a_secret_by_whatever_path_it_is_read() {
        for (text, is_kept) in [
            (
                "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n",
                true,
            ),
            ("-----BEGIN PRIVATE KEY-----\nMII\n", false),
            (
                "-----BEGIN CERTIFICATE-----\nMII\n-----BEGIN RSA PRIVATE KEY-----\r\nMII",
                false,
            ),
            ("# -----BEGIN EC PRIVATE KEY-----", false),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----", false),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\n", false),
            ("-----BEGIN PUBLIC KEY-----\nis no PRIVATE KEY-----\n", true),
            ("a PRIVATE KEY-----", true),
        ] {
            let path = PathBuf::from("some.pem");
            let files = BTreeMap::from([(path.clone(), Arc::from(text.as_bytes()))]);
            let snapshot = Snapshot::new(files, BTreeSet::new());
            assert_eq!(snapshot.files.contains_key(&path), is_kept, "{text}");
            assert_eq!(snapshot.secrets.contains(&path), !is_kept, "{text}");
        }
    }

    #[test]
    fn what_was_not_read_then_is_not_there_now() {
        let snapshot = Snapshot::new(files(&["policy.toml"]), BTreeSet::new());
        let trust = Trust::default();
        let stored = Stored::new(&snapshot, &trust);
        let read = |path| stored.read(Path::new(path));
        assert_eq!(read("policy.toml").unwrap(), b"content");
        let error = read("/proc/self/status").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(stored.read_secret(Path::new("/proc/self/status")).is_ok());
    }

    #[test]
    fn the_same_bytes_are_held_once() {
        let first = Snapshot::new(files(&["policy.toml", "a.wasm"]), BTreeSet::new());
        let mut second = Snapshot::new(files(&["a.wasm"]), BTreeSet::new());
        second.share(&first);
        let path = Path::new("a.wasm");
        assert!(Arc::ptr_eq(&first.files[path], &second.files[path]));
    }
}
