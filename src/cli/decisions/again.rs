//! Recorded statements, decided by a policy: each is put to `pipeline::decide` as its record tells of it. Owns the sessions they came
//! in, in bounded memory, and the clock, which is that of the log.

use super::certain;
use super::known;
use super::known::Held;
use super::outcome::Decided;
use super::record::Record;
use crate::cli::scenario::Logged;
use crate::cli::scenario::Scenario;
use crate::cli::scenario::StillServices;
use crate::hook::AuthMethod;
use crate::hook::Identity;
use crate::hook::Protocol;
use crate::hook::SessionContext;
use crate::pipeline;
use crate::pipeline::Detail;
use crate::pipeline::Pipeline;
use crate::pipeline::StepResult;
use crate::pipeline::Trace;
use crate::policy::Policy;
use crate::sandbox::Services;
use crate::sandbox::Uses;
use crate::session::World;
use crate::session::introduce;
use crate::statement;
use crate::statement::Needs;
use crate::statement::Sql;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// Sessions that are remembered. One that is forgotten connects once more.
const SESSIONS_MAX: usize = 4_096;

/// Why a recorded statement cannot be decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cli) struct Undecided(String);

impl Undecided {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A policy that decides what was recorded.
pub(in crate::cli) struct Again<'a> {
    policy: &'a Policy,
    pipelines: &'a [Arc<Pipeline>],
    /// What each guest can use of its permissions.
    uses: BTreeMap<Arc<str>, Uses>,
    services: Arc<StillServices>,
    sessions: HashMap<Uuid, Result<SessionContext, Decided>>,
    /// Stages that keep values, of which none was there in the beginning.
    pub(in crate::cli) keeping: BTreeSet<Arc<str>>,
}

/// A statement, decided again, with every stage's part.
pub(in crate::cli) struct Traced {
    pub(in crate::cli) decided: Decided,
    /// `None` where there would be no session.
    pub(in crate::cli) trace: Option<Trace>,
}

impl<'a> Again<'a> {
    pub(in crate::cli) fn new(world: &'a World) -> Self {
        Self {
            policy: &world.policy,
            pipelines: &world.pipelines,
            uses: pipeline::uses(&world.pipelines),
            services: Arc::new(StillServices::new(0)),
            sessions: HashMap::new(),
            keeping: BTreeSet::new(),
        }
    }

    /// Decides it.
    ///
    /// # Errors
    /// What the record lacks.
    pub(in crate::cli) fn decide(&mut self, record: &Record) -> Result<Decided, Undecided> {
        self.trace(record).map(|traced| traced.decided)
    }

    /// The same, with every stage's part.
    ///
    /// # Errors
    /// What the record lacks.
    pub(in crate::cli) fn trace(&mut self, record: &Record) -> Result<Traced, Undecided> {
        if let Some(time) = record.time() {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            self.services.go_on(micros);
        }
        if let Some(rule) = record.unread_by() {
            let why = format!("it was refused unread, by `{rule}` of `[sql]`");
            return Err(Undecided(why));
        }
        let (pipeline, context) = match self.session(record) {
            Ok(session) => session,
            Err(decided) => {
                return Ok(Traced {
                    decided,
                    trace: None,
                });
            }
        };
        let (logged, held) = logged(record, &pipeline)?;
        let services = Arc::clone(&self.services) as Arc<dyn Services>;
        let scenario = Scenario::of(self.policy, Arc::clone(&pipeline), services, context);
        let trace = scenario.decide(&logged, Detail::Full);
        if let Some(missing) = self.services.take_missing().into_iter().next() {
            return Err(Undecided(format!("{missing}: a log holds no rows")));
        }
        let limited = certain::check(self.policy, &self.uses, &trace.steps, held)?;
        self.note_keeping(&trace);
        let rewritten = match trace.text.is_some() {
            false if limited => None,
            is_rewritten => Some(is_rewritten),
        };
        let decided = Decided::of_trace(record, &pipeline, &trace, rewritten);
        if record.is_refused_by_pool() && !decided.is_refused() {
            let why = "it was refused by `session_state` of its pool, which is not asked again";
            return Err(Undecided::new(why));
        }
        Ok(Traced {
            decided,
            trace: Some(trace),
        })
    }

    fn note_keeping(&mut self, trace: &Trace) {
        for step in &trace.steps {
            if matches!(step.result, StepResult::Off | StepResult::Skipped) {
                continue;
            }
            let stage = self.policy.stages.iter().find(|it| it.name == step.stage);
            if stage.is_some_and(|it| it.grants.kv.is_some() || it.grants.cache.is_some()) {
                self.keeping.insert(Arc::clone(&step.stage));
            }
        }
    }

    /// The session it came in, and the pipeline that decides there; or what would have ended the session before.
    fn session(&mut self, record: &Record) -> Result<(Arc<Pipeline>, SessionContext), Decided> {
        let policy = self.policy;
        let turned_away = |why: &str| Decided::without_session(why, None);
        let listener = policy.listeners.iter();
        let listener = listener.clone().find(|it| it.name == record.listener);
        let listener = listener.ok_or_else(|| turned_away("login: no such listener"))?;
        let by_stage = record.auth_method() == Some(AuthMethod::Stage);
        let is_known = policy.users.is_empty() || policy.users.contains_key(&record.user);
        if !is_known && !by_stage {
            return Err(turned_away("login: no such user"));
        }
        if policy.pool_of(&record.user, &record.database).is_none() {
            return Err(turned_away("login: no pool for the database"));
        }
        let pipeline = Arc::clone(&self.pipelines[listener.pipeline]);
        let id = Uuid::parse_str(&record.session).unwrap_or_default();
        if let Some(known) = self.sessions.get(&id).filter(|_| !id.is_nil()) {
            return known.clone().map(|context| (pipeline, context));
        }
        if SESSIONS_MAX <= self.sessions.len() {
            self.sessions.clear();
        }
        let connected = self.connect(record, id, &pipeline);
        self.sessions.insert(id, connected.clone());
        connected.map(|context| (pipeline, context))
    }

    fn connect(
        &self,
        record: &Record,
        id: Uuid,
        pipeline: &Arc<Pipeline>,
    ) -> Result<SessionContext, Decided> {
        let by_stage = record.auth_method() == Some(AuthMethod::Stage);
        let mut context = SessionContext {
            client_id: id,
            identity: Identity {
                user: Arc::clone(&record.user),
                roles: record.roles.clone(),
                tenant: record.tenant.clone(),
                ..Identity::default()
            },
            database: Arc::clone(&record.database),
            branch: None,
            app: Arc::clone(&record.app),
            listener: Arc::clone(&record.listener),
            client: record.client(),
            tls: record.tls,
            auth_method: record.auth_method().unwrap_or(AuthMethod::None),
            attributes: BTreeMap::new(),
            learned: match &record.attributes {
                Some(attributes) if by_stage => attributes.clone(),
                _ => BTreeMap::new(),
            },
        };
        // As a session does that goes on under another policy.
        let user = self.policy.users.get(&record.user).filter(|_| !by_stage);
        if let Some(user) = user {
            introduce(user, &mut context);
        }
        let services = Arc::clone(&self.services) as Arc<dyn Services>;
        let mut scenario = Scenario::of(self.policy, Arc::clone(pipeline), services, context);
        match scenario.connect().0 {
            Ok(()) => Ok(scenario.into_context()),
            Err(turned_away) => Err(Decided::without_session(
                &turned_away.by,
                Some(turned_away.refusal.code.as_str()),
            )),
        }
    }
}

/// The statement as it is put to the stages, and what is held of it.
fn logged<'r>(record: &'r Record, pipeline: &Pipeline) -> Result<(Logged<'r>, Held), Undecided> {
    let protocol = record.protocol().unwrap_or(Protocol::Simple);
    let has_text = record.text.is_some();
    let (facts, held) = match has_text {
        true => (None, Held::with_text(record)),
        false => {
            let did_not_exist = record.stages.is_empty() && *record.by == *"unknown_prepared";
            if did_not_exist {
                return Err(Undecided::new(NO_BODY));
            }
            let (facts, held) = known::of(record, pipeline.needs())?;
            (Some(Arc::new(facts)), held)
        }
    };
    let text = record.text.as_deref().unwrap_or_default();
    let lacks_body = has_text && record.runs.is_none() && record.known.read_only.is_some();
    if lacks_body && *record.by != *"unknown_prepared" && is_execute(text) {
        return Err(Undecided::new(NO_BODY));
    }
    let logged = Logged {
        id: record.id(),
        text,
        facts,
        runs: record.runs.clone(),
        protocol,
        in_transaction: record.in_transaction,
        tx_writes: record.tx_writes,
        statement_count: record.statement_count,
    };
    Ok((logged, held))
}

const NO_BODY: &str = "what its EXECUTE runs is not in the log";

fn is_execute(text: &str) -> bool {
    let facts = statement::analyze(text, Needs::default());
    matches!(facts.sql, Sql::Execute { .. })
}
