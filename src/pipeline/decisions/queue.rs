//! Lines that wait to be written, bounded by count and bytes; what does not fit is lost and counted. Owns no writing.

use crate::policy::WhenFull;
use std::collections::VecDeque;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Lines that may wait, and their bytes.
const LINES_MAX: usize = 16_384;
const BYTES_MAX: usize = 8 << 20;

/// Lines that wait. The lock is held for a push, or for taking all of them.
#[derive(Debug)]
pub struct Queue {
    full: WhenFull,
    waiting: Mutex<Waiting>,
    some: Condvar,
    written: AtomicU64,
    lost: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<String>,
    bytes: usize,
    closed: bool,
}

/// Figures of a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueCounts {
    /// Lines that have been written.
    pub written: u64,
    /// Lines that did not fit.
    pub lost: u64,
    /// Lines that could not be written.
    pub failed: u64,
    /// Lines that wait.
    pub waiting: usize,
}

impl Queue {
    /// An empty one.
    #[must_use]
    pub fn new(full: WhenFull) -> Self {
        Self {
            full,
            waiting: Mutex::default(),
            some: Condvar::new(),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Adds a line. Where there is no room for it, one is lost: the oldest or this one, as the policy says.
    pub(super) fn put(&self, line: String) {
        let mut waiting = self.waiting();
        let fits = |waiting: &Waiting| {
            waiting.lines.len() < LINES_MAX && waiting.bytes + line.len() <= BYTES_MAX
        };
        while !fits(&waiting) {
            self.lose();
            if self.full == WhenFull::DropNewest {
                return;
            }
            let Some(oldest) = waiting.lines.pop_front() else {
                return; // longer than everything that may wait
            };
            waiting.bytes -= oldest.len();
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line);
        let was_empty = waiting.lines.len() == 1;
        drop(waiting);
        if was_empty {
            self.some.notify_one();
        }
    }

    /// Counts a line that is lost.
    pub(super) fn lose(&self) {
        self.lost.fetch_add(1, Relaxed);
    }

    /// Takes everything that waits, after waiting for something at most that long. `None` once the queue is closed and empty.
    pub fn take(&self, patience: Duration) -> Option<VecDeque<String>> {
        let mut waiting = self.waiting();
        if waiting.lines.is_empty() && !waiting.closed {
            let waited = self.some.wait_timeout(waiting, patience);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if waiting.lines.is_empty() && waiting.closed {
            return None;
        }
        waiting.bytes = 0;
        Some(std::mem::take(&mut waiting.lines))
    }

    /// Nothing will be added any more.
    pub fn close(&self) {
        self.waiting().closed = true;
        self.some.notify_all();
    }

    /// Whether nothing will be added any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.waiting().closed
    }

    /// Counts lines that have been written, or could not be.
    pub fn note(&self, written: u64, failed: u64) {
        self.written.fetch_add(written, Relaxed);
        self.failed.fetch_add(failed, Relaxed);
    }

    /// Its figures.
    #[must_use]
    pub fn counts(&self) -> QueueCounts {
        QueueCounts {
            written: self.written.load(Relaxed),
            lost: self.lost.load(Relaxed),
            failed: self.failed.load(Relaxed),
            waiting: self.waiting().lines.len(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(full: WhenFull) -> Queue {
        let queue = Queue::new(full);
        for number in 0..LINES_MAX + 3 {
            queue.put(number.to_string());
        }
        queue
    }

    #[test]
    fn what_does_not_fit_is_lost_and_counted() {
        let queue = filled(WhenFull::DropOldest);
        assert_eq!(queue.counts().lost, 3);
        let lines = queue.take(Duration::ZERO).expect("lines");
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(lines[0], "3");
        let queue = filled(WhenFull::DropNewest);
        assert_eq!(queue.counts().lost, 3);
        assert_eq!(queue.take(Duration::ZERO).expect("lines")[0], "0");
    }

    #[test]
    fn bytes_are_bounded_as_well() {
        let queue = Queue::new(WhenFull::DropOldest);
        for _ in 0..9 {
            queue.put("x".repeat(BYTES_MAX / 8));
        }
        assert_eq!(queue.counts().waiting, 8);
        assert_eq!(queue.counts().lost, 1);
        queue.put("x".repeat(BYTES_MAX + 1));
        assert_eq!(queue.counts().waiting, 0, "made room in vain");
        assert_eq!(queue.counts().lost, 10);
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_then_nothing() {
        let queue = Queue::new(WhenFull::DropOldest);
        queue.put("last".to_owned());
        queue.close();
        assert_eq!(queue.take(Duration::MAX).expect("lines"), ["last"]);
        assert_eq!(queue.take(Duration::MAX), None);
    }
}
