//! What `status` tells, put together from those who know it.

use super::LastOutcome;
use super::NodeReport;
use super::PoolState;
use super::Sessions;
use super::StatusReport;
use super::tried;
use crate::pool::Pool;
use crate::server::nodes::NodeView;
use crate::server::nodes::millis;
use crate::server::nodes::nodes;
use crate::server::reload::Reloader;
use crate::session::Activity;
use crate::session::Clients;
use crate::unit::format_time;

/// How the process is.
pub(super) fn status(reloader: &Reloader) -> StatusReport {
    let (shared, status) = (reloader.shared(), reloader.status());
    let world = shared.live.load();
    let policy = &world.policy;
    let (swapped, refused) = status.reloads();
    let pools = shared.pools.all();
    let (shadow, canary) = {
        let trials = reloader.trials();
        let canary = trials.canary.as_ref();
        (
            trials.shadow.clone(),
            canary.map(|(entry, _)| entry.clone()),
        )
    };
    let sessions = sessions(&shared.clients);
    StatusReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: format_time(status.started),
        draining: status.is_draining(),
        policy: policy.name.to_string(),
        revision: policy.revision.full(),
        bundle: policy.bundle.to_string(),
        commit: world.commit.as_deref().map(str::to_owned),
        loaded: format_time(world.loaded),
        by: status.history.by(),
        earlier: status.history.entries().len().saturating_sub(1),
        swapped,
        refused,
        last_reload: status.last().map(|last| LastOutcome {
            at: format_time(last.at),
            by: last.by.name().to_owned(),
            mistakes: last.reasons,
        }),
        shadow: world
            .shadow
            .as_ref()
            .zip(shadow)
            .map(|(shadow, entry)| tried::shadow(shadow, entry)),
        canary: world.canary.as_ref().zip(canary).map(|(canary, entry)| {
            let open = sessions.idle + sessions.waiting + sessions.active;
            tried::canary(canary, &world, open, entry)
        }),
        sessions,
        nodes: nodes(shared, &world).iter().map(node).collect(),
        pools: pools.iter().map(|pool| state(pool)).collect(),
    }
}

fn node(view: &NodeView) -> NodeReport {
    NodeReport {
        node: view.name.to_string(),
        role: view.role.to_owned(),
        state: view.state.name().to_owned(),
        lag_ms: view.lag.map(millis),
        max_lag_ms: view.max_lag.map(millis),
    }
}

fn sessions(clients: &Clients) -> Sessions {
    let by_activity = clients.by_activity();
    let of = |activity: Activity| by_activity[activity as usize];
    Sessions {
        connections: clients.count(),
        idle: of(Activity::Idle),
        waiting: of(Activity::Waiting),
        active: of(Activity::Active),
    }
}

fn state(pool: &Pool) -> PoolState {
    let counts = pool.counts();
    PoolState {
        pool: pool.key.pool.to_string(),
        node: pool.key.node.to_string(),
        database: pool.key.database.to_string(),
        user: pool.key.user.to_string(),
        active: counts.active,
        idle: counts.idle,
        waiting: counts.waiting,
        node_failures: u64::from(pool.health.failures()),
    }
}
