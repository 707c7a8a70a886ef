//! What is asked and answered over the admin socket. Both sides know these types; a field may be added, none may change.

use super::tried::CanaryReport;
use super::tried::ShadowReport;
use super::tried::Tried;
use super::tried::Withdrawn;
use crate::server::history::Entry;
use crate::server::snapshot::Snapshot;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Serialize;
use std::path::PathBuf;

/// What is asked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Request {
    /// Read the files and put them into force.
    Reload {
        /// Whether mistakes are told with escape codes for a terminal.
        #[serde(default)]
        colour: bool,
    },
    /// Put an earlier revision into force.
    Rollback {
        /// How many back; 1 is the last one.
        back: usize,
        /// Whether mistakes are told with escape codes for a terminal.
        #[serde(default)]
        colour: bool,
    },
    /// Have a policy decide every statement beside the one in force.
    Shadow {
        /// Its root file, by an absolute path; none ends the shadow there is.
        policy: Option<PathBuf>,
        /// Whether mistakes are told with escape codes for a terminal.
        #[serde(default)]
        colour: bool,
    },
    /// Serve some of the sessions that begin by another policy.
    Canary {
        /// The share of the sessions, above 0 and up to 100.
        percent: f64,
        /// Its root file, by an absolute path; none is the process's own, as it is now.
        policy: Option<PathBuf>,
        /// Whether mistakes are told with escape codes for a terminal.
        #[serde(default)]
        colour: bool,
    },
    /// Put the canary into force.
    Promote {
        /// Whether mistakes are told with escape codes for a terminal.
        #[serde(default)]
        colour: bool,
    },
    /// End the canary, or the shadow.
    Withdraw,
    /// How the process is.
    Status,
    /// The revisions that can be gone back to.
    History,
    /// The files of the revision in force.
    Files,
}

/// What is answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is in force.
    Done(Done),
    /// It is tried from now on.
    Tried(Tried),
    /// It is no longer tried.
    Withdrawn(Withdrawn),
    /// The running policy stays.
    Refused(Refused),
    /// How the process is.
    Status(Box<StatusReport>),
    /// The revisions, the one in force first.
    History(Vec<Entry>),
    /// The files of the revision in force.
    Files(Box<RunningFiles>),
    /// The request could not be answered.
    Error(String),
}

/// What came into force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Done {
    /// The policy's name.
    pub policy: String,
    /// The revision before.
    pub from: String,
    /// The revision now.
    pub revision: String,
    /// The git commit it lies in.
    pub commit: Option<String>,
    /// How long it took.
    pub millis: u64,
}

/// Why nothing changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Every reason, one line each.
    pub mistakes: Vec<String>,
    /// The same as `check` would print it, where the policy's text is at fault.
    pub report: Option<String>,
    /// The revision that stays.
    pub revision: String,
}

/// How the process is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StatusReport {
    /// The program's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// When it began to serve; RFC 3339.
    pub started: String,
    /// Whether it is stopping.
    pub draining: bool,
    /// The policy's name.
    pub policy: String,
    /// The revision in force.
    pub revision: String,
    /// The hash of its files.
    pub bundle: String,
    /// The git commit it lay in.
    pub commit: Option<String>,
    /// When it was loaded; RFC 3339.
    pub loaded: String,
    /// By what it came into force; `rollback` until the next reload.
    pub by: String,
    /// Earlier revisions that can be gone back to.
    pub earlier: usize,
    /// Reloads that changed the policy.
    pub swapped: u64,
    /// Reloads that were refused.
    pub refused: u64,
    /// The last of them.
    pub last_reload: Option<LastOutcome>,
    /// What decides beside the policy in force.
    #[serde(default)]
    pub shadow: Option<ShadowReport>,
    /// What serves some of the sessions.
    #[serde(default)]
    pub canary: Option<CanaryReport>,
    /// Clients.
    pub sessions: Sessions,
    /// The nodes of the policy.
    #[serde(default)]
    pub nodes: Vec<NodeReport>,
    /// Server connections.
    pub pools: Vec<PoolState>,
}

/// How one node is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeReport {
    /// The node's name.
    pub node: String,
    /// `primary` or `standby`.
    pub role: String,
    /// `ready`, `away`, `behind`, or `unmeasured`: only the first is given statements.
    pub state: String,
    /// How far it is behind in milliseconds, where it is measured and known.
    pub lag_ms: Option<u64>,
    /// How far it may be behind.
    pub max_lag_ms: Option<u64>,
}

/// What the last reload came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LastOutcome {
    /// When it ended; RFC 3339.
    pub at: String,
    /// Who asked for it.
    pub by: String,
    /// Why the running policy stays, one line each; empty where the new one is in force.
    pub mistakes: Vec<String>,
}

/// Clients by what they do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sessions {
    /// Connections, logged in or not.
    pub connections: usize,
    /// Waiting for their client.
    pub idle: usize,
    /// Waiting for a server connection.
    pub waiting: usize,
    /// Holding a server connection.
    pub active: usize,
}

/// One pool's server connections.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PoolState {
    /// The pool's name.
    pub pool: String,
    /// The node's name.
    pub node: String,
    /// The database on the node.
    pub database: String,
    /// The user on the node.
    pub user: String,
    /// Connections in use.
    pub active: usize,
    /// Connections free.
    pub idle: usize,
    /// Clients waiting for one.
    pub waiting: usize,
    /// Failures of the node in a row.
    pub node_failures: u64,
}

/// The files of the revision in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunningFiles {
    /// Which revision it is, and where it was read.
    pub entry: Entry,
    /// Its files.
    pub files: Vec<RunningFile>,
    /// Files that hold a secret, by their paths alone.
    pub secrets: Vec<PathBuf>,
}

/// One file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunningFile {
    /// The path that the policy reads it by.
    pub path: PathBuf,
    /// Its content, in base64.
    pub base64: String,
}

impl RunningFiles {
    pub(super) fn new(entry: Entry, snapshot: &Snapshot) -> Self {
        let files = snapshot.files.iter();
        Self {
            entry,
            files: files
                .map(|(path, bytes)| RunningFile {
                    path: path.clone(),
                    base64: STANDARD.encode(bytes),
                })
                .collect(),
            secrets: snapshot.secrets.iter().cloned().collect(),
        }
    }

    /// The same for [`super::super::Stored`].
    ///
    /// # Errors
    /// Where the content is no base64.
    pub fn snapshot(&self) -> Result<Snapshot, String> {
        let files = self.files.iter().map(|file| {
            let bytes = STANDARD.decode(&file.base64);
            let bytes = bytes.map_err(|error| format!("{}: {error}", file.path.display()))?;
            Ok((file.path.clone(), bytes.into()))
        });
        Ok(Snapshot {
            files: files.collect::<Result<_, String>>()?,
            secrets: self.secrets.iter().cloned().collect(),
        })
    }
}
