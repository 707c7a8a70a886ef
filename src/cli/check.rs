//! `pgwarden check`: every mistake of a policy at once.

use super::PolicyArguments;
use super::output;
use crate::pipeline::StatsRegistry;
use crate::server::build;
use crate::statement::Analyzer;
use std::process::ExitCode;
use std::sync::Arc;

/// `pgwarden check POLICY`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
}

/// Distinct statements whose analysis is kept while a verb runs.
pub(super) const STATEMENTS_MAX: usize = 1_000;

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let source = arguments.policy.source();
    let analyzer = Arc::new(Analyzer::new(STATEMENTS_MAX));
    match build(&source, &StatsRegistry::default(), &analyzer) {
        Ok(world) => {
            let policy = &world.policy;
            output::print(&format!(
                "ok: policy {} revision {}: {} stages, {} pipelines, {} tests\n",
                policy.name,
                policy.revision.short(),
                policy.stages.len(),
                policy.pipelines.len(),
                policy.tests.len()
            ));
            ExitCode::SUCCESS
        }
        Err(report) => {
            output::complain(&report.render(output::colour()));
            ExitCode::FAILURE
        }
    }
}
