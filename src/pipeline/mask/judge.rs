//! Whether masked columns can be hidden in what a statement returns, and where they stand in it. Owns the refusals and their
//! words; what a statement does with its columns is `statement/exposure`.

use crate::hook::Refusal;
use crate::policy::MaskedColumn;
use crate::sqlstate::SqlState;
use crate::statement::Column;
use crate::statement::Exposure;
use crate::statement::Facts;
use crate::statement::Form;
use crate::statement::Kind;
use crate::statement::Name;
use crate::statement::Obstacle;
use crate::statement::Output;
use crate::statement::Source;
use crate::statement::Sources;
use std::sync::Arc;

/// Functions of PostgreSQL and its extensions that take a row: `t.to_json` calls one, as `to_json(t)` does.
const ROW_FUNCTIONS: [&str; 47] = [
    "any_out",
    "any_value",
    "anycompatible_out",
    "anycompatiblenonarray_out",
    "anyelement_out",
    "anynonarray_out",
    "array_agg",
    "concat",
    "count",
    "cume_dist",
    "dense_rank",
    "first_value",
    "hash_record",
    "hstore",
    "json_agg",
    "json_agg_strict",
    "json_build_array",
    "json_build_object",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_build_array",
    "jsonb_build_object",
    "lag",
    "last_value",
    "lead",
    "max",
    "min",
    "mode",
    "num_nonnulls",
    "num_nulls",
    "percent_rank",
    "pg_collation_for",
    "pg_column_compression",
    "pg_column_size",
    "pg_column_toast_chunk_id",
    "pg_typeof",
    "quote_literal",
    "quote_nullable",
    "rank",
    "record_out",
    "record_send",
    "record_to_hstore",
    "row_to_json",
    "string_agg",
    "to_json",
    "to_jsonb",
    "xmlagg",
];

const HINT: &str = "A masked column may stand alone in a select list or RETURNING, in the columns of INSERT, and before `=` in SET.";

/// Where the masked columns stand in a statement's rows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Hits {
    /// Whether each column is masked: all of them, or those before the first `*`.
    pub(super) first: Vec<bool>,
    /// Those behind the last `*`, where there is one.
    pub(super) last: Option<Vec<bool>>,
    /// Indices of the columns that a `*` may stand for; found by their names.
    pub(super) starred: Vec<usize>,
    /// Names under which masked columns stand behind a `*`.
    pub(super) labels: Vec<Arc<str>>,
    /// Indices of every column that the rows it asks for may hold.
    pub(super) columns: Vec<usize>,
}

impl Hits {
    pub(super) fn hides(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Whether nothing of any row is masked, whatever it is.
    pub(super) fn is_empty(&self) -> bool {
        !self.hides() && self.starred.is_empty()
    }
}

/// Where the columns stand, or why the statement is refused.
pub(super) fn judge(
    columns: &[MaskedColumn],
    facts: &Facts,
    exposure: Option<&Exposure>,
) -> Result<Hits, Refusal> {
    let tables = &facts.relations.tables;
    let active = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| tables.iter().any(|table| column.may_be_of(table)));
    let judge = Judge {
        active: active.collect(),
    };
    let Some(exposure) = exposure else {
        return Err(judge.refusal("{} is masked, and the statement cannot be read"));
    };
    // CREATE TABLE AS EXECUTE runs what could be read alone.
    match exposure.form {
        Form::Query if !facts.kinds.contains(Kind::Ddl) => (),
        Form::Silent => return Ok(Hits::default()),
        Form::Query | Form::Other => {
            return Err(judge.refusal(
                "{} is masked for you; only SELECT, INSERT, UPDATE and DELETE may name its table",
            ));
        }
    }
    judge.obstacles(exposure)?;
    judge.uses(exposure)?;
    judge.rows(exposure)?;
    judge.labels(exposure)?;
    // A plan holds no value.
    if facts.kinds.contains(Kind::Explain) {
        return Ok(Hits::default());
    }
    let writes = [Kind::Insert, Kind::Update, Kind::Delete];
    let writes = writes.into_iter().any(|kind| facts.kinds.contains(kind));
    Ok(judge.hits(exposure, writes))
}

/// The columns whose tables the statement names, with their indices; at least one.
struct Judge<'c> {
    active: Vec<(usize, &'c MaskedColumn)>,
}

impl<'c> Judge<'c> {
    fn obstacles(&self, exposure: &Exposure) -> Result<(), Refusal> {
        let why = match exposure.obstacle {
            None => return Ok(()),
            Some(Obstacle::Natural) => {
                "NATURAL JOIN may compare {}, which is masked for you; write ON or USING"
            }
            Some(Obstacle::Renamed) => {
                "a list of names may rename {}, which is masked for you; leave the list out"
            }
            Some(Obstacle::Constraint) => {
                "ON CONFLICT ON CONSTRAINT may compare {}, which is masked for you; name the columns"
            }
        };
        Err(self.refusal(why))
    }

    fn uses(&self, exposure: &Exposure) -> Result<(), Refusal> {
        for column in &exposure.used {
            if let Some((_, masked)) = self.masked(column) {
                let message = format!(
                    "column {} is masked for you; select it plainly or leave it out",
                    masked.written
                );
                return Err(refusal(message));
            }
        }
        for sources in &exposure.poured {
            if let Some((_, masked)) = self.starred(sources).next() {
                let message = format!(
                    "`*` may stand for column {}, which is masked for you; name the columns in its place",
                    masked.written
                );
                return Err(refusal(message));
            }
        }
        Ok(())
    }

    /// Whole rows: `t` alone, and what `t.name` may call.
    fn rows(&self, exposure: &Exposure) -> Result<(), Refusal> {
        for column in named(exposure) {
            let is_row = match &column.sources {
                Sources::Unqualified => exposure
                    .rows
                    .iter()
                    .filter(|(name, _)| *name == column.name)
                    .any(|(_, source)| self.may_hold_as_row(source)),
                Sources::Of(sources) => {
                    ROW_FUNCTIONS.contains(&&*column.name)
                        && (sources.is_empty()
                            || sources.iter().any(|source| self.may_hold_as_row(source)))
                }
            };
            if is_row {
                let message = format!(
                    "`{}` may stand for a whole row, and {} in it is masked for you; name the columns in its place",
                    column.name,
                    self.first()
                );
                return Err(refusal(message));
            }
        }
        Ok(())
    }

    /// The name that a masked column goes out under, where something orders or groups by it.
    fn labels(&self, exposure: &Exposure) -> Result<(), Refusal> {
        for output in &exposure.outputs {
            let Output::Column(column, label) = output else {
                continue;
            };
            let Some((_, masked)) = self.masked(column) else {
                continue;
            };
            let is_used = |used: &&Column| !used.is_qualified() && used.name == *label;
            if *label != column.name && exposure.used.iter().any(|used| is_used(&used)) {
                let message = format!(
                    "`{label}` is column {}, which is masked for you; select it plainly or leave it out",
                    masked.written
                );
                return Err(refusal(message));
            }
        }
        Ok(())
    }

    fn hits(&self, exposure: &Exposure, writes: bool) -> Hits {
        let mut hits = Hits::default();
        if exposure.outputs.is_empty() {
            // A rule of the table may return rows that nobody asked for.
            if writes {
                hits.last = Some(Vec::new());
                hits.starred = self.active.iter().map(|(index, _)| *index).collect();
            }
            return hits;
        }
        for output in &exposure.outputs {
            let is_masked = match output {
                Output::Star(sources) => {
                    hits.last = Some(Vec::new());
                    hits.starred
                        .extend(self.starred(sources).map(|(index, _)| index));
                    continue;
                }
                Output::Column(column, label) => match self.masked(column) {
                    Some((index, _)) => {
                        hits.columns.push(index);
                        if hits.last.is_some() {
                            hits.labels.push(Arc::clone(label));
                        }
                        true
                    }
                    None => false,
                },
                Output::Expression => false,
            };
            match &mut hits.last {
                Some(last) => last.push(is_masked),
                None => hits.first.push(is_masked),
            }
        }
        hits.columns.extend(&hits.starred);
        hits.columns.sort_unstable();
        hits.columns.dedup();
        hits
    }

    /// The first of the columns that this one may be.
    fn masked(&self, column: &Column) -> Option<(usize, &'c MaskedColumn)> {
        let mut active = self.active.iter();
        let found = active
            .find(|(_, masked)| masked.is_named(&column.name) && may_hold(masked, &column.sources));
        found.copied()
    }

    /// Every column that `*` over these may stand for.
    fn starred<'s>(
        &'s self,
        sources: &'s Sources,
    ) -> impl Iterator<Item = (usize, &'c MaskedColumn)> + 's {
        let active = self.active.iter();
        active
            .filter(|(_, masked)| may_hold(masked, sources))
            .copied()
    }

    /// Whether a name for this, alone, may be a row with a masked column in it. What a function returns is made of what it
    /// was given, which was judged.
    fn may_hold_as_row(&self, source: &Source) -> bool {
        match source {
            Source::Function => false,
            Source::Other => true,
            Source::Table(table) => self.is_masked(table),
        }
    }

    fn is_masked(&self, table: &Name) -> bool {
        self.active
            .iter()
            .any(|(_, masked)| masked.may_be_of(table))
    }

    fn first(&self) -> String {
        let first = self.active.first();
        first.map_or_else(String::new, |(_, masked)| {
            format!("column {}", masked.written)
        })
    }

    fn refusal(&self, message: &str) -> Refusal {
        refusal(message.replace("{}", &self.first()))
    }
}

/// Whether a column with these sources may be of the masked column's table. What is not known may be.
fn may_hold(masked: &MaskedColumn, sources: &Sources) -> bool {
    match sources {
        Sources::Unqualified => true,
        Sources::Of(sources) => {
            sources.is_empty()
                || sources.iter().any(|source| match source {
                    Source::Table(table) => masked.may_be_of(table),
                    Source::Function | Source::Other => true,
                })
        }
    }
}

/// Every column that the statement writes, wherever it goes.
fn named(exposure: &Exposure) -> impl Iterator<Item = &Column> {
    let outputs = exposure.outputs.iter().filter_map(|output| match output {
        Output::Column(column, _) => Some(column),
        Output::Star(_) | Output::Expression => None,
    });
    outputs.chain(&exposure.passed).chain(&exposure.used)
}

fn refusal(message: String) -> Refusal {
    Refusal {
        hint: Some(HINT.into()),
        ..Refusal::with_code(SqlState::INSUFFICIENT_PRIVILEGE, message)
    }
}
