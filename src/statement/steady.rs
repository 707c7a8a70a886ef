//! Whether a SELECT gives the same rows whenever it is asked, as long as its tables stay as they are: what a cache of answers
//! must know. Owns the words that say otherwise; which functions do is in `functions`, and no answer is kept here.
//!
//! What no text shows is not seen here either: what views, rules, row-level security, operators, casts and types of users read.

use super::facts::Facts;
use super::facts::Name;
use super::facts::Sql;
use super::functions;
use super::kind::Kind;
use super::kind::KindSet;
use super::kind::SessionEffect;
use super::lexer::Lexeme;
use super::lexer::Lexer;

/// Words outside of strings whose value follows from the time, the user, the catalog or from chance.
const WORDS: [&str; 26] = [
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "refcursor",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "session_user",
    "system_user",
    "tablesample",
    "timetz",
    "user",
];

/// Strings that a date or a time reads as a moment near its own.
const MOMENTS: [&[u8]; 4] = [b"now", b"today", b"tomorrow", b"yesterday"];

/// Why the same text may give other rows although no table has changed; `None` where it does not. `facts` are those of
/// `text`, with [`super::Needs::parse`].
#[must_use]
pub fn unsteady(text: &str, facts: &Facts) -> Option<&'static str> {
    let relations = &facts.relations;
    if facts.kinds != KindSet::of(Kind::Select) || facts.sql != Sql::Plain {
        return Some("it is not one SELECT");
    }
    if !facts.read_only || facts.effect != SessionEffect::None {
        return Some("it is not proven to change nothing");
    }
    if relations.tables.is_empty() {
        return Some("it reads no table");
    }
    if relations.tables.iter().any(is_of_the_server) {
        return Some("it reads the catalog");
    }
    if !relations.functions.iter().all(is_steady) {
        return Some("it calls a function that may depend on more than its arguments");
    }
    unsteady_words(text)
}

/// Whether a value that is bound to a parameter may stand for a moment near its own.
#[must_use]
pub fn is_moment(value: &[u8]) -> bool {
    MOMENTS.iter().any(|moment| has_word(value, moment))
}

fn is_of_the_server(table: &Name) -> bool {
    let of_server = |name: &str| name == "information_schema" || name.starts_with("pg_");
    of_server(table.schema.as_deref().unwrap_or(&table.name))
}

fn is_steady(function: &Name) -> bool {
    let schema = function.schema.as_deref();
    schema.is_none_or(|schema| schema == "pg_catalog") && functions::is_steady(&function.name)
}

fn unsteady_words(text: &str) -> Option<&'static str> {
    let mut lexer = Lexer::new(text);
    loop {
        let token = lexer.token();
        let written = text.get(token.start..token.end).unwrap_or_default();
        let wrong = match token.lexeme {
            Lexeme::End => return None,
            Lexeme::Word => WORDS.iter().any(|word| written.eq_ignore_ascii_case(word)),
            Lexeme::Quoted => WORDS.iter().any(|word| written.trim_matches('"') == *word),
            Lexeme::UnicodeQuoted | Lexeme::Bad => true,
            // What an escape stands for is not worked out, nor what parts on several lines come to.
            Lexeme::EscapeText => written.contains(['\\', '\n']) || is_moment(written.as_bytes()),
            Lexeme::Text => {
                written.starts_with(['U', 'u'])
                    || written.starts_with('\'') && written.contains('\n')
                    || is_moment(written.as_bytes())
            }
            _ => false,
        };
        if wrong {
            return Some("it names the time, the user, the catalog or chance");
        }
    }
}

/// Whether the word stands in the text, whatever its case, with no letter or digit beside it.
fn has_word(text: &[u8], word: &[u8]) -> bool {
    let is_part = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphabetic);
    text.windows(word.len()).enumerate().any(|(at, part)| {
        part.eq_ignore_ascii_case(word)
            && !is_part(at.checked_sub(1).and_then(|before| text.get(before)))
            && !is_part(text.get(at + word.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Needs;
    use crate::statement::analyze;

    fn check(text: &str, expected: bool) {
        let needs = Needs {
            parse: true,
            ..Needs::default()
        };
        let why = unsteady(text, &analyze(text, needs));
        assert_eq!(why.is_none(), expected, "{text}: {why:?}");
    }

    #[test]
    fn what_follows_from_tables_parameters_and_settings_is_steady() {
        for text in [
            "SELECT * FROM products",
            "select p.name, count(*) from shop.products p join categories c using (id) where p.id = $1 group by 1",
            "SELECT coalesce(a, 'x'), greatest(b, 1), nullif(c, ''), trim(both from d), extract(year from e) FROM t",
            "SELECT to_char(at, 'YYYY-MM-DD'), date_trunc('day', at) FROM t WHERE at > '2026-01-01'::timestamptz",
            "WITH c AS (SELECT id FROM t) SELECT * FROM c WHERE EXISTS (SELECT 1 FROM u WHERE u.id = c.id)",
            "SELECT * FROM t WHERE name LIKE '%snow%' OR name = 'known' ORDER BY id LIMIT 10;",
            "SELECT row_to_json(t), array_agg(t.a ORDER BY t.b), substring(t.c from 1 for 2) FROM t",
            "SELECT a, sum(b) OVER (PARTITION BY c) FROM t",
            "SELECT $$text of a body$$ FROM t",
        ] {
            check(text, true);
        }
    }

    #[test]
    fn time_users_catalogs_chance_and_writes_are_not() {
        for text in [
            "SELECT 1",
            "SELECT now() FROM t",
            "SELECT * FROM t WHERE at > CURRENT_DATE",
            "SELECT * FROM t WHERE at > 'Today'::date",
            "SELECT * FROM t WHERE at > timestamp 'tomorrow 12:00'",
            "SELECT * FROM t WHERE at > E'to\\144ay'",
            "SELECT * FROM t WHERE at > 'to'\n'day'",
            "SELECT * FROM t WHERE at > U&'n\\006fw'",
            "SELECT * FROM t WHERE at > $$now$$",
            "SELECT * FROM t WHERE owner = current_user",
            "SELECT * FROM t WHERE owner = user",
            "SELECT * FROM t WHERE a = current_setting('app.tenant')",
            "SELECT age(at) FROM t",
            "SELECT random() FROM t",
            "SELECT mine(a) FROM t",
            "SELECT app.lower(a) FROM t",
            "SELECT (t).lower FROM t WHERE app.f(t)",
            "SELECT * FROM t TABLESAMPLE BERNOULLI (10)",
            "SELECT 't'::regclass, a FROM t",
            "SELECT * FROM pg_class",
            "SELECT * FROM pg_catalog.pg_class, t",
            "SELECT * FROM information_schema.tables",
            "SELECT table_to_xml('t', true, true, '') FROM u",
            "SELECT * FROM t FOR UPDATE",
            "SELECT * INTO u FROM t",
            "INSERT INTO t VALUES (1)",
            "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
            "EXPLAIN SELECT * FROM t",
            "COPY (SELECT * FROM t) TO STDOUT",
            "PREPARE p AS SELECT * FROM t",
            "EXECUTE p",
            "FETCH ALL FROM c",
            "SELECT * FROM U&\"t\"",
            "SELECT * FROM t; SELECT * FROM u",
            "SELECT FROM WHERE",
            "",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn bound_values_may_be_moments_too() {
        for value in [
            "now",
            "TODAY",
            " yesterday ",
            "now 12:00",
            "tomorrow\0",
            "x now",
        ] {
            assert!(is_moment(value.as_bytes()), "{value}");
        }
        for value in ["", "snow", "nowhere", "knows", "\u{1}\u{2}", "yesterda"] {
            assert!(!is_moment(value.as_bytes()), "{value}");
        }
    }
}
