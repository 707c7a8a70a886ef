//! Where decisions are written: a file that may be rotated under it, or standard output. One thread a sink, so that no session
//! waits for a disk. Owns no record; the lines come from `pipeline`.

use crate::pipeline::Queue;
use crate::policy::Decisions;
use crate::policy::Sink;
use crate::policy::WhenFull;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

/// How long a writer sleeps at most where nothing comes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Failures to write are logged this far apart.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// Only the operator reads decisions.
const FILE_MODE: u32 = 0o600;

/// Every sink that is open. A sink outlives the policy revision that opened it as long as the next one writes there as well.
#[derive(Default)]
pub(super) struct Sinks {
    open: Mutex<Vec<Open>>,
}

struct Open {
    sink: Sink,
    full: WhenFull,
    queue: Arc<Queue>,
    writer: JoinHandle<()>,
}

impl Sinks {
    /// The lines of a sink, which is opened where it is not yet. Does blocking I/O; one at a time.
    ///
    /// # Errors
    /// Why it cannot be, with the place in the policy.
    pub(super) fn open(&self, rules: &Decisions) -> Result<Arc<Queue>, String> {
        if let Some(known) = self.known(rules) {
            return Ok(known);
        }
        let failed = |error: io::Error| {
            format!(
                "{}: decisions cannot be written to {}: {error}",
                rules.place, rules.written
            )
        };
        // Not under the lock: a file system may hang.
        let out = Out::open(&rules.sink).map_err(failed)?;
        let queue = Arc::new(Queue::new(rules.full));
        let lines = Arc::clone(&queue);
        let writer = thread::Builder::new()
            .name("decisions".to_owned())
            .spawn(move || write(&lines, out))
            .map_err(failed)?;
        self.lock().push(Open {
            sink: rules.sink.clone(),
            full: rules.full,
            queue: Arc::clone(&queue),
            writer,
        });
        Ok(queue)
    }

    fn known(&self, rules: &Decisions) -> Option<Arc<Queue>> {
        let open = self.lock();
        let known = open.iter().find(|open| {
            open.sink == rules.sink && open.full == rules.full && !open.queue.is_closed()
        })?;
        Some(Arc::clone(&known.queue))
    }

    /// Closes the sinks that no policy revision writes to any more. What waits is still written: such a sink stays here until
    /// its writer is done, so that the end of the process waits for it.
    pub(super) fn close_unused(&self) {
        self.lock().retain(|open| {
            // One is here, one has the writer.
            if Arc::strong_count(&open.queue) <= 2 {
                open.queue.close();
            }
            !open.writer.is_finished()
        });
    }

    /// Closes all of them and waits until everything is written. Blocks.
    pub(super) fn close(&self) {
        let all = std::mem::take(&mut *self.lock());
        for open in &all {
            open.queue.close();
        }
        for open in all {
            if open.writer.join().is_err() {
                tracing::error!("the writer of decisions failed");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what comes until the queue is closed.
fn write(queue: &Queue, mut out: Out) {
    let mut logged: Option<Instant> = None;
    while let Some(lines) = queue.take(PATIENCE) {
        if lines.is_empty() {
            continue;
        }
        let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
        for line in &lines {
            text.push_str(line);
            text.push('\n');
        }
        let count = lines.len() as u64;
        match out.write(&text) {
            Ok(()) => queue.note(count, 0),
            Err(error) => {
                queue.note(0, count);
                if logged.is_none_or(|last| LOG_EVERY < last.elapsed()) {
                    logged = Some(Instant::now());
                    tracing::error!(%error, lines = count, "decisions could not be written");
                }
            }
        }
    }
}

/// An open sink.
enum Out {
    Stdout,
    File {
        path: PathBuf,
        file: File,
        /// The last line may have been written in part.
        torn: bool,
    },
}

impl Out {
    fn open(sink: &Sink) -> io::Result<Self> {
        Ok(match sink {
            Sink::Stdout => Self::Stdout,
            Sink::File(path) => Self::File {
                file: append(path)?,
                path: path.clone(),
                torn: false,
            },
        })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(text.as_bytes()),
            Self::File { path, file, torn } => {
                if !is_at(file, path)? {
                    *file = append(path)?; // somebody has moved it away
                    *torn = false;
                }
                let mut whole = Ok(());
                if *torn {
                    whole = file.write_all(b"\n");
                }
                whole = whole.and_then(|()| file.write_all(text.as_bytes()));
                *torn = whole.is_err();
                whole
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    // A pipe that is opened for both is open at once, whether somebody reads it or not (fifo(7)).
    let is_pipe = std::fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo());
    OpenOptions::new()
        .read(is_pipe)
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(path)
}

/// Whether the file is still what stands at that path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let there = match path.metadata() {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let here = file.metadata()?;
    Ok((here.dev(), here.ino()) == (there.dev(), there.ino()))
}
