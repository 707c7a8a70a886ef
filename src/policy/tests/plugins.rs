//! Manifests and configurations of plugins: what does not fit is told where it stands.

use super::*;
use crate::digest::sha256_hex;
use crate::hook::Hook;

/// A module that is nothing but a manifest.
fn with_manifest(manifest: &str) -> Vec<u8> {
    let name = b"pgwarden:manifest";
    let mut content = vec![u8::try_from(name.len()).unwrap()];
    content.extend_from_slice(name);
    content.extend_from_slice(manifest.as_bytes());
    let mut module = b"\0asm\x01\0\0\0\0".to_vec();
    let mut len = content.len();
    while 0x80 <= len {
        module.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
        len >>= 7;
    }
    module.push(u8::try_from(len).unwrap());
    module.extend_from_slice(&content);
    module
}

/// The smallest policy with a plugin of these bytes at `authorize`.
fn with_plugin(module: &[u8], config: &str) -> Memory {
    let root = SMALLEST.replace("otherwise", "authorize = [\"s\"]\notherwise");
    let stage = "[stage.s]\nhook = \"authorize\"\nplugin = \"p\"";
    let hash = sha256_hex(module);
    let text =
        format!("{root}[plugin.p]\npath = \"p.wasm\"\nsha256 = \"{hash}\"\n{config}\n{stage}\n");
    Memory::default()
        .file("policy.toml", text)
        .file("p.wasm", module)
}

fn rendered(memory: &Memory) -> String {
    let (policy, report) = memory.load(None);
    assert!(policy.is_none());
    report.render(Colour::Never)
}

#[test]
fn a_plugins_configuration_fits_its_manifest() {
    let manifest = r#"{ "name": "p", "version": "1.0.0", "abi": "pgwarden-1.0", "hooks": ["authorize"], "config": {
        "type": "object", "required": ["limit"], "additionalProperties": false, "properties": {
            "limit": { "type": "integer", "minimum": 1 }, "names": { "type": "array", "items": { "type": "string" } },
            "mode": { "type": "string", "default": "soft" } } } }"#;
    let module = with_manifest(manifest);
    let load = |config: &str| with_plugin(&module, config);
    let right = load("config = { limit = 3 }");
    let config = right.policy().plugins[0].config.clone().unwrap();
    assert_eq!(config, serde_json::json!({ "limit": 3, "mode": "soft" }));
    for (config, marked, said) in [
        ("config = { limit = 0 }", ":22:20", "must be at least 1"),
        (
            "config = { limti = 3, limit = 3 }",
            "22:12\n   |\n22 | config = { limti = 3, limit = 3 }\n   |            ^^^^^ did you mean `limit`?",
            "no setting `limti`",
        ),
        (
            "config = { limit = 3, names = [\"a\", 7] }",
            ":22:37",
            "must be text",
        ),
        ("config = {}", ":22:10", "`limit` is required"),
        ("", "policy.toml:19:9", "`limit` is required"),
    ] {
        let text = rendered(&load(config));
        assert!(
            text.contains("P0453") && text.contains(said) && text.contains(marked),
            "{config}\n{text}"
        );
    }
}

#[test]
fn a_manifest_that_cannot_be_read_is_an_error() {
    let module = with_manifest(r#"{ "name": "p", "hoks": [] }"#);
    let text = rendered(&with_plugin(&module, ""));
    assert!(
        text.contains("P0427") && text.contains("unknown field `hoks`"),
        "{text}"
    );
}

const MODULE: &[u8] = b"\0asm\x01\0\0\0";
const OLD: &str = "name: old\nversion: 0.4\nhooks: [Authorize]\nmax_memory: 65536\n";

/// A policy with a plugin made for heliosdb-proxy and files beside it.
fn beside(files: &[(&str, &str)]) -> Memory {
    let memory = with_plugin(MODULE, "abi = \"helios-1\"");
    files
        .iter()
        .fold(memory, |memory, (name, text)| memory.file(name, text))
}

#[test]
fn a_plugin_made_for_another_system_may_have_its_manifest_beside_it() {
    let json =
        r#"{ "name": "old", "version": "0.4", "hooks": ["Authorize"], "max_memory": 65536 }"#;
    let alone = beside(&[]).policy();
    assert!(alone.plugins[0].manifest.is_none());
    for (name, text) in [("p.yaml", OLD), ("p.yml", OLD), ("p.json", json)] {
        let policy = beside(&[(name, text)]).policy();
        let manifest = policy.plugins[0].manifest.clone().unwrap();
        assert_eq!((&*manifest.name, &*manifest.version), ("old", "0.4"));
        assert_eq!(manifest.hooks, [Hook::Authorize]);
        assert_eq!(policy.plugins[0].limits.memory_bytes_max, 65_536);
        assert_ne!(policy.revision, alone.revision, "{name}");
        assert_ne!(policy.bundle, alone.bundle, "{name}");
    }
    let other = OLD.replace("Authorize", "Route");
    let other = beside(&[("p.yaml", &other)]).policy();
    let same = beside(&[("p.yml", OLD)]).policy();
    let again = beside(&[("p.yaml", OLD)]).policy();
    assert_ne!(other.revision, again.revision);
    // Which of the names it has is no part of the meaning.
    assert_eq!(same.revision, again.revision);
}

#[test]
fn a_plugin_of_ours_has_its_manifest_within() {
    let ours = with_plugin(MODULE, "")
        .file("p.yaml", "[")
        .file("p.json", "");
    let policy = ours.policy();
    assert!(policy.plugins[0].manifest.is_none());
    let asked = ours.asked.borrow();
    assert!(
        !asked.iter().any(|path| path.ends_with("p.yaml")),
        "{asked:?}"
    );
}

#[test]
fn a_manifest_beside_a_plugin_is_right_or_refused_where_it_is_wrong() {
    let large = format!("# {}", "x".repeat(64 << 10));
    let hash = format!("{OLD}wasm_sha256: {}\n", "0".repeat(64));
    type Case<'c> = (&'c [(&'c str, &'c str)], &'c str, &'c str, &'c str);
    let cases: [Case<'_>; 8] = [
        (
            &[("p.yaml", "name: old\nhooks: [x\n")],
            "P0427",
            "p.yaml:3:1",
            "the plugin's manifest: ",
        ),
        (
            &[("p.yaml", "name: old\nhooks:\n  - authorise\n")],
            "P0427",
            "p.yaml:3:5",
            "did you mean `authorize`?",
        ),
        (
            &[("p.json", "{ \"name\": 7 }")],
            "P0427",
            "p.json:1:11",
            "invalid type: integer `7`",
        ),
        (
            &[("p.yml", &hash)],
            "P0427",
            "p.yml:5:14",
            "and the module has `93a44bbb",
        ),
        (
            &[("p.yaml", "")],
            "P0427",
            "p.yaml:1:1",
            "the file is empty",
        ),
        (
            &[("p.yaml", &large)],
            "P0104",
            "policy.toml:20:8",
            "`p.yaml` is larger than 65536 bytes",
        ),
        (
            &[("p.yaml", OLD), ("p.json", "{}")],
            "P0610",
            "policy.toml:20:8",
            "both `p.yaml` and `p.json` lie beside",
        ),
        (
            &[("p.yml", OLD), ("p.yaml", OLD), ("p.json", "")],
            "P0610",
            "policy.toml:20:8",
            "both `p.yaml` and `p.yml`",
        ),
    ];
    for (files, code, place, said) in cases {
        let text = rendered(&beside(files));
        for expected in [code, place, said] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }
    let mut latin = beside(&[]);
    latin = latin.file("p.yaml", b"name: \xe4");
    let text = rendered(&latin);
    assert!(text.contains("`p.yaml` is not UTF-8 at byte 6"), "{text}");
}
