//! `docs/codes.md`: every wrong example gives its code, every right one is right, and `why` prints each page.

use crate::support::Folder;
use crate::support::document;
use crate::support::plugins;
use crate::support::proxy::pgwarden;
use crate::support::repository;
use crate::support::said::Said;
use std::path::Path;

/// Tables of the smallest policy, which an example may replace.
const SMALLEST: &[(&str, &str)] = &[
    ("listener.main", "bind = [\"127.0.0.1:6432\"]\n"),
    ("node.pg", "role = \"primary\"\nhost = \"127.0.0.1\"\n"),
    ("pool.main", "database = \"*\"\nnodes = [\"pg\"]\n"),
    (
        "pipeline.default",
        "otherwise = { authorize = \"allow\" }\n",
    ),
];

/// A block between fences: its language, the file it is, its text.
#[derive(Clone)]
struct Block {
    language: String,
    file: String,
    text: String,
}

/// The code, the wrong example, the right one.
struct Page {
    code: String,
    wrong: Vec<Block>,
    right: Vec<Block>,
}

fn pages() -> Vec<Page> {
    let path = repository().join("docs/codes.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let page = |section: &str| {
        let (code, text) = section.split_once('\n').expect("a heading");
        let (_, text) = text.split_once("\nWrong:").expect("a wrong example");
        let (wrong, right) = text.split_once("\nRight:").expect("a right example");
        let wrong = blocks(wrong);
        let mut all = wrong.clone();
        // Commands are not repeated; files and the call of `check` are.
        all.retain(|block| block.language != "sh");
        for block in blocks(right) {
            all.retain(|old| old.language == "sh" || old.file != block.file);
            all.push(block);
        }
        Page {
            code: code.trim().to_owned(),
            wrong,
            right: all,
        }
    };
    text.split("\n## ").skip(1).map(page).collect()
}

fn blocks(text: &str) -> Vec<Block> {
    let fenced = text.split("\n```").skip(1).step_by(2);
    let block = |block: &str| {
        let (info, text) = block.split_once('\n').expect("a fence");
        let (language, file) = info.split_once(' ').unwrap_or((info, ""));
        let file = match (language, file) {
            ("toml", "") => "policy.toml",
            (language, "") => language,
            (_, file) => file,
        };
        Block {
            language: language.to_owned(),
            file: file.to_owned(),
            text: format!("{text}\n"),
        }
    };
    fenced.map(block).collect()
}

/// What the example shows of a policy, and the smallest policy where it shows nothing.
fn whole(example: &str) -> String {
    let mut policy = String::new();
    let (top, tables) = match example.starts_with('[') {
        true => ("", example),
        false => match example.find("\n[") {
            Some(at) => example.split_at(at + 1),
            None => (example, ""),
        },
    };
    if !top.contains("policy") {
        policy.push_str("policy = 1\n");
    }
    policy.push_str(&format!("{top}\n{tables}\n"));
    for (table, keys) in SMALLEST {
        if !example.contains(&format!("[{table}]\n")) {
            let stages = match *table {
                "pipeline.default" => listed(example),
                _ => String::new(),
            };
            policy.push_str(&format!("[{table}]\n{stages}{keys}\n"));
        }
    }
    policy
}

/// Each stage of an example in the list of its hook.
fn listed(example: &str) -> String {
    let stage = |part: &str| {
        let (name, keys) = part.split_once("]\n")?;
        let hook = keys.lines().find_map(|line| line.strip_prefix("hook"))?;
        let hook = hook.trim_matches([' ', '=', '"']);
        Some(format!("{hook} = [\"{name}\"]\n"))
    };
    example.split("[stage.").skip(1).filter_map(stage).collect()
}

/// Writes the files of an example, runs its commands and gives the call of `check`.
fn prepare(folder: &Path, blocks: &[Block]) -> String {
    let write = |file: &str, bytes: &[u8]| {
        std::fs::write(folder.join(file), bytes).expect("a file of the example");
    };
    write("policy.toml", whole("").as_bytes());
    for block in blocks {
        match (&*block.language, &*block.file) {
            ("toml", "policy.toml") => write("policy.toml", whole(&block.text).as_bytes()),
            ("sh" | "console", _) => (),
            ("wat", file) => write(file, &plugins::wat(&block.text)),
            (_, file) => write(file, block.text.as_bytes()),
        }
        if block.file.ends_with(".wasm") {
            let bytes = std::fs::read(folder.join(&block.file)).expect("the module");
            let sum = format!("{}  {}\n", plugins::sha256(&bytes), block.file);
            write(&format!("{}.sha256", block.file), sum.as_bytes());
        }
    }
    for block in blocks.iter().filter(|block| block.language == "sh") {
        let (status, said) = sh(folder, &block.text);
        assert_eq!(status, Some(0), "{}\n{said}", block.text);
    }
    let call = blocks.iter().find(|block| block.language == "console");
    let call = call.map_or("$ pgwarden check policy.toml", |block| &block.text);
    call.trim().trim_start_matches("$ ").to_owned()
}

/// Exit code, and what was said.
fn sh(folder: &Path, commands: &str) -> (Option<i32>, String) {
    let said = document::shell(&format!("set -e\n{commands}"), folder);
    (said.code, said.all())
}

#[test]
fn every_example_of_a_code_is_as_wrong_or_right_as_it_says() {
    let pages = pages();
    assert!(pages.len() > 60, "{}", pages.len());
    let mut mistakes = Vec::new();
    for Page { code, wrong, right } in &pages {
        let folder = Folder::new("codes");
        let call = prepare(folder.path(), wrong);
        let (status, said) = sh(folder.path(), &call);
        let marked = format!("[{code}]");
        // An error, a warning or a note.
        let is_told = said.contains(&marked);
        if !is_told {
            mistakes.push(format!("{code}, wrong: {status:?}\n{said}"));
        }
        let folder = Folder::new("codes");
        let call = prepare(folder.path(), right);
        let (status, said) = sh(folder.path(), &call);
        if status != Some(0) || said.contains(&marked) {
            mistakes.push(format!("{code}, right: {status:?}\n{said}"));
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n\n"));
}

fn why(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Said { code, out, err } = Said::by(pgwarden(&["why"]).args(arguments));
    (code, out, err)
}

#[test]
fn why_prints_the_page_of_a_code() {
    let expected = "\
P0305

The environment asked for by `--env` is not in the policy.

Wrong:

    [vars]
    port = 5432

    [env.prod.vars]
    port = 5433

    $ pgwarden check policy.toml --env production

Right:

    $ pgwarden check policy.toml --env prod
";
    for asked in ["P0305", "p0305", "error[P0305]"] {
        assert_eq!(why(&[asked]), (Some(0), expected.to_owned(), String::new()));
    }
    let (code, _, said) = why(&["P0409"]);
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("error: there is no diagnostic `P0409`; did you mean `P04"),
        "{said}"
    );
    let (code, all, _) = why(&[]);
    assert_eq!((code, all.lines().count()), (Some(0), pages().len()));
    assert!(all.starts_with("P0101  The text is not TOML.\n"), "{all}");
}
