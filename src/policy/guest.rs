//! `[permissions.NAME]` and `[sandbox]`: what foreign code may see and do, and what it may use. Owns no plugin.

use super::code;
use super::document::Value;
use super::keys::BREAKER;
use super::keys::KV;
use super::keys::LIMIT_KEYS;
use super::keys::METRIC;
use super::keys::PERMISSIONS;
use super::keys::SANDBOX;
use super::load;
use super::load::Ways;
use super::reading::Table;
use super::report::At;
use super::report::Diagnostic;
use super::scope::Scope;
use super::stage::OnFailure;
use crate::sandbox::Abi;
use crate::sandbox::Call;
use crate::sandbox::Grants;
use crate::sandbox::KvGrant;
use crate::sandbox::Limits;
use crate::sandbox::LoadGrant;
use crate::sandbox::MetricGrant;
use crate::sandbox::MetricOp;
use crate::sandbox::Patterns;
use crate::sandbox::See;
use crate::sandbox::is_metric_name;
use crate::unit;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// When a stage that keeps failing is not asked any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerRule {
    /// Faults in a row.
    pub failures: u32,
    /// All of them within this time.
    pub within: Duration,
    /// How long nobody is let in; doubled for each attempt that fails, up to 32 times.
    pub retry_after: Duration,
}

impl Default for BreakerRule {
    fn default() -> Self {
        Self {
            failures: 20,
            within: Duration::from_secs(10),
            retry_after: Duration::from_secs(1),
        }
    }
}

/// The breaker a table writes; what it leaves out is as `above`.
pub(super) fn breaker(table: &Table<'_, '_>, above: BreakerRule) -> BreakerRule {
    let Some(inner) = table.table("breaker", &BREAKER) else {
        return above;
    };
    let failures = inner.integer("failures", 1..=1_000_000);
    let rule = BreakerRule {
        failures: failures
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(above.failures),
        within: inner.timeout("within").unwrap_or(above.within),
        retry_after: inner.timeout("retry_after").unwrap_or(above.retry_after),
    };
    inner.finish();
    rule
}

const KV_MAX_KEYS: usize = 1_000;
const KV_MAX_BYTES: usize = 1 << 20;

/// `[sandbox]`: what no guest may exceed, and what a failure means unless a stage says otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ceilings {
    pub(super) limits: Limits,
    pub(super) on_failure: OnFailure,
    pub(super) breaker: BreakerRule,
    /// Whether `fuel` is written: only what is not has another default for another ABI.
    fuel_is_written: bool,
}

/// Fuel of a plugin that reads and writes JSON, where `[sandbox]` sets no ceiling.
const FUEL_HELIOS: u64 = 4_000_000;

impl Ceilings {
    /// The ceilings of plugins of this ABI.
    pub(super) fn of(self, abi: Abi) -> Limits {
        let mut limits = self.limits;
        if abi == Abi::Helios1 && !self.fuel_is_written {
            limits.fuel = FUEL_HELIOS;
        }
        limits
    }
}

pub(super) fn ceilings(scope: Scope<'_, '_>) -> Ceilings {
    let mut limits = Limits::default();
    let Some(table) = scope.single(&SANDBOX) else {
        return Ceilings {
            limits,
            on_failure: OnFailure::Closed,
            breaker: BreakerRule::default(),
            fuel_is_written: false,
        };
    };
    set(&table, &mut limits);
    if let Some(bytes) = table.size("max_module") {
        limits.module_bytes_max = bytes;
    }
    if let Some(lines) = table
        .integer("max_log_lines", 0..=10_000)
        .and_then(|lines| u32::try_from(lines).ok())
    {
        limits.log_lines_max = lines;
    }
    let on_failure = table
        .choice("on_failure", &OnFailure::NAMES)
        .unwrap_or(OnFailure::Closed);
    let breaker = breaker(&table, BreakerRule::default());
    let fuel_is_written = table.has("fuel");
    table.finish();
    Ceilings {
        limits,
        on_failure,
        breaker,
        fuel_is_written,
    }
}

/// Sets what the table writes. The keys are the same in `[sandbox]`, in plugins and in stages.
fn set(table: &Table<'_, '_>, limits: &mut Limits) {
    if let Some(fuel) = table.integer("fuel", 1..=1_000_000_000_000) {
        limits.fuel = fuel;
    }
    if let Some(bytes) = table.size("memory") {
        limits.memory_bytes_max = bytes;
    }
    if let Some(deadline) = table.timeout("deadline") {
        limits.deadline = deadline;
    }
    if let Some(bytes) = table.size("max_input") {
        limits.input_bytes_max = bytes;
    }
    if let Some(bytes) = table.size("max_output") {
        limits.output_bytes_max = bytes;
    }
    let calls = table.integer("max_host_calls", 0..=1_000_000_000);
    if let Some(calls) = calls.and_then(|calls| u32::try_from(calls).ok()) {
        limits.host_calls_max = calls;
    }
}

/// The limits of a plugin or stage: what it writes, and otherwise what stands above it. It may lower, never raise.
pub(super) fn limits(table: &Table<'_, '_>, above: Limits, whose: &str) -> Limits {
    let mut limits = above;
    set(table, &mut limits);
    let size = |bytes: usize| unit::format_size(u64::try_from(bytes).unwrap_or(u64::MAX));
    let ceilings = [
        (limits.fuel > above.fuel, above.fuel.to_string()),
        (
            limits.memory_bytes_max > above.memory_bytes_max,
            size(above.memory_bytes_max),
        ),
        (
            limits.deadline > above.deadline,
            unit::format_duration(above.deadline),
        ),
        (
            limits.input_bytes_max > above.input_bytes_max,
            size(above.input_bytes_max),
        ),
        (
            limits.output_bytes_max > above.output_bytes_max,
            size(above.output_bytes_max),
        ),
        (
            limits.host_calls_max > above.host_calls_max,
            above.host_calls_max.to_string(),
        ),
    ];
    for (key, (exceeds, ceiling)) in LIMIT_KEYS.into_iter().zip(ceilings) {
        if exceeds {
            let message = format!("`{key}` is above the ceiling of {whose}");
            let found = Diagnostic::error(code::ABOVE_CEILING, table.value_at(key), message);
            table.reading.add(found.label(format!(
                "at most {ceiling}; a stage may lower a limit, never raise it"
            )));
        }
    }
    limits
}

/// One permission set.
pub(super) struct Permissions {
    pub(super) grants: Grants,
    pub(super) granted: Arc<Granted>,
}

/// What a permission set says it grants and where it says so, in words for diagnostics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    see: Box<str>,
    call: Box<str>,
    /// Each thing it grants, and where that is written.
    seen: Vec<(See, At)>,
    called: Vec<(Call, At)>,
}

impl Granted {
    fn of(name: &str, table: &Table<'_, '_>) -> Self {
        let words = |key: &'static str| {
            let place = |at| {
                let place = table.reading.place(at);
                format!("{}:{}", place.file.display(), place.line)
            };
            let Some(entry) = table.entry(key) else {
                return format!(
                    "`[permissions.{name}]` at {} has no `{key}`",
                    place(table.at)
                );
            };
            let written = table.reading.written(entry.key_at.to(entry.word.at));
            let written = written.unwrap_or_default();
            let written: Vec<&str> = written.split_whitespace().collect();
            format!("granted at {}: {}", place(entry.key_at), written.join(" "))
        };
        let see = table.texts("see").into_iter();
        let call = table.texts("call").into_iter();
        Self {
            see: words("see").into(),
            call: words("call").into(),
            seen: see
                .filter_map(|spot| Some((See::parse(&spot.value)?, spot.at)))
                .collect(),
            called: call
                .filter_map(|spot| Some((Call::parse(&spot.value)?, spot.at)))
                .collect(),
        }
    }

    /// What it lets guests see, and where that is written.
    pub(super) fn seen(&self) -> &[(See, At)] {
        &self.seen
    }

    /// What it lets guests call, and where that is written.
    pub(super) fn called(&self) -> &[(Call, At)] {
        &self.called
    }

    /// `granted at policy.toml:66: call = ["log"]`, of the key `see` or `call`.
    #[must_use]
    pub fn by(&self, key: &str) -> &str {
        if key == "see" { &self.see } else { &self.call }
    }
}

/// The permission sets with nothing wrong in them, in the order of their names.
pub(super) fn permissions(scope: Scope<'_, '_>, ways: Ways<'_>) -> Vec<Permissions> {
    scope.each(&PERMISSIONS, |scope, name, table| {
        let loading = |table: &Table<'_, '_>| load::grant(scope, name, table, ways);
        Some(Permissions {
            grants: grants(name, table, loading)?,
            granted: Arc::new(Granted::of(name, table)),
        })
    })
}

/// What one set grants; `None` where something is wrong with it.
pub(super) fn grants(
    name: &str,
    table: &Table<'_, '_>,
    loading: impl FnOnce(&Table<'_, '_>) -> Option<LoadGrant>,
) -> Option<Grants> {
    let reading = table.reading;
    let errors = reading.errors();
    let see = table.texts("see");
    let see = see
        .iter()
        .filter_map(|spot| reading.one_of(spot, "data", See::all().map(See::name), See::parse));
    let see = see.collect();
    let call = table.texts("call");
    let call = call.iter().filter_map(|spot| {
        reading.one_of(spot, "effect", Call::all().map(Call::name), Call::parse)
    });
    let grants = Grants {
        name: name.into(),
        see,
        call: call.collect(),
        kv: place(table, "kv", ""),
        // No namespace of `kv` has a colon, so that the cache cannot drive out what must stay.
        cache: place(table, "cache", "cache:"),
        patterns: patterns(table),
        metrics: metrics(table),
        load: loading(table),
    };
    let has = |wanted: &[Call]| grants.call.iter().any(|call| wanted.contains(call));
    needs_place(
        table,
        "kv",
        has(&[Call::KvRead, Call::KvWrite]),
        "`kv.read` or `kv.write`",
    );
    needs_place(table, "cache", has(&[Call::Cache]), "`cache`");
    if table.has("metrics") && !has(&[Call::Metrics]) {
        no_effect(table, "metrics", "`metrics`");
    }
    check_load(table, &grants);
    (table.is_sound && reading.errors() == errors).then_some(grants)
}

fn check_load(table: &Table<'_, '_>, grants: &Grants) {
    let asks = grants
        .call
        .iter()
        .any(|call| matches!(call, Call::Load | Call::Query));
    if asks && !table.has("load") {
        let message = "`load` and `query` need statements";
        let found = Diagnostic::error(code::MISSING_KEY, table.key_at("call"), message);
        table.reading.add(
            found.help("write load = { pool = \"..\", statements = { NAME = \"SELECT ..\" } }"),
        );
    }
    if !asks && table.has("load") {
        let message = "`load` has no effect without `load` or `query` in `call`";
        table
            .reading
            .error(code::NO_EFFECT, table.key_at("load"), message);
    }
}

/// Values need a namespace, and a namespace needs a call that uses it.
fn needs_place(table: &Table<'_, '_>, key: &'static str, used: bool, calls: &str) {
    if used && !table.has(key) {
        let message = format!("{calls} in `call` needs a namespace");
        let found = Diagnostic::error(code::MISSING_KEY, table.key_at("call"), message);
        table
            .reading
            .add(found.help(format!("write {key} = {{ namespace = \"..\" }}")));
    }
    if !used && table.has(key) {
        no_effect(table, key, calls);
    }
}

fn no_effect(table: &Table<'_, '_>, key: &'static str, calls: &str) {
    let message = format!("`{key}` has no effect without {calls} in `call`");
    let found = Diagnostic::error(code::NO_EFFECT, table.key_at(key), message);
    table.reading.add(found);
}

/// The metrics a set declares. With one, every other name is a fault of the guest.
fn metrics(table: &Table<'_, '_>) -> BTreeMap<Arc<str>, MetricGrant> {
    let mut metrics = BTreeMap::new();
    let Some(entry) = table.entry("metrics") else {
        return metrics;
    };
    if !matches!(entry.word.value, Value::Table(_)) {
        table.reading.wrong_type(&entry.word, "a table");
    }
    for entry in entry.word.entries() {
        let what = format!("the metric `{}`", entry.key);
        let Some(inner) = Table::open(table.reading, &METRIC, entry.key_at, &what, &entry.word)
        else {
            continue;
        };
        if !is_metric_name(&entry.key) {
            let message = "a metric's name has 1 to 64 of a-z, 0-9 and _";
            table
                .reading
                .error(code::BAD_VALUE, entry.key_at, message.to_owned());
        }
        let op = inner.choice("kind", &MetricOp::KINDS);
        let help = inner.arc("help").unwrap_or_default();
        inner.finish();
        if let Some(op) = op {
            metrics.insert(entry.key.as_str().into(), MetricGrant { op, help });
        }
    }
    metrics
}

fn patterns(table: &Table<'_, '_>) -> Patterns {
    let mut patterns = Patterns::default();
    let Some(entry) = table.entry("patterns") else {
        return patterns;
    };
    if !matches!(entry.word.value, Value::Table(_)) {
        table.reading.wrong_type(&entry.word, "a table");
    }
    for entry in entry.word.entries() {
        let Some(text) = table.reading.text(&entry.word) else {
            continue;
        };
        if let Err(error) = patterns.insert(&entry.key, &text.value) {
            let message = format!("pattern `{}`: {error}", entry.key);
            table.reading.error(code::BAD_PATTERN, text.at, message);
        }
    }
    patterns
}

fn place(table: &Table<'_, '_>, key: &'static str, prefix: &str) -> Option<KvGrant> {
    let inner = table.table(key, &KV)?;
    let namespace = inner.arc("namespace").unwrap_or_default();
    if namespace.contains(':') {
        let message = "a namespace has no colon in its name";
        inner
            .reading
            .error(code::BAD_VALUE, inner.value_at("namespace"), message);
    }
    let grant = KvGrant {
        namespace: format!("{prefix}{namespace}").into(),
        max_keys: inner
            .count("max_keys", 1..=10_000_000)
            .unwrap_or(KV_MAX_KEYS),
        max_bytes: inner.size("max_bytes").unwrap_or(KV_MAX_BYTES),
    };
    inner.finish();
    Some(grant)
}
