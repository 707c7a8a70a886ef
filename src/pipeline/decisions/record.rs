//! One decision as a line of JSON. Owns the fields and what of a statement is in them; `schema` says the same for readers.
//!
//! Nothing here is a secret: no password, no claim, no parameter. Literals, and what a stage may have made of them (messages,
//! attributes), are there only with `sql = "text"`.

use super::DecisionLog;
use crate::hook::Protocol;
use crate::pipeline::Pipeline;
use crate::pipeline::Statement;
use crate::pipeline::Trace;
use crate::pipeline::Verdict;
use crate::pipeline::verdict::Step;
use crate::pipeline::verdict::StepResult;
use crate::policy::SqlDetail;
use crate::statement;
use crate::statement::Facts;
use crate::statement::Kind;
use crate::statement::Name;
use crate::statement::Needs;
use crate::statement::Sql;
use crate::unit;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The version of the format; a field never changes its meaning within one.
pub(super) const VERSION: u32 = 1;

#[derive(Serialize)]
pub(super) struct Record<'a> {
    version: u32,
    time: String,
    id: String,
    policy: &'a str,
    revision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    pipeline: &'a str,
    session: String,
    user: &'a str,
    roles: &'a [Arc<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    database: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<&'a str>,
    client: String,
    app: &'a str,
    listener: &'a str,
    tls: bool,
    auth_method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a BTreeMap<Arc<str>, Arc<str>>>,
    protocol: &'static str,
    in_transaction: bool,
    tx_writes: bool,
    statement_count: u32,
    #[serde(flatten)]
    known: Known<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Arc<str>>,
    rewritten: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    masked: Vec<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    came: Option<Known<'a>>,
    verdict: &'static str,
    by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routed_by: Option<&'a str>,
    fuel: u64,
    stages: Vec<Part<'a>>,
}

/// What one stage had to do with it.
#[derive(Serialize)]
struct Part<'a> {
    hook: &'static str,
    stage: &'a str,
    result: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    observed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nanos: Option<u64>,
}

/// What is known of a statement, as far as `sql` lets it be written.
#[derive(Default, Serialize)]
struct Known<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kinds: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    param_count: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_where: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_limit: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_cte: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    functions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalized: Option<&'a str>,
}

impl<'a> Known<'a> {
    /// What only the parser tells is there where a stage has it parsed.
    fn of(facts: &'a Facts, sql: SqlDetail, is_parsed: bool) -> Self {
        let named = is_parsed && SqlDetail::Fingerprint <= sql;
        let names = |names: &[Name]| named.then(|| names.iter().map(Name::dotted).collect());
        Self {
            kinds: facts.kinds.iter().map(Kind::name).collect(),
            read_only: Some(facts.read_only),
            param_count: Some(facts.param_count),
            bytes: Some(facts.bytes),
            has_where: is_parsed.then_some(facts.has_where),
            has_limit: is_parsed.then_some(facts.has_limit),
            has_cte: is_parsed.then_some(facts.has_cte),
            fingerprint: (SqlDetail::Fingerprint <= sql)
                .then(|| format!("{:016x}", facts.fingerprint)),
            tables: names(&facts.relations.tables),
            functions: names(&facts.relations.functions),
            normalized: (SqlDetail::Normalized <= sql).then_some(&*facts.normalized),
        }
    }
}

/// What an EXECUTE runs. Its facts are those of what it runs, and say that it is one.
fn runs(statement: &Statement<'_>, trace: &Trace) -> Option<Arc<str>> {
    if trace
        .facts
        .as_deref()
        .is_some_and(|facts| !facts.kinds.contains(Kind::Execute))
    {
        return None;
    }
    let outer = statement::analyze(statement.text, Needs::default());
    match &outer.sql {
        Sql::Execute { name } => statement.prepared.body(name),
        _ => None,
    }
}

impl<'a> Record<'a> {
    /// `read` is known of a statement that no stage was asked about.
    pub(super) fn of(
        log: &'a DecisionLog,
        pipeline: &'a Pipeline,
        statement: &'a Statement<'a>,
        trace: &'a Trace,
        read: Option<&'a Facts>,
        time: Duration,
    ) -> Self {
        let session = statement.session;
        let facts = trace.facts.as_deref().or(read);
        let with = |detail: SqlDetail| detail <= log.sql;
        let is_parsed = pipeline.needs.parse && statement.protocol != Protocol::FunctionCall;
        let known = |facts: &'a Facts| Known::of(facts, log.sql, is_parsed);
        let (refusal, route) = match &trace.verdict {
            Verdict::Refuse(refusal) => (Some(refusal), None),
            Verdict::Reply(_) | Verdict::Cached(..) => (None, None),
            Verdict::Forward(permit) => (None, Some(permit.route())),
        };
        Self {
            version: VERSION,
            time: unit::format_utc_micros(time),
            id: statement.request_id.to_string(),
            policy: &pipeline.policy,
            revision: &log.revision,
            commit: log.commit.as_deref(),
            pipeline: &pipeline.name,
            session: session.client_id.to_string(),
            user: &session.identity.user,
            roles: &session.identity.roles,
            tenant: session.identity.tenant.as_deref(),
            database: &session.database,
            branch: session.branch.as_deref(),
            client: session.client.host(),
            app: &session.app,
            listener: &session.listener,
            tls: session.tls,
            auth_method: session.auth_method.name(),
            attributes: with(SqlDetail::Text).then_some(&session.learned),
            protocol: statement.protocol.name(),
            in_transaction: statement.in_transaction,
            tx_writes: statement.tx_writes,
            statement_count: statement.statement_count,
            known: facts.map(known).unwrap_or_default(),
            text: with(SqlDetail::Text).then_some(statement.text),
            runs: with(SqlDetail::Text)
                .then(|| runs(statement, trace))
                .flatten(),
            rewritten: trace.text.is_some(),
            sent: trace.text.as_deref().filter(|_| with(SqlDetail::Text)),
            masked: trace.masked(),
            came: trace.came.as_deref().map(known),
            verdict: match &trace.verdict {
                Verdict::Refuse(_) => "deny",
                Verdict::Reply(_) | Verdict::Cached(..) => "reply",
                Verdict::Forward(_) => "allow",
            },
            by: trace.by.name(),
            code: refusal.map(|refusal| refusal.code.as_str()),
            message: refusal
                .filter(|_| with(SqlDetail::Text))
                .map(|refusal| &*refusal.message),
            route: route.map(|route| pipeline.route_name(route)),
            routed_by: route.map(|_| trace.routed_by.name()),
            fuel: trace.fuel,
            stages: trace.steps.iter().map(part).collect(),
        }
    }
}

fn part(step: &Step) -> Part<'_> {
    let (result, observed, fault) = match &step.result {
        StepResult::Off | StepResult::Skipped => ("skipped", false, None),
        StepResult::Answered(answer) => (&**answer, false, None),
        StepResult::Observed(answer) => (&**answer, true, None),
        StepResult::Failed(fault) => ("fault", false, Some(fault.kind())),
    };
    Part {
        hook: step.hook.name(),
        stage: &step.stage,
        result,
        observed,
        fault,
        // Rules have neither.
        fuel: step.took.map(|_| step.fuel),
        nanos: step.took.map(crate::pipeline::figures::nanos),
    }
}
