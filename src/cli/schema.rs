//! `pgwarden schema`: the JSON Schemas of what people write, and of the decisions they read.

use std::process::ExitCode;

/// `pgwarden schema [OF]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Of policies, of the manifests of plugins, of plugins' tests, or of a line of the log of decisions.
    #[arg(value_name = "OF", default_value = POLICY, value_parser = [POLICY, MANIFEST, CASES, DECISION])]
    of: String,
}

const DECISION: &str = "decision";
const POLICY: &str = "policy";
const MANIFEST: &str = "plugin-manifest";
const CASES: &str = "plugin-cases";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let schema = match &*arguments.of {
        MANIFEST => crate::sandbox::manifest_schema(),
        DECISION => crate::pipeline::decision_schema(),
        CASES => crate::policy::cases_schema(),
        _ => crate::policy::schema(),
    };
    super::output::print(&format!("{schema:#}\n"));
    ExitCode::SUCCESS
}
