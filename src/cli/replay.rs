//! `pgwarden replay`: what another policy would have decided about recorded traffic. Owns the verb; reading, deciding and counting
//! are `decisions`'s.

use super::TrustArguments;
use super::decisions::Again;
use super::decisions::Decided;
use super::decisions::Lines;
use super::decisions::Record;
use super::decisions::Tally;
use super::output;
use crate::server::Source;
use crate::session::World;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Something would be otherwise.
const CHANGED: u8 = 2;

/// `pgwarden replay LOG.. --against POLICY`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Logs of decisions, the oldest first; `-` is standard input.
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// The policy that decides again.
    #[arg(long, value_name = "POLICY")]
    against: PathBuf,
    /// Values of this environment override those of `vars`.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Fail where anything could not be decided.
    #[arg(long)]
    complete: bool,
    /// How it is told.
    #[arg(long, value_name = "FORMAT", default_value = HUMAN, value_parser = [HUMAN, JSON])]
    format: String,
    /// Whose signatures of plugins count.
    #[command(flatten)]
    trust: TrustArguments,
}

const HUMAN: &str = "human";
const JSON: &str = "json";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let source = Source {
        path: arguments.against.clone(),
        environment: arguments.env.clone(),
        trust: arguments.trust.trust(),
    };
    let world = match super::world(&source) {
        Ok(world) => world,
        Err(code) => return code,
    };
    let mut again = Again::new(&world);
    let mut tally = Tally::default();
    let read = each(&arguments.logs, &mut tally, |record, tally| {
        tally.count(record, Ok(Decided::of_record(record)), again.decide(record));
    });
    if let Err(why) = read {
        output::complain(&format!("error: {why}\n"));
        return ExitCode::FAILURE;
    }
    output::print(&match &*arguments.format {
        JSON => json(&world, &tally, &again.keeping),
        _ => human(&world, &tally, &again.keeping),
    });
    if tally.is_void() {
        output::complain("error: no decision could be decided again\n");
        return ExitCode::FAILURE;
    }
    if arguments.complete && !tally.is_complete() {
        output::complain("error: not every line could be decided again\n");
        return ExitCode::FAILURE;
    }
    match tally.has_changes() {
        true => ExitCode::from(CHANGED),
        false => ExitCode::SUCCESS,
    }
}

/// Does something with each decision of the logs; what is none is counted.
///
/// # Errors
/// Which log cannot be read, and why.
pub(super) fn each(
    logs: &[PathBuf],
    tally: &mut Tally,
    mut what: impl FnMut(&Record, &mut Tally),
) -> Result<(), String> {
    let mut lines = Lines::of(logs);
    while let Some(line) = lines.next()? {
        match Record::read(&line) {
            Ok(record) => what(&record, tally),
            Err(why) => tally.broken(&line.place, &why),
        }
    }
    Ok(())
}

fn human(world: &World, tally: &Tally, keeping: &BTreeSet<Arc<str>>) -> String {
    let policy = &world.policy;
    format!(
        "policy {}  revision {} -> {}\n{}{}",
        policy.name,
        tally.revisions(),
        policy.revision,
        tally.human("was", "would be"),
        kept(keeping)
    )
}

/// What is not as it was when the traffic came.
pub(super) fn kept(keeping: &BTreeSet<Arc<str>>) -> String {
    if keeping.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = keeping.iter().map(|name| &**name).collect();
    format!(
        "values that stages keep were none in the beginning: {}\n",
        names.join(", ")
    )
}

fn json(world: &World, tally: &Tally, keeping: &BTreeSet<Arc<str>>) -> String {
    let mut whole = tally.json();
    whole["policy"] = serde_json::json!({
        "name": &*world.policy.name,
        "revision": world.policy.revision.full(),
    });
    let names: Vec<&str> = keeping.iter().map(|name| &**name).collect();
    whole["began_without_values"] = serde_json::json!(names);
    format!("{whole:#}\n")
}
