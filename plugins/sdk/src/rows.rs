//! Rows of declared statements, as the host lays them out in a buffer of the plugin's. Owns no call; those are `host`'s.

/// The length that stands for NULL.
pub(crate) const NULL: u32 = u32::MAX;

/// Why `query` gave no rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueryError {
    /// No node could be asked.
    Unavailable,
    /// It took too long.
    TimedOut,
    /// More rows or bytes than the policy allows.
    TooMuch,
    /// The node refused the statement.
    Refused,
    /// The buffer is too small for the arguments or the rows.
    NoRoom,
}

/// Rows in a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    columns: usize,
    rows: usize,
    items: &'a [u8],
}

impl<'a> Rows<'a> {
    /// Reads the counts; `None` where the bytes are no rows.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (columns, rest) = number(bytes)?;
        let (rows, items) = number(rest)?;
        Some(Self {
            columns: columns as usize,
            rows: rows as usize,
            items,
        })
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// How many columns there are.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The name of a column, from 0.
    #[must_use]
    pub fn name(&self, column: usize) -> Option<&'a str> {
        if self.columns <= column {
            return None;
        }
        self.item(column)
    }

    /// A value by its row and column, from 0; `None` for NULL and where there is none.
    #[must_use]
    pub fn value(&self, row: usize, column: usize) -> Option<&'a str> {
        if self.rows <= row || self.columns <= column {
            return None;
        }
        self.item((row + 1) * self.columns + column)
    }

    fn item(&self, index: usize) -> Option<&'a str> {
        let mut rest = self.items;
        let mut left = index;
        loop {
            let (len, after) = number(rest)?;
            let (item, after) = if len == NULL {
                (None, after)
            } else {
                let (item, after) = after.split_at_checked(len as usize)?;
                (Some(item), after)
            };
            if left == 0 {
                return core::str::from_utf8(item?).ok();
            }
            left -= 1;
            rest = after;
        }
    }
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number), rest))
}

/// Writes arguments as the host reads them; their length, or `None` where there is no room.
pub(crate) fn write_args(args: &[Option<&str>], into: &mut [u8]) -> Option<usize> {
    let mut at = 0;
    for arg in args {
        let len = arg.map_or(NULL, |arg| arg.len() as u32);
        let bytes = arg.unwrap_or_default().as_bytes();
        into.get_mut(at..at + 4)?
            .copy_from_slice(&len.to_le_bytes());
        into.get_mut(at + 4..at + 4 + bytes.len())?
            .copy_from_slice(bytes);
        at += 4 + bytes.len();
    }
    Some(at)
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use crate::host;
    use crate::host::QueryError;
    use crate::testing;
    use crate::testing::rows;

    #[test]
    fn rows_are_read_by_row_and_column() {
        testing::host(|host| {
            host.loaded.insert(
                "x".to_owned(),
                rows(&["a", "b"], &[&[Some("1"), None], &[Some(""), Some("é")]]),
            );
        });
        let mut buffer = [0; 256];
        let rows = host::loaded("x", &mut buffer).expect("rows");
        assert_eq!((rows.len(), rows.columns(), rows.is_empty()), (2, 2, false));
        assert_eq!(
            (rows.name(0), rows.name(1), rows.name(2)),
            (Some("a"), Some("b"), None)
        );
        assert_eq!((rows.value(0, 0), rows.value(0, 1)), (Some("1"), None));
        assert_eq!((rows.value(1, 0), rows.value(1, 1)), (Some(""), Some("é")));
        assert_eq!((rows.value(2, 0), rows.value(0, 2)), (None, None));
        assert!(host::loaded("y", &mut [0; 256]).is_none());
        assert!(host::loaded("x", &mut [0; 8]).is_none());
    }

    #[test]
    fn a_query_gives_rows_or_says_why_not() {
        testing::host(|host| {
            let key = ("of".to_owned(), vec![Some("ada".to_owned()), None]);
            host.queries.insert(key, Ok(rows(&["a"], &[&[Some("3")]])));
            let key = ("of".to_owned(), Vec::new());
            host.queries.insert(key, Err(QueryError::TimedOut));
        });
        let mut buffer = [0; 256];
        let found = host::query("of", &[Some("ada"), None], &mut buffer).expect("rows");
        assert_eq!(found.value(0, 0), Some("3"));
        let mut query = |args: &[Option<&str>]| host::query("of", args, &mut buffer).err();
        assert_eq!(query(&[]), Some(QueryError::TimedOut));
        assert_eq!(query(&[None]), Some(QueryError::Unavailable));
        assert_eq!(
            host::query("of", &[Some("ada"), None], &mut [0; 4]).err(),
            Some(QueryError::NoRoom)
        );
    }
}
