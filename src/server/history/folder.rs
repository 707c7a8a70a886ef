//! Revisions as files: one file each, a line of JSON that says what it is, then the bytes of the policy's files, one after the
//! other. Written aside and renamed, so that a file is whole or not there. Owns no order but that of the numbers in the names.

use super::Entry;
use crate::digest::sha256_hex;
use crate::kernel;
use crate::server::snapshot::Snapshot;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The form of the files; another one is another program's.
const FORMAT: u32 = 1;
/// Policies hold verifiers of passwords: nobody else reads them.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const OTHERS: u32 = 0o077;
const ENDING: &str = ".revision";
const LOCK: &str = "lock";
const NEW: &str = "new";
/// The line of JSON.
const HEADER_BYTES_MAX: u64 = 4 << 20;

/// The folder, held by this process alone as long as it lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    next: AtomicU64,
    /// Locked.
    lock: File,
}

impl Drop for Folder {
    /// Closing the file alone would leave the lock with a process that is being started at this moment and still has all of ours.
    fn drop(&mut self) {
        drop(self.lock.unlock());
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    entry: Entry,
    files: Vec<Part>,
    secrets: Vec<PathBuf>,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Part {
    path: PathBuf,
    bytes: usize,
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

impl Folder {
    /// Makes it where it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(path)?;
        let folder = std::fs::metadata(path)?;
        belongs_to(folder.uid(), kernel::user())?;
        let mode = folder.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            return Err(invalid(format!(
                "is open to others (mode {mode:04o}); run chmod 700"
            )));
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let lock = options.mode(FILE_MODE).open(path.join(LOCK))?;
        lock.try_lock()
            .map_err(|_| invalid("another process keeps its revisions there"))?;
        Ok(Self {
            path: path.to_owned(),
            next: AtomicU64::new(1),
            lock,
        })
    }

    /// What is there, newest first. What cannot be read is told and left alone.
    pub(super) fn list(&self) -> io::Result<Vec<(Entry, PathBuf)>> {
        let mut numbered = Vec::new();
        for found in std::fs::read_dir(&self.path)? {
            let path = found?.path();
            if let Some(number) = number_of(&path) {
                numbered.push((number, path));
            }
        }
        numbered.sort();
        if let Some((last, _)) = numbered.last() {
            self.next.store(last.saturating_add(1), Relaxed);
        }
        let mut entries = Vec::new();
        for (_, path) in numbered.into_iter().rev() {
            match head(&path) {
                Ok(header) => entries.push((header.entry, path)),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a kept revision cannot be read");
                }
            }
        }
        Ok(entries)
    }

    /// Writes a revision behind all others.
    pub(super) fn write(&self, entry: &Entry, snapshot: &Snapshot) -> io::Result<PathBuf> {
        let body: Vec<u8> = snapshot
            .files
            .values()
            .flat_map(|bytes| bytes.iter())
            .copied()
            .collect();
        let files = snapshot.files.iter();
        let header = Header {
            format: FORMAT,
            entry: entry.clone(),
            files: files
                .map(|(path, bytes)| Part {
                    path: path.clone(),
                    bytes: bytes.len(),
                })
                .collect(),
            secrets: snapshot.secrets.iter().cloned().collect(),
            sha256: sha256_hex(&body),
        };
        let mut line = serde_json::to_vec(&header)?;
        line.push(b'\n');
        let new = self.path.join(NEW);
        // What an earlier process left half written. Only a new file is known to be ours.
        if let Err(error) = std::fs::remove_file(&new)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let mut file = options.mode(FILE_MODE).open(&new)?;
        file.write_all(&line)?;
        file.write_all(&body)?;
        file.sync_all()?;
        let number = self.next.fetch_add(1, Relaxed);
        let short: String = entry.revision.chars().take(8).collect();
        let path = self.path.join(format!("{number:012}-{short}{ENDING}"));
        std::fs::rename(&new, &path)?;
        File::open(&self.path)?.sync_all()?;
        Ok(path)
    }
}

/// Whoever owns the folder can put any revision there, with any mode.
fn belongs_to(owner: u32, own: u32) -> io::Result<()> {
    if owner == own {
        return Ok(());
    }
    Err(invalid(format!(
        "belongs to user {owner}, and this process runs as user {own}"
    )))
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?;
    name.split_once('-')?.0.parse().ok()
}

/// The line alone.
fn head(path: &Path) -> io::Result<Header> {
    let mut line = Vec::new();
    let file = BufReader::new(File::open(path)?);
    file.take(HEADER_BYTES_MAX).read_until(b'\n', &mut line)?;
    parse(&line)
}

fn parse(line: &[u8]) -> io::Result<Header> {
    let header: Header =
        serde_json::from_slice(line).map_err(|error| invalid(error.to_string()))?;
    if header.format != FORMAT {
        let found = header.format;
        return Err(invalid(format!(
            "is of form {found}, and this program knows {FORMAT}"
        )));
    }
    Ok(header)
}

/// The bytes of a revision, if they are those that were written.
pub(super) fn read(path: &Path) -> io::Result<Snapshot> {
    let whole = std::fs::read(path)?;
    let end = whole.iter().position(|byte| *byte == b'\n');
    let (line, mut body) = whole.split_at(end.map_or(whole.len(), |end| end + 1));
    let header = parse(line)?;
    if sha256_hex(body) != header.sha256 {
        return Err(invalid("is not what was written there"));
    }
    let mut files = BTreeMap::new();
    for Part { path, bytes } in header.files {
        let Some((part, rest)) = body.split_at_checked(bytes) else {
            return Err(invalid("ends too early"));
        };
        files.insert(path, part.into());
        body = rest;
    }
    Ok(Snapshot::new(files, header.secrets.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_another_user_is_refused_also_for_root() {
        assert!(belongs_to(1_000, 1_000).is_ok());
        for (owner, own) in [(1_000, 0), (0, 1_000), (1_001, 1_000)] {
            let error = belongs_to(owner, own).unwrap_err().to_string();
            assert!(error.contains(&format!("user {owner}, ")), "{error}");
        }
    }

    /// What lies where a revision is written is never written through.
    #[test]
    fn a_link_in_the_way_of_a_revision_is_not_followed() {
        let path = std::env::temp_dir().join(format!("pgwarden-folder-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        let folder = Folder::open(&path).unwrap();
        let elsewhere = path.join("elsewhere");
        std::fs::write(&elsewhere, "untouched").unwrap();
        std::os::unix::fs::symlink(&elsewhere, path.join(NEW)).unwrap();
        let entry = Entry {
            policy: "p".to_owned(),
            revision: "0123456789".to_owned(),
            bundle: "b".to_owned(),
            commit: None,
            loaded: "2026-01-01T00:00:00Z".to_owned(),
            by: "reload".to_owned(),
            root: "/etc/policy.toml".into(),
            environment: None,
            folder: "/".into(),
        };
        let written = folder.write(&entry, &Snapshot::default()).unwrap();
        assert!(read(&written).unwrap().files.is_empty());
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "untouched");
        std::fs::remove_dir_all(&path).unwrap();
    }
}
