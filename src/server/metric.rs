//! One metric of a stage: what was added, set or observed. Owns no name of a family; `figures` has those.

use crate::sandbox::MetricOp;

/// The bounds of a histogram's buckets; what is above the last is in none of them.
const BOUNDS: [f64; 28] = [
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    25_000.0,
    50_000.0,
    100_000.0,
    250_000.0,
    500_000.0,
    1_000_000.0,
];

/// A guest's metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The stage that touches it.
    pub stage: String,
    /// Its name.
    pub name: String,
    /// What was done to it last.
    pub op: MetricOp,
    /// The sum of a counter, the value of a gauge, the sum of what was observed.
    pub value: f64,
    /// How often it was touched.
    pub count: u64,
    /// How many values were observed up to each bound and above the one before; empty until there is one.
    buckets: Vec<u64>,
}

impl Metric {
    /// One that nobody has touched.
    #[must_use]
    pub fn new(stage: &str, name: &str, op: MetricOp) -> Self {
        Self {
            stage: stage.to_owned(),
            name: name.to_owned(),
            op,
            value: 0.0,
            count: 0,
            buckets: Vec::new(),
        }
    }

    /// Adds, sets or observes.
    pub fn touch(&mut self, op: MetricOp, value: f64) {
        self.op = op;
        self.count += 1;
        match op {
            MetricOp::Set => self.value = value,
            MetricOp::Add => self.value += value,
            MetricOp::Observe => {
                self.value += value;
                self.buckets.resize(BOUNDS.len(), 0);
                let bucket = BOUNDS.partition_point(|bound| *bound < value);
                if let Some(count) = self.buckets.get_mut(bucket) {
                    *count += 1;
                }
            }
        }
    }

    /// The bounds that hold more than the one before, and how many values were observed up to each.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut seen = 0;
        let buckets = BOUNDS.into_iter().zip(&self.buckets);
        buckets.filter_map(move |(bound, count)| {
            seen += count;
            (*count != 0).then_some((bound, seen))
        })
    }
}
