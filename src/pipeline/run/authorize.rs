//! `authorize` and `cache_get`: whether the statement may run, what is masked in its rows, and whether a kept answer will do.
//! Owns no asking of one stage.

use super::super::mask::Hidden;
use super::super::mask::Masks;
use super::super::stage::Action;
use super::super::stage::Asked;
use super::super::verdict::Decider;
use super::Run;
use super::Stop;
use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::Refusal;
use crate::hook::Rows;
use crate::sqlstate::SqlState;
use std::sync::Arc;

impl Run<'_> {
    pub(super) fn authorize(&mut self) -> Result<(), Stop> {
        let mut allowed = false;
        for stage in self.rest(Hook::Authorize) {
            // What is allowed is masked all the same.
            if allowed && !matches!(stage.action, Action::Mask(_)) {
                continue;
            }
            match self.ask(stage, Hook::Authorize)? {
                Asked::Answer(Answer::Allow) => {
                    self.by = Decider::Stage(Arc::clone(&stage.name));
                    allowed = true;
                }
                Asked::Masks(hidden) => self.mask(hidden),
                _ => (),
            }
        }
        if allowed || self.pipeline.otherwise.authorize_allows() {
            return Ok(());
        }
        self.by = Decider::Default;
        let refusal = Refusal::with_code(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "no rule of the policy allows this statement",
        );
        Err(Stop::Refused(Box::new(self.signed(refusal))))
    }

    fn mask(&mut self, hidden: Option<Hidden>) {
        let masks = self.masks.get_or_insert_with(Masks::none);
        if let Some(hidden) = hidden {
            Arc::make_mut(masks).push(hidden);
        }
    }

    fn hides(&self) -> bool {
        self.masks.as_ref().is_some_and(|masks| masks.hides())
    }

    pub(super) fn cache_get(&mut self) -> Result<Option<Rows>, Stop> {
        for stage in self.rest(Hook::CacheGet) {
            match self.ask(stage, Hook::CacheGet)? {
                Asked::Answer(Answer::Cached(rows)) => {
                    self.by = Decider::Stage(Arc::clone(&stage.name));
                    return Ok(Some(rows));
                }
                // What is masked for one is not for another: neither is kept, nor what was kept given.
                Asked::Cache(Ok(_)) if self.hides() => (),
                Asked::Cache(Ok(cache)) => {
                    self.cache.get_or_insert_with(|| Arc::from(cache));
                }
                _ => (),
            }
        }
        Ok(None)
    }
}
