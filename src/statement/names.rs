//! Names as the server will look them up: folded, unquoted, unescaped, cut.
//! Owns the reading of one name, not where names stand.

use super::facts::Name;
use std::borrow::Cow;
use std::sync::Arc;

/// NAMEDATALEN - 1: longer names are cut, so a longer spelling names the same table.
const NAME_BYTES_MAX: usize = 63;

/// The name a token writes: `Name`, `"Name"`, `U&"n\0061me"` with its escape character. `None` when its escapes are wrong.
pub(crate) fn fold(written: &str, escape: char) -> Option<String> {
    let mut name = if let Some(inner) = written
        .strip_prefix("U&")
        .or_else(|| written.strip_prefix("u&"))
    {
        unescape(&unquote(inner)?, escape)?
    } else if written.starts_with('"') {
        unquote(written)?
    } else {
        written.to_ascii_lowercase()
    };
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    Some(name)
}

/// A name without escapes; for the names of prepared statements.
pub(crate) fn fold_plain(written: &str) -> Arc<str> {
    fold(written, '\\').unwrap_or_default().into()
}

/// A table or function named by these parts; a database before the schema is dropped.
pub(crate) fn qualified(mut parts: Vec<String>) -> Option<Name> {
    let name = parts.pop()?.into();
    let schema = parts.pop().map(Arc::from);
    Some(Name { schema, name })
}

impl Name {
    /// `schema.name`, or `name`. A part that holds a dot or a quote stands in quotes, so that it can be read back.
    #[must_use]
    pub fn dotted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", part(schema), part(&self.name)),
            None => part(&self.name).into_owned(),
        }
    }

    /// Reads what [`Self::dotted`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_dotted(text: &str) -> Option<Self> {
        let (first, rest) = read_part(text)?;
        let Some(rest) = rest else {
            return Some(Self {
                schema: None,
                name: first.into(),
            });
        };
        match read_part(rest)? {
            (name, None) => Some(Self {
                schema: Some(first.into()),
                name: name.into(),
            }),
            (_, Some(_)) => None,
        }
    }
}

fn part(name: &str) -> Cow<'_, str> {
    match name.contains(['.', '"']) {
        true => format!("\"{}\"", name.replace('"', "\"\"")).into(),
        false => name.into(),
    }
}

/// The first part, and what is behind its dot.
fn read_part(text: &str) -> Option<(String, Option<&str>)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Some(match text.split_once('.') {
            Some((name, rest)) => (name.to_owned(), Some(rest)),
            None => (text.to_owned(), None),
        });
    };
    let mut letters = quoted.char_indices();
    let mut name = String::new();
    while let Some((at, letter)) = letters.next() {
        let rest = &quoted[at + letter.len_utf8()..];
        match letter {
            '"' if rest.starts_with('"') => {
                letters.next();
                name.push('"');
            }
            '"' if rest.is_empty() => return Some((name, None)),
            '"' => return Some((name, Some(rest.strip_prefix('.')?))),
            letter => name.push(letter),
        }
    }
    None
}

fn unquote(written: &str) -> Option<String> {
    Some(
        written
            .strip_prefix('"')?
            .strip_suffix('"')?
            .replace("\"\"", "\""),
    )
}

/// `\0061`, `\+000061` and `\\`, with `escape` for the backslash; surrogate pairs make one character.
fn unescape(text: &str, escape: char) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut units = Vec::new();
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        if letter != escape {
            flush(&mut out, &mut units)?;
            out.push(letter);
            continue;
        }
        let ahead = rest.as_str();
        let digits = if ahead.starts_with(escape) {
            flush(&mut out, &mut units)?;
            out.push(escape);
            rest.next();
            continue;
        } else if let Some(long) = ahead.strip_prefix('+') {
            rest.next();
            long.get(..6)?
        } else {
            ahead.get(..4)?
        };
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let code = u32::from_str_radix(digits, 16).ok()?;
        rest.by_ref().take(digits.len()).for_each(drop);
        match u16::try_from(code) {
            Ok(unit) => units.push(unit),
            Err(_) => {
                flush(&mut out, &mut units)?;
                out.push(char::from_u32(code)?);
            }
        }
    }
    flush(&mut out, &mut units)?;
    Some(out)
}

fn flush(out: &mut String, units: &mut Vec<u16>) -> Option<()> {
    out.push_str(&String::from_utf16(units).ok()?);
    units.clear();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    proptest! {
        #[test]
        fn a_dotted_name_is_read_back(schema in proptest::option::of("[a.\"\u{e9}]{1,4}"), name in "[a.\"\u{e9}]{1,4}") {
            let name = Name { schema: schema.map(Arc::from), name: name.into() };
            prop_assert_eq!(Name::from_dotted(&name.dotted()), Some(name));
        }
    }

    #[test]
    fn what_is_no_dotted_name_is_not_read() {
        for text in ["\"a", "\"a\"b", "a.b.c", "\"a\".b.c"] {
            assert_eq!(Name::from_dotted(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_what_the_server_looks_up() {
        let long = "a".repeat(70);
        let cases = [
            ("Orders", Some("orders")),
            ("\u{c9}T\u{c9}", Some("\u{c9}t\u{c9}")),
            ("\"Or\"\"ders\"", Some("Or\"ders")),
            (r#"U&"d\0061t\+000061""#, Some("data")),
            (r#"u&"\\\D83D\DE00""#, Some("\\\u{1f600}")),
            (r#"U&"\00g1""#, None),
            (r#"U&"\D83D""#, None),
            (r#"U&"\004""#, None),
            (long.as_str(), Some(&long[..63])),
        ];
        for (written, expected) in cases {
            assert_eq!(fold(written, '\\').as_deref(), expected, "{written}");
        }
        assert_eq!(fold("U&\"d!0061\"", '!').as_deref(), Some("da"));
        let accents = "\u{e9}".repeat(40);
        assert_eq!(fold(&accents, '\\').map(|name| name.len()), Some(62));
    }
}
