//! What a guest's calls reach outside of the sandbox: clock, randomness, stored values, log, metrics, declared statements.
//! Owns no implementation: the server has the real one, tests and `explain` have their own.

use super::Asking;
use super::Query;
use super::QueryError;
use super::Store;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// How loud a log line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// For its author.
    Debug,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Worth waking someone.
    Error,
}

impl Level {
    /// The name in policies and scripts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|level| level.name() == name)
    }

    /// All of them, from the quietest.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Debug, Self::Info, Self::Warn, Self::Error].into_iter()
    }

    /// The function in scripts. `debug` is a word of Rhai's own there.
    #[must_use]
    pub fn script_name(self) -> &'static str {
        match self {
            Self::Debug => "trace",
            other => other.name(),
        }
    }
}

/// What is done to a metric.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MetricOp {
    /// A counter goes up.
    Add,
    /// A gauge is set.
    Set,
    /// A histogram takes a value.
    Observe,
}

impl MetricOp {
    /// The kinds of metrics, by their names in policies.
    pub const KINDS: [(&'static str, Self); 3] = [
        ("counter", Self::Add),
        ("gauge", Self::Set),
        ("histogram", Self::Observe),
    ];

    /// What a metric is to which this is done.
    #[must_use]
    pub fn kind(self) -> &'static str {
        Self::KINDS[self as usize].0
    }
}

/// The outside, as guests reach it. Shared and owned: an engine cannot borrow what lives on a caller's stack.
/// An implementation must not own the guests that call it, since their idle instances keep a handle of it.
pub trait Services: Send + Sync {
    /// Microseconds since 1970.
    fn unix_micros(&self) -> u64;
    /// A clock that never goes back, for deadlines.
    fn monotonic(&self) -> Duration;
    /// Sixty-four random bits.
    fn random(&self) -> u64;
    /// Stored values.
    fn store(&self) -> &Store;
    /// A metric of that stage changes.
    fn metric(&self, stage: &str, name: &str, op: MetricOp, value: f64);
    /// A line for the log.
    fn log(&self, stage: &str, level: Level, message: &str);
    /// Asks a node a declared statement, within the statement's own limits. Where there is nobody to ask, that is the answer.
    fn query<'a>(&'a self, _: &'a Query) -> Asking<'a> {
        Asking::Ready(Err(QueryError::Unavailable))
    }
    /// Ends after that time. Where time stands still, at once.
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
    /// Runs what may take long where it holds up nobody else, and comes back when it is done. Where there is nobody else,
    /// at once. It has run when this comes back.
    fn aside(&self, work: &mut (dyn FnMut() + Send));
}

impl fmt::Debug for dyn Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Services")
    }
}
