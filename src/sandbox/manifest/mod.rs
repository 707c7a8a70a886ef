//! What a plugin says about itself: a JSON text in the custom section `pgwarden:manifest`, read without running anything and
//! covered by the module's hash. Owns the manifest and its comparison with what a policy grants; no module needs to have one.

mod apart;
mod config;
mod legacy;
mod schema;
mod section;
mod yaml;

pub use apart::ManifestForm;
pub use apart::ManifestMistake;
pub(super) use apart::OwnHash;
pub use config::ConfigError;
pub use config::ConfigSchema;
pub use config::Step;
pub use schema::schema;

use super::Call;
use super::Grants;
use super::LoadError;
use super::See;
use super::guest::code;
use super::suggest::nearest;
use crate::hook::Hook;
use crate::hook::abi;
use crate::hook::abi::Field;
use crate::hook::abi::Fields;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// The custom section's name.
const SECTION: &str = "pgwarden:manifest";

/// The keys of a manifest, for messages and the schema.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Document {
    name: String,
    version: String,
    abi: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    licence: String,
    #[serde(default)]
    source: String,
    hooks: Vec<String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    wants: Vec<String>,
    reads: Option<Vec<String>>,
    memory: Option<u64>,
    max_memory: Option<u64>,
    config: Option<Value>,
}

/// A plugin's manifest.
#[derive(Clone, PartialEq, Debug)]
pub struct Manifest {
    /// The plugin's own name.
    pub name: Arc<str>,
    /// Its version, as `1.2.3`.
    pub version: Arc<str>,
    /// Minor version of the ABI it was made for; the major is ours. `None` in the manifests of another system, which do not say.
    pub abi_minor: Option<u16>,
    /// What it is for.
    pub description: Arc<str>,
    /// Who made it.
    pub author: Arc<str>,
    /// An SPDX expression.
    pub licence: Arc<str>,
    /// Where its source is.
    pub source: Arc<str>,
    /// The hooks it is made for.
    pub hooks: Vec<Hook>,
    /// What it cannot do without.
    pub needs: Vec<Permission>,
    /// What it uses where it is granted.
    pub wants: Vec<Permission>,
    /// The fields it looks at; all that it may see where it does not say.
    pub reads: Option<Fields>,
    /// Bytes of memory it needs.
    pub memory_bytes: Option<u64>,
    /// Bytes of memory beyond which it is broken, so that it gets no more.
    pub memory_bytes_max: Option<u64>,
    /// Permissions in the words of another system. They grant and demand nothing here: what is imported does.
    pub permissions: Vec<Arc<str>>,
    /// What its configuration looks like.
    pub config: Option<ConfigSchema>,
}

/// One thing a permission set may grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission {
    /// Data.
    See(See),
    /// An effect.
    Call(Call),
}

impl Permission {
    /// The name in policies and manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::See(see) => see.name(),
            Self::Call(call) => call.name(),
        }
    }

    fn parse(name: &str) -> Result<Self, String> {
        let known = See::parse(name).map(Self::See);
        known
            .or_else(|| Call::parse(name).map(Self::Call))
            .ok_or_else(|| {
                let names = See::all().map(See::name).chain(Call::all().map(Call::name));
                unknown("permission", name, names)
            })
    }

    fn is_granted(self, grants: &Grants) -> bool {
        match self {
            Self::See(see) => grants.may_see(see),
            Self::Call(call) => grants.may_call(call),
        }
    }
}

impl Manifest {
    /// The manifest of a module; `None` where it has none. What is no module at all has none either: the engine refuses it.
    ///
    /// # Errors
    /// What is wrong with the module's sections or with the manifest.
    pub fn of_module(module: &[u8]) -> Result<Option<Self>, String> {
        if !module.starts_with(section::MAGIC) {
            return Ok(None);
        }
        section::custom(module, SECTION)?
            .map(Self::parse)
            .transpose()
    }

    /// The module with this manifest in it. It must have none.
    #[must_use]
    pub fn put_into(module: &[u8], text: &[u8]) -> Vec<u8> {
        section::with_custom(module, SECTION, text)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let document: Document =
            serde_json::from_slice(text).map_err(|error| format!("the manifest: {error}"))?;
        Self::of_document(document)
    }

    /// A manifest in our words that is no text any more.
    fn from_json(document: Value) -> Result<Self, String> {
        let document = serde_json::from_value(document).map_err(|error| error.to_string())?;
        Self::of_document(document)
    }

    fn of_document(document: Document) -> Result<Self, String> {
        let permissions = |names: &[String]| -> Result<Vec<Permission>, String> {
            names.iter().map(|name| Permission::parse(name)).collect()
        };
        if document.name.is_empty() {
            return Err("the manifest's `name` is empty".to_owned());
        }
        Ok(Self {
            abi_minor: Some(minor(&document.abi)?),
            version: version(&document.version)?,
            name: document.name.into(),
            description: document.description.into(),
            author: document.author.into(),
            licence: document.licence.into(),
            source: document.source.into(),
            hooks: document
                .hooks
                .iter()
                .map(|name| hook(name))
                .collect::<Result<_, _>>()?,
            needs: permissions(&document.needs)?,
            wants: permissions(&document.wants)?,
            reads: document.reads.map(|names| fields(&names)).transpose()?,
            memory_bytes: document.memory,
            memory_bytes_max: document.max_memory,
            permissions: Vec::new(),
            config: document
                .config
                .map(|schema| ConfigSchema::compile(&schema))
                .transpose()?,
        })
    }

    /// What the policy asks of the plugin or denies it, against what the plugin says.
    pub(crate) fn errors(&self, hooks: &[Hook], grants: &Grants) -> Vec<LoadError> {
        let made_for = self
            .hooks
            .iter()
            .map(|hook| hook.name())
            .collect::<Vec<_>>()
            .join(", ");
        let hooks = hooks
            .iter()
            .filter(|hook| !self.hooks.contains(hook))
            .map(|hook| {
                let message = format!("is not made for the hook `{hook}`");
                LoadError::new(code::HOOK_NOT_OFFERED, message).help(format!("made for {made_for}"))
            });
        let set = match &*grants.name {
            "" => "the standard permissions do".to_owned(),
            name => format!("permissions `{name}` do"),
        };
        let needs = self
            .needs
            .iter()
            .filter(|need| !need.is_granted(grants))
            .map(|need| {
                let (code, key) = match need {
                    Permission::See(_) => (code::FIELD_NOT_GRANTED, "see"),
                    Permission::Call(_) => (code::CALL_NOT_GRANTED, "call"),
                };
                let message = format!("needs `{}`, which {set} not grant", need.name());
                LoadError::new(code, message).help(format!("needs `{}` in `{key}`", need.name()))
            });
        hooks.chain(needs).collect()
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(known) => format!("the manifest names the {what} `{name}`; did you mean `{known}`?"),
        None => format!("the manifest names the {what} `{name}`, which does not exist"),
    }
}

fn hook(name: &str) -> Result<Hook, String> {
    Hook::parse(name).ok_or_else(|| unknown("hook", name, Hook::all().map(Hook::name)))
}

fn fields(names: &[String]) -> Result<Fields, String> {
    let names = names.iter().map(|name| {
        let found = name
            .split_once('.')
            .and_then(|(variable, field)| Field::by_name(variable, field));
        found.ok_or_else(|| {
            let known: Vec<String> = Field::all()
                .map(|row| format!("{}.{}", row.variable, row.name))
                .collect();
            unknown("field", name, known.iter().map(String::as_str))
        })
    });
    names.collect()
}

/// `pgwarden-1.0`: the major must be ours, the minor at most ours.
fn minor(abi: &str) -> Result<u16, String> {
    let wrong = || {
        format!(
            "made for the ABI `{abi}`, and this is `{}.{}`",
            abi::NAME,
            abi::MINOR
        )
    };
    let minor = abi
        .strip_prefix(abi::NAME)
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|minor| minor.parse::<u16>().ok())
        .ok_or_else(wrong)?;
    if abi::MINOR < minor {
        return Err(format!("{}: a newer pgwarden is needed", wrong()));
    }
    Ok(minor)
}

fn version(text: &str) -> Result<Arc<str>, String> {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    let is_number =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() == 3 && parts.iter().all(is_number) {
        return Ok(text.into());
    }
    Err(format!(
        "the manifest's version `{text}` is not like `1.2.3`"
    ))
}

#[cfg(test)]
mod tests;
