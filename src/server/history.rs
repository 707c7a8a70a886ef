//! The revisions that were in force, newest first, and the bytes to build each of them again: in memory, or in the folder that
//! the process was given (`--state`). Owns the order and how many there are; the files are `folder`'s.

mod folder;

use super::live::Source;
use super::reload::Cause;
use super::snapshot::Snapshot;
use crate::policy::Policy;
use crate::session::World;
use crate::unit;
use folder::Folder;
use serde::Deserialize;
use serde::Serialize;
use std::collections::VecDeque;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// One revision that is or was in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The policy's name.
    pub policy: String,
    /// The hash of what it means.
    pub revision: String,
    /// The hash of its files.
    pub bundle: String,
    /// The git commit it lay in.
    pub commit: Option<String>,
    /// When it came into force, last; RFC 3339.
    pub loaded: String,
    /// By what it did.
    pub by: String,
    /// Its root file.
    pub root: PathBuf,
    /// The environment, `--env`.
    pub environment: Option<String>,
    /// The folder that relative paths are seen from.
    pub folder: PathBuf,
}

impl Entry {
    /// Of a world that comes into force.
    pub(super) fn of(world: &World, source: &Source, by: Cause) -> Self {
        Self {
            policy: world.policy.name.to_string(),
            revision: world.policy.revision.full(),
            bundle: world.policy.bundle.to_string(),
            commit: world.commit.as_deref().map(str::to_owned),
            loaded: unit::format_time(world.loaded),
            by: by.name().to_owned(),
            root: source.path.clone(),
            environment: source.environment.clone(),
            folder: std::env::current_dir().unwrap_or_default(),
        }
    }

    /// Whether it can be built again by a process with this source.
    pub(super) fn fits(&self, source: &Source) -> Result<(), String> {
        let named = |environment: &Option<String>| match environment {
            Some(name) => format!("--env {name}"),
            None => "no --env".to_owned(),
        };
        if self.environment != source.environment {
            return Err(format!(
                "that revision was in force with {}, and this process runs with {}",
                named(&self.environment),
                named(&source.environment)
            ));
        }
        let here = std::env::current_dir().unwrap_or_default();
        if self.root.is_relative() && self.folder != here {
            return Err(format!(
                "that revision's paths are seen from {}, and this process runs in {}",
                self.folder.display(),
                here.display()
            ));
        }
        Ok(())
    }

    /// Whether a policy that was built from the kept bytes is the one that was in force: files that hold a private key are not
    /// kept, and are read as they are now.
    pub(super) fn is_of(&self, policy: &Policy, snapshot: &Snapshot) -> Result<(), String> {
        // Another version of the program may have other hashes of the same meaning.
        if self.revision == policy.revision.full() || self.bundle == policy.bundle.to_string() {
            return Ok(());
        }
        let secrets = snapshot.secrets.iter();
        let secrets: Vec<String> = secrets.map(|path| path.display().to_string()).collect();
        Err(format!(
            "that revision cannot be built again: what was not kept means something else by now ({})",
            secrets.join(", ")
        ))
    }

    /// Whether both are built from the same bytes in the same way.
    fn is_same(&self, other: &Self) -> bool {
        (&self.bundle, &self.root, &self.environment, &self.folder)
            == (
                &other.bundle,
                &other.root,
                &other.environment,
                &other.folder,
            )
    }
}

/// All of them. The first is in force, once the process serves.
#[derive(Debug, Default)]
pub(super) struct History {
    folder: Option<Folder>,
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Clone, Debug)]
struct Kept {
    entry: Entry,
    bytes: Held,
}

#[derive(Clone, Debug)]
enum Held {
    Memory(Arc<Snapshot>),
    File(PathBuf),
}

impl History {
    /// With what an earlier process has left in the folder. Does blocking I/O.
    ///
    /// # Errors
    /// Why the folder cannot be used.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let failed = |error| format!("--state {}: {error}", path.display());
        let folder = Folder::open(path).map_err(failed)?;
        let found = folder.list().map_err(failed)?.into_iter();
        let kept = found.map(|(entry, path)| Kept {
            entry,
            bytes: Held::File(path),
        });
        Ok(Self {
            kept: Mutex::new(kept.collect()),
            folder: Some(folder),
        })
    }

    /// All revisions, the one in force first.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let kept = self.lock();
        kept.iter().map(|kept| kept.entry.clone()).collect()
    }

    /// By what the revision in force came into force.
    pub(super) fn by(&self) -> String {
        let kept = self.lock();
        let first = kept.front();
        first.map_or_else(String::new, |kept| kept.entry.by.clone())
    }

    /// The revision that many back, with its bytes; 0 is the one in force. Does blocking I/O.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn back(&self, back: usize) -> Result<(Entry, Snapshot), String> {
        let (found, earlier) = {
            let kept = self.lock();
            (kept.get(back).cloned(), kept.len().saturating_sub(1))
        };
        let Some(Kept { entry, bytes }) = found else {
            return Err(match earlier {
                0 => "no earlier revision is kept".to_owned(),
                1 => format!("there is no revision {back} back; 1 earlier revision is kept"),
                many => {
                    format!("there is no revision {back} back; {many} earlier revisions are kept")
                }
            });
        };
        match bytes {
            Held::Memory(snapshot) => Ok((entry, Snapshot::clone(&snapshot))),
            Held::File(path) => match folder::read(&path) {
                Ok(snapshot) => Ok((entry, snapshot)),
                Err(error) => Err(format!("{}: {error}", path.display())),
            },
        }
    }

    /// Puts the revision that has come into force before all others, of which `keep` stay. Does blocking I/O. One at a time.
    pub(super) fn put(&self, entry: Entry, mut snapshot: Snapshot, keep: usize) {
        let bytes = match self
            .folder
            .as_ref()
            .map(|folder| folder.write(&entry, &snapshot))
        {
            Some(Ok(path)) => Held::File(path),
            failed => {
                if let Some(Err(error)) = failed {
                    tracing::error!(%error, "the revision could not be written, it is kept in memory");
                }
                let newest = self.lock().front().map(|kept| kept.bytes.clone());
                if let Some(Held::Memory(newest)) = newest {
                    snapshot.share(&newest);
                }
                Held::Memory(Arc::new(snapshot))
            }
        };
        let gone = {
            let mut kept = self.lock();
            let same = kept.iter().position(|kept| kept.entry.is_same(&entry));
            let mut gone: Vec<Kept> = same
                .and_then(|index| kept.remove(index))
                .into_iter()
                .collect();
            kept.push_front(Kept { entry, bytes });
            let length = kept.len().min(keep.saturating_add(1));
            gone.extend(kept.drain(length..));
            gone
        };
        for Kept { bytes, .. } in gone {
            if let Held::File(path) = bytes
                && let Err(error) = std::fs::remove_file(&path)
            {
                tracing::warn!(%error, path = %path.display(), "an old revision stays behind");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
