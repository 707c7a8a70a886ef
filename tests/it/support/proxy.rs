//! The proxy as a process: started over a policy text, watched, reloaded, stopped. Owns the process, its log and the
//! folder its policy lies in.

use super::DEADLINE;
use super::Folder;
use super::Killed;
use super::git;
use super::policy::PolicyText;
use super::signal;
use super::wait_for;
use super::wait_within;
use super::wire::Wire;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// What a SIGHUP came to, as the log says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    Swapped,
    Kept,
}

/// The messages of the log by which a reload is known to have ended.
const SWAPPED: &str = "policy reloaded";
const KEPT: &str = "reload refused";

/// The program under test.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("PGWARDEN").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_pgwarden")),
        PathBuf::from,
    )
}

/// The program with arguments, for its other verbs.
pub(crate) fn pgwarden(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    git::isolated(&mut command)
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// A running proxy. Dropped, it is killed.
pub(crate) struct Proxy {
    process: Killed,
    pub(crate) port: u16,
    folder: Folder,
    /// How much of the log `hang_up` has read.
    read: AtomicU64,
}

/// Whether the kernel can deny executable memory: then every proxy of the tests runs without any.
pub(crate) fn denies_exec_memory() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    (6, 3) <= (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

impl Proxy {
    /// Starts the proxy and waits until it accepts.
    #[track_caller]
    pub(crate) fn start(policy: &PolicyText) -> Self {
        Self::start_with(policy, &[], &[])
    }

    /// The same with files beside the policy and more arguments.
    #[track_caller]
    pub(crate) fn start_with(
        policy: &PolicyText,
        files: &[(&str, &[u8])],
        arguments: &[&str],
    ) -> Self {
        let folder = Folder::new("proxy");
        for (name, text) in PolicyText::files() {
            folder.write(name, text);
        }
        for (name, bytes) in files {
            folder.write(name, bytes);
        }
        folder.write("policy.toml", policy.text());
        Self::over(folder, policy.port, arguments)
    }

    /// Starts the proxy over the `policy.toml` that is in a folder already, and waits until it accepts on a port.
    #[track_caller]
    pub(crate) fn over(folder: Folder, port: u16, arguments: &[&str]) -> Self {
        let path = folder.path().join("policy.toml");
        let log = File::create(folder.path().join("log")).expect("a log file");
        let mut command = pgwarden(&["run", "--log-format", "json"]);
        if denies_exec_memory() {
            command.arg("--deny-exec-memory");
        }
        command.args(arguments).arg(path);
        command
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        let child = command.spawn().expect("pgwarden starts");
        let mut proxy = Self {
            process: Killed(child),
            port,
            folder,
            read: AtomicU64::new(0),
        };
        wait_for("the proxy accepts", || proxy.accepts().then_some(()));
        proxy
    }

    fn accepts(&mut self) -> bool {
        if let Ok(Some(status)) = self.process.0.try_wait() {
            let policy = std::fs::read_to_string(self.path("policy.toml")).unwrap_or_default();
            panic!("pgwarden ended with {status}:\n{}\n{policy}", self.log());
        }
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// A file beside the policy.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the policy and its files lie.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// A session of a trusted user in the database `app`.
    #[track_caller]
    pub(crate) fn login(&self, user: &str) -> Wire {
        Wire::login(self.port, user, "app")
    }

    /// A session of the admin console.
    #[track_caller]
    pub(crate) fn admin(&self) -> Wire {
        Wire::login(self.port, "postgres", "pgwarden")
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The log's lines that are JSON objects.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.log()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Waits for an event that fits, and gives it.
    #[track_caller]
    pub(crate) fn event(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || self.events().into_iter().find(&fits))
    }

    /// Writes a new policy text the way an editor does, by renaming.
    pub(crate) fn write_policy(&self, text: &str) {
        let next = self.folder.write("policy.toml.new", text);
        std::fs::rename(next, self.path("policy.toml")).expect("renamed");
    }

    /// Sends SIGHUP and waits until the log says what came of it.
    #[track_caller]
    pub(crate) fn hang_up(&self) -> Reload {
        signal("HUP", self.pid());
        wait_for("the log says what came of SIGHUP", || self.next_outcome())
    }

    /// Reads on in the log up to the next line that tells what came of a reload.
    fn next_outcome(&self) -> Option<Reload> {
        let mut file = File::open(self.path("log")).ok()?;
        file.seek(SeekFrom::Start(self.read.load(Ordering::Relaxed)))
            .ok()?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).ok()?;
        for line in text
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| line.ends_with(b"\n"))
        {
            self.read.fetch_add(
                u64::try_from(line.len()).expect("a length"),
                Ordering::Relaxed,
            );
            if let Some(outcome) = outcome(&String::from_utf8_lossy(line)) {
                return Some(outcome);
            }
        }
        None
    }

    /// Changes the policy and reloads.
    #[track_caller]
    pub(crate) fn reload(&self, text: &str) -> Reload {
        self.write_policy(text);
        self.hang_up()
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The largest that the resident memory has been since `forget_peak`, in bytes.
    pub(crate) fn peak_resident_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Begins a new peak at the resident memory of now.
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("our own child");
    }

    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("the proxy runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("a line of that name");
        let kibibytes: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number");
        kibibytes * 1024
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        signal("TERM", self.pid());
    }

    /// Whether the process is still there.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.process.0.try_wait(), Ok(None))
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        wait_within(DEADLINE, || self.process.0.try_wait().ok().flatten())
            .unwrap_or_else(|| panic!("pgwarden still runs:\n{}", self.log()))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let start = log.len().saturating_sub(4000);
            eprintln!(
                "the end of pgwarden's log:\n{}",
                log.get(start..).unwrap_or(&log)
            );
        }
    }
}

fn outcome(line: &str) -> Option<Reload> {
    if line.contains(SWAPPED) {
        Some(Reload::Swapped)
    } else if line.contains(KEPT) {
        Some(Reload::Kept)
    } else {
        None
    }
}
