//! `docs/plugins.md` as it stands: its files are written, its commands are run one after the other, and what they print is compared.

use crate::support::Folder;
use crate::support::proxy::program;
use crate::support::repository;
use std::path::Path;
use std::process::Command;

/// A command of the document and what it shows below.
struct Step {
    line: usize,
    command: String,
    shown: Vec<String>,
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
    match shown.split_once('…') {
        None => shown == line,
        Some((before, after)) => {
            let rest = line.strip_prefix(before);
            rest.is_some_and(|rest| rest.ends_with(after.trim_start_matches('…')))
        }
    }
}

fn run(command: &str, folder: &Path) -> String {
    let path = std::env::var("PATH").expect("a PATH");
    let program = program();
    let bin = program.parent().expect("the program lies in a folder");
    let output = Command::new("bash")
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", bin.display()))
        .env_remove("PGWARDEN_TRUST_ROOT")
        .output()
        .expect("bash");
    let (out, err) = (output.stdout, output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(&out),
        String::from_utf8_lossy(&err)
    )
}

#[test]
fn the_commands_of_the_document_print_what_it_shows() {
    let text = std::fs::read_to_string(repository().join("docs/plugins.md")).expect("the document");
    let folder = Folder::new("document");
    for (_, lines) in blocks(&text, "toml") {
        if let Some(name) = lines[0].strip_prefix("# ") {
            folder.write(name, format!("{}\n", lines[1..].join("\n")));
        }
    }
    let has_openssl = Command::new("openssl").arg("version").output().is_ok();
    let steps = steps(&text);
    assert!(15 < steps.len(), "{} commands", steps.len());
    for step in steps {
        if !has_openssl && (step.command.contains("openssl") || step.command.contains("--by team"))
        {
            eprintln!("skipped, no openssl here: {}", step.command);
            continue;
        }
        let printed = run(&step.command, folder.path());
        let lines: Vec<&str> = printed.lines().collect();
        let same = lines.len() == step.shown.len()
            && step
                .shown
                .iter()
                .zip(&lines)
                .all(|(shown, line)| fits(shown, line));
        assert!(
            same,
            "docs/plugins.md:{}: `{}` printed\n{printed}\nand the document shows\n{}",
            step.line,
            step.command,
            step.shown.join("\n")
        );
    }
}
