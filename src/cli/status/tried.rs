//! What `status` says of a shadow or a canary.

use super::super::control;
use crate::server::CanaryReport;
use crate::server::Candidate;
use crate::server::ShadowReport;
use crate::server::SideCounts;
use crate::server::StageCounts;

fn candidate(word: &str, what: &str, candidate: &Candidate) -> String {
    format!(
        "{word:<9} {} revision {}, {what}, loaded {}, from {}\n",
        candidate.policy,
        control::short(&candidate.revision),
        candidate.loaded,
        candidate.from.display()
    )
}

pub(super) fn shadow(shadow: &ShadowReport) -> String {
    let what = "decides and does not act";
    let mut text = candidate("shadow", what, &shadow.candidate);
    let ShadowReport {
        compared,
        differing,
        faults,
        late,
        rested,
        unread,
        ..
    } = shadow;
    text.push_str(&format!(
        "  {compared} statements compared, {differing} decided otherwise; {faults} faults; not compared: {unread} unread, {late} late, {rested} while it rested\n"
    ));
    if !shadow.differences.is_empty() {
        let rows = shadow.differences.iter().map(|one| {
            vec![
                one.count.to_string(),
                one.difference.clone(),
                one.running.clone(),
                one.shadow.clone(),
            ]
        });
        let head = ["count", "difference", "running", "shadow"];
        text.push_str(&control::table(&head, &rows.collect::<Vec<_>>()));
        let last = shadow.differences.iter().flat_map(|one| &one.last);
        let rows = last.map(|sample| {
            vec![
                sample.at.clone(),
                sample.user.clone(),
                sample.database.clone(),
                sample.fingerprint.clone(),
                sample.running.clone(),
                sample.shadow.clone(),
                sample.decision.clone(),
            ]
        });
        let head = [
            "at",
            "user",
            "database",
            "fingerprint",
            "running",
            "shadow",
            "decision",
        ];
        text.push('\n');
        text.push_str(&control::table(&head, &rows.collect::<Vec<_>>()));
    }
    text.push_str(&stages(&shadow.stages));
    text
}

pub(super) fn canary(canary: &CanaryReport) -> String {
    let what = format!("serves {} % of the sessions that begin", canary.percent);
    let mut text = candidate("canary", &what, &canary.candidate);
    let row = |side: &str, counts: &SideCounts| {
        let SideCounts {
            open,
            sessions,
            logins_refused,
            statements,
            refusals,
            faults,
        } = counts;
        let mut row = vec![side.to_owned(), open.to_string()];
        let figures = [sessions, logins_refused, statements, refusals, faults];
        row.extend(figures.map(u64::to_string));
        row
    };
    let head = [
        "side",
        "open",
        "sessions",
        "logins refused",
        "statements",
        "refusals",
        "faults",
    ];
    let rows = [
        row("running", &canary.running),
        row("canary", &canary.canary),
    ];
    text.push_str(&control::table(&head, &rows));
    text.push_str(&stages(&canary.stages));
    text
}

/// Those that have refused or failed.
fn stages(stages: &[StageCounts]) -> String {
    let told = stages.iter().filter(|one| one.refusals + one.faults != 0);
    let rows: Vec<Vec<String>> = told
        .map(|one| {
            let figures = [one.calls, one.refusals, one.faults];
            let mut row = vec![one.stage.clone()];
            row.extend(figures.map(|figure| figure.to_string()));
            row
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = ["stage", "calls", "refusals", "faults"];
    format!("\n{}", control::table(&head, &rows))
}
