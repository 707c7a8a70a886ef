//! Manifests of plugins made for heliosdb-proxy: the same things in other words, less strictly. What they say about permissions is kept for
//! people; what such a plugin may do follows from its imports and the policy's grants, as for every other.

use super::Manifest;
use super::hook;
use crate::hook::Hook;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::DeserializeSeed;
use serde::de::Visitor;
use std::fmt;
use std::sync::Arc;

/// Other keys are allowed: they are told to somebody else.
#[derive(Deserialize)]
struct Document {
    #[serde(deserialize_with = "name")]
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    author: String,
    #[serde(default, alias = "license")]
    licence: String,
    #[serde(default, alias = "repository", alias = "homepage")]
    source: String,
    hooks: Vec<Named>,
    #[serde(default)]
    permissions: Vec<String>,
    min_memory: Option<u64>,
    max_memory: Option<u64>,
}

/// A hook.
struct Named(Hook);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        let read: fn(&str) -> Result<Self, String> = |name| hook(name).map(Self);
        value.deserialize_str(Checked(read))
    }
}

fn name<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    value.deserialize_str(Checked(|name| match name {
        "" => Err("the manifest's `name` is empty".to_owned()),
        name => Ok(name.to_owned()),
    }))
}

/// Checks a text while it is read, so that a mistake is told where it stands: later nobody knows.
struct Checked<T>(fn(&str) -> Result<T, String>);

impl<T> Visitor<'_> for Checked<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        self.0(text).map_err(E::custom)
    }
}

/// Reads a manifest from whatever it is written in.
pub(super) struct Reader;

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Manifest;

    fn deserialize<D: Deserializer<'de>>(self, document: D) -> Result<Manifest, D::Error> {
        let document = Document::deserialize(document)?;
        Ok(Manifest {
            name: document.name.into(),
            version: document.version.into(),
            abi_minor: None,
            description: document.description.into(),
            author: document.author.into(),
            licence: document.licence.into(),
            source: document.source.into(),
            hooks: document.hooks.into_iter().map(|Named(hook)| hook).collect(),
            needs: Vec::new(),
            wants: Vec::new(),
            reads: None,
            memory_bytes: document.min_memory,
            memory_bytes_max: document.max_memory,
            permissions: document.permissions.into_iter().map(Arc::from).collect(),
            config: None,
        })
    }
}
