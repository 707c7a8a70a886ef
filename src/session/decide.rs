//! Between a session and the stages: gives `pipeline::decide` what it asks for, and turns its trace into what the session
//! does next. Decides nothing itself.

use super::end::End;
use super::login::introduce;
use super::messages::StatementError;
use super::relay::Session;
use super::statement::After;
use super::statement::Decided;
use super::statement::Go;
use super::statement::Observed;
use crate::hook::AuthMethod;
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
use crate::statement::Sql;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
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

/// Encodings in which the server reads a text as we do. In every other, only ASCII is the same to both.
fn is_readable(encoding: &str) -> bool {
    ["UTF8", "SQL_ASCII"].contains(&encoding)
}

/// UPDATE of the view `pg_settings` is a SET in other words.
fn updates_pg_settings(text: &str) -> bool {
    const VIEW: &[u8] = b"pg_settings";
    const UPDATE: &[u8] = b"update";
    let text = text.as_bytes();
    let named = memchr::memchr_iter(b'_', text).any(|at| {
        let start = at.wrapping_sub(2);
        text.get(start..start.wrapping_add(VIEW.len()))
            .is_some_and(|part| part.eq_ignore_ascii_case(VIEW))
    });
    named
        && text
            .windows(UPDATE.len())
            .any(|part| part.eq_ignore_ascii_case(UPDATE))
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
const SESSION_STATE: &str = "session_state";

/// One statement that the stages are asked about.
struct AskedAbout<'a> {
    request_id: Uuid,
    text: &'a str,
    protocol: Protocol,
    in_transaction: bool,
    statement_count: u32,
}

/// Why texts cannot be read as the server reads them, if they cannot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unreadable {
    encoding: bool,
    strings: bool,
}

impl Unreadable {
    /// Whether the client's encoding is one that we do not read.
    pub(super) fn in_encoding(self) -> bool {
        self.encoding
    }

    fn why(self) -> Option<&'static str> {
        match (self.encoding, self.strings) {
            (true, _) => {
                Some("characters beyond ASCII mean something else in this client encoding")
            }
            (_, true) => Some("standard_conforming_strings is off"),
            (false, false) => None,
        }
    }
}

impl Session {
    /// Moves the session to the policy in force. A statement calls this once, before it is decided.
    /// Roles and attributes are the new policy's as well; a user that it does not have any more ends here.
    pub(super) fn refresh_world(&mut self) -> Result<(), End> {
        let live = self.shared.live.load();
        if !Arc::ptr_eq(&live, &self.binding.world) {
            let world = Arc::clone(&live);
            drop(live);
            if !matches!(
                self.context.auth_method,
                AuthMethod::Stage | AuthMethod::Node
            ) {
                let user = world
                    .policy
                    .users
                    .get(&self.context.identity.user)
                    .ok_or(End::NoPlace("user"))?;
                introduce(user, &mut self.context);
            }
            self.binding = self
                .binding
                .moved_to(world, &self.context)
                .map_err(End::NoPlace)?;
            self.idle_timeout = self.binding.idle_timeout();
        }
        Ok(())
    }

    /// Asks the stages about one statement. Not cancel safe.
    pub(super) async fn decide(
        &mut self,
        sql: &[u8],
        protocol: Protocol,
        among: Among,
    ) -> Result<Decided, Refused> {
        if self.binding.pipeline.is_plain() {
            return self.plain_decision(sql, protocol);
        }
        let asked = AskedAbout {
            request_id: self.shared.new_id(),
            text: self.readable(sql, protocol)?,
            protocol,
            in_transaction: self.tx != b'I' || self.batch_open || !among.first,
            statement_count: among.count,
        };
        let log = self.binding.world.decisions.as_ref();
        let detail = log.map_or(Detail::Verdict, |log| log.detail(asked.request_id));
        let mut trace = if self.binding.pipeline.may_wait() {
            self.ask_and_wait(&asked, detail).await
        } else {
            self.ask_at_once(&asked, detail)?
        };
        let after = self.feasible(&asked, &mut trace);
        if detail != Detail::Verdict {
            self.record(&asked, &trace);
        }
        self.conclude(&asked, trace, after)
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
            Verdict::Reply(_) | Verdict::Forward(_) => {
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
            trace.verdict = Verdict::Refuse(error.refusal());
            After::Nothing
        })
    }

    fn statement<'a>(&'a self, asked: &AskedAbout<'a>) -> Statement<'a> {
        Statement {
            session: &self.context,
            request_id: asked.request_id,
            text: asked.text,
            protocol: asked.protocol,
            in_transaction: asked.in_transaction,
            tx_writes: self.tx_writes,
            statement_count: asked.statement_count,
            prepared: &self.statements.sql,
        }
    }

    #[cold]
    fn record(&self, asked: &AskedAbout<'_>, trace: &Trace) {
        let world = &self.binding.world;
        if let Some(log) = &world.decisions {
            let now = Duration::from_micros(world.services.unix_micros());
            log.record(&self.binding.pipeline, &self.statement(asked), trace, now);
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
        let go = match trace.verdict {
            Verdict::Refuse(refusal) => {
                self.log_refusal(asked.request_id, trace.by.name(), &refusal);
                return Err(self.refuse(observed, &refusal));
            }
            Verdict::Reply(rows) => Go::Reply(rows),
            Verdict::Forward(permit) => Go::Node(permit),
        };
        self.tx_writes |= trace.facts.as_deref().is_some_and(writes);
        self.expect(asked.protocol, &after);
        Ok(Decided {
            may_recode: trace.facts.as_deref().is_some_and(may_recode),
            go,
            after,
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

    /// The text as the stages can read it.
    fn readable<'a>(&self, sql: &'a [u8], protocol: Protocol) -> Result<&'a str, Refused> {
        let why = self
            .unreadable
            .why()
            .filter(|_| !sql.is_ascii() || self.unreadable.strings);
        let error = match (std::str::from_utf8(sql), why) {
            (Ok(text), None) => return Ok(text),
            (Err(_), _) => StatementError::new(
                SqlState::SYNTAX_ERROR,
                "statement is not UTF-8, and the policy refuses what it cannot read",
            ),
            (Ok(_), Some(why)) => StatementError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("the policy refuses what it cannot read, and {why}"),
            ),
        };
        self.refused_by("unreadable", protocol, "", &error);
        Err(self.refused(&error))
    }

    /// Counts, logs and records what was refused before any stage could be asked, by a rule of `[sql]`.
    pub(super) fn refused_by(
        &self,
        rule: &'static str,
        protocol: Protocol,
        text: &str,
        error: &StatementError,
    ) {
        let asked = AskedAbout {
            request_id: self.shared.new_id(),
            text,
            protocol,
            in_transaction: self.tx != b'I' || self.batch_open,
            statement_count: 1,
        };
        let refusal = error.refusal();
        self.log_refusal(asked.request_id, rule, &refusal);
        let trace = Trace::refused(Decider::Sql(rule), refusal);
        self.record(&asked, &trace);
    }

    fn log_refusal(&self, request_id: Uuid, stage: &str, refusal: &Refusal) {
        let tally = &self.shared.clients.tally;
        tally.statements_refused.fetch_add(1, Relaxed);
        tracing::info!(
            session = %self.context.client_id,
            decision_id = %request_id,
            revision = %self.binding.world.policy.revision.short(),
            user = %self.context.identity.user,
            stage,
            code = %refusal.code,
            message = %refusal.message,
            "refused"
        );
    }

    /// The decision of a pipeline without stages. The text is read only as far as the pool must know what outlives the
    /// transaction.
    fn plain_decision(&mut self, sql: &[u8], protocol: Protocol) -> Result<Decided, Refused> {
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
        };
        let services = &self.binding.world.services;
        let decided = decide_at_once(&pipeline, &statement, services, Detail::Verdict);
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
        let after = after.map_err(|error| {
            self.refused_by(SESSION_STATE, protocol, "", &error);
            self.refused(&error)
        })?;
        Ok(Decided {
            may_recode: false,
            go: Go::Node(permit),
            after,
            observed: None,
            masks: None,
            pipeline,
        })
    }

    /// What the session must follow once the statement has succeeded.
    fn after(&self, text: &str, facts: &Facts) -> Result<After, StatementError> {
        let after = match (&facts.sql, facts.effect) {
            (Sql::Deallocate { name: None }, _) => After::DeallocateAll,
            (Sql::Deallocate { name: Some(name) }, _) => {
                let key = self
                    .statements
                    .named
                    .get(name.as_bytes())
                    .map(|entry| entry.sent.key);
                After::Deallocate {
                    name: Arc::clone(name),
                    key,
                }
            }
            (Sql::Prepare { name, body }, _) => After::Prepare {
                name: Arc::clone(name),
                body: text[body.clone()].into(),
            },
            (_, SessionEffect::DiscardAll) => After::DiscardAll,
            (_, SessionEffect::Session) => After::Dirty,
            (_, SessionEffect::None | SessionEffect::Transaction) if updates_pg_settings(text) => {
                After::Dirty
            }
            (_, SessionEffect::None | SessionEffect::Transaction) => After::Nothing,
        };
        self.refuse_or(after)
    }

    /// Refuses what outlives its transaction, where the pool wants that.
    fn refuse_or(&self, after: After) -> Result<After, StatementError> {
        let outlives = matches!(after, After::Dirty | After::Prepare { .. });
        let pool = self.binding.pool_policy();
        if outlives
            && pool.mode == PoolMode::Transaction
            && pool.session_state == SessionState::Refuse
        {
            let message = "this statement changes the session beyond its transaction, which this pool does not allow";
            return Err(StatementError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                message,
            ));
        }
        Ok(after)
    }

    /// Notes what the node says of encoding and strings.
    pub(super) fn note_encoding(&mut self, parameters: &[(String, String)]) {
        for (name, value) in parameters {
            match name.as_str() {
                "client_encoding" => self.unreadable.encoding = !is_readable(value),
                "standard_conforming_strings" => self.unreadable.strings = value == "off",
                _ => (),
            }
        }
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
