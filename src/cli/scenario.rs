//! A session as `test` and `explain` play it: a user of the policy, statements in order, a clock that stands still, and
//! `pipeline::decide` for each of them. Nothing is connected to.

#[cfg(test)]
mod tests;

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
use crate::policy::Mocks;
use crate::policy::Policy;
use crate::routing;
use crate::routing::Candidate;
use crate::routing::Pick;
use crate::routing::Place;
use crate::sandbox::Asking;
use crate::sandbox::Level;
use crate::sandbox::MetricOp;
use crate::sandbox::Query;
use crate::sandbox::QueryError;
use crate::sandbox::QueryResult;
use crate::sandbox::Services;
use crate::sandbox::Store;
use crate::session::introduce;
use crate::statement;
use crate::statement::Needs;
use crate::statement::Sql;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use uuid::Uuid;

/// The outside as a test sees it: the time it names, values it stored, numbers that repeat.
#[derive(Debug)]
pub(super) struct StillServices {
    unix_micros: u64,
    store: Store,
    drawn: AtomicU64,
    lines: Mutex<Vec<String>>,
    given: Mutex<GivenRows>,
}

/// What is there in place of a node's rows.
#[derive(Debug, Default)]
struct GivenRows {
    all: Mocks,
    step: Mocks,
    /// What was asked for and is not there, one line each.
    missing: Vec<String>,
}

impl GivenRows {
    fn answer(&mut self, query: &Query) -> QueryResult {
        let (what, name) = match &query.load {
            Some(load) => ("load", load),
            None => ("query", &query.statement.name),
        };
        let given = |mocks: &Mocks| {
            let rows = match &query.load {
                Some(_) => mocks.loads.get(name),
                None => mocks.queries.get(name),
            };
            rows.map(Arc::clone)
        };
        let Some(rows) = given(&self.step).or_else(|| given(&self.all)) else {
            let line = format!("nothing is given for `{what}` of `{name}`");
            if !self.missing.contains(&line) {
                self.missing.push(line);
            }
            return Err(QueryError::NotGiven);
        };
        let bytes: usize = rows.rows.iter().flatten().flatten().map(String::len).sum();
        let statement = &query.statement;
        if statement.max_rows < rows.rows.len() || statement.max_bytes < bytes {
            return Err(QueryError::TooMuch);
        }
        Ok(rows)
    }
}

impl StillServices {
    pub(super) fn new(unix_micros: u64) -> Self {
        Self {
            unix_micros,
            store: Store::default(),
            drawn: AtomicU64::new(0),
            lines: Mutex::default(),
            given: Mutex::default(),
        }
    }

    /// The same with rows in place of a node's.
    pub(super) fn with(self, mocks: Mocks) -> Self {
        self.given().all = mocks;
        self
    }

    /// The rows that only this step has.
    pub(super) fn begin_step(&self, mocks: Mocks) {
        self.given().step = mocks;
    }

    /// What was asked for and is not given, one line each.
    pub(super) fn missing(&self) -> Vec<String> {
        self.given().missing.clone()
    }

    fn given(&self) -> MutexGuard<'_, GivenRows> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the stages logged.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Services for StillServices {
    fn unix_micros(&self) -> u64 {
        self.unix_micros
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self) -> u64 {
        self.drawn.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed)
    }

    fn store(&self) -> &Store {
        &self.store
    }

    fn metric(&self, _: &str, _: &str, _: MetricOp, _: f64) {}

    fn log(&self, stage: &str, level: Level, message: &str) {
        let line = format!("{} {stage}: {message}", level.name());
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }

    fn query<'a>(&'a self, query: &'a Query) -> Asking<'a> {
        Asking::Ready(self.given().answer(query))
    }
    fn aside(&self, work: &mut (dyn FnMut() + Send)) {
        work();
    }
}

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

/// A played session.
pub(super) struct Scenario<'a> {
    policy: &'a Policy,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) services: Arc<dyn Services>,
    context: SessionContext,
    protocol: Protocol,
    prepared: Names,
    in_transaction: bool,
    tx_writes: bool,
    held: Option<Place>,
}

/// What became of one message.
pub(super) struct Played {
    /// One for each of its statements, up to the first that was refused.
    pub(super) traces: Vec<Trace>,
    /// Where it goes; `None` when it goes nowhere.
    pub(super) place: Option<Place>,
    /// The text that is sent.
    pub(super) text: String,
}

#[derive(Default)]
struct Names(HashMap<Arc<str>, Arc<str>>);

impl Prepared for Names {
    fn body(&self, name: &str) -> Option<Arc<str>> {
        self.0.get(name).map(Arc::clone)
    }
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
        let goes_on = |trace: &&Trace| !matches!(trace.verdict, Verdict::Refuse(_));
        let masks = self.traces.iter().filter(goes_on);
        let columns = masks.flat_map(|trace| trace.masks.iter().flat_map(|masks| masks.columns()));
        let mut columns: Vec<Arc<str>> = columns.collect();
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
            policy,
            pipeline,
            services,
            context,
            protocol: who.protocol,
            prepared: Names::default(),
            in_transaction: false,
            tx_writes: false,
            held: None,
        }
    }

    /// Asks `on_connect`; with the guards of the stages that were asked.
    pub(super) fn connect(&mut self) -> (Result<(), TurnedAway>, Vec<Connecting>) {
        let mut guards = self.pipeline.connect_guards(&self.context);
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
        let ranges: Vec<_> = match self.protocol {
            Protocol::Simple => statement::split(message).collect(),
            _ => Vec::new(),
        };
        let texts: Vec<&str> = if ranges.len() < 2 {
            vec![message]
        } else {
            ranges.into_iter().map(|range| &message[range]).collect()
        };
        let count = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        let mut played = Played {
            traces: Vec::new(),
            place: None,
            text: String::new(),
        };
        let mut joined: Option<Permit> = None;
        for (index, text) in texts.iter().enumerate() {
            let statement = Statement {
                session: &self.context,
                request_id: Uuid::nil(),
                text,
                protocol: self.protocol,
                in_transaction: self.in_transaction || index != 0,
                tx_writes: self.tx_writes,
                statement_count: count,
                prepared: &self.prepared,
            };
            let trace = at_once(decide(&self.pipeline, &statement, &self.services, detail))
                .unwrap_or_else(waited);
            let sent = trace.text.as_deref().unwrap_or(text).to_owned();
            played.text = if played.text.is_empty() {
                sent.clone()
            } else {
                format!("{}; {sent}", played.text)
            };
            if let Verdict::Forward(permit) = &trace.verdict {
                joined = Some(match joined.take() {
                    Some(before) => before.join(permit.clone(), None),
                    None => permit.clone(),
                });
            }
            let refused = matches!(trace.verdict, Verdict::Refuse(_));
            played.traces.push(trace);
            if refused {
                return played;
            }
            self.follow(&sent);
        }
        played.place = joined.and_then(|permit| self.place(&permit));
        self.held = played.place.filter(|_| self.in_transaction);
        played
    }

    /// Where the permit leads with every node in order; inside a transaction, where it began.
    fn place(&self, permit: &Permit) -> Option<Place> {
        if let Some(held) = self.held {
            return Some(held);
        }
        let pool = self
            .policy
            .pool_of(&self.context.identity.user, &self.context.database)?;
        let candidates = |nodes: &[usize]| -> Vec<Candidate> {
            nodes
                .iter()
                .map(|&node| Candidate {
                    node,
                    role: self.policy.nodes[node].role,
                    usable: true,
                })
                .collect()
        };
        let nodes = candidates(&self.policy.pools[pool].nodes);
        let branches: Vec<_> = self
            .policy
            .branches
            .iter()
            .map(|branch| candidates(&branch.nodes))
            .collect();
        match routing::pick(
            &nodes,
            &|branch| &branches[branch],
            permit.route(),
            permit.otherwise(),
            0,
        ) {
            Pick::Node(place) => Some(place),
            Pick::None => None,
        }
    }

    /// Follows transactions and prepared statements.
    fn follow(&mut self, text: &str) {
        let facts = statement::analyze(
            text,
            Needs {
                normalized: true,
                parse: false,
            },
        );
        self.tx_writes |= !facts.read_only;
        match &facts.sql {
            Sql::Prepare { name, body } => drop(
                self.prepared
                    .0
                    .insert(Arc::clone(name), text[body.clone()].into()),
            ),
            Sql::Deallocate { name: Some(name) } => drop(self.prepared.0.remove(name)),
            Sql::Deallocate { name: None } => self.prepared.0.clear(),
            _ => (),
        }
        let words = facts.normalized.to_ascii_lowercase();
        let mut words = words
            .split(|letter: char| !letter.is_ascii_alphabetic())
            .filter(|word| !word.is_empty());
        match (words.next(), words.next()) {
            (Some("begin"), _) | (Some("start"), Some("transaction")) => self.in_transaction = true,
            (Some("commit" | "end" | "abort"), _) => self.end_transaction(),
            (Some("rollback"), second) if second != Some("to") => self.end_transaction(),
            _ => (),
        }
    }

    fn end_transaction(&mut self) {
        self.in_transaction = false;
        self.tx_writes = false;
        self.held = None;
    }
}
