//! One compiled stage: its guards, its action, its figures. Which stages run in which order is `run`'s.

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
use crate::sandbox::Fault;
use crate::sandbox::Guest;
use crate::sandbox::Level;
use crate::sandbox::Services;
use crate::statement::Needs;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
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

    /// Asks the stage, and counts. The fuel it spent is added to `fuel`.
    pub(super) fn ask(
        &self,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
        fuel: &mut u64,
    ) -> Asked {
        if self.mode == Mode::Off || !self.guards_match(input) {
            return Asked::Skipped;
        }
        self.stats.calls.fetch_add(1, Relaxed);
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
            Action::Guest(guest) => self.ask_guest(guest.as_ref(), input, services, fuel),
        }
    }

    fn ask_guest(
        &self,
        guest: &dyn Guest,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
        fuel: &mut u64,
    ) -> Asked {
        let started = services.monotonic();
        let (asked, spent) = match guest.call(input, services) {
            Ok(reply) => (Asked::Answer(reply.answer), reply.fuel),
            Err(failed) => (Asked::Fault(failed.fault), failed.fuel),
        };
        *fuel += spent;
        self.stats.fuel.fetch_add(spent, Relaxed);
        let took = services.monotonic().saturating_sub(started);
        self.stats
            .nanos
            .fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        asked
    }

    /// Counts and logs a fault, and says whether it refuses.
    pub(super) fn fault_refuses(&self, hook: Hook, fault: &Fault) -> bool {
        self.stats.faults.count(fault.kind());
        tracing::warn!(stage = %self.name, hook = %hook, fault = fault.kind(), detail = %fault, on_failure = ?self.on_failure, "stage fault");
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

/// Faults of one stage, by kind.
#[derive(Default, Debug)]
pub struct FaultCounts(Mutex<BTreeMap<&'static str, u64>>);

impl FaultCounts {
    fn count(&self, kind: &'static str) {
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(kind)
            .or_default() += 1;
    }

    /// Kind and count, by kind.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(kind, count)| (*kind, *count))
            .collect()
    }
}

/// Figures of one stage since the process started; they survive reloads.
#[derive(Default, Debug)]
pub struct StageStats {
    /// Times its guards matched and it was asked.
    pub calls: AtomicU64,
    /// Times it refused.
    pub refusals: AtomicU64,
    /// Times it would have done something, but only observes.
    pub observed: AtomicU64,
    /// Fuel spent.
    pub fuel: AtomicU64,
    /// Nanoseconds spent in a guest.
    pub nanos: AtomicU64,
    /// Times it failed, by kind.
    pub faults: FaultCounts,
}

/// Figures of every stage, by name.
#[derive(Default, Debug)]
pub struct StatsRegistry(Mutex<BTreeMap<Arc<str>, Arc<StageStats>>>);

impl StatsRegistry {
    /// The figures of one stage; new ones for a new name.
    #[must_use]
    pub fn stage(&self, name: &Arc<str>) -> Arc<StageStats> {
        let mut stages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(stages.entry(Arc::clone(name)).or_default())
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(Arc<str>, Arc<StageStats>)> {
        let stages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stages
            .iter()
            .map(|(name, stats)| (Arc::clone(name), Arc::clone(stats)))
            .collect()
    }
}
