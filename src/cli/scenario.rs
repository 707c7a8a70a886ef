//! A session as `test` and `explain` play it: a user of the policy, statements in order, a clock that stands still, and
//! `pipeline::decide` for each of them; and single statements that a log of decisions tells of. Nothing is connected to.

mod services;

pub(super) use services::StillServices;
pub(super) use state::State;

mod kept;
mod state;
#[cfg(test)]
mod tests;

use super::nodes;
use super::nodes::Nodes;
use crate::hook::AuthMethod;
use crate::hook::ClientAddress;
use crate::hook::Identity;
use crate::hook::Protocol;
use crate::hook::Refusal;
use crate::hook::SessionContext;
use crate::pipeline::Connecting;
use crate::pipeline::Decider;
use crate::pipeline::Detail;
use crate::pipeline::Permit;
use crate::pipeline::Pipeline;
use crate::pipeline::Prepared;
use crate::pipeline::Statement;
use crate::pipeline::Trace;
use crate::pipeline::TurnedAway;
use crate::pipeline::Verdict;
use crate::pipeline::decide;
use crate::pipeline::decide_by_facts;
use crate::policy::Policy;
use crate::policy::Pool;
use crate::policy::Role;
use crate::routing;
use crate::routing::Candidate;
use crate::routing::Choice;
use crate::routing::Pick;
use crate::routing::Place;
use crate::sandbox::Services;
use crate::session::introduce;
use crate::statement;
use crate::statement::Facts;
use kept::Kept;
use kept::Wanted;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use uuid::Uuid;

/// Everything a stage waits for is given or missing here, so that this is a mistake of ours; and a mistake refuses.
const WAITED: &str = "a stage waits where nothing is to wait for";

/// The result of what waits for nothing; `None` where it waits after all.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

fn waited() -> Trace {
    Trace::refused(Decider::Default, Refusal::new(WAITED))
}

/// Who connects, and how.
pub(super) struct Who<'a> {
    pub(super) user: &'a str,
    pub(super) database: &'a str,
    pub(super) client: ClientAddress,
    pub(super) app: &'a str,
    /// An index of the policy's listeners.
    pub(super) listener: usize,
    pub(super) tls: bool,
    pub(super) protocol: Protocol,
}

/// One statement as a log of decisions tells of it.
pub(super) struct Logged<'a> {
    /// The decision's id.
    pub(super) id: Uuid,
    /// Its text; empty where only facts are known.
    pub(super) text: &'a str,
    /// What is known of it, where its text is not.
    pub(super) facts: Option<Arc<Facts>>,
    /// What an EXECUTE in it runs.
    pub(super) runs: Option<Arc<str>>,
    pub(super) protocol: Protocol,
    pub(super) in_transaction: bool,
    pub(super) tx_writes: bool,
    pub(super) statement_count: u32,
}

/// The one statement that an EXECUTE can mean.
struct Only<'a>(Option<&'a Arc<str>>);

impl Prepared for Only<'_> {
    fn body(&self, _: &str) -> Option<Arc<str>> {
        self.0.map(Arc::clone)
    }
}

/// The statements of a message. Only a simple one can have several.
fn statements(message: &str, protocol: Protocol) -> Vec<&str> {
    let ranges = match protocol {
        Protocol::Simple => statement::several(message),
        _ => SmallVec::new(),
    };
    match ranges.is_empty() {
        true => vec![message],
        false => ranges.into_iter().map(|range| &message[range]).collect(),
    }
}

/// A played session.
pub(super) struct Scenario<'a> {
    policy: &'a Policy,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) services: Arc<dyn Services>,
    context: SessionContext,
    protocol: Protocol,
    state: State,
    kept: Kept,
    nodes: Nodes,
}

/// What became of one message.
pub(super) struct Played {
    /// One for each of its statements, up to the first that was refused.
    pub(super) traces: Vec<Trace>,
    /// Where it goes; `None` when it goes nowhere.
    pub(super) place: Option<Place>,
    /// The text that is sent.
    pub(super) text: String,
    /// The time after which it is cancelled.
    pub(super) timeout: Option<Duration>,
}

impl Played {
    /// The refusal, where there is one.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        self.traces.iter().find_map(|trace| match &trace.verdict {
            Verdict::Refuse(refusal) => Some(refusal),
            _ => None,
        })
    }

    /// Who decided: whoever refused, or else whoever decided about the last statement.
    pub(super) fn by(&self) -> &Decider {
        self.traces
            .last()
            .map_or(&Decider::Default, |trace| &trace.by)
    }

    /// The columns that are masked in its rows, as the policy writes them; each once, sorted.
    pub(super) fn masked(&self) -> Vec<Arc<str>> {
        let mut columns: Vec<Arc<str>> = self.traces.iter().flat_map(Trace::masked).collect();
        columns.sort();
        columns.dedup();
        columns
    }

    /// Fuel of all its statements.
    pub(super) fn fuel(&self) -> u64 {
        self.traces.iter().map(|trace| trace.fuel).sum()
    }
}

impl<'a> Scenario<'a> {
    pub(super) fn new(
        policy: &'a Policy,
        pipeline: Arc<Pipeline>,
        services: Arc<dyn Services>,
        who: &Who<'_>,
    ) -> Self {
        let mut context = SessionContext {
            client_id: Uuid::nil(),
            identity: Identity {
                user: who.user.into(),
                ..Identity::default()
            },
            database: who.database.into(),
            branch: None,
            app: who.app.into(),
            listener: Arc::clone(&policy.listeners[who.listener].name),
            client: who.client,
            tls: who.tls,
            auth_method: AuthMethod::None,
            attributes: BTreeMap::new(),
            learned: BTreeMap::new(),
        };
        if let Some(user) = policy.users.get(who.user) {
            introduce(user, &mut context);
        }
        Self {
            protocol: who.protocol,
            ..Self::of(policy, pipeline, services, context)
        }
    }

    /// A session whose user has logged in already.
    pub(super) fn of(
        policy: &'a Policy,
        pipeline: Arc<Pipeline>,
        services: Arc<dyn Services>,
        context: SessionContext,
    ) -> Self {
        Self {
            policy,
            pipeline,
            services,
            context,
            protocol: Protocol::Simple,
            state: State::default(),
            kept: Kept::default(),
            nodes: Nodes::new(),
        }
    }

    /// The same with nodes that are not all well.
    pub(super) fn with_nodes(self, nodes: Nodes) -> Self {
        Self { nodes, ..self }
    }

    /// How far behind the nearest standby is.
    fn nearest_lag(&self) -> Option<Duration> {
        let (user, database) = (&self.context.identity.user, &self.context.database);
        let pool = self.policy.pool_of(user, database)?;
        nodes::nearest_lag(self.policy, &self.nodes, pool)
    }

    /// Where it stands.
    pub(super) fn into_state(self) -> State {
        self.state
    }

    /// Goes on where another session of the same client stood, under a policy that may have other nodes.
    pub(super) fn go_on(&mut self, state: State) {
        self.state = state.let_go();
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.state.in_transaction
    }

    /// What its stages have been told of it and have learned.
    pub(super) fn into_context(self) -> SessionContext {
        self.context
    }

    /// Asks `on_connect`; with the guards of the stages that were asked.
    pub(super) fn connect(&mut self) -> (Result<(), TurnedAway>, Vec<Connecting>) {
        let mut guards = self.pipeline.connect_guards(&self.context, &self.services);
        let asked = at_once(self.pipeline.connect(&mut self.context, &self.services));
        let outcome = asked.unwrap_or_else(|| {
            Err(TurnedAway {
                by: "".into(),
                refusal: Refusal::new(WAITED),
            })
        });
        let last = match &outcome {
            Ok(allowed_by) => allowed_by.as_ref(),
            Err(turned_away) => Some(&turned_away.by),
        };
        // Nobody behind the stage that ended the list was asked.
        if let Some(end) = guards.iter().position(|stage| Some(&stage.stage) == last) {
            guards.truncate(end + 1);
        }
        (outcome.map(drop), guards)
    }

    /// Plays one message, and goes on as the session would if the node succeeds.
    pub(super) fn play(&mut self, message: &str, detail: Detail) -> Played {
        let texts = statements(message, self.protocol);
        let count = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        let mut played = Played {
            traces: Vec::new(),
            place: None,
            text: String::new(),
            timeout: None,
        };
        let before = self.state.clone();
        let mut joined: Option<Permit> = None;
        let mut wanted = None;
        let mut sent_texts = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let statement = Statement {
                session: &self.context,
                request_id: Uuid::nil(),
                text,
                protocol: self.protocol,
                in_transaction: self.state.in_transaction || index != 0,
                tx_writes: self.state.tx_writes,
                statement_count: count,
                prepared: &self.state.prepared,
                lag: self.nearest_lag(),
            };
            let mut trace = at_once(decide(&self.pipeline, &statement, &self.services, detail))
                .unwrap_or_else(waited);
            let sent = trace.text.as_deref().unwrap_or(text).to_owned();
            played.text = if played.text.is_empty() {
                sent.clone()
            } else {
                format!("{}; {sent}", played.text)
            };
            wanted = self.kept.look_up(&mut trace, &self.context, &sent);
            if let Verdict::Forward(permit) = &trace.verdict {
                joined = Some(match joined.take() {
                    Some(before) => before.join(permit.clone(), None),
                    None => permit.clone(),
                });
            }
            let refused = matches!(trace.verdict, Verdict::Refuse(_));
            let known = trace.facts.clone();
            played.traces.push(trace);
            // One refusal refuses the whole message, and nothing of it has run.
            if refused {
                self.state = before;
                return played;
            }
            if let Err(refusal) = self.state.follow(&sent, known.as_deref(), self.pool()) {
                return self.refuse(played, "session_state", refusal, before);
            }
            sent_texts.push(sent);
        }
        played.timeout = joined.as_ref().and_then(Permit::timeout);
        let route = joined.as_ref().map(Permit::route);
        played.place = match route.map(|route| before.kept_for(route)) {
            Some(Err(refusal)) => return self.refuse(played, "route", refusal, before),
            Some(Ok(Some(kept))) => Some(kept),
            Some(Ok(None)) => joined.and_then(|permit| self.place(&permit)),
            None => None,
        };
        self.node_has_run(&played, &sent_texts, wanted);
        self.state.settle(played.place);
        played
    }

    /// What was written ends answers, and what was read is kept.
    fn node_has_run(&mut self, played: &Played, sent: &[String], wanted: Option<Wanted>) {
        for (trace, sent) in played.traces.iter().zip(sent) {
            self.kept.ran(trace, &self.context, sent);
        }
        if let (Some(wanted), Some(place)) = (wanted, played.place) {
            let is_late = self.policy.nodes[place.node].role == Role::Standby;
            self.kept.keep(wanted, is_late);
        }
    }

    /// A message that the session itself does not send.
    fn refuse(
        &mut self,
        mut played: Played,
        rule: &'static str,
        refusal: Refusal,
        before: State,
    ) -> Played {
        self.state = before;
        let trace = Trace::refused(Decider::Sql(rule), refusal);
        played.traces.push(trace);
        played
    }

    fn pool(&self) -> Option<&'a Pool> {
        let (user, database) = (&self.context.identity.user, &self.context.database);
        self.policy.pools.get(self.policy.pool_of(user, database)?)
    }

    /// Decides one statement of the session, whatever was played before.
    pub(super) fn decide(&self, logged: &Logged<'_>, detail: Detail) -> Trace {
        let statement = Statement {
            session: &self.context,
            request_id: logged.id,
            text: logged.text,
            protocol: logged.protocol,
            in_transaction: logged.in_transaction,
            tx_writes: logged.tx_writes,
            statement_count: logged.statement_count,
            lag: self.nearest_lag(),
            prepared: &Only(logged.runs.as_ref()),
        };
        let (pipeline, services) = (&self.pipeline, &self.services);
        let trace = match &logged.facts {
            Some(facts) => {
                let facts = Arc::clone(facts);
                at_once(decide_by_facts(
                    pipeline, &statement, facts, services, detail,
                ))
            }
            None => at_once(decide(pipeline, &statement, services, detail)),
        };
        trace.unwrap_or_else(waited)
    }

    /// Where the permit leads with the nodes as they are given.
    fn place(&self, permit: &Permit) -> Option<Place> {
        let candidate = |node: usize| nodes::candidate(self.policy, &self.nodes, node);
        let candidates = |nodes: &[usize]| nodes.iter().map(|id| candidate(*id)).collect();
        let nodes: Vec<Candidate> = candidates(&self.pool()?.nodes);
        let choice = Choice {
            pool: &nodes,
            branch: &|branch| candidates(&self.policy.branches[branch].nodes),
            node: &candidate,
        };
        match routing::pick(choice, permit.route(), permit.otherwise(), 0) {
            Pick::Node(place) => Some(place),
            Pick::Behind | Pick::None => None,
        }
    }
}
