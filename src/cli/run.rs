//! `pgwarden run`: serve a policy.

use super::CONFIG;
use super::PolicyArguments;
use super::output;
use crate::kernel;
use crate::server;
use crate::server::Options;
use crate::server::Start;
use crate::unit;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// `pgwarden run POLICY`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// How log lines look.
    #[arg(long, value_name = "FORMAT", default_value = "human", value_parser = ["human", "json"])]
    log_format: String,
    /// What is logged: a level, or a filter as in `info,pgwarden::session=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
    /// Threads that move messages. One moves as much as PostgreSQL on most machines answers.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// How long a stop waits for transactions to end.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    drain_timeout: Duration,
    /// A folder that keeps the last good revisions, so that `rollback` works after a restart. It is made where it is not there.
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Let the kernel refuse this process any memory that is written and executed (Linux 6.3). Nothing here needs it.
    #[arg(long)]
    deny_exec_memory: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    unit::parse_duration(text).map_err(|error| error.to_string())
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    if let Err(error) = start_log(&arguments) {
        output::complain(&format!("error: --log: {error}\n"));
        return ExitCode::from(super::USAGE);
    }
    if arguments.deny_exec_memory
        && let Err(error) = kernel::deny_exec_memory()
    {
        output::complain(&format!("error: --deny-exec-memory: {error}\n"));
        return ExitCode::FAILURE;
    }
    let options = Options {
        source: arguments.policy.source(),
        drain: arguments.drain_timeout,
        tests: super::test::failures,
        state: arguments.state,
    };
    match serve(options, arguments.workers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Start::Policy(report)) => {
            output::complain(&report.render(output::colour()));
            ExitCode::from(CONFIG)
        }
        Err(Start::System(error)) => {
            output::complain(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn serve(options: Options, workers: u16) -> Result<(), Start> {
    let loaded = server::load(&options.source)?;
    let runtime = runtime(workers, loaded.has_guests())?;
    let outcome = runtime.block_on(server::run(options, loaded));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Threads beside the workers at most. A session whose guest waits for its turn aside has one: there must be more than
/// sessions, since a worker's messages need one as well.
const ASIDE_MAX: usize = 10_000;

/// One worker needs no queue that others can steal from, and is cheaper per message. But a guest that takes long must not hold
/// up its messages, and only beside a runtime for several are there threads to run it on.
fn runtime(workers: u16, has_guests: bool) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = if workers == 1 && !has_guests {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(usize::from(workers))
            .max_blocking_threads(ASIDE_MAX);
        builder
    };
    builder.enable_all().thread_name("pgwarden").build()
}

fn start_log(arguments: &Arguments) -> Result<(), String> {
    let filter = EnvFilter::try_new(&arguments.log).map_err(|error| error.to_string())?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if arguments.log_format == "json" {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(output::colour() == crate::policy::Colour::Ansi)
            .try_init()
    };
    started.map_err(|error| error.to_string())
}
