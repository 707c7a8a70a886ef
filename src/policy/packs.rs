//! The std packs: files of stages and tests that are part of the program and are included by name, `include = ["std:ddl-freeze"]`. They
//! lie in `policies/std`. Owns no rule of including; that is `sources`'.

use std::path::Path;
use std::path::PathBuf;

/// How the path of a pack begins.
const PREFIX: &str = "std:";

/// Name and text of each.
const PACKS: [(&str, &str); 7] = [
    (
        "ddl-freeze",
        include_str!("../../policies/std/ddl-freeze.toml"),
    ),
    (
        "llm-agent-guard",
        include_str!("../../policies/std/llm-agent-guard.toml"),
    ),
    (
        "pii-columns",
        include_str!("../../policies/std/pii-columns.toml"),
    ),
    (
        "read-only-role",
        include_str!("../../policies/std/read-only-role.toml"),
    ),
    (
        "statement-timeouts",
        include_str!("../../policies/std/statement-timeouts.toml"),
    ),
    (
        "tenant-isolation",
        include_str!("../../policies/std/tenant-isolation.toml"),
    ),
    (
        "write-needs-where",
        include_str!("../../policies/std/write-needs-where.toml"),
    ),
];

/// The name of a pack, where `include` asks for one.
pub(super) fn name(include: &str) -> Option<&str> {
    include.strip_prefix(PREFIX)
}

/// Whether a file is a pack.
pub(super) fn is_pack(path: &Path) -> bool {
    path.to_str().and_then(name).is_some()
}

/// The path that a pack has in reports and in the bundle.
pub(super) fn path(name: &str) -> PathBuf {
    format!("{PREFIX}{name}").into()
}

/// The names of all packs.
pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
    PACKS.iter().map(|(name, _)| *name)
}

/// The text of a pack.
pub(super) fn text(name: &str) -> Option<&'static str> {
    let found = PACKS.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Severity;
    use crate::policy::tests::Memory;
    use crate::policy::tests::SMALLEST;

    #[test]
    fn every_file_of_the_folder_is_a_pack_and_laid_out() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/std");
        let files = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<String> = files
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort_unstable();
        let known: Vec<String> = names().map(|name| format!("{name}.toml")).collect();
        assert_eq!(files, known);
        for name in names() {
            let text = text(name).unwrap();
            let laid = crate::policy::layout(&path(name), text).unwrap();
            assert!(laid == text, "{name}: run `pgwarden fmt`");
        }
    }

    #[test]
    fn a_pack_adds_only_names_of_its_own() {
        for name in names() {
            let table: toml::Table = toml::from_str(text(name).unwrap()).unwrap();
            for (noun, entries) in &table {
                let fits = match (noun.as_str(), entries) {
                    ("policy", _) => true,
                    ("stage" | "permissions", toml::Value::Table(names)) => {
                        names.keys().all(|name| name.starts_with("std-"))
                    }
                    ("test", toml::Value::Array(tests)) => tests
                        .iter()
                        .all(|test| test["name"].as_str().unwrap().starts_with("std: ")),
                    _ => false,
                };
                assert!(fits, "{name}: {noun}");
            }
        }
    }

    #[test]
    fn a_pack_that_is_not_there_and_a_variable_that_is_missing_are_told_once() {
        let said = |include: &str| {
            let root = SMALLEST.replacen("policy = 1", &format!("policy = 1\n{include}"), 1);
            let memory = Memory::default().file("policy.toml", root);
            let (_, report) = memory.load(None);
            report.lines_of(Severity::Error)
        };
        let typo = said("include = [\"std:ddl-frieze\"]");
        assert!(
            typo[0].contains("P0301") && typo[0].contains("ddl-freeze"),
            "{typo:?}"
        );
        let missing = said("include = [\"std:read-only-role\"]");
        let needed = missing.iter().filter(|line| line.contains("P0302"));
        let needed: Vec<&String> = needed.collect();
        assert_eq!(needed.len(), 2, "{missing:#?}");
        assert!(
            needed[0].contains("`std:read-only-role` needs the variable `std_reader"),
            "{needed:?}"
        );
    }
}
