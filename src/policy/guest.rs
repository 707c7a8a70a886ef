//! `[plugin.NAME]`, `[permissions.NAME]` and `[sandbox]`: which foreign code there is, what it may see and do, what it may use.
//! Owns no engine: whether a plugin loads is found out by the sandbox.

use super::canonical::Canonical;
use super::code;
use super::document::Value;
use super::keys::KV;
use super::keys::LIMIT_KEYS;
use super::keys::PERMISSIONS;
use super::keys::PLUGIN;
use super::keys::SANDBOX;
use super::reading::Spot;
use super::reading::Table;
use super::report::Diagnostic;
use super::report::Place;
use super::revision::sha256_hex;
use super::scope::Scope;
use super::stage::OnFailure;
use crate::sandbox::Call;
use crate::sandbox::Grants;
use crate::sandbox::KvGrant;
use crate::sandbox::Limits;
use crate::sandbox::See;
use crate::sandbox::State;
use crate::unit;
use std::path::PathBuf;
use std::sync::Arc;

const KV_MAX_KEYS: usize = 1_000;
const KV_MAX_BYTES: usize = 1 << 20;

/// A WASM plugin. Its bytes are those that were hashed.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// The name in the policy.
    pub name: Arc<str>,
    /// The file, as it is shown.
    pub path: PathBuf,
    /// The hash of the bytes, which the policy pins; 64 hexadecimal digits.
    pub sha256: Arc<str>,
    /// The module.
    pub bytes: Arc<[u8]>,
    /// What it is configured with.
    pub config: Option<serde_json::Value>,
    /// What it may use.
    pub limits: Limits,
    /// What of one call the next may find.
    pub state: State,
    /// Where it is written.
    pub place: Place,
}

/// `[sandbox]`: what no guest may exceed, and what a failure means unless a stage says otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ceilings {
    pub(super) limits: Limits,
    pub(super) on_failure: OnFailure,
}

const STATES: [(&str, State); 2] = [("fresh", State::Fresh), ("kept", State::Kept)];

pub(super) fn ceilings(scope: Scope<'_, '_>) -> Ceilings {
    let mut limits = Limits::default();
    let Some(table) = scope.single(&SANDBOX) else {
        return Ceilings {
            limits,
            on_failure: OnFailure::Closed,
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
    table.finish();
    Ceilings { limits, on_failure }
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

pub(super) fn plugins(scope: Scope<'_, '_>, ceilings: Ceilings) -> Vec<Plugin> {
    scope.each(&PLUGIN, |_, name, table| plugin(name, table, ceilings))
}

fn plugin(name: &str, table: &Table<'_, '_>, ceilings: Ceilings) -> Option<Plugin> {
    let limits = limits(table, ceilings.limits, "`[sandbox]`");
    let state = table.choice("state", &STATES).unwrap_or(State::Fresh);
    // One ABI so far; asking for another is reported as a wrong choice.
    table.choice("abi", &[("pgwarden-1", ())]);
    let config = table.entry("config").and_then(|entry| {
        if !matches!(entry.word.value, Value::Table(_)) {
            table.reading.wrong_type(&entry.word, "a table");
        }
        table.reading.json(&entry.word)
    });
    let pinned = sha256(table);
    let (path, bytes) = table.file("path")?;
    if bytes.len() > limits.module_bytes_max {
        let message = format!(
            "`{}` has {} bytes, more than `max_module` allows",
            path.display(),
            bytes.len()
        );
        table
            .reading
            .error(code::ABOVE_CEILING, table.value_at("path"), message);
    }
    let found = sha256_hex(&bytes);
    let pinned = pinned?;
    if pinned.value != found {
        let message = format!("`{}` is not the file that is pinned", path.display());
        let mismatch = Diagnostic::error(code::SHA256_MISMATCH, pinned.at, message);
        table.reading.add(
            mismatch
                .label("the sha256 that is pinned")
                .help(format!("pinned: {}", pinned.value))
                .help(format!("found:  {found}"))
                .help("if the file is the one you reviewed, write its sha256 here"),
        );
    }
    let place = table.reading.place(table.at);
    Some(Plugin {
        name: name.into(),
        path,
        sha256: found.into(),
        bytes,
        config,
        limits,
        state,
        place,
    })
}

/// 64 digits, or the first word of what `sha256sum` wrote.
fn sha256(table: &Table<'_, '_>) -> Option<Spot<String>> {
    let spot = table.referable("sha256")?;
    let text = spot.value.expose_text().unwrap_or_default();
    let digits = text
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(Spot {
            at: spot.at,
            value: digits,
        });
    }
    let found = Diagnostic::error(code::BAD_SHA256, spot.at, "this is not a sha256");
    table
        .reading
        .add(found.label("expected 64 hexadecimal digits"));
    None
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
        Self {
            see: words("see").into(),
            call: words("call").into(),
        }
    }

    /// `granted at policy.toml:66: call = ["log"]`, of the key `see` or `call`.
    #[must_use]
    pub fn by(&self, key: &str) -> &str {
        if key == "see" { &self.see } else { &self.call }
    }
}

/// The permission sets with nothing wrong in them, in the order of their names.
pub(super) fn permissions(scope: Scope<'_, '_>) -> Vec<Permissions> {
    scope.each(&PERMISSIONS, |scope, name, table| {
        let errors = scope.reading.errors();
        let see = table.texts("see");
        let see = see.iter().filter_map(|spot| {
            scope
                .reading
                .one_of(spot, "data", See::all().map(See::name), See::parse)
        });
        let see = see.collect();
        let call = table.texts("call");
        let call = call.iter().filter_map(|spot| {
            scope
                .reading
                .one_of(spot, "effect", Call::all().map(Call::name), Call::parse)
        });
        let grants = Grants {
            name: name.into(),
            see,
            call: call.collect(),
            kv: kv(table),
        };
        let stores = grants
            .call
            .iter()
            .any(|call| matches!(call, Call::KvRead | Call::KvWrite));
        if stores && !table.has("kv") {
            let found = Diagnostic::error(
                code::MISSING_KEY,
                table.key_at("call"),
                "stored values need a namespace",
            );
            scope
                .reading
                .add(found.help("write kv = { namespace = \"..\" }"));
        }
        if !stores && table.has("kv") {
            let message = "`kv` has no effect without `kv.read` or `kv.write` in `call`";
            scope
                .reading
                .error(code::NO_EFFECT, table.key_at("kv"), message);
        }
        let is_right = table.is_sound && scope.reading.errors() == errors;
        is_right.then(|| Permissions {
            granted: Arc::new(Granted::of(name, table)),
            grants,
        })
    })
}

fn kv(table: &Table<'_, '_>) -> Option<KvGrant> {
    let inner = table.table("kv", &KV)?;
    let grant = KvGrant {
        namespace: inner.arc("namespace").unwrap_or_default(),
        max_keys: inner
            .count("max_keys", 1..=10_000_000)
            .unwrap_or(KV_MAX_KEYS),
        max_bytes: inner.size("max_bytes").unwrap_or(KV_MAX_BYTES),
    };
    inner.finish();
    Some(grant)
}

impl Plugin {
    pub(super) fn write(&self, canonical: &mut Canonical) {
        // The path is not part of the meaning: the hash says which module it is.
        let Self {
            name,
            path: _,
            sha256,
            bytes: _,
            config,
            limits,
            state,
            place: _,
        } = self;
        let mut section = canonical.section("plugin", name);
        section.text("sha256", sha256);
        section.json("config", config.as_ref());
        section.limits(limits);
        section.debug("state", state);
    }
}
