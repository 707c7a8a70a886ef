//! `expect`: what must come of a session or of one step of it. Owns no comparison.

use super::DECIDERS;
use super::Expect;
use super::VERDICTS;
use crate::policy::action;
use crate::policy::code;
use crate::policy::document::Value;
use crate::policy::document::Word;
use crate::policy::keys::Noun;
use crate::policy::keys::STAGE;
use crate::policy::keys::STEP;
use crate::policy::reading::Table;
use crate::policy::reading::unknown;
use crate::policy::scope::Scope;
use crate::sqlstate::SqlState;
use std::sync::Arc;

/// The names in `masked`, which may be none.
fn masked(table: &Table<'_, '_>) -> Option<Vec<Arc<str>>> {
    let word = table.word("masked")?;
    let Value::List(items) = &word.value else {
        table.reading.wrong_type(&word, "a list of columns");
        return None;
    };
    let names = items.iter().filter_map(|item| table.reading.text(item));
    Some(names.map(|spot| spot.value.into()).collect())
}

pub(super) fn expectation(
    scope: Scope<'_, '_>,
    noun: &'static Noun,
    word: &Word,
) -> Option<Expect> {
    let table = Table::open(scope.reading, noun, word.at, "`expect`", word)?;
    if table.is_empty() {
        scope
            .reading
            .error(code::EMPTY, word.at, "this expects nothing");
    }
    let code = table.text("code").and_then(|spot| {
        let parsed = SqlState::parse(&spot.value);
        if parsed.is_none() {
            scope.reading.error(
                code::BAD_SQLSTATE,
                spot.at,
                format!("`{}` is not a SQLSTATE", spot.value),
            );
        }
        parsed
    });
    let by = table.text("by").map(|spot| {
        let names = scope.words.names(&STAGE).chain(DECIDERS);
        if !names.clone().any(|name| name == spot.value) {
            scope.reading.add(unknown(
                code::UNKNOWN_NAME,
                spot.at,
                "stage",
                &spot.value,
                names,
            ));
        }
        spot.value.into()
    });
    let mut steps = Vec::new();
    if noun.key("steps").is_some()
        && let Some(entry) = table.entry("steps")
    {
        match &entry.word.value {
            Value::List(items) => steps.extend(
                items
                    .iter()
                    .filter_map(|item| expectation(scope, &STEP, item)),
            ),
            _ => scope.reading.wrong_type(&entry.word, "a list of tables"),
        }
    }
    let expect = Expect {
        verdict: table.choice("verdict", &VERDICTS),
        code,
        message: table.arc("message"),
        by,
        route: table
            .text("route")
            .and_then(|spot| action::target(scope, &spot)),
        sql: table.arc("sql"),
        unchanged: table.boolean("unchanged"),
        masked: masked(&table),
        statement_timeout: table.duration("statement_timeout"),
        fuel_below: table.integer("fuel_below", 1..=u64::MAX),
        steps,
    };
    table.finish();
    Some(expect)
}
