//! What a change does to recorded traffic: every decision of a log, made again by both policies. Owns no deciding and no counting.

use crate::cli::decisions::Again;
use crate::cli::decisions::Tally;
use crate::cli::replay;
use crate::session::World;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// What both policies make of it.
pub(super) struct Impact {
    tally: Tally,
    keeping: BTreeSet<Arc<str>>,
}

/// Decides the traffic of the logs by both.
///
/// # Errors
/// Which log cannot be read, and why.
pub(super) fn of(logs: &[PathBuf], old: &World, new: &World) -> Result<Impact, String> {
    let (mut before, mut after) = (Again::new(old), Again::new(new));
    let mut tally = Tally::default();
    replay::each(logs, &mut tally, |record, tally| {
        tally.count(record, before.decide(record), after.decide(record));
    })?;
    let mut keeping = before.keeping;
    keeping.append(&mut after.keeping);
    Ok(Impact { tally, keeping })
}

impl Impact {
    pub(super) fn human(&self) -> String {
        format!(
            "recorded traffic\n{}{}",
            self.tally.human("older", "newer"),
            replay::kept(&self.keeping)
        )
    }

    pub(super) fn json(&self) -> Value {
        let mut whole = self.tally.json();
        let names: Vec<&str> = self.keeping.iter().map(|name| &**name).collect();
        whole["began_without_values"] = serde_json::json!(names);
        whole
    }
}
