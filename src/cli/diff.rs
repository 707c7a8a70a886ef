//! `pgwarden diff`: what a change of a policy means. Owns where the two policies come from and how their difference is shown;
//! what it is, is told by `policy::Difference`.

mod git;
mod impact;
mod running;
mod show;
#[cfg(test)]
mod tests;

use super::TrustArguments;
use super::check::STATEMENTS_MAX;
use super::control::Reach;
use super::output;
use crate::pipeline::StatsRegistry;
use crate::policy::Difference;
use crate::policy::Files;
use crate::server::Disk;
use crate::server::Source;
use crate::server::build_at;
use crate::session::World;
use crate::statement::Analyzer;
use git::GitFiles;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

/// The policies mean something else.
const CHANGED: u8 = 2;

/// The newer one lets something happen that the older one did not.
const WIDENS: u8 = 3;

/// `pgwarden diff OLD NEW`, `pgwarden diff --git REV POLICY`, `pgwarden diff --running POLICY`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The older policy and the newer one; with --git or --running the newer one alone.
    #[arg(required = true, num_args = 1..=2, value_name = "POLICY")]
    policies: Vec<PathBuf>,
    /// The older policy is the same file as it was at this commit; nothing is checked out.
    #[arg(long, value_name = "REV")]
    git: Option<String>,
    /// The older policy is the one that a running process has in force.
    #[arg(long, conflicts_with = "git")]
    running: bool,
    /// That process's admin socket. Default: the one that the policy names.
    #[arg(long, value_name = "PATH", requires = "running")]
    socket: Option<PathBuf>,
    /// Decide the traffic of this log of decisions by both, and tell where they differ; several times for several, the oldest
    /// first.
    #[arg(long, value_name = "LOG")]
    impact: Vec<PathBuf>,
    /// Values of this environment override those of `vars`, in both.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// How it is told.
    #[arg(long, value_name = "FORMAT", default_value = HUMAN, value_parser = [HUMAN, JSON])]
    format: String,
    /// Whose signatures of plugins count.
    #[command(flatten)]
    trust: TrustArguments,
}

const HUMAN: &str = "human";
const JSON: &str = "json";

/// Why there is nothing to compare.
enum Stop {
    /// Wrong usage.
    Usage(String),
    /// Something cannot be had.
    Failed(String),
    /// The same, and why has been said.
    Said(ExitCode),
    /// A side that is no policy; what is wrong with it has been said.
    Policy,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match compare(arguments) {
        Ok((old, new, difference)) => told(arguments, &old, &new, &difference),
        Err(Stop::Usage(why)) => {
            output::complain(&format!("error: {why}\n"));
            ExitCode::from(super::USAGE)
        }
        Err(Stop::Failed(why)) => {
            output::complain(&format!("error: {why}\n"));
            ExitCode::FAILURE
        }
        Err(Stop::Said(code)) => code,
        Err(Stop::Policy) => ExitCode::from(super::CONFIG),
    }
}

/// Prints the difference, and what it does to recorded traffic, which is read before anything is printed.
fn told(arguments: &Arguments, old: &World, new: &World, difference: &Difference) -> ExitCode {
    let impact = match &arguments.impact[..] {
        [] => None,
        logs => match impact::of(logs, old, new) {
            Ok(impact) => Some(impact),
            Err(why) => {
                output::complain(&format!("error: {why}\n"));
                return ExitCode::FAILURE;
            }
        },
    };
    let (before, after) = (&old.policy, &new.policy);
    output::print(&match &*arguments.format {
        JSON => {
            let mut whole = show::json(before, after, difference);
            if let Some(impact) = impact {
                whole["impact"] = impact.json();
            }
            format!("{whole:#}\n")
        }
        _ => {
            let mut text = show::human(before, after, difference);
            text.extend(impact.map(|impact| impact.human()));
            text
        }
    });
    exit_code(difference)
}

fn exit_code(difference: &Difference) -> ExitCode {
    if difference.widens() {
        ExitCode::from(WIDENS)
    } else if difference.changes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(CHANGED)
    }
}

fn compare(arguments: &Arguments) -> Result<(World, World, Difference), Stop> {
    let trust = arguments.trust.trust();
    let disk = Disk { trust: &trust };
    let now = SystemTime::now();
    let side = |path: &Path, files: &dyn Files, name: &str, time: SystemTime| {
        let source = Source {
            path: path.to_owned(),
            environment: arguments.env.clone(),
            trust: trust.clone(),
        };
        read(&source, files, name, time)
    };
    let (old, new) = match (&arguments.git, &arguments.policies[..]) {
        (None, [policy]) if arguments.running => {
            let reach = Reach::at(arguments.socket.clone(), arguments.env.clone());
            (
                running::world(&reach, policy, &trust),
                side(policy, &disk, "the newer policy", now),
            )
        }
        (None, [old, new]) if !arguments.running => (
            side(old, &disk, "the older policy", BEFORE),
            side(new, &disk, "the newer policy", now),
        ),
        (Some(revision), [policy]) => {
            let then = GitFiles::at(revision, policy, disk).map_err(Stop::Usage)?;
            let name = format!("the policy at {revision}");
            (
                side(policy, &then, &name, BEFORE),
                side(policy, &disk, "the newer policy", now),
            )
        }
        (None, _) => {
            let why = "write two policies, the older one first, or one with --git REV or --running";
            return Err(Stop::Usage(why.to_owned()));
        }
        (Some(_), _) => {
            let why = "with --git write one policy; the other one is the same file at that commit";
            return Err(Stop::Usage(why.to_owned()));
        }
    };
    // What is wrong with either is told before giving up.
    let (old, new) = (old?, new?);
    let difference = old.policy.difference(&new.policy);
    Ok((old, new, difference))
}

/// When no waiver has ended: the older side was served while its own had not, and a change may well be about them.
const BEFORE: SystemTime = SystemTime::UNIX_EPOCH;

/// A policy as it would be served at that time.
fn read(source: &Source, files: &dyn Files, name: &str, time: SystemTime) -> Result<World, Stop> {
    let (stages, analyzer) = (
        StatsRegistry::default(),
        Arc::new(Analyzer::new(STATEMENTS_MAX)),
    );
    let (world, report) = build_at(source, files, &stages, &analyzer, time);
    match world {
        Some(world) => Ok(world),
        None => {
            output::complain(&format!("{name} is refused:\n"));
            output::complain(&report.render(output::colour()));
            Err(Stop::Policy)
        }
    }
}
