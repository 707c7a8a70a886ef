//! `pgwarden history`: the revisions that a running process can go back to.

use super::control;
use super::control::Reach;
use super::output;
use crate::server::Answer;
use crate::server::Entry;
use crate::server::Request;
use crate::server::short_commit;
use std::path::PathBuf;
use std::process::ExitCode;

/// `pgwarden history [POLICY]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The policy whose `[admin] socket` is asked.
    policy: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let policy = arguments.policy.as_deref();
    match arguments.reach.ask(policy, &Request::History) {
        Ok(Answer::History(entries)) => {
            output::print(&if arguments.json {
                format!("{:#}\n", serde_json::json!(entries))
            } else {
                listed(&entries)
            });
            ExitCode::SUCCESS
        }
        Ok(_) => control::unexpected(),
        Err(code) => code,
    }
}

fn listed(entries: &[Entry]) -> String {
    let rows = entries.iter().enumerate().map(|(back, entry)| {
        vec![
            match back {
                0 => "now".to_owned(),
                _ => back.to_string(),
            },
            entry.policy.clone(),
            control::short(&entry.revision).to_owned(),
            control::short(&entry.bundle).to_owned(),
            short_commit(entry.commit.as_deref().unwrap_or("none")),
            entry.loaded.clone(),
            entry.by.clone(),
            match &entry.environment {
                Some(environment) => format!("{} --env {environment}", entry.root.display()),
                None => entry.root.display().to_string(),
            },
        ]
    });
    let head = [
        "back", "policy", "revision", "bundle", "commit", "loaded", "by", "from",
    ];
    control::table(&head, &rows.collect::<Vec<_>>())
}
