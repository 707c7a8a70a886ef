//! What a cache would have by now in a played session: answers without rows, and what was written since. Owns no cache; those of
//! the process are not touched.

use crate::hook::SessionContext;
use crate::pipeline::Asked;
use crate::pipeline::Cacheable;
use crate::pipeline::Circumstances;
use crate::pipeline::Generations;
use crate::pipeline::Key;
use crate::pipeline::Stamp;
use crate::pipeline::Trace;
use crate::pipeline::Verdict;
use crate::statement;
use crate::statement::Writes;
use std::collections::HashMap;
use std::sync::Arc;

/// The answers that would be kept, by stage and key.
#[derive(Default)]
pub(super) struct Kept {
    answers: HashMap<(Arc<str>, Key), Stamp>,
    written: Generations,
}

/// An answer that the node would give now, and a cache keep.
pub(super) struct Wanted {
    cache: Arc<Cacheable>,
    key: Key,
    stamp: Stamp,
}

impl Kept {
    /// Has the trace say where a cache has the answer; where one would keep it, what to keep. What is bound to parameters is not
    /// known here, so it is taken for the same.
    pub(super) fn look_up(
        &self,
        trace: &mut Trace,
        session: &SessionContext,
        text: &str,
    ) -> Option<Wanted> {
        let Verdict::Forward(permit) = &trace.verdict else {
            return None;
        };
        let cache = Arc::clone(permit.cache()?);
        let circumstances = Circumstances {
            database: &session.database,
            origin: &[],
            login: &session.identity.user,
            settings: &[],
        };
        let asked = Asked {
            text: text.as_bytes(),
            types: Asked::NO_TYPES,
        };
        let key = cache.key(&circumstances, asked, Asked::NOTHING_BOUND);
        let known = self.answers.get(&(Arc::clone(cache.stage()), key));
        if known.is_some_and(|stamp| cache.is_good(&self.written, &session.database, *stamp)) {
            trace.answered(&cache, Arc::default());
            return None;
        }
        Some(Wanted {
            cache,
            key,
            stamp: self.written.stamp(),
        })
    }

    /// The node has answered; `is_late` where it is a standby.
    pub(super) fn keep(&mut self, wanted: Wanted, is_late: bool) {
        let Wanted { cache, key, stamp } = wanted;
        if !is_late || cache.takes_late_answers() {
            self.answers.insert((Arc::clone(cache.stage()), key), stamp);
        }
    }

    /// The node has run a statement.
    pub(super) fn ran(&self, trace: &Trace, session: &SessionContext, text: &str) {
        if !matches!(trace.verdict, Verdict::Forward(_)) {
            return;
        }
        let Some(facts) = &trace.facts else { return };
        match statement::writes(text, facts) {
            Writes::Nothing => (),
            Writes::Tables(relations) => {
                self.written.wrote_relations(&session.database, &relations);
            }
            Writes::Anything => self.written.wrote_anything(&session.database),
        }
    }
}
