//! `pgwarden status`: how a running process is.

mod tried;

use super::control;
use super::control::Reach;
use super::output;
use crate::server::Answer;
use crate::server::Request;
use crate::server::StatusReport;
use crate::unit;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// `pgwarden status [POLICY]`.
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
    match arguments.reach.ask(policy, &Request::Status) {
        Ok(Answer::Status(status)) => {
            output::print(&if arguments.json {
                format!("{:#}\n", serde_json::json!(status))
            } else {
                told(&status)
            });
            ExitCode::SUCCESS
        }
        Ok(_) => control::unexpected(),
        Err(code) => code,
    }
}

fn told(status: &StatusReport) -> String {
    let process = match status.draining {
        true => "stopping",
        false => "serving",
    };
    let back = match &*status.by {
        "rollback" => "rollback; the files on disk are read again by the next reload",
        by => by,
    };
    let sessions = status.sessions;
    let mut lines = vec![
        format!(
            "process   {process}, pid {}, version {}, since {}",
            status.pid, status.version, status.started
        ),
        format!("policy    {}", status.policy),
        format!("revision  {}", status.revision),
        format!("bundle    {}", status.bundle),
        format!("commit    {}", status.commit.as_deref().unwrap_or("none")),
        format!("loaded    {}, by {back}", status.loaded),
        format!("earlier   {} kept for rollback", status.earlier),
        format!(
            "reloads   {} taken over, {} refused",
            status.swapped, status.refused
        ),
    ];
    if let Some(last) = &status.last_reload {
        let outcome = match last.mistakes.len() {
            0 => "taken over".to_owned(),
            1 => "refused, 1 mistake".to_owned(),
            many => format!("refused, {many} mistakes"),
        };
        lines.push(format!("last      {outcome}, {}, by {}", last.at, last.by));
        lines.extend(last.mistakes.iter().map(|line| format!("  {line}")));
    }
    lines.push(format!(
        "sessions  {} connections: {} active, {} waiting, {} idle",
        sessions.connections, sessions.active, sessions.waiting, sessions.idle
    ));
    let mut text = lines.join("\n") + "\n";
    if let Some(shadow) = &status.shadow {
        text.push('\n');
        text.push_str(&tried::shadow(shadow));
    }
    if let Some(canary) = &status.canary {
        text.push('\n');
        text.push_str(&tried::canary(canary));
    }
    if !status.nodes.is_empty() {
        text.push('\n');
        text.push_str(&nodes(status));
    }
    if !status.pools.is_empty() {
        text.push('\n');
        text.push_str(&pools(status));
    }
    text
}

fn nodes(status: &StatusReport) -> String {
    let time = |millis: Option<u64>| {
        let time = millis.map(|millis| unit::format_duration(Duration::from_millis(millis)));
        time.unwrap_or_else(|| "-".to_owned())
    };
    let rows = status.nodes.iter().map(|node| {
        vec![
            node.node.clone(),
            node.role.clone(),
            node.state.clone(),
            time(node.lag_ms),
            time(node.max_lag_ms),
        ]
    });
    let head = ["node", "role", "state", "lag", "max_lag"];
    control::table(&head, &rows.collect::<Vec<_>>())
}

fn pools(status: &StatusReport) -> String {
    let rows = status.pools.iter().map(|pool| {
        vec![
            pool.pool.clone(),
            pool.node.clone(),
            pool.database.clone(),
            pool.user.clone(),
            pool.active.to_string(),
            pool.idle.to_string(),
            pool.waiting.to_string(),
            pool.node_failures.to_string(),
        ]
    });
    let head = [
        "pool", "node", "database", "user", "active", "idle", "waiting", "failures",
    ];
    control::table(&head, &rows.collect::<Vec<_>>())
}
