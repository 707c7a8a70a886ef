//! Percentiles of the victims' times and the series of the proxy's memory: what is printed, and what is asserted of it.

use std::time::Duration;

/// Some times, in order.
pub(super) struct Sorted(Vec<Duration>);

impl Sorted {
    pub(super) fn new(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that this many of a thousand do not exceed.
    pub(super) fn per_mille(&self, per_mille: usize) -> Duration {
        let index = (self.0.len() * per_mille / 1000).min(self.0.len().saturating_sub(1));
        self.0.get(index).copied().unwrap_or_default()
    }
}

/// Milliseconds for people.
pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

/// Mebibytes for people.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}
