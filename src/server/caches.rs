//! The caches of the policy in force and their figures, for whoever shows them. Owns no column and no name of a metric.

use crate::pipeline::CacheFigures;
use crate::policy::Action;
use crate::policy::Cache;
use crate::session::World;

/// Each stage that keeps answers: its name, what the policy says, and its figures. A stage that is off keeps none.
pub(super) fn all(world: &World) -> impl Iterator<Item = (&str, &Cache, CacheFigures)> {
    world.policy.stages.iter().filter_map(|stage| {
        let Action::Cache(rule) = &stage.action else {
            return None;
        };
        let mut pipelines = world.pipelines.iter();
        let figures = pipelines.find_map(|pipeline| pipeline.cache_figures(&stage.name))?;
        Some((&*stage.name, &**rule, figures))
    })
}
