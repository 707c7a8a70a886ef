//! What became of reloads, and whether the process is on its way out. Owns no policy: the one in force is the live pointer's.

use super::history::History;
use super::reload::Cause;
use super::reload::Mistakes;
use super::reload::Reload;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

/// Mistakes of a refused reload that are kept.
const REASONS_MAX: usize = 1_000;

/// What the process remembers of its reloads.
#[derive(Debug)]
pub(super) struct Status {
    /// When the process began to serve.
    pub(super) started: SystemTime,
    /// The revisions that were in force.
    pub(super) history: History,
    swapped: AtomicU64,
    kept: AtomicU64,
    draining: AtomicBool,
    files_refused: AtomicBool,
    last: Mutex<Option<LastReload>>,
}

/// The last reload.
#[derive(Clone, Debug)]
pub(super) struct LastReload {
    /// When it ended.
    pub(super) at: SystemTime,
    /// Who asked for it.
    pub(super) by: Cause,
    /// Why the running policy stays; empty where the new one is in force.
    pub(super) reasons: Vec<String>,
}

impl Status {
    pub(super) fn new(started: SystemTime, history: History) -> Self {
        Self {
            started,
            history,
            swapped: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            files_refused: AtomicBool::new(false),
            last: Mutex::new(None),
        }
    }

    pub(super) fn reloaded(&self, outcome: &Reload, by: Cause, at: SystemTime) {
        let reasons = match outcome {
            Reload::Swapped { .. } => {
                self.swapped.fetch_add(1, Relaxed);
                Vec::new()
            }
            Reload::Kept(Mistakes { reasons, .. }) => {
                self.kept.fetch_add(1, Relaxed);
                reasons.iter().take(REASONS_MAX).cloned().collect()
            }
        };
        // What is kept says nothing of the files on disk, and a process that stops does not look at them.
        let reads_files = !matches!(by, Cause::Rollback | Cause::Promote);
        if reads_files && !self.is_draining() {
            self.files_refused.store(!reasons.is_empty(), Relaxed);
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(LastReload { at, by, reasons });
    }

    /// How many reloads put a policy into force, and how many were refused.
    pub(super) fn reloads(&self) -> (u64, u64) {
        (self.swapped.load(Relaxed), self.kept.load(Relaxed))
    }

    pub(super) fn last(&self) -> Option<LastReload> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether the files on disk hold a policy that was refused when they were read last.
    pub(super) fn files_refused(&self) -> bool {
        self.files_refused.load(Relaxed)
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }
}
