//! Figures of what stages keep of answers.

use super::Text;
use crate::pipeline::CacheFigures;
use crate::server::caches;
use crate::session::World;

/// A family, its help, its label, and the figure behind each value of the label.
type Counters = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, fn(&CacheFigures) -> u64)],
);

const COUNTERS: [Counters; 3] = [
    (
        "cache_lookups_total",
        "Answers looked for in a stage's cache.",
        "outcome",
        &[("hit", |of| of.hits), ("miss", |of| of.misses)],
    ),
    (
        "cache_answers_total",
        "Answers of nodes to statements that a cache had no answer to.",
        "outcome",
        &[("stored", |of| of.stored), ("unfit", |of| of.unfit)],
    ),
    (
        "cache_ended_total",
        "Kept answers that ended: by a write, by their age, to make room.",
        "why",
        &[
            ("invalidated", |of| of.invalidated),
            ("expired", |of| of.expired),
            ("evicted", |of| of.evicted),
        ],
    ),
];

impl Text {
    pub(super) fn caches(&mut self, world: &World) {
        let caches: Vec<(&str, CacheFigures)> = caches::all(world)
            .map(|(stage, _, figures)| (stage, figures))
            .collect();
        if caches.is_empty() {
            return;
        }
        for (family, help, label, figures) in COUNTERS {
            self.family(family, "counter", help);
            for (stage, of) in &caches {
                for (value, figure) in figures {
                    self.sample(family, &[("stage", stage), (label, value)], figure(of));
                }
            }
        }
        self.family("cache_entries", "gauge", "What a cache holds, good or not.");
        for (stage, of) in &caches {
            self.sample("cache_entries", &[("stage", stage)], of.entries);
        }
        self.family("cache_bytes", "gauge", "Bytes of what a cache holds.");
        for (stage, of) in &caches {
            self.sample("cache_bytes", &[("stage", stage)], of.bytes);
        }
    }
}
