//! Why a predicate matched or did not: every key with what it asked for and what it found. Off the hot path.

use super::Matcher;
use super::Polarity;
use super::Test;
use super::fact;
use super::fact::FigureFact;
use crate::hook::Input;
use crate::statement::Name;
use crate::statement::hints;
use crate::unit;
use std::sync::Arc;
use std::time::Duration;

/// One key of a predicate, asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// The key, as in `kind` or `attr.tenant`.
    pub key: Arc<str>,
    /// What it asks for.
    pub wanted: Arc<str>,
    /// What it found.
    pub found: String,
    /// Whether it matches.
    pub matched: bool,
}

pub(super) fn explain(test: &Test, input: &Input<'_>, polarity: Polarity) -> Explained {
    Explained {
        key: Arc::clone(&test.key),
        wanted: Arc::clone(&test.wanted),
        found: found(&test.matcher, input).unwrap_or_else(|| "unknown".to_owned()),
        matched: test.matcher.ask(input, polarity).counts(polarity),
    }
}

/// `None`: not known.
fn found(matcher: &Matcher, input: &Input<'_>) -> Option<String> {
    let none = || "none".to_owned();
    let session = input.session;
    Some(match matcher {
        Matcher::Text(fact, _) => fact.get(input).map_or_else(none, str::to_owned),
        Matcher::Attribute(name, _) => session
            .attribute(name)
            .map_or_else(none, |value| value.to_string()),
        Matcher::Flag(fact, _) => fact.get(input)?.to_string(),
        Matcher::Figure(fact, _) => figure(*fact, fact.get(input)?),
        Matcher::Role(_) => list(session.identity.roles.iter().map(|role| role.to_string())),
        Matcher::Client(_) => session.client.host(),
        Matcher::Negated(guards) => (!guards.hold(input)).to_string(),
        Matcher::AuthMethod(_) => session.auth_method.name().to_owned(),
        Matcher::Protocol(_) => input.statement?.protocol.name().to_owned(),
        Matcher::Kind(_) => list(
            input
                .statement?
                .facts
                .kinds
                .iter()
                .map(|kind| kind.name().to_owned()),
        ),
        Matcher::Tables(_) => list(fact::relations(input)?.tables.iter().map(name)),
        Matcher::Functions(_) => list(fact::relations(input)?.functions.iter().map(name)),
        Matcher::Columns(_) => list(
            fact::relations(input)?
                .columns
                .iter()
                .map(|column| column.to_string()),
        ),
        Matcher::Schemas(_) => {
            let relations = fact::relations(input)?;
            let names = relations.tables.iter().chain(&relations.functions);
            list(
                names
                    .filter_map(|name| name.schema.as_deref())
                    .map(str::to_owned),
            )
        }
        Matcher::Clock(spans) => spans.cycle.shown(input.now?),
        Matcher::Hint(_) => list(hints(input.statement?.text).map(str::to_owned)),
        Matcher::Fingerprint(_) => format!("{:016x}", input.statement?.facts.fingerprint),
        Matcher::Code(_) => {
            fact::sqlstate(input.outcome)?.map_or_else(none, |code| code.to_string())
        }
    })
}

pub(super) fn figure(fact: FigureFact, value: u64) -> String {
    match fact {
        FigureFact::Elapsed | FigureFact::Lag => unit::format_duration(Duration::from_nanos(value)),
        FigureFact::Bytes | FigureFact::BytesOut => unit::format_size(value),
        FigureFact::StatementCount | FigureFact::ParamCount | FigureFact::Rows => value.to_string(),
    }
}

fn name(name: &Name) -> String {
    match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.to_string(),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(", ")
    }
}
