//! What it leads to that guards answer otherwise: about a user who has other roles, about a listener of another name. Owns no
//! change of the guards themselves: that is `stage`'s.

use super::Way;
use super::force::Force;
use super::words::ticked;
use crate::policy::Policy;
use crate::policy::Stage;
use crate::policy::predicate::Test;

/// The stages whose guards answer otherwise, by what follows from it.
#[derive(Default)]
pub(super) struct Turned<'p> {
    /// More passes them.
    opens: Vec<&'p str>,
    /// Less passes them.
    closes: Vec<&'p str>,
    /// They decide, and nobody knows what.
    unknown: Vec<&'p str>,
}

impl<'p> Turned<'p> {
    /// The stages of a policy of which a key has answered `before` and answers `after`.
    pub(super) fn of(
        policy: &'p Policy,
        before: &dyn Fn(&Test) -> bool,
        after: &dyn Fn(&Test) -> bool,
    ) -> Self {
        let mut turned = Self::default();
        for stage in &policy.stages {
            let force = Force::of(policy, stage);
            for (tests, is_when) in [(stage.when.tests(), true), (stage.unless.tests(), false)] {
                for test in tests {
                    turned.note(stage, force, is_when, (before(test), after(test)));
                }
            }
        }
        turned
    }

    /// A key of `when`, or of `unless`, has answered the one and answers the other.
    pub(super) fn note(
        &mut self,
        stage: &'p Stage,
        force: Force,
        is_when: bool,
        (before, after): (bool, bool),
    ) {
        if before == after || force == Force::Nothing {
            return;
        }
        let way = match after == is_when {
            true => force.way_of_presence(),
            false => force.way_of_presence().opposite(),
        };
        match way {
            Way::Widens => self.opens.push(&stage.name),
            Way::Narrows => self.closes.push(&stage.name),
            Way::Changes => self.unknown.push(&stage.name),
        }
    }

    /// Each way that follows, and why. Beside a stage of which nothing is known, what closes is not certain.
    pub(super) fn ways(self) -> Vec<(Way, String)> {
        let mut ways = Vec::new();
        let more = (!self.opens.is_empty()).then(|| format!("more passes {}", ticked(self.opens)));
        let less =
            (!self.closes.is_empty()).then(|| format!("less passes {}", ticked(self.closes)));
        let is_certain = self.unknown.is_empty();
        let perhaps =
            (!is_certain).then(|| format!("{} may decide otherwise", ticked(self.unknown)));
        match (more, less) {
            (more, Some(less)) if is_certain => {
                ways.extend(more.map(|why| (Way::Widens, why)));
                ways.push((Way::Narrows, less));
            }
            (Some(more), _) => ways.push((Way::Widens, more)),
            (None, less) => {
                let whys: Vec<String> = less.into_iter().chain(perhaps).collect();
                if !whys.is_empty() {
                    ways.push((Way::Changes, whys.join("; ")));
                }
            }
        }
        ways
    }

    /// A stage that may look at what has changed without asking for it.
    pub(super) fn may_look(&mut self, stage: &'p Stage) {
        self.unknown.push(&stage.name);
    }
}
