//! How stages and plugins are doing, put together from the world in force and what outlives it. Owns no judgement of one
//! stage; that is the pipeline's.

use crate::pipeline::Health;
use crate::pipeline::PluginId;
use crate::policy::Action;
use crate::policy::Stage;
use crate::session::Shared;
use crate::session::World;
use std::sync::Arc;
use std::time::Duration;

/// A plugin, and how it is doing.
pub(super) struct PluginHealth {
    pub(super) name: Arc<str>,
    pub(super) sha256: Arc<str>,
    pub(super) health: Health,
    /// Its index in the policy, where the policy in force has it.
    pub(super) index: Option<usize>,
}

/// The worst of what a stage's pipelines say; `None` where it is not asked at all.
pub(super) fn of_stage(world: &World, stage: &str, now: Duration) -> Option<Health> {
    let pipelines = world.pipelines.iter();
    pipelines
        .filter_map(|pipeline| pipeline.health(stage, now))
        .max()
}

/// The stages that ask a plugin.
pub(super) fn stages_of(world: &World, plugin: usize) -> impl Iterator<Item = &Stage> {
    let stages = world.policy.stages.iter();
    stages.filter(move |stage| matches!(stage.action, Action::Plugin(id) if id == plugin))
}

/// The plugins in force, each as bad as the worst of its stages; then those of a policy that is being built and those
/// whose revision is gone.
pub(super) fn plugins(shared: &Shared, world: &World, now: Duration) -> Vec<PluginHealth> {
    let in_force = world.policy.plugins.iter().enumerate();
    let mut all: Vec<PluginHealth> = in_force
        .map(|(index, plugin)| PluginHealth {
            name: Arc::clone(&plugin.name),
            sha256: Arc::clone(&plugin.sha256),
            health: stages_of(world, index)
                .filter_map(|stage| of_stage(world, &stage.name, now))
                .max()
                .unwrap_or(Health::Ready),
            index: Some(index),
        })
        .collect();
    let known: Vec<PluginId> = world.policy.plugins.iter().map(PluginId::from).collect();
    let mut others = |ids: Vec<PluginId>, health| {
        let ids = ids.into_iter().filter(|id| !known.contains(id));
        all.extend(ids.map(|id| PluginHealth {
            name: id.name,
            sha256: id.sha256,
            health,
            index: None,
        }));
    };
    others(shared.stages.plugins_loading(), Health::Loading);
    others(shared.stages.plugins_unloaded(), Health::Unloaded);
    all
}
