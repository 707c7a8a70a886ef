//! What was written, by database and table: the one thing all caches of the process are judged by. Owns no answer.
//!
//! Every write moves a clock forward and leaves its hand at what it wrote. An answer carries the hand from before its statement
//! was sent; it is good as long as nothing that it depends on has a later one. So a read that began before a write and ends
//! after it is never good, whenever it is kept, and no list of answers is walked when something is written.

use crate::statement::Relations;
use std::collections::HashMap;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::AcqRel;
use std::sync::atomic::Ordering::Acquire;

/// Names of tables of one database whose writes are told apart.
const TABLES_MAX: usize = 10_000;
/// Databases whose writes are told apart.
const DATABASES_MAX: usize = 1_000;

/// A moment between two writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stamp(u64);

/// When what was written last.
#[derive(Debug, Default)]
pub struct Generations {
    written: RwLock<Written>,
    /// Stores that go by it.
    stores: AtomicUsize,
}

#[derive(Debug, Default)]
struct Written {
    now: u64,
    /// Whatever was written before this is not known.
    forgotten: u64,
    databases: HashMap<Box<str>, Database>,
}

#[derive(Debug, Default)]
struct Database {
    any: u64,
    everything: u64,
    /// By the last part of the name: which schema an unqualified name is found in, no text tells.
    tables: HashMap<Box<str>, u64>,
}

impl Generations {
    /// Whether anybody wants to know what is written.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.stores.load(Acquire) != 0
    }

    pub(super) fn watch(&self) {
        self.stores.fetch_add(1, AcqRel);
    }

    pub(super) fn unwatch(&self) {
        self.stores.fetch_sub(1, AcqRel);
    }

    /// The moment it is now.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp(self.read().now)
    }

    /// Some of these tables are written, by any schema.
    pub fn wrote<'t>(&self, database: &str, tables: impl Iterator<Item = &'t str>) {
        let mut written = self.write();
        let (now, database) = written.next(database);
        database.any = now;
        for table in tables {
            if let Some(known) = database.tables.get_mut(table) {
                *known = now;
            } else if database.tables.len() < TABLES_MAX {
                database.tables.insert(table.into(), now);
            } else {
                database.tables.clear();
                database.everything = now;
            }
        }
    }

    /// Anything in the database may be written.
    pub fn wrote_anything(&self, database: &str) {
        let mut written = self.write();
        let (now, database) = written.next(database);
        database.any = now;
        database.everything = now;
        database.tables.clear();
    }

    /// The same as [`Self::wrote`] for what a statement names.
    pub fn wrote_relations(&self, database: &str, relations: &Relations) {
        self.wrote(database, relations.tables.iter().map(|table| &*table.name));
    }

    /// Whether none of these tables was written since then.
    #[must_use]
    pub fn none_since<'t>(
        &self,
        database: &str,
        mut tables: impl Iterator<Item = &'t str>,
        stamp: Stamp,
    ) -> bool {
        let written = self.read();
        let is_old = |at: u64| at <= stamp.0;
        is_old(written.forgotten)
            && written.databases.get(database).is_none_or(|database| {
                is_old(database.everything)
                    && tables.all(|table| database.tables.get(table).is_none_or(|at| is_old(*at)))
            })
    }

    /// Whether nothing in the database was written since then.
    #[must_use]
    pub fn nothing_since(&self, database: &str, stamp: Stamp) -> bool {
        let written = self.read();
        let database = written.databases.get(database);
        written.forgotten <= stamp.0 && database.is_none_or(|database| database.any <= stamp.0)
    }

    fn read(&self) -> RwLockReadGuard<'_, Written> {
        self.written.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Written> {
        self.written.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    /// The next moment, and the database that is written at it.
    fn next(&mut self, name: &str) -> (u64, &mut Database) {
        self.now += 1;
        if !self.databases.contains_key(name) && DATABASES_MAX <= self.databases.len() {
            self.databases.clear();
            self.forgotten = self.now;
        }
        (self.now, self.databases.entry(name.into()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::Just;
    use proptest::prelude::Strategy;
    use proptest::prelude::prop;
    use proptest::prop_assert;
    use proptest::prop_oneof;
    use proptest::proptest;

    #[test]
    fn what_is_written_ends_what_reads_it_and_nothing_else() {
        let written = Generations::default();
        let before = written.stamp();
        written.wrote("db", ["a"].into_iter());
        let after = written.stamp();
        let none = |tables: &[&'static str], stamp| {
            written.none_since("db", tables.iter().copied(), stamp)
        };
        assert!(!none(&["b", "a"], before) && none(&["b"], before) && none(&["a"], after));
        assert!(!written.nothing_since("db", before) && written.nothing_since("db", after));
        assert!(written.none_since("other", ["a"].into_iter(), before));
        assert!(written.nothing_since("other", before));
        written.wrote_anything("db");
        assert!(!none(&["b"], after) && !none(&[], after));
        assert!(none(&["a", "b"], written.stamp()));
    }

    #[test]
    fn what_cannot_be_told_apart_any_more_counts_as_written() {
        let written = Generations::default();
        let before = written.stamp();
        for number in 0..=TABLES_MAX {
            written.wrote("db", [format!("t{number}").as_str()].into_iter());
        }
        assert!(!written.none_since("db", ["other"].into_iter(), before));
        let before = written.stamp();
        for number in 0..DATABASES_MAX {
            written.wrote_anything(&format!("d{number}"));
        }
        assert!(!written.none_since("db", ["other"].into_iter(), before));
        assert!(!written.nothing_since("db", before));
    }

    /// A table that is read and written in steps that fall in any order: a write is told of when it is sent and when it has
    /// ended, and takes effect between the two; a read takes its stamp, sees the table, and is kept.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Send,
        Take,
        End,
        Stamp,
        Read,
        Keep,
        Give,
    }

    fn steps() -> impl Strategy<Value = Vec<(Step, usize)>> {
        let step = prop_oneof![
            Just(Step::Send),
            Just(Step::Take),
            Just(Step::End),
            Just(Step::Stamp),
            Just(Step::Read),
            Just(Step::Keep),
            Just(Step::Give),
        ];
        prop::collection::vec((step, 0..2_usize), 0..60)
    }

    proptest! {
        /// Whoever has been told that a write has ended is not given what was read before it.
        #[test]
        fn no_order_of_steps_gives_what_a_finished_write_has_ended(steps in steps()) {
            let written = Generations::default();
            let (mut table, mut finished) = (0_u64, 0_u64);
            let mut writers: [Option<Option<u64>>; 2] = [None; 2];
            let mut readers: [(Option<Stamp>, Option<u64>); 2] = [(None, None); 2];
            let mut kept: Option<(Stamp, u64)> = None;
            for (step, who) in steps {
                match step {
                    Step::Send if writers[who].is_none() => {
                        written.wrote("db", ["t"].into_iter());
                        writers[who] = Some(None);
                    }
                    Step::Take if writers[who] == Some(None) => {
                        table += 1;
                        writers[who] = Some(Some(table));
                    }
                    Step::End => if let Some(value) = writers[who].take() {
                        written.wrote("db", ["t"].into_iter());
                        finished = finished.max(value.unwrap_or(0));
                    },
                    Step::Stamp => readers[who] = (Some(written.stamp()), None),
                    Step::Read if readers[who].0.is_some() => readers[who].1 = Some(table),
                    Step::Keep => if let (Some(stamp), Some(value)) = readers[who] {
                        kept = Some((stamp, value));
                        readers[who] = (None, None);
                    },
                    Step::Give => if let Some((stamp, value)) = kept {
                        let good = written.none_since("db", ["t"].into_iter(), stamp);
                        prop_assert!(!good || finished <= value);
                    },
                    _ => (),
                }
            }
        }
    }
}
