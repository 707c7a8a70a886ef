//! Documents as they stand: their files are written, their commands are run one after the other, and what they print is compared.

use super::Folder;
use super::git;
use super::proxy::program;
use super::repository;
use super::said::Said;
use std::path::Path;
use std::process::Command;

/// A command of the document and what it shows below.
struct Step {
    line: usize,
    command: String,
    shown: Vec<String>,
}

/// Runs the commands of `docs/NAME`, of which there must be some, but those that are to be skipped.
#[track_caller]
pub(crate) fn check(name: &str, commands_min: usize, skipped: impl Fn(&str) -> bool) {
    let path = repository().join("docs").join(name);
    let text = std::fs::read_to_string(path).expect("the document");
    let folder = Folder::new("document");
    for (_, lines) in blocks(&text, "toml") {
        if let Some(name) = lines[0].strip_prefix("# ") {
            folder.write(name, format!("{}\n", lines[1..].join("\n")));
        }
    }
    for (name, lines) in files(&text) {
        folder.write(name, format!("{}\n", lines.join("\n")));
    }
    let steps = steps(&text);
    assert!(commands_min <= steps.len(), "{} commands", steps.len());
    for step in steps {
        if skipped(&step.command) {
            eprintln!("skipped: {}", step.command);
            continue;
        }
        let printed = shell(&step.command, folder.path()).all();
        let lines: Vec<&str> = printed.lines().collect();
        let same = lines.len() == step.shown.len()
            && step
                .shown
                .iter()
                .zip(&lines)
                .all(|(shown, line)| fits(shown, line));
        assert!(
            same,
            "docs/{name}:{}: `{}` printed\n{printed}\nand the document shows\n{}",
            step.line,
            step.command,
            step.shown.join("\n")
        );
    }
}

/// The blocks that are a file whose language has no comments: ` ```jsonl NAME `.
fn files(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut lines = text.lines();
    let mut files = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("```jsonl ") {
            files.push((
                name,
                lines.by_ref().take_while(|line| *line != "```").collect(),
            ));
        }
    }
    files
}

/// The blocks of the document with a language, from their first line's number.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<(usize, Vec<&'a str>)> {
    let fence = format!("```{language}");
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line == fence {
            let inside = lines.by_ref().map(|(_, line)| line);
            blocks.push((
                number + 2,
                inside.take_while(|line| *line != "```").collect(),
            ));
        }
    }
    blocks
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (first, lines) in blocks(text, "console") {
        for (index, line) in lines.into_iter().enumerate() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    line: first + index,
                    command: command.to_owned(),
                    shown: Vec::new(),
                }),
                (None, Some(step)) => step.shown.push(line.to_owned()),
                (None, None) => panic!("line {}: no command is above it", first + index),
            }
        }
    }
    steps
}

/// Whether a line is what the document shows, where `…` stands for anything.
fn fits(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…').filter(|part| !part.is_empty());
    if !shown.contains('…') {
        return shown == line;
    }
    let mut rest = line;
    let all = parts.all(|part| match rest.find(part) {
        Some(at) => {
            let first = rest.len() == line.len();
            rest = &rest[at + part.len()..];
            at == 0 || !first || shown.starts_with('…')
        }
        None => false,
    });
    all && (rest.is_empty() || shown.ends_with('…'))
}

/// Runs commands in a folder, with the program under test in the path.
#[track_caller]
pub(crate) fn shell(commands: &str, folder: &Path) -> Said {
    let path = std::env::var("PATH").expect("a PATH");
    let program = program();
    let bin = program.parent().expect("the program lies in a folder");
    let mut bash = Command::new("bash");
    git::isolated(&mut bash)
        .args(["-c", commands])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", bin.display()))
        .env_remove("PGWARDEN_TRUST_ROOT");
    Said::by(&mut bash)
}
