//! `when` and `unless`, compiled: is a stage asked? Evaluated for every statement and stage, without allocation.
//! Owns what a fact counts for on the safe side; how matchers are written is in `predicate/read`.

mod bounds;
mod clock;
mod compare;
mod explain;
mod fact;
mod glob;
mod negated;
mod network;
mod read;
mod relate;
#[cfg(test)]
mod tests;

pub(super) use compare::Growth;
pub use explain::Explained;
pub(super) use glob::Glob;
pub(super) use read::read;
pub(super) use relate::Known;
pub(super) use relate::Lasting;

use crate::hook::AuthMethod;
use crate::hook::Input;
use crate::hook::Protocol;
use crate::statement::KindSet;
use crate::statement::Needs;
use clock::Spans;
use fact::FigureFact;
use fact::FlagFact;
use fact::TextFact;
use glob::NameGlob;
use negated::Guards;
use network::Network;
use std::sync::Arc;

/// Which way a match moves the policy. It decides what counts as a match where a fact has several values or is uncertain.
///
/// `allow when kind = "select"` must not let `WITH d AS (DELETE ..) SELECT ..` pass, and `deny when kind = "delete"` must
/// catch it: the one loosens and asks that all kinds match, the other tightens and asks that any does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Polarity {
    /// A match leads to less being allowed: any value suffices, and what is unknown matches.
    Any,
    /// A match leads to more being allowed: there must be a value, all must match, and what is unknown does not.
    All,
}

impl Polarity {
    /// The other one.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Any => Self::All,
            Self::All => Self::Any,
        }
    }
}

/// Whether one matcher matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Match {
    No,
    Yes,
    /// It could: the fact is not known.
    Maybe,
}

impl Match {
    fn counts(self, polarity: Polarity) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Maybe => polarity == Polarity::Any,
        }
    }
}

impl From<bool> for Match {
    fn from(matches: bool) -> Self {
        if matches { Self::Yes } else { Self::No }
    }
}

/// How the keys of one table belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Join {
    /// `when`: every key must match.
    All,
    /// `unless`: any key suffices.
    Any,
}

/// A compiled `when` or `unless`.
#[derive(Clone, Debug)]
pub struct Predicate {
    join: Join,
    tests: Vec<Test>,
}

/// One key and what it asks for.
#[derive(Clone, Debug)]
pub(super) struct Test {
    key: Arc<str>,
    /// The canonical form of what was written.
    wanted: Arc<str>,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Text(TextFact, Vec<Glob>),
    Attribute(Arc<str>, Vec<Glob>),
    Flag(FlagFact, bool),
    Figure(FigureFact, Bounds),
    Role(Vec<Glob>),
    Client(Vec<Network>),
    AuthMethod(Vec<AuthMethod>),
    Protocol(Vec<Protocol>),
    Kind(KindSet),
    Tables(Vec<NameGlob>),
    Functions(Vec<NameGlob>),
    Schemas(Vec<Glob>),
    Columns(Vec<Glob>),
    Hint(Vec<Glob>),
    Fingerprint(Vec<u64>),
    Code(Vec<Glob>),
    Clock(Spans),
    Negated(Box<Guards>),
}

/// A range of integers, both ends in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bounds {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Predicate {
    pub(super) fn empty(join: Join) -> Self {
        Self {
            join,
            tests: Vec::new(),
        }
    }

    /// Whether nothing is asked. An empty `when` matches always, an empty `unless` never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }

    /// What must be known about a statement to answer.
    #[must_use]
    pub fn needs(&self) -> Needs {
        Needs {
            normalized: false,
            parse: self.tests.iter().any(|test| test.matcher.needs_parse()),
        }
    }

    /// Whether the time of day or the weekday is asked for.
    #[must_use]
    pub fn asks_time(&self) -> bool {
        self.tests.iter().any(|test| test.matcher.asks_time())
    }

    /// Whether it is asked how far behind standbys are.
    #[must_use]
    pub fn asks_lag(&self) -> bool {
        self.tests.iter().any(|test| test.matcher.asks_lag())
    }

    /// Whether it matches.
    #[must_use]
    pub fn matches(&self, input: &Input<'_>, polarity: Polarity) -> bool {
        let mut tests = self.tests.iter();
        match self.join {
            Join::All => tests.all(|test| test.matcher.ask(input, polarity).counts(polarity)),
            Join::Any => tests.any(|test| test.matcher.ask(input, polarity).counts(polarity)),
        }
    }

    /// The same with the value of every key, for traces.
    #[must_use]
    pub fn explain(&self, input: &Input<'_>, polarity: Polarity) -> Vec<Explained> {
        self.tests
            .iter()
            .map(|test| explain::explain(test, input, polarity))
            .collect()
    }

    /// Every key with the canonical form of what it asks for, sorted: two predicates that mean the same have the same.
    pub fn canonical(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tests.iter().map(|test| (&*test.key, &*test.wanted))
    }
}

impl Matcher {
    fn needs_parse(&self) -> bool {
        match self {
            Self::Tables(_) | Self::Functions(_) | Self::Schemas(_) | Self::Columns(_) => true,
            Self::Flag(fact, _) => fact.needs_parse(),
            Self::Negated(guards) => guards.needs_parse(),
            _ => false,
        }
    }

    fn asks_lag(&self) -> bool {
        match self {
            Self::Figure(FigureFact::Lag, _) => true,
            Self::Negated(guards) => guards.ask_lag(),
            _ => false,
        }
    }

    fn asks_time(&self) -> bool {
        match self {
            Self::Clock(_) => true,
            Self::Negated(guards) => guards.ask_time(),
            _ => false,
        }
    }
}
