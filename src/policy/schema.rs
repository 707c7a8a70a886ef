//! The JSON Schemas of a policy and of a plugin's tests, for editors, printed from the table of keys. It knows types and names of keys; what refers to what, and
//! what is legal where, is `check`'s alone.

use super::keys::CASES;
use super::keys::Key;
use super::keys::Kind;
use super::keys::MATCHERS;
use super::keys::Noun;
use super::keys::ROOT;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

const DURATION: &str = r"^\s*(0|([0-9_]+\s*(ns|us|ms|s|m|h|d)\s*)+)$";
const SIZE: &str = r"^\s*(0|[0-9_]+\s*(B|kB|KiB|MB|MiB|GB|GiB))\s*$";

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
        object.insert("$defs".to_owned(), definitions());
        if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(
                "policy".to_owned(),
                json!({ "const": 1, "description": "The version of the language." }),
            );
        }
    }
    schema
}

/// The schema of a plugin's `tests/cases.toml`, ready to be written.
#[must_use]
pub fn cases_schema() -> Value {
    let mut schema = noun(&CASES);
    if let Value::Object(object) = &mut schema {
        object.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        object.insert("title".to_owned(), json!("pgwarden plugin tests"));
        object.insert("$defs".to_owned(), definitions());
    }
    schema
}

/// What is used in many places.
fn definitions() -> Value {
    json!({
        "var": reference("var", "The name of a variable in [vars]."),
        "env": reference("env", "The name of an environment variable."),
        "file": reference("file", "A path, relative to this file."),
        "text": or_referred(json!({ "type": "string" })),
        "integer": or_referred(json!({ "type": "integer", "minimum": 0 })),
        "boolean": or_referred(json!({ "type": "boolean" })),
        "duration": or_referred(json!({ "type": "string", "pattern": DURATION })),
        "size": or_referred(json!({ "type": "string", "pattern": SIZE })),
        "comparison": or_referred(json!({ "type": ["integer", "string"] })),
        "texts": one_or_list(&definition("text")),
        "secret": { "anyOf": [definition("file"), definition("env")] },
        "referable": { "anyOf": [definition("text"), definition("file")] },
        "matchers": noun(&MATCHERS),
    })
}

fn definition(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
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
        // Editors hand TOML's own dates over as text.
        Kind::Text | Kind::Name | Kind::Path | Kind::Date => definition("text"),
        Kind::Integer => definition("integer"),
        Kind::Boolean => definition("boolean"),
        Kind::Duration => definition("duration"),
        Kind::Size => definition("size"),
        Kind::Share => or_referred(json!({ "type": "number", "minimum": 0, "maximum": 1 })),
        Kind::OneOf(names) => or_referred(json!({ "type": "string", "enum": names() })),
        Kind::Comparison => definition("comparison"),
        Kind::Secret => definition("secret"),
        Kind::Referable => definition("referable"),
        Kind::Several(Kind::Text | Kind::Name | Kind::Path) => definition("texts"),
        Kind::Several(item) => one_or_list(&kind(*item)),
        Kind::Table(table) if std::ptr::eq(table, &MATCHERS) => definition("matchers"),
        Kind::Table(table) => noun(table),
        Kind::Named(value) => json!({ "type": "object", "additionalProperties": kind(*value) }),
        Kind::Short(table) => json!({ "anyOf": [definition("text"), noun(table)] }),
        Kind::Texts => json!({ "type": "array", "items": definition("text") }),
        Kind::Tables(table) => json!({ "type": "array", "items": noun(table) }),
        Kind::Any => json!({}),
    }
}

fn one_or_list(item: &Value) -> Value {
    json!({ "anyOf": [item, { "type": "array", "items": item, "minItems": 1 }] })
}

/// A value that may also come from a variable or the environment.
fn or_referred(of: Value) -> Value {
    json!({ "anyOf": [of, definition("var"), definition("env")] })
}
