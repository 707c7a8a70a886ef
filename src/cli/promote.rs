//! `pgwarden promote` and `pgwarden withdraw`: the end of what a running process tries beside its policy.

use super::control;
use super::control::Reach;
use crate::server::Request;
use std::path::PathBuf;
use std::process::ExitCode;

/// `pgwarden promote [POLICY]`, `pgwarden withdraw [POLICY]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The policy whose `[admin] socket` is asked.
    policy: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

/// Puts the canary into force.
pub(super) fn promote(arguments: &Arguments) -> ExitCode {
    let colour = control::colour();
    ask(arguments, &Request::Promote { colour })
}

/// Ends the canary, or the shadow.
pub(super) fn withdraw(arguments: &Arguments) -> ExitCode {
    ask(arguments, &Request::Withdraw)
}

fn ask(arguments: &Arguments, request: &Request) -> ExitCode {
    control::changed(arguments.reach.ask(arguments.policy.as_deref(), request))
}
