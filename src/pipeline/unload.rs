//! The end of a revision: its guests are told, once each, when nobody can ask them any more. Owns no moment; `server` knows
//! when the last session has left.

use super::Pipeline;
use super::stage::Action;
use super::stage::Stage;
use crate::sandbox::Services;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tells every guest of a revision that nobody uses that it goes.
pub fn unload(pipelines: &[Arc<Pipeline>], services: &Arc<dyn Services>) {
    let stages = pipelines
        .iter()
        .flat_map(|pipeline| pipeline.hooks.iter().flatten());
    // A stage stands at several hooks and in several pipelines, and is one.
    let stages: BTreeMap<*const Stage, &Arc<Stage>> =
        stages.map(|stage| (Arc::as_ptr(stage), stage)).collect();
    for stage in stages.values() {
        let Action::Guest(guest) = &stage.action else {
            continue;
        };
        if let Err(fault) = guest.unload(services)
            && let Some(unlogged) = stage.stats.failed(&fault, services.monotonic())
        {
            tracing::warn!(stage = %stage.name, fault = fault.kind(), detail = %fault, unlogged, "on_unload failed");
        }
    }
}
