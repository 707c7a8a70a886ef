//! `pgwarden check`: every mistake of a policy at once, in one environment or in all, for people or for programs. No node is asked
//! but with `--live`.

mod live;

use super::PolicyArguments;
use super::output;
use crate::pipeline::StatsRegistry;
use crate::policy::Policy;
use crate::policy::Report;
use crate::policy::Severity;
use crate::server::environments;
use crate::server::review;
use crate::session::World;
use crate::statement::Analyzer;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use std::time::SystemTime;

/// `pgwarden check POLICY`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// Check without an environment and in each that the policy has.
    #[arg(long, conflicts_with = "env")]
    all_envs: bool,
    /// Log in to every node as the pools do, and report its version, its role and whether the databases are there.
    #[arg(long, conflicts_with_all = ["all_envs", "format"])]
    live: bool,
    /// How it is told: for people, as JSON, as SARIF 2.1.0, or as commands of GitHub Actions.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Warnings, too, make the exit code 1. Notes never do.
    #[arg(long)]
    deny_warnings: bool,
    /// Check as if it were that day, or that time: what has an end, such as a waiver, may be past by then.
    #[arg(long, value_name = "DATE", value_parser = super::time)]
    today: Option<SystemTime>,
    /// Say nothing of warnings and notes with this code.
    #[arg(long, value_name = "CODE")]
    allow: Vec<String>,
}

/// How a report is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Human,
    Json,
    Sarif,
    Github,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            "sarif" => Ok(Self::Sarif),
            "github" => Ok(Self::Github),
            _ => Err("one of human, json, sarif, github".to_owned()),
        }
    }
}

/// Distinct statements whose analysis is kept while a verb runs.
pub(super) const STATEMENTS_MAX: usize = 1_000;

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let (world, mut report) = found(arguments);
    report.forgive(&arguments.allow);
    let took = started.elapsed().as_millis();
    match arguments.format {
        Format::Human => {
            let pictures = report.pictures(output::colour());
            if !pictures.is_empty() {
                output::complain(&format!("{pictures}{} ({took} ms)\n", report.summary()));
            }
            if let Some(world) = &world {
                output::print(&good(&world.policy));
            }
        }
        Format::Json => output::print(&format!("{:#}\n", report.json())),
        Format::Sarif => output::print(&format!("{:#}\n", report.sarif())),
        Format::Github => output::print(&report.github()),
    }
    let is_bad =
        report.has_errors() || arguments.deny_warnings && report.count(Severity::Warning) != 0;
    let are_nodes_bad = match &world {
        Some(world) if arguments.live => !are_as_they_should(world),
        _ => false,
    };
    match is_bad || are_nodes_bad {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// Asks the nodes, and tells what they say.
fn are_as_they_should(world: &World) -> bool {
    match live::found(world) {
        Ok(found) => {
            for line in &found.good {
                output::print(&format!("{line}\n"));
            }
            for line in &found.bad {
                output::complain(&format!("error: {line}\n"));
            }
            found.bad.is_empty()
        }
        Err(error) => {
            output::complain(&format!("error: the nodes cannot be asked: {error}\n"));
            false
        }
    }
}

/// What there is to say, and the policy's world where it is good in every environment that was asked for.
fn found(arguments: &Arguments) -> (Option<World>, Report) {
    let analyzer = Arc::new(Analyzer::new(STATEMENTS_MAX));
    let now = arguments.today.unwrap_or_else(SystemTime::now);
    let check = |environment: Option<String>| {
        let mut source = arguments.policy.source();
        source.environment = environment;
        review(&source, &StatsRegistry::default(), &analyzer, now)
    };
    if !arguments.all_envs {
        return check(arguments.policy.env.clone());
    }
    let (mut world, plain) = check(None);
    let mut reports = vec![("without an environment".to_owned(), plain)];
    for name in environments(&arguments.policy.source()) {
        let words = format!("in the environment `{name}`");
        let (of_environment, report) = check(Some(name));
        world = world.filter(|_| of_environment.is_some());
        reports.push((words, report));
    }
    (world, Report::merged(reports))
}

fn good(policy: &Policy) -> String {
    format!(
        "ok: policy {} revision {}: {} stages, {} pipelines, {} tests\n",
        policy.name,
        policy.revision.short(),
        policy.stages.len(),
        policy.pipelines.len(),
        policy.tests.len()
    )
}
