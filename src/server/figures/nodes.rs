//! Figures of nodes.

use super::Text;
use crate::server::nodes::NodeState;
use crate::server::nodes::nodes;
use crate::session::Shared;
use crate::session::World;

impl Text {
    pub(super) fn nodes(&mut self, shared: &Shared, world: &World) {
        let nodes = nodes(shared, world);
        self.family("node_state", "gauge", "1 at the state a node is in.");
        for node in &nodes {
            for state in NodeState::ALL {
                let labels = [("node", &*node.name), ("state", state.name())];
                self.sample("node_state", &labels, u8::from(node.state == state));
            }
        }
        if nodes.iter().all(|node| node.lag.is_none()) {
            return;
        }
        self.family(
            "node_lag_seconds",
            "gauge",
            "How far a standby is behind its primary, where it is measured and known.",
        );
        for node in &nodes {
            if let Some(lag) = node.lag {
                let labels = [("node", &*node.name)];
                self.sample("node_lag_seconds", &labels, lag.as_secs_f64());
            }
        }
    }
}
