//! One test of a policy after the other: the session each describes, played, and what is not as expected. Owns no output.

use super::coverage::Coverage;
use crate::cli::explain::place_name;
use crate::cli::nodes;
use crate::cli::scenario::Played;
use crate::cli::scenario::Scenario;
use crate::cli::scenario::StillServices;
use crate::cli::scenario::Who;
use crate::hook::Refusal;
use crate::pipeline::Decider;
use crate::pipeline::Detail;
use crate::pipeline::Guests;
use crate::pipeline::Pipeline;
use crate::pipeline::StatsRegistry;
use crate::pipeline::StepResult;
use crate::pipeline::TurnedAway;
use crate::pipeline::Verdict;
use crate::pipeline::compile_variant;
use crate::pipeline::load_guests;
use crate::pipeline::route_word;
use crate::policy::Case;
use crate::policy::Expect;
use crate::policy::ExpectedVerdict;
use crate::policy::Policy;
use crate::policy::Report;
use crate::policy::Role;
use crate::policy::RouteTarget;
use crate::sandbox::Quota;
use crate::sandbox::Services as _;
use crate::statement::Analyzer;
use crate::unit;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

/// What a test may store besides the quota of its namespace.
const GIVEN_QUOTA: Quota = Quota {
    keys_max: 100_000,
    bytes_max: 64 * 1024 * 1024,
};

/// Every case, with the name of its test and its number where there are several.
pub(super) fn cases(policy: &Policy) -> impl Iterator<Item = (String, &Case)> {
    policy.tests.iter().flat_map(|test| {
        let is_only = test.cases.len() == 1;
        test.cases.iter().enumerate().map(move |(index, case)| {
            let name = if is_only {
                test.name.to_string()
            } else {
                format!("{} (case {})", test.name, index + 1)
            };
            (name, case)
        })
    })
}

/// Plays the tests of one policy.
pub(super) struct Runner<'a> {
    policy: &'a Policy,
    pipelines: &'a [Arc<Pipeline>],
    analyzer: Arc<Analyzer>,
    /// Guests for tests with faults, loaded when the first such test is played; `None` in it: they do not load.
    guests: OnceCell<Option<Guests>>,
    /// What the tests have met so far.
    pub(super) coverage: Coverage,
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        policy: &'a Policy,
        pipelines: &'a [Arc<Pipeline>],
        analyzer: &Arc<Analyzer>,
    ) -> Self {
        Self {
            policy,
            pipelines,
            analyzer: Arc::clone(analyzer),
            guests: OnceCell::new(),
            coverage: Coverage::default(),
        }
    }

    /// The same with guests that are loaded already.
    pub(super) fn with(self, guests: &Guests) -> Self {
        Self {
            guests: OnceCell::from(Some(guests.clone())),
            ..self
        }
    }

    /// What is not as expected, one line each.
    pub(super) fn run(&mut self, case: &Case) -> Vec<String> {
        let given = &case.given;
        let services = StillServices::new(seconds(case).saturating_mul(1_000_000));
        let services = Arc::new(services.with(given.mocks.clone()));
        if let Err(error) = store_given(case, &services) {
            return vec![error];
        }
        let Some(pipeline) = self.pipeline(case) else {
            return vec!["the policy does not compile with the injected faults".to_owned()];
        };
        let who = Who {
            user: &given.user,
            database: &given.database,
            client: given.client,
            app: &given.app,
            listener: given.listener,
            tls: given.tls,
            protocol: given.protocol,
        };
        let outside = Arc::clone(&services) as _;
        let scenario = Scenario::new(self.policy, pipeline, outside, &who);
        let mut scenario = scenario.with_nodes(given.nodes.clone());
        let (connected, guards) = scenario.connect();
        for connecting in guards {
            self.coverage.connected(&connecting);
        }
        if let Err(turned_away) = connected {
            let mut failures = compare_refused_connection(&case.expect, &turned_away);
            failures.extend(services.take_missing());
            return failures;
        }
        let mut failures = Vec::new();
        let mut last = None;
        for (index, step) in given.steps.iter().enumerate() {
            services.begin_step(step.mocks.clone());
            let step = &*step.sql;
            let played = scenario.play(step, Detail::Full);
            self.note_asked(&played);
            if let Some(expect) = case.expect.steps.get(index) {
                failures.extend(
                    self.compare(expect, step, &played)
                        .into_iter()
                        .map(|line| format!("step {}: {line}", index + 1)),
                );
            }
            last = Some((step, played));
        }
        match last {
            Some((step, played)) => failures.extend(self.compare(&case.expect, step, &played)),
            None if expects_a_refusal(&case.expect) => {
                failures.push("expected the connection to be refused, and it was not".to_owned());
            }
            None if expects_a_statement(&case.expect) => {
                failures.push(NOTHING_DECIDED.to_owned());
            }
            None => (),
        }
        // A refusal for want of a value is not what any test expects.
        failures.extend(services.take_missing());
        if !failures.is_empty() {
            failures.extend(nodes::told(self.policy, &given.nodes));
            failures.extend(
                services
                    .lines()
                    .into_iter()
                    .map(|line| format!("log   {line}")),
            );
        }
        failures
    }

    fn pipeline(&self, case: &Case) -> Option<Arc<Pipeline>> {
        let index = self.policy.listeners[case.given.listener].pipeline;
        if case.given.inject.is_empty() {
            self.pipelines[index].forget();
            return Some(Arc::clone(&self.pipelines[index]));
        }
        let guests = self
            .guests
            .get_or_init(|| load_guests(self.policy, &mut Report::default(), &BTreeMap::new()));
        let (stats, faults) = (StatsRegistry::default(), &case.given.inject);
        let guests = guests.as_ref()?;
        let compiled = compile_variant(self.policy, guests, &stats, &self.analyzer, faults);
        compiled.into_iter().nth(index)
    }

    fn note_asked(&mut self, played: &Played) {
        for step in played.traces.iter().flat_map(|trace| &trace.steps) {
            self.coverage.asked(step);
        }
    }

    fn compare(&self, expect: &Expect, sent: &str, played: &Played) -> Vec<String> {
        let mut failures = Vec::new();
        let mut differ = |what: &str, expected: String, got: String| {
            if expected != got {
                failures.push(format!(
                    "expected {what} = {expected:?}      got {what} = {got:?}"
                ));
            }
        };
        compare_refusal(expect, played.refusal(), &mut differ);
        if let Some(by) = &expect.by {
            differ("by", by.to_string(), decider(played.by()).to_owned());
        }
        if let Some(route) = expect.route
            && !self.leads_to(route, played)
        {
            differ(
                "route",
                self.route_name(route),
                place_name(self.policy, played),
            );
        }
        if let Some(sql) = &expect.sql {
            differ("sql", sql.to_string(), played.text.clone());
        }
        if let Some(unchanged) = expect.unchanged {
            let got = (played.text == sent).to_string();
            differ("unchanged", unchanged.to_string(), got);
        }
        if let Some(timeout) = expect.statement_timeout {
            let shown = |time: Option<_>| time.map_or("none".to_owned(), unit::format_duration);
            differ(
                "statement_timeout",
                shown(Some(timeout)),
                shown(played.timeout),
            );
        }
        if let Some(expected) = &expect.masked {
            let mut expected = expected.clone();
            expected.sort();
            differ("masked", names(&expected), names(&played.masked()));
        }
        if let Some(limit) = expect.fuel_below
            && limit <= played.fuel()
        {
            failures.push(format!(
                "expected fuel below {limit}      got {}",
                played.fuel()
            ));
        }
        if !failures.is_empty() {
            failures.extend(self.why(played));
        }
        failures
    }

    /// Every stage that was looked at, and why it matched or not.
    fn why(&self, played: &Played) -> Vec<String> {
        let steps = played.traces.iter().flat_map(|trace| &trace.steps);
        let mut lines: Vec<String> = steps
            .map(|step| {
                let result = match &step.result {
                    StepResult::Off => "off".to_owned(),
                    StepResult::Skipped => "not asked".to_owned(),
                    StepResult::Answered(answer) | StepResult::Observed(answer) => {
                        answer.to_string()
                    }
                    StepResult::Failed(fault) => format!("failed: {fault}"),
                };
                format!(
                    "{:<20} {}  {} -> {result}",
                    step.stage,
                    step.place,
                    step.reasons()
                )
            })
            .collect();
        if let Some(Verdict::Refuse(refusal)) = played.traces.last().map(|trace| &trace.verdict) {
            lines.push(format!(
                "refused by {}: {} {}",
                played.by().name(),
                refusal.code,
                refusal.message
            ));
        }
        lines
    }

    fn leads_to(&self, route: RouteTarget, played: &Played) -> bool {
        let Some(place) = played.place else {
            return false;
        };
        match route {
            RouteTarget::Node(node) => place.node == node && place.branch.is_none(),
            RouteTarget::Branch(branch) => place.branch == Some(branch),
            RouteTarget::Standby => {
                place.branch.is_none() && self.policy.nodes[place.node].role == Role::Standby
            }
            RouteTarget::Primary | RouteTarget::Default => {
                place.branch.is_none() && self.policy.nodes[place.node].role == Role::Primary
            }
        }
    }

    fn route_name(&self, route: RouteTarget) -> String {
        match route {
            RouteTarget::Node(node) => self.policy.nodes[node].name.to_string(),
            RouteTarget::Branch(branch) => format!("branch:{}", self.policy.branches[branch].name),
            route => route_word(route),
        }
    }
}

fn names(names: &[Arc<str>]) -> String {
    names.join(", ")
}

/// The time that the case plays at, in seconds since 1970: its own, or now.
fn seconds(case: &Case) -> u64 {
    let own = case.given.time.and_then(|time| u64::try_from(time).ok());
    own.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.unwrap_or_default().as_secs()
    })
}

/// Stores the values that the case starts from.
fn store_given(case: &Case, services: &StillServices) -> Result<(), String> {
    let now = services.unix_micros();
    for (namespace, key, value) in &case.given.kv {
        let (key, value) = (key.as_bytes(), value.as_bytes());
        services
            .store()
            .set(namespace, GIVEN_QUOTA, key, value, None, now)
            .map_err(|error| format!("kv {namespace}: {error}"))?;
    }
    Ok(())
}

const NOTHING_DECIDED: &str = "no statement was decided, and something of one is expected";

/// Whether something is expected that only a statement can come to.
fn expects_a_statement(expect: &Expect) -> bool {
    expect.route.is_some()
        || expect.sql.is_some()
        || expect.unchanged.is_some()
        || expect.masked.is_some()
        || expect.statement_timeout.is_some()
        || expect.fuel_below.is_some()
        || !expect.steps.is_empty()
}

/// Whether a refusal is expected, or something that only one has.
fn expects_a_refusal(expect: &Expect) -> bool {
    expect.verdict == Some(ExpectedVerdict::Deny)
        || expect.code.is_some()
        || expect.message.is_some()
        || expect.by.is_some()
}

/// Whether it was refused, with what code and in which words.
fn compare_refusal(
    expect: &Expect,
    refusal: Option<&Refusal>,
    differ: &mut impl FnMut(&str, String, String),
) {
    if let Some(verdict) = expect.verdict {
        let got = if refusal.is_some() {
            ExpectedVerdict::Deny
        } else {
            ExpectedVerdict::Allow
        };
        differ("verdict", word(verdict).to_owned(), word(got).to_owned());
    }
    if let Some(code) = expect.code {
        differ(
            "code",
            code.to_string(),
            refusal.map_or("none".to_owned(), |refusal| refusal.code.to_string()),
        );
    }
    if let Some(message) = &expect.message {
        let got = refusal.map_or(String::new(), |refusal| refusal.message.to_string());
        differ("message", message.to_string(), got);
    }
}

fn compare_refused_connection(expect: &Expect, turned_away: &TurnedAway) -> Vec<String> {
    let TurnedAway { by, refusal } = turned_away;
    let mut failures = Vec::new();
    if expect.verdict != Some(ExpectedVerdict::Deny) {
        failures.push(format!(
            "the connection is refused at on_connect: {} {}",
            refusal.code, refusal.message
        ));
    }
    if expect.code.is_some_and(|code| code != refusal.code) {
        failures.push(format!("expected another code      got {}", refusal.code));
    }
    if expect
        .message
        .as_ref()
        .is_some_and(|message| *message != refusal.message)
    {
        failures.push(format!(
            "expected another message      got {:?}",
            refusal.message
        ));
    }
    if expect.by.as_ref().is_some_and(|expected| expected != by) {
        failures.push(format!("expected another stage      got {by}"));
    }
    if expects_a_statement(expect) {
        failures.push(format!("{NOTHING_DECIDED}: `{by}` refuses the connection"));
    }
    failures
}

fn word(verdict: ExpectedVerdict) -> &'static str {
    match verdict {
        ExpectedVerdict::Allow => "allow",
        ExpectedVerdict::Deny => "deny",
    }
}

fn decider(by: &Decider) -> &str {
    match by {
        Decider::Sql(_) => "sql",
        other => other.name(),
    }
}
