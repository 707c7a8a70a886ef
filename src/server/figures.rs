//! Every figure of the process in the Prometheus text format 0.0.4, and what `/healthz` and `/readyz` say.
//! Owns the names; the figures belong to who counts them. No statement, parameter or user is in any of them.

mod caches;
mod decisions;
mod guests;
mod nodes;
mod trials;

use super::health;
use super::http::Response;
use super::http::Status as HttpStatus;
use super::services::ProcessServices;
use super::status::Status;
use crate::pipeline::Health;
use crate::pipeline::Histogram;
use crate::pipeline::StageStats;
use crate::pool::PoolCounts;
use crate::session::Activity;
use crate::session::Shared;
use crate::session::World;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

/// What is served, from what the process shares.
pub(super) struct Figures {
    shared: Arc<Shared>,
    services: Arc<ProcessServices>,
    status: Arc<Status>,
}

const NANOS: f64 = 1e9;
const MICROS: f64 = 1e6;

impl Figures {
    pub(super) fn new(
        shared: &Arc<Shared>,
        services: &Arc<ProcessServices>,
        status: &Arc<Status>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            services: Arc::clone(services),
            status: Arc::clone(status),
        }
    }

    /// The answer for a path.
    pub(super) fn answer(&self, path: &str) -> Response {
        match path {
            "/metrics" => Response {
                status: HttpStatus::Ok,
                content_type: "text/plain; version=0.0.4; charset=utf-8",
                body: self.text(),
            },
            "/healthz" => Response::text(HttpStatus::Ok, "ok"),
            "/readyz" if self.status.is_draining() => {
                Response::text(HttpStatus::Unavailable, "draining")
            }
            "/readyz" => Response::text(HttpStatus::Ok, "ready"),
            _ => Response::text(HttpStatus::NotFound, "/metrics, /healthz and /readyz"),
        }
    }

    fn text(&self) -> String {
        let world = self.shared.live.load();
        let mut text = Text::default();
        self.process(&mut text, &world);
        self.sessions(&mut text);
        self.pools(&mut text);
        self.stages(&mut text, &world);
        text.caches(&world);
        self.plugins(&mut text, &world);
        text.decisions(&world);
        text.nodes(&self.shared, &world);
        text.trials(&world);
        text.guests(&self.services.metrics(), &world);
        text.out
    }

    fn process(&self, text: &mut Text, world: &World) {
        let version = env!("CARGO_PKG_VERSION");
        text.family("build_info", "gauge", "The program.");
        text.sample("build_info", &[("version", version)], 1);
        text.family(
            "start_time_seconds",
            "gauge",
            "When the process began to serve.",
        );
        text.sample("start_time_seconds", &[], seconds(self.status.started));
        let policy = &world.policy;
        text.family("policy_info", "gauge", "The policy in force.");
        let labels = [
            ("policy", &*policy.name),
            ("revision", &policy.revision.short()),
            ("commit", world.commit.as_deref().unwrap_or("none")),
        ];
        text.sample("policy_info", &labels, 1);
        text.family("policy_loaded_seconds", "gauge", "When it was loaded.");
        text.sample("policy_loaded_seconds", &[], seconds(world.loaded));
        let (swapped, kept) = self.status.reloads();
        text.family("reloads_total", "counter", "Reloads, by what came of them.");
        text.sample("reloads_total", &[("outcome", "swapped")], swapped);
        text.sample("reloads_total", &[("outcome", "kept")], kept);
        text.family(
            "last_reload_failed",
            "gauge",
            "1: the files hold a policy that was refused.",
        );
        text.sample(
            "last_reload_failed",
            &[],
            u8::from(self.status.files_refused()),
        );
        text.family("draining", "gauge", "1: the process is stopping.");
        text.sample("draining", &[], u8::from(self.status.is_draining()));
    }

    fn sessions(&self, text: &mut Text) {
        let clients = &self.shared.clients;
        let by_activity = clients.by_activity();
        text.family("sessions", "gauge", "Sessions, by what they do.");
        for (name, activity) in [
            ("idle", Activity::Idle),
            ("waiting", Activity::Waiting),
            ("active", Activity::Active),
        ] {
            text.sample(
                "sessions",
                &[("state", name)],
                by_activity[activity as usize],
            );
        }
        text.family(
            "connections",
            "gauge",
            "Client connections, logged in or not.",
        );
        text.sample("connections", &[], clients.count());
        let tally = &clients.tally;
        text.family("sessions_total", "counter", "Sessions that logged in.");
        text.sample("sessions_total", &[], tally.sessions.load(Relaxed));
        text.family("logins_refused_total", "counter", "Logins refused.");
        text.sample(
            "logins_refused_total",
            &[],
            tally.logins_refused.load(Relaxed),
        );
        text.family(
            "statements_refused_total",
            "counter",
            "Statements refused, by whatever.",
        );
        text.sample(
            "statements_refused_total",
            &[],
            tally.statements_refused.load(Relaxed),
        );
    }

    fn pools(&self, text: &mut Text) {
        let pools = self.by_pool();
        text.family("pool_connections", "gauge", "Server connections.");
        for (key, pool) in &pools {
            for (state, count) in [("active", pool.counts.active), ("idle", pool.counts.idle)] {
                text.sample("pool_connections", &key.with(&[("state", state)]), count);
            }
        }
        text.family(
            "pool_waiting",
            "gauge",
            "Clients that wait for a server connection.",
        );
        for (key, pool) in &pools {
            text.sample("pool_waiting", &key.with(&[]), pool.counts.waiting);
        }
        text.family(
            "node_failures",
            "gauge",
            "Failed connections to a node in a row.",
        );
        for (key, pool) in &pools {
            text.sample("node_failures", &key.with(&[]), pool.failures);
        }
        for (at, (name, help, scale)) in POOL_COUNTERS.into_iter().enumerate() {
            text.family(name, "counter", help);
            for (key, pool) in &pools {
                let value = pool.counters[at];
                match scale {
                    Scale::Plain => text.sample(name, &key.with(&[]), value),
                    Scale::Micros => text.sample(name, &key.with(&[]), float(value) / MICROS),
                }
            }
        }
    }

    /// Databases and users are summed up: there may be as many as clients like.
    fn by_pool(&self) -> BTreeMap<PoolNode, PoolSum> {
        let mut pools: BTreeMap<PoolNode, PoolSum> = BTreeMap::new();
        for pool in self.shared.pools.all() {
            let key = PoolNode {
                pool: Arc::clone(&pool.key.pool),
                node: Arc::clone(&pool.key.node),
            };
            let sum = pools.entry(key).or_default();
            let (counts, stats) = (pool.counts(), &pool.stats);
            sum.counts.active += counts.active;
            sum.counts.idle += counts.idle;
            sum.counts.waiting += counts.waiting;
            sum.failures = sum.failures.max(pool.health.failures());
            let counters = [
                &stats.transactions,
                &stats.statements,
                &stats.received,
                &stats.sent,
                &stats.statement_us,
                &stats.wait_us,
            ];
            for (sum, counter) in sum.counters.iter_mut().zip(counters) {
                *sum += counter.load(Relaxed);
            }
        }
        pools
    }

    fn stages(&self, text: &mut Text, world: &World) {
        let stages: Vec<(&str, Arc<StageStats>)> = world
            .policy
            .stages
            .iter()
            .map(|stage| (&*stage.name, self.shared.stages.stage(&stage.name)))
            .collect();
        for (name, help, figure) in STAGE_COUNTERS {
            text.family(name, "counter", help);
            for (stage, stats) in &stages {
                text.sample(name, &[("stage", stage)], figure(stats).load(Relaxed));
            }
        }
        text.family("stage_faults_total", "counter", "Faults, by kind.");
        for (stage, stats) in &stages {
            for (kind, count) in stats.faults.snapshot() {
                text.sample(
                    "stage_faults_total",
                    &[("stage", stage), ("kind", kind)],
                    count,
                );
            }
        }
        text.family("stage_health", "gauge", "1 at the health a stage has.");
        let now = self.shared.services.monotonic();
        for (stage, _) in &stages {
            if let Some(health) = health::of_stage(world, stage, now) {
                text.health("stage_health", "stage", stage, health);
            }
        }
        let guests = || {
            stages.iter().filter(|(_, stats)| {
                stats
                    .fuel_of_calls
                    .cumulative()
                    .last()
                    .is_some_and(|(_, count)| *count != 0)
            })
        };
        text.family("stage_fuel", "histogram", "Fuel of a guest's calls.");
        for (stage, stats) in guests() {
            text.histogram("stage_fuel", stage, &stats.fuel_of_calls, 1.0);
        }
        text.family(
            "stage_seconds",
            "histogram",
            "Time of a guest's calls; one in eight is timed.",
        );
        for (stage, stats) in guests() {
            text.histogram("stage_seconds", stage, &stats.nanos_of_calls, NANOS);
        }
    }

    fn plugins(&self, text: &mut Text, world: &World) {
        let now = self.shared.services.monotonic();
        text.family("plugin_health", "gauge", "1 at the health a plugin has.");
        for plugin in health::plugins(&self.shared, world, now) {
            text.health("plugin_health", "plugin", &plugin.name, plugin.health);
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PoolNode {
    pool: Arc<str>,
    node: Arc<str>,
}

impl PoolNode {
    fn with<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut labels = vec![("pool", &*self.pool), ("node", &*self.node)];
        labels.extend_from_slice(more);
        labels
    }
}

#[derive(Default)]
struct PoolSum {
    counts: PoolCounts,
    failures: u32,
    counters: [u64; POOL_COUNTERS.len()],
}

#[derive(Clone, Copy)]
enum Scale {
    Plain,
    Micros,
}

/// In the order in which `by_pool` sums them up.
const POOL_COUNTERS: [(&str, &str, Scale); 6] = [
    (
        "pool_transactions_total",
        "Transactions ended, in transaction mode.",
        Scale::Plain,
    ),
    ("pool_statements_total", "Statements ended.", Scale::Plain),
    (
        "pool_received_bytes_total",
        "Bytes from clients.",
        Scale::Plain,
    ),
    ("pool_sent_bytes_total", "Bytes to clients.", Scale::Plain),
    (
        "pool_statement_seconds_total",
        "Time of statements on the node.",
        Scale::Micros,
    ),
    (
        "pool_wait_seconds_total",
        "Time clients waited for a server connection.",
        Scale::Micros,
    ),
];

type Figure = fn(&StageStats) -> &AtomicU64;

const STAGE_COUNTERS: [(&str, &str, Figure); 3] = [
    (
        "stage_calls_total",
        "Times a stage's guards matched and it was asked.",
        |stats| &stats.calls,
    ),
    ("stage_refusals_total", "Times it refused.", |stats| {
        &stats.refusals
    }),
    (
        "stage_observed_total",
        "Times it would have done something, but only observes.",
        |stats| &stats.observed,
    ),
];

/// The text being written.
#[derive(Default)]
struct Text {
    out: String,
}

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        put(
            &mut self.out,
            format_args!("# HELP pgwarden_{name} {help}\n# TYPE pgwarden_{name} {kind}\n"),
        );
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        put(&mut self.out, format_args!("pgwarden_{name}"));
        for (index, (label, text)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            put(
                &mut self.out,
                format_args!("{open}{label}=\"{}\"", Escaped(text)),
            );
        }
        let close = if labels.is_empty() { "" } else { "}" };
        put(&mut self.out, format_args!("{close} {value}\n"));
    }

    fn health(&mut self, name: &str, label: &str, of: &str, health: Health) {
        for possible in Health::ALL {
            let labels = [(label, of), ("health", possible.name())];
            self.sample(name, &labels, u8::from(possible == health));
        }
    }

    /// Bounds that hold nothing more than the one before are left out; the format allows it.
    fn histogram(&mut self, name: &str, stage: &str, histogram: &Histogram, scale: f64) {
        let (mut all, mut bounds) = (0, Vec::new());
        for (largest, count) in histogram.cumulative() {
            if let Some(largest) = largest.filter(|_| count != all) {
                bounds.push((float(largest) / scale, count));
            }
            all = count;
        }
        self.buckets(name, stage, bounds, float(histogram.sum()) / scale, all);
    }

    /// The lines of a histogram: counts up to each bound, then of all, then sum and count.
    fn buckets(
        &mut self,
        family: &str,
        stage: &str,
        bounds: impl IntoIterator<Item = (f64, u64)>,
        sum: f64,
        count: u64,
    ) {
        let (bucket, stage) = (format!("{family}_bucket"), ("stage", stage));
        for (bound, count) in bounds {
            self.sample(&bucket, &[stage, ("le", &bound.to_string())], count);
        }
        self.sample(&bucket, &[stage, ("le", "+Inf")], count);
        self.sample(&format!("{family}_sum"), &[stage], sum);
        self.sample(&format!("{family}_count"), &[stage], count);
    }
}

/// A label's value as the format wants it.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(arguments).unwrap_or_default();
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// Prometheus counts in floats; a counter beyond 2^53 loses its last digits there in any case.
fn float(value: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    {
        value as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample("x", &[("a", "q\"b\\c\nd"), ("e", "f")], 1.5);
        assert_eq!(text.out, "pgwarden_x{a=\"q\\\"b\\\\c\\nd\",e=\"f\"} 1.5\n");
    }

    #[test]
    fn a_histogram_says_its_bounds_its_sum_and_its_count() {
        let histogram = Histogram::default();
        for value in [1, 3, 3, 1000] {
            histogram.observe(value);
        }
        let mut text = Text::default();
        text.histogram("h", "s", &histogram, 1.0);
        let expected = "pgwarden_h_bucket{stage=\"s\",le=\"1\"} 1\n\
                        pgwarden_h_bucket{stage=\"s\",le=\"3\"} 3\n\
                        pgwarden_h_bucket{stage=\"s\",le=\"1023\"} 4\n\
                        pgwarden_h_bucket{stage=\"s\",le=\"+Inf\"} 4\n\
                        pgwarden_h_sum{stage=\"s\"} 1007\n\
                        pgwarden_h_count{stage=\"s\"} 4\n";
        assert_eq!(text.out, expected);
    }
}
