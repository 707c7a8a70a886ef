//! The other end of the admin socket: asks a running process and waits for its answer. Blocks; for the command line.

use super::Answer;
use super::Request;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// An answer is not longer than this.
const ANSWER_BYTES_MAX: u64 = 512 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no socket, or nobody at it, or it is not ours to use.
    #[error("nobody answers at {}: {source}", path.display())]
    Nobody {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The answer did not come in time, or not at all. What was asked for may have been done.
    #[error("no answer from {}: {source}", path.display())]
    Unanswered {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Asks the process that listens on a socket.
///
/// # Errors
/// Why there is no answer.
pub fn call(path: &Path, request: &Request, patience: Duration) -> Result<Answer, CallError> {
    let mut stream = UnixStream::connect(path).map_err(|source| CallError::Nobody {
        path: path.to_owned(),
        source,
    })?;
    let asked = || -> io::Result<Answer> {
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(serde_json::from_slice(&answer)?)
    };
    asked().map_err(|error| CallError::Unanswered {
        path: path.to_owned(),
        source: match error.kind() {
            // What a read timeout is called depends on the system.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                let text = format!("not within {}", crate::unit::format_duration(patience));
                io::Error::new(io::ErrorKind::TimedOut, text)
            }
            _ => error,
        },
    })
}
