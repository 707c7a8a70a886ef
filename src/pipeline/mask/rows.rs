//! The rows of one statement, as the client gets them: which of their columns are masked, from their description, and the
//! values replaced. Owns no message of a session.

use super::Hidden;
use super::Masks;
use super::method::Method;
use crate::pipeline::figures::StageStats;
use crate::wire::backend;
use crate::wire::backend::Field;
use crate::wire::backend::Instead;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The columns of rows that are coming, and what becomes of each.
#[derive(Debug)]
pub struct RowMask {
    /// One for each column; `None` passes.
    columns: Box<[Option<Cover>]>,
}

#[derive(Debug)]
struct Cover {
    type_oid: u32,
    method: Arc<Method>,
    stats: Arc<StageStats>,
    /// Values replaced, which are added to the stage's figures at the end.
    values: u64,
}

/// The node describes other columns than the statement has.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("columns other than the statement's")]
pub struct Undescribed;

impl Masks {
    /// What becomes of rows of which the description has this body. `is_utf8`: names in it can be read.
    ///
    /// # Errors
    ///
    /// [`Undescribed`] where the description does not fit the statement: nothing is known of its rows then.
    pub fn rows(&self, description: &[u8], is_utf8: bool) -> Result<RowMask, Undescribed> {
        let fields = backend::fields(description).ok_or(Undescribed)?;
        let mut columns = Vec::with_capacity(fields.len());
        for (column, field) in fields.iter().enumerate() {
            let mut cover = None;
            for hidden in &self.0 {
                let covers = hidden.covers(column, fields.len(), field, is_utf8)?;
                if covers && cover.is_none() {
                    cover = Some(Cover {
                        type_oid: field.type_oid,
                        method: Arc::clone(&hidden.method),
                        stats: Arc::clone(&hidden.stats),
                        values: 0,
                    });
                }
            }
            columns.push(cover);
        }
        Ok(RowMask {
            columns: columns.into(),
        })
    }
}

impl Hidden {
    /// Whether it masks a column of rows that have `count`.
    fn covers(
        &self,
        column: usize,
        count: usize,
        field: &Field<'_>,
        is_utf8: bool,
    ) -> Result<bool, Undescribed> {
        let hits = &self.hits;
        if hits.is_empty() {
            return Ok(false);
        }
        let fits = match &hits.last {
            None => hits.first.len() == count,
            Some(last) => hits.first.len() + last.len() <= count,
        };
        if !fits {
            return Err(Undescribed);
        }
        if let Some(is_masked) = hits.first.get(column) {
            return Ok(*is_masked);
        }
        let last = hits.last.as_deref().unwrap_or_default();
        if let Some(behind) = (column + last.len()).checked_sub(count) {
            return Ok(last.get(behind).copied().unwrap_or(true));
        }
        // Between the first and the last `*`, names are all there is.
        let Some(name) = std::str::from_utf8(field.name)
            .ok()
            .filter(|name| is_utf8 || name.is_ascii())
        else {
            return Ok(true);
        };
        let mut starred = hits.starred.iter();
        let is_starred = starred.any(|index| {
            let masked = self.columns.get(*index);
            masked.is_none_or(|masked| masked.is_named(name))
        });
        Ok(is_starred || hits.labels.iter().any(|label| **label == *name))
    }
}

impl RowMask {
    /// Of a statement without rows.
    #[must_use]
    pub fn of_nothing() -> Self {
        Self {
            columns: Box::default(),
        }
    }

    /// Whether every column passes.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.columns.iter().all(Option::is_none)
    }

    /// Appends a DataRow (B) with masked values in place of those in the body.
    ///
    /// # Errors
    ///
    /// [`Undescribed`] where the row is not as it was described; nothing is appended then.
    pub fn rewrite(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), Undescribed> {
        let count = body
            .first_chunk::<2>()
            .map(|count| u16::from_be_bytes(*count));
        if count.map(usize::from) != Some(self.columns.len()) {
            return Err(Undescribed);
        }
        let columns = &mut self.columns;
        let change = |column: usize, value: &[u8], out: &mut Vec<u8>| match &mut columns[column] {
            None => Instead::Same,
            Some(cover) => {
                cover.values += 1;
                cover.method.apply(cover.type_oid, value, out)
            }
        };
        backend::rewrite_row(body, out, change).ok_or(Undescribed)
    }
}

impl Drop for RowMask {
    fn drop(&mut self) {
        for cover in self.columns.iter().flatten() {
            cover.stats.masked.fetch_add(cover.values, Relaxed);
        }
    }
}
