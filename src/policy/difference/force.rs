//! What a stage forces on statements, where it stands. Owns no change: what becomes of it when a stage comes, goes or moves is
//! told by `stage` and `pipeline`.
//!
//! `deny` and `limit` only ever take something away. `allow`, and a `route` that ends its list, only ever give something: what
//! stands behind them is not asked. A `rewrite` takes away as well, unless what stands behind it looks at the text. A script or
//! plugin may do either, so that nothing is claimed of it beyond its rights and limits.

use super::Way;
use crate::hook::Hook;
use crate::policy::Action;
use crate::policy::Mode;
use crate::policy::Pipeline;
use crate::policy::Policy;
use crate::policy::Stage;
use crate::policy::predicate::Test;
use crate::sandbox::See;

/// What guests may see of a statement. Whether it has a limit, and how long it is, is part of the least of it.
const OF_STATEMENTS: [See; 5] = [
    See::SqlText,
    See::SqlNormalized,
    See::SqlFingerprint,
    See::SqlKind,
    See::SqlTables,
];

/// What a stage does to what is allowed, where it is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Force {
    /// It takes away.
    Tightens,
    /// It gives.
    Loosens,
    /// It bounds, and what stands behind it is asked about another text: a `deny` of statements without a limit no longer meets
    /// those that were given one.
    Rewrites,
    /// Whatever it likes.
    Unknown,
    /// It changes no verdict: it does not count, or has nothing to say about it.
    Nothing,
}

impl Force {
    /// Of the action alone.
    fn of_action(stage: &Stage) -> Self {
        match stage.action {
            Action::Deny(_) | Action::Limit(_) | Action::Mask(_) | Action::Rewrite { .. } => {
                Self::Tightens
            }
            Action::Allow => Self::Loosens,
            Action::Route { .. } if stage.ends_list() => Self::Loosens,
            Action::Route { .. } | Action::Log { .. } | Action::Cache(_) => Self::Nothing,
            Action::Script(_) | Action::Plugin(_) => Self::Unknown,
        }
    }

    /// Where it is known that something stands behind it, as where two stages change places.
    pub(super) fn in_list(policy: &Policy, stage: &Stage) -> Self {
        match (stage.mode, Self::of_action(stage)) {
            (Mode::Observe | Mode::Off, _) => Self::Nothing,
            (Mode::Enforce, Self::Tightens) if is_read_behind(policy, stage) => Self::Rewrites,
            (Mode::Enforce, force) => force,
        }
    }

    /// In its policy: where nothing behind it could refuse, an `allow` gives nothing.
    pub(super) fn of(policy: &Policy, stage: &Stage) -> Self {
        match Self::in_list(policy, stage) {
            Self::Loosens if !spares_something(policy, stage) => Self::Nothing,
            force => force,
        }
    }

    /// Which way a policy moves when a stage of this force comes to be asked.
    pub(super) fn way_of_presence(self) -> Way {
        match self {
            Self::Tightens => Way::Narrows,
            Self::Loosens => Way::Widens,
            Self::Rewrites | Self::Unknown | Self::Nothing => Way::Changes,
        }
    }
}

/// Where a stage stands: of each list that it is in, the pipeline, the hook and what is asked behind it there.
fn places<'p>(
    policy: &'p Policy,
    stage: &Stage,
) -> impl Iterator<Item = (&'p Pipeline, Hook, &'p [usize])> {
    let lists = policy.pipelines.iter().flat_map(|pipeline| {
        let lists = Hook::all().zip(&pipeline.hooks);
        lists.map(move |(hook, ids)| (pipeline, hook, ids))
    });
    lists.filter_map(|(pipeline, hook, ids)| {
        let own = |id: &usize| {
            let known = policy.stages.get(*id);
            known.is_some_and(|known| known.name == stage.name)
        };
        let at = ids.iter().position(own)?;
        Some((pipeline, hook, ids.get(at + 1..).unwrap_or_default()))
    })
}

/// Whether anything stands behind a stage that ends its list and could have refused.
fn spares_something(policy: &Policy, stage: &Stage) -> bool {
    let may_refuse = |id: &usize| {
        let behind = policy.stages.get(*id);
        behind.is_some_and(|behind| {
            let force = Force::of_action(behind);
            behind.mode == Mode::Enforce
                && !stage.passes(behind)
                && matches!(force, Force::Tightens | Force::Unknown)
        })
    };
    places(policy, stage).any(|(pipeline, hook, behind)| {
        let denied = hook == Hook::Authorize && !pipeline.otherwise.authorize_allows();
        denied || behind.iter().any(may_refuse)
    })
}

/// Whether a stage adds a limit to statements, and anything that decides on them later looks at what that changes.
fn is_read_behind(policy: &Policy, stage: &Stage) -> bool {
    let adds = matches!(stage.action, Action::Rewrite { add_limit, .. } if add_limit.is_some());
    let reads = |id: &usize| {
        let later = policy.stages.get(*id);
        later.is_some_and(|later| reads_text(policy, later))
    };
    adds && places(policy, stage).any(|(pipeline, hook, behind)| {
        let mut later = Hook::all()
            .zip(&pipeline.hooks)
            .filter(|(other, _)| hook < *other && other.has_statement() && !other.is_observer());
        behind.iter().any(reads) || later.any(|(_, ids)| ids.iter().any(reads))
    })
}

/// Whether what it leads to may depend on the limit that a statement has.
fn reads_text(policy: &Policy, stage: &Stage) -> bool {
    let mut tests = stage.when.tests().iter().chain(stage.unless.tests());
    let mut asks = || tests.any(Test::depends_on_limit);
    stage.mode == Mode::Enforce
        && match Force::of_action(stage) {
            Force::Nothing => false,
            Force::Loosens => asks() && spares_something(policy, stage),
            Force::Unknown => asks() || OF_STATEMENTS.iter().any(|see| stage.grants.may_see(*see)),
            Force::Tightens | Force::Rewrites => asks(),
        }
}
