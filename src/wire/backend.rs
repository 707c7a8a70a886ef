//! The little a proxy reads of backend messages: how a command ended and how many rows it touched; the rows of its own
//! statements; and rows of which values are replaced.

use super::encode;
use super::frame;

/// Rows that a CommandComplete body reports: the number at its end, or 0 (`BEGIN`, `CREATE TABLE`).
#[must_use]
pub fn command_rows(body: &[u8]) -> u64 {
    let tag = body.strip_suffix(&[0]).unwrap_or(body);
    let digits = tag
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    tag[tag.len() - digits..].iter().fold(0_u64, |sum, digit| {
        sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
    })
}

/// One column of a RowDescription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// Its name, in the client's encoding.
    pub name: &'a [u8],
    /// The oid of its type.
    pub type_oid: u32,
}

/// The columns of a RowDescription body; `None` where it is not one.
#[must_use]
pub fn fields(body: &[u8]) -> Option<Vec<Field<'_>>> {
    // The table's oid and the column's number in it; the type's oid; its size, modifier and format.
    const BEFORE_TYPE_BYTES: usize = 6;
    const AFTER_TYPE_BYTES: usize = 8;
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut fields = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (name, after) = frame::cstr(rest)?;
        let (type_oid, after) = after.get(BEFORE_TYPE_BYTES..)?.split_first_chunk::<4>()?;
        fields.push(Field {
            name,
            type_oid: u32::from_be_bytes(*type_oid),
        });
        rest = after.get(AFTER_TYPE_BYTES..)?;
    }
    rest.is_empty().then_some(fields)
}

/// The column names of a RowDescription body; `None` where it is not one.
#[must_use]
pub fn column_names(body: &[u8]) -> Option<Vec<String>> {
    let name = |field: &Field<'_>| String::from_utf8_lossy(field.name).into_owned();
    Some(fields(body)?.iter().map(name).collect())
}

/// What becomes of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instead {
    /// It stays as it is.
    Same,
    /// NULL.
    Null,
    /// What was appended to the buffer.
    Written,
}

/// Appends a DataRow (B) like the one of that body, with values replaced: `change` is given the number of a column and its
/// value, if it has one. `None` where the body is not one, with nothing appended.
pub fn rewrite_row(
    body: &[u8],
    out: &mut Vec<u8>,
    mut change: impl FnMut(usize, &[u8], &mut Vec<u8>) -> Instead,
) -> Option<()> {
    const NULL: &[u8] = &(-1_i32).to_be_bytes();
    let before = out.len();
    let mut whole = false;
    encode::message(out, b'D', |out| {
        let mut write = || {
            let (count, mut rest) = body.split_first_chunk::<2>()?;
            out.extend_from_slice(count);
            for column in 0..usize::from(u16::from_be_bytes(*count)) {
                let (written, after) = rest.split_first_chunk::<4>()?;
                let Ok(bytes) = usize::try_from(i32::from_be_bytes(*written)) else {
                    out.extend_from_slice(NULL);
                    rest = after;
                    continue;
                };
                let (value, after) = after.split_at_checked(bytes)?;
                let at = out.len();
                out.extend_from_slice(written);
                match change(column, value, out) {
                    Instead::Same => out.extend_from_slice(value),
                    Instead::Null => {
                        out.truncate(at);
                        out.extend_from_slice(NULL);
                    }
                    Instead::Written => {
                        let bytes = i32::try_from(out.len() - at - 4).ok()?;
                        out[at..at + 4].copy_from_slice(&bytes.to_be_bytes());
                    }
                }
                rest = after;
            }
            rest.is_empty().then_some(())
        };
        whole = write().is_some();
    });
    if !whole {
        out.truncate(before);
    }
    whole.then_some(())
}

/// The values of a DataRow body, `None` for NULL; `None` where it is not one.
#[must_use]
pub fn row_values(body: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut values = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (len, after) = rest.split_first_chunk::<4>()?;
        let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
            values.push(None);
            rest = after;
            continue;
        };
        let (value, after) = after.split_at_checked(len)?;
        values.push(Some(value));
        rest = after;
    }
    rest.is_empty().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode;

    #[test]
    fn rows_are_read_as_they_are_written_and_whole() {
        let mut out = Vec::new();
        encode::row_description(&mut out, ["a", "bc"].into_iter(), false);
        let body = &out[5..];
        assert_eq!(
            column_names(body),
            Some(vec!["a".to_owned(), "bc".to_owned()])
        );
        assert_eq!(column_names(&body[..body.len() - 1]), None);
        let mut out = Vec::new();
        encode::data_row(&mut out, [Some(&b"x"[..]), None].into_iter());
        let body = &out[5..];
        assert_eq!(row_values(body), Some(vec![Some(&b"x"[..]), None]));
        assert_eq!(row_values(&body[..body.len() - 1]), None);
        assert_eq!(row_values(&[body, b"x"].concat()), None);
    }

    #[test]
    fn values_are_replaced_one_by_one() {
        let mut row = Vec::new();
        let values = [Some(&b"a"[..]), None, Some(b"bcd"), Some(b""), Some(b"e")];
        encode::data_row(&mut row, values.into_iter());
        let body = &row[5..];
        let mut out = b"before".to_vec();
        let changed = rewrite_row(body, &mut out, |column, value, out| match column {
            0 => Instead::Same,
            2 => {
                out.extend_from_slice(&value[1..]);
                out.extend_from_slice(b"****");
                Instead::Written
            }
            3 => Instead::Written,
            _ => Instead::Null,
        });
        assert_eq!(changed, Some(()));
        let expected = [Some(&b"a"[..]), None, Some(b"cd****"), Some(b""), None];
        assert_eq!(row_values(&out[6 + 5..]), Some(expected.to_vec()));
        assert_eq!(&out[..7], b"beforeD");
        for cut in 0..body.len() {
            let mut out = b"before".to_vec();
            assert_eq!(
                rewrite_row(&body[..cut], &mut out, |_, _, _| Instead::Null),
                None
            );
            assert_eq!(out, b"before");
        }
        let longer = [body, b"x"].concat();
        assert_eq!(
            rewrite_row(&longer, &mut Vec::new(), |_, _, _| Instead::Same),
            None
        );
    }

    #[test]
    fn the_last_number_is_the_count() {
        for (body, rows) in [
            (&b"SELECT 12\0"[..], 12),
            (b"INSERT 0 3\0", 3),
            (b"BEGIN\0", 0),
            (b"COPY 7", 7),
            (b"", 0),
        ] {
            assert_eq!(command_rows(body), rows);
        }
    }
}
