//! Figures of the log of decisions.

use super::Text;
use crate::session::World;

impl Text {
    pub(super) fn decisions(&mut self, world: &World) {
        let Some(log) = &world.decisions else { return };
        let counts = log.queue().counts();
        self.family(
            "decisions_total",
            "counter",
            "Decisions that were to be written, by what became of them.",
        );
        for (outcome, count) in [
            ("written", counts.written),
            ("lost", counts.lost),
            ("failed", counts.failed),
        ] {
            self.sample("decisions_total", &[("outcome", outcome)], count);
        }
        self.family(
            "decisions_waiting",
            "gauge",
            "Decisions that wait to be written.",
        );
        self.sample("decisions_waiting", &[], counts.waiting);
    }
}
