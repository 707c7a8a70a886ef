//! Globs: `*` is any run of characters, `?` is one, everything else is itself. Linear in practice, without allocation.

use super::Match;
use super::Polarity;
use crate::statement::Name;

/// One compiled glob.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::policy) enum Glob {
    /// `*`.
    Any,
    /// No wildcard at all.
    Exact(Box<str>),
    /// `text*`.
    Prefix(Box<str>),
    /// `*text`.
    Suffix(Box<str>),
    /// Anything else.
    Pattern(Box<str>),
}

impl Glob {
    pub(in crate::policy) fn new(pattern: &str) -> Self {
        let wild = |text: &str| text.contains(['*', '?']);
        match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            _ if pattern == "*" => Self::Any,
            _ if !wild(pattern) => Self::Exact(pattern.into()),
            (_, Some(prefix)) if !wild(prefix) => Self::Prefix(prefix.into()),
            (Some(suffix), _) if !wild(suffix) => Self::Suffix(suffix.into()),
            _ => Self::Pattern(pattern.into()),
        }
    }

    pub(in crate::policy) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => text == &**exact,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::Pattern(pattern) => matches(pattern, text),
        }
    }

    /// Whether it is known to match whatever the other one matches.
    pub(in crate::policy) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Exact(text)) => self.matches(text),
            (Self::Prefix(wide), Self::Prefix(narrow)) => narrow.starts_with(&**wide),
            (Self::Suffix(wide), Self::Suffix(narrow)) => narrow.ends_with(&**wide),
            (Self::Prefix(wide), Self::Pattern(narrow)) => {
                let fixed = narrow.split(['*', '?']).next().unwrap_or_default();
                fixed.starts_with(&**wide)
            }
            (Self::Suffix(wide), Self::Pattern(narrow)) => {
                let fixed = narrow.rsplit(['*', '?']).next().unwrap_or_default();
                fixed.ends_with(&**wide)
            }
            _ => self == other,
        }
    }

    /// Whether it matches everything.
    pub(super) fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    /// The name, if it is one and not a pattern.
    pub(in crate::policy) fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(exact) => Some(exact),
            _ => None,
        }
    }
}

pub(super) fn any_glob(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}

/// A glob over the names of tables or functions, with or without a schema.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::policy) struct NameGlob {
    pub(in crate::policy) schema: Option<Glob>,
    pub(in crate::policy) name: Glob,
}

impl NameGlob {
    /// Reads `name` or `schema.name`. As in SQL, what is not in double quotes is lower case. `None`: malformed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (first, rest) = part(text)?;
        match rest.strip_prefix('.') {
            None if rest.is_empty() => Some(Self {
                schema: None,
                name: Glob::new(&first),
            }),
            None => None,
            Some(rest) => {
                let (second, rest) = part(rest)?;
                rest.is_empty().then(|| Self {
                    schema: Some(Glob::new(&first)),
                    name: Glob::new(&second),
                })
            }
        }
    }

    /// A name without a schema could be in any; a pattern with a schema then matches maybe, if its name says anything.
    pub(super) fn matches(&self, name: &Name) -> Match {
        if !self.name.matches(&name.name) {
            return Match::No;
        }
        match (&self.schema, &name.schema) {
            (None, _) => Match::Yes,
            (Some(schema), Some(found)) => schema.matches(found).into(),
            (Some(schema), None) if schema.is_any() => Match::Yes,
            (Some(_), None) if self.name.is_any() => Match::No,
            (Some(_), None) => Match::Maybe,
        }
    }
}

impl NameGlob {
    /// Whether it matches, or could in the schema that the name is found in.
    pub(in crate::policy) fn may_match(&self, name: &Name) -> bool {
        self.matches(name) != Match::No
    }

    /// Whether it may match whatever the other one may.
    pub(in crate::policy) fn covers_all_of(&self, other: &Self) -> bool {
        self.covers(other, Polarity::Any)
    }

    /// Whether it is known to match whatever the other one matches. `s.orders` may be meant by `orders`, which counts where a
    /// match tightens; `s.*` is not, so that there it does not stand for each of its tables.
    pub(super) fn covers(&self, other: &Self, polarity: Polarity) -> bool {
        let schema = match (&self.schema, &other.schema) {
            (None, _) => true,
            (Some(wide), None) => return wide.is_any() && self.name.covers(&other.name),
            (Some(wide), Some(narrow)) => wide.covers(narrow),
        };
        let loses_the_bare = polarity == Polarity::Any
            && self.schema.as_ref().is_some_and(|schema| !schema.is_any())
            && self.name.is_any()
            && !other.name.is_any();
        schema && self.name.covers(&other.name) && !loses_the_bare
    }
}

/// One identifier off the front, as SQL reads it.
pub(in crate::policy) fn part(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut name = String::new();
        let mut rest = quoted;
        loop {
            let (before, after) = rest.split_once('"')?;
            name.push_str(before);
            match after.strip_prefix('"') {
                Some(after) => {
                    name.push('"');
                    rest = after;
                }
                None => return (!name.is_empty()).then_some((name, after)),
            }
        }
    }
    let end = text.find(['.', '"']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (!name.is_empty() && !name.contains(char::is_whitespace))
        .then(|| (name.to_ascii_lowercase(), rest))
}

/// Greedy with one step back to the last star.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut back = None;
    loop {
        let mut ahead = pattern.clone();
        match ahead.next() {
            Some('*') => {
                back = Some((ahead.clone(), text.clone()));
                pattern = ahead;
                continue;
            }
            Some(wanted) => {
                let mut rest = text.clone();
                if rest
                    .next()
                    .is_some_and(|found| wanted == '?' || found == wanted)
                {
                    pattern = ahead;
                    text = rest;
                    continue;
                }
            }
            None if text.as_str().is_empty() => return true,
            None => (),
        }
        let Some((star_pattern, mut star_text)) = back.take() else {
            return false;
        };
        if star_text.next().is_none() {
            return false;
        }
        pattern = star_pattern.clone();
        text = star_text.clone();
        back = Some((star_pattern, star_text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a", "a", true),
            ("a", "A", false),
            ("tenant_*", "tenant_7", true),
            ("tenant_*", "tenants", false),
            ("*_log", "audit_log", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "a--b--b--c", true),
            ("a*b*c", "a--c--b", false),
            ("*a*", "xay", true),
            ("**", "x", true),
            ("", "", true),
            ("", "x", false),
            ("\u{e9}?", "\u{e9}\u{e8}", true),
        ] {
            assert_eq!(
                Glob::new(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn names() {
        let name = |schema: Option<&str>, name: &str| Name {
            schema: schema.map(Into::into),
            name: name.into(),
        };
        for (pattern, found, expected) in [
            ("orders", name(None, "orders"), Match::Yes),
            ("Orders", name(Some("s"), "orders"), Match::Yes),
            ("\"Orders\"", name(None, "orders"), Match::No),
            ("s.orders", name(Some("s"), "orders"), Match::Yes),
            ("s.orders", name(Some("t"), "orders"), Match::No),
            ("s.orders", name(None, "orders"), Match::Maybe),
            ("s.*", name(None, "orders"), Match::No),
            ("*.orders", name(None, "orders"), Match::Yes),
            ("\"a.b\"", name(None, "a.b"), Match::Yes),
        ] {
            assert_eq!(
                NameGlob::parse(pattern).map(|glob| glob.matches(&found)),
                Some(expected),
                "{pattern}"
            );
        }
        for wrong in ["", ".", "a.", "a.b.c", "\"a", "a b", "\"\""] {
            assert_eq!(NameGlob::parse(wrong), None, "{wrong}");
        }
    }
}
