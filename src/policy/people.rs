//! Who can log in, as far as a policy says, and about whom a stage may be asked. Owns no user: what is written of one is `user`'s.

use super::Policy;
use super::Stage;
use super::predicate::Known;
use super::predicate::Test;
use crate::hook::Hook;
use crate::sandbox::Call;

impl Policy {
    /// Whether stages may set attributes, so that what a session has of them is not known from the policy.
    pub(super) fn sets_attributes(&self) -> bool {
        let mut stages = self.stages.iter();
        stages.any(|stage| stage.grants.may_call(Call::Attributes))
    }

    /// Whether stages say who somebody is, so that users and their roles are not known from the policy.
    pub(super) fn asks_who(&self) -> bool {
        let hook = Hook::Authenticate.index();
        let mut pipelines = self.pipelines.iter();
        pipelines.any(|pipeline| !pipeline.hooks[hook].is_empty())
    }

    /// Whether everybody who can log in is a `[user.NAME]` with the roles that are written there.
    pub(super) fn knows_everybody(&self) -> bool {
        !self.users.is_empty() && !self.asks_who()
    }

    /// The users about whom the stage may be asked, where everybody is known.
    pub(super) fn users_of(&self, stage: &Stage) -> Vec<&str> {
        self.users_who(stage.when.tests(), stage.unless.tests())
    }

    /// The users that all of `when` may match and none of `unless` surely does.
    pub(super) fn users_who(&self, when: &[Test], unless: &[Test]) -> Vec<&str> {
        let learns = self.sets_attributes();
        let mut found = Vec::new();
        for user in self.users.values() {
            let attribute = |name: &str| {
                let value = user.attributes.get(name).map(|value| &**value);
                (value.is_some() || !learns).then_some(value)
            };
            let known = Known {
                user: &user.name,
                roles: &user.roles,
                attribute: &attribute,
            };
            let mut wanted = when.iter();
            let mut spared = unless.iter();
            if wanted.all(|test| test.matches_user(known) != Some(false))
                && spared.all(|test| test.matches_user(known) != Some(true))
            {
                found.push(&*user.name);
            }
        }
        found
    }

    /// Whether two stages are surely never asked about the same user, once that is logged in.
    #[must_use]
    pub fn share_nobody(&self, one: &Stage, other: &Stage) -> bool {
        if !self.knows_everybody() {
            return false;
        }
        let others = self.users_of(other);
        !self.users_of(one).iter().any(|user| others.contains(user))
    }
}
