//! The JSON Schema of a policy, for editors, printed from the table of keys. It knows types and names of keys; what refers to what, and
//! what is legal where, is `check`'s alone.

use super::keys::Key;
use super::keys::Kind;
use super::keys::Noun;
use super::keys::ROOT;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// The schema, ready to be written.
#[must_use]
pub fn schema() -> Value {
    let mut schema = noun(&ROOT);
    if let Value::Object(object) = &mut schema {
        object.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        object.insert("title".to_owned(), json!("pgwarden policy"));
        object.insert(
            "$defs".to_owned(),
            json!({
                "var": reference("var", "The name of a variable in [vars]."),
                "env": reference("env", "The name of an environment variable."),
                "file": reference("file", "A path, relative to this file."),
            }),
        );
        if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(
                "policy".to_owned(),
                json!({ "const": 1, "description": "The version of the language." }),
            );
        }
    }
    schema
}

fn reference(name: &str, about: &str) -> Value {
    json!({
        "type": "object",
        "properties": { name: { "type": "string", "description": about } },
        "required": [name],
        "additionalProperties": false,
    })
}

fn noun(noun: &Noun) -> Value {
    let mut properties = Map::new();
    for key in noun.keys.iter().filter(|key| !key.later) {
        properties.insert(key.name.to_owned(), property(key));
    }
    let required: Vec<&str> = noun
        .keys
        .iter()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    json!({
        "type": "object",
        "description": noun.about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(key: &Key) -> Value {
    let mut schema = kind(key.kind);
    if let Value::Object(object) = &mut schema {
        object.insert("description".to_owned(), json!(key.about));
    }
    schema
}

fn kind(of: Kind) -> Value {
    match of {
        Kind::Text | Kind::Name | Kind::Path => scalar(json!({ "type": "string" })),
        Kind::Integer => scalar(json!({ "type": "integer", "minimum": 0 })),
        Kind::Boolean => scalar(json!({ "type": "boolean" })),
        Kind::Duration => scalar(
            json!({ "type": "string", "pattern": r"^\s*(0|([0-9_]+\s*(ns|us|ms|s|m|h|d)\s*)+)$" }),
        ),
        Kind::Size => scalar(
            json!({ "type": "string", "pattern": r"^\s*(0|[0-9_]+\s*(B|kB|KiB|MB|MiB|GB|GiB))\s*$" }),
        ),
        // Editors hand TOML's own dates over as text.
        Kind::Date => scalar(json!({ "type": "string" })),
        Kind::OneOf(names) => scalar(json!({ "type": "string", "enum": names() })),
        Kind::Comparison => scalar(json!({ "type": ["integer", "string"] })),
        Kind::Secret => json!({ "anyOf": [{ "$ref": "#/$defs/file" }, { "$ref": "#/$defs/env" }] }),
        Kind::Referable => {
            json!({ "anyOf": [{ "type": "string" }, { "$ref": "#/$defs/file" }, { "$ref": "#/$defs/env" }, { "$ref": "#/$defs/var" }] })
        }
        Kind::Several(item) => {
            json!({ "anyOf": [kind(*item), { "type": "array", "items": kind(*item), "minItems": 1 }] })
        }
        Kind::Table(table) => noun(table),
        Kind::Named(value) => json!({ "type": "object", "additionalProperties": kind(*value) }),
        Kind::Short(table) => {
            json!({ "anyOf": [{ "type": "string" }, { "$ref": "#/$defs/var" }, noun(table)] })
        }
        Kind::Tables(table) => json!({ "type": "array", "items": noun(table) }),
        Kind::Any => json!({}),
    }
}

/// A value that may also come from a variable or the environment.
fn scalar(of: Value) -> Value {
    json!({ "anyOf": [of, { "$ref": "#/$defs/var" }, { "$ref": "#/$defs/env" }] })
}
