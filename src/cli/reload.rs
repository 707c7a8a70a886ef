//! `pgwarden reload`: a running process reads its policy again, or tries another one first, and says what came of it.

use super::control;
use super::control::Reach;
use super::output;
use crate::server::Request;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

/// The word that ends a shadow; a file of that name is `./none`.
const NONE: &str = "none";

/// `pgwarden reload [POLICY]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The policy whose `[admin] socket` is asked. The process reloads its own files, whichever these are; but with `--canary` this
    /// is the candidate.
    policy: Option<PathBuf>,
    /// Have this policy decide every statement beside the running one, which goes on to act alone; `status` tells where they
    /// differ. `none` ends it.
    #[arg(long, value_name = "FILE", conflicts_with = "canary")]
    shadow: Option<PathBuf>,
    /// Serve this share of the sessions that begin by POLICY, or by what the process's own files hold now, until `promote` or
    /// `withdraw`. For the candidate that runs already, another share.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    canary: Option<f64>,
    #[command(flatten)]
    reach: Reach,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse() {
        Ok(percent) if 0.0 < percent && percent <= 100.0 => Ok(percent),
        _ => Err("a share is above 0 and up to 100".to_owned()),
    }
}

/// The process sees relative paths from its own folder.
fn absolute(path: &Path) -> Result<PathBuf, ExitCode> {
    std::path::absolute(path).map_err(|error| {
        output::complain(&format!("error: {}: {error}\n", path.display()));
        ExitCode::from(super::USAGE)
    })
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (request, policy) = match asked(arguments) {
        Ok(asked) => asked,
        Err(code) => return code,
    };
    control::changed(arguments.reach.ask(policy, &request))
}

/// What is asked, and the policy that names the socket.
fn asked(arguments: &Arguments) -> Result<(Request, Option<&Path>), ExitCode> {
    let colour = control::colour();
    let policy = arguments.policy.as_deref();
    Ok(match (&arguments.shadow, arguments.canary) {
        (Some(shadow), _) if shadow.as_os_str() == NONE => {
            let request = Request::Shadow {
                policy: None,
                colour,
            };
            (request, policy)
        }
        (Some(shadow), _) => {
            let request = Request::Shadow {
                policy: Some(absolute(shadow)?),
                colour,
            };
            (request, policy.or(Some(shadow)))
        }
        (None, Some(percent)) => {
            let request = Request::Canary {
                percent,
                policy: policy.map(absolute).transpose()?,
                colour,
            };
            (request, policy)
        }
        (None, None) => (Request::Reload { colour }, policy),
    })
}
