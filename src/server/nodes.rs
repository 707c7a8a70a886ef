//! How the nodes of the policy in force are, as `SHOW NODES`, `/metrics` and `status` tell it. Owns no judgement: that is `routing`'s.

use crate::policy::Role;
use crate::session::Shared;
use crate::session::World;
use crate::unit;
use std::sync::Arc;
use std::time::Duration;

/// One node.
pub(super) struct NodeView {
    pub(super) name: Arc<str>,
    pub(super) role: &'static str,
    /// Failed connections in a row.
    pub(super) failures: u32,
    /// How far it is behind; `None`: not measured, or not known.
    pub(super) lag: Option<Duration>,
    pub(super) max_lag: Option<Duration>,
    pub(super) state: NodeState,
}

/// Whether a node is given statements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NodeState {
    /// It is.
    Ready,
    /// It is left alone for a while: a connection failed.
    Away,
    /// It is further behind than it may be.
    Behind,
    /// Nobody knows how far it is behind, and the policy wants to.
    Unmeasured,
}

impl NodeState {
    pub(super) const ALL: [Self; 4] = [Self::Ready, Self::Away, Self::Behind, Self::Unmeasured];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Away => "away",
            Self::Behind => "behind",
            Self::Unmeasured => "unmeasured",
        }
    }
}

impl NodeView {
    /// `lag` in words; `none` where there is none to tell.
    pub(super) fn lag_text(&self) -> String {
        // The clock of lag has milliseconds.
        self.lag.map_or_else(
            || "none".to_owned(),
            |lag| unit::format_duration(Duration::from_millis(millis(lag))),
        )
    }

    pub(super) fn max_lag_text(&self) -> String {
        let max_lag = self.max_lag.map(unit::format_duration);
        max_lag.unwrap_or_else(|| "none".to_owned())
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// All nodes, in the order of their names.
pub(super) fn nodes(shared: &Shared, world: &World) -> Vec<NodeView> {
    let now = shared.pools.started().elapsed();
    let policy = &world.policy;
    let measured: Vec<usize> = policy.measured();
    let measured: Vec<usize> = measured
        .iter()
        .flat_map(|pool| policy.pools[*pool].nodes.iter().copied())
        .collect();
    let view = |(id, node): (usize, &crate::policy::Node)| {
        let health = shared.pools.health(&node.name);
        let lag = match node.role {
            Role::Standby if measured.contains(&id) => health.lag(now),
            _ => None,
        };
        let state = match (health.usable(now), health.is_behind(node.max_lag, now)) {
            (false, _) => NodeState::Away,
            (true, true) if lag.is_none() => NodeState::Unmeasured,
            (true, true) => NodeState::Behind,
            (true, false) => NodeState::Ready,
        };
        NodeView {
            name: Arc::clone(&node.name),
            role: node.role.name(),
            failures: health.failures(),
            lag,
            max_lag: node.max_lag,
            state,
        }
    };
    policy.nodes.iter().enumerate().map(view).collect()
}
