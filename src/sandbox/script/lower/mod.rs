//! Scripts of the common kind, run from a tree of our own instead of Rhai's. Owns no meaning: what a script means is what
//! Rhai makes of it.
//!
//! A script is lowered when it only looks at its input and gives a verdict: fields, comparisons, `if`, `for` over lists,
//! `let`, texts. Such a script has no effect before its verdict, so whenever something happens here that is not plainly
//! the ordinary case (a value of another type, a missing field, a number too large), the run is given up and Rhai runs the
//! script from its beginning. What is left to be equal is the ordinary case, and `tests` compares it.
//!
//! A lowered script reads its input where it lies: no frame is made and no turn is taken, only what a frame would have
//! weighed is compared with its limit.

mod build;
mod run;
mod tree;
mod value;
mod verdict;

#[cfg(test)]
mod tests;

use super::super::Failed;
use super::super::Fault;
use super::super::Reply;
use super::super::Services;
use super::super::turn::Profile;
use super::super::turn::accepted;
use crate::hook::Input;
use crate::hook::abi::Frame;
use rhai::AST;
use run::Exit;
use run::Run;
use std::sync::Arc;
use tree::Node;

/// A lowered script.
pub(super) struct Lowered {
    root: Node,
    slots: usize,
}

impl Lowered {
    /// Translates a script; `None` where it does something that is left to Rhai.
    pub(super) fn new(ast: &AST, config: &serde_json::Value) -> Option<Self> {
        build::build(ast, config)
    }

    /// Runs it once; `None` where Rhai has to say.
    pub(super) fn call(
        &self,
        profile: &Profile,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
    ) -> Option<Result<Reply, Failed>> {
        let limits = &profile.limits;
        let (bytes, max) = (
            Frame::measure(input, profile.fields),
            limits.input_bytes_max,
        );
        if max < bytes {
            let fault = Fault::InputTooLarge { bytes, max };
            return Some(Err(Failed { fault, fuel: 0 }));
        }
        let run = Run::new(input, profile.fields, limits, services, self.slots);
        let (ended, fuel) = run.script(&self.root);
        let ended = match ended {
            Ok(answer) => accepted(input.hook, limits, answer),
            Err(Exit::Fault(fault)) => Err(fault),
            Err(Exit::Return(_) | Exit::Break | Exit::Continue | Exit::GiveUp) => return None,
        };
        let reply = |answer| Reply {
            answer,
            fuel,
            effects: None,
        };
        Some(ended.map(reply).map_err(|fault| Failed { fault, fuel }))
    }
}
