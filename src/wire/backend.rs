//! The little a proxy reads of backend messages: how a command ended and how many rows it touched; and the rows of its own
//! statements.

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

/// The column names of a RowDescription body; `None` where it is not one.
#[must_use]
pub fn column_names(body: &[u8]) -> Option<Vec<String>> {
    const REST_BYTES: usize = 18;
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut names = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (name, after) = frame::cstr(rest)?;
        names.push(String::from_utf8_lossy(name).into_owned());
        rest = after.get(REST_BYTES..)?;
    }
    rest.is_empty().then_some(names)
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
