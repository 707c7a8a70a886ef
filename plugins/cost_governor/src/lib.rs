//! Budgets per tenant and window of time: `pre_query` refuses what comes after a budget is spent, `post_query` adds what a
//! statement cost. Sums are added up in the store, so sessions at the same time share them and lose nothing.
//!
//! ```toml
//! [plugin.cost_governor]
//! path   = "plugins/cost_governor.wasm"
//! config = { window_seconds = 60, budgets = { acme = { ms = 1000, rows = 50_000 } }, default = { statements = 600 } }
//! ```

#![cfg_attr(target_arch = "wasm32", no_std)]

use pgwarden_guest::Context;
use pgwarden_guest::Deny;
use pgwarden_guest::Field;
use pgwarden_guest::Text;
use pgwarden_guest::Verdict;
use pgwarden_guest::host;

pgwarden_guest::manifest!(include_str!("../manifest.json"));
pgwarden_guest::export!(pre_query => admit, post_query => charge);

/// What is counted. Statements are counted when they are let in, so the last of them is exact; they come last, so that one that
/// is refused for another reason is not counted.
const MEASURES: [&str; 3] = ["ms", "rows", "statements"];
const CODE: &str = "53400";
const KEY_BYTES_MAX: usize = 256;
/// A budget as JSON: three names and three numbers.
const BUDGET_BYTES_MAX: usize = 256;
const MICROS: i64 = 1_000_000;

/// The window that a moment lies in.
struct Window {
    number: i64,
    seconds: i64,
    /// Until the next one.
    left: i64,
}

impl Window {
    fn now() -> Self {
        let seconds = number_at("window_seconds").unwrap_or(60).max(1);
        let now = host::now() / MICROS;
        Self {
            number: now / seconds,
            seconds,
            left: seconds - now % seconds,
        }
    }
}

fn admit(context: &Context<'_>) -> Verdict {
    // A transaction that is open must be able to end.
    if context.kinds().all(|kind| kind == Some("tx")) {
        return Verdict::next();
    }
    let window = Window::now();
    for measure in MEASURES {
        let Some(budget) = budget(context, measure) else {
            continue;
        };
        // Adding nothing makes the key: a store that is full is noticed before the statement runs and not after it.
        let delta = i64::from(measure == "statements");
        let Some(spent) = add(context, measure, &window, delta) else {
            return Deny::new(&["what ", owner(context), " spends cannot be counted"])
                .code(CODE)
                .hint(&["the operator can raise max_keys of the stored values"])
                .into();
        };
        let limit = budget.saturating_mul(scale(measure));
        if spent - delta >= limit {
            return refuse(owner(context), measure, budget, &window);
        }
    }
    Verdict::next()
}

fn charge(context: &Context<'_>) -> Verdict {
    let window = Window::now();
    for (measure, field) in [("ms", Field::ElapsedUs), ("rows", Field::ResultRows)] {
        let cost = context.number(field).unwrap_or(0);
        if cost == 0 || budget(context, measure).is_none() {
            continue;
        }
        if add(context, measure, &window, clamped(cost)).is_none() {
            host::log(host::Level::Warn, "a cost could not be added");
        }
    }
    Verdict::next()
}

fn refuse(owner: &str, measure: &str, budget: i64, window: &Window) -> Verdict {
    let [budget, seconds, left] = [budget, window.seconds, window.left]
        .map(|number| Text::<20>::decimal(number.max(0) as u64));
    let [budget, seconds, left] =
        [&budget, &seconds, &left].map(|text| text.whole().unwrap_or_default());
    Deny::new(&[
        "the budget of ",
        owner,
        " is spent: ",
        budget,
        " ",
        measure,
        " in ",
        seconds,
        " s; the window ends in ",
        left,
        " s",
    ])
    .code(CODE)
    .hint(&["try again in ", left, " s, or ask for a larger budget"])
    .into()
}

/// Stored sums are in these parts of the budget's unit: time adds up in microseconds.
fn scale(measure: &str) -> i64 {
    if measure == "ms" { 1000 } else { 1 }
}

/// The tenant, or the user where there is none.
fn owner<'a>(context: &Context<'a>) -> &'a str {
    context.tenant().unwrap_or_else(|| context.user())
}

/// The budget of a measure, if it is kept to: the tenant's own, or else the default.
fn budget(context: &Context<'_>, measure: &str) -> Option<i64> {
    // A dot would lead elsewhere in the configuration.
    let tenant = context
        .tenant()
        .filter(|tenant| !tenant.is_empty() && !tenant.contains('.'));
    let own = tenant.map(|tenant| Text::<KEY_BYTES_MAX>::of(&["budgets.", tenant]));
    let own = own.as_ref().and_then(Text::whole);
    let mut buffer = [0; BUDGET_BYTES_MAX];
    let table = match own {
        Some(own) if host::config(own, &mut buffer).is_some() => own,
        _ => "default",
    };
    number_at(Text::<KEY_BYTES_MAX>::of(&[table, ".", measure]).whole()?)
}

/// A number of the configuration. The host has checked it; what is none all the same is the smallest budget.
fn number_at(path: &str) -> Option<i64> {
    let mut buffer = [0; 32];
    Some(host::config(path, &mut buffer)?.parse().unwrap_or(0))
}

/// Adds to a sum of the window, which ends at most one window after it is over.
fn add(context: &Context<'_>, measure: &str, window: &Window, delta: i64) -> Option<i64> {
    let whose = if context.tenant().is_some() {
        "/tenant/"
    } else {
        "/user/"
    };
    let mut key = Text::<KEY_BYTES_MAX>::of(&[measure, "/"]);
    key.push_decimal(window.number.max(0) as u64);
    key.push(whose);
    key.push(owner(context));
    host::kv_add(key.whole()?, delta, window.seconds.saturating_mul(1000)).ok()
}

fn clamped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
