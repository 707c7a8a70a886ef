//! What stages reach of the outside in a running process: clock, randomness, stored values, metrics, log.

use super::aside::Aside;
use super::metric::Metric;
use crate::policy::Policy;
use crate::sandbox::Level;
use crate::sandbox::MetricOp;
use crate::sandbox::Services;
use crate::sandbox::Store;
use std::collections::BTreeMap;
use std::future::Future;
use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::pin::Pin;
use std::sync::Arc;
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
    store: Arc<Store>,
    keys: RandomState,
    drawn: AtomicU64,
    metrics: Mutex<BTreeMap<String, OfStage>>,
    aside: Arc<Aside>,
    /// Whether its stages act on nothing, and so wait for nothing.
    is_shadow: bool,
}

impl ProcessServices {
    /// For a process that has just started.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            store: Arc::default(),
            keys: RandomState::new(),
            drawn: AtomicU64::new(0),
            metrics: Mutex::default(),
            aside: Arc::default(),
            is_shadow: false,
        }
    }

    /// What the stages of a policy reach that is only tried: the same clock and threads, stored values as they are here with its
    /// own changes over them, metrics that nobody is shown, a log for its author.
    #[must_use]
    pub fn shadow(&self) -> Self {
        Self {
            started: self.started,
            store: Arc::new(Store::over(Arc::clone(&self.store))),
            keys: RandomState::new(),
            drawn: AtomicU64::new(0),
            metrics: Mutex::default(),
            aside: Arc::clone(&self.aside),
            is_shadow: true,
        }
    }

    /// Forgets metrics of stages that are in no policy any more.
    pub(super) fn keep_metrics(&self, policy: &Policy) {
        self.keep_only(|name| policy.stages.iter().any(|stage| *stage.name == *name));
    }

    fn keep_only(&self, is_named: impl Fn(&str) -> bool) {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.retain(|name, _| is_named(name));
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
        if self.is_shadow {
            return; // nobody would read it
        }
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
            _ if self.is_shadow => tracing::debug!(stage, level = level.name(), message),
            Level::Debug => tracing::debug!(stage, message),
            Level::Info => tracing::info!(stage, message),
            Level::Warn => tracing::warn!(stage, message),
            Level::Error => tracing::error!(stage, message),
        }
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if self.is_shadow {
            return Box::pin(std::future::ready(()));
        }
        Box::pin(tokio::time::sleep(time))
    }

    fn aside(&self, work: &mut (dyn FnMut() + Send)) {
        self.aside.run(work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Quota;

    #[test]
    fn a_shadow_reads_what_is_stored_and_changes_nothing() {
        let quota = Quota {
            keys_max: 9,
            bytes_max: 900,
        };
        let (services, namespace) = (ProcessServices::new(), Arc::from("n"));
        let store = services.store();
        store.set(&namespace, quota, b"k", b"1", None, 0).unwrap();
        let shadow = services.shadow();
        let sum = shadow.store().add(&namespace, quota, b"k", 1, None, 0);
        assert_eq!(sum, Ok(2));
        shadow.metric("stage", "calls", MetricOp::Add, 1.0);
        assert_eq!(store.get("n", b"k", 0).as_deref(), Some(&b"1"[..]));
        assert!(services.metrics().is_empty());
    }

    #[test]
    fn metrics_of_stages_that_are_gone_go_as_well() {
        let services = ProcessServices::new();
        for stage in ["here", "gone"] {
            services.metric(stage, "calls", MetricOp::Add, 1.0);
        }
        services.keep_only(|stage| stage == "here");
        let stages: Vec<String> = services
            .metrics()
            .into_iter()
            .map(|one| one.stage)
            .collect();
        assert_eq!(stages, ["here"]);
    }

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
