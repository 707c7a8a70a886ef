//! What `status` tells, put together from those who know it.

use super::LastOutcome;
use super::NodeReport;
use super::PoolState;
use super::Sessions;
use super::StatusReport;
use crate::pool::Pool;
use crate::server::nodes::NodeView;
use crate::server::nodes::millis;
use crate::server::nodes::nodes;
use crate::server::reload::Reloader;
use crate::session::Activity;
use crate::session::Clients;
use crate::unit;
use std::time::SystemTime;

/// How the process is.
pub(super) fn status(reloader: &Reloader) -> StatusReport {
    let (shared, status) = (reloader.shared(), reloader.status());
    let world = shared.live.load();
    let policy = &world.policy;
    let (swapped, refused) = status.reloads();
    let pools = shared.pools.all();
    StatusReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: utc(status.started),
        draining: status.is_draining(),
        policy: policy.name.to_string(),
        revision: policy.revision.full(),
        bundle: policy.bundle.to_string(),
        commit: world.commit.as_deref().map(str::to_owned),
        loaded: utc(world.loaded),
        by: status.history.by(),
        earlier: status.history.entries().len().saturating_sub(1),
        swapped,
        refused,
        last_reload: status.last().map(|last| LastOutcome {
            at: utc(last.at),
            by: last.by.name().to_owned(),
            mistakes: last.reasons,
        }),
        sessions: sessions(&shared.clients),
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
    let mut sessions = Sessions {
        connections: clients.count(),
        ..Sessions::default()
    };
    for client in clients.all() {
        match client.activity() {
            Activity::Idle => sessions.idle += 1,
            Activity::Waiting => sessions.waiting += 1,
            Activity::Active => sessions.active += 1,
        }
    }
    sessions
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

fn utc(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    unit::format_utc(since.unwrap_or_default())
}
