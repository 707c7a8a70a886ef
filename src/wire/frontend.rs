//! Bodies of frontend messages that a stage or the pool must understand: Parse, Bind, Describe, Execute, Close.
//! Only names and texts are read; parameters pass as they came.

use super::frame;

/// A body that is not what its tag says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("malformed {0} message")]
pub struct Malformed(pub &'static str);

/// Parse (F).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parse<'a> {
    /// The prepared statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// The text.
    pub sql: &'a [u8],
    /// Count and oids of the declared parameter types, as sent.
    pub types: &'a [u8],
}

/// Reads a Parse body.
///
/// # Errors
/// When strings or the type list do not fill the body exactly.
pub fn parse(body: &[u8]) -> Result<Parse<'_>, Malformed> {
    const WRONG: Malformed = Malformed("Parse");
    let (name, rest) = frame::cstr(body).ok_or(WRONG)?;
    let (sql, types) = frame::cstr(rest).ok_or(WRONG)?;
    let &[high, low, ref oids @ ..] = types else {
        return Err(WRONG);
    };
    if oids.len() != 4 * usize::from(u16::from_be_bytes([high, low])) {
        return Err(WRONG);
    }
    Ok(Parse { name, sql, types })
}

/// The two names at the front of a Bind body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bind<'a> {
    /// The portal's name; empty for the unnamed one.
    pub portal: &'a [u8],
    /// The prepared statement's name.
    pub statement: &'a [u8],
    /// Bytes of the body that the two names take.
    pub names_bytes: usize,
}

/// Reads the front of a Bind body; `None` until both names are in `front`.
#[must_use]
pub fn bind(front: &[u8]) -> Option<Bind<'_>> {
    let (portal, rest) = frame::cstr(front)?;
    let (statement, _) = frame::cstr(rest)?;
    Some(Bind {
        portal,
        statement,
        names_bytes: portal.len() + statement.len() + 2,
    })
}

/// The values that a Bind binds, from what follows its names: `None` for NULL. `None` where it is not what a Bind holds.
#[must_use]
pub fn bound_values(rest: &[u8]) -> Option<impl Iterator<Item = Option<&[u8]>>> {
    let (formats, rest) = counted(rest)?;
    let (count, mut rest) = counted(rest.get(2 * formats..)?)?;
    let mut values = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            values.push(None);
            rest = after;
            continue;
        };
        let (value, after) = after.split_at_checked(length)?;
        values.push(Some(value));
        rest = after;
    }
    let (results, rest) = counted(rest)?;
    (rest.len() == 2 * results).then(|| values.into_iter())
}

/// A count of two bytes, and what follows it.
fn counted(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (count, rest) = bytes.split_first_chunk::<2>()?;
    Some((usize::from(u16::from_be_bytes(*count)), rest))
}

/// What Describe and Close speak of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target<'a> {
    /// A prepared statement.
    Statement(&'a [u8]),
    /// A portal.
    Portal(&'a [u8]),
}

/// Reads a Describe or Close body.
///
/// # Errors
/// When the kind is neither `S` nor `P`, or the name does not end the body.
pub fn target(body: &[u8]) -> Result<Target<'_>, Malformed> {
    const WRONG: Malformed = Malformed("Describe or Close");
    let (&kind, rest) = body.split_first().ok_or(WRONG)?;
    let (name, after) = frame::cstr(rest).ok_or(WRONG)?;
    match kind {
        _ if !after.is_empty() => Err(WRONG),
        b'S' => Ok(Target::Statement(name)),
        b'P' => Ok(Target::Portal(name)),
        _ => Err(WRONG),
    }
}

/// Reads an Execute body: the portal's name and the row limit (0 is none).
///
/// # Errors
/// When the name and four bytes do not fill the body.
pub fn execute(body: &[u8]) -> Result<(&[u8], u32), Malformed> {
    const WRONG: Malformed = Malformed("Execute");
    let (portal, rest) = frame::cstr(body).ok_or(WRONG)?;
    let limit: [u8; 4] = rest.try_into().map_err(|_| WRONG)?;
    Ok((portal, u32::from_be_bytes(limit)))
}

/// Reads a Query body: the text without its zero.
///
/// # Errors
/// When the text's zero does not end the body.
pub fn query(body: &[u8]) -> Result<&[u8], Malformed> {
    match frame::cstr(body) {
        Some((sql, [])) => Ok(sql),
        _ => Err(Malformed("Query")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_exactly_or_refused() {
        assert_eq!(
            parse(b"s\0select 1\0\0\x01\0\0\0\x17"),
            Ok(Parse {
                name: b"s",
                sql: b"select 1",
                types: b"\0\x01\0\0\0\x17"
            })
        );
        for wrong in [
            &b"s\0select 1\0\0\x01"[..],
            b"s\0select 1",
            b"",
            b"s\0select\0\0\0x",
        ] {
            assert!(parse(wrong).is_err());
        }
        assert_eq!(bind(b"p\0s\0\0\0").map(|bind| bind.names_bytes), Some(4));
        assert_eq!(bind(b"p\0s"), None);
        let values = |rest| bound_values(rest).map(Iterator::collect::<Vec<_>>);
        assert_eq!(values(b"\0\0\0\0\0\0"), Some(Vec::new()));
        assert_eq!(
            values(b"\0\x01\0\x01\0\x02\0\0\0\x02ab\xff\xff\xff\xff\0\x01\0\x01"),
            Some(vec![Some(&b"ab"[..]), None])
        );
        for wrong in [&b"\0\0"[..], b"\0\0\0\x01\0\0\0\x09a\0\0", b"\0\0\0\0\0\0x"] {
            assert!(bound_values(wrong).is_none());
        }
        assert_eq!(target(b"Sx\0"), Ok(Target::Statement(b"x")));
        assert_eq!(target(b"P\0"), Ok(Target::Portal(b"")));
        assert!(target(b"Xx\0").is_err() && target(b"Sx\0y").is_err() && target(b"").is_err());
        assert_eq!(execute(b"\0\0\0\0\x05"), Ok((&b""[..], 5)));
        assert!(execute(b"\0\0").is_err());
        assert!(query(b"select").is_err() && query(b"a\0b\0").is_err());
    }
}
