//! What a process said when it ended: exit code, standard output, standard error. Owns no opinion of it but that of `ends`.

use super::signal;
use std::io::Write as _;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Whatever is run here, compilers included, ends sooner.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a process said, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// `None`: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn by(command: &mut Command) -> Self {
        Self::by_reading(command, "")
    }

    /// The same with something on its standard input, which it need not read.
    #[track_caller]
    pub(crate) fn by_reading(command: &mut Command, input: &str) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdin = child.stdin.take().expect("a pipe");
        // Who refuses its arguments reads nothing.
        drop(stdin.write_all(input.as_bytes()));
        drop(stdin);
        let pid = child.id();
        let (ended, outcome) = channel();
        let waits = std::thread::spawn(move || drop(ended.send(child.wait_with_output())));
        let Ok(output) = outcome.recv_timeout(PATIENCE) else {
            signal("KILL", pid);
            panic!("{command:?} does not end");
        };
        waits.join().expect("it has waited");
        Self::of(output.expect("it ends"))
    }

    /// The same of a command that must end with this code.
    #[track_caller]
    pub(crate) fn ends(command: &mut Command, code: i32) -> Self {
        let said = Self::by(command);
        assert_eq!(said.code, Some(code), "{command:?}\n{}", said.all());
        said
    }

    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Standard output, then standard error.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}
