//! `pgwarden check`: every mistake of a policy at once, in one environment or in all, for people or for programs.

use super::PolicyArguments;
use super::output;
use crate::pipeline::StatsRegistry;
use crate::policy;
use crate::policy::Policy;
use crate::policy::Report;
use crate::policy::Severity;
use crate::server::environments;
use crate::server::review;
use crate::statement::Analyzer;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
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
    /// How it is told: for people, as JSON, as SARIF 2.1.0, or as commands of GitHub Actions.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Warnings, too, make the exit code 1. Notes never do.
    #[arg(long)]
    deny_warnings: bool,
    /// Check as if it were that day, or that time: what has an end, such as a waiver, may be past by then.
    #[arg(long, value_name = "DATE", value_parser = time)]
    today: Option<SystemTime>,
    /// Say nothing of warnings and notes with this code.
    #[arg(long, value_name = "CODE")]
    allow: Vec<String>,
}

/// `2026-12-31`, or a time with its offset.
fn time(text: &str) -> Result<SystemTime, String> {
    let seconds = policy::parse_time(text).and_then(|seconds| u64::try_from(seconds).ok());
    let since = seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    since.ok_or_else(|| "expected a date such as 2026-12-31".to_owned())
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
    let (policy, mut report) = found(arguments);
    report.forgive(&arguments.allow);
    let took = started.elapsed().as_millis();
    match arguments.format {
        Format::Human => {
            let pictures = report.pictures(output::colour());
            if !pictures.is_empty() {
                output::complain(&format!("{pictures}{} ({took} ms)\n", report.summary()));
            }
            if let Some(policy) = policy {
                output::print(&good(&policy));
            }
        }
        Format::Json => output::print(&format!("{:#}\n", report.json())),
        Format::Sarif => output::print(&format!("{:#}\n", report.sarif())),
        Format::Github => output::print(&report.github()),
    }
    let is_bad =
        report.has_errors() || arguments.deny_warnings && report.count(Severity::Warning) != 0;
    match is_bad {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// What there is to say, and the policy where it is good in every environment that was asked for.
fn found(arguments: &Arguments) -> (Option<Policy>, Report) {
    let analyzer = Arc::new(Analyzer::new(STATEMENTS_MAX));
    let now = arguments.today.unwrap_or_else(SystemTime::now);
    let check = |environment: Option<String>| {
        let mut source = arguments.policy.source();
        source.environment = environment;
        let (world, report) = review(&source, &StatsRegistry::default(), &analyzer, now);
        (
            world.map(|world| Arc::unwrap_or_clone(world.policy)),
            report,
        )
    };
    if !arguments.all_envs {
        return check(arguments.policy.env.clone());
    }
    let (mut policy, plain) = check(None);
    let mut reports = vec![("without an environment".to_owned(), plain)];
    for name in environments(&arguments.policy.source()) {
        let words = format!("in the environment `{name}`");
        let (of_environment, report) = check(Some(name));
        policy = policy.filter(|_| of_environment.is_some());
        reports.push((words, report));
    }
    (policy, Report::merged(reports))
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
