//! Worlds that are not in force any more, or no longer tried: their guests are told that they go when nobody can ask them.

use super::Reloader;
use super::lock;
use crate::pipeline;
use crate::session::World;
use std::sync::Arc;

/// A world that waits for its last session.
pub(super) struct Retired {
    world: Arc<World>,
    /// Whether it was in force, so that its plugins are known.
    was_in_force: bool,
}

impl Retired {
    fn tried(world: &Arc<World>) -> Self {
        Self {
            world: Arc::clone(world),
            was_in_force: false,
        }
    }
}

impl Reloader {
    /// What `old` held and `now` does not goes when its last session has left it.
    pub(super) fn retire(&self, old: Arc<World>, now: &World) {
        let stays = |world: &&Arc<World>| now.tried().any(|other| Arc::ptr_eq(world, other));
        let gone: Vec<&Arc<World>> = old.tried().filter(|world| !stays(world)).collect();
        if let Some(shadow) = &old.shadow
            && gone.iter().any(|world| Arc::ptr_eq(world, &shadow.world))
        {
            shadow.end();
        }
        let mut retired = lock(&self.retired);
        retired.extend(gone.into_iter().map(Retired::tried));
        // The same policy beside which something else is tried shares its guests.
        if !Arc::ptr_eq(&old.policy, &now.policy) {
            retired.push(Retired {
                world: old,
                was_in_force: true,
            });
        }
    }

    /// Tells the guests of revisions that no session is in any more that they go. Not cancel safe: what it has taken is not
    /// told again.
    pub(in crate::server) async fn unload_retired(&self) {
        self.outside.sinks.close_unused();
        let unused: Vec<Retired> = lock(&self.retired)
            .extract_if(.., |retired| is_unused(&retired.world))
            .collect();
        if !unused.is_empty() {
            self.unload(unused).await;
        }
    }

    /// The same at the end of the process, for what is in force and what is tried as well. Guests that may still be asked are
    /// left alone.
    pub(in crate::server) async fn unload_all(&self) {
        self.unload_retired().await;
        if self.shared.clients.count() == 0 {
            let live = self.shared.live.load_full();
            let mut all: Vec<Retired> = live.tried().map(Retired::tried).collect();
            all.push(Retired {
                world: live,
                was_in_force: true,
            });
            self.unload(all).await;
        }
    }

    async fn unload(&self, worlds: Vec<Retired>) {
        let shared = Arc::clone(&self.shared);
        let process = Arc::clone(&self.outside.process);
        let told = tokio::task::spawn_blocking(move || {
            for Retired {
                world,
                was_in_force,
            } in worlds
            {
                pipeline::unload(&world.pipelines, &world.services);
                let now = &shared.live.load().policy;
                if was_in_force {
                    shared.stages.unloaded(&world.policy, now);
                }
                // A session that stayed may have touched them again.
                process.keep_metrics(now);
            }
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "unloading a revision failed");
        }
    }
}

/// Whether nothing but the list of retired revisions leads to it. What is not in force can be found by nobody new.
fn is_unused(world: &Arc<World>) -> bool {
    let pipelines = &mut world.pipelines.iter();
    Arc::strong_count(world) == 1 && pipelines.all(|pipeline| Arc::strong_count(pipeline) == 1)
}
