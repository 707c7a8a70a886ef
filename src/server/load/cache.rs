//! Rows of declared statements, kept for the same arguments. Owns no clock; it goes with its policy revision.

use crate::hook::Rows;
use crate::sandbox::DeclaredQuery;
use crate::sandbox::Query;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

/// Answers kept at most, and their bytes.
const ENTRIES_MAX: usize = 10_000;
const BYTES_MAX: usize = 8 << 20;
/// An answer's bytes besides its texts.
const ENTRY_BYTES: usize = 256;
/// A text's bytes besides its content.
const TEXT_BYTES: usize = 32;

/// Answers, the oldest of which go first.
#[derive(Default)]
pub(super) struct Cache {
    keys: RandomState,
    entries: HashMap<u64, Entry>,
    /// Every key, once for each time it was put; the entry counts under the last.
    order: VecDeque<(u64, u64)>,
    puts: u64,
    bytes: usize,
}

struct Entry {
    statement: Arc<DeclaredQuery>,
    args: Vec<Option<String>>,
    rows: Arc<Rows>,
    at: Duration,
    put: u64,
    bytes: usize,
}

impl Entry {
    fn answers(&self, query: &Query) -> bool {
        Arc::ptr_eq(&self.statement, &query.statement) && self.args == query.args
    }
}

impl Cache {
    fn key(&self, query: &Query) -> u64 {
        self.keys
            .hash_one((Arc::as_ptr(&query.statement).addr(), &query.args))
    }

    /// The answer to that question, if it is not older than `age_max`.
    pub(super) fn get(&self, query: &Query, now: Duration, age_max: Duration) -> Option<Arc<Rows>> {
        let entry = self.entries.get(&self.key(query))?;
        let fresh = now.saturating_sub(entry.at) <= age_max;
        (fresh && entry.answers(query)).then(|| Arc::clone(&entry.rows))
    }

    /// Keeps an answer; the oldest make room for it.
    pub(super) fn put(&mut self, query: &Query, rows: &Arc<Rows>, at: Duration) {
        let texts = rows.columns.iter().map(String::len);
        let values = rows.rows.iter().flatten().chain(&query.args);
        let values = values.map(|value| value.as_ref().map_or(0, String::len));
        let bytes: usize = texts.chain(values).map(|len| len + TEXT_BYTES).sum();
        let bytes = bytes + ENTRY_BYTES;
        if BYTES_MAX / 8 < bytes {
            return;
        }
        let key = self.key(query);
        self.puts += 1;
        let entry = Entry {
            statement: Arc::clone(&query.statement),
            args: query.args.clone(),
            rows: Arc::clone(rows),
            at,
            put: self.puts,
            bytes,
        };
        if let Some(old) = self.entries.insert(key, entry) {
            self.bytes -= old.bytes;
        }
        self.bytes += bytes;
        self.order.push_back((key, self.puts));
        while ENTRIES_MAX < self.order.len() || BYTES_MAX < self.bytes {
            let Some((key, put)) = self.order.pop_front() else {
                return;
            };
            if self.entries.get(&key).is_some_and(|entry| entry.put == put)
                && let Some(old) = self.entries.remove(&key)
            {
                self.bytes -= old.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::QueryNode;

    fn query(statement: &Arc<DeclaredQuery>, arg: &str) -> Query {
        Query {
            statement: Arc::clone(statement),
            args: vec![Some(arg.to_owned())],
            load: None,
            cache: Some(Duration::from_secs(1)),
        }
    }

    fn statement() -> Arc<DeclaredQuery> {
        Arc::new(DeclaredQuery {
            set: "set".into(),
            name: "name".into(),
            sql: "SELECT $1".into(),
            params: 1,
            pool: "pool".into(),
            database: "app".into(),
            node: QueryNode::Any,
            max_rows: 1,
            max_bytes: 1,
            timeout: Duration::from_secs(1),
        })
    }

    fn rows(text: &str) -> Arc<Rows> {
        Arc::new(Rows {
            columns: vec!["a".to_owned()],
            rows: vec![vec![Some(text.to_owned())]],
        })
    }

    const AT: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn an_answer_is_for_its_statement_its_arguments_and_its_time() {
        let (one, other) = (statement(), statement());
        let mut cache = Cache::default();
        cache.put(&query(&one, "a"), &rows("x"), AT(100));
        let get = |statement, arg, now| cache.get(&query(statement, arg), AT(now), AT(50));
        assert_eq!(get(&one, "a", 150), Some(rows("x")));
        assert_eq!(get(&one, "a", 151), None);
        assert_eq!(get(&one, "b", 100), None);
        assert_eq!(get(&other, "a", 100), None);
    }

    #[test]
    fn the_oldest_make_room() {
        let statement = statement();
        let mut cache = Cache::default();
        for number in 0..=ENTRIES_MAX {
            cache.put(&query(&statement, &number.to_string()), &rows("x"), AT(0));
        }
        let get = |cache: &Cache, arg: &str| cache.get(&query(&statement, arg), AT(0), AT(1));
        assert_eq!(get(&cache, "0"), None);
        assert!(get(&cache, "1").is_some());
        assert_eq!(cache.entries.len(), ENTRIES_MAX);
        // Put again, it is the newest; what it was before goes without it.
        cache.put(&query(&statement, "1"), &rows("y"), AT(0));
        cache.put(&query(&statement, "new"), &rows("z"), AT(0));
        assert_eq!(get(&cache, "1"), Some(rows("y")));
        assert_eq!(get(&cache, "2"), None);
        for number in 0..9 {
            let long = "x".repeat(BYTES_MAX / 9);
            cache.put(
                &query(&statement, &format!("long {number}")),
                &rows(&long),
                AT(0),
            );
            assert!(cache.bytes <= BYTES_MAX);
        }
        let counted: usize = cache.entries.values().map(|entry| entry.bytes).sum();
        assert_eq!(counted, cache.bytes);
    }
}
