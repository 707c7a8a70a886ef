//! What the tests stand on: throw-away PostgreSQL clusters, the proxy as a process, a client that speaks raw
//! messages, and runners of real drivers. Owns waiting, ports and temporary folders; knows no test.

pub(crate) mod certificate;
pub(crate) mod cluster;
pub(crate) mod document;
pub(crate) mod drivers;
pub(crate) mod frames;
pub(crate) mod git;
pub(crate) mod message;
pub(crate) mod plugins;
pub(crate) mod policy;
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod said;
pub(crate) mod tls;
pub(crate) mod wire;

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// How long anything may take that is expected to happen. Generous: a busy machine is no mistake.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(2);

/// Waits until `condition` gives a value; panics with `what` when it has not by the deadline.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_within(DEADLINE, condition)
        .unwrap_or_else(|| panic!("waited {DEADLINE:?} in vain: {what}"))
}

/// Waits until `condition` gives a value, or `None` after `limit`.
pub(crate) fn wait_within<T>(
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::park_timeout(POLL);
    }
}

/// A port on loopback that nothing listens on and that this process gives out once. They lie below the range that
/// the system takes for outgoing connections, so that none of those gets in between.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).expect("below COUNT");
    (0..COUNT)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// A folder that goes when its owner goes, or when this process goes. Its path is short enough for Unix sockets.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = run_folder().join(format!("{number}-{name}"));
        std::fs::create_dir(&path).expect("a folder in the temporary folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("a file in the temporary folder");
        if name.ends_with(".key") {
            let only_mine = Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, only_mine).expect("our own file");
        }
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind harms nobody; a panic while panicking ends the run.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The folder of this run. A shell removes it when this process has ended, however it ended.
fn run_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    const REMOVE: &str = r#"read -r _; n=0; while [ -e "$1" ] && [ $n -lt 50 ]; do rm -rf "$1"; n=$((n + 1)); sleep 0.1; done"#;
    FOLDER.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("pgwarden-{}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder in the temporary folder");
        let mut shell = Command::new("sh");
        shell.args(["-c", REMOVE, "remove"]).arg(&path);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Its own process group, so that an interrupt at the terminal does not end it first.
        shell.process_group(0);
        // Forgotten, so that its standard input ends with this process and not before.
        std::mem::forget(shell.spawn().expect("sh"));
        path
    })
}

/// A process that is killed when its test ends, however it ends.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Already gone is as good.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs one of the repository's scripts and gives what it printed last.
pub(crate) fn script(name: &str, arguments: &[&str]) -> PathBuf {
    let output = Command::new("bash")
        .arg(repository().join("scripts").join(name))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/{name}: {errors}");
    PathBuf::from(
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .lines()
            .last()
            .expect("a path"),
    )
}

/// Sends a signal by name to a process.
pub(crate) fn signal(name: &str, pid: u32) {
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("kill -{name} {pid}"))
        .status()
        .expect("sh");
    assert!(status.success(), "kill -{name} {pid}");
}
