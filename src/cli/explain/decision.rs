//! `pgwarden explain --decision`: what became of a statement, as the log of decisions has it; and, where the policy is the one that
//! decided, where its stages stand and why each was asked. Owns the search; `decisions` reads and decides again.

use super::Part;
use super::line;
use crate::cli::decisions::Again;
use crate::cli::decisions::Lines;
use crate::cli::decisions::Record;
use crate::cli::decisions::Traced;
use crate::cli::decisions::plain;
use crate::cli::output;
use crate::pipeline::Step;
use crate::pipeline::StepResult;
use crate::policy::Policy;
use crate::policy::Sink;
use crate::session::World;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compressed logs are not read.
const PACKED: [&str; 4] = ["gz", "xz", "zst", "bz2"];

/// Finds the decision in the logs and tells it.
pub(super) fn run(world: &World, id: &str, logs: &[PathBuf]) -> ExitCode {
    let found = own_logs(&world.policy, logs).and_then(|logs| {
        let found = find(id, &logs)?;
        found.ok_or_else(|| {
            let logs: Vec<String> = logs.iter().map(|log| log.display().to_string()).collect();
            format!(
                "no decision `{}` in {}; shares below 1 in `sample` leave decisions out",
                id.escape_debug(),
                logs.join(", ")
            )
        })
    });
    match found {
        Ok(record) => {
            output::print(&told(world, &record));
            ExitCode::SUCCESS
        }
        Err(why) => {
            output::complain(&format!("error: {why}\n"));
            ExitCode::FAILURE
        }
    }
}

/// The logs that were given, or the policy's own and what was rotated beside it, the newest first.
fn own_logs(policy: &Policy, given: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let path = match policy.decisions.as_ref().map(|decisions| &decisions.sink) {
        Some(Sink::File(path)) => path,
        Some(Sink::Stdout) => {
            return Err(
                "the policy writes decisions to standard output; give --log FILE".to_owned(),
            );
        }
        None => return Err("the policy has no `[decisions]`; give --log FILE".to_owned()),
    };
    let mut rotated = rotated(path).map_err(|error| {
        let folder = path.parent().unwrap_or(Path::new("."));
        format!("cannot read `{}`: {error}", folder.display())
    })?;
    rotated.sort_by(|(one, _), (two, _)| two.cmp(one));
    let mut logs: Vec<PathBuf> = Vec::new();
    if path.exists() {
        logs.push(path.clone());
    }
    logs.extend(rotated.into_iter().map(|(_, path)| path));
    match logs.is_empty() {
        true => Err(format!("there is no `{}`", path.display())),
        false => Ok(logs),
    }
}

/// `decisions.jsonl.1` and `decisions.jsonl-20261124` beside `decisions.jsonl`, and when each was last written.
fn rotated(path: &Path) -> std::io::Result<Vec<(std::time::SystemTime, PathBuf)>> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let other = entry.file_name();
        let other = other.to_string_lossy();
        let rest = other.strip_prefix(&*name).unwrap_or_default();
        let is_packed = PACKED.iter().any(|end| rest.ends_with(&format!(".{end}")));
        if rest.starts_with(['.', '-']) && !is_packed && entry.file_type()?.is_file() {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    Ok(found)
}

/// The last decision of that id.
fn find(id: &str, logs: &[PathBuf]) -> Result<Option<Record>, String> {
    let mut lines = Lines::of(logs);
    while let Some(line) = lines.next()? {
        let may_be = line
            .bytes
            .as_ref()
            .is_some_and(|bytes| memchr::memmem::find(bytes, id.as_bytes()).is_some());
        if !may_be {
            continue;
        }
        match Record::read(&line) {
            Ok(record) if record.id == id => return Ok(Some(record)),
            Ok(_) => (),
            Err(why) => output::complain(&format!("note: {}: {why}\n", line.place)),
        }
    }
    Ok(None)
}

fn told(world: &World, record: &Record) -> String {
    let policy = &world.policy;
    let is_same = record.revision == policy.revision.full();
    let mut out = String::new();
    let short = record.revision.get(..8).unwrap_or(&record.revision);
    line(
        &mut out,
        format_args!("policy {} revision {short}", record.policy),
    );
    line(
        &mut out,
        format_args!("decision {}, {}", record.id, record.time),
    );
    line(&mut out, format_args!("session {}", who(record)));
    statement(&mut out, record);
    let mut again = Again::new(world);
    let traced = again.trace(record);
    let steps = match &traced {
        Ok(Traced {
            trace: Some(trace), ..
        }) if is_same => &trace.steps[..],
        _ => &[],
    };
    stages(&mut out, record, is_same.then_some(policy), steps);
    verdict(&mut out, record);
    match traced {
        Err(why) if is_same => line(
            &mut out,
            format_args!("why stages were asked is not known: {why}"),
        ),
        Ok(Traced { decided, .. }) if !is_same => line(
            &mut out,
            format_args!(
                "the policy here is revision {}, so that places and reasons are not told; it would {}",
                policy.revision, decided.outcome
            ),
        ),
        Err(_) => line(
            &mut out,
            format_args!(
                "the policy here is revision {}, so that places and reasons are not told",
                policy.revision
            ),
        ),
        Ok(_) => (),
    }
    plain_lines(&out)
}

/// Control characters are those of a client; line breaks are ours.
fn plain_lines(text: &str) -> String {
    text.lines().map(|line| plain(line) + "\n").collect()
}

fn who(record: &Record) -> String {
    let roles: Vec<&str> = record.roles.iter().map(|role| &**role).collect();
    let word = |what: &str, value: &str| match value {
        "" => String::new(),
        value => format!(", {what} {value}"),
    };
    format!(
        "{}: user {}{}, database {}, client {}{}, listener {}{}",
        record.session,
        record.user,
        word("role", &roles.join(" ")),
        record.database,
        record.client,
        word("app", &record.app),
        record.listener,
        if record.tls { ", TLS" } else { "" },
    )
}

fn statement(out: &mut String, record: &Record) {
    let known = record.came();
    let text = record.text.as_deref().or(known.normalized.as_deref());
    if let Some(text) = text {
        let one_line = text.replace(['\n', '\r'], " ");
        line(out, format_args!("\n{one_line}"));
    } else {
        out.push('\n');
    }
    let list = |names: &[String]| match names {
        [] => "-".to_owned(),
        names => names.join(","),
    };
    let mut facts = format!("  kinds {}", list(&known.kinds));
    if let Some(read_only) = known.read_only {
        facts.push_str(&format!("  read_only {read_only}"));
    }
    if let Some(tables) = &known.tables {
        facts.push_str(&format!("  tables {}", list(tables)));
    }
    if let Some(fingerprint) = &known.fingerprint {
        facts.push_str(&format!("  fingerprint {fingerprint}"));
    }
    if record.in_transaction {
        facts.push_str("  in a transaction");
    }
    line(out, format_args!("{facts}"));
}

/// The stages that took part, as recorded; between them those that were not asked, where that is known.
fn stages(out: &mut String, record: &Record, policy: Option<&Policy>, steps: &[Step]) {
    let mut parts = record.stages.iter().peekable();
    let mut steps = steps.iter().peekable();
    loop {
        let part = parts.peek();
        let step = steps.peek();
        match (part, step) {
            (None, None) => return,
            (_, Some(step)) if matches!(step.result, StepResult::Off | StepResult::Skipped) => {
                super::write_step(out, step);
                steps.next();
            }
            (None, Some(_)) => {
                steps.next();
            }
            (Some(part), step) => {
                let step = step.filter(|step| *step.stage == *part.stage);
                let stage = policy.and_then(|policy| {
                    policy
                        .stages
                        .iter()
                        .find(|stage| *stage.name == *part.stage)
                });
                let place = stage.map(|stage| stage.place.to_string());
                let result = match (&part.fault, part.observed) {
                    (Some(fault), _) => format!("failed: {fault}"),
                    (None, true) => format!("observed, would {}", part.result),
                    (None, false) => part.result.clone(),
                };
                let part = Part {
                    hook: &part.hook,
                    stage: &part.stage,
                    place: place.as_deref(),
                    result: &result,
                    reasons: &step.map(|step| step.reasons()).unwrap_or_default(),
                    fuel: part.fuel.unwrap_or(0),
                };
                part.write(out);
                if step.is_some() {
                    steps.next();
                }
                parts.next();
            }
        }
    }
}

fn verdict(out: &mut String, record: &Record) {
    let by = &record.by;
    match &*record.verdict {
        "deny" => {
            let code = record.code.as_deref().unwrap_or_default();
            let message = record.message.as_deref().unwrap_or_default();
            let text = format!("  => refused by {by}: {code} {message}");
            line(out, format_args!("{}", text.trim_end()));
        }
        "reply" => line(out, format_args!("  => answered by {by}")),
        _ => {
            let route = record.route.as_deref().unwrap_or("default");
            let routed_by = record.routed_by.as_deref().unwrap_or("otherwise");
            line(
                out,
                format_args!("  => allowed by {by}, route {route} by {routed_by}"),
            );
            if !record.masked.is_empty() {
                let columns = record.masked.join(", ");
                line(out, format_args!("     masked {}", plain(&columns)));
            }
            match (&record.sent, record.rewritten) {
                (Some(sent), _) => {
                    let one_line = sent.replace(['\n', '\r'], " ");
                    line(out, format_args!("     as {one_line}"));
                }
                (None, true) => line(out, format_args!("     as another text")),
                (None, false) => (),
            }
        }
    }
    if record.fuel != 0 {
        line(out, format_args!("     fuel {}", record.fuel));
    }
}
