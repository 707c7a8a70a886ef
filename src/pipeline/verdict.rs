//! What `decide` returns: the verdict, the permit that lets a statement reach a node, and the trace that explains both.

use super::Masks;
use super::cache::Answer;
use super::cache::Cacheable;
use crate::hook::Hook;
use crate::hook::Refusal;
use crate::hook::Rows;
use crate::hook::SessionContext;
use crate::policy::Explained;
use crate::policy::RouteTarget;
use crate::sandbox::Fault;
use crate::statement::Facts;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Proof that the stages let this statement pass, and how it goes on.
///
/// The fields are private and only `pipeline/run` makes one; `pool` sends nothing of a statement without it.
#[must_use]
#[derive(Clone, Debug)]
pub struct Permit {
    text: Option<Arc<str>>,
    route: RouteTarget,
    otherwise: Option<RouteTarget>,
    timeout: Option<Duration>,
    cache: Option<Arc<Cacheable>>,
}

impl Permit {
    pub(super) fn new(
        text: Option<Arc<str>>,
        route: RouteTarget,
        otherwise: Option<RouteTarget>,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            text,
            route,
            otherwise,
            timeout,
            cache: None,
        }
    }

    /// The same for a statement whose answer may be kept.
    pub(super) fn cacheable(self, cache: Option<Arc<Cacheable>>) -> Self {
        Self { cache, ..self }
    }

    /// The cache that may have its answer, or keep it.
    #[must_use]
    pub fn cache(&self) -> Option<&Arc<Cacheable>> {
        self.cache.as_ref()
    }

    /// The text to send, where a stage replaced it; `None` sends what the client sent.
    #[must_use]
    pub fn text(&self) -> Option<&Arc<str>> {
        self.text.as_ref()
    }

    /// Where it goes.
    #[must_use]
    pub fn route(&self) -> RouteTarget {
        self.route
    }

    /// Where it goes when no node of `route` can be had.
    #[must_use]
    pub fn otherwise(&self) -> Option<RouteTarget> {
        self.otherwise
    }

    /// How long it may run on the node.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// One permit for the several statements of a Query message: their routes must agree or it goes to the primary,
    /// the shortest time limit holds, and `text` is the whole message where any of them was rewritten.
    pub fn join(self, other: Self, text: Option<Arc<str>>) -> Self {
        let same = self.route == other.route;
        Self {
            text,
            route: if same {
                self.route
            } else {
                RouteTarget::Primary
            },
            otherwise: if same {
                self.otherwise.or(other.otherwise)
            } else {
                None
            },
            timeout: match (self.timeout, other.timeout) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
            cache: None,
        }
    }
}

/// What becomes of a statement.
#[must_use]
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The client gets this error, and no node hears of the statement.
    Refuse(Refusal),
    /// The client gets these rows, and no node hears of the statement.
    Reply(Rows),
    /// The client gets this answer, which a node gave before, and no node hears of the statement.
    Cached(Permit, Arc<Answer>),
    /// It goes to a node.
    Forward(Permit),
}

/// A route as a word; nodes and branches by their ids.
#[must_use]
pub fn route_word(route: RouteTarget) -> String {
    match route {
        RouteTarget::Default => "default".to_owned(),
        RouteTarget::Primary => "primary".to_owned(),
        RouteTarget::Standby => "standby".to_owned(),
        RouteTarget::Node(id) => format!("node {id}"),
        RouteTarget::Branch(id) => format!("branch {id}"),
    }
}

/// Who decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decider {
    /// Nobody objected; the end of the chains decided.
    Default,
    /// The stage of that name.
    Stage(Arc<str>),
    /// `[sql]` in the policy: unparsed, too large, too many statements.
    Sql(&'static str),
}

impl Decider {
    /// The stage's name, or the name of the rule.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Default => "otherwise",
            Self::Stage(name) => name,
            Self::Sql(rule) => rule,
        }
    }
}

/// How much a trace records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// The verdict and who decided.
    Verdict,
    /// The stages that took part as well, what each came to and what it cost.
    Stages,
    /// Every stage asked, and why it matched or not.
    Full,
}

/// One stage's part in a decision.
#[derive(Clone, Debug)]
pub struct Step {
    /// The moment.
    pub hook: Hook,
    /// The stage.
    pub stage: Arc<str>,
    /// Where it stands: `file:line`.
    pub place: Arc<str>,
    /// Each key of `when` and `unless`, and what it came to; with [`Detail::Full`].
    pub guards: Vec<Guard>,
    /// Whether its `when` matched; `None` where it has none, and without [`Detail::Full`].
    pub when: Option<bool>,
    /// Whether its `unless` matched; `None` also where `when` did not, so that nobody asked.
    pub unless: Option<bool>,
    /// What came of it.
    pub result: StepResult,
    /// Fuel it spent.
    pub fuel: u64,
    /// How long it took, of guests.
    pub took: Option<Duration>,
}

impl Step {
    /// Its guards and what each came to, as text; empty where it has none.
    #[must_use]
    pub fn reasons(&self) -> String {
        let guards: Vec<String> = self.guards.iter().map(Guard::to_string).collect();
        guards.join(", ")
    }
}

/// One key of a stage's guards, asked.
#[derive(Clone, Debug)]
pub struct Guard {
    /// `when` or `unless`.
    pub word: &'static str,
    /// The key, and what it came to.
    pub asked: Explained,
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explained {
            key,
            wanted,
            found,
            matched,
        } = &self.asked;
        let matched = if *matched { "yes" } else { "no" };
        write!(f, "{} {key}={wanted} {matched}, it is {found}", self.word)
    }
}

/// What came of asking one stage.
#[derive(Clone, Debug)]
pub enum StepResult {
    /// `mode = "off"`.
    Off,
    /// Its guards did not match.
    Skipped,
    /// It answered; the text names the answer.
    Answered(Cow<'static, str>),
    /// It answered, but only observes.
    Observed(Cow<'static, str>),
    /// It failed.
    Failed(Fault),
}

/// A decision and how it came about.
#[must_use]
#[derive(Clone, Debug)]
pub struct Trace {
    /// What becomes of the statement.
    pub verdict: Verdict,
    /// Who decided.
    pub by: Decider,
    /// Who decided the route, where the verdict is to forward.
    pub routed_by: Decider,
    /// Who replaced its text or bounded its time, last.
    pub bounded_by: Decider,
    /// What was found out about the statement that goes on; `None` where nobody asked.
    pub facts: Option<Arc<Facts>>,
    /// The text that goes on, where a stage replaced it.
    pub text: Option<Arc<str>>,
    /// What was found out about the statement that came, where a stage replaced it.
    pub came: Option<Arc<Facts>>,
    /// What is masked in the node's rows; `None` where no stage that masks was asked.
    pub masks: Option<Arc<Masks>>,
    /// Fuel spent by all stages.
    pub fuel: u64,
    /// Stages that failed.
    pub faults: u32,
    /// The session with the attributes that stages have set for this statement.
    pub learned: Option<Box<SessionContext>>,
    /// The stages that took part, with [`Detail::Stages`]; all of them with [`Detail::Full`].
    pub steps: Vec<Step>,
}

impl Trace {
    /// The masked columns that the node's rows may hold, as the policy writes them; each once, sorted.
    #[must_use]
    pub fn masked(&self) -> Vec<Arc<str>> {
        match (&self.verdict, &self.masks) {
            (Verdict::Forward(_) | Verdict::Cached(..), Some(masks)) => masks.columns(),
            _ => Vec::new(),
        }
    }

    /// The statement is answered from the cache that its permit names.
    pub fn answered(&mut self, cache: &Cacheable, answer: Arc<Answer>) {
        self.by = Decider::Stage(Arc::clone(cache.stage()));
        self.routed_by = Decider::Default;
        let of_cache =
            |step: &&mut Step| step.hook == Hook::CacheGet && step.stage == *cache.stage();
        if let Some(step) = self.steps.iter_mut().find(of_cache) {
            step.result = StepResult::Answered("cached".into());
        }
        if let Verdict::Forward(permit) = &self.verdict {
            self.verdict = Verdict::Cached(permit.clone(), answer);
        }
    }

    /// Of what was refused before any stage was asked.
    pub fn refused(by: Decider, refusal: Refusal) -> Self {
        Self {
            verdict: Verdict::Refuse(refusal),
            by,
            routed_by: Decider::Default,
            bounded_by: Decider::Default,
            facts: None,
            text: None,
            came: None,
            masks: None,
            fuel: 0,
            faults: 0,
            learned: None,
            steps: Vec::new(),
        }
    }
}
