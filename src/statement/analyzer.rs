//! The cache before `analyze`. Owns what is kept, for how long and under which key.
//!
//! Texts are found by a hash under a key of this process and then compared, so nobody can make one statement pass for
//! another. Behind that, statements that differ in literals only share one parse: only successes are shared, since the
//! tokens of both texts are the same and a literal cannot change what a readable statement names.

use super::analyze;
use super::analyze::Scan;
use super::exposure::Exposure;
use super::facts::Facts;
use super::facts::Needs;
use super::fingerprint;
use super::relations;
use super::relations::Parsed;
use super::tree;
use quick_cache::Equivalent;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::hash::BuildHasher as _;
use std::hash::Hash;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What an entry is taken to cost beside its text.
const ENTRY_BYTES: u64 = 512;
/// What an entry may cost on average, for the cache as a whole.
const AVERAGE_BYTES: u64 = 2048;

/// Texts whose first sight is remembered. A text is kept when it comes a second time: one that differs from the last in its
/// literals would only drive out what is asked again.
const SIGHTS: usize = 4096;

/// Analyses statements, each text that comes again once.
pub struct Analyzer {
    sights: Box<[AtomicU64]>,
    sight_key: RandomState,
    facts: Cache<Key, Arc<Facts>, Weight, RandomState>,
    parsed: Cache<Arc<str>, Parsed, Weight, RandomState>,
    exposures: Cache<Arc<str>, Arc<Exposure>, Weight, RandomState>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    text: Arc<str>,
    needs: Needs,
}

/// A key that owns nothing. Hashes as [`Key`] does: a `str`, then the needs.
#[derive(Hash)]
struct Wanted<'a> {
    text: &'a str,
    needs: Needs,
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.needs == key.needs && *self.text == *key.text
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Facts>> for Weight {
    fn weight(&self, key: &Key, facts: &Arc<Facts>) -> u64 {
        bytes(&key.text) + bytes(&facts.normalized) + ENTRY_BYTES
    }
}

impl Weighter<Arc<str>, Parsed> for Weight {
    fn weight(&self, text: &Arc<str>, _: &Parsed) -> u64 {
        2 * bytes(text) + ENTRY_BYTES
    }
}

impl Weighter<Arc<str>, Arc<Exposure>> for Weight {
    fn weight(&self, text: &Arc<str>, _: &Arc<Exposure>) -> u64 {
        3 * bytes(text) + ENTRY_BYTES
    }
}

fn bytes(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX / 4)
}

impl Analyzer {
    /// Keeps about `statements_max` statements of ordinary size, fewer of larger ones.
    #[must_use]
    pub fn new(statements_max: usize) -> Self {
        let weight_max = AVERAGE_BYTES
            * u64::try_from(statements_max.max(1)).unwrap_or(u64::MAX / AVERAGE_BYTES);
        Self {
            sights: (0..SIGHTS).map(|_| AtomicU64::new(0)).collect(),
            sight_key: RandomState::new(),
            facts: Cache::with(
                statements_max,
                weight_max,
                Weight,
                RandomState::new(),
                Default::default(),
            ),
            parsed: Cache::with(
                statements_max,
                weight_max,
                Weight,
                RandomState::new(),
                Default::default(),
            ),
            exposures: Cache::with(
                statements_max,
                weight_max,
                Weight,
                RandomState::new(),
                Default::default(),
            ),
        }
    }

    /// The facts of one statement, as [`analyze::analyze`] gives them.
    #[must_use]
    pub fn facts(&self, text: &str, needs: Needs) -> Arc<Facts> {
        // Tokens alone are read faster than a cache is asked.
        if needs == Needs::default() || text.len() > tree::BYTES_MAX {
            return Arc::new(analyze::analyze(text, needs));
        }
        let wanted = Wanted { text, needs };
        if let Some(known) = self.facts.get(&wanted) {
            return known;
        }
        let facts = Arc::new(self.read(text, needs));
        if !self.seen_before(text) {
            return facts;
        }
        self.facts.insert(
            Key {
                text: text.into(),
                needs,
            },
            Arc::clone(&facts),
        );
        facts
    }

    /// Where the columns of a statement go, as [`Exposure::of`] says; `normalized` is that of the text's facts.
    #[must_use]
    pub fn exposure(&self, text: &str, normalized: &Arc<str>) -> Option<Arc<Exposure>> {
        if let Some(known) = self.exposures.get::<str>(normalized) {
            return Some(known);
        }
        let exposure = Arc::new(Exposure::of(text)?);
        if !normalized.is_empty() {
            self.exposures
                .insert(Arc::clone(normalized), Arc::clone(&exposure));
        }
        Some(exposure)
    }

    /// Whether this text was the last of its place to be seen. Two texts that meet there cost a cache entry, no more.
    fn seen_before(&self, text: &str) -> bool {
        let hash = self.sight_key.hash_one(text) | 1;
        let place = usize::try_from(hash >> 52).unwrap_or(0) % SIGHTS;
        self.sights[place].swap(hash, Relaxed) == hash
    }

    fn read(&self, text: &str, needs: Needs) -> Facts {
        let scan = Scan::of(text);
        let normalized: Arc<str> = fingerprint::normalize(text, scan.param_count).into();
        let parsed = if scan.wants_tree(needs) {
            self.parsed(text, &normalized)
        } else {
            None
        };
        scan.facts(needs, needs.normalized.then_some(normalized), parsed)
    }

    fn parsed(&self, text: &str, normalized: &Arc<str>) -> Option<Parsed> {
        if let Some(known) = self.parsed.get::<str>(normalized) {
            return Some(known);
        }
        let parsed = relations::read(text)?;
        self.parsed.insert(Arc::clone(normalized), parsed.clone());
        Some(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Needs = Needs {
        normalized: true,
        parse: true,
    };

    #[test]
    fn a_hit_is_what_a_miss_was() {
        let analyzer = Analyzer::new(100);
        for text in [
            "select a from t where b = 1",
            "select a from t where b = 2",
            "delete from t",
            "nonsense",
            "",
        ] {
            for needs in [
                Needs::default(),
                ALL,
                Needs {
                    parse: false,
                    ..ALL
                },
                Needs {
                    normalized: false,
                    ..ALL
                },
            ] {
                let expected = analyze::analyze(text, needs);
                assert_eq!(*analyzer.facts(text, needs), expected, "{text}");
                assert_eq!(*analyzer.facts(text, needs), expected, "{text}, again");
            }
        }
    }

    #[test]
    fn one_parse_serves_all_literals_and_no_other_statement() {
        let analyzer = Analyzer::new(100);
        let first = analyzer.facts("select a from t where b = 1 limit 5", ALL);
        let second = analyzer.facts("SELECT a FROM t\nWHERE b = 'x' LIMIT 7", ALL);
        assert!(Arc::ptr_eq(&first.relations, &second.relations));
        assert_eq!(first.fingerprint, second.fingerprint);
        let other = analyzer.facts("select a from \"T\" where b = 1 limit 5", ALL);
        assert_ne!(first.relations, other.relations);
    }

    #[test]
    fn it_stays_bounded() {
        let analyzer = Analyzer::new(10);
        for number in 0..10_000 {
            let _facts = analyzer.facts(&format!("select a{number} from t"), ALL);
        }
        assert!(analyzer.facts.len() <= 64 && analyzer.parsed.len() <= 64);
        assert!(analyzer.facts.weight() <= 10 * AVERAGE_BYTES);
    }
}
