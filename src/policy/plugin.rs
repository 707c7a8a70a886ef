//! `[plugin.NAME]`: a module's bytes, the hash that pins them, what its manifest says, and its configuration.
//! Owns no engine: whether a plugin loads is found out by the sandbox.

use super::canonical::Canonical;
use super::code;
use super::document::Value;
use super::document::Word;
use super::guest::BreakerRule;
use super::guest::Ceilings;
use super::guest::breaker;
use super::guest::limits;
use super::keys::PLUGIN;
use super::reading::Spot;
use super::reading::Table;
use super::report::At;
use super::report::Diagnostic;
use super::report::Place;
use super::scope::Scope;
use super::sidecar;
use super::sidecar::Told;
use super::signed::Sealed;
use crate::digest::sha256_hex;
use crate::sandbox::Abi;
use crate::sandbox::Artefact;
use crate::sandbox::ArtefactError;
use crate::sandbox::ConfigError;
use crate::sandbox::ConfigSchema;
use crate::sandbox::Limits;
use crate::sandbox::Manifest;
use crate::sandbox::State;
use crate::sandbox::Step;
use serde_json::Value as Json;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// A WASM plugin. Its bytes are those that were hashed.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// The name in the policy.
    pub name: Arc<str>,
    /// The file, as it is shown.
    pub path: PathBuf,
    /// The hash of the file, which the policy pins; 64 hexadecimal digits.
    pub sha256: Arc<str>,
    /// How it is called.
    pub abi: Abi,
    /// The module: the file itself, or what it holds.
    pub bytes: Arc<[u8]>,
    /// What it says about itself.
    pub manifest: Option<Arc<Manifest>>,
    /// The hash of the file beside it that says so, where it is not the plugin itself.
    pub sidecar: Option<Arc<str>>,
    /// Whose signature was found to be good.
    pub signed_by: Option<Arc<str>>,
    /// What it is configured with; the manifest's defaults are filled in.
    pub config: Option<serde_json::Value>,
    /// The same as it is written, with references in place of what may be secret.
    config_written: Option<serde_json::Value>,
    /// What it may use.
    pub limits: Limits,
    /// When it is no longer asked.
    pub breaker: BreakerRule,
    /// What of one call the next may find.
    pub state: State,
    /// Where it is written.
    pub place: Place,
}

pub(super) const STATES: [(&str, State); 2] = [("fresh", State::Fresh), ("kept", State::Kept)];

pub(super) fn plugins(scope: Scope<'_, '_>, ceilings: Ceilings) -> Vec<Plugin> {
    scope.each(&PLUGIN, |_, name, table| plugin(name, table, ceilings))
}

fn plugin(name: &str, table: &Table<'_, '_>, ceilings: Ceilings) -> Option<Plugin> {
    let abi = table.choice("abi", &Abi::NAMES).unwrap_or_default();
    let mut limits = limits(table, ceilings.of(abi), "`[sandbox]`");
    let state = table.choice("state", &STATES).unwrap_or(State::Fresh);
    if abi == Abi::Helios1 {
        not_of_helios(table, state);
    }
    let config = table.entry("config").and_then(|entry| {
        if !matches!(entry.word.value, Value::Table(_)) {
            table.reading.wrong_type(&entry.word, "a table");
        }
        table.reading.json(&entry.word)
    });
    let pinned = sha256(table);
    let (path, bytes) = table.file("path")?;
    too_large(table, &path, bytes.len(), limits.module_bytes_max);
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
    let sealed = Sealed::of(table, &path);
    let artefact = Artefact::read(&bytes, limits.module_bytes_max)
        .map_err(|error| unpacked(table, &path, &error))
        .ok()?;
    let signed_by = sealed?.verify(&bytes, &artefact)?;
    let Told { manifest, sidecar } = sidecar::told(table, abi, &path, &artefact)?;
    limit(&mut limits, manifest.as_deref());
    let schema = manifest
        .as_ref()
        .and_then(|manifest| manifest.config.as_ref());
    let config_written = table
        .entry("config")
        .and_then(|entry| table.reading.json_as_written(&entry.word));
    let config = match schema {
        Some(schema) => Some(fitting(table, schema, config)),
        None => config,
    };
    let place = table.reading.place(table.at);
    Some(Plugin {
        name: name.into(),
        path,
        sha256: found.into(),
        abi,
        bytes: artefact.module,
        manifest,
        sidecar,
        signed_by,
        config,
        config_written,
        limits,
        breaker: breaker(table, ceilings.breaker),
        state,
        place,
    })
}

/// Reports a file that is larger than `max_module`.
fn too_large(table: &Table<'_, '_>, path: &Path, bytes: usize, bytes_max: usize) {
    if bytes_max < bytes {
        let message = format!(
            "`{}` has {bytes} bytes, more than `max_module` allows",
            path.display()
        );
        let at = table.value_at("path");
        table.reading.error(code::ABOVE_CEILING, at, message);
    }
}

fn unpacked(table: &Table<'_, '_>, path: &Path, error: &ArtefactError) {
    let code = match error {
        ArtefactError::Archive(_) => code::BAD_ARCHIVE,
        ArtefactError::Manifest(_) => code::BAD_MANIFEST,
    };
    let message = format!("`{}`: {error}", path.display());
    table.reading.error(code, table.value_at("path"), message);
}

/// A plugin gets no more memory than it says it can use.
fn limit(limits: &mut Limits, manifest: Option<&Manifest>) {
    let max = manifest.and_then(|manifest| manifest.memory_bytes_max);
    if let Some(max) = max.and_then(|max| usize::try_from(max).ok()) {
        limits.memory_bytes_max = limits.memory_bytes_max.min(max);
    }
}

/// Reports what plugins made for heliosdb-proxy cannot have.
fn not_of_helios(table: &Table<'_, '_>, state: State) {
    if state == State::Kept {
        let message = "a plugin with `abi = \"helios-1\"` gets a fresh memory for each call: its allocator never frees";
        let found = Diagnostic::error(code::CONTRADICTION, table.value_at("state"), message);
        table.reading.add(found.label("remove it"));
    }
    if table.has("config") {
        let message = "`config` has no effect: `helios-1` has no way to ask for it";
        let found = Diagnostic::error(code::NO_EFFECT, table.key_at("config"), message);
        let help = "a stage's `attributes`, and stored values, reach such a plugin";
        table.reading.add(found.help(help));
    }
}

/// 64 digits, or the first word of what `sha256sum` wrote.
fn sha256(table: &Table<'_, '_>) -> Option<Spot<String>> {
    let spot = table.text_or_file("sha256")?;
    let digits = spot
        .value
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

/// The configuration with the manifest's defaults; what does not fit is reported where it stands.
fn fitting(table: &Table<'_, '_>, schema: &ConfigSchema, config: Option<Json>) -> Json {
    let mut config = config.unwrap_or_else(ConfigSchema::empty);
    let entry = table.entry("config");
    for error in schema.apply(&mut config) {
        let at = match &entry {
            Some(entry) => place_of(&entry.word, entry.key_at, &error),
            None => table.at,
        };
        let found = Diagnostic::error(
            code::BAD_CONFIG,
            at,
            format!("the plugin's configuration: {}", error.message),
        );
        table.reading.add(match error.help {
            Some(help) => found.label(help),
            None => found,
        });
    }
    config
}

/// Where a mistake in a configuration stands: the value, or the key where that is the mistake. What was made from a
/// reference stands where the reference does.
fn place_of(word: &Word, key_at: At, error: &ConfigError) -> At {
    let (mut word, mut key_at) = (word, key_at);
    for step in &error.path {
        match (step, &word.value) {
            (Step::Key(key), Value::Table(entries)) => {
                match entries.iter().find(|entry| entry.key == *key) {
                    Some(entry) => (word, key_at) = (&entry.word, entry.key_at),
                    None => break,
                }
            }
            (Step::Item(index), Value::List(items)) => match items.get(*index) {
                Some(item) => word = item,
                None => break,
            },
            _ => break,
        }
    }
    if error.is_key { key_at } else { word.at }
}

impl Plugin {
    /// What it is configured with, as it is written.
    pub(super) fn config_written(&self) -> Option<&Json> {
        self.config_written.as_ref()
    }

    pub(super) fn write(&self, canonical: &mut Canonical) {
        // The path is not part of the meaning: the hash says which module it is.
        let Self {
            name,
            path: _,
            sha256,
            abi,
            bytes: _,
            manifest: _,
            sidecar,
            signed_by,
            // The value of a secret is in no hash.
            config: _,
            config_written,
            limits,
            // A stage's own, and what it takes from here, is written with the stage.
            breaker: _,
            state,
            place: _,
        } = self;
        let mut section = canonical.section("plugin", name);
        section.text("sha256", sha256);
        if let Some(sidecar) = sidecar {
            section.text("manifest_sha256", sidecar);
        }
        if let Some(signed_by) = signed_by {
            section.text("signed_by", signed_by);
        }
        section.text("abi", abi.name());
        section.json("config", config_written.as_ref());
        section.limits(limits);
        section.debug("state", state);
    }
}
