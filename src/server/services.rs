//! What stages reach of the outside in a running process: clock, randomness, stored values, metrics, log.

use super::aside::Aside;
use super::metric::Metric;
use crate::sandbox::Level;
use crate::sandbox::MetricOp;
use crate::sandbox::Services;
use crate::sandbox::Store;
use std::collections::BTreeMap;
use std::future::Future;
use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// Metrics of one stage at most, so that no stage takes the room of another; a name beyond that is dropped, and said once in
/// the log.
const METRICS_OF_A_STAGE_MAX: usize = 1_000;

/// The metrics of one stage, by name.
#[derive(Debug, Default)]
struct OfStage {
    metrics: BTreeMap<String, Metric>,
    is_full: bool,
}

/// The process as its stages see it.
#[derive(Debug)]
pub struct ProcessServices {
    started: Instant,
    store: Store,
    keys: RandomState,
    drawn: AtomicU64,
    metrics: Mutex<BTreeMap<String, OfStage>>,
    aside: Aside,
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
            aside: Aside::default(),
        }
    }

    /// Every metric, by stage and name.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = metrics.values().flat_map(|stage| stage.metrics.values());
        metrics.cloned().collect()
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
        if !metrics.contains_key(stage) {
            metrics.insert(stage.to_owned(), OfStage::default());
        }
        let Some(of_stage) = metrics.get_mut(stage) else {
            return;
        };
        if let Some(metric) = of_stage.metrics.get_mut(name) {
            metric.touch(op, value);
        } else if of_stage.metrics.len() < METRICS_OF_A_STAGE_MAX {
            let mut metric = Metric::new(stage, name, op);
            metric.touch(op, value);
            of_stage.metrics.insert(name.to_owned(), metric);
        } else if !std::mem::replace(&mut of_stage.is_full, true) {
            tracing::warn!(stage, name, "metric dropped: the stage has too many");
        }
    }

    fn log(&self, stage: &str, level: Level, message: &str) {
        match level {
            Level::Debug => tracing::debug!(stage, message),
            Level::Info => tracing::info!(stage, message),
            Level::Warn => tracing::warn!(stage, message),
            Level::Error => tracing::error!(stage, message),
        }
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(time))
    }

    fn aside(&self, work: &mut (dyn FnMut() + Send)) {
        self.aside.run(work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stage_takes_the_room_of_another() {
        let services = ProcessServices::new();
        for number in 0..2 * METRICS_OF_A_STAGE_MAX {
            services.metric("greedy", &format!("m{number}"), MetricOp::Add, 1.0);
        }
        services.metric("greedy", "m7", MetricOp::Add, 1.0);
        services.metric("modest", "calls", MetricOp::Add, 1.0);
        let metrics = services.metrics();
        assert_eq!(metrics.len(), METRICS_OF_A_STAGE_MAX + 1);
        let known = metrics.iter().find(|metric| metric.name == "m7");
        assert_eq!(known.map(|metric| metric.count), Some(2));
        assert!(metrics.iter().any(|metric| metric.stage == "modest"));
    }
}
