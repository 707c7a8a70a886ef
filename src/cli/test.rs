//! `pgwarden test`: runs the tests that a policy carries, through the same `decide` that serves; tells what they leave out, and
//! whether they would notice a change.

mod coverage;
mod format;
mod mutate;
mod runner;
mod watch;

use super::PolicyArguments;
use super::check::STATEMENTS_MAX;
use super::output;
use crate::pipeline::Pipeline;
use crate::pipeline::StatsRegistry;
use crate::policy::Policy;
use crate::policy::Report;
use crate::server::build;
use crate::session::World;
use crate::statement::Analyzer;
use coverage::Covered;
use format::Format;
use mutate::Mutated;
use runner::Runner;
use runner::cases;
use std::process::ExitCode;
use std::sync::Arc;

/// `pgwarden test POLICY [FILTER]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// Only tests whose name contains this.
    filter: Option<String>,
    /// How it is told: for people, as JUnit XML, in the Test Anything Protocol, or as JSON.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Tell which stages and which outcomes of their guards no test meets.
    #[arg(long)]
    coverage: bool,
    /// Fail below this share of stages and branches, in percent.
    #[arg(long, value_name = "PERCENT", requires = "coverage", value_parser = clap::value_parser!(u8).range(0..=100))]
    min: Option<u8>,
    /// Change the policy, one stage at a time, and tell which changes no test notices.
    #[arg(long, conflicts_with = "filter")]
    mutate: bool,
    /// Run again whenever a file of the policy changes.
    #[arg(long, conflicts_with = "format")]
    watch: bool,
}

/// What became of one case.
struct Outcome {
    name: String,
    /// Where the case is written.
    place: String,
    /// What is not as expected; empty where everything is.
    failures: Vec<String>,
}

/// What became of all of them.
struct Results {
    /// The policy's name and revision.
    policy: String,
    revision: String,
    outcomes: Vec<Outcome>,
    covered: Covered,
    /// What the tests notice, where that was asked for.
    mutated: Option<Mutated>,
}

impl Results {
    fn failed(&self) -> usize {
        let outcomes = self.outcomes.iter();
        outcomes.filter(|it| !it.failures.is_empty()).count()
    }
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.watch {
        return watch::run(arguments);
    }
    let analyzer = Arc::new(Analyzer::new(STATEMENTS_MAX));
    let source = arguments.policy.source();
    match build(&source, &StatsRegistry::default(), &analyzer) {
        Ok(world) => tell(arguments, &world, &analyzer),
        Err(report) => refuse(&report),
    }
}

fn refuse(report: &Report) -> ExitCode {
    output::complain(&report.render(output::colour()));
    ExitCode::from(super::CONFIG)
}

/// Runs the tests of a policy that can be served, and says what became of them.
fn tell(arguments: &Arguments, world: &World, analyzer: &Arc<Analyzer>) -> ExitCode {
    let results = results(arguments, world, analyzer);
    output::print(&arguments.format.write(&results, arguments.coverage));
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let has_run = !results.outcomes.is_empty() || filter.is_empty();
    let is_enough = arguments.min.is_none_or(|min| results.covered.reaches(min));
    if !is_enough {
        let (has, wants) = (results.covered.percent(), arguments.min.unwrap_or_default());
        output::complain(&format!(
            "error: {has} % of stages and branches are tested, and --min asks for {wants} %\n"
        ));
    }
    let lives = results.mutated.as_ref().is_some_and(Mutated::lives);
    if let Some(mutated) = &results.mutated
        && !arguments.format.tells_mutants()
    {
        for line in &mutated.alive {
            output::complain(&format!("error: a change that no test notices: {line}\n"));
        }
    }
    if results.failed() == 0 && has_run && is_enough && !lives {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn results(arguments: &Arguments, world: &World, analyzer: &Arc<Analyzer>) -> Results {
    let policy = &world.policy;
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let mut runner = Runner::new(policy, &world.pipelines, analyzer);
    let chosen = cases(policy).filter(|(name, _)| name.contains(filter));
    let outcomes: Vec<Outcome> = chosen
        .map(|(name, case)| Outcome {
            name,
            place: case.place.to_string(),
            failures: runner.run(case),
        })
        .collect();
    // What is wrong already is not noticed by failing.
    let all_pass = outcomes.iter().all(|outcome| outcome.failures.is_empty());
    Results {
        policy: policy.name.to_string(),
        revision: policy.revision.short().to_string(),
        covered: runner.coverage.of(policy),
        outcomes,
        mutated: (arguments.mutate && all_pass).then(|| mutate::run(policy, analyzer)),
    }
}

/// Runs every test of a policy, for a reload that must pass them: each that fails in one line.
pub(super) fn failures(
    policy: &Policy,
    pipelines: &[Arc<Pipeline>],
    analyzer: &Arc<Analyzer>,
) -> Vec<String> {
    let mut runner = Runner::new(policy, pipelines, analyzer);
    let failed = cases(policy).filter_map(|(name, case)| {
        let failures = runner.run(case);
        let first = failures.first()?;
        Some(format!("{}: test `{name}` fails: {first}", case.place))
    });
    failed.collect()
}
