//! `pgwarden render`: a policy with everything it is made of as one text.

use super::PolicyArguments;
use super::check::STATEMENTS_MAX;
use super::output;
use crate::pipeline::StatsRegistry;
use crate::policy;
use crate::policy::Defaults;
use crate::policy::Report;
use crate::server::Disk;
use crate::server::build;
use crate::statement::Analyzer;
use std::process::ExitCode;
use std::sync::Arc;

/// `pgwarden render POLICY`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// Show what holds where nothing is written, too.
    #[arg(long)]
    defaults: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match render(arguments) {
        Ok(text) => {
            output::print(&text);
            ExitCode::SUCCESS
        }
        Err(report) => {
            output::complain(&report.render(output::colour()));
            ExitCode::from(super::CONFIG)
        }
    }
}

fn render(arguments: &Arguments) -> Result<String, Report> {
    let source = arguments.policy.source();
    // Only what could be served is shown.
    let analyzer = Arc::new(Analyzer::new(STATEMENTS_MAX));
    build(&source, &StatsRegistry::default(), &analyzer)?;
    let disk = Disk {
        trust: &source.trust,
    };
    let defaults = match arguments.defaults {
        true => Defaults::Shown,
        false => Defaults::Hidden,
    };
    let environment = source.environment.as_deref();
    policy::effective(&source.path, environment, &disk, defaults)
}
