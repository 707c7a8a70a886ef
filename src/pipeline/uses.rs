//! What the loaded guests of a pipeline can use, for whoever judges what they are granted. Owns no judgement.

use super::Pipeline;
use super::stage::Action;
use crate::sandbox::Uses;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What each guest can use of its permissions, by the name of its stage. A stage that is off has no guest here.
#[must_use]
pub fn uses(pipelines: &[Arc<Pipeline>]) -> BTreeMap<Arc<str>, Uses> {
    let stages = pipelines.iter().flat_map(|pipeline| pipeline.hooks.iter());
    let guests = stages.flatten().filter_map(|stage| match &stage.action {
        Action::Guest(guest) => Some((Arc::clone(&stage.name), guest.uses())),
        _ => None,
    });
    guests.collect()
}
