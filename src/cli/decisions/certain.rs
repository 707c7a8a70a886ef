//! Whether a decision that was made again rests on what the record holds: no stage that took part may have asked for more. Owns no
//! deciding.

use super::again::Undecided;
use super::known::Held;
use crate::pipeline::Guard;
use crate::pipeline::Step;
use crate::pipeline::StepResult;
use crate::policy::Action;
use crate::policy::Mode;
use crate::policy::Policy;
use crate::policy::Stage;
use crate::sandbox::See;
use crate::sandbox::Uses;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of whether a stage was asked.
enum Asked {
    Yes,
    No,
    /// It depends on this key.
    Unknown(String),
}

/// Goes through the stages that took part, up to the one that decided. Gives whether a rule would have put a limit into a text
/// that is not there.
///
/// # Errors
/// The first stage that asks for what the record does not hold.
pub(super) fn check(
    policy: &Policy,
    uses: &BTreeMap<Arc<str>, Uses>,
    steps: &[Step],
    mut held: Held,
) -> Result<bool, Undecided> {
    let mut limited = false;
    for step in steps {
        let stage = policy.stages.iter().find(|known| known.name == step.stage);
        let Some(stage) = stage.filter(|stage| counts(stage)) else {
            continue;
        };
        match asked(step, held) {
            Asked::No => continue,
            Asked::Yes => (),
            Asked::Unknown(key) => return Err(lacks(step, &format!("asks for `{key}`"))),
        }
        match &stage.action {
            Action::Deny(_)
            | Action::Allow
            | Action::Route { .. }
            | Action::Limit(_)
            | Action::Cache(_) => (),
            Action::Rewrite {
                add_limit: Some(_), ..
            } if !held.text => {
                limited = true;
                held.limit = false;
                held.fingerprint = false;
                held.sizes = false;
                held.normalized = false;
            }
            Action::Rewrite { .. } => (),
            Action::Script(_) | Action::Plugin(_) => {
                let used = uses.get(&stage.name).and_then(|uses| uses.see.as_ref());
                let mut seen = stage.grants.see.iter();
                let lacking = seen.find(|see| {
                    used.is_none_or(|used| used.contains(see)) && !is_held(**see, held)
                });
                if let Some(see) = lacking {
                    return Err(lacks(step, &format!("may see `{}`", see.name())));
                }
            }
            _ if !held.text => return Err(lacks(step, "reads the text")),
            _ => (),
        }
    }
    Ok(limited)
}

/// A stage that only observes, or writes to the log, changes no verdict.
fn counts(stage: &Stage) -> bool {
    stage.mode == Mode::Enforce && !matches!(stage.action, Action::Log { .. })
}

fn lacks(step: &Step, what: &str) -> Undecided {
    Undecided::new(format!(
        "stage `{}` {what}, which the log does not hold",
        step.stage
    ))
}

/// `when` must hold in every key, and no key of `unless` may.
fn asked(step: &Step, held: Held) -> Asked {
    let of = |word: &'static str| step.guards.iter().filter(move |guard| guard.word == word);
    let (known, unknown): (Vec<&Guard>, Vec<&Guard>) = step
        .guards
        .iter()
        .partition(|guard| holds(&guard.asked.key, held));
    let is_out = |guard: &&Guard| guard.asked.matched == (guard.word == "unless");
    if known.iter().any(is_out) {
        return Asked::No;
    }
    match unknown.first() {
        Some(guard) => Asked::Unknown(guard.asked.key.to_string()),
        None if of("when").all(|guard| guard.asked.matched) => match step.result {
            StepResult::Off | StepResult::Skipped => Asked::No,
            _ => Asked::Yes,
        },
        None => Asked::No,
    }
}

/// Whether a key of `when` or `unless` can be told from the record.
fn holds(key: &str, held: Held) -> bool {
    match key {
        "user" | "role" | "database" | "branch" | "app" | "client" | "listener" | "tls"
        | "auth_method" | "kind" | "read_only" | "has_where" | "has_cte" | "statement_count"
        | "protocol" | "in_transaction" | "tx_writes" | "time" | "weekday" => true,
        "has_limit" => held.limit,
        "fingerprint" => held.fingerprint,
        "param_count" | "bytes" => held.sizes,
        "tables" | "functions" | "schemas" => held.names,
        "columns" => held.columns,
        "hint" => held.text,
        // How far behind standbys were is nowhere.
        "lag" => false,
        key if key.starts_with("attr.") => held.learned,
        _ => held.text,
    }
}

fn is_held(see: See, held: Held) -> bool {
    match see {
        See::Identity => held.claims && held.learned,
        See::Session | See::ResultSummary | See::ResultError | See::Password => true,
        See::SqlText => held.text,
        See::SqlNormalized => held.normalized,
        See::SqlFingerprint => held.fingerprint,
        See::SqlKind => held.sizes && held.limit,
        See::SqlTables => held.names && held.columns,
    }
}
