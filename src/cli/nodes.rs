//! Nodes as `test` and `explain` take them to be: well and not behind, but for what is given. Owns no choice between them.

use crate::policy::NodeState;
use crate::policy::Policy;
use crate::policy::Role;
use crate::routing::Candidate;
use crate::unit;
use std::collections::BTreeMap;
use std::time::Duration;

/// How nodes are, by their index; the others are well.
pub(super) type Nodes = BTreeMap<usize, NodeState>;

fn state(nodes: &Nodes, id: usize) -> NodeState {
    nodes.get(&id).copied().unwrap_or_default()
}

fn is_behind(policy: &Policy, nodes: &Nodes, id: usize) -> bool {
    let max_lag = policy.nodes[id].max_lag;
    max_lag.is_some_and(|max_lag| max_lag < state(nodes, id).lag)
}

/// A node as routing sees it.
pub(super) fn candidate(policy: &Policy, nodes: &Nodes, id: usize) -> Candidate {
    Candidate {
        node: id,
        role: policy.nodes[id].role,
        weight: policy.nodes[id].weight,
        usable: !state(nodes, id).away,
        is_behind: is_behind(policy, nodes, id),
    }
}

/// How far behind the nearest standby of a pool is that takes statements.
pub(super) fn nearest_lag(policy: &Policy, nodes: &Nodes, pool: usize) -> Option<Duration> {
    let ids = policy.pools[pool].nodes.iter().copied();
    let standbys = ids.filter(|id| policy.nodes[*id].role == Role::Standby);
    let taking = standbys.filter(|id| !state(nodes, *id).away && !is_behind(policy, nodes, *id));
    taking.map(|id| state(nodes, id).lag).min()
}

/// What is given of each node, and what follows from it: name, place, words.
pub(super) fn told(policy: &Policy, nodes: &Nodes) -> Vec<String> {
    let tell = |(id, state): (&usize, &NodeState)| {
        let node = &policy.nodes[*id];
        let lag = unit::format_duration(state.lag);
        let words = match node.max_lag {
            _ if state.away => "away".to_owned(),
            None => format!("no max_lag, so a lag of {lag} does not exclude it"),
            Some(max) => {
                let max = unit::format_duration(max);
                let verb = match is_behind(policy, nodes, *id) {
                    true => "excludes",
                    false => "does not exclude",
                };
                format!("max_lag {max}, so a lag of {lag} {verb} it")
            }
        };
        format!("{:<20} {}  {words}", node.name, node.place)
    };
    nodes.iter().map(tell).collect()
}
