//! The action `limit`: how many statements of one key pass in a time. Owns no bucket; `pipeline/limit` counts.

use super::Action;
use super::refusal_code;
use crate::hook::Hook;
use crate::hook::Input;
use crate::hook::Refusal;
use crate::policy::code;
use crate::policy::keys::LIMIT;
use crate::policy::keys::Moment;
use crate::policy::reading::Table;
use crate::policy::report::Diagnostic;
use crate::policy::scope::Scope;
use crate::sqlstate::SqlState;
use crate::unit;
use std::hash::Hash as _;
use std::hash::Hasher;
use std::time::Duration;

/// How many statements of one key pass in a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limit {
    /// So many,
    pub rate: u64,
    /// in this time.
    pub per: Duration,
    /// So many at once, after a while of silence.
    pub burst: u64,
    /// What is counted apart. Empty: all are counted together.
    pub keys: Vec<LimitKey>,
    /// What becomes of more.
    pub exceed: Exceed,
    /// The error of a statement that does not pass.
    pub refusal: Refusal,
}

/// What becomes of statements that come too fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exceed {
    /// They are refused.
    Refuse,
    /// They wait for their turn, at most this long; those that would wait longer are refused.
    Delay(Duration),
}

/// A value that is counted apart: an index of the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LimitKey(usize);

type Feed = fn(&Input<'_>, &mut dyn Hasher);

const PER: Duration = Duration::from_secs(1);
const PER_MAX: Duration = Duration::from_secs(86_400);
const MAX_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY_MAX: Duration = Duration::from_secs(60);
const RATE_MAX: u64 = 1_000_000_000;

/// Name, from when on it has a value, and the value.
const KEYS: [(&str, Moment, Feed); 8] = [
    ("user", Moment::Connected, |input, hasher| {
        text(hasher, &input.session.identity.user);
    }),
    ("client", Moment::Connected, |input, hasher| {
        text(hasher, &input.session.client.host());
    }),
    ("database", Moment::Connected, |input, hasher| {
        text(hasher, &input.session.database);
    }),
    ("app", Moment::Connected, |input, hasher| {
        text(hasher, &input.session.app);
    }),
    ("listener", Moment::Connected, |input, hasher| {
        text(hasher, &input.session.listener);
    }),
    ("session", Moment::Connected, |input, hasher| {
        hasher.write(input.session.client_id.as_bytes());
    }),
    ("tenant", Moment::LoggedIn, |input, hasher| {
        text(
            hasher,
            input.session.identity.tenant.as_deref().unwrap_or_default(),
        );
    }),
    ("fingerprint", Moment::Statement, |input, hasher| {
        hasher.write_u64(
            input
                .statement
                .map_or(0, |statement| statement.facts.fingerprint),
        );
    }),
];

fn text(mut hasher: &mut dyn Hasher, text: &str) {
    text.hash(&mut hasher);
}

impl LimitKey {
    /// Its name in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        KEYS[self.0].0
    }

    /// Feeds its value.
    pub fn feed(self, input: &Input<'_>, hasher: &mut dyn Hasher) {
        KEYS[self.0].2(input, hasher);
    }

    fn parse(name: &str) -> Option<Self> {
        KEYS.iter().position(|(known, ..)| *known == name).map(Self)
    }
}

pub(in crate::policy) fn key_names() -> Vec<&'static str> {
    KEYS.map(|(name, ..)| name).to_vec()
}

pub(super) fn limit(scope: Scope<'_, '_>, table: &Table<'_, '_>, hooks: &[Hook]) -> Option<Action> {
    let inner = table.table("limit", &LIMIT)?;
    let rate = inner.integer("rate", 1..=RATE_MAX);
    let per = inner.timeout("per").unwrap_or(PER);
    at_most(&inner, "per", per, PER_MAX);
    let burst = inner.integer("burst", 1..=RATE_MAX);
    let keys = keys(scope, &inner, hooks);
    let exceed = exceed(&inner);
    let code = inner
        .text("code")
        .and_then(|spot| refusal_code(&inner, &spot));
    let refusal = Refusal {
        code: code.unwrap_or(SqlState::CONFIGURATION_LIMIT_EXCEEDED),
        message: inner
            .arc("message")
            .unwrap_or_else(|| "too many statements; try again later".into()),
        hint: inner.arc("hint"),
        detail: None,
    };
    inner.finish();
    let rate = rate?;
    Some(Action::Limit(Box::new(Limit {
        rate,
        per,
        burst: burst.unwrap_or(rate),
        keys,
        exceed,
        refusal,
    })))
}

pub(super) fn at_most(table: &Table<'_, '_>, key: &'static str, value: Duration, most: Duration) {
    if most < value {
        let message = format!("`{key}` is at most {}", unit::format_duration(most));
        let at = table.value_at(key);
        table.reading.error(code::OUT_OF_RANGE, at, message);
    }
}

fn exceed(table: &Table<'_, '_>) -> Exceed {
    const WORDS: [(&str, bool); 2] = [("refuse", false), ("delay", true)];
    let delays = table.choice("exceed", &WORDS).unwrap_or(false);
    let max_delay = table.timeout("max_delay");
    if delays {
        let max_delay = max_delay.unwrap_or(MAX_DELAY);
        at_most(table, "max_delay", max_delay, MAX_DELAY_MAX);
        return Exceed::Delay(max_delay);
    }
    if table.has("max_delay") {
        let message = "`max_delay` has no effect: what comes too fast is refused";
        let found = Diagnostic::error(code::NO_EFFECT, table.key_at("max_delay"), message);
        table
            .reading
            .add(found.label("write `exceed = \"delay\"` as well"));
    }
    Exceed::Refuse
}

fn keys(scope: Scope<'_, '_>, table: &Table<'_, '_>, hooks: &[Hook]) -> Vec<LimitKey> {
    let mut keys = Vec::new();
    for spot in table.texts("key") {
        let names = KEYS.iter().map(|(name, ..)| *name);
        let Some(key) = scope.reading.one_of(&spot, "key", names, LimitKey::parse) else {
            continue;
        };
        let (name, moment, _) = KEYS[key.0];
        if let Some(hook) = hooks.iter().find(|hook| !moment.exists_at(**hook)) {
            let message = format!("`{name}` has no value at `{hook}`");
            let found = Diagnostic::error(code::VALUE_AT_HOOK, spot.at, message);
            let label = format!("it has a value only {}", moment.words());
            scope.reading.add(found.label(label));
        }
        if keys.contains(&key) {
            scope.listed_twice(&spot);
        } else {
            keys.push(key);
        }
    }
    keys
}

impl Limit {
    pub(super) fn canonical(&self) -> String {
        let Self {
            rate,
            per,
            burst,
            keys,
            exceed,
            refusal,
        } = self;
        let mut names: Vec<&str> = keys.iter().map(|key| key.name()).collect();
        names.sort_unstable();
        let exceed = match exceed {
            Exceed::Refuse => "refuse".to_owned(),
            Exceed::Delay(most) => format!("delay {}", most.as_nanos()),
        };
        let per = per.as_nanos();
        format!("{rate} per {per} burst {burst} by {names:?} {exceed} {refusal:?}")
    }
}
