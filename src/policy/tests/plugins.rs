//! Manifests and configurations of plugins: what does not fit is told where it stands.

use super::*;
use crate::digest::sha256_hex;

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
