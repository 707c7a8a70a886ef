//! The language as a table: every noun, its keys, their types and what they mean. The readers accept exactly these keys, the
//! schema is printed from them, and a misspelt key is compared with them, so that the three cannot drift apart.
//! Owns no defaults and no rules between keys; those stand with the readers.

mod cases;
mod matching;
mod operating;
mod parties;
mod places;
mod root;
mod staging;
mod testing;

pub(super) use cases::ANSWERED;
pub(super) use cases::ASKED;
pub(super) use cases::CASES;
pub(super) use cases::PLUGIN_CASE;
pub(super) use matching::MATCHERS;
pub(super) use operating::ADMIN;
pub(super) use operating::DECISIONS;
pub(super) use operating::RELOAD;
pub(super) use operating::SAMPLE;
pub(super) use parties::BREAKER;
pub(super) use parties::KV;
pub(super) use parties::LIMIT_KEYS;
pub(super) use parties::LOAD;
pub(super) use parties::METRIC;
pub(super) use parties::PERMISSIONS;
pub(super) use parties::PLUGIN;
pub(super) use parties::ROLE;
pub(super) use parties::SANDBOX;
pub(super) use parties::SQL;
pub(super) use parties::USER;
pub(super) use places::BRANCH;
pub(super) use places::LISTENER;
pub(super) use places::LISTENER_TLS;
pub(super) use places::LOGIN;
pub(super) use places::NODE;
pub(super) use places::NODE_TLS;
pub(super) use places::POOL;
pub(super) use root::ENV;
pub(super) use root::ROOT;
pub(super) use staging::CACHE;
pub(super) use staging::DENY;
pub(super) use staging::LIMIT;
pub(super) use staging::LOADED;
pub(super) use staging::LOG;
pub(super) use staging::OTHERWISE;
pub(super) use staging::PIPELINE;
pub(super) use staging::REWRITE;
pub(super) use staging::ROUTE;
pub(super) use staging::STAGE;
pub(super) use staging::WAIVER;
pub(super) use testing::CASE;
pub(super) use testing::EXPECT;
pub(super) use testing::GIVEN;
pub(super) use testing::GIVEN_STEP;
pub(super) use testing::NODE_STATE;
pub(super) use testing::STEP;
pub(super) use testing::TEST;

use crate::hook::Hook;

/// A table of the language.
#[derive(Debug)]
pub(super) struct Noun {
    /// Its name: `listener` in `[listener.NAME]`.
    pub(super) name: &'static str,
    /// What it is, in one sentence.
    pub(super) about: &'static str,
    /// Its keys, in the order of the documentation.
    pub(super) keys: &'static [Key],
}

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) about: &'static str,
    pub(super) required: bool,
    /// Part of the language, but refused by this version.
    pub(super) later: bool,
    /// What other programs call it.
    pub(super) also: &'static [&'static str],
    /// Where a matcher or field has a value.
    pub(super) when: Moment,
}

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Text without further form.
    Text,
    /// A name defined elsewhere in the policy.
    Name,
    /// A path, relative to the file it is written in.
    Path,
    /// An integer from 0.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A duration, as in `"250ms"`.
    Duration,
    /// A size, as in `"256KiB"`.
    Size,
    /// A date, or a time with its offset.
    Date,
    /// A number from 0 to 1.
    Share,
    /// One of a few words.
    OneOf(fn() -> Vec<&'static str>),
    /// An integer, or a comparison such as `">5"` or `"10..20"`.
    Comparison,
    /// `{ file = ".." }` or `{ env = ".." }`, never the value itself.
    Secret,
    /// The value itself, or `{ file = ".." }` or `{ env = ".." }`.
    Referable,
    /// One or several of a type.
    Several(&'static Kind),
    /// A table with fixed keys.
    Table(&'static Noun),
    /// A table whose keys are names and whose values have one type.
    Named(&'static Kind),
    /// Text in short, or the full table.
    Short(&'static Noun),
    /// A list of tables.
    Tables(&'static Noun),
    /// Anything.
    Any,
}

/// From when on a value exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moment {
    /// As soon as the client has named itself.
    Connected,
    /// Once the client is known.
    LoggedIn,
    /// While there is a statement.
    Statement,
    /// Where a statement is routed, and after the node has answered.
    Routing,
    /// After the node has answered.
    Outcome,
}

impl Moment {
    /// Whether the value exists at this hook.
    pub(super) fn exists_at(self, hook: Hook) -> bool {
        match self {
            Self::Connected => true,
            Self::LoggedIn => !matches!(hook, Hook::OnConnect | Hook::Authenticate),
            Self::Statement => hook.has_statement(),
            Self::Routing => hook == Hook::Route || hook.has_outcome(),
            Self::Outcome => hook.has_outcome(),
        }
    }

    /// The end of "has a value only ...".
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Connected => "at every hook",
            Self::LoggedIn => "after the client has logged in",
            Self::Statement => "at hooks that have a statement",
            Self::Routing => "at `route` and after the node has answered",
            Self::Outcome => "after the node has answered",
        }
    }
}

impl Noun {
    /// The key of that name.
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The names of the keys this version accepts.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys
            .iter()
            .filter(|key| !key.later)
            .map(|key| key.name)
    }
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        name,
        kind,
        about,
        required: false,
        later: false,
        also: &[],
        when: Moment::Connected,
    }
}

/// A key that this version refuses with a clear text.
const fn later(name: &'static str, about: &'static str) -> Key {
    Key {
        later: true,
        ..key(name, Kind::Any, about)
    }
}

impl Key {
    const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    const fn also(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }

    const fn from(self, when: Moment) -> Self {
        Self { when, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(noun: &'static Noun) {
        for (index, key) in noun.keys.iter().enumerate() {
            assert!(
                !key.about.is_empty() && key.about.ends_with(['.', '?']),
                "{}.{}",
                noun.name,
                key.name
            );
            assert!(
                noun.keys[..index]
                    .iter()
                    .all(|other| other.name != key.name),
                "{}.{}",
                noun.name,
                key.name
            );
            let mut kind = key.kind;
            while let Kind::Several(inner) | Kind::Named(inner) = kind {
                kind = *inner;
            }
            if let Kind::Table(inner) | Kind::Short(inner) | Kind::Tables(inner) = kind {
                check(inner);
            }
        }
    }

    #[test]
    fn every_key_is_told_once_and_documented() {
        check(&ROOT);
        check(&CASES);
    }
}
