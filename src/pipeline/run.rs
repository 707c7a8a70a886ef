//! `decide`: one statement's way through the stages, top to bottom.
//!
//! pre_query, rewrite, authorize, cache_get, route; then the verdict. Pure: everything it knows is an argument.

mod route;
mod text;

use super::Pipeline;
use super::Statement;
use super::cache::Cacheable;
use super::explain::step;
use super::login::learn;
use super::stage::Asked;
use super::stage::Spent;
use super::stage::Stage;
use super::subject::Subject;
use super::verdict::Decider;
use super::verdict::Detail;
use super::verdict::Permit;
use super::verdict::Step;
use super::verdict::Trace;
use super::verdict::Verdict;
use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::Input;
use crate::hook::Protocol;
use crate::hook::Refusal;
use crate::hook::Rows;
use crate::hook::SessionContext;
use crate::hook::StatementContext;
use crate::policy::Mode;
use crate::policy::RouteTarget;
use crate::sandbox::Effects;
use crate::sandbox::Fault;
use crate::sandbox::Services;
use crate::sqlstate::SqlState;
use crate::statement::Facts;
use crate::statement::Kind;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Asks every stage of the pipeline about one statement, and waits where a stage has to. Cancel safe.
pub async fn decide(
    pipeline: &Pipeline,
    statement: &Statement<'_>,
    services: &Arc<dyn Services>,
    detail: Detail,
) -> Trace {
    let run = Run::new(pipeline, statement, services, detail);
    run.run_out().await
}

/// The same where no stage has to wait, without the cost of being able to. `None` where one has.
pub fn decide_at_once(
    pipeline: &Pipeline,
    statement: &Statement<'_>,
    services: &Arc<dyn Services>,
    detail: Detail,
) -> Option<Trace> {
    let mut run = Run::new(pipeline, statement, services, detail);
    let verdict = run.go_on()?;
    Some(run.finish(verdict))
}

/// The same for a statement of which no more than the facts is known, as from a log of decisions: the text is empty, and no
/// limit is put into it. Cancel safe.
pub async fn decide_by_facts(
    pipeline: &Pipeline,
    statement: &Statement<'_>,
    facts: Arc<Facts>,
    services: &Arc<dyn Services>,
    detail: Detail,
) -> Trace {
    let mut run = Run::new(pipeline, statement, services, detail);
    if !pipeline.plain {
        let refused = match statement.protocol {
            Protocol::FunctionCall => Ok(()), // the stages may still have a better word
            Protocol::Simple | Protocol::Extended => run.refuse_unparsed(&facts),
        };
        run.subject = Some(run.unread(facts));
        if let Err(refusal) = refused {
            return run.finish(Verdict::Refuse(*refusal));
        }
    }
    run.run_out().await
}

/// The hooks on a statement's way.
const WAY: [Hook; 5] = [
    Hook::PreQuery,
    Hook::Rewrite,
    Hook::Authorize,
    Hook::CacheGet,
    Hook::Route,
];

struct Run<'a> {
    pipeline: &'a Pipeline,
    statement: &'a Statement<'a>,
    services: &'a Arc<dyn Services>,
    detail: Detail,
    by: Decider,
    routed_by: Decider,
    bounded_by: Decider,
    fuel: u64,
    faults: u32,
    /// The session as later stages see it, where one has set an attribute.
    learned: Option<Box<SessionContext>>,
    steps: Vec<Step>,
    subject: Option<Subject<'a>>,
    /// What was known of the text that came, where a stage replaced it.
    came: Option<Arc<Facts>>,
    timeout: Option<Duration>,
    /// When it arrived, for all its stages; `None` where no guard asks.
    now: Option<u64>,
    /// Rows that a stage gave before the statement was authorized.
    reply: Option<Box<Rows>>,
    /// The first cache that may keep its answer.
    cache: Option<Arc<Cacheable>>,
    /// Where it stands: a hook of the way, and the stage of it that is asked next.
    hook: usize,
    next: usize,
    /// What the stage that it waited for said, and what that took.
    answered: Option<Box<(Asked, Spent)>>,
}

/// A refusal is boxed so that the common way stays small.
type Refused = Box<Refusal>;

/// Why a run stops before its verdict.
enum Stop {
    Refused(Refused),
    /// The next stage has to wait for something.
    Waits,
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl<'a> Run<'a> {
    fn new(
        pipeline: &'a Pipeline,
        statement: &'a Statement<'a>,
        services: &'a Arc<dyn Services>,
        detail: Detail,
    ) -> Self {
        Self {
            pipeline,
            statement,
            services,
            detail,
            by: Decider::Default,
            routed_by: Decider::Default,
            bounded_by: Decider::Default,
            fuel: 0,
            faults: 0,
            learned: None,
            steps: Vec::new(),
            subject: None,
            came: None,
            timeout: None,
            now: pipeline.now(services),
            reply: None,
            cache: None,
            hook: 0,
            next: 0,
            answered: None,
        }
    }

    async fn run_out(mut self) -> Trace {
        loop {
            if let Some(verdict) = self.go_on() {
                return self.finish(verdict);
            }
            self.wait().await;
        }
    }

    fn finish(self, verdict: Verdict) -> Trace {
        let (facts, text) = match self.subject {
            Some(subject) => {
                let text = subject.changed_text();
                (Some(subject.facts), text)
            }
            None => (None, None),
        };
        Trace {
            verdict,
            by: self.by,
            routed_by: self.routed_by,
            bounded_by: self.bounded_by,
            facts,
            text,
            came: self.came,
            fuel: self.fuel,
            faults: self.faults,
            learned: self.learned,
            steps: self.steps,
        }
    }

    /// Goes on from where it stands, to the verdict or to a stage that has to wait: `None`.
    fn go_on(&mut self) -> Option<Verdict> {
        if self.pipeline.plain {
            let route = self.pipeline.otherwise.route;
            return Some(Verdict::Forward(Permit::new(None, route, None, None)));
        }
        match self.way() {
            Ok(verdict) => Some(verdict),
            Err(Stop::Refused(refusal)) => Some(Verdict::Refuse(*refusal)),
            Err(Stop::Waits) => None,
        }
    }

    /// The whole way, in phase order.
    fn way(&mut self) -> Result<Verdict, Stop> {
        if self.subject.is_none() {
            self.subject = Some(self.subject()?);
        }
        if self.stands_at(Hook::PreQuery) {
            self.may_rewrite(Hook::PreQuery)?;
            self.leave();
        }
        if self.stands_at(Hook::Rewrite) {
            self.may_rewrite(Hook::Rewrite)?;
            self.leave();
        }
        if self.stands_at(Hook::Authorize) {
            self.authorize()?;
            let facts = self
                .subject
                .as_ref()
                .map(|subject| Arc::clone(&subject.facts));
            if let Some(facts) = facts {
                self.refuse_unparsed(&facts)?;
            }
            self.leave();
        }
        if let Some(rows) = self.reply.take() {
            return Ok(Verdict::Reply(*rows));
        }
        if self.stands_at(Hook::CacheGet) {
            if let Some(rows) = self.cache_get()? {
                return Ok(Verdict::Reply(rows));
            }
            self.leave();
        }
        let (mut route, mut otherwise) = self.route()?;
        let unparsed = self
            .subject
            .as_ref()
            .is_some_and(|subject| subject.facts.kinds.contains(Kind::Unparsed));
        if unparsed && !matches!(route, RouteTarget::Branch(_)) {
            (route, otherwise) = (RouteTarget::Primary, None); // what may write goes where writes go
        }
        let text = self.subject.as_ref().and_then(Subject::changed_text);
        let permit = Permit::new(text, route, otherwise, self.timeout);
        Ok(Verdict::Forward(permit.cacheable(self.cache.take())))
    }

    fn stands_at(&self, hook: Hook) -> bool {
        WAY.get(self.hook) == Some(&hook)
    }

    fn leave(&mut self) {
        self.hook += 1;
        self.next = 0;
    }

    /// The stages of the hook it stands at that have not been asked.
    fn rest(&self, hook: Hook) -> &'a [Arc<Stage>] {
        self.pipeline
            .stages(hook)
            .get(self.next..)
            .unwrap_or_default()
    }

    /// Asks the stage that has to wait, and keeps what it says for going on.
    async fn wait(&mut self) {
        let Some(&hook) = WAY.get(self.hook) else {
            return;
        };
        let (Some(stage), Some(subject)) = (self.rest(hook).first(), &self.subject) else {
            return;
        };
        let context = context(self.statement, subject);
        let session = self.learned.as_deref().unwrap_or(self.statement.session);
        let input = input(self.statement, session, hook, &context, self.now);
        let mut spent = Spent::timed(self.detail != Detail::Verdict);
        let asked = stage.ask(&input, self.services, &mut spent).await;
        if let Some(effects) = &spent.effects {
            self.pipeline
                .emit(effects, input.session, self.services)
                .await;
        }
        self.answered = Some(Box::new((asked, spent)));
    }

    /// `pre_query` and `rewrite`: the chain goes on after a rewrite and after rows; any stage may still refuse.
    fn may_rewrite(&mut self, hook: Hook) -> Result<(), Stop> {
        for stage in self.rest(hook) {
            match self.ask(stage, hook)? {
                Asked::Answer(Answer::Allow) => break,
                Asked::Answer(Answer::Rewrite(text)) => self.replace(stage, hook, text)?,
                Asked::Answer(Answer::Cached(rows)) => {
                    self.by = Decider::Stage(Arc::clone(&stage.name));
                    self.reply.get_or_insert_with(|| Box::new(rows));
                }
                Asked::Bound {
                    add_limit,
                    statement_timeout,
                } => self.bound(stage, hook, add_limit, statement_timeout)?,
                _ => (),
            }
        }
        Ok(())
    }

    fn authorize(&mut self) -> Result<(), Stop> {
        for stage in self.rest(Hook::Authorize) {
            if let Asked::Answer(Answer::Allow) = self.ask(stage, Hook::Authorize)? {
                self.by = Decider::Stage(Arc::clone(&stage.name));
                return Ok(());
            }
        }
        if self.pipeline.otherwise.authorize_allows() {
            return Ok(());
        }
        self.by = Decider::Default;
        let refusal = Refusal::with_code(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "no rule of the policy allows this statement",
        );
        Err(Stop::Refused(Box::new(self.signed(refusal))))
    }

    fn cache_get(&mut self) -> Result<Option<Rows>, Stop> {
        for stage in self.rest(Hook::CacheGet) {
            match self.ask(stage, Hook::CacheGet)? {
                Asked::Answer(Answer::Cached(rows)) => {
                    self.by = Decider::Stage(Arc::clone(&stage.name));
                    return Ok(Some(rows));
                }
                Asked::Cache(Ok(cache)) => {
                    self.cache.get_or_insert_with(|| Arc::from(cache));
                }
                _ => (),
            }
        }
        Ok(None)
    }

    /// Asks one stage. A refusal, or a fault that refuses, ends the run; a stage that only observes changes nothing.
    fn ask(&mut self, stage: &Stage, hook: Hook) -> Result<Asked, Stop> {
        let Some(subject) = &self.subject else {
            return Ok(Asked::Skipped);
        };
        let context = context(self.statement, subject);
        let session = self.learned.as_deref().unwrap_or(self.statement.session);
        let input = input(self.statement, session, hook, &context, self.now);
        let mut spent = Spent::timed(self.detail != Detail::Verdict);
        let mut emitted = false;
        let asked = if !self.pipeline.waits_for(stage) {
            stage.ask_at_once(&input, self.services, &mut spent)
        } else if let Some(answered) = self.answered.take() {
            (emitted, spent) = (true, answered.1);
            answered.0
        } else {
            return Err(Stop::Waits);
        };
        self.next += 1;
        self.fuel += spent.fuel;
        let is_told = match self.detail {
            Detail::Verdict => false,
            Detail::Stages => !matches!(asked, Asked::Skipped),
            Detail::Full => true,
        };
        if is_told {
            self.steps
                .push(step(stage, &input, &asked, &spent, self.detail));
        }
        if let Some(effects) = spent.effects {
            self.apply(*effects, emitted);
        }
        match asked {
            Asked::Fault(fault) => Ok(self.fault(stage, hook, &fault).map(|()| Asked::Skipped)?),
            Asked::Skipped => Ok(Asked::Skipped),
            asked if stage.mode == Mode::Observe => {
                self.observed(stage, hook, &asked);
                Ok(Asked::Skipped)
            }
            Asked::Answer(Answer::Block(refusal)) => {
                stage.stats.refusals.fetch_add(1, Relaxed);
                self.by = Decider::Stage(Arc::clone(&stage.name));
                Err(Stop::Refused(Box::new(self.signed(refusal))))
            }
            asked => Ok(asked),
        }
    }

    /// Runs the events a stage emitted, where that was not done while it was waited for, and lets later stages see the
    /// attributes it set.
    #[cold]
    fn apply(&mut self, effects: Effects, emitted: bool) {
        let session = self.learned.as_deref().unwrap_or(self.statement.session);
        if !emitted {
            self.pipeline.emit_at_once(&effects, session, self.services);
        }
        if !effects.attributes.is_empty() {
            let mut session = session.clone();
            learn(&mut session, effects);
            self.learned = Some(Box::new(session));
        }
    }

    /// What a stage that only observes would have done, for the log.
    fn observed(&self, stage: &Stage, hook: Hook, asked: &Asked) {
        let Some(would) = asked.word() else { return };
        stage.stats.observed.fetch_add(1, Relaxed);
        tracing::info!(
            stage = %stage.name,
            %hook,
            would,
            decision_id = %self.statement.request_id,
            user = %self.statement.session.identity.user,
            "observed"
        );
    }

    /// A failed stage says no, unless its policy says otherwise.
    fn fault(&mut self, stage: &Stage, hook: Hook, fault: &Fault) -> Result<(), Refused> {
        self.faults += 1;
        if !stage.fault_refuses(hook, fault, self.services) {
            return Ok(());
        }
        self.by = Decider::Stage(Arc::clone(&stage.name));
        Err(Box::new(self.signed(Refusal::with_code(
            fault.sqlstate(),
            fault.client_text(),
        ))))
    }

    fn signed(&self, refusal: Refusal) -> Refusal {
        let id = self.statement.request_id;
        self.pipeline.signed(refusal, &self.by, id)
    }
}

fn context<'s>(statement: &Statement<'_>, subject: &'s Subject<'_>) -> StatementContext<'s> {
    StatementContext {
        facts: &subject.facts,
        text: &subject.text,
        protocol: statement.protocol,
        in_transaction: statement.in_transaction,
        tx_writes: statement.tx_writes,
        statement_count: statement.statement_count,
    }
}

fn input<'s>(
    statement: &Statement<'_>,
    session: &'s SessionContext,
    hook: Hook,
    context: &'s StatementContext<'s>,
    now: Option<u64>,
) -> Input<'s> {
    Input {
        hook,
        request_id: statement.request_id,
        session,
        statement: Some(context),
        outcome: None,
        auth: None,
        custom: None,
        loaded: &[],
        now,
        lag: statement.lag,
    }
}
