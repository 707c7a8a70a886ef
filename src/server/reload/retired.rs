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

impl Reloader {
    /// What `old` held and `now` does not goes when its last session has left it.
    pub(super) fn retire(&self, old: Arc<World>, now: &World) {
        let shadow = old.shadow.as_ref().filter(|shadow| {
            let stays = now.shadow.as_ref();
            !stays.is_some_and(|other| Arc::ptr_eq(shadow, other))
        });
        let canary = old.canary.as_ref().filter(|canary| {
            let stays = now.canary.as_ref();
            !stays.is_some_and(|other| Arc::ptr_eq(&canary.world, &other.world))
        });
        if let Some(shadow) = shadow {
            shadow.end();
        }
        let tried = shadow.map(|shadow| &shadow.world);
        let tried = tried.into_iter().chain(canary.map(|canary| &canary.world));
        let mut retired = lock(&self.retired);
        retired.extend(tried.map(|world| Retired {
            world: Arc::clone(world),
            was_in_force: false,
        }));
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
            let tried = live.shadow.as_ref().map(|shadow| &shadow.world);
            let tried = tried.into_iter();
            let tried = tried.chain(live.canary.as_ref().map(|canary| &canary.world));
            let mut all: Vec<Retired> = tried
                .map(|world| Retired {
                    world: Arc::clone(world),
                    was_in_force: false,
                })
                .collect();
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
