//! What outlives a revision, by the name of a stage or plugin: figures, and which plugins come and go. Owns no figure.

use super::cache::Generations;
use super::cache::Store;
use super::figures::StageStats;
use super::limit::Buckets;
use crate::policy::Cache;
use crate::policy::Plugin;
use crate::policy::Policy;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;

/// Plugins that are shown as unloaded at most; the oldest goes first.
const UNLOADED_MAX: usize = 32;

/// What outlives revisions.
#[derive(Default, Debug)]
pub struct StatsRegistry {
    stages: Mutex<BTreeMap<Arc<str>, Arc<StageStats>>>,
    buckets: Arc<Mutex<BTreeMap<Arc<str>, Arc<Buckets>>>>,
    /// Of every revision that is alive, also of those that never came into force.
    caches: Mutex<Vec<(Arc<str>, Weak<Store>)>>,
    generations: Arc<Generations>,
    plugins: Mutex<Plugins>,
}

#[derive(Default, Debug)]
struct Plugins {
    /// Of policies that are being built; the same one may be built twice.
    loading: Vec<PluginId>,
    /// Of revisions that are not in force any more. Newest last.
    unloaded: Vec<PluginId>,
}

/// A plugin of some revision.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PluginId {
    /// Its name in the policy.
    pub name: Arc<str>,
    /// The hash of its bytes.
    pub sha256: Arc<str>,
}

impl From<&Plugin> for PluginId {
    fn from(plugin: &Plugin) -> Self {
        Self {
            name: Arc::clone(&plugin.name),
            sha256: Arc::clone(&plugin.sha256),
        }
    }
}

/// A policy's plugins while it is built. Dropped, they are loaded, or refused with it.
#[must_use]
pub(super) struct Loading<'a> {
    registry: &'a StatsRegistry,
    ids: Vec<PluginId>,
}

impl StatsRegistry {
    /// For a policy that serves sessions beside the one of this registry: figures and answers of its own, and the same limits, so that
    /// nobody has twice the rate. What is written by sessions of either is known to both.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            buckets: Arc::clone(&self.buckets),
            generations: Arc::clone(&self.generations),
            ..Self::default()
        }
    }

    /// The figures of one stage; new ones for a new name.
    #[must_use]
    pub fn stage(&self, name: &Arc<str>) -> Arc<StageStats> {
        Arc::clone(lock(&self.stages).entry(Arc::clone(name)).or_default())
    }

    /// The buckets of a stage that limits; full ones for a new name.
    pub(super) fn buckets(&self, name: &Arc<str>) -> Arc<Buckets> {
        Arc::clone(lock(&self.buckets).entry(Arc::clone(name)).or_default())
    }

    /// The answers of a stage that keeps some; none yet for a new name, or for one that means something else now.
    pub(super) fn cache(&self, name: &Arc<str>, rule: &Arc<Cache>) -> Arc<Store> {
        let mut caches = lock(&self.caches);
        caches.retain(|(_, store)| store.strong_count() != 0);
        let of_name = caches.iter().filter(|(known, _)| known == name);
        let mut alive = of_name.filter_map(|(_, store)| store.upgrade());
        if let Some(store) = alive.find(|store| store.rule() == rule) {
            return store;
        }
        let store = Arc::new(Store::new(rule, &self.generations));
        caches.push((Arc::clone(name), Arc::downgrade(&store)));
        store
    }

    /// What is written through this process.
    #[must_use]
    pub fn generations(&self) -> &Arc<Generations> {
        &self.generations
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(Arc<str>, Arc<StageStats>)> {
        let stages = lock(&self.stages);
        stages
            .iter()
            .map(|(name, stats)| (Arc::clone(name), Arc::clone(stats)))
            .collect()
    }

    /// Says that the plugins of a policy are being loaded.
    pub(super) fn loading(&self, policy: &Policy) -> Loading<'_> {
        let ids: Vec<PluginId> = policy.plugins.iter().map(PluginId::from).collect();
        lock(&self.plugins).loading.extend(ids.iter().cloned());
        Loading {
            registry: self,
            ids,
        }
    }

    /// The plugins that are being loaded.
    #[must_use]
    pub fn plugins_loading(&self) -> Vec<PluginId> {
        lock(&self.plugins).loading.clone()
    }

    /// The plugins that were unloaded lately.
    #[must_use]
    pub fn plugins_unloaded(&self) -> Vec<PluginId> {
        lock(&self.plugins).unloaded.clone()
    }

    /// A policy is in force: figures of stages that no revision has any more are forgotten, and its plugins are loaded.
    pub fn in_force(&self, policy: &Policy) {
        let names: BTreeSet<&str> = policy.stages.iter().map(|stage| &*stage.name).collect();
        self.keep_only(|name| names.contains(name));
        let loaded: BTreeSet<PluginId> = policy.plugins.iter().map(PluginId::from).collect();
        lock(&self.plugins)
            .unloaded
            .retain(|id| !loaded.contains(id));
    }

    fn keep_only(&self, is_named: impl Fn(&str) -> bool) {
        lock(&self.stages).retain(|name, stats| is_named(name) || Arc::strong_count(stats) > 1);
        lock(&self.buckets).retain(|name, kept| is_named(name) || Arc::strong_count(kept) > 1);
    }

    /// The last session has left a revision; `now` is the one in force.
    pub fn unloaded(&self, gone: &Policy, now: &Policy) {
        let loaded: BTreeSet<PluginId> = now.plugins.iter().map(PluginId::from).collect();
        let mut plugins = lock(&self.plugins);
        for id in gone.plugins.iter().map(PluginId::from) {
            if !loaded.contains(&id) {
                plugins.unloaded.retain(|known| *known != id);
                plugins.unloaded.push(id);
            }
        }
        let excess = plugins.unloaded.len().saturating_sub(UNLOADED_MAX);
        plugins.unloaded.drain(..excess);
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        let mut plugins = lock(&self.registry.plugins);
        for id in &self.ids {
            if let Some(at) = plugins.loading.iter().position(|known| known == id) {
                plugins.loading.swap_remove(at);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_stages_that_no_revision_has_are_forgotten() {
        let registry = StatsRegistry::default();
        let kept = registry.stage(&"in use".into());
        drop(registry.stage(&"gone".into()));
        registry.keep_only(|name| name == "in force");
        drop(registry.stage(&"in force".into()));
        registry.keep_only(|name| name == "in force");
        let names: Vec<_> = registry.all().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["in force".into(), Arc::<str>::from("in use")]);
        drop(kept);
    }
}
