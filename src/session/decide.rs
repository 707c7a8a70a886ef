//! Between a session and the stages: gives `pipeline::decide` what it asks for, and turns its trace into what the session
//! does next. Decides nothing itself.

use super::cache::Bound;
use super::messages::StatementError;
use super::relay::Session;
use super::statement::After;
use super::statement::Decided;
use super::statement::Effects;
use super::statement::Go;
use super::statement::OUTLIVES_TRANSACTION;
use super::statement::Observed;
use super::statement::updates_pg_settings;
use crate::hook::Outcome;
use crate::hook::Protocol;
use crate::hook::Refusal;
use crate::pipeline::Decider;
use crate::pipeline::Detail;
use crate::pipeline::Statement;
use crate::pipeline::Trace;
use crate::pipeline::Verdict;
use crate::pipeline::decide;
use crate::pipeline::decide_at_once;
use crate::policy::PoolMode;
use crate::policy::SessionState;
use crate::sqlstate::SqlState;
use crate::statement;
use crate::statement::Facts;
use crate::statement::Kind;
use crate::statement::Needs;
use crate::statement::SessionEffect;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A statement that goes no further, with the error already encoded.
pub(super) struct Refused(pub(super) Vec<u8>);

/// How many statements the message held, and whether an earlier one of it may have begun a transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Among {
    pub(super) count: u32,
    pub(super) first: bool,
}

impl Among {
    pub(super) const ALONE: Self = Self {
        count: 1,
        first: true,
    };
}

/// Whether the statement could set `client_encoding` without naming it where we look.
fn may_recode(facts: &Facts) -> bool {
    let calls = facts.kinds.contains(Kind::Do)
        || facts.kinds.contains(Kind::Call)
        || facts.kinds.contains(Kind::Select) && !facts.read_only;
    calls || SessionEffect::Session <= facts.effect || facts.kinds.contains(Kind::Set)
}

/// Whether a transaction may have written once the statement has run.
fn writes(facts: &Facts) -> bool {
    // A PREPARE runs nothing.
    !facts.read_only && !facts.kinds.contains(Kind::Prepare)
}

/// Rows of a stage where the protocol has no place for them.
fn cannot_reply(to: &str) -> StatementError {
    let message = format!("a stage answers {to} with rows, which cannot be done");
    StatementError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

/// The rule, as the log of decisions names it, that refuses what outlives its transaction.
pub(super) const SESSION_STATE: &str = "session_state";

/// One statement that the stages are asked about.
pub(super) struct AskedAbout<'a> {
    pub(super) request_id: Uuid,
    pub(super) text: &'a str,
    pub(super) protocol: Protocol,
    pub(super) in_transaction: bool,
    pub(super) statement_count: u32,
    /// How far behind the nearest standby is, where a stage asks for it.
    pub(super) lag: Option<Duration>,
}

impl Session {
    /// Asks the stages about one statement, and the cache they name, where it is known what is bound to it. Not cancel safe.
    pub(super) async fn decide(
        &mut self,
        sql: &[u8],
        protocol: Protocol,
        among: Among,
        bound: Option<Bound<'_>>,
    ) -> Result<Decided, Refused> {
        if self.binding.pipeline.is_plain() {
            return self.decide_plainly(sql, protocol).await;
        }
        let asked = AskedAbout {
            request_id: self.shared.new_id(),
            text: self.readable(sql, protocol)?,
            protocol,
            in_transaction: self.tx != b'I' || self.batch_open || !among.first,
            statement_count: among.count,
            lag: self.binding.nearest_lag(&self.shared),
        };
        let log = self.binding.world.decisions.as_ref();
        let detail = log.map_or(Detail::Verdict, |log| log.detail(asked.request_id));
        let mut trace = if self.binding.pipeline.may_wait() {
            self.ask_and_wait(&asked, detail).await
        } else {
            self.ask_at_once(&asked, detail)?
        };
        // It is compared with what the stages say, before anything else.
        if let Some(beside) = &self.binding.beside {
            Box::pin(self.ask_shadow(beside, &asked, &trace)).await;
        }
        let after = self.feasible(&asked, &mut trace);
        // A stage's answer is known here, a cache's only once something is bound.
        let fills = bound.is_some_and(|bound| self.look_up(&asked, bound, &mut trace));
        if detail != Detail::Verdict {
            self.statements.unwritten = self.record(&asked, &trace, bound.is_some());
        }
        if let Some(tally) = &self.binding.world.tally {
            tally.decided(Some(&trace));
        }
        let decided = self.conclude(&asked, trace, after)?;
        Ok(Decided { fills, ..decided })
    }

    /// What the session must follow once the statement has succeeded. What this session cannot do, although the stages let it
    /// pass, is refused from here on.
    fn feasible(&self, asked: &AskedAbout<'_>, trace: &mut Trace) -> After {
        let cannot = match &trace.verdict {
            Verdict::Refuse(_) => return After::Nothing,
            Verdict::Reply(_) if asked.protocol == Protocol::FunctionCall => {
                Err(cannot_reply("a FunctionCall"))
            }
            Verdict::Reply(_) if 1 < asked.statement_count => {
                Err(cannot_reply("one of several statements in one message"))
            }
            Verdict::Reply(_) | Verdict::Forward(_) | Verdict::Cached(..) => {
                let text = trace.text.as_deref().unwrap_or(asked.text);
                let after = match &trace.facts {
                    // The facts of a PREPARE are those of what is prepared; what it does to the session is in its own text.
                    Some(facts) if facts.kinds.contains(Kind::Prepare) => {
                        self.after(text, &statement::analyze(text, Needs::default()))
                    }
                    Some(facts) => self.after(text, facts),
                    None => Ok(After::Nothing),
                };
                after.inspect_err(|_| trace.by = Decider::Sql(SESSION_STATE))
            }
        };
        cannot.unwrap_or_else(|error| {
            let refusal = error.refusal();
            let refusal = self
                .binding
                .pipeline
                .signed(refusal, &trace.by, asked.request_id);
            trace.verdict = Verdict::Refuse(refusal);
            After::Nothing
        })
    }

    pub(super) fn statement<'a>(&'a self, asked: &AskedAbout<'a>) -> Statement<'a> {
        Statement {
            session: &self.context,
            request_id: asked.request_id,
            text: asked.text,
            protocol: asked.protocol,
            in_transaction: asked.in_transaction,
            tx_writes: self.tx_writes,
            statement_count: asked.statement_count,
            prepared: &self.statements.sql,
            lag: asked.lag,
        }
    }

    /// The ordinary way: no stage waits for anything, and nothing of the question outlives the call.
    fn ask_at_once(&self, asked: &AskedAbout<'_>, detail: Detail) -> Result<Trace, Refused> {
        let world = &self.binding.world;
        let statement = self.statement(asked);
        decide_at_once(&self.binding.pipeline, &statement, &world.services, detail)
            .ok_or_else(|| self.no_verdict())
    }

    /// Boxed, so that the session's own future stays small.
    fn ask_and_wait<'a>(
        &'a self,
        asked: &'a AskedAbout<'a>,
        detail: Detail,
    ) -> Pin<Box<dyn Future<Output = Trace> + Send + 'a>> {
        let world = &self.binding.world;
        Box::pin(async move {
            let statement = self.statement(asked);
            decide(&self.binding.pipeline, &statement, &world.services, detail).await
        })
    }

    pub(super) fn no_verdict(&self) -> Refused {
        self.refused(&StatementError::new(SqlState::INTERNAL_ERROR, "no verdict"))
    }

    /// What the session does next.
    fn conclude(
        &mut self,
        asked: &AskedAbout<'_>,
        trace: Trace,
        after: After,
    ) -> Result<Decided, Refused> {
        let pipeline = Arc::clone(&self.binding.pipeline);
        let text = trace.text.as_deref().unwrap_or(asked.text);
        let observed = pipeline.observes().then(|| {
            let unread = || Arc::new(statement::analyze(text, Needs::default()));
            Arc::new(Observed {
                request_id: asked.request_id,
                text: text.into(),
                facts: trace.facts.clone().unwrap_or_else(unread),
                protocol: asked.protocol,
                in_transaction: asked.in_transaction,
                tx_writes: self.tx_writes,
                learned: trace.learned,
                statement_count: asked.statement_count,
                services: pipeline
                    .observers_may_wait()
                    .then(|| Arc::clone(&self.binding.world.services)),
            })
        });
        let answer = match &trace.verdict {
            Verdict::Cached(_, answer) => Some(Arc::clone(answer)),
            _ => None,
        };
        let go = match trace.verdict {
            Verdict::Refuse(refusal) => {
                self.log_refusal(asked.request_id, trace.by.name(), &refusal);
                return Err(self.refuse(observed, &refusal));
            }
            Verdict::Reply(rows) => Go::Reply(rows),
            Verdict::Forward(permit) | Verdict::Cached(permit, _) => Go::Node(permit),
        };
        let effects = match &trace.facts {
            Some(facts) => self.effects(&pipeline, text, facts),
            None => Effects::ANY,
        };
        self.tx_writes |= trace.facts.as_deref().is_some_and(writes);
        self.expect(asked.protocol, &after);
        Ok(Decided {
            may_recode: trace.facts.as_deref().is_some_and(may_recode),
            go,
            answer,
            fills: false,
            after,
            effects,
            observed,
            masks: trace.masks,
            pipeline,
        })
    }

    /// Later statements of the same Query are decided as if this one had run. In a batch nothing is expected: the session
    /// waits for what has become of it.
    fn expect(&mut self, protocol: Protocol, after: &After) {
        if protocol == Protocol::Simple {
            self.statements.sql.expect(after);
        }
    }

    /// The decision of a pipeline without stages. The text is read only as far as the pool must know what outlives the
    /// transaction, and for whom it is tried on.
    async fn decide_plainly(&mut self, sql: &[u8], protocol: Protocol) -> Result<Decided, Refused> {
        // Lossy only where it must be: the check alone is several times faster.
        let text = std::str::from_utf8(sql)
            .map(Cow::Borrowed)
            .unwrap_or_else(|_| String::from_utf8_lossy(sql));
        let text = &*text;
        let pipeline = Arc::clone(&self.binding.pipeline);
        let statement = Statement {
            session: &self.context,
            request_id: Uuid::nil(),
            text,
            protocol: Protocol::Simple,
            in_transaction: false,
            tx_writes: false,
            statement_count: 1,
            prepared: &self.statements.sql,
            lag: None,
        };
        let services = &self.binding.world.services;
        let decided = decide_at_once(&pipeline, &statement, services, Detail::Verdict);
        if let Some(tally) = &self.binding.world.tally {
            tally.decided(None);
        }
        if let (Some(beside), Some(trace)) = (&self.binding.beside, &decided) {
            Box::pin(self.ask_shadow_of_unread(beside, sql, protocol, trace)).await;
        }
        let Some(Verdict::Forward(permit)) = decided.map(|trace| trace.verdict) else {
            return Err(self.no_verdict());
        };
        let after = match statement::effect(text) {
            SessionEffect::None | SessionEffect::Transaction if updates_pg_settings(text) => {
                self.refuse_or(After::Dirty)
            }
            SessionEffect::None | SessionEffect::Transaction => Ok(After::Nothing),
            SessionEffect::Session | SessionEffect::DiscardAll => {
                self.after(text, &statement::analyze(text, Needs::default()))
            }
        };
        let after = after.map_err(|error| self.refused_by(SESSION_STATE, protocol, "", &error))?;
        Ok(Decided {
            may_recode: false,
            go: Go::Node(permit),
            answer: None,
            fills: false,
            effects: self.effects_unread(sql),
            after,
            observed: None,
            masks: None,
            pipeline,
        })
    }

    /// What the session must follow once the statement has succeeded.
    fn after(&self, text: &str, facts: &Facts) -> Result<After, StatementError> {
        let key = |name: &str| Some(self.statements.named.get(name.as_bytes())?.sent.key);
        self.refuse_or(After::of(text, facts, key))
    }

    /// Refuses what outlives its transaction, where the pool wants that.
    fn refuse_or(&self, after: After) -> Result<After, StatementError> {
        let pool = self.binding.pool_policy();
        if after.outlives_transaction()
            && pool.mode == PoolMode::Transaction
            && pool.session_state == SessionState::Refuse
        {
            return Err(StatementError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                OUTLIVES_TRANSACTION,
            ));
        }
        Ok(after)
    }

    pub(super) fn refused(&self, error: &StatementError) -> Refused {
        let mut bytes = Vec::new();
        super::refuse::error(error, &mut bytes);
        Refused(bytes)
    }

    /// Tells the observers of a refusal, and encodes it.
    fn refuse(&mut self, observed: Option<Arc<Observed>>, refusal: &Refusal) -> Refused {
        if let Some(observed) = observed {
            let outcome = Outcome {
                code: Some(refusal.code),
                error: Some(Arc::clone(&refusal.message)),
                ..Outcome::default()
            };
            let pipeline = Arc::clone(&self.binding.pipeline);
            self.tell_observers(pipeline, observed, outcome);
        }
        let mut bytes = Vec::new();
        super::refuse::refusal(refusal, &mut bytes);
        Refused(bytes)
    }
}
