//! One decision as a line of JSON. Owns the fields and what of a statement is in them; `schema` says the same for readers.
//!
//! Nothing here is a secret: no password, no claim, no parameter. Literals, and what a stage may have made of them (messages,
//! attributes), are there only with `sql = "text"`.

use super::DecisionLog;
use crate::pipeline::Pipeline;
use crate::pipeline::Statement;
use crate::pipeline::Trace;
use crate::pipeline::Verdict;
use crate::pipeline::verdict::Step;
use crate::pipeline::verdict::StepResult;
use crate::policy::RouteTarget;
use crate::policy::SqlDetail;
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kinds: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalized: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    rewritten: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    masked: Vec<Arc<str>>,
    verdict: &'static str,
    by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<Cow<'a, str>>,
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

impl<'a> Record<'a> {
    pub(super) fn of(
        log: &'a DecisionLog,
        pipeline: &'a Pipeline,
        statement: &'a Statement<'a>,
        trace: &'a Trace,
        time: Duration,
    ) -> Self {
        let session = statement.session;
        let facts = trace.facts.as_deref();
        let with = |detail: SqlDetail| detail <= log.sql;
        let (refusal, route) = match &trace.verdict {
            Verdict::Refuse(refusal) => (Some(refusal), None),
            Verdict::Reply(_) => (None, None),
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
            kinds: facts
                .map(|facts| facts.kinds.iter().map(|kind| kind.name()).collect())
                .unwrap_or_default(),
            read_only: facts.map(|facts| facts.read_only),
            fingerprint: facts
                .filter(|_| with(SqlDetail::Fingerprint))
                .map(|facts| format!("{:016x}", facts.fingerprint)),
            normalized: facts
                .filter(|_| with(SqlDetail::Normalized))
                .map(|facts| &*facts.normalized),
            text: with(SqlDetail::Text).then_some(statement.text),
            rewritten: trace.text.is_some(),
            sent: trace.text.as_deref().filter(|_| with(SqlDetail::Text)),
            masked: match (&trace.verdict, &trace.masks) {
                (Verdict::Forward(_), Some(masks)) => masks.columns(),
                _ => Vec::new(),
            },
            verdict: match &trace.verdict {
                Verdict::Refuse(_) => "deny",
                Verdict::Reply(_) => "reply",
                Verdict::Forward(_) => "allow",
            },
            by: trace.by.name(),
            code: refusal.map(|refusal| refusal.code.as_str()),
            message: refusal
                .filter(|_| with(SqlDetail::Text))
                .map(|refusal| &*refusal.message),
            route: route.map(|route| route_name(pipeline, route)),
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

/// A route by the names of the policy.
fn route_name(pipeline: &Pipeline, route: RouteTarget) -> Cow<'_, str> {
    match route {
        RouteTarget::Default => "default".into(),
        RouteTarget::Primary => "primary".into(),
        RouteTarget::Standby => "standby".into(),
        RouteTarget::Node(id) => format!("node:{}", pipeline.nodes[id]).into(),
        RouteTarget::Branch(id) => format!("branch:{}", pipeline.branches[id]).into(),
    }
}
