//! Which names exist: turns a name into an id, or reports it with the nearest one that does exist.
//! Owns no noun. The id of a name is its position among the sorted names of its noun.

use super::code;
use super::keys::Noun;
use super::keys::ROLE;
use super::reading::Reading;
use super::reading::Spot;
use super::reading::Table;
use super::reading::unknown;
use super::report::At;
use super::report::Diagnostic;
use super::sources::Words;
use std::sync::Arc;

/// The policy's words and the way to report.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s, 'a> {
    pub(super) reading: &'s Reading<'a>,
    pub(super) words: &'s Words,
}

impl<'s, 'a> Scope<'s, 'a> {
    /// Reads every `[noun.NAME]`, in the order of the names. A table that is no table counts as none.
    pub(super) fn each<T>(
        self,
        noun: &'static Noun,
        read: impl Fn(Self, &str, &Table<'s, 'a>) -> Option<T>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for (name, entry) in self.words.named(noun) {
            let title = format!("`[{}.{name}]`", noun.name);
            let Some(table) = Table::open(self.reading, noun, entry.key_at, title, &entry.word)
            else {
                continue;
            };
            all.extend(read(self, name, &table));
            table.finish();
        }
        all
    }

    /// The top of the first file, to point at when a whole table is missing.
    pub(super) fn root(self) -> At {
        At::new(0, 0..0)
    }

    /// The single table of that name.
    pub(super) fn single(self, noun: &'static Noun) -> Option<Table<'s, 'a>> {
        let entry = self.words.single(noun.name)?;
        Table::open(
            self.reading,
            noun,
            entry.key_at,
            format!("`[{}]`", noun.name),
            &entry.word,
        )
    }

    /// The id of a name.
    pub(super) fn find(self, noun: &'static Noun, spot: &Spot<String>) -> Option<usize> {
        let found = self.words.names(noun).position(|name| name == spot.value);
        if found.is_none() {
            let names = self.words.names(noun);
            self.reading.add(unknown(
                code::UNKNOWN_NAME,
                spot.at,
                noun.name,
                &spot.value,
                names,
            ));
        }
        found
    }

    /// The id of the name under a key.
    pub(super) fn one(
        self,
        table: &Table<'_, '_>,
        key: &'static str,
        noun: &'static Noun,
    ) -> Option<usize> {
        self.find(noun, &table.text(key)?)
    }

    /// The ids of the names under a key; none twice.
    pub(super) fn several(
        self,
        table: &Table<'_, '_>,
        key: &'static str,
        noun: &'static Noun,
    ) -> Vec<usize> {
        let mut ids = Vec::new();
        for spot in table.texts(key) {
            match self.find(noun, &spot) {
                Some(id) if ids.contains(&id) => self.listed_twice(&spot),
                Some(id) => ids.push(id),
                None => (),
            }
        }
        ids
    }

    /// Declared roles under a key.
    pub(super) fn roles(self, table: &Table<'_, '_>, key: &'static str) -> Vec<Arc<str>> {
        self.several(table, key, &ROLE)
            .into_iter()
            .filter_map(|id| self.words.names(&ROLE).nth(id))
            .map(Arc::from)
            .collect()
    }

    pub(super) fn listed_twice(self, spot: &Spot<String>) {
        let found = Diagnostic::error(
            code::LISTED_TWICE,
            spot.at,
            format!("`{}` stands twice in this list", spot.value),
        );
        self.reading.add(found);
    }
}
