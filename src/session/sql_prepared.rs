//! What a session has prepared by PREPARE of SQL: stored, and expected of what is under way. What was prepared by Parse is in
//! `statement`.

use super::statement::After;
use super::statement::STATEMENTS_MAX;
use crate::pipeline::Prepared;
use std::collections::HashMap;
use std::sync::Arc;

/// What SQL-level PREPARE has stored, and what statements under way will store or drop if they succeed.
///
/// The server runs them in order and stops at the first that fails, so what is expected is true whenever a later statement
/// of the same message or batch runs at all. A PREPARE of a name that is taken will fail, and is not expected to store.
#[derive(Debug, Default)]
pub(super) struct SqlPrepared {
    stored: HashMap<Arc<str>, Arc<str>>,
    expected: HashMap<Arc<str>, Option<Arc<str>>>,
    all_dropped: bool,
}

impl SqlPrepared {
    /// A statement that was decided will do this if it succeeds.
    pub(super) fn expect(&mut self, after: &After) {
        match after {
            After::Prepare { name, body } if self.body(name).is_none() => {
                self.expected
                    .insert(Arc::clone(name), Some(Arc::clone(body)));
            }
            After::Deallocate { name, .. } => {
                self.expected.insert(Arc::clone(name), None);
            }
            After::DeallocateAll | After::DiscardAll => {
                self.expected.clear();
                self.all_dropped = true;
            }
            _ => (),
        }
    }

    /// What is expected now, to be put back when the message is refused after all.
    pub(super) fn expected(&self) -> (HashMap<Arc<str>, Option<Arc<str>>>, bool) {
        (self.expected.clone(), self.all_dropped)
    }

    /// The message was refused: nothing of it happens.
    pub(super) fn expect_again(&mut self, before: (HashMap<Arc<str>, Option<Arc<str>>>, bool)) {
        (self.expected, self.all_dropped) = before;
    }

    /// Everything under way has ended; what succeeded has been stored.
    pub(super) fn settle(&mut self) {
        self.expected.clear();
        self.all_dropped = false;
    }

    pub(super) fn store(&mut self, name: Arc<str>, body: Arc<str>) {
        if self.stored.len() < STATEMENTS_MAX {
            self.stored.insert(name, body);
        }
    }

    pub(super) fn drop(&mut self, name: &str) {
        self.stored.remove(name);
    }

    pub(super) fn drop_all(&mut self) {
        self.stored.clear();
    }
}

impl Prepared for SqlPrepared {
    fn body(&self, name: &str) -> Option<Arc<str>> {
        match self.expected.get(name) {
            Some(expected) => expected.clone(),
            None if self.all_dropped => None,
            None => self.stored.get(name).map(Arc::clone),
        }
    }
}
