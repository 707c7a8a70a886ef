//! Manifests of plugins made for heliosdb-proxy: the same things in other words, less strictly. What they say about permissions is kept for
//! people; what such a plugin may do follows from its imports and the policy's grants, as for every other.

use super::Manifest;
use super::hook;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Other keys are allowed: they are told to somebody else.
#[derive(Deserialize)]
struct Document {
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
    hooks: Vec<String>,
    #[serde(default)]
    permissions: Vec<String>,
    min_memory: Option<u64>,
    max_memory: Option<u64>,
}

pub(super) fn read(document: Value) -> Result<Manifest, String> {
    let document: Document = serde_json::from_value(document).map_err(|error| error.to_string())?;
    if document.name.is_empty() {
        return Err("the manifest's `name` is empty".to_owned());
    }
    let hooks = document.hooks.iter().map(|name| hook(name));
    Ok(Manifest {
        name: document.name.into(),
        version: document.version.into(),
        abi_minor: None,
        description: document.description.into(),
        author: document.author.into(),
        licence: document.licence.into(),
        source: document.source.into(),
        hooks: hooks.collect::<Result<_, _>>()?,
        needs: Vec::new(),
        wants: Vec::new(),
        reads: None,
        memory_bytes: document.min_memory,
        memory_bytes_max: document.max_memory,
        permissions: document.permissions.into_iter().map(Arc::from).collect(),
        config: None,
    })
}
