//! Figures of what is tried beside the policy in force. There are none where nothing is.

use super::Text;
use crate::pipeline::StatsRegistry;
use crate::session::Canary;
use crate::session::Shadow;
use crate::session::Tally;
use crate::session::World;
use std::sync::atomic::Ordering::Relaxed;

impl Text {
    pub(super) fn trials(&mut self, world: &World) {
        if let Some(shadow) = &world.shadow {
            self.shadow(shadow);
        }
        if let Some(canary) = &world.canary {
            self.canary(canary, world);
        }
    }

    fn shadow(&mut self, shadow: &Shadow) {
        self.tried(
            "shadow_info",
            "The policy that decides and does not act.",
            &shadow.world,
        );
        let counts = shadow.counts();
        self.family(
            "shadow_statements_total",
            "counter",
            "Statements, by what came of comparing.",
        );
        for (outcome, count) in [
            ("same", counts.compared.saturating_sub(counts.differing)),
            ("differing", counts.differing),
            ("late", counts.late),
            ("rested", counts.rested),
            ("unread", counts.unread),
        ] {
            self.sample("shadow_statements_total", &[("outcome", outcome)], count);
        }
        self.family(
            "shadow_differences_total",
            "counter",
            "Statements that the shadow would have decided otherwise, by who decided.",
        );
        for ((differs, running, by), found) in shadow.found() {
            let labels = [
                ("difference", differs.name()),
                ("running", &*running),
                ("shadow", &*by),
            ];
            self.sample("shadow_differences_total", &labels, found.count);
        }
        self.faults("shadow_stage_faults_total", &shadow.stages);
    }

    fn canary(&mut self, canary: &Canary, world: &World) {
        self.tried(
            "canary_info",
            "The policy that serves some of the sessions.",
            &canary.world,
        );
        self.family(
            "canary_share_percent",
            "gauge",
            "Of the sessions that begin.",
        );
        self.sample("canary_share_percent", &[], canary.percent);
        self.family("canary_sessions", "gauge", "Sessions that it serves.");
        self.sample("canary_sessions", &[], canary.sessions());
        let sides = [("running", &world.tally), ("canary", &canary.world.tally)];
        for (name, help, figure) in TALLIES {
            self.family(name, "counter", help);
            for (side, tally) in &sides {
                if let Some(tally) = tally {
                    self.sample(name, &[("side", side)], figure(tally));
                }
            }
        }
        self.faults("canary_stage_faults_total", &canary.stages);
    }

    fn tried(&mut self, name: &str, help: &str, world: &World) {
        self.family(name, "gauge", help);
        let labels = [
            ("policy", &*world.policy.name),
            ("revision", &*world.policy.revision.short()),
        ];
        self.sample(name, &labels, 1);
    }

    fn faults(&mut self, name: &str, stages: &StatsRegistry) {
        self.family(name, "counter", "Faults of its stages, by kind.");
        for (stage, stats) in stages.all() {
            for (kind, count) in stats.faults.snapshot() {
                self.sample(name, &[("stage", &*stage), ("kind", kind)], count);
            }
        }
    }
}

type Figure = fn(&Tally) -> u64;

const TALLIES: [(&str, &str, Figure); 5] = [
    (
        "canary_side_sessions_total",
        "Sessions that logged in since the canary began.",
        |tally| tally.sessions.load(Relaxed),
    ),
    (
        "canary_side_logins_refused_total",
        "Logins refused.",
        |tally| tally.logins_refused.load(Relaxed),
    ),
    (
        "canary_side_statements_total",
        "Statements decided.",
        |tally| tally.statements.load(Relaxed),
    ),
    (
        "canary_side_refusals_total",
        "Statements refused, by whatever.",
        |tally| tally.refusals.load(Relaxed),
    ),
    (
        "canary_side_faults_total",
        "Stages that failed while deciding.",
        |tally| tally.faults.load(Relaxed),
    ),
];
