//! `pgwarden diff`: what a change of a policy means. Owns where the two policies come from and how their difference is shown;
//! what it is, is told by `policy::Difference`.

mod git;
mod show;
#[cfg(test)]
mod tests;

use super::TrustArguments;
use super::check::STATEMENTS_MAX;
use super::output;
use crate::pipeline::StatsRegistry;
use crate::policy::Difference;
use crate::policy::Files;
use crate::policy::Policy;
use crate::server::Disk;
use crate::server::Source;
use crate::server::Trust;
use crate::server::build_from;
use crate::statement::Analyzer;
use git::GitFiles;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// The policies mean something else.
const CHANGED: u8 = 2;

/// The newer one lets something happen that the older one did not.
const WIDENS: u8 = 3;

/// `pgwarden diff OLD NEW`, `pgwarden diff --git REV POLICY`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The older policy and the newer one; with --git the newer one alone.
    #[arg(required = true, num_args = 1..=2, value_name = "POLICY")]
    policies: Vec<PathBuf>,
    /// The older policy is the same file as it was at this commit; nothing is checked out.
    #[arg(long, value_name = "REV")]
    git: Option<String>,
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
    /// A side that is no policy; what is wrong with it has been said.
    Policy,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match compare(arguments) {
        Ok((old, new, difference)) => {
            output::print(&match &*arguments.format {
                JSON => show::json(&old, &new, &difference),
                _ => show::human(&old, &new, &difference),
            });
            exit_code(&difference)
        }
        Err(Stop::Usage(why)) => {
            output::complain(&format!("error: {why}\n"));
            ExitCode::from(super::USAGE)
        }
        Err(Stop::Policy) => ExitCode::from(super::CONFIG),
    }
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

fn compare(arguments: &Arguments) -> Result<(Policy, Policy, Difference), Stop> {
    let trust = Trust {
        root: arguments.trust.trust_root.root(),
        require_signed: arguments.trust.require_signed,
    };
    let disk = Disk { trust: &trust };
    let side = |path: &Path, files: &dyn Files, name: &str| {
        let source = Source {
            path: path.to_owned(),
            environment: arguments.env.clone(),
            trust: trust.clone(),
        };
        read(&source, files, name)
    };
    let (old, new) = match (&arguments.git, &arguments.policies[..]) {
        (None, [old, new]) => (
            side(old, &disk, "the older policy"),
            side(new, &disk, "the newer policy"),
        ),
        (Some(revision), [policy]) => {
            let then = GitFiles::at(revision, policy, disk).map_err(Stop::Usage)?;
            let name = format!("the policy at {revision}");
            (
                side(policy, &then, &name),
                side(policy, &disk, "the newer policy"),
            )
        }
        (None, _) => {
            let why = "write two policies, the older one first, or --git REV and one";
            return Err(Stop::Usage(why.to_owned()));
        }
        (Some(_), _) => {
            let why = "with --git write one policy; the other one is the same file at that commit";
            return Err(Stop::Usage(why.to_owned()));
        }
    };
    // What is wrong with either is told before giving up.
    let (old, new) = (old?, new?);
    let difference = old.difference(&new);
    Ok((old, new, difference))
}

/// A policy as it would be served.
fn read(source: &Source, files: &dyn Files, name: &str) -> Result<Policy, Stop> {
    let analyzer = Arc::new(Analyzer::new(STATEMENTS_MAX));
    let (world, report) = build_from(source, files, &StatsRegistry::default(), &analyzer);
    match world {
        Some(world) => Ok(Arc::unwrap_or_clone(world.policy)),
        None => {
            output::complain(&format!("{name} is refused:\n"));
            output::complain(&report.render(output::colour()));
            Err(Stop::Policy)
        }
    }
}
