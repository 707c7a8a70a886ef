//! What the stages of a played session reach of the outside: rows that are given, stored values, a clock. Owns no statement.

use crate::policy::Mocks;
use crate::sandbox::Asking;
use crate::sandbox::Level;
use crate::sandbox::MetricOp;
use crate::sandbox::Query;
use crate::sandbox::QueryError;
use crate::sandbox::QueryResult;
use crate::sandbox::Services;
use crate::sandbox::Store;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Lines of stages that are kept.
const LINES_MAX: usize = 1_000;

/// The outside as a test sees it: the time it names, values it stored, numbers that repeat. The time stands still, but where it
/// is moved on.
#[derive(Debug)]
pub(in crate::cli) struct StillServices {
    unix_micros: AtomicU64,
    /// When it began to be the time it is now.
    began_micros: u64,
    store: Store,
    drawn: AtomicU64,
    lines: Mutex<Vec<String>>,
    given: Mutex<GivenRows>,
}

/// What is there in place of a node's rows.
#[derive(Debug, Default)]
struct GivenRows {
    all: Mocks,
    step: Mocks,
    /// What was asked for and is not there, one line each.
    missing: Vec<String>,
}

impl GivenRows {
    fn answer(&mut self, query: &Query) -> QueryResult {
        let (what, name) = match &query.load {
            Some(load) => ("load", load),
            None => ("query", &query.statement.name),
        };
        let given = |mocks: &Mocks| {
            let rows = match &query.load {
                Some(_) => mocks.loads.get(name),
                None => mocks.queries.get(name),
            };
            rows.map(Arc::clone)
        };
        let Some(rows) = given(&self.step).or_else(|| given(&self.all)) else {
            let line = format!("nothing is given for `{what}` of `{name}`");
            if !self.missing.contains(&line) {
                self.missing.push(line);
            }
            return Err(QueryError::NotGiven);
        };
        let bytes: usize = rows.rows.iter().flatten().flatten().map(String::len).sum();
        let statement = &query.statement;
        if statement.max_rows < rows.rows.len() || statement.max_bytes < bytes {
            return Err(QueryError::TooMuch);
        }
        Ok(rows)
    }
}

impl StillServices {
    pub(in crate::cli) fn new(unix_micros: u64) -> Self {
        Self {
            unix_micros: AtomicU64::new(unix_micros),
            began_micros: unix_micros,
            store: Store::default(),
            drawn: AtomicU64::new(0),
            lines: Mutex::default(),
            given: Mutex::default(),
        }
    }

    /// The same with rows in place of a node's.
    pub(in crate::cli) fn with(self, mocks: Mocks) -> Self {
        self.given().all = mocks;
        self
    }

    /// The rows that only this step has.
    pub(in crate::cli) fn begin_step(&self, mocks: Mocks) {
        self.given().step = mocks;
    }

    /// Moves the time on; never back.
    pub(in crate::cli) fn go_on(&self, unix_micros: u64) {
        self.unix_micros.fetch_max(unix_micros, Relaxed);
    }

    /// What was asked for and is not given, one line each; once.
    pub(in crate::cli) fn take_missing(&self) -> Vec<String> {
        std::mem::take(&mut self.given().missing)
    }

    fn given(&self) -> MutexGuard<'_, GivenRows> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the stages logged.
    pub(in crate::cli) fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Services for StillServices {
    fn unix_micros(&self) -> u64 {
        self.unix_micros.load(Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.unix_micros().saturating_sub(self.began_micros))
    }

    fn random(&self) -> u64 {
        self.drawn.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed)
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn metric(&self, _: &str, _: &str, _: MetricOp, _: f64) {}

    fn log(&self, stage: &str, level: Level, message: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < LINES_MAX {
            lines.push(format!("{} {stage}: {message}", level.name()));
        }
    }

    fn query<'a>(&'a self, query: &'a Query) -> Asking<'a> {
        Asking::Ready(self.given().answer(query))
    }
    fn aside(&self, work: &mut (dyn FnMut() + Send)) {
        work();
    }
}
