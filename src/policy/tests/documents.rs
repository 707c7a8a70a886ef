//! What is written about the language beside the code: the committed schema, the documents, the policies of the repository.

use super::*;
use crate::policy::keys::CASES;
use crate::policy::keys::Kind;
use crate::policy::keys::Noun;
use crate::policy::keys::ROOT;
use std::collections::BTreeSet;

#[test]
fn the_committed_schema_is_the_one_that_is_printed() {
    assert!(
        repository_file("schemas/policy.schema.json") == format!("{:#}\n", schema()),
        "run `pgwarden schema > schemas/policy.schema.json`"
    );
}

#[test]
fn the_schema_accepts_the_policies_of_the_repository() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for path in policies() {
        let text = repository_file(&path);
        let value: toml::Value = toml::from_str(&text).unwrap();
        let mut value = serde_json::to_value(value).unwrap();
        dates_to_text(&mut value);
        let wrong: Vec<String> = schema
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{path}: {wrong:#?}");
    }
    let typo =
        serde_json::json!({ "policy": 1, "listener": { "main": { "bnd": ["127.0.0.1:1"] } } });
    assert!(!schema.is_valid(&typo));
}

/// serde shows a TOML date as a table with one secret key.
fn dates_to_text(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => match map.values().next() {
            Some(date) if map.len() == 1 && map.keys().all(|key| key.starts_with("$__toml")) => {
                *value = date.clone()
            }
            _ => map.values_mut().for_each(dates_to_text),
        },
        serde_json::Value::Array(items) => items.iter_mut().for_each(dates_to_text),
        _ => (),
    }
}

/// The codes that stand in a text as `mark` says, with `P0000` for `_`.
fn codes_in(text: &str, mark: char) -> BTreeSet<&str> {
    let is_code = |word: &&str| {
        word.len() == 5
            && word.starts_with('P')
            && word[1..].bytes().all(|byte| byte.is_ascii_digit())
    };
    text.split(mark).map(str::trim).filter(is_code).collect()
}

#[test]
fn every_code_is_documented_and_no_other() {
    let mut known = codes_in(include_str!("../code.rs"), '"');
    known.extend(codes_in(include_str!("../../sandbox/guest.rs"), '"'));
    let document = repository_file("docs/errors.md");
    let rows: String = document
        .lines()
        .filter_map(|line| line.strip_prefix("| P"))
        .filter_map(|row| Some(format!("P{},", row.split_once('|')?.0)))
        .collect();
    assert_eq!(
        codes_in(&rows, ','),
        known,
        "docs/errors.md against the codes"
    );
    let pages = repository_file("docs/codes.md");
    let headings: Vec<&str> = pages
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert!(headings.is_sorted(), "docs/codes.md is in order");
    assert_eq!(
        headings.into_iter().collect::<BTreeSet<_>>(),
        known,
        "docs/codes.md against the codes"
    );
}

/// Every table of the language, once.
fn nouns(noun: &'static Noun, found: &mut Vec<&'static Noun>) {
    if found.iter().any(|known| std::ptr::eq(*known, noun)) {
        return;
    }
    found.push(noun);
    for key in noun.keys {
        let mut kind = key.kind;
        while let Kind::Several(inner) | Kind::Named(inner) = kind {
            kind = *inner;
        }
        if let Kind::Table(inner) | Kind::Short(inner) | Kind::Tables(inner) = kind {
            nouns(inner, found);
        }
    }
}

#[test]
fn every_key_is_documented_with_the_words_of_the_schema() {
    is_documented("docs/policy.md", &ROOT);
    is_documented("docs/plugins.md", &CASES);
}

fn is_documented(path: &str, root: &'static Noun) {
    let document = repository_file(path);
    let mut all = Vec::new();
    nouns(root, &mut all);
    // What the one document says the other need not say again.
    let permissions: Vec<&str> = ["permissions", "kv", "load"].into();
    all.retain(|noun| path == "docs/policy.md" || !permissions.contains(&noun.name));
    let mut missing = Vec::new();
    for noun in all {
        for key in noun.keys {
            let required = if key.required { " **required**" } else { "" };
            let (begin, end) = (
                format!("| `{}` |", key.name),
                format!("| {}{required} |", key.about),
            );
            let is_told = if key.later {
                document.contains(&format!("`{}`", key.name))
            } else {
                document
                    .lines()
                    .any(|line| line.starts_with(&begin) && line.ends_with(&end))
            };
            if !is_told {
                missing.push(format!("{} {begin} .. {end}", noun.name));
            }
        }
    }
    assert!(missing.is_empty(), "{path} lacks\n{}", missing.join("\n"));
}

/// A stage that is shown is one that the tests of a policy ask.
#[test]
fn the_stages_of_the_examples_stand_in_a_policy() {
    let policies: String = policies()
        .iter()
        .map(|path| repository_file(path) + "\n")
        .collect();
    let document = repository_file("docs/examples.md");
    let mut shown = 0;
    for block in document.split("```toml\n").skip(1) {
        let (block, _) = block.split_once("```\n").unwrap();
        for stage in block
            .split("\n\n")
            .filter(|part| part.starts_with("[stage."))
        {
            assert!(policies.contains(stage.trim_end()), "{stage}");
            shown += 1;
        }
    }
    assert!(shown != 0);
}
