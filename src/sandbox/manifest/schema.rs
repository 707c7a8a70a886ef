//! The JSON Schema of manifests, for editors. Owns the sentence about each key; a test holds the keys against the reader's.

use super::super::Call;
use super::super::See;
use super::config;
use crate::hook::Hook;
use crate::hook::abi;
use crate::hook::abi::Field;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

const REQUIRED: [&str; 4] = ["name", "version", "abi", "hooks"];

/// The schema, ready to be written.
#[must_use]
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pgwarden plugin manifest",
        "description": "What a plugin says about itself, in the custom section `pgwarden:manifest`.",
        "type": "object",
        "properties": properties(),
        "required": REQUIRED,
        "additionalProperties": false,
        "$defs": { "schema": config::keywords() },
    })
}

/// A key, its schema, and what it is.
type Key = (&'static str, Value, &'static str);

/// Who the plugin is.
fn identity() -> Vec<Key> {
    let text = || json!({ "type": "string" });
    vec![
        (
            "name",
            json!({ "type": "string", "minLength": 1 }),
            "The plugin's own name.",
        ),
        (
            "version",
            json!({ "type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+([-+].*)?$" }),
            "Its version, as `1.2.3`.",
        ),
        (
            "abi",
            json!({ "type": "string", "pattern": format!("^{}\\.[0-9]+$", abi::NAME) }),
            "The ABI it was made for and the minor it needs.",
        ),
        ("description", text(), "What it is for."),
        ("author", text(), "Who made it."),
        ("licence", text(), "An SPDX expression."),
        ("source", text(), "Where its source is."),
    ]
}

/// What it is made for, and what it needs.
fn terms() -> Vec<Key> {
    let permissions: Vec<&str> = See::all()
        .map(See::name)
        .chain(Call::all().map(Call::name))
        .collect();
    let fields: Vec<String> = Field::all()
        .map(|row| format!("{}.{}", row.variable, row.name))
        .collect();
    let hooks: Vec<&str> = Hook::all().map(Hook::name).collect();
    let bytes = || json!({ "type": "integer", "minimum": 0 });
    let several = |names: Value| json!({ "type": "array", "items": { "enum": names } });
    vec![
        (
            "hooks",
            several(json!(hooks)),
            "The hooks it is made for; a policy that asks it elsewhere is refused.",
        ),
        (
            "needs",
            several(json!(permissions)),
            "Permissions it cannot do without; each must be granted.",
        ),
        (
            "wants",
            several(json!(permissions)),
            "Permissions it uses where they are granted.",
        ),
        (
            "reads",
            several(json!(fields)),
            "The fields it looks at; it is given these and no more.",
        ),
        (
            "memory",
            bytes(),
            "Bytes of memory it needs; above the policy's limit it is refused.",
        ),
        (
            "max_memory",
            bytes(),
            "Bytes of memory it never gets more than.",
        ),
        (
            "config",
            json!({ "$ref": "#/$defs/schema" }),
            "A JSON Schema of its configuration, with these keywords only.",
        ),
    ]
}

fn properties() -> Value {
    let mut properties = Map::new();
    for (name, mut schema, about) in identity().into_iter().chain(terms()) {
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), about.into());
        }
        properties.insert(name.to_owned(), schema);
    }
    Value::Object(properties)
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;
    use super::*;

    #[test]
    fn schema_and_reader_know_the_same_keys() {
        let refused = Manifest::parse(br#"{ "?": 0 }"#).unwrap_err();
        let (_, known) = refused.split_once("expected one of ").unwrap();
        let (known, _) = known.split_once(" at line").unwrap();
        let mut known: Vec<&str> = known.split(", ").map(|key| key.trim_matches('`')).collect();
        let properties = properties();
        let mut told: Vec<&str> = properties
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        known.sort_unstable();
        told.sort_unstable();
        assert_eq!(known, told);
    }

    #[test]
    fn what_is_required_is_required_by_both() {
        let whole = json!({ "name": "a", "version": "1.0.0", "abi": "pgwarden-1.0", "hooks": [] });
        assert!(Manifest::parse(whole.to_string().as_bytes()).is_ok());
        for key in REQUIRED {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(key);
            assert!(
                Manifest::parse(without.to_string().as_bytes()).is_err(),
                "{key}"
            );
        }
    }

    #[test]
    fn the_example_plugins_fit_the_schema() {
        let schema = jsonschema::validator_for(&schema()).unwrap();
        for name in ["deny_ddl", "tenant_guard"] {
            let path = format!(
                "{}/plugins/{name}/manifest.json",
                env!("CARGO_MANIFEST_DIR")
            );
            let manifest = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            assert!(schema.is_valid(&manifest), "{name}");
        }
        let wrong = json!({ "name": "a", "version": "1.0.0", "abi": "pgwarden-1.0", "hooks": [], "config": { "pattern": "x" } });
        assert!(!schema.is_valid(&wrong));
    }
}
