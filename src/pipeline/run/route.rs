//! Which place the `route` stages lead a statement to. Owns no choice between nodes: that is `routing`'s.

use super::super::stage::Asked;
use super::super::verdict::Decider;
use super::Run;
use super::Stop;
use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::RouteAnswer;
use crate::policy::RouteTarget;
use crate::sandbox::Fault;
use std::sync::Arc;

impl Run<'_> {
    /// The first stage that names a place decides.
    pub(super) fn route(&mut self) -> Result<(RouteTarget, Option<RouteTarget>), Stop> {
        for stage in self.rest(Hook::Route) {
            let found = match self.ask(stage, Hook::Route)? {
                Asked::Route { to, otherwise } => Some((to, otherwise)),
                Asked::Answer(Answer::Route(answer)) => match self.target(&answer) {
                    Ok(target) => Some((target, None)),
                    Err(fault) => {
                        self.fault(stage, Hook::Route, &fault)?;
                        None
                    }
                },
                _ => None,
            };
            if let Some((target, otherwise)) =
                found.filter(|(target, _)| *target != RouteTarget::Default)
            {
                self.routed_by = Decider::Stage(Arc::clone(&stage.name));
                return Ok((target, otherwise));
            }
        }
        Ok((self.pipeline.otherwise.route, None))
    }

    /// A guest's word for a place, as an id. A name the policy does not have is a fault.
    fn target(&self, answer: &RouteAnswer) -> Result<RouteTarget, Fault> {
        let find = |names: &[Arc<str>], name: &str, what: &str| {
            names
                .iter()
                .position(|known| **known == *name)
                .ok_or_else(|| {
                    Fault::BadAnswer(
                        format!("routed to {what} `{name}`, which the policy does not name").into(),
                    )
                })
        };
        Ok(match answer {
            RouteAnswer::Default => RouteTarget::Default,
            RouteAnswer::Primary => RouteTarget::Primary,
            RouteAnswer::Standby => RouteTarget::Standby,
            RouteAnswer::Node(name) => RouteTarget::Node(find(&self.pipeline.nodes, name, "node")?),
            RouteAnswer::Branch(name) => {
                RouteTarget::Branch(find(&self.pipeline.branches, name, "branch")?)
            }
        })
    }
}
