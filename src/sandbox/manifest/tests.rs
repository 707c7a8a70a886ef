//! What a manifest may say, what is wrong with one, and configurations that fit or do not.

use super::*;
use serde_json::json;

fn minimal() -> Value {
    json!({ "name": "guard", "version": "1.2.3", "abi": "pgwarden-1.0", "hooks": ["authorize"] })
}

fn parse(change: impl FnOnce(&mut Value)) -> Result<Manifest, String> {
    let mut manifest = minimal();
    change(&mut manifest);
    Manifest::parse(manifest.to_string().as_bytes())
}

#[test]
fn a_manifest_says_what_it_says() {
    let manifest = parse(|manifest| {
        manifest["needs"] = json!(["sql.kind", "kv.write"]);
        manifest["wants"] = json!(["log"]);
        manifest["reads"] = json!(["sql.kinds", "user.roles"]);
        manifest["licence"] = json!("MIT");
    })
    .unwrap();
    assert_eq!(
        (&*manifest.name, &*manifest.version, &*manifest.licence),
        ("guard", "1.2.3", "MIT")
    );
    assert_eq!(manifest.hooks, [Hook::Authorize]);
    assert_eq!(
        manifest.needs,
        [
            Permission::See(See::SqlKind),
            Permission::Call(Call::KvWrite)
        ]
    );
    let reads = manifest.reads.unwrap();
    assert!(reads.contains(Field::Kinds) && reads.contains(Field::UserRoles) && reads.len() == 2);
}

#[test]
fn every_mistake_is_named() {
    let cases: [(&str, Value, &str); 10] = [
        ("hook", json!(["x"]), "unknown field `hook`"),
        ("hooks", json!(["autorize"]), "did you mean `authorize`?"),
        ("needs", json!(["sql.kinds"]), "did you mean `sql.kind`?"),
        ("wants", json!(["files"]), "which does not exist"),
        ("reads", json!(["sql.knds"]), "did you mean `sql.kinds`?"),
        ("version", json!("1.2"), "not like `1.2.3`"),
        (
            "abi",
            json!("pgwarden-2.0"),
            "made for the ABI `pgwarden-2.0`",
        ),
        ("abi", json!("pgwarden-1.99"), "a newer pgwarden is needed"),
        ("name", json!(""), "`name` is empty"),
        (
            "config",
            json!({ "patternProperties": {} }),
            "uses `patternProperties`",
        ),
    ];
    for (key, value, message) in cases {
        let found = parse(|manifest| manifest[key] = value.clone()).unwrap_err();
        assert!(found.contains(message), "{key} {value}: {found}");
    }
    assert!(Manifest::parse(b"nonsense").is_err());
}

#[test]
fn needs_and_hooks_are_compared_with_the_policy() {
    let manifest =
        parse(|manifest| manifest["needs"] = json!(["sql.kind", "sql.text", "kv.read"])).unwrap();
    let errors = manifest.errors(&[Hook::Authorize, Hook::Route], &Grants::standard());
    let codes: Vec<&str> = errors.iter().map(|error| error.code).collect();
    assert_eq!(
        codes,
        [
            code::HOOK_NOT_OFFERED,
            code::FIELD_NOT_GRANTED,
            code::CALL_NOT_GRANTED
        ]
    );
    assert_eq!(errors[0].message, "is not made for the hook `route`");
    assert!(errors[2].message.contains("`kv.read`"));
}

fn schema() -> ConfigSchema {
    ConfigSchema::compile(&json!({
        "type": "object",
        "required": ["limit"],
        "additionalProperties": false,
        "properties": {
            "limit": { "type": "integer", "minimum": 1, "maximum": 10 },
            "mode": { "type": "string", "enum": ["soft", "hard"], "default": "soft" },
            "tables": { "type": "array", "maxItems": 2, "items": { "type": "string", "minLength": 1 } },
            "inner": { "type": "object", "properties": { "ratio": { "type": "number", "default": 0.5 } } },
        },
    }))
    .unwrap()
}

#[test]
fn defaults_are_filled_in() {
    let mut config = json!({ "limit": 3, "inner": {} });
    assert_eq!(schema().apply(&mut config), []);
    assert_eq!(
        config,
        json!({ "limit": 3, "mode": "soft", "inner": { "ratio": 0.5 } })
    );
}

#[test]
fn keys_that_only_the_policy_knows_have_a_schema_too() {
    let schema = ConfigSchema::compile(&json!({
        "type": "object",
        "properties": { "limit": { "type": "integer" } },
        "additionalProperties": {
            "type": "object",
            "required": ["columns"],
            "properties": { "schema": { "type": "string", "default": "public" }, "columns": { "type": "array" } },
        },
    }))
    .unwrap();
    let mut config =
        json!({ "limit": 3, "users": { "columns": [] }, "orders": { "colums": [] }, "x": 7 });
    let errors = schema.apply(&mut config);
    assert_eq!(
        config["users"],
        json!({ "schema": "public", "columns": [] })
    );
    let said: Vec<String> = errors
        .iter()
        .map(|error| format!("{:?} {}", error.path, error.message))
        .collect();
    assert_eq!(
        said,
        [
            "[Key(\"orders\")] `columns` is required",
            "[Key(\"orders\"), Key(\"colums\")] no setting `colums`",
            "[Key(\"x\")] must be a table",
        ]
    );
}

#[test]
fn what_does_not_fit_is_said_with_its_way() {
    let mut config = json!({ "limt": 3, "mode": "sort", "tables": ["a", "", 3], "inner": { "ratio": "x", "y": 1 } });
    let errors = schema().apply(&mut config);
    let said: Vec<String> = errors
        .iter()
        .map(|error| format!("{:?} {}", error.path, error.message))
        .collect();
    let said = said.join("\n");
    for expected in [
        "[] `limit` is required",
        "[Key(\"limt\")] no setting `limt`",
        "[Key(\"mode\")] must be one of \"soft\", \"hard\"",
        "[Key(\"tables\")] must have at most 2 items",
        "[Key(\"tables\"), Item(1)] must have at least 1 characters",
        "[Key(\"tables\"), Item(2)] must be text",
        "[Key(\"inner\"), Key(\"ratio\")] must be a number",
        "[Key(\"inner\"), Key(\"y\")] no setting `y`",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert_eq!(errors.len(), 8, "{said}");
    let typo = errors
        .iter()
        .find(|error| error.is_key && error.path == [Step::Key("limt".into())]);
    assert_eq!(typo.unwrap().help.as_deref(), Some("did you mean `limit`?"));
    let mut large = json!({ "limit": 11 });
    assert_eq!(schema().apply(&mut large)[0].message, "must be at most 10");
}

#[test]
fn a_table_of_names_has_values_of_one_schema() {
    let budget = json!({ "type": "object", "additionalProperties": false,
        "properties": { "ms": { "type": "integer", "minimum": 0 }, "hard": { "type": "boolean", "default": true } } });
    let schema =
        ConfigSchema::compile(&json!({ "type": "object", "additionalProperties": budget }))
            .unwrap();
    let mut config = json!({ "acme": { "ms": 5 }, "globex": { "hard": false } });
    assert_eq!(schema.apply(&mut config), []);
    assert_eq!(
        config,
        json!({ "acme": { "ms": 5, "hard": true }, "globex": { "hard": false } })
    );
    let errors = schema.apply(&mut json!({ "acme": { "msec": 5 }, "globex": 7 }));
    let said: Vec<(bool, &str)> = errors
        .iter()
        .map(|error| (error.is_key, &*error.message))
        .collect();
    assert_eq!(
        said,
        [(true, "no setting `msec`"), (false, "must be a table")]
    );
    let key = |name: &str| Step::Key(name.to_owned());
    assert_eq!(errors[0].path, [key("acme"), key("msec")]);
    assert!(ConfigSchema::compile(&json!({ "additionalProperties": 3 })).is_err());
}

#[test]
fn a_default_must_fit_its_own_schema() {
    let wrong = json!({ "properties": { "a": { "type": "integer", "default": "x" } } });
    assert!(
        ConfigSchema::compile(&wrong)
            .unwrap_err()
            .contains("a default must be an integer")
    );
}

#[test]
fn characters_and_items_are_counted_each_by_its_own_words() {
    let schema = ConfigSchema::compile(&json!({
        "minLength": 2, "maxLength": 3, "minItems": 1, "maxItems": 2, "items": { "type": "integer" },
    }))
    .unwrap();
    let said = |mut value: Value| {
        let errors = schema.apply(&mut value).into_iter();
        errors.map(|error| error.message).collect::<Vec<_>>()
    };
    for right in [json!("äö"), json!([1]), json!([1, 2]), json!(7)] {
        assert_eq!(said(right.clone()), [""; 0], "{right}");
    }
    assert_eq!(said(json!("a")), ["must have at least 2 characters"]);
    assert_eq!(said(json!("abcd")), ["must have at most 3 characters"]);
    assert_eq!(said(json!([])), ["must have at least 1 items"]);
    assert_eq!(said(json!([1, 2, 3])), ["must have at most 2 items"]);
}

#[test]
fn the_published_schema_admits_what_is_read_and_nothing_else() {
    let published = jsonschema::validator_for(&super::schema()).unwrap();
    let about =
        json!({ "name": "a", "version": "1.0.0", "abi": "pgwarden-1.0", "hooks": ["authorize"] });
    for (config, is_right) in [
        (json!({}), true),
        (json!({ "additionalProperties": true }), true),
        (
            json!({ "additionalProperties": { "type": "string", "minLength": 1 } }),
            true,
        ),
        (json!({ "additionalProperties": { "pattern": "x" } }), false),
        (json!({ "additionalProperties": 3 }), false),
        (
            json!({ "type": ["string", "array"], "minLength": 1, "minItems": 1 }),
            true,
        ),
        (json!({ "type": "text" }), false),
        (json!({ "minItems": -1 }), false),
        (json!({ "uniqueItems": true }), false),
        (
            json!({ "properties": { "a": { "default": null, "enum": [null, 1] } } }),
            true,
        ),
        (json!({ "properties": [] }), false),
        (json!({ "properties": { "a": true } }), false),
        (json!({ "items": { "items": {} }, "required": ["a"] }), true),
        (json!({ "required": "a" }), false),
        (
            json!({ "title": "t", "examples": [1], "$comment": "c" }),
            true,
        ),
        (json!({ "title": 5 }), false),
        (json!({ "examples": 5 }), false),
    ] {
        let mut manifest = about.clone();
        manifest["config"] = config;
        let read = Manifest::parse(manifest.to_string().as_bytes());
        assert_eq!(read.is_ok(), is_right, "{manifest}: {read:?}");
        assert_eq!(published.is_valid(&manifest), is_right, "{manifest}");
    }
}
