//! The action `mask`, compiled: which columns a statement of a client may show, and what stands in their place. Owns no stage's
//! order and no message; a session brings the node's rows.
//!
//! What cannot be hidden in the rows is refused before the statement runs: `judge` says which that is.

mod judge;
mod method;
mod rows;

pub use rows::RowMask;
pub use rows::Undescribed;

use super::figures::StageStats;
use crate::hook::Input;
use crate::hook::Refusal;
use crate::policy;
use crate::policy::MaskedColumn;
use crate::sqlstate::SqlState;
use crate::statement::Analyzer;
use crate::statement::Kind;
use crate::statement::Needs;
use judge::Hits;
use method::Method;
use std::sync::Arc;
use std::sync::LazyLock;

/// A `mask` stage's columns and what it puts in their place.
pub(super) struct Mask {
    columns: Arc<[MaskedColumn]>,
    method: Arc<Method>,
    stats: Arc<StageStats>,
    analyzer: Arc<Analyzer>,
}

/// What one stage masks of one statement that names its tables.
#[derive(Clone, Debug)]
pub(super) struct Hidden {
    columns: Arc<[MaskedColumn]>,
    hits: Hits,
    method: Arc<Method>,
    stats: Arc<StageStats>,
}

/// What is masked in the rows of one statement. The first stage that masks a column says how.
#[derive(Clone, Debug, Default)]
pub struct Masks(Vec<Hidden>);

/// Of a statement that was asked about and names no masked table.
static NONE: LazyLock<Arc<Masks>> = LazyLock::new(Arc::default);

impl Mask {
    pub(super) fn new(
        rule: &policy::Mask,
        stats: &Arc<StageStats>,
        analyzer: &Arc<Analyzer>,
    ) -> Self {
        Self {
            columns: rule.columns.as_slice().into(),
            method: Arc::new(Method::new(&rule.with)),
            stats: Arc::clone(stats),
            analyzer: Arc::clone(analyzer),
        }
    }

    /// The normalized text is what statements share their reading by.
    pub(super) const NEEDS: Needs = Needs {
        normalized: true,
        parse: true,
    };

    /// What it hides of a statement; `None` where the statement names none of its tables.
    pub(super) fn ask(&self, input: &Input<'_>) -> Result<Option<Hidden>, Refusal> {
        let Some(statement) = input.statement else {
            return Ok(None);
        };
        let facts = statement.facts;
        if facts.kinds.contains(Kind::Unparsed) {
            return Err(Refusal::with_code(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "the statement cannot be read, so that columns cannot be masked in it",
            ));
        }
        let tables = &facts.relations.tables;
        let is_named = |column: &MaskedColumn| tables.iter().any(|table| column.may_be_of(table));
        if !self.columns.iter().any(is_named) {
            return Ok(None);
        }
        let exposure = self.analyzer.exposure(statement.text, &facts.normalized);
        let hits = judge::judge(&self.columns, facts, exposure.as_deref())?;
        Ok(Some(Hidden {
            columns: Arc::clone(&self.columns),
            hits,
            method: Arc::clone(&self.method),
            stats: Arc::clone(&self.stats),
        }))
    }
}

impl Hidden {
    /// Whether its rows may hold a masked value.
    pub(super) fn hides(&self) -> bool {
        self.hits.hides()
    }

    /// The masked columns that its rows may hold, for people.
    pub(super) fn shown(&self) -> String {
        let names: Vec<&str> = self.names().map(|name| &**name).collect();
        format!("{} with {:?}", names.join(", "), self.method)
    }

    /// The masked columns that its rows may hold, as the policy writes them.
    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let columns = self.hits.columns.iter();
        columns.filter_map(|index| self.columns.get(*index).map(|column| &column.written))
    }
}

impl Masks {
    /// Of a statement that names no masked table.
    pub(super) fn none() -> Arc<Self> {
        Arc::clone(&NONE)
    }

    pub(super) fn push(&mut self, hidden: Hidden) {
        self.0.push(hidden);
    }

    /// Whether the statement names a masked table.
    #[must_use]
    pub fn names_tables(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether its rows may hold a masked value, so that none may pass before their columns are known.
    #[must_use]
    pub fn hides(&self) -> bool {
        self.0.iter().any(Hidden::hides)
    }

    /// The masked columns that its rows may hold, as the policy writes them; each once, sorted.
    #[must_use]
    pub fn columns(&self) -> Vec<Arc<str>> {
        let names = self.0.iter().flat_map(Hidden::names);
        let mut names: Vec<Arc<str>> = names.map(Arc::clone).collect();
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests;
