//! Scripts of the common kind, run from a tree of our own instead of Rhai's. Owns no meaning: what a script means is what
//! Rhai makes of it.
//!
//! A script is lowered when it only looks at its input and gives a verdict: fields, comparisons, `if`, `for` over lists,
//! `let`, texts. Such a script has no effect before its verdict, so whenever something happens here that is not plainly
//! the ordinary case (a value of another type, a missing field, a number too large), the run is given up and Rhai runs the
//! script from its beginning. What is left to be equal is the ordinary case, and `tests` compares it.

mod build;
mod run;
mod tree;
mod value;

#[cfg(test)]
mod tests;

use super::super::Fault;
use super::super::Services;
use super::super::turn::Turn;
use crate::hook::Answer;
use rhai::AST;
use std::sync::Arc;
use tree::Node;

/// A lowered script.
pub(super) struct Lowered {
    root: Node,
    slots: usize,
}

/// What running it came to.
pub(super) enum Ran {
    /// As Rhai would have ended.
    Ended(Result<Answer, Fault>),
    /// Not an ordinary case: Rhai has to say.
    GaveUp,
}

impl Lowered {
    /// Translates a script; `None` where it does something that is left to Rhai.
    pub(super) fn new(ast: &AST, config: &serde_json::Value) -> Option<Self> {
        build::build(ast, config)
    }

    /// Runs it for the open turn.
    pub(super) fn run(&self, turn: &mut Turn, services: &Arc<dyn Services>) -> Ran {
        run::run(self, turn, services)
    }
}
