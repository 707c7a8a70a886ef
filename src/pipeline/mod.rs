//! The compiled policy: an immutable list of stages per hook, and the one function that asks them.
//!
//! `decide` is the only implementation of "what would happen": the server, `check`, `test` and `explain` all call it.
//! Owns no sockets, no clock and no swapped pointer; time, randomness and stored values come through `sandbox::Services`.

mod breaker;
mod cache;
mod compare;
mod compile;
mod conduct;
mod decisions;
mod explain;
mod figures;
mod limit;
mod login;
mod observe;
mod registry;
mod run;
mod signature;
mod stage;
mod statement;
mod subject;
mod unload;
mod uses;
mod verdict;

pub use cache::Answer;
pub use cache::Asked;
pub use cache::CacheFigures;
pub use cache::Cacheable;
pub use cache::Circumstances;
pub use cache::Generations;
pub use cache::Key;
pub use cache::Stamp;
pub use compare::Differing;
pub use compare::Differs;
pub use compare::Side;
pub use compare::compare;
pub use compile::Guests;
pub use compile::compile;
pub use compile::compile_variant;
pub use compile::compile_with_faults;
pub use compile::load_guests;
pub use compile::review_guests;
pub use decisions::DecisionLog;
pub use decisions::PendingDecision;
pub use decisions::Queue;
pub use decisions::decision_schema;
pub use decisions::draw;
pub use explain::Connecting;
pub use figures::FaultCounts;
pub use figures::Health;
pub use figures::Histogram;
pub use figures::StageStats;
pub use login::Login;
pub use login::TurnedAway;
pub use observe::Ended;
pub use registry::PluginId;
pub use registry::StatsRegistry;
pub use run::decide;
pub use run::decide_at_once;
pub use run::decide_by_facts;
pub use statement::NoPrepared;
pub use statement::Prepared;
pub use statement::Statement;
pub use unload::unload;
pub use uses::uses;
pub use verdict::Decider;
pub use verdict::Detail;
pub use verdict::Guard;
pub use verdict::Permit;
pub use verdict::Step;
pub use verdict::StepResult;
pub use verdict::Trace;
pub use verdict::Verdict;
pub use verdict::route_word;

use crate::hook::Hook;
use crate::policy::Otherwise;
use crate::policy::RouteTarget;
use crate::policy::SqlRules;
use crate::sandbox::Services;
use crate::statement::Analyzer;
use crate::statement::Needs;
use stage::Action;
use stage::Stage;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One `[pipeline.NAME]`, compiled.
pub struct Pipeline {
    /// Its name in the policy.
    pub name: Arc<str>,
    /// The policy's name and its short revision, for what a refusal tells the client.
    policy: Arc<str>,
    revision: Arc<str>,
    hooks: [Box<[Arc<Stage>]>; Hook::COUNT],
    otherwise: Otherwise,
    sql: SqlRules,
    needs: Needs,
    analyzer: Arc<Analyzer>,
    nodes: Arc<[Arc<str>]>,
    branches: Arc<[Arc<str>]>,
    plain: bool,
    waits: Waits,
    /// Whether the guards of a stage ask for the time.
    asks_time: bool,
    /// Whether the guards of a stage ask how far behind standbys are.
    asks_lag: bool,
}

/// Where stages stand whose answer may take time.
#[derive(Clone, Copy)]
struct Waits {
    decide: bool,
    observe: bool,
    custom: bool,
}

impl Waits {
    fn of(hooks: &[Box<[Arc<Stage>]>; Hook::COUNT]) -> Self {
        let at = |hook: Hook| hooks[hook.index()].iter().any(|stage| stage.may_wait);
        let statements = |outcome: bool| {
            Hook::all()
                .filter(|hook| hook.has_statement() && hook.has_outcome() == outcome)
                .any(at)
        };
        // Any guest may emit an event.
        let custom = at(Hook::Custom);
        Self {
            decide: statements(false) || custom,
            observe: statements(true) || custom,
            custom,
        }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipeline({})", self.name)
    }
}

impl Pipeline {
    /// Whether no stage ever looks at a statement, so that statements pass unread.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Whether any stage stands at this hook.
    #[must_use]
    pub fn has(&self, hook: Hook) -> bool {
        !self.hooks[hook.index()].is_empty()
    }

    /// Whether any stage observes the end of statements.
    #[must_use]
    pub fn observes(&self) -> bool {
        self.has(Hook::PostQuery) || self.has(Hook::Metrics) || self.has(Hook::CacheSet)
    }

    /// Whether the guards of a stage ask how far behind standbys are.
    #[must_use]
    pub fn asks_lag(&self) -> bool {
        self.asks_lag
    }

    /// Whether deciding about a statement may take time.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        self.waits.decide
    }

    /// Whether telling the observers of a statement may take time.
    #[must_use]
    pub fn observers_may_wait(&self) -> bool {
        self.waits.observe
    }

    /// Whether every statement is parsed, so that its facts say what it names.
    #[must_use]
    pub fn parses(&self) -> bool {
        self.needs.parse
    }

    /// What the policy says of SQL in general.
    #[must_use]
    pub fn sql(&self) -> &SqlRules {
        &self.sql
    }

    /// What must be found out about a statement before its stages can be asked.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// A route by the names of the policy: `primary`, `node:NAME`.
    #[must_use]
    pub fn route_name(&self, route: RouteTarget) -> Cow<'static, str> {
        match route {
            RouteTarget::Default => "default".into(),
            RouteTarget::Primary => "primary".into(),
            RouteTarget::Standby => "standby".into(),
            RouteTarget::Node(id) => format!("node:{}", self.nodes[id]).into(),
            RouteTarget::Branch(id) => format!("branch:{}", self.branches[id]).into(),
        }
    }

    /// How a stage of this pipeline is doing; `None` where it has no such stage.
    #[must_use]
    pub fn health(&self, stage: &str, now: Duration) -> Option<Health> {
        let mut stages = self.hooks.iter().flatten();
        let stage = stages.find(|known| *known.name == *stage)?;
        Some(stage.health(now))
    }

    /// The figures of a stage's cache; `None` where it has no such stage, or one that keeps nothing.
    #[must_use]
    pub fn cache_figures(&self, stage: &str) -> Option<CacheFigures> {
        let mut stages = self.stages(Hook::CacheGet).iter();
        let stage = stages.find(|known| *known.name == *stage)?;
        match &stage.action {
            Action::Cache(store) => Some(store.figures()),
            _ => None,
        }
    }

    /// Closes every breaker and fills every bucket: each of a policy's tests begins anew.
    pub fn forget(&self) {
        for stage in self.hooks.iter().flatten() {
            stage.breaker.reset();
            if let Action::Limit(limiter) = &stage.action {
                limiter.forget();
            }
        }
    }

    /// Whether asking the stage may take time: its own, or that of the events it emits.
    fn waits_for(&self, stage: &Stage) -> bool {
        stage.may_wait || self.waits.custom && matches!(stage.action, Action::Guest(_))
    }

    /// The time for the guards of a moment's stages; `None` where none of them asks.
    fn now(&self, services: &Arc<dyn Services>) -> Option<u64> {
        self.asks_time.then(|| services.unix_micros())
    }

    fn stages(&self, hook: Hook) -> &[Arc<Stage>] {
        &self.hooks[hook.index()]
    }
}
