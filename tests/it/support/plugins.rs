//! WASM guests for the tests: the example plugins built from source once a run, and modules of a few lines of WAT.

use super::script;
use sha2::Digest;
use sha2::Sha256;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A module of WAT as bytes.
pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("a module")
}

/// A module with the exports every guest has, and this body for the hook `pre_query`.
pub(crate) fn pre_query(body: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module
            (memory (export "memory") 1)
            (func (export "pgw_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "pre_query") (param i32 i32) (result i64) {body}))"#
    ))
}

/// A module that refuses at `pre_query`, whatever it is asked, with this message.
pub(crate) fn refusing(message: &str) -> Vec<u8> {
    answering("pre_query", 3, 1, message)
}

/// A module whose hook gives an answer frame of a kind with one field of text; plugins/README.md has the numbers.
pub(crate) fn answering(hook: &str, kind: u16, field: u16, text: &str) -> Vec<u8> {
    const AT: u64 = 16;
    let mut frame = b"pga1\0\0".to_vec();
    for number in [kind, 1, 0, field, 1] {
        frame.extend_from_slice(&number.to_le_bytes());
    }
    frame.extend_from_slice(&24_u32.to_le_bytes());
    frame.extend_from_slice(&u32::try_from(text.len()).expect("short").to_le_bytes());
    frame.extend_from_slice(text.as_bytes());
    let word = AT << 32 | u64::try_from(frame.len()).expect("short");
    let data: String = frame.iter().map(|byte| format!("\\{byte:02x}")).collect();
    wat(&format!(
        r#"(module
            (memory (export "memory") 1)
            (data (i32.const {AT}) "{data}")
            (func (export "pgw_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "{hook}") (param i32 i32) (result i64) (i64.const {word})))"#
    ))
}

/// The table of a policy that loads a module lying beside it.
pub(crate) fn table(name: &str, bytes: &[u8]) -> String {
    format!(
        "[plugin.{name}]\npath = \"{name}.wasm\"\nsha256 = \"{}\"\n",
        sha256(bytes)
    )
}

/// In hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The bytes of an example plugin.
pub(crate) fn example(name: &str) -> Vec<u8> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| script("plugins.sh", &[]));
    std::fs::read(folder.join(name).with_extension("wasm")).expect("a built plugin")
}

/// What the plugin deny_ddl was written in a second and a third time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    C,
    AssemblyScript,
}

/// The bytes of deny_ddl in another language.
pub(crate) fn foreign(language: Language) -> Vec<u8> {
    static IN_C: OnceLock<PathBuf> = OnceLock::new();
    static IN_ASSEMBLYSCRIPT: OnceLock<PathBuf> = OnceLock::new();
    let (folder, name) = match language {
        Language::C => (&IN_C, "c"),
        Language::AssemblyScript => (&IN_ASSEMBLYSCRIPT, "assemblyscript"),
    };
    let folder = folder.get_or_init(|| script("foreign-plugins.sh", &[name]));
    std::fs::read(folder.join("deny_ddl.wasm")).expect("a built plugin")
}
