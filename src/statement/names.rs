//! Names as the server will look them up: folded, unquoted, unescaped, cut.
//! Owns the reading of one name, not where names stand.

use super::facts::Name;
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
