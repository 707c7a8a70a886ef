//! One compiled stage: its guards, its action, its figures. Which stages run in which order is `run`'s.

use super::breaker::Admission;
use super::breaker::Breaker;
use super::figures::Health;
use super::figures::StageStats;
use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::Input;
use crate::hook::Refusal;
use crate::policy::Field;
use crate::policy::Mode;
use crate::policy::OnFailure;
use crate::policy::Polarity;
use crate::policy::Predicate;
use crate::policy::RouteTarget;
use crate::sandbox::Effects;
use crate::sandbox::Fault;
use crate::sandbox::Guest;
use crate::sandbox::Level;
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
    Guest(Box<dyn Guest>),
}

/// What asking stages cost, and what the last one wants to have happen.
#[derive(Default)]
pub(super) struct Spent {
    pub(super) fuel: u64,
    pub(super) effects: Option<Box<Effects>>,
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
    /// It failed; what that means is the stage's `on_failure`.
    Fault(Fault),
}

impl Asked {
    /// What it does to the statement, in a word; `None` for nothing.
    pub(super) fn word(&self) -> Option<&'static str> {
        match self {
            Self::Skipped | Self::Answer(Answer::Continue | Answer::Defer) => None,
            Self::Answer(answer) => Some(answer.kind().name()),
            Self::Route { .. } => Some("route"),
            Self::Bound { .. } => Some("rewrite"),
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
            Action::Rewrite {
                add_limit: Some(_), ..
            } => Needs {
                parse: true,
                ..Needs::default()
            },
            Action::Log { fields, .. } => fields
                .iter()
                .fold(Needs::default(), |needs, field| union(needs, field.needs())),
            _ => Needs::default(),
        };
        union(action, union(self.when.needs(), self.unless.needs()))
    }

    /// Asks the stage, and counts. What it spent and wants to have happen is added to `spent`.
    pub(super) fn ask(
        &self,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
        spent: &mut Spent,
    ) -> Asked {
        if self.mode == Mode::Off || !self.guards_match(input) {
            return Asked::Skipped;
        }
        let timed = self.stats.called();
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
            Action::Guest(guest) => self.ask_guest(guest.as_ref(), input, services, spent, timed),
        }
    }

    fn ask_guest(
        &self,
        guest: &dyn Guest,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
        spent: &mut Spent,
        timed: bool,
    ) -> Asked {
        let admission = self.breaker.admit(|| services.monotonic());
        if admission == Admission::Open {
            return Asked::Fault(Fault::BreakerOpen);
        }
        let started = timed.then(|| services.monotonic());
        let called = guest.call(input, services);
        if let Some(started) = started {
            self.stats
                .took(services.monotonic().saturating_sub(started));
        }
        let (asked, fuel) = match called {
            Ok(reply) => {
                self.breaker.answered(admission);
                if admission == Admission::Probe {
                    self.mended();
                }
                if self.mode == Mode::Enforce {
                    spent.effects = reply.effects;
                }
                (Asked::Answer(reply.answer), reply.fuel)
            }
            Err(failed) if matches!(failed.fault, Fault::InputTooLarge { .. }) => {
                // The statement's fault and not the guest's, which was not asked.
                self.breaker.undecided(admission, services.monotonic());
                (Asked::Fault(failed.fault), failed.fuel)
            }
            Err(failed) => {
                if self.breaker.failed(admission, services.monotonic()) {
                    self.broke(&failed.fault);
                }
                (Asked::Fault(failed.fault), failed.fuel)
            }
        };
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

/// What either wants to know.
pub(super) fn union(a: Needs, b: Needs) -> Needs {
    Needs {
        normalized: a.normalized || b.normalized,
        parse: a.parse || b.parse,
    }
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
