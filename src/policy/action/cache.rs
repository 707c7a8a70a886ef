//! The action `cache`: answers that are kept, how long, for whom alike, and what ends them. Owns no answer; `pipeline/cache`
//! keeps them.

use super::Action;
use crate::hook::Hook;
use crate::hook::SessionContext;
use crate::policy::code;
use crate::policy::keys::CACHE;
use crate::policy::reading::Spot;
use crate::policy::reading::Table;
use crate::policy::report::Diagnostic;
use crate::policy::scope::Scope;
use crate::unit;
use std::sync::Arc;
use std::time::Duration;

/// Answers that are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cache {
    /// How long one is given, from the moment its statement was sent.
    pub ttl: Duration,
    /// What of a session must be the same for it to be given another's answer, beside what always must. Sorted.
    pub vary: Vec<Vary>,
    /// Bytes of all answers.
    pub bytes_max: usize,
    /// Bytes of one.
    pub entry_bytes_max: usize,
    /// Which writes end one.
    pub invalidate: Invalidate,
}

/// Which writes through this process end an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Invalidate {
    /// Those to a table that it reads.
    OnWrite,
    /// Those to any table of its database.
    OnAnyWrite,
    /// None.
    Never,
}

/// Something of a session.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Vary {
    /// One of the table's, by its index.
    Known(usize),
    /// An attribute of the user.
    Attribute(Arc<str>),
}

type Feed = fn(&SessionContext, &mut dyn FnMut(&[u8]));

/// Name, and the value.
const KNOWN: [(&str, Feed); 6] = [
    ("app", |session, feed| feed(session.app.as_bytes())),
    ("client", |session, feed| {
        feed(session.client.host().as_bytes())
    }),
    ("database", |session, feed| {
        feed(session.database.as_bytes())
    }),
    ("listener", |session, feed| {
        feed(session.listener.as_bytes())
    }),
    ("role", |session, feed| {
        let mut roles: Vec<&str> = session.identity.roles.iter().map(|role| &**role).collect();
        roles.sort_unstable();
        roles.iter().for_each(|role| feed(role.as_bytes()));
    }),
    ("user", |session, feed| {
        feed(session.identity.user.as_bytes())
    }),
];

const USER: Vary = Vary::Known(KNOWN.len() - 1);

const INVALIDATE: [(&str, Invalidate); 3] = [
    ("on_write", Invalidate::OnWrite),
    ("on_any_write", Invalidate::OnAnyWrite),
    ("never", Invalidate::Never),
];

const TTL_MAX: Duration = Duration::from_secs(86_400);
const BYTES: usize = 16 * 1024 * 1024;
const BYTES_MIN: usize = 4 * 1024;
/// So many of the largest answers find room.
const ENTRIES_MIN: usize = 4;
/// So many of the largest answers, where their size is not written.
const ENTRIES: usize = 16;

impl Vary {
    /// Its name in policies.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Known(index) => KNOWN[*index].0.to_owned(),
            Self::Attribute(name) => format!("attr.{name}"),
        }
    }

    /// Feeds its value, in as many parts as it has.
    pub fn feed(&self, session: &SessionContext, feed: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Known(index) => KNOWN[*index].1(session, feed),
            Self::Attribute(name) => {
                if let Some(value) = session.attribute(name) {
                    feed(value.as_bytes());
                }
            }
        }
    }

    fn parse(name: &str) -> Option<Self> {
        if let Some(attribute) = name.strip_prefix("attr.").filter(|name| !name.is_empty()) {
            return Some(Self::Attribute(attribute.into()));
        }
        KNOWN
            .iter()
            .position(|(known, _)| *known == name)
            .map(Self::Known)
    }
}

impl Invalidate {
    /// Its name in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        INVALIDATE
            .iter()
            .find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }

    pub(in crate::policy) fn names() -> Vec<&'static str> {
        INVALIDATE.map(|(name, _)| name).to_vec()
    }
}

pub(super) fn cache(scope: Scope<'_, '_>, table: &Table<'_, '_>, hooks: &[Hook]) -> Option<Action> {
    let inner = table.table("cache", &CACHE)?;
    only_at_cache_get(table, hooks);
    let ttl = inner.timeout("ttl");
    if let Some(ttl) = ttl {
        super::limit::at_most(&inner, "ttl", ttl, TTL_MAX);
    }
    let vary = vary(scope, &inner);
    let bytes_max = inner.size("max_bytes").unwrap_or(BYTES);
    if bytes_max < BYTES_MIN {
        let message = format!("`max_bytes` is at least {}", size(BYTES_MIN));
        let at = inner.value_at("max_bytes");
        table.reading.error(code::OUT_OF_RANGE, at, message);
    }
    let entry_bytes_max = inner.size("max_entry").unwrap_or(bytes_max / ENTRIES);
    if bytes_max / ENTRIES_MIN < entry_bytes_max {
        let message = format!(
            "`max_entry` is at most a quarter of `max_bytes`: {}",
            size(bytes_max / ENTRIES_MIN)
        );
        let at = inner.value_at("max_entry");
        table.reading.error(code::OUT_OF_RANGE, at, message);
    }
    let invalidate = inner.choice("invalidate", &INVALIDATE);
    inner.finish();
    Some(Action::Cache(Arc::new(Cache {
        ttl: ttl?,
        vary,
        bytes_max,
        entry_bytes_max,
        invalidate: invalidate.unwrap_or(Invalidate::OnWrite),
    })))
}

fn size(bytes: usize) -> String {
    unit::format_size(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// Before `authorize` nothing may be given, and after the node has answered there is nothing to spare.
fn only_at_cache_get(table: &Table<'_, '_>, hooks: &[Hook]) {
    for hook in hooks.iter().filter(|hook| **hook != Hook::CacheGet) {
        let message = format!("`cache` is not possible at `{hook}`");
        let found = Diagnostic::error(code::ACTION_AT_HOOK, table.key_at("cache"), message);
        let label = "possible at `cache_get`; it is its own `cache_set`";
        table.reading.add(found.label(label));
    }
}

/// What is not written is `user`: that answers cross users must be said.
fn vary(scope: Scope<'_, '_>, table: &Table<'_, '_>) -> Vec<Vary> {
    if !table.has("vary") {
        return vec![USER];
    }
    let mut found: Vec<Vary> = Vec::new();
    for spot in table.texts("vary") {
        let Some(vary) = one(scope, &spot) else {
            continue;
        };
        if found.contains(&vary) {
            scope.listed_twice(&spot);
        } else {
            found.push(vary);
        }
    }
    found.sort();
    found
}

fn one(scope: Scope<'_, '_>, spot: &Spot<String>) -> Option<Vary> {
    let names = KNOWN.iter().map(|(name, _)| *name).chain(["attr.NAME"]);
    scope
        .reading
        .one_of(spot, "part of a session", names, Vary::parse)
}

impl Cache {
    /// What it means, as text; two that mean the same keep the same answers.
    #[must_use]
    pub fn canonical(&self) -> String {
        let Self {
            ttl,
            vary,
            bytes_max,
            entry_bytes_max,
            invalidate,
        } = self;
        let vary: Vec<String> = vary.iter().map(Vary::name).collect();
        format!(
            "ttl {} vary {vary:?} max_bytes {bytes_max} max_entry {entry_bytes_max} invalidate {}",
            unit::format_duration(*ttl),
            invalidate.name()
        )
    }
}
