//! `pgwarden schema`: the JSON Schema of policies.

use std::process::ExitCode;

pub(super) fn run() -> ExitCode {
    super::output::print(&format!("{:#}\n", crate::policy::schema()));
    ExitCode::SUCCESS
}
