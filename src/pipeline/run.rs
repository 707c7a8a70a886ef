//! `decide`: one statement's way through the stages, top to bottom.
//!
//! pre_query, rewrite, authorize, cache_get, route; then the verdict. Pure: everything it knows is an argument.

mod route;

use super::Pipeline;
use super::explain::step;
use super::login::learn;
use super::stage::Asked;
use super::stage::Spent;
use super::stage::Stage;
use super::subject::Subject;
use super::subject::Text;
use super::subject::add_arguments;
use super::subject::function_call;
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
use crate::policy::OnUnparsed;
use crate::policy::RouteTarget;
use crate::sandbox::Effects;
use crate::sandbox::Fault;
use crate::sandbox::Services;
use crate::sqlstate::SqlState;
use crate::statement;
use crate::statement::Facts;
use crate::statement::Kind;
use crate::statement::KindSet;
use crate::statement::Sql;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use uuid::Uuid;

/// What SQL-level PREPARE has stored in this session.
pub trait Prepared {
    /// The statement stored under `name`.
    fn body(&self, name: &str) -> Option<Arc<str>>;
}

/// A session that has prepared nothing.
pub struct NoPrepared;

impl Prepared for NoPrepared {
    fn body(&self, _: &str) -> Option<Arc<str>> {
        None
    }
}

/// One statement that has arrived, however it did.
pub struct Statement<'a> {
    /// Whose.
    pub session: &'a SessionContext,
    /// One id for all its hooks.
    pub request_id: Uuid,
    /// Its text: one statement.
    pub text: &'a str,
    /// How it arrived.
    pub protocol: Protocol,
    /// Whether a transaction block is open.
    pub in_transaction: bool,
    /// Whether that block may have written.
    pub tx_writes: bool,
    /// How many statements the message held.
    pub statement_count: u32,
    /// What EXECUTE may name.
    pub prepared: &'a dyn Prepared,
}

/// Asks every stage of the pipeline about one statement.
pub fn decide(
    pipeline: &Pipeline,
    statement: &Statement<'_>,
    services: &Arc<dyn Services>,
    detail: Detail,
) -> Trace {
    let mut run = Run::new(pipeline, statement, services, detail);
    if pipeline.plain {
        return run.finish(Verdict::Forward(Permit::new(
            None,
            pipeline.otherwise.route,
            None,
            None,
        )));
    }
    let verdict = match run.all() {
        Ok(verdict) => verdict,
        Err(refusal) => Verdict::Refuse(*refusal),
    };
    run.finish(verdict)
}

struct Run<'a> {
    pipeline: &'a Pipeline,
    statement: &'a Statement<'a>,
    services: &'a Arc<dyn Services>,
    detail: Detail,
    by: Decider,
    routed_by: Decider,
    spent: Spent,
    /// The session as later stages see it, where one has set an attribute.
    learned: Option<Box<SessionContext>>,
    steps: Vec<Step>,
    subject: Option<Subject<'a>>,
    timeout: Option<Duration>,
}

/// A refusal is boxed so that the common way stays small.
type Refused = Box<Refusal>;

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
            spent: Spent::default(),
            learned: None,
            steps: Vec::new(),
            subject: None,
            timeout: None,
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
            facts,
            text,
            fuel: self.spent.fuel,
            learned: self.learned,
            steps: self.steps,
        }
    }

    /// The whole way, in phase order.
    fn all(&mut self) -> Result<Verdict, Refused> {
        self.subject = Some(self.subject()?);
        let reply = self.may_rewrite(Hook::PreQuery)?;
        let replaced = self.may_rewrite(Hook::Rewrite)?;
        self.authorize()?;
        let facts = self
            .subject
            .as_ref()
            .map(|subject| Arc::clone(&subject.facts));
        if let Some(facts) = facts {
            self.refuse_unparsed(&facts)?;
        }
        if let Some(rows) = reply.or(replaced) {
            return Ok(Verdict::Reply(rows));
        }
        if let Some(rows) = self.cache_get()? {
            return Ok(Verdict::Reply(rows));
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
        Ok(Verdict::Forward(Permit::new(
            text,
            route,
            otherwise,
            self.timeout,
        )))
    }

    /// Finds what the stages are asked about.
    fn subject(&mut self) -> Result<Subject<'a>, Refused> {
        let outer = self.facts(self.statement.text, KindSet::EMPTY)?;
        match &outer.sql {
            Sql::Prepare { body, .. } => {
                let text = &self.statement.text[body.clone()];
                let facts = self.facts(text, outer.kinds)?;
                let prefix = &self.statement.text[..body.start];
                Ok(Subject {
                    prefix,
                    ..Subject::plain(Text::Came(text), facts)
                })
            }
            Sql::Execute { name } => {
                let Some(text) = self.statement.prepared.body(name) else {
                    self.by = Decider::Sql("unknown_prepared");
                    let message = format!("prepared statement \"{name}\" does not exist");
                    return Err(Box::new(self.signed(Refusal::with_code(
                        SqlState::INVALID_STATEMENT_NAME,
                        message,
                    ))));
                };
                let mut facts = self.facts(&text, outer.kinds)?;
                add_arguments(Arc::make_mut(&mut facts), &outer, self.statement.text);
                Ok(Subject {
                    stored: true,
                    ..Subject::plain(Text::Given(text), facts)
                })
            }
            Sql::Plain | Sql::Deallocate { .. } => {
                Ok(Subject::plain(Text::Came(self.statement.text), outer))
            }
        }
    }

    /// Facts of `text`, with the kinds of what encloses it.
    fn facts(&mut self, text: &str, enclosing: KindSet) -> Result<Arc<Facts>, Refused> {
        let mut facts = if self.statement.protocol == Protocol::FunctionCall {
            Arc::new(function_call(text))
        } else {
            self.pipeline.analyzer.facts(text, self.pipeline.needs)
        };
        if !enclosing.is_subset(facts.kinds) {
            let facts = Arc::make_mut(&mut facts);
            facts.kinds = facts.kinds.union(enclosing);
            facts.read_only &= enclosing == KindSet::of(Kind::Execute);
        }
        // A FunctionCall is never understood; the stages may still have a better word for their refusal.
        if self.statement.protocol != Protocol::FunctionCall {
            self.refuse_unparsed(&facts)?;
        }
        Ok(facts)
    }

    fn refuse_unparsed(&mut self, facts: &Facts) -> Result<(), Refused> {
        if facts.kinds.contains(Kind::Unparsed) && self.pipeline.sql.on_unparsed == OnUnparsed::Deny
        {
            self.by = Decider::Sql("on_unparsed");
            let message = "statement cannot be understood, and the policy refuses what it does not understand";
            return Err(Box::new(
                self.signed(Refusal::with_code(SqlState::SYNTAX_ERROR, message)),
            ));
        }
        Ok(())
    }

    /// `pre_query` and `rewrite`: the chain goes on after a rewrite and after rows; any stage may still refuse.
    fn may_rewrite(&mut self, hook: Hook) -> Result<Option<Rows>, Refused> {
        let mut reply = None;
        for stage in self.pipeline.stages(hook) {
            match self.ask(stage, hook)? {
                Asked::Answer(Answer::Allow) => break,
                Asked::Answer(Answer::Rewrite(text)) => self.replace(stage, hook, text)?,
                Asked::Answer(Answer::Cached(rows)) => {
                    self.by = Decider::Stage(Arc::clone(&stage.name));
                    reply = reply.or(Some(rows));
                }
                Asked::Bound {
                    add_limit,
                    statement_timeout,
                } => self.bound(stage, hook, add_limit, statement_timeout)?,
                _ => (),
            }
        }
        Ok(reply)
    }

    fn bound(
        &mut self,
        stage: &Stage,
        hook: Hook,
        add_limit: Option<u64>,
        statement_timeout: Option<Duration>,
    ) -> Result<(), Refused> {
        if let Some(timeout) = statement_timeout {
            self.timeout = Some(self.timeout.map_or(timeout, |before| before.min(timeout)));
        }
        let limited = add_limit
            .zip(self.subject.as_ref())
            .and_then(|(limit, subject)| {
                statement::add_limit(&subject.text, &subject.facts, limit)
            });
        match limited {
            Some(text) => self.replace(stage, hook, text),
            None => Ok(()),
        }
    }

    /// Goes on with `text`; what cannot be one statement, or cannot be replaced, is the stage's fault.
    fn replace(&mut self, stage: &Stage, hook: Hook, text: String) -> Result<(), Refused> {
        let Some(subject) = &self.subject else {
            return Ok(());
        };
        if *subject.text == *text.as_str() {
            return Ok(());
        }
        let (prefix, stored) = (subject.prefix, subject.stored);
        let fault = if stored {
            Some("rewrote a statement that was already prepared")
        } else if statement::split(&text).count() != 1 {
            Some("rewrote to something that is not exactly one statement")
        } else {
            None
        };
        if let Some(why) = fault {
            return self.fault(stage, hook, &Fault::BadAnswer(why.into()));
        }
        let kinds = if prefix.is_empty() {
            KindSet::EMPTY
        } else {
            KindSet::of(Kind::Prepare)
        };
        let facts = self.facts(&text, kinds)?;
        self.subject = Some(Subject {
            text: Text::Given(text.into()),
            facts,
            prefix,
            stored,
            changed: true,
        });
        Ok(())
    }

    fn authorize(&mut self) -> Result<(), Refused> {
        for stage in self.pipeline.stages(Hook::Authorize) {
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
        Err(Box::new(self.signed(refusal)))
    }

    fn cache_get(&mut self) -> Result<Option<Rows>, Refused> {
        for stage in self.pipeline.stages(Hook::CacheGet) {
            if let Asked::Answer(Answer::Cached(rows)) = self.ask(stage, Hook::CacheGet)? {
                self.by = Decider::Stage(Arc::clone(&stage.name));
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }

    /// Asks one stage. A refusal, or a fault that refuses, ends the run; a stage that only observes changes nothing.
    fn ask(&mut self, stage: &Stage, hook: Hook) -> Result<Asked, Refused> {
        let Some(subject) = &self.subject else {
            return Ok(Asked::Skipped);
        };
        let context = StatementContext {
            facts: &subject.facts,
            text: &subject.text,
            protocol: self.statement.protocol,
            in_transaction: self.statement.in_transaction,
            tx_writes: self.statement.tx_writes,
            statement_count: self.statement.statement_count,
        };
        let input = Input {
            hook,
            request_id: self.statement.request_id,
            session: self.learned.as_deref().unwrap_or(self.statement.session),
            statement: Some(&context),
            outcome: None,
            auth: None,
            custom: None,
        };
        let before = self.spent.fuel;
        let asked = stage.ask(&input, self.services, &mut self.spent);
        if self.detail == Detail::Full {
            self.steps
                .push(step(stage, hook, &input, &asked, self.spent.fuel - before));
        }
        if let Some(effects) = self.spent.effects.take() {
            self.apply(*effects);
        }
        match asked {
            Asked::Fault(fault) => self.fault(stage, hook, &fault).map(|()| Asked::Skipped),
            Asked::Skipped => Ok(Asked::Skipped),
            asked if stage.mode == Mode::Observe => {
                self.observed(stage, hook, &asked);
                Ok(Asked::Skipped)
            }
            Asked::Answer(Answer::Block(refusal)) => {
                stage.stats.refusals.fetch_add(1, Relaxed);
                self.by = Decider::Stage(Arc::clone(&stage.name));
                Err(Box::new(self.signed(refusal)))
            }
            asked => Ok(asked),
        }
    }

    /// Runs the events a stage emitted, and lets later stages see the attributes it set.
    #[cold]
    fn apply(&mut self, effects: Effects) {
        let session = self.learned.as_deref().unwrap_or(self.statement.session);
        self.pipeline.emit(&effects, session, self.services);
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
        if !stage.fault_refuses(hook, fault, self.services) {
            return Ok(());
        }
        self.by = Decider::Stage(Arc::clone(&stage.name));
        let message = format!("a stage of the policy failed: {}", fault.kind());
        Err(Box::new(
            self.signed(Refusal::with_code(fault.sqlstate(), message)),
        ))
    }

    /// Adds which policy, revision, stage and decision refused.
    fn signed(&self, mut refusal: Refusal) -> Refusal {
        let signature = format!(
            "Policy {} ({}), stage {}, decision {}.",
            self.pipeline.policy,
            self.pipeline.revision,
            self.by.name(),
            self.statement.request_id
        );
        refusal.detail = Some(match &refusal.detail {
            Some(detail) => format!("{detail}\n{signature}").into(),
            None => signature.into(),
        });
        refusal
    }
}
