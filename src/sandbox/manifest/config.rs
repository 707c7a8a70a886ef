//! What a plugin's configuration must look like: the part of JSON Schema that tables of settings need. A keyword that is not
//! here is refused when the plugin is loaded, never ignored. Owns no place in a file: an error says which way leads to it.
//!
//! Source: JSON Schema Validation, draft 2020-12.

use super::super::suggest::nearest;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// A schema, with every keyword known.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ConfigSchema {
    types: Vec<Type>,
    properties: Vec<(String, ConfigSchema)>,
    required: Vec<String>,
    others: Others,
    items: Option<Box<ConfigSchema>>,
    one_of: Option<Vec<Value>>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    characters: Count,
    members: Count,
    default: Option<Value>,
}

/// How many characters a text, or items a list, may have.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Count {
    min: Option<u64>,
    max: Option<u64>,
}

/// What is said of keys that are not in `properties`.
#[derive(Clone, PartialEq, Debug, Default)]
enum Others {
    #[default]
    Refused,
    Allowed,
    /// Allowed with values like this: a table whose keys are names.
    Like(Box<ConfigSchema>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    Text,
    Integer,
    Number,
    Boolean,
    List,
    Table,
}

const TYPES: [(&str, Type, &str); 6] = [
    ("string", Type::Text, "text"),
    ("integer", Type::Integer, "an integer"),
    ("number", Type::Number, "a number"),
    ("boolean", Type::Boolean, "a boolean"),
    ("array", Type::List, "a list"),
    ("object", Type::Table, "a table"),
];

const KEYWORDS: [&str; 18] = [
    "$schema",
    "title",
    "description",
    "examples",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "default",
    "$comment",
];

/// What of JSON Schema there is, as a schema.
pub(super) fn keywords() -> Value {
    let types: Vec<&str> = TYPES.iter().map(|row| row.0).collect();
    let nested = json!({ "$ref": "#/$defs/schema" });
    let count = json!({ "type": "integer", "minimum": 0 });
    let mut properties = Map::new();
    for keyword in KEYWORDS {
        let of = match keyword {
            "type" => {
                json!({ "anyOf": [{ "enum": types }, { "type": "array", "items": { "enum": types } }] })
            }
            "properties" => json!({ "type": "object", "additionalProperties": nested }),
            "items" => nested.clone(),
            "required" => json!({ "type": "array", "items": { "type": "string" } }),
            "additionalProperties" => json!({ "anyOf": [{ "type": "boolean" }, nested] }),
            "enum" | "examples" => json!({ "type": "array" }),
            "minimum" | "maximum" => json!({ "type": "number" }),
            "minLength" | "maxLength" | "minItems" | "maxItems" => count.clone(),
            "default" => json!(true),
            _ => json!({ "type": "string" }),
        };
        properties.insert(keyword.to_owned(), of);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// Nested schemas at most.
const DEPTH_MAX: usize = 16;

/// One step into a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// An item of a list.
    Item(usize),
}

/// One thing that is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Where.
    pub path: Vec<Step>,
    /// Whether the last step's key itself is wrong, and not its value.
    pub is_key: bool,
    /// What is wrong.
    pub message: String,
    /// What was meant.
    pub help: Option<String>,
}

impl ConfigSchema {
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        compile(schema, 0)
    }

    /// Fills in the defaults, and says everything that is wrong.
    pub fn apply(&self, config: &mut Value) -> Vec<ConfigError> {
        self.fill(config);
        let mut errors = Vec::new();
        self.validate(config, &mut Vec::new(), &mut errors);
        errors
    }

    /// The value of a plugin without `config`.
    #[must_use]
    pub fn empty() -> Value {
        Value::Object(Map::new())
    }

    fn fill(&self, value: &mut Value) {
        match value {
            Value::Object(table) => {
                for (key, schema) in &self.properties {
                    if let (None, Some(default)) = (table.get(key), &schema.default) {
                        table.insert(key.clone(), default.clone());
                    }
                    if let Some(value) = table.get_mut(key) {
                        schema.fill(value);
                    }
                }
                if let Others::Like(schema) = &self.others {
                    let known = |key: &String| self.properties.iter().any(|(name, _)| name == key);
                    let others = table.iter_mut().filter(|(key, _)| !known(key));
                    others.for_each(|(_, value)| schema.fill(value));
                }
            }
            Value::Array(list) => {
                if let Some(items) = &self.items {
                    list.iter_mut().for_each(|item| items.fill(item));
                }
            }
            _ => (),
        }
    }

    fn validate(&self, value: &Value, path: &mut Vec<Step>, errors: &mut Vec<ConfigError>) {
        if !self.types.is_empty() && !self.types.iter().any(|of| is_of(value, *of)) {
            let names: Vec<&str> = self.types.iter().map(|of| TYPES[*of as usize].2).collect();
            return error(errors, path, format!("must be {}", names.join(" or ")));
        }
        if let Some(one_of) = &self.one_of
            && !one_of.contains(value)
        {
            let known: Vec<String> = one_of.iter().map(Value::to_string).collect();
            error(errors, path, format!("must be one of {}", known.join(", ")));
        }
        self.bounds(value, path, errors);
        match value {
            Value::Object(table) => self.table(table, path, errors),
            Value::Array(list) => {
                for (index, item) in list.iter().enumerate() {
                    if let Some(items) = &self.items {
                        path.push(Step::Item(index));
                        items.validate(item, path, errors);
                        path.pop();
                    }
                }
            }
            _ => (),
        }
    }

    fn bounds(&self, value: &Value, path: &[Step], errors: &mut Vec<ConfigError>) {
        if let Some(number) = value.as_f64() {
            if self.minimum.is_some_and(|minimum| number < minimum) {
                error(
                    errors,
                    path,
                    format!("must be at least {}", self.minimum.unwrap_or_default()),
                );
            }
            if self.maximum.is_some_and(|maximum| maximum < number) {
                error(
                    errors,
                    path,
                    format!("must be at most {}", self.maximum.unwrap_or_default()),
                );
            }
        }
        // Each counts what its name says, and says nothing about other values.
        match value {
            Value::String(text) => {
                let len = text.chars().count();
                self.characters.check(len, "characters", path, errors);
            }
            Value::Array(list) => self.members.check(list.len(), "items", path, errors),
            _ => (),
        }
    }

    fn table(
        &self,
        table: &Map<String, Value>,
        path: &mut Vec<Step>,
        errors: &mut Vec<ConfigError>,
    ) {
        for key in self.required.iter().filter(|key| !table.contains_key(*key)) {
            error(errors, path, format!("`{key}` is required"));
        }
        for (key, value) in table {
            path.push(Step::Key(key.clone()));
            let known = self.properties.iter().find(|(known, _)| known == key);
            match (known, &self.others) {
                (Some((_, schema)), _) => schema.validate(value, path, errors),
                (None, Others::Allowed) => (),
                (None, Others::Like(schema)) => schema.validate(value, path, errors),
                (None, Others::Refused) => {
                    let names = self.properties.iter().map(|(name, _)| name.as_str());
                    let help = nearest(key, names).map(|known| format!("did you mean `{known}`?"));
                    errors.push(ConfigError {
                        path: path.clone(),
                        is_key: true,
                        message: format!("no setting `{key}`"),
                        help,
                    });
                }
            }
            path.pop();
        }
    }
}

impl Count {
    /// The keys of both bounds; the one that cannot be read.
    fn read<'k>(table: &Map<String, Value>, [min, max]: [&'k str; 2]) -> Result<Self, &'k str> {
        let bound = |key: &'k str| match table.get(key) {
            None => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(key),
        };
        Ok(Self {
            min: bound(min)?,
            max: bound(max)?,
        })
    }

    fn check(self, len: usize, what: &str, path: &[Step], errors: &mut Vec<ConfigError>) {
        let len = len as u64;
        if let Some(min) = self.min.filter(|min| len < *min) {
            error(errors, path, format!("must have at least {min} {what}"));
        }
        if let Some(max) = self.max.filter(|max| *max < len) {
            error(errors, path, format!("must have at most {max} {what}"));
        }
    }
}

fn error(errors: &mut Vec<ConfigError>, path: &[Step], message: String) {
    errors.push(ConfigError {
        path: path.to_vec(),
        is_key: false,
        message,
        help: None,
    });
}

fn is_of(value: &Value, of: Type) -> bool {
    match of {
        Type::Text => value.is_string(),
        Type::Integer => value.is_i64() || value.is_u64(),
        Type::Number => value.is_number(),
        Type::Boolean => value.is_boolean(),
        Type::List => value.is_array(),
        Type::Table => value.is_object(),
    }
}

fn compile(schema: &Value, depth: usize) -> Result<ConfigSchema, String> {
    let wrong = |key: &str| format!("the manifest's config schema: `{key}` cannot be read");
    if depth == DEPTH_MAX {
        return Err("the manifest's config schema is nested too deeply".to_owned());
    }
    let Value::Object(table) = schema else {
        return Err("the manifest's config schema: a schema is an object".to_owned());
    };
    if let Some(key) = table.keys().find(|key| !KEYWORDS.contains(&key.as_str())) {
        return Err(format!(
            "the manifest's config schema uses `{key}`; known are {}",
            KEYWORDS.join(", ")
        ));
    }
    if let Some(key) = table.iter().find_map(|(key, value)| badly_told(key, value)) {
        return Err(wrong(key));
    }
    let mut made = ConfigSchema {
        types: types(table.get("type")).ok_or_else(|| wrong("type"))?,
        others: match table.get("additionalProperties") {
            None if table.contains_key("properties") => Others::Refused,
            None | Some(Value::Bool(true)) => Others::Allowed,
            Some(Value::Bool(false)) => Others::Refused,
            Some(schema) => Others::Like(Box::new(compile(schema, depth + 1)?)),
        },
        default: table.get("default").cloned(),
        ..ConfigSchema::default()
    };
    if let Some(properties) = table.get("properties") {
        for (key, schema) in properties.as_object().ok_or_else(|| wrong("properties"))? {
            made.properties
                .push((key.clone(), compile(schema, depth + 1)?));
        }
    }
    if let Some(required) = table.get("required") {
        let names = required.as_array().ok_or_else(|| wrong("required"))?.iter();
        let names: Option<Vec<String>> =
            names.map(|name| name.as_str().map(str::to_owned)).collect();
        made.required = names.ok_or_else(|| wrong("required"))?;
    }
    if let Some(items) = table.get("items") {
        made.items = Some(Box::new(compile(items, depth + 1)?));
    }
    if let Some(one_of) = table.get("enum") {
        made.one_of = Some(one_of.as_array().ok_or_else(|| wrong("enum"))?.clone());
    }
    let number = |key: &str| match table.get(key) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| wrong(key)),
    };
    (made.minimum, made.maximum) = (number("minimum")?, number("maximum")?);
    made.characters = Count::read(table, ["minLength", "maxLength"]).map_err(wrong)?;
    made.members = Count::read(table, ["minItems", "maxItems"]).map_err(wrong)?;
    if let Some(default) = &made.default {
        let mut errors = Vec::new();
        made.validate(default, &mut Vec::new(), &mut errors);
        if let Some(error) = errors.first() {
            return Err(format!(
                "the manifest's config schema: a default {}",
                error.message
            ));
        }
    }
    Ok(made)
}

/// The key where it is a remark, to which nothing is held, and is not written like one.
fn badly_told<'k>(key: &'k str, value: &Value) -> Option<&'k str> {
    let is_good = match key {
        "$schema" | "$comment" | "title" | "description" => value.is_string(),
        "examples" => value.is_array(),
        _ => true,
    };
    Some(key).filter(|_| !is_good)
}

fn types(of: Option<&Value>) -> Option<Vec<Type>> {
    let named = |value: &Value| {
        let name = value.as_str()?;
        let row = TYPES.iter().find(|row| row.0 == name)?;
        Some(row.1)
    };
    match of {
        None => Some(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(named).collect(),
        Some(one) => named(one).map(|of| vec![of]),
    }
}
