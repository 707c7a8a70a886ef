//! `pgwarden rollback`: a running process takes an earlier revision into force again, from the bytes it kept.

use super::control;
use super::control::Reach;
use super::output;
use crate::server::Request;
use std::path::Path;
use std::process::ExitCode;

/// `pgwarden rollback [N] [POLICY]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How many revisions back, as `history` numbers them (default: 1), and the policy whose `[admin] socket` is asked.
    #[arg(value_name = "N] [POLICY", num_args = 0..=2)]
    back_and_policy: Vec<String>,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let words = arguments.back_and_policy.as_slice();
    let (back, policy) = match words {
        [] => (1, None),
        [back, policy] => (back.parse().unwrap_or(0), Some(policy)),
        [one, ..] => match one.parse() {
            Ok(back) => (back, None),
            Err(_) => (1, Some(one)),
        },
    };
    if back == 0 {
        output::complain("error: how many revisions back? 1 is the one before\n");
        return ExitCode::from(super::USAGE);
    }
    let request = Request::Rollback {
        back,
        colour: control::colour(),
    };
    control::changed(arguments.reach.ask(policy.map(Path::new), &request))
}
