//! `pgwarden test --watch`: the tests again, whenever a file of the policy has changed. Owns no watching; that is `server/watch`'s.

use super::Arguments;
use super::refuse;
use super::tell;
use crate::cli::check::STATEMENTS_MAX;
use crate::cli::output;
use crate::pipeline::StatsRegistry;
use crate::server::build_and_watch;
use crate::server::changed;
use crate::statement::Analyzer;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs until the process is told to stop.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("error: {error}\n"));
            return ExitCode::FAILURE;
        }
    };
    let source = arguments.policy.source();
    loop {
        let analyzer = Arc::new(Analyzer::new(STATEMENTS_MAX));
        let (world, seen) = build_and_watch(&source, &StatsRegistry::default(), &analyzer);
        match world {
            Ok(world) => drop(tell(arguments, &world, &analyzer)),
            Err(report) => drop(refuse(&report)),
        }
        runtime.block_on(changed(&seen, &source.path));
        output::print("\n");
    }
}
