//! What stages reach of the outside in a running process: clock, randomness, stored values, metrics, log.

use super::metric::Metric;
use crate::sandbox::Level;
use crate::sandbox::MetricOp;
use crate::sandbox::Services;
use crate::sandbox::Store;
use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// Metrics of guests at most; a name beyond that is dropped and said once in the log.
const METRICS_MAX: usize = 10_000;

/// The process as its stages see it.
#[derive(Debug)]
pub struct ProcessServices {
    started: Instant,
    store: Store,
    keys: RandomState,
    drawn: AtomicU64,
    metrics: Mutex<BTreeMap<(String, String), Metric>>,
}

impl ProcessServices {
    /// For a process that has just started.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            store: Store::default(),
            keys: RandomState::new(),
            drawn: AtomicU64::new(0),
            metrics: Mutex::default(),
        }
    }

    /// Every metric, by stage and name.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.values().cloned().collect()
    }
}

impl Default for ProcessServices {
    fn default() -> Self {
        Self::new()
    }
}

impl Services for ProcessServices {
    fn unix_micros(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    /// A keyed hash of a counter: unpredictable without the key, and no system call. Not for secrets of our own.
    fn random(&self) -> u64 {
        self.keys.hash_one(self.drawn.fetch_add(1, Relaxed))
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn metric(&self, stage: &str, name: &str, op: MetricOp, value: f64) {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (stage.to_owned(), name.to_owned());
        if METRICS_MAX <= metrics.len() && !metrics.contains_key(&key) {
            tracing::warn!(stage, name, "metric dropped: there are too many");
            return;
        }
        let metric = metrics.entry(key);
        let metric = metric.or_insert_with(|| Metric::new(stage, name, op));
        metric.touch(op, value);
    }

    fn log(&self, stage: &str, level: Level, message: &str) {
        match level {
            Level::Debug => tracing::debug!(stage, message),
            Level::Info => tracing::info!(stage, message),
            Level::Warn => tracing::warn!(stage, message),
            Level::Error => tracing::error!(stage, message),
        }
    }
}
