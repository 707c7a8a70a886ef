//! The command line: one file per verb. Exit codes: 0 it is so, 1 it is not, 64 wrong usage, 69 nobody answers, 78 bad policy. `diff`
//! has two more of its own.

mod check;
mod control;
mod decisions;
mod diff;
mod explain;
mod fmt;
mod hash;
mod history;
mod init;
mod nodes;
mod output;
mod place;
mod plugin;
mod promote;
mod reload;
mod render;
mod repl;
mod replay;
mod rollback;
mod run;
mod scenario;
mod schema;
mod status;
mod test;
mod why;

use crate::pipeline::StatsRegistry;
use crate::policy;
use crate::policy::Policy;
use crate::server::Source;
use crate::server::Trust;
use crate::server::build;
use crate::session::World;
use crate::statement::Analyzer;
use check::STATEMENTS_MAX;
use clap::Parser;
use clap::Subcommand;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

/// The environment variable that stands for `--trust-root`.
const TRUST_ROOT: &str = "PGWARDEN_TRUST_ROOT";

/// Wrong usage (sysexits.h EX_USAGE).
const USAGE: u8 = 64;

/// A policy that cannot be served (sysexits.h EX_CONFIG).
const CONFIG: u8 = 78;

/// A PostgreSQL proxy and pooler whose whole behaviour is one policy file.
#[derive(Debug, Parser)]
#[command(name = "pgwarden", version, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a policy. SIGHUP reloads it, SIGTERM drains, a second SIGTERM stops.
    Run(run::Arguments),
    /// Report every mistake of a policy.
    Check(check::Arguments),
    /// Run the tests that a policy carries.
    Test(test::Arguments),
    /// Show what would become of a statement, and why.
    Explain(explain::Arguments),
    /// Type statements as a user, and see what would become of each.
    Repl(repl::Arguments),
    /// Let a running process read its policy again, and wait for the outcome.
    Reload(reload::Arguments),
    /// Put the canary of a running process into force, and wait for the outcome.
    Promote(promote::Arguments),
    /// End the canary or the shadow of a running process.
    Withdraw(promote::Arguments),
    /// Show how a running process is.
    Status(status::Arguments),
    /// List the revisions that a running process can go back to.
    History(history::Arguments),
    /// Let a running process go back to an earlier revision, and wait for the outcome.
    Rollback(rollback::Arguments),
    /// Tell what a change of a policy means: what it widens, what it narrows, what is merely different.
    Diff(diff::Arguments),
    /// Decide recorded traffic again by another policy, and tell what would have been otherwise.
    Replay(replay::Arguments),
    /// Print a policy with all its files, variables and environment as one text.
    Render(render::Arguments),
    /// Make, test, pin and sign plugins.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Print the JSON Schema of policies, or of another file that people write.
    Schema(schema::Arguments),
    /// Write a policy to start with, or one that does what a pgbouncer.ini says.
    Init(init::Arguments),
    /// Put a policy and the files it includes in their one layout.
    Fmt(fmt::Arguments),
    /// Make the SCRAM-SHA-256 verifier of a password, which is asked for.
    Hash(hash::Arguments),
    /// Explain a diagnostic of `check`: what it means, an example, the cure.
    Why(why::Arguments),
}

/// Which policy, in which environment.
#[derive(Clone, Debug, clap::Args)]
pub struct PolicyArguments {
    /// The policy's root file.
    pub policy: PathBuf,
    /// Values of this environment override those of `vars`.
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
    /// Whose signatures of plugins count.
    #[command(flatten)]
    pub trust: TrustArguments,
}

/// Whose signatures of plugins count.
#[derive(Clone, Debug, clap::Args)]
pub struct TrustArguments {
    /// The keys.
    #[command(flatten)]
    pub trust_root: TrustRoot,
    /// Refuse plugins that are not signed by a key of the trust root.
    #[arg(long)]
    pub require_signed: bool,
}

impl PolicyArguments {
    fn source(&self) -> Source {
        Source {
            path: self.policy.clone(),
            environment: self.env.clone(),
            trust: self.trust.trust(),
        }
    }
}

impl TrustArguments {
    fn trust(&self) -> Trust {
        Trust {
            root: self.trust_root.root(),
            require_signed: self.require_signed,
        }
    }
}

/// A policy as it would be served; what is wrong with it is told.
///
/// # Errors
/// The exit code where it could not be.
fn world(source: &Source) -> Result<World, ExitCode> {
    let analyzer = Arc::new(Analyzer::new(STATEMENTS_MAX));
    build(source, &StatsRegistry::default(), &analyzer).map_err(|report| {
        output::complain(&report.render(output::colour()));
        ExitCode::from(CONFIG)
    })
}

/// Microseconds since 1970, as stages are told the time.
fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(0)
}

/// The listener of that name, or the first; by its index.
fn listener(policy: &Policy, wanted: Option<&str>) -> Result<usize, &'static str> {
    let mut listeners = policy.listeners.iter();
    let found = listeners.position(|known| wanted.is_none_or(|name| *known.name == *name));
    found.ok_or("the policy has no listener of that name")
}

/// The keys whose signatures count.
#[derive(Clone, Debug, clap::Args)]
pub struct TrustRoot {
    /// A folder of public keys, NAME.pub each, that `signed_by` may name. Default: PGWARDEN_TRUST_ROOT.
    #[arg(long, value_name = "FOLDER")]
    pub trust_root: Option<PathBuf>,
}

impl TrustRoot {
    fn root(&self) -> Option<PathBuf> {
        let of_process = || std::env::var_os(TRUST_ROOT).map(PathBuf::from);
        self.trust_root.clone().or_else(of_process)
    }
}

/// `2026-12-31`, or a time with its offset.
fn time(text: &str) -> Result<SystemTime, String> {
    let seconds = policy::parse_time(text).and_then(|seconds| u64::try_from(seconds).ok());
    let since = seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    since.ok_or_else(|| "expected a date such as 2026-12-31".to_owned())
}

/// Reads the arguments, the program's name first.
///
/// # Errors
/// Wrong usage, and requests for help or the version.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, clap::Error> {
    Arguments::try_parse_from(arguments).map(|arguments| arguments.verb)
}

/// Prints what clap says, to the stream and with the exit code it belongs to.
#[must_use]
pub fn usage(error: &clap::Error) -> ExitCode {
    drop(error.print());
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

/// Does it.
#[must_use]
pub fn run(command: Command) -> ExitCode {
    match command {
        Command::Run(arguments) => run::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Reload(arguments) => reload::run(&arguments),
        Command::Promote(arguments) => promote::promote(&arguments),
        Command::Withdraw(arguments) => promote::withdraw(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::History(arguments) => history::run(&arguments),
        Command::Rollback(arguments) => rollback::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Repl(arguments) => repl::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Render(arguments) => render::run(&arguments),
        Command::Plugin(command) => plugin::run(&command),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Fmt(arguments) => fmt::run(&arguments),
        Command::Hash(arguments) => hash::run(&arguments),
        Command::Why(arguments) => why::run(&arguments),
    }
}
