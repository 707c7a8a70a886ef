//! All pools of the process, by what they connect to. Pools live longer than a policy revision: a reload brings new
//! plans, and connections that no longer fit are replaced when they are free.

use super::lease::Pool;
use crate::routing::Health;
use dashmap::DashMap;
use std::sync::Arc;
use tokio::time::Instant;

/// What a pool connects to.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PoolKey {
    /// The pool's name in the policy.
    pub pool: Arc<str>,
    /// The node's name.
    pub node: Arc<str>,
    /// The database on the node.
    pub database: Arc<str>,
    /// The user on the node.
    pub user: Arc<str>,
}

/// All pools.
#[derive(Debug)]
pub struct Pools {
    pools: DashMap<PoolKey, Arc<Pool>>,
    health: DashMap<Arc<str>, Arc<Health>>,
    started: Instant,
}

impl Pools {
    /// None yet. `started` is when the process did.
    #[must_use]
    pub fn new(started: Instant) -> Self {
        Self {
            pools: DashMap::new(),
            health: DashMap::new(),
            started,
        }
    }

    /// The pool of that key, made when it is new.
    #[must_use]
    pub fn pool(&self, key: &PoolKey) -> Arc<Pool> {
        if let Some(pool) = self.pools.get(key) {
            return Arc::clone(&pool);
        }
        let health = self.health(&key.node);
        let pool = self
            .pools
            .entry(key.clone())
            .or_insert_with(|| Arc::new(Pool::new(key.clone(), health, self.started)));
        Arc::clone(&pool)
    }

    /// The health of a node, one for all its pools.
    #[must_use]
    pub fn health(&self, node: &Arc<str>) -> Arc<Health> {
        if let Some(known) = self.health.get(node) {
            return Arc::clone(&known);
        }
        Arc::clone(&self.health.entry(Arc::clone(node)).or_default())
    }

    /// When the process started; the health of nodes is measured from there.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// All of them, in the order of their keys.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Pool>> {
        let mut all: Vec<_> = self.pools.iter().map(|pool| Arc::clone(&pool)).collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }
}
