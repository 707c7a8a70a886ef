//! The opposite of a stage's guards, for policies that are changed to see whether a test notices. No policy can write it.

use super::Join;
use super::Matcher;
use super::Polarity;
use super::Predicate;
use super::Test;
use crate::hook::Input;

/// Guards as they are written, and how each is read.
#[derive(Clone, Debug)]
pub(super) struct Guards {
    when: Predicate,
    unless: Predicate,
    polarities: (Polarity, Polarity),
}

impl Guards {
    /// Whether a stage with these guards is asked.
    pub(super) fn hold(&self, input: &Input<'_>) -> bool {
        let (when, unless) = self.polarities;
        self.when.matches(input, when)
            && (self.unless.is_empty() || !self.unless.matches(input, unless))
    }

    pub(super) fn needs_parse(&self) -> bool {
        self.when.needs().parse || self.unless.needs().parse
    }

    pub(super) fn ask_lag(&self) -> bool {
        self.when.asks_lag() || self.unless.asks_lag()
    }

    pub(super) fn ask_time(&self) -> bool {
        self.when.asks_time() || self.unless.asks_time()
    }
}

impl Predicate {
    /// A `when` that matches where these guards do not hold.
    pub(in crate::policy) fn negation_of(
        when: &Self,
        unless: &Self,
        polarities: (Polarity, Polarity),
    ) -> Self {
        let guards = Guards {
            when: when.clone(),
            unless: unless.clone(),
            polarities,
        };
        let test = Test {
            key: "negated".into(),
            wanted: "true".into(),
            matcher: Matcher::Negated(Box::new(guards)),
        };
        Self {
            join: Join::All,
            tests: vec![test],
        }
    }
}
