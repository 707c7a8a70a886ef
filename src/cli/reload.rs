//! `pgwarden reload`: a running process reads its policy again, and says what came of it.

use super::control;
use super::control::Reach;
use crate::server::Request;
use std::path::PathBuf;
use std::process::ExitCode;

/// `pgwarden reload [POLICY]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The policy whose `[admin] socket` is asked. The process reloads its own files, whichever these are.
    policy: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let request = Request::Reload {
        colour: control::colour(),
    };
    let policy = arguments.policy.as_deref();
    control::changed(arguments.reach.ask(policy, &request))
}
