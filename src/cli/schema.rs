//! `pgwarden schema`: the JSON Schemas of what people write.

use std::process::ExitCode;

/// `pgwarden schema [OF]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Of policies, of the manifests of plugins, or of plugins' tests.
    #[arg(value_name = "OF", default_value = POLICY, value_parser = [POLICY, MANIFEST, CASES])]
    of: String,
}

const POLICY: &str = "policy";
const MANIFEST: &str = "plugin-manifest";
const CASES: &str = "plugin-cases";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let schema = match &*arguments.of {
        MANIFEST => crate::sandbox::manifest_schema(),
        CASES => crate::policy::cases_schema(),
        _ => crate::policy::schema(),
    };
    super::output::print(&format!("{schema:#}\n"));
    ExitCode::SUCCESS
}
