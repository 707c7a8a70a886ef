//! What guests count, set and observe, in the text format: declared metrics as what they are, with their help, and all others
//! in two families without a type.

use super::Text;
use crate::sandbox::MetricGrant;
use crate::sandbox::MetricOp;
use crate::server::metric::Metric;
use crate::session::World;
use std::collections::BTreeMap;

impl Text {
    pub(super) fn guests(&mut self, metrics: &[Metric], world: &World) {
        let declared = declared(world);
        for (name, grant) in &declared {
            let of_name = metrics
                .iter()
                .filter(|metric| metric.name == **name && metric.op == grant.op);
            self.declared(name, grant, &of_name.collect::<Vec<_>>());
        }
        let others: Vec<&Metric> = metrics
            .iter()
            .filter(|metric| {
                declared
                    .get(metric.name.as_str())
                    .is_none_or(|grant| grant.op != metric.op)
            })
            .collect();
        self.family(
            "guest_value",
            "untyped",
            "What guests count, set or observe without a declaration: the value or the sum.",
        );
        for metric in &others {
            self.sample("guest_value", &labels(metric), metric.value);
        }
        self.family("guest_touched_total", "counter", "How often they did.");
        for metric in &others {
            self.sample("guest_touched_total", &labels(metric), metric.count);
        }
    }

    fn declared(&mut self, name: &str, grant: &MetricGrant, metrics: &[&Metric]) {
        let family = match grant.op {
            MetricOp::Add if !name.ends_with("_total") => format!("metric_{name}_total"),
            _ => format!("metric_{name}"),
        };
        let help = grant.help.replace('\\', "\\\\").replace('\n', "\\n");
        self.family(&family, grant.op.kind(), &help);
        for metric in metrics {
            if grant.op != MetricOp::Observe {
                let stage = ("stage", metric.stage.as_str());
                self.sample(&family, &[stage], metric.value);
                continue;
            }
            let (bounds, sum) = (metric.cumulative(), metric.value);
            self.buckets(&family, &metric.stage, bounds, sum, metric.count);
        }
    }
}

fn labels(metric: &Metric) -> [(&'static str, &str); 2] {
    [("stage", &metric.stage), ("name", &metric.name)]
}

/// The metrics that the policy declares. A family has one type, so a name that two permission sets declare as two kinds is
/// none here.
fn declared(world: &World) -> BTreeMap<&str, &MetricGrant> {
    let mut declared: BTreeMap<&str, &MetricGrant> = BTreeMap::new();
    let mut contested = Vec::new();
    let grants = world.policy.stages.iter().map(|stage| &stage.grants);
    for (name, grant) in grants.flat_map(|grants| &grants.metrics) {
        let first = declared.entry(name).or_insert(grant);
        if first.op != grant.op {
            contested.push(name);
        }
    }
    for name in contested {
        declared.remove(&**name);
    }
    declared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, op: MetricOp, values: &[f64]) -> Metric {
        let mut metric = Metric::new("s", name, op);
        values.iter().for_each(|value| metric.touch(op, *value));
        metric
    }

    fn grant(op: MetricOp) -> MetricGrant {
        MetricGrant {
            op,
            help: "what\nit says".into(),
        }
    }

    #[test]
    fn a_declared_metric_is_what_it_is_declared_as() {
        let mut text = Text::default();
        let rows = metric("rows", MetricOp::Add, &[1.0, 2.5]);
        text.declared("rows", &grant(MetricOp::Add), &[&rows]);
        let share = metric("share", MetricOp::Set, &[1.0, 0.5]);
        text.declared("share", &grant(MetricOp::Set), &[&share]);
        let cost = metric("cost", MetricOp::Observe, &[0.002, 3.0, 1e12]);
        text.declared("cost", &grant(MetricOp::Observe), &[&cost]);
        let expected = "\
# HELP pgwarden_metric_rows_total what\\nit says
# TYPE pgwarden_metric_rows_total counter
pgwarden_metric_rows_total{stage=\"s\"} 3.5
# HELP pgwarden_metric_share what\\nit says
# TYPE pgwarden_metric_share gauge
pgwarden_metric_share{stage=\"s\"} 0.5
# HELP pgwarden_metric_cost what\\nit says
# TYPE pgwarden_metric_cost histogram
pgwarden_metric_cost_bucket{stage=\"s\",le=\"0.0025\"} 1
pgwarden_metric_cost_bucket{stage=\"s\",le=\"5\"} 2
pgwarden_metric_cost_bucket{stage=\"s\",le=\"+Inf\"} 3
pgwarden_metric_cost_sum{stage=\"s\"} 1000000000003.002
pgwarden_metric_cost_count{stage=\"s\"} 3
";
        assert_eq!(text.out, expected);
    }
}
