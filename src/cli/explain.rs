//! `pgwarden explain`: what would become of a statement, and every stage's part in it. What became of one is told by `decision`.

mod decision;

use super::PolicyArguments;
use super::output;
use super::scenario::Played;
use super::scenario::Scenario;
use super::scenario::StillServices;
use super::scenario::Who;
use crate::hook::ClientAddress;
use crate::hook::Protocol;
use crate::hook::Rows;
use crate::pipeline::Detail;
use crate::pipeline::Step;
use crate::pipeline::StepResult;
use crate::pipeline::Verdict;
use crate::policy::Mocks;
use crate::policy::Policy;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

/// `pgwarden explain POLICY --user U --sql S`, `pgwarden explain POLICY --decision ID`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// Whose statement.
    #[arg(long, required_unless_present = "decision")]
    user: Option<String>,
    /// The statement; several times for several messages of one session.
    #[arg(long, required_unless_present = "decision")]
    sql: Vec<String>,
    /// A decision that was made, by the id that its error, the log and the client have.
    #[arg(long, value_name = "ID", conflicts_with_all = ["user", "sql", "database", "client", "app", "listener", "time", "load", "query"])]
    decision: Option<String>,
    /// The log of decisions that it is in; several times for several. Without it, the policy's own, and what was rotated beside it.
    #[arg(long, value_name = "FILE", requires = "decision", conflicts_with_all = ["user", "sql"])]
    log: Vec<PathBuf>,
    /// The database; without it, the user's name, as with psql.
    #[arg(long)]
    database: Option<String>,
    /// The client's address; without it, a Unix socket.
    #[arg(long)]
    client: Option<IpAddr>,
    /// `application_name`.
    #[arg(long, default_value = "")]
    app: String,
    /// The listener; without it, the first.
    #[arg(long)]
    listener: Option<String>,
    /// How the statement arrives.
    #[arg(long, default_value = "simple", value_parser = ["simple", "extended"])]
    protocol: String,
    /// The time, or the beginning of a day in UTC; without it, now.
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    time: Option<SystemTime>,
    /// What a stage loads, by its name; several times for several.
    #[arg(long, value_name = "NAME=VALUE", value_parser = given)]
    load: Vec<(String, String)>,
    /// What a plugin gets from `query`, by the statement's name; several times for several.
    #[arg(long, value_name = "NAME=VALUE", value_parser = given)]
    query: Vec<(String, String)>,
}

/// `NAME=VALUE`.
fn given(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Each value as one row of one column.
fn rows(given: &[(String, String)]) -> BTreeMap<Arc<str>, Arc<Rows>> {
    let row = |(name, value): &(String, String)| {
        let rows = Rows {
            columns: vec!["value".to_owned()],
            rows: vec![vec![Some(value.clone())]],
        };
        (name.as_str().into(), Arc::new(rows))
    };
    given.iter().map(row).collect()
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let world = match super::world(&arguments.policy.source()) {
        Ok(world) => world,
        Err(code) => return code,
    };
    let policy = &world.policy;
    if let Some(id) = &arguments.decision {
        return decision::run(&world, id, &arguments.log);
    }
    let user = arguments.user.as_deref().unwrap_or_default();
    let listener = match super::listener(policy, arguments.listener.as_deref()) {
        Ok(listener) => listener,
        Err(why) => {
            output::complain(&format!("error: {why}\n"));
            return ExitCode::from(super::USAGE);
        }
    };
    let who = Who {
        user,
        database: arguments.database.as_deref().unwrap_or(user),
        client: arguments
            .client
            .map_or(ClientAddress::Unix, |address| ClientAddress::Ip(address, 0)),
        app: &arguments.app,
        listener,
        tls: false,
        protocol: if arguments.protocol == "extended" {
            Protocol::Extended
        } else {
            Protocol::Simple
        },
    };
    let now = arguments.time.unwrap_or_else(SystemTime::now);
    let services = StillServices::new(super::micros(now));
    let services = Arc::new(services.with(Mocks {
        loads: rows(&arguments.load),
        queries: rows(&arguments.query),
    }));
    let pipeline = Arc::clone(&world.pipelines[policy.listeners[listener].pipeline]);
    explain_all(
        Scenario::new(policy, pipeline, Arc::clone(&services) as _, &who),
        policy,
        &arguments.sql,
        &services,
    )
}

/// Plays the messages in order and prints what becomes of each.
fn explain_all(
    mut scenario: Scenario<'_>,
    policy: &Policy,
    messages: &[String],
    services: &StillServices,
) -> ExitCode {
    let mut out = format!(
        "policy {} revision {}\n",
        policy.name,
        policy.revision.short()
    );
    let mut refused = false;
    if let (Err(turned_away), _) = scenario.connect() {
        let refusal = turned_away.refusal;
        line(
            &mut out,
            format_args!("on_connect refuses: {} {}", refusal.code, refusal.message),
        );
        refused = true;
    } else {
        for sql in messages {
            let played = scenario.play(sql, Detail::Full);
            refused |= played.refusal().is_some();
            out.push_str(&explain(policy, sql, &played));
        }
    }
    for missing in services.take_missing() {
        line(
            &mut out,
            format_args!("{missing}; write --load or --query NAME=VALUE"),
        );
    }
    output::print(&out);
    if refused {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// The whole trace of one message, as text.
pub(super) fn explain(policy: &Policy, sql: &str, played: &Played) -> String {
    let mut out = format!("\n{sql}\n");
    for trace in &played.traces {
        if let Some(facts) = &trace.facts {
            let kinds: Vec<&str> = facts.kinds.iter().map(|kind| kind.name()).collect();
            let tables: Vec<String> = facts.relations.tables.iter().map(table_name).collect();
            line(
                &mut out,
                format_args!(
                    "  kinds {}  read_only {}  tables {}  fingerprint {:016x}",
                    kinds.join(","),
                    facts.read_only,
                    if tables.is_empty() {
                        "-".to_owned()
                    } else {
                        tables.join(",")
                    },
                    facts.fingerprint
                ),
            );
        }
        for step in &trace.steps {
            write_step(&mut out, step);
        }
    }
    for (number, said) in outcome(policy, sql, played).iter().enumerate() {
        let before = if number == 0 { "  => " } else { "     " };
        line(&mut out, format_args!("{before}{said}"));
    }
    if played.fuel() != 0 {
        line(&mut out, format_args!("     fuel {}", played.fuel()));
    }
    out
}

/// What became of a message: the verdict, then what else there is to say of it.
pub(super) fn outcome(policy: &Policy, sql: &str, played: &Played) -> Vec<String> {
    let by = played.by().name();
    let verdict = played.traces.last().map(|trace| &trace.verdict);
    match (played.refusal(), verdict) {
        (Some(refusal), _) => {
            vec![format!(
                "refused by {by}: {} {}",
                refusal.code, refusal.message
            )]
        }
        (None, Some(Verdict::Reply(rows))) => {
            vec![format!("answered by {by} with {} rows", rows.rows.len())]
        }
        (None, Some(Verdict::Cached(..))) => vec![format!("answered by {by} from its cache")],
        _ => {
            let place = place_name(policy, played);
            let mut lines = vec![format!("allowed by {by}, goes to {place}")];
            let masked = played.masked();
            if !masked.is_empty() {
                lines.push(format!("masked {}", masked.join(", ")));
            }
            if played.text != sql {
                lines.push(format!("as {}", played.text));
            }
            lines
        }
    }
}

fn write_step(out: &mut String, step: &Step) {
    let result = match &step.result {
        StepResult::Off => "off".to_owned(),
        StepResult::Skipped => "not asked".to_owned(),
        StepResult::Answered(answer) => answer.to_string(),
        StepResult::Observed(answer) => format!("observed, would {answer}"),
        StepResult::Failed(fault) => format!("failed: {fault}"),
    };
    let part = Part {
        hook: step.hook.name(),
        stage: &step.stage,
        place: Some(&step.place),
        result: &result,
        reasons: &step.reasons(),
        fuel: step.fuel,
    };
    part.write(out);
}

/// One stage's part, as a line.
struct Part<'a> {
    hook: &'a str,
    stage: &'a str,
    place: Option<&'a str>,
    result: &'a str,
    /// Its guards; empty where it has none.
    reasons: &'a str,
    fuel: u64,
}

impl Part<'_> {
    fn write(&self, out: &mut String) {
        let place = match self.place {
            Some(place) => format!("{place}  "),
            None => String::new(),
        };
        let reasons = match self.reasons {
            "" => String::new(),
            reasons => format!("  ({reasons})"),
        };
        let fuel = match self.fuel {
            0 => String::new(),
            fuel => format!("  fuel {fuel}"),
        };
        let Self {
            hook,
            stage,
            result,
            ..
        } = self;
        line(
            out,
            format_args!("  {hook:<10} {stage:<20} {place}{result}{reasons}{fuel}"),
        );
    }
}

fn line(out: &mut String, text: fmt::Arguments<'_>) {
    out.push_str(&text.to_string());
    out.push('\n');
}

fn table_name(name: &crate::statement::Name) -> String {
    match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.to_string(),
    }
}

/// The node and branch a message goes to, by name.
pub(super) fn place_name(policy: &Policy, played: &Played) -> String {
    match played.place {
        None => "no node".to_owned(),
        Some(place) => {
            let node = &policy.nodes[place.node].name;
            place.branch.map_or_else(
                || node.to_string(),
                |branch| format!("{node} (branch {})", policy.branches[branch].name),
            )
        }
    }
}
