//! Which tables a statement may change, as far as its text tells: what a cache of answers must be told. Owns no cache, and not
//! when a write has happened.

use super::facts::Facts;
use super::facts::Name;
use super::facts::Relations;
use super::functions;
use super::kind::Kind;
use super::kind::KindSet;
use std::sync::Arc;

/// What a statement may write.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Writes {
    /// No table.
    #[default]
    Nothing,
    /// Some of the tables named here, and none that is not, as far as the text tells: a trigger or a cascade may.
    Tables(Arc<Relations>),
    /// It cannot be said: anything.
    Anything,
}

impl Writes {
    /// What two statements may write together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, writes) | (writes, Self::Nothing) => writes,
            (Self::Tables(mut one), Self::Tables(other)) => {
                let tables = &mut Arc::make_mut(&mut one).tables;
                tables.extend(other.tables.iter().cloned());
                tables.sort();
                tables.dedup();
                Self::Tables(one)
            }
            _ => Self::Anything,
        }
    }
}

/// Kinds whose tables are all that they write.
const BY_NAME: KindSet = KindSet::of(Kind::Insert)
    .with(Kind::Update)
    .with(Kind::Delete)
    .with(Kind::Merge)
    .with(Kind::CopyIn);

/// Kinds that write no table themselves.
const HARMLESS: KindSet = KindSet::of(Kind::Select)
    .with(Kind::CopyOut)
    .with(Kind::Set)
    .with(Kind::Show)
    .with(Kind::Explain)
    .with(Kind::Tx)
    .with(Kind::Listen)
    .with(Kind::Prepare)
    .with(Kind::Execute);

/// What a statement may write. `facts` are those of `text`, with [`super::Needs::parse`] unless they are read-only.
#[must_use]
pub fn writes(text: &str, facts: &Facts) -> Writes {
    if facts.read_only {
        return Writes::Nothing;
    }
    let relations = &facts.relations;
    let known = facts.kinds.is_subset(BY_NAME.union(HARMLESS))
        && !facts.kinds.is_empty()
        && relations.functions.iter().all(writes_no_table);
    if !known || is_second_phase(text, facts) {
        return Writes::Anything;
    }
    if !facts.kinds.intersects(BY_NAME) {
        return Writes::Nothing;
    }
    // `*` stands for a whole schema.
    if relations.tables.is_empty() || relations.tables.iter().any(|table| *table.name == *"*") {
        return Writes::Anything;
    }
    Writes::Tables(Arc::clone(relations))
}

/// Whether a statement may leave something in the session, or on its server connection, that nothing tells of: a setting made
/// by a function or a block of code.
#[must_use]
pub fn may_hide_state(facts: &Facts) -> bool {
    const CODE: KindSet = KindSet::of(Kind::Do)
        .with(Kind::Call)
        .with(Kind::Unparsed)
        .with(Kind::Other);
    let is_known = |function: &Name| {
        let schema = function.schema.as_deref();
        schema.is_none_or(|schema| schema == "pg_catalog") && functions::is_known(&function.name)
    };
    facts.kinds.intersects(CODE) || !facts.relations.functions.iter().all(is_known)
}

/// COMMIT PREPARED makes visible what some other session has written.
fn is_second_phase(text: &str, facts: &Facts) -> bool {
    const WORD: &[u8] = b"prepared";
    facts.kinds.contains(Kind::Tx)
        && text
            .as_bytes()
            .windows(WORD.len())
            .any(|part| part.eq_ignore_ascii_case(WORD))
}

fn writes_no_table(function: &Name) -> bool {
    let schema = function.schema.as_deref();
    schema.is_none_or(|schema| schema == "pg_catalog") && functions::writes_no_table(&function.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Needs;
    use crate::statement::analyze;

    const PARSE: Needs = Needs {
        parse: true,
        normalized: false,
    };

    /// The names of what it writes; `None` for anything.
    fn written(text: &str) -> Option<Vec<String>> {
        match writes(text, &analyze(text, PARSE)) {
            Writes::Nothing => Some(Vec::new()),
            Writes::Tables(relations) => {
                let names = relations.tables.iter().map(|table| table.name.to_string());
                Some(names.collect())
            }
            Writes::Anything => None,
        }
    }

    #[test]
    fn tables_are_named_by_those_who_name_them() {
        for (text, expected) in [
            (
                "INSERT INTO shop.orders VALUES (nextval('s'), now())",
                &["orders"][..],
            ),
            ("UPDATE \"Orders\" SET a = b.a FROM b", &["Orders", "b"]),
            ("DELETE FROM orders WHERE id = $1", &["orders"]),
            (
                "WITH d AS (DELETE FROM a RETURNING *) SELECT * FROM d, b",
                &["a", "b"],
            ),
            ("COPY orders (id) FROM STDIN", &["orders"]),
            (
                "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE",
                &["a", "b"],
            ),
            ("EXPLAIN ANALYZE DELETE FROM a", &["a"]),
        ] {
            let expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(written(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_writes_no_table_writes_nothing() {
        for text in [
            "SELECT * FROM a FOR UPDATE",
            "SELECT nextval('s'), pg_advisory_lock(1)",
            "BEGIN",
            "COMMIT",
            "SET search_path = a",
            "NOTIFY a",
            "FETCH 10 FROM c",
            "DECLARE c CURSOR FOR SELECT * FROM a",
            "SHOW all",
            "DEALLOCATE a",
            "",
        ] {
            assert_eq!(written(text), Some(Vec::new()), "{text}");
        }
    }

    #[test]
    fn the_rest_may_write_anything() {
        for text in [
            "TRUNCATE a",
            "DROP TABLE a",
            "CREATE TABLE a (n int)",
            "SELECT * INTO a FROM b",
            "GRANT SELECT ON a TO b",
            "DO $$ BEGIN DELETE FROM a; END $$",
            "CALL p()",
            "SELECT mine()",
            "SELECT query_to_xml('delete from a', true, true, '')",
            "INSERT INTO a SELECT app.mine(b) FROM b",
            "COMMIT PREPARED 'x'",
            "LOCK a",
            "VACUUM",
            "nonsense",
            "DELETE FROM a; DELETE FROM b",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn two_statements_write_what_each_does() {
        let of = |text: &str| writes(text, &analyze(text, PARSE));
        let (a, b) = (of("DELETE FROM a"), of("DELETE FROM b"));
        let Writes::Tables(both) = a.clone().and(b).and(Writes::Nothing).and(a.clone()) else {
            panic!("tables");
        };
        let names: Vec<&str> = both.tables.iter().map(|table| &*table.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(a.and(of("TRUNCATE b")), Writes::Anything);
    }

    #[test]
    fn code_that_nobody_knows_may_hide_state() {
        let hides = |text: &str| may_hide_state(&analyze(text, PARSE));
        for text in [
            "DO $$ $$",
            "CALL p()",
            "SELECT mine()",
            "SELECT a.lower('x')",
            "nonsense",
        ] {
            assert!(hides(text), "{text}");
        }
        for text in [
            "SELECT lower('x'), nextval('s')",
            "UPDATE a SET b = now()",
            "BEGIN",
        ] {
            assert!(!hides(text), "{text}");
        }
    }
}
