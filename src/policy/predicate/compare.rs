//! Two predicates beside each other: does the newer one match more, less, or can nobody tell? Owns no judgement: whether
//! more is good depends on what the stage does.
//!
//! `covers` may say no where a cleverer one would say yes, never the other way round: what is called growth is growth.

use super::Join;
use super::Matcher;
use super::Polarity;
use super::Predicate;
use super::Test;
use super::glob::Glob;
use super::glob::NameGlob;

/// How what is matched has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::policy) enum Growth {
    /// Nothing that was matched is missing.
    Grew,
    /// Nothing is matched that was not.
    Shrank,
    /// The same is matched, in other words.
    Same,
    /// Both, or it cannot be told.
    Unclear,
}

impl Predicate {
    /// What the change of one key alone does to what is matched.
    pub(in crate::policy) fn growth(&self, newer: &Self, key: &str, polarity: Polarity) -> Growth {
        let more_keys = match self.join {
            Join::All => Growth::Shrank,
            Join::Any => Growth::Grew,
        };
        match (self.test(key), newer.test(key)) {
            (None, Some(_)) => more_keys,
            (Some(_), None) => more_keys.opposite(),
            (Some(old), Some(new)) => between(&old.matcher, &new.matcher, polarity),
            (None, None) => Growth::Unclear,
        }
    }

    fn test(&self, key: &str) -> Option<&Test> {
        self.tests.iter().find(|test| &*test.key == key)
    }
}

impl Growth {
    fn opposite(self) -> Self {
        match self {
            Self::Grew => Self::Shrank,
            Self::Shrank => Self::Grew,
            same => same,
        }
    }
}

fn between(old: &Matcher, new: &Matcher, polarity: Polarity) -> Growth {
    match (covers(new, old, polarity), covers(old, new, polarity)) {
        (true, true) => Growth::Same,
        (true, false) => Growth::Grew,
        (false, true) => Growth::Shrank,
        (false, false) => Growth::Unclear,
    }
}

/// Whether `wide` is known to match wherever `narrow` does, both read the same way.
pub(super) fn covers(wide: &Matcher, narrow: &Matcher, polarity: Polarity) -> bool {
    match (wide, narrow) {
        (Matcher::Text(fact, wide), Matcher::Text(other, narrow)) => {
            fact == other && globs_cover(wide, narrow)
        }
        (Matcher::Attribute(name, wide), Matcher::Attribute(other, narrow)) => {
            name == other && globs_cover(wide, narrow)
        }
        (Matcher::Flag(fact, wide), Matcher::Flag(other, narrow)) => {
            fact == other && wide == narrow
        }
        (Matcher::Figure(fact, wide), Matcher::Figure(other, narrow)) => {
            fact == other && wide.min <= narrow.min && narrow.max <= wide.max
        }
        (Matcher::Role(wide), Matcher::Role(narrow))
        | (Matcher::Hint(wide), Matcher::Hint(narrow))
        | (Matcher::Code(wide), Matcher::Code(narrow))
        | (Matcher::Schemas(wide), Matcher::Schemas(narrow))
        | (Matcher::Columns(wide), Matcher::Columns(narrow)) => globs_cover(wide, narrow),
        (Matcher::Tables(wide), Matcher::Tables(narrow))
        | (Matcher::Functions(wide), Matcher::Functions(narrow)) => {
            names_cover(wide, narrow, polarity)
        }
        (Matcher::Client(wide), Matcher::Client(narrow)) => narrow
            .iter()
            .all(|narrow| wide.iter().any(|wide| wide.covers(*narrow))),
        (Matcher::AuthMethod(wide), Matcher::AuthMethod(narrow)) => holds(wide, narrow),
        (Matcher::Protocol(wide), Matcher::Protocol(narrow)) => holds(wide, narrow),
        (Matcher::Fingerprint(wide), Matcher::Fingerprint(narrow)) => holds(wide, narrow),
        (Matcher::Clock(wide), Matcher::Clock(narrow)) => narrow.are_within(wide),
        (Matcher::Kind(wide), Matcher::Kind(narrow)) => narrow.is_subset(*wide),
        _ => false,
    }
}

fn holds<T: PartialEq>(wide: &[T], narrow: &[T]) -> bool {
    narrow.iter().all(|item| wide.contains(item))
}

fn globs_cover(wide: &[Glob], narrow: &[Glob]) -> bool {
    narrow
        .iter()
        .all(|narrow| wide.iter().any(|wide| wide.covers(narrow)))
}

fn names_cover(wide: &[NameGlob], narrow: &[NameGlob], polarity: Polarity) -> bool {
    narrow
        .iter()
        .all(|narrow| wide.iter().any(|wide| wide.covers(narrow, polarity)))
}
