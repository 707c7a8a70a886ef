//! `SHOW STAGES` and `SHOW PLUGINS`: figures and health. Owns the columns.

use super::show::rows;
use crate::hook::Rows;
use crate::pipeline::Health;
use crate::policy::Stage;
use crate::server::health;
use crate::server::health::PluginHealth;
use crate::session::Shared;
use crate::session::World;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

pub(super) fn stages(shared: &Shared) -> Rows {
    let world = shared.live.load();
    let now = shared.services.monotonic();
    rows(
        &[
            "stage", "hooks", "action", "health", "calls", "refusals", "observed", "faults",
            "fuel", "fuel_p50", "fuel_p99", "ns_p50", "ns_p99", "place",
        ],
        world
            .policy
            .stages
            .iter()
            .map(|stage| stage_row(stage, &world, shared, now)),
    )
}

fn stage_row(stage: &Stage, world: &World, shared: &Shared, now: Duration) -> Vec<String> {
    let stats = shared.stages.stage(&stage.name);
    let hooks: Vec<&str> = stage.hooks.iter().map(|hook| hook.name()).collect();
    let faults = stats.faults.snapshot();
    let faults: Vec<String> = faults
        .iter()
        .map(|(kind, count)| format!("{kind}={count}"))
        .collect();
    let health = health::of_stage(world, &stage.name, now);
    vec![
        stage.name.to_string(),
        hooks.join(","),
        stage.action.name().to_owned(),
        health.map_or("off", Health::name).to_owned(),
        stats.calls.load(Relaxed).to_string(),
        stats.refusals.load(Relaxed).to_string(),
        stats.observed.load(Relaxed).to_string(),
        faults.join(" "),
        stats.fuel_of_calls.sum().to_string(),
        stats.fuel_of_calls.quantile(500).to_string(),
        stats.fuel_of_calls.quantile(990).to_string(),
        stats.nanos_of_calls.quantile(500).to_string(),
        stats.nanos_of_calls.quantile(990).to_string(),
        stage.place.to_string(),
    ]
}

pub(super) fn plugins(shared: &Shared) -> Rows {
    let world = shared.live.load();
    let now = shared.services.monotonic();
    rows(
        &["plugin", "version", "state", "sha256", "bytes", "stages"],
        health::plugins(shared, &world, now)
            .iter()
            .map(|plugin| plugin_row(plugin, &world)),
    )
}

fn plugin_row(plugin: &PluginHealth, world: &World) -> Vec<String> {
    let in_force = plugin.index.map(|index| &world.policy.plugins[index]);
    let manifest = in_force.and_then(|known| known.manifest.as_ref());
    let stages: Vec<&str> = plugin.index.map_or_else(Vec::new, |index| {
        health::stages_of(world, index)
            .map(|stage| &*stage.name)
            .collect()
    });
    vec![
        plugin.name.to_string(),
        manifest
            .map_or("-", |manifest| &*manifest.version)
            .to_owned(),
        plugin.health.name().to_owned(),
        plugin.sha256.to_string(),
        in_force.map_or("-".to_owned(), |known| known.bytes.len().to_string()),
        stages.join(","),
    ]
}
