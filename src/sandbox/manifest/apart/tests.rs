//! Manifests in both forms: what they say, what they claim about the module, and where a mistake stands.

use super::*;
use crate::hook::Hook;
use serde_json::json;

const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn apart(text: &str, form: ManifestForm) -> Result<Arc<Manifest>, ManifestMistake> {
    Manifest::apart(text, form, MODULE, None, OwnHash::Optional)
}

#[test]
fn both_forms_say_the_same() {
    let hash = sha256_hex(MODULE).to_uppercase();
    let json = json!({
        "name": "budget", "version": "0.10", "description": "It's dear", "author": "somebody", "hooks": ["PreQuery", "post_query", "auth"],
        "permissions": ["Network"], "min_memory": 65_536, "max_memory": 131_072, "wasm_sha256": hash, "homepage": "h", "x": [{}],
    });
    let yaml = format!(
        "# Who it is\nname: budget\nversion: 0.10\ndescription: It's dear\nauthor: 'somebody'\nhooks:\n  - PreQuery\n  - post_query\n\
         \x20 - auth\npermissions: [Network]\nmin_memory: 0x10000\nmax_memory: 131072\nwasm_sha256: {hash}\nhomepage: h\nx: [{{}}]\n"
    );
    let of_json = apart(&json.to_string(), ManifestForm::Json).unwrap();
    let of_yaml = apart(&yaml, ManifestForm::Yaml).unwrap();
    assert_eq!(of_json, of_yaml);
    assert_eq!((&*of_yaml.version, &*of_yaml.source), ("0.10", "h"));
    assert_eq!(
        of_yaml.hooks,
        [Hook::PreQuery, Hook::PostQuery, Hook::Authenticate]
    );
    let few = apart("{name: a, hooks: [], max_memory: ~}", ManifestForm::Yaml).unwrap();
    assert_eq!((few.memory_bytes_max, &*few.description), (None, ""));
    let ours = "name: a\nversion: 1.2.3\nabi: pgwarden-1.0\nhooks: [authorize]\nneeds: [kv.read]\n";
    let ours = apart(ours, ManifestForm::Yaml).unwrap();
    assert_eq!((ours.abi_minor, ours.needs.len()), (Some(0), 1));
}

/// A text, line and column of the mistake, how the marked part begins, and what is said.
type Case = (&'static str, (usize, usize), &'static str, &'static str);

const JSON: [Case; 7] = [
    (
        "{\n \"name\": \"a\",\n \"hooks\": [\"authorise\"] }",
        (3, 12),
        "\"authorise\"",
        "did you mean `authorize`?",
    ),
    (
        "{ \"name\": \"a\", \"hooks\": 5 }",
        (1, 25),
        "5",
        "invalid type: integer `5`",
    ),
    (
        "{ \"name\": \"ä\" \"hooks\": [] }",
        (1, 15),
        "\"",
        "expected `,` or `}`",
    ),
    ("{} x", (1, 4), "x", "trailing characters"),
    ("{", (1, 1), "{", "EOF"),
    (
        "{ \"wasm_sha256\": \"beef\" }",
        (1, 18),
        "\"beef\"",
        "`wasm_sha256` is \"beef\", and the module has `",
    ),
    ("{ \"wasm_sha256\": 7 }", (1, 18), "7", "expected text"),
];

const YAML: [Case; 11] = [
    (
        "name: a\nhooks:\n- authorise\n",
        (3, 3),
        "authorise",
        "did you mean `authorize`?",
    ),
    (
        "name: a\nhooks: 5\n",
        (2, 8),
        "5",
        "invalid type: integer `5`",
    ),
    (
        "name: a\nhooks: []\nmax_memory: 64MiB\n",
        (3, 13),
        "64MiB",
        "invalid type: string \"64MiB\"",
    ),
    (
        "name: a\nhooks: []\nmin_memory: -1\n",
        (3, 13),
        "-1",
        "invalid value: integer `-1`",
    ),
    ("hooks: []\nname: ''\n", (2, 7), "''", "`name` is empty"),
    (
        "version: 1\nname: [a]\nhooks: []",
        (2, 7),
        "[a]",
        "invalid type: sequence",
    ),
    (
        "name: a\nversion: 1\n",
        (1, 1),
        "name",
        "missing field `hooks`",
    ),
    (
        "name: a\nname: b\nhooks: []\n",
        (2, 1),
        "name",
        "`name` is there twice",
    ),
    ("- a\n", (1, 1), "-", "expected an object"),
    ("name: a\nhooks: [\n  x: [\n", (4, 1), "", ""),
    (
        "name: a\nwasm_sha256: beef\nhooks: []\n",
        (2, 14),
        "beef",
        "`wasm_sha256` is \"beef\", and the module has `",
    ),
];

#[test]
fn a_mistake_stands_where_it_is_written() {
    let of_json = JSON.iter().map(|case| (ManifestForm::Json, case));
    let of_yaml = YAML.iter().map(|case| (ManifestForm::Yaml, case));
    for (form, (text, place, marked, said)) in of_json.chain(of_yaml) {
        let mistake = apart(text, form).unwrap_err();
        assert!(mistake.message.contains(said), "{text}\n{mistake:?}");
        assert_eq!(mistake.position(text), Some(*place), "{text}\n{mistake:?}");
        let span = mistake.span.unwrap();
        assert!(text[span.clone()].starts_with(marked), "{text}\n{span:?}");
    }
}

#[test]
fn a_module_with_a_manifest_of_its_own_is_not_called_otherwise() {
    let own = apart("{ name: own, version: 1.0, hooks: [] }", ManifestForm::Yaml).unwrap();
    let told = |text: &str| {
        let form = ManifestForm::Yaml;
        Manifest::apart(text, form, MODULE, Some(&own), OwnHash::Optional)
    };
    assert_eq!(told("{ hooks: [route], version: 1.0 }").unwrap(), own);
    let mistake = told("name: Own\n").unwrap_err();
    assert_eq!(
        mistake.message,
        "`name` is \"Own\", and the module's own manifest says `own`"
    );
}

#[test]
fn three_files_may_lie_beside_a_module_and_none_beside_anything_else() {
    let names = |path: &str| -> Vec<String> {
        let beside = ManifestForm::beside(Path::new(path)).into_iter();
        beside.map(|(path, _)| path.display().to_string()).collect()
    };
    assert_eq!(
        names("p/a.b.wasm"),
        ["p/a.b.yaml", "p/a.b.yml", "p/a.b.json"]
    );
    for other in ["a", "a.json", "a.tar.gz", ".wasm", "wasm"] {
        assert_eq!(names(other), [""; 0], "{other}");
    }
}
