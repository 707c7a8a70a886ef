//! How the keys of guards relate, whatever the statement: one that can only match where another does, two that never match
//! together. Owns no judgement about a policy: `lint` has that. Every answer is on the safe side: what cannot be shown is "no".

use super::Glob;
use super::Matcher;
use super::Polarity;
use super::Predicate;
use super::Test;
use super::compare::covers;
use super::fact::COULD_BE;
use super::fact::FigureFact;
use super::fact::FlagFact;
use super::fact::TextFact;
use super::glob::any_glob;
use crate::hook::AuthMethod;
use crate::statement::Kind;
use crate::statement::KindSet;
use std::sync::Arc;

/// Kinds that no statement has which is proven to write nothing.
const WRITES: KindSet = KindSet::of(Kind::Insert)
    .with(Kind::Update)
    .with(Kind::Delete)
    .with(Kind::Merge)
    .with(Kind::Ddl)
    .with(Kind::Grant)
    .with(Kind::CopyIn)
    .with(Kind::CopyProgram)
    .with(Kind::Call)
    .with(Kind::Do)
    .with(Kind::Unparsed);

/// How long a key's fact holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::policy) enum Lasting {
    /// As long as the session.
    Session,
    /// Until a stage sets an attribute.
    Learned,
    /// Until the statement is replaced.
    Statement,
}

impl Predicate {
    /// Its keys.
    pub(in crate::policy) fn tests(&self) -> &[Test] {
        &self.tests
    }

    /// Whether it asks for a listener of that name; `None`: it asks for none.
    pub(in crate::policy) fn wants_listener(&self, name: &str) -> Option<bool> {
        self.tests.iter().find_map(|test| match &test.matcher {
            Matcher::Text(TextFact::Listener, globs) => Some(any_glob(globs, name)),
            _ => None,
        })
    }
}

impl Test {
    /// The key, as in `kind` or `attr.tenant`.
    pub(in crate::policy) fn key(&self) -> &str {
        &self.key
    }

    /// What it asks for.
    pub(in crate::policy) fn wanted(&self) -> &str {
        &self.wanted
    }

    /// How long its fact holds.
    pub(in crate::policy) fn lasting(&self) -> Lasting {
        match &self.matcher {
            Matcher::Text(TextFact::Node, _) => Lasting::Statement,
            Matcher::Text(..)
            | Matcher::Role(_)
            | Matcher::Client(_)
            | Matcher::AuthMethod(_)
            | Matcher::Flag(FlagFact::Tls, _) => Lasting::Session,
            Matcher::Attribute(..) => Lasting::Learned,
            _ => Lasting::Statement,
        }
    }

    /// Whether every session has a fact that it matches.
    pub(in crate::policy) fn is_always(&self) -> bool {
        matches!(&self.matcher, Matcher::Text(TextFact::User | TextFact::Database | TextFact::App | TextFact::Listener, globs)
            if globs.iter().any(Glob::is_any))
            || matches!(&self.matcher, Matcher::Clock(spans) if spans.are_whole())
    }

    /// Whether the other one matches, read as `theirs`, wherever this one does, read as `mine`.
    pub(in crate::policy) fn implies(
        &self,
        mine: Polarity,
        other: &Self,
        theirs: Polarity,
    ) -> bool {
        // A loose reading of a set, or of what is not known, says nothing about a strict one; the time is always known.
        let kept = mine == Polarity::All
            || theirs == Polarity::Any
            || self.lasting() != Lasting::Statement
            || matches!(self.matcher, Matcher::Clock(_));
        kept && self.key == other.key && covers(&other.matcher, &self.matcher, theirs)
    }

    /// Whether the two never match together.
    pub(in crate::policy) fn excludes(
        &self,
        mine: Polarity,
        other: &Self,
        theirs: Polarity,
    ) -> bool {
        let strict = mine == Polarity::All || theirs == Polarity::All;
        match (&self.matcher, &other.matcher) {
            (Matcher::Text(mine, globs), Matcher::Text(theirs, others)) => {
                mine == theirs && are_apart(globs, others, Glob::is_apart)
            }
            (Matcher::Attribute(mine, globs), Matcher::Attribute(theirs, others)) => {
                mine == theirs && are_apart(globs, others, Glob::is_apart)
            }
            (Matcher::Code(globs), Matcher::Code(others)) => {
                are_apart(globs, others, Glob::is_apart)
            }
            (Matcher::AuthMethod(mine), Matcher::AuthMethod(theirs)) => {
                are_apart(mine, theirs, |a, b| a != b)
            }
            (Matcher::Protocol(mine), Matcher::Protocol(theirs)) => {
                are_apart(mine, theirs, |a, b| a != b)
            }
            (Matcher::Fingerprint(mine), Matcher::Fingerprint(theirs)) => {
                are_apart(mine, theirs, |a, b| a != b)
            }
            (Matcher::Flag(fact, wanted), Matcher::Flag(same, other)) => {
                fact == same && wanted != other && (strict || !fact.needs_parse())
            }
            (Matcher::Figure(fact, mine), Matcher::Figure(same, theirs)) => {
                fact == same && (mine.max < theirs.min || theirs.max < mine.min)
            }
            (Matcher::Clock(mine), Matcher::Clock(theirs)) => mine.are_apart(theirs),
            (Matcher::Kind(wanted), Matcher::Kind(others)) => {
                let first = (*wanted, mine);
                kinds_are_apart(first, (*others, theirs))
            }
            (left, right) => left.contradicts(right) || right.contradicts(left),
        }
    }
}

/// Two sets of kinds as the guards read them. Only a strict one says what else is not there.
fn kinds_are_apart(first: (KindSet, Polarity), second: (KindSet, Polarity)) -> bool {
    let (all, other) = match (first.1, second.1) {
        (Polarity::All, _) => (first.0, second.0),
        (_, Polarity::All) => (second.0, first.0),
        _ => return false,
    };
    let could_be = match all.contains(Kind::Unparsed) {
        true => all.union(COULD_BE),
        false => all,
    };
    !could_be.intersects(other)
}

fn are_apart<T>(left: &[T], right: &[T], apart: impl Fn(&T, &T) -> bool) -> bool {
    left.iter()
        .all(|left| right.iter().all(|right| apart(left, right)))
}

impl Matcher {
    /// Keys of different names that never match together, however they are read.
    fn contradicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Flag(FlagFact::ReadOnly, true), Self::Kind(kinds)) => kinds.is_subset(WRITES),
            // Only an error has a code, and what a stage answered came from no node.
            (Self::Flag(FlagFact::Error, false), Self::Code(_))
            | (
                Self::Flag(FlagFact::Cached, true),
                Self::Text(TextFact::Node, _) | Self::Figure(FigureFact::Lag, _),
            ) => true,
            _ => false,
        }
    }
}

impl Glob {
    /// Whether no text matches both.
    pub(in crate::policy) fn is_apart(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(text), glob) | (glob, Self::Exact(text)) => !glob.matches(text),
            (Self::Prefix(a), Self::Prefix(b)) => !a.starts_with(&**b) && !b.starts_with(&**a),
            (Self::Suffix(a), Self::Suffix(b)) => !a.ends_with(&**b) && !b.ends_with(&**a),
            _ => false,
        }
    }
}

/// What is known of a user before it connects.
#[derive(Clone, Copy)]
pub(in crate::policy) struct Known<'k> {
    pub(in crate::policy) user: &'k str,
    pub(in crate::policy) roles: &'k [Arc<str>],
    /// An attribute's value; what stages may set is not known.
    pub(in crate::policy) attribute: &'k dyn Fn(&str) -> Option<Option<&'k str>>,
}

impl Test {
    /// Whether it matches that user; `None`: that depends on more.
    pub(in crate::policy) fn matches_user(&self, known: Known<'_>) -> Option<bool> {
        Some(match &self.matcher {
            Matcher::Text(TextFact::User, globs) => any_glob(globs, known.user),
            Matcher::Role(globs) => known.roles.iter().any(|role| any_glob(globs, role)),
            Matcher::Attribute(name, globs) => {
                let value = (known.attribute)(name)?;
                value.is_some_and(|value| any_glob(globs, value))
            }
            _ => return None,
        })
    }

    /// Whether it matches that listener, which takes TLS or does not; `None`: that depends on more.
    pub(in crate::policy) fn matches_listener(
        &self,
        name: &str,
        tls: (bool, bool),
    ) -> Option<bool> {
        Some(match &self.matcher {
            Matcher::Text(TextFact::Listener, globs) => any_glob(globs, name),
            Matcher::Flag(FlagFact::Tls, wanted) => {
                let (may, must) = tls;
                if *wanted { may } else { !must }
            }
            _ => return None,
        })
    }

    /// Whether its fact may be another once a limit was added to a statement, or lowered: a limit that is no number is lowered
    /// by a function.
    pub(in crate::policy) fn depends_on_limit(&self) -> bool {
        matches!(
            &self.matcher,
            Matcher::Flag(FlagFact::HasLimit, _)
                | Matcher::Figure(FigureFact::Bytes, _)
                | Matcher::Fingerprint(_)
                | Matcher::Functions(_)
                | Matcher::Negated(_)
        )
    }

    /// The globs over names of databases, if it asks for one.
    pub(in crate::policy) fn databases(&self) -> Option<&[Glob]> {
        match &self.matcher {
            Matcher::Text(TextFact::Database, globs) => Some(globs),
            _ => None,
        }
    }

    /// The ways of logging in it asks for.
    pub(in crate::policy) fn auth_methods(&self) -> Option<&[AuthMethod]> {
        match &self.matcher {
            Matcher::AuthMethod(methods) => Some(methods),
            _ => None,
        }
    }

    /// The globs over roles, if it asks for one.
    pub(in crate::policy) fn wants_role(&self, role: &str) -> bool {
        matches!(&self.matcher, Matcher::Role(globs) if any_glob(globs, role))
    }

    /// Whether it asks for a branch of that name.
    pub(in crate::policy) fn wants_branch(&self, branch: &str) -> bool {
        matches!(&self.matcher, Matcher::Text(TextFact::Branch, globs) if any_glob(globs, branch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Needs;
    use crate::statement::analyze;

    #[test]
    fn what_writes_is_never_proven_to_read() {
        for text in [
            "INSERT INTO t VALUES (1)",
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
            "CREATE TABLE t (a int)",
            "SELECT 1 INTO t",
            "GRANT ALL ON t TO u",
            "COPY t FROM STDIN",
            "COPY t TO PROGRAM 'cat'",
            "CALL f()",
            "DO 'x'",
            "SELEC 1",
            "EXPLAIN DELETE FROM t",
            "EXPLAIN ANALYZE DELETE FROM t",
            "PREPARE p AS DELETE FROM t",
            "WITH d AS (DELETE FROM t RETURNING 1) SELECT * FROM d",
            "DECLARE c CURSOR FOR SELECT 1",
        ] {
            let facts = analyze(
                text,
                Needs {
                    normalized: false,
                    parse: true,
                },
            );
            assert!(
                !(facts.read_only && facts.kinds.intersects(WRITES)),
                "{text}: {:?}",
                facts.kinds
            );
        }
    }

    #[test]
    fn a_limit_that_is_lowered_changes_no_fact_but_those_that_depend_on_it() {
        let facts = |text: &str| {
            let needs = Needs {
                normalized: false,
                parse: true,
            };
            analyze(text, needs)
        };
        let text = "SELECT id FROM t LIMIT (2 + 1)";
        let limited = crate::statement::add_limit(text, &facts(text), 2).unwrap();
        let (before, after) = (facts(text), facts(&limited));
        assert_ne!(text, limited);
        assert_eq!(before.read_only, after.read_only);
        assert_eq!(before.relations.tables, after.relations.tables);
        assert_eq!(before.relations.columns, after.relations.columns);
        assert_ne!(before.relations.functions, after.relations.functions);
        assert_eq!(
            (before.kinds, before.has_where, before.has_cte),
            (after.kinds, after.has_where, after.has_cte)
        );
    }

    #[test]
    fn globs_that_cover_one_another_or_are_apart() {
        for (inner, outer, within, apart) in [
            ("a", "a", true, false),
            ("a", "b", false, true),
            ("ab", "a*", true, false),
            ("a*", "ab", false, false),
            ("ab*", "a*", true, false),
            ("a*", "b*", false, true),
            ("*a", "*b", false, true),
            ("*ab", "*b", true, false),
            ("a*", "*a", false, false),
            ("a*c", "*", true, false),
            ("x", "a*c", false, true),
        ] {
            let (inner, outer) = (Glob::new(inner), Glob::new(outer));
            assert_eq!(outer.covers(&inner), within, "{inner:?} {outer:?}");
            assert_eq!(inner.is_apart(&outer), apart, "{inner:?} {outer:?}");
            assert_eq!(outer.is_apart(&inner), apart, "{inner:?} {outer:?}");
        }
    }
}
