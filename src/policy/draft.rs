//! What is left of a policy with mistakes: the parts that are right in themselves. What else is wrong with them can then be
//! told in the same report. Nothing is ever served from it.

use super::Policy;
use super::action::Action;
use super::listener::Listener;
use super::node::Node;
use super::plugin::Plugin;
use super::stage::Stage;
use super::waiver;
use super::waiver::Waiver;
use std::sync::Arc;

/// The parts of a refused policy that can still be judged.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Stages that ask a script or plugin, where hooks, permissions and the guest itself are right as they are written.
    pub stages: Vec<Stage>,
    /// The plugins; indices in `stages` are of this list.
    pub plugins: Vec<Plugin>,
    /// The waivers of all stages, with the stage's name.
    pub waivers: Vec<(Arc<str>, Waiver)>,
    /// The listeners, for their TLS.
    pub listeners: Vec<Listener>,
    /// The nodes, for their TLS.
    pub nodes: Vec<Node>,
}

impl Draft {
    /// `plugin_names` are all that are written, readable or not: what the indices of the stages refer to.
    pub(super) fn of(policy: Policy, plugin_names: &[&str]) -> Self {
        let waivers = waiver::of(&policy.stages);
        let plugins = policy.plugins;
        let stages = policy.stages.into_iter().filter_map(|mut stage| {
            match &mut stage.action {
                _ if !stage.judgeable => return None,
                Action::Script(_) => (),
                Action::Plugin(id) => {
                    let name = plugin_names.get(*id)?;
                    *id = plugins.iter().position(|plugin| &*plugin.name == *name)?;
                }
                _ => return None,
            }
            Some(stage)
        });
        Self {
            stages: stages.collect(),
            plugins,
            waivers,
            listeners: policy.listeners,
            nodes: policy.nodes,
        }
    }
}
