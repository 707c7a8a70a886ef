//! One compiled stage: its guards, its action, its figures. Which stages run in which order is `run`'s.

use super::breaker::Admission;
use super::breaker::Breaker;
use super::cache::Cacheable;
use super::cache::Store;
use super::conduct::Conduct;
use super::conduct::aside;
use super::figures::Health;
use super::figures::StageStats;
use super::limit::Limiter;
use super::limit::Pass;
use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::Input;
use crate::hook::Loaded;
use crate::hook::Refusal;
use crate::policy::Field;
use crate::policy::Mode;
use crate::policy::OnFailure;
use crate::policy::Polarity;
use crate::policy::Predicate;
use crate::policy::RouteTarget;
use crate::policy::StageLoad;
use crate::sandbox::Called;
use crate::sandbox::Effects;
use crate::sandbox::Failed;
use crate::sandbox::Fault;
use crate::sandbox::Guest;
use crate::sandbox::Level;
use crate::sandbox::Reply;
use crate::sandbox::Services;
use crate::statement::Needs;
use std::sync::Arc;
use std::time::Duration;

/// A stage, ready to be asked.
pub(super) struct Stage {
    pub(super) name: Arc<str>,
    pub(super) place: Arc<str>,
    pub(super) when: Predicate,
    pub(super) unless: Predicate,
    /// How `when` and `unless` read a set of facts.
    pub(super) polarities: (Polarity, Polarity),
    pub(super) action: Action,
    pub(super) on_failure: OnFailure,
    pub(super) mode: Mode,
    pub(super) stats: Arc<StageStats>,
    /// Of guests; rules cannot fail.
    pub(super) breaker: Breaker,
    /// Of guests; rules take no time.
    pub(super) conduct: Conduct,
    /// What is fetched before it is asked.
    pub(super) loads: Box<[StageLoad]>,
    /// Whether asking it may take time: it loads something, or its guest asks a node.
    pub(super) may_wait: bool,
}

/// A guest's call that has begun.
struct Begun {
    admission: Admission,
    /// Whether it is one of those whose time is a figure.
    timed: bool,
    /// What the guest took, where the clock was looked at; what it waited is not its time.
    took: Option<Duration>,
}

/// What a stage does once its guards match.
pub(super) enum Action {
    Deny(Refusal),
    Allow,
    Route {
        to: RouteTarget,
        otherwise: Option<RouteTarget>,
    },
    Rewrite {
        add_limit: Option<u64>,
        statement_timeout: Option<Duration>,
    },
    Log {
        level: Level,
        fields: Box<[Field]>,
    },
    Limit(Limiter),
    Cache(Arc<Store>),
    Guest(Arc<dyn Guest>),
}

/// What asking a stage cost, and what it wants to have happen.
#[derive(Default)]
pub(super) struct Spent {
    /// Whether its time is wanted, and not only that of one call in eight.
    timed: bool,
    pub(super) took: Option<Duration>,
    pub(super) fuel: u64,
    pub(super) effects: Option<Box<Effects>>,
}

impl Spent {
    pub(super) fn timed(timed: bool) -> Self {
        Self {
            timed,
            ..Self::default()
        }
    }
}

/// What asking a stage came to.
pub(super) enum Asked {
    /// Its guards do not match, or it is off.
    Skipped,
    /// It answered.
    Answer(Answer),
    /// A rule that routes by ids instead of names.
    Route {
        to: RouteTarget,
        otherwise: Option<RouteTarget>,
    },
    /// A rule that bounds text or time.
    Bound {
        add_limit: Option<u64>,
        statement_timeout: Option<Duration>,
    },
    /// A rule that keeps answers; or why it cannot keep this one.
    Cache(Result<Box<Cacheable>, &'static str>),
    /// It failed; what that means is the stage's `on_failure`.
    Fault(Fault),
}

impl Asked {
    /// What it does to the statement, in a word; `None` for nothing.
    pub(super) fn word(&self) -> Option<&'static str> {
        match self {
            Self::Skipped
            | Self::Cache(Err(_))
            | Self::Answer(Answer::Continue | Answer::Defer) => None,
            Self::Answer(answer) => Some(answer.kind().name()),
            Self::Route { .. } => Some("route"),
            Self::Bound { .. } => Some("rewrite"),
            Self::Cache(Ok(_)) => Some("cache"),
            Self::Fault(_) => Some("fail"),
        }
    }
}

impl Stage {
    /// Whether `when` matches and `unless` does not. A set of facts (kinds, tables, functions) matches by any of its
    /// members where the match makes the policy stricter, and only by all of them where it makes it looser.
    pub(super) fn guards_match(&self, input: &Input<'_>) -> bool {
        let (when, unless) = self.polarities;
        self.when.matches(input, when)
            && (self.unless.is_empty() || !self.unless.matches(input, unless))
    }

    /// What must be found out about a statement before this stage is asked.
    pub(super) fn needs(&self) -> Needs {
        let action = match &self.action {
            Action::Guest(guest) => guest.needs(),
            Action::Cache(_)
            | Action::Rewrite {
                add_limit: Some(_), ..
            } => Needs {
                parse: true,
                ..Needs::default()
            },
            Action::Log { fields, .. } => fields
                .iter()
                .map(|field| field.needs())
                .fold(Needs::default(), Needs::union),
            _ => Needs::default(),
        };
        let loads = self.loads.iter().map(StageLoad::needs);
        let guards = self.when.needs().union(self.unless.needs());
        loads.fold(action.union(guards), Needs::union)
    }

    /// Whether its guards ask how far behind standbys are.
    pub(super) fn asks_lag(&self) -> bool {
        self.when.asks_lag() || self.unless.asks_lag()
    }

    /// Whether its guards ask for the time.
    pub(super) fn asks_time(&self) -> bool {
        self.when.asks_time() || self.unless.asks_time()
    }

    /// Asks the stage, and counts; waits where it has to. What it spent and wants to have happen is added to
    /// `spent`. Cancel safe: an answer that
    /// nobody waits for is lost, nothing else.
    pub(super) async fn ask(
        &self,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
        spent: &mut Spent,
    ) -> Asked {
        match &self.action {
            Action::Guest(guest) if self.may_wait && self.is_asked(input) => {
                Box::pin(self.ask_and_wait(guest.as_ref(), input, services, spent)).await
            }
            Action::Limit(limiter) if self.may_wait && self.is_asked(input) => {
                self.stats.called();
                self.pass_or_wait(limiter, input, services).await
            }
            _ if self.may_wait => Asked::Skipped,
            _ => self.ask_at_once(input, services, spent),
        }
    }

    /// The same for a stage that waits for nothing.
    pub(super) fn ask_at_once(
        &self,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
        spent: &mut Spent,
    ) -> Asked {
        if !self.is_asked(input) {
            return Asked::Skipped;
        }
        let Action::Guest(guest) = &self.action else {
            self.stats.called();
            return self.rule(input, services);
        };
        let mut begun = match self.begin(services, spent.timed) {
            Ok(begun) => begun,
            Err(fault) => return Asked::Fault(fault),
        };
        let call = || guest.call(input, services);
        let result = self.run(&mut begun, services, call).done();
        self.conclude(&begun, result, services, spent)
    }

    fn is_asked(&self, input: &Input<'_>) -> bool {
        self.mode != Mode::Off && self.guards_match(input)
    }

    fn rule(&self, input: &Input<'_>, services: &Arc<dyn Services>) -> Asked {
        match &self.action {
            Action::Deny(refusal) => Asked::Answer(Answer::Block(refusal.clone())),
            Action::Allow => Asked::Answer(Answer::Allow),
            Action::Route { to, otherwise } => Asked::Route {
                to: *to,
                otherwise: *otherwise,
            },
            Action::Rewrite {
                add_limit,
                statement_timeout,
            } => Asked::Bound {
                add_limit: *add_limit,
                statement_timeout: *statement_timeout,
            },
            Action::Log { level, fields } => {
                services.log(&self.name, *level, &log_line(fields, input));
                Asked::Answer(Answer::Continue)
            }
            Action::Limit(limiter) => match limiter.pass(input, services.monotonic()) {
                Pass::Now => Asked::Answer(Answer::Continue),
                Pass::After(_) | Pass::Never => refused(limiter),
            },
            Action::Cache(store) => {
                Asked::Cache(Cacheable::of(&self.name, store, input).map(Box::new))
            }
            Action::Guest(_) => Asked::Skipped,
        }
    }

    /// Lets a statement pass when its turn has come. One that is only observed never waits.
    async fn pass_or_wait(
        &self,
        limiter: &Limiter,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
    ) -> Asked {
        match limiter.pass(input, services.monotonic()) {
            Pass::After(wait) if self.mode == Mode::Enforce => {
                services.sleep(wait).await;
                Asked::Answer(Answer::Continue)
            }
            Pass::Now => Asked::Answer(Answer::Continue),
            Pass::After(_) | Pass::Never => refused(limiter),
        }
    }

    /// Loads, asks, and asks nodes for the guest as long as it wants rows.
    async fn ask_and_wait(
        &self,
        guest: &dyn Guest,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
        spent: &mut Spent,
    ) -> Asked {
        // Nothing is fetched for a guest that will not be asked.
        if self.breaker.keeps_out(|| services.monotonic()) {
            self.stats.called();
            return Asked::Fault(Fault::BreakerOpen);
        }
        // First, and outside of the breaker: a node that is away is not the guest's failure.
        let loaded = match self.load(input, services).await {
            Ok(loaded) => loaded,
            Err(fault) => {
                self.stats.called();
                return Asked::Fault(fault);
            }
        };
        let mut begun = match self.begin(services, spent.timed) {
            Ok(begun) => begun,
            Err(fault) => return Asked::Fault(fault),
        };
        let input = Input {
            loaded: &loaded,
            ..input.clone()
        };
        let call = || guest.call(&input, services);
        let mut called = self.run(&mut begun, services, call);
        let result = loop {
            let suspended = match called {
                Called::Done(result) => break result,
                Called::Waiting(suspended) => suspended,
            };
            let query = Arc::clone(suspended.query());
            let rows = services.query(&query).answer().await;
            called = self.run(&mut begun, services, || suspended.resume(rows));
        };
        self.conclude(&begun, result, services, spent)
    }

    /// Everything the stage loads, in the order of the names.
    async fn load(
        &self,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
    ) -> Result<Vec<Loaded>, Fault> {
        let mut loaded = Vec::with_capacity(self.loads.len());
        for load in &self.loads {
            let query = load.query(input);
            match services.query(&query).answer().await {
                Ok(rows) => loaded.push(Loaded {
                    name: Arc::clone(&load.name),
                    rows,
                    single: load.statement.max_rows == 1,
                }),
                Err(error) => {
                    return Err(Fault::LoadFailed {
                        name: Arc::clone(&load.name),
                        error,
                    });
                }
            }
        }
        Ok(loaded)
    }

    /// The beginning of a guest's call, where the breaker allows one.
    fn begin(&self, services: &Arc<dyn Services>, timed: bool) -> Result<Begun, Fault> {
        let timed = self.stats.called() || timed;
        let admission = self.breaker.admit(|| services.monotonic());
        if admission == Admission::Open {
            return Err(Fault::BreakerOpen);
        }
        Ok(Begun {
            admission,
            timed,
            took: None,
        })
    }

    /// Runs a part of a guest's call where its conduct lets it run.
    fn run<T: Send>(
        &self,
        begun: &mut Begun,
        services: &Arc<dyn Services>,
        part: impl FnOnce() -> T + Send,
    ) -> T {
        let is_trusted = self.conduct.is_trusted();
        if is_trusted && !begun.timed {
            return part();
        }
        let clocked = || {
            let started = services.monotonic();
            let result = part();
            (result, services.monotonic().saturating_sub(started))
        };
        let (result, took) = if is_trusted {
            clocked()
        } else {
            aside(services.as_ref(), clocked)
        };
        *begun.took.get_or_insert_default() += took;
        result
    }

    /// The end of a guest's call.
    fn conclude(
        &self,
        begun: &Begun,
        result: Result<Reply, Failed>,
        services: &Arc<dyn Services>,
        spent: &mut Spent,
    ) -> Asked {
        if let Some(took) = begun.took.filter(|_| begun.timed) {
            self.stats.took(took);
            spent.took = Some(took);
        }
        let (asked, fuel) = match result {
            Ok(reply) => {
                self.breaker.answered(begun.admission);
                if begun.admission == Admission::Probe {
                    self.mended();
                }
                if self.mode == Mode::Enforce {
                    spent.effects = reply.effects;
                }
                (Asked::Answer(reply.answer), reply.fuel)
            }
            Err(failed) if matches!(failed.fault, Fault::InputTooLarge { .. }) => {
                // The statement's fault and not the guest's, which was not asked.
                self.breaker
                    .undecided(begun.admission, services.monotonic());
                (Asked::Fault(failed.fault), failed.fuel)
            }
            Err(failed) => {
                if self.breaker.failed(begun.admission, services.monotonic()) {
                    self.broke(&failed.fault);
                }
                (Asked::Fault(failed.fault), failed.fuel)
            }
        };
        self.conduct
            .called(fuel, begun.took, || services.monotonic());
        spent.fuel += fuel;
        self.stats.spent(fuel);
        asked
    }

    #[cold]
    fn broke(&self, fault: &Fault) {
        tracing::error!(stage = %self.name, fault = fault.kind(), on_failure = ?self.on_failure, "breaker open: the stage keeps failing and is not asked for now");
    }

    #[cold]
    fn mended(&self) {
        tracing::info!(stage = %self.name, "breaker closed: the stage answers again");
    }

    /// How it is doing.
    pub(super) fn health(&self, now: Duration) -> Health {
        if self.breaker.is_open() {
            Health::Broken
        } else {
            self.stats.health(now)
        }
    }

    /// Counts and logs a fault, and says whether it refuses.
    pub(super) fn fault_refuses(
        &self,
        hook: Hook,
        fault: &Fault,
        services: &Arc<dyn Services>,
    ) -> bool {
        if let Some(unlogged) = self.stats.failed(fault, services.monotonic()) {
            tracing::warn!(stage = %self.name, hook = %hook, fault = fault.kind(), detail = %fault, on_failure = ?self.on_failure, unlogged, "stage fault");
        }
        self.on_failure == OnFailure::Closed && self.mode == Mode::Enforce
    }
}

fn refused(limiter: &Limiter) -> Asked {
    Asked::Answer(Answer::Block(limiter.rule().refusal.clone()))
}

fn log_line(fields: &[Field], input: &Input<'_>) -> String {
    let mut line = String::new();
    for field in fields {
        if !line.is_empty() {
            line.push(' ');
        }
        let value = field.value(input);
        line.push_str(field.name());
        line.push('=');
        line.push_str(value.as_deref().unwrap_or("-"));
    }
    line
}
