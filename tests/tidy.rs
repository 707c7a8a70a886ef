//! The style that a machine can check: floors, lengths, module docs, banned words. Exceptions are lists that must
//! shrink. Owns no behaviour, and uses nothing of the crate.
#![expect(
    clippy::expect_used,
    reason = "a file that cannot be read fails the test, which is what is wanted"
)]

use std::fs;
use std::path::Path;
use std::path::PathBuf;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Lowest floor first. A module may use the floors below its own, never its own or one above. ARCHITECTURE.md says
/// what each is for.
const FLOORS: &[&[&str]] = &[
    &["digest", "kernel", "sqlstate", "unit"],
    &["client_facing"],
    &["statement", "wire"],
    &["hook"],
    &["sandbox"],
    &["policy"],
    &["pipeline", "routing"],
    &["net"],
    &["pool"],
    &["session"],
    &["server"],
    &["cli"],
    &["main"],
];

/// Crates that only some files may name; a prefix of the path under `src/`.
const ENGINES: &[(&str, &str)] = &[
    ("wasmi::", "sandbox/wasm"),
    ("rhai::", "sandbox/script"),
    ("toml::", "policy/"),
    ("toml_parser::", "policy/layout/"),
    ("saphyr_parser::", "sandbox/manifest/yaml"),
    ("rayon_core::", "server/aside"),
];

/// The floors up to `pipeline` and `routing` are given time, bytes and chance; they do not fetch them.
const PURE_FLOORS: usize = 7;
const IMPURE: &[&str] = &[
    "tokio::",
    "tokio_rustls::",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os::unix::net",
    "std::process::Command",
    "Instant::now",
    "SystemTime::now",
    "getrandom::",
];

/// Files named for not having a subject.
const NAMELESS: &[&str] = &["util", "utils", "helpers", "helper", "common", "misc"];

struct Source {
    /// Path from the root of the repository, for messages.
    shown: String,
    /// Path under `src/`; empty for files elsewhere.
    under_src: String,
    text: String,
}

#[test]
fn modules_look_only_down() {
    let mut wrong = Vec::new();
    for source in rust_sources(&["src"]) {
        let module = top_module(&source.under_src);
        if module == "lib" {
            continue;
        }
        let Some(own) = floor(module) else {
            wrong.push(format!("{}: `{module}` stands on no floor", source.shown));
            continue;
        };
        for used in names_after(&source.text, &["crate::", "pgwarden::"]) {
            let Some(other) = floor(used) else { continue };
            if used != module && other >= own {
                wrong.push(format!("{}: `{module}` may not use `{used}`", source.shown));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_lower_floors_do_no_input_output_and_read_no_clock() {
    let mut wrong = Vec::new();
    for source in rust_sources(&["src"]) {
        let pure = floor(top_module(&source.under_src)).is_some_and(|floor| floor < PURE_FLOORS);
        if !pure || source.under_src.ends_with("tests.rs") {
            continue;
        }
        for (number, line) in code_lines(without_tests(&source.text)) {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{number}: `{word}`", source.shown));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn engines_are_named_in_one_place() {
    let mut wrong = Vec::new();
    for source in rust_sources(&["src"]) {
        for (number, line) in code_lines(&source.text) {
            for (name, place) in ENGINES {
                if names_crate(line, name) && !source.under_src.starts_with(place) {
                    wrong.push(format!(
                        "{}:{number}: `{name}` only in src/{place}",
                        source.shown
                    ));
                }
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn files_and_functions_are_short() {
    let mut wrong = Vec::new();
    for source in rust_sources(&["src", "tests", "plugins", "fuzz"]) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!(
                "{}: {lines} lines, {FILE_LINES_MAX} are allowed",
                source.shown
            ));
        }
        for (start, length) in functions(&source.text) {
            if length > FUNCTION_LINES_MAX {
                let path = &source.shown;
                wrong.push(format!(
                    "{path}:{start}: {length} lines, {FUNCTION_LINES_MAX} are allowed"
                ));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn files_begin_with_what_they_own() {
    let mut wrong = Vec::new();
    for source in rust_sources(&["src", "tests", "plugins", "fuzz"]) {
        if !source.text.starts_with("//!") {
            wrong.push(format!("{}: the first line is not `//!`", source.shown));
        }
    }
    assert_none(&wrong);
}

#[test]
fn names_and_words_are_ours() {
    let mut wrong = Vec::new();
    for source in rust_sources(&["src", "tests", "plugins", "fuzz"]) {
        let path = Path::new(&source.shown);
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        if NAMELESS.contains(&stem) {
            wrong.push(format!("{}: name the file for its subject", source.shown));
        }
        for (number, line) in source.text.lines().enumerate() {
            if let Some(why) = banned(line, &source.under_src) {
                wrong.push(format!("{}:{}: {why}", source.shown, number + 1));
            }
        }
        if let Some(number) = code_after_tests(&source.text) {
            wrong.push(format!(
                "{}:{number}: `mod tests` is the last thing in a file",
                source.shown
            ));
        }
    }
    assert_none(&wrong);
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    let root = root().display().to_string();
    let machine = [
        root.as_str(),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/wo", "rk/"),
    ];
    let mut wrong = Vec::new();
    for path in repository_files() {
        // Not text: nothing to read.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            if machine.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{}:{}: {line}", shown(&path), number + 1));
            }
        }
    }
    assert_none(&wrong);
}

/// Why a line may not stand there.
fn banned(line: &str, under_src: &str) -> Option<&'static str> {
    let code = line.trim_start();
    if code.starts_with("//") || !code.contains('"') {
        let word = concat!("TO", "DO");
        if line.contains(word)
            || line.contains(concat!("FIX", "ME"))
            || line.contains(concat!("XX", "X:"))
        {
            return Some("finish it, or write an issue");
        }
    }
    if code.starts_with("//") {
        return None;
    }
    if code.starts_with("use ") && line.contains("crate::{") {
        return Some("one `use crate::module::Item;` a line");
    }
    if code.starts_with("use ") && line.trim_end().ends_with("::*;") && code != "use super::*;" {
        return Some("no glob imports but `use super::*;` in tests");
    }
    if code.starts_with("#[allow(") || code.starts_with("#![allow(") {
        return Some("`#[expect(.., reason = \"..\")]` instead of `allow`");
    }
    if code.starts_with("#[ignore") || code.starts_with("#[should_panic") {
        return Some("a test runs, and says what it expects");
    }
    if code.contains("unsafe_code") && under_src != "kernel.rs" && under_src.ends_with(".rs") {
        return Some("there is one place with `unsafe`, `kernel`");
    }
    if under_src.starts_with("wire/") && !under_src.ends_with("tests.rs") && has_as_cast(code) {
        return Some("no `as` casts between bytes and meaning: `try_from`");
    }
    None
}

/// `x as u32`, but not `use a as b` and not `<T as Trait>`.
fn has_as_cast(code: &str) -> bool {
    const NUMBERS: &[&str] = &[
        "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize",
    ];
    code.split(" as ").skip(1).any(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        rest.get(..end).is_some_and(|word| NUMBERS.contains(&word))
    })
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// `session` of `session/relay.rs`, `main` of `main.rs`.
fn top_module(under_src: &str) -> &str {
    under_src.split(['/', '.']).next().unwrap_or_default()
}

/// The names that follow a prefix in code, whatever the depth of the path after them.
fn names_after<'a>(text: &'a str, prefixes: &[&str]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (_, line) in code_lines(text) {
        for prefix in prefixes {
            for rest in line.split(prefix).skip(1) {
                let end = rest
                    .find(|c: char| c != '_' && !c.is_ascii_alphanumeric())
                    .unwrap_or(rest.len());
                names.extend(rest.get(..end));
            }
        }
    }
    names
}

/// `rhai::x`, but not `our_rhai::x`.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c == '_' || c == ':' || c.is_ascii_alphanumeric())
    })
}

/// Lines that are not comments, numbered from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line))
}

fn without_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod ")
        .and_then(|at| text.get(..at))
        .unwrap_or(text)
}

/// The first line after the end of an inline `mod tests`, if there is one.
fn code_after_tests(text: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().position(|line| *line == "mod tests {")?;
    let end = start + lines.iter().skip(start).position(|line| *line == "}")?;
    let rest = lines
        .iter()
        .skip(end + 1)
        .position(|line| !line.trim().is_empty())?;
    Some(end + 1 + rest + 1)
}

/// First line and length of every function, told by rustfmt's indentation.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if code.starts_with("//") || !is_function(code) {
            continue;
        }
        let ends = |line: &&str| {
            line.len() - line.trim_start().len() == indent && line.trim_start().starts_with('}')
        };
        let one_line = code.ends_with('}') || code.ends_with(';');
        if let Some(length) = lines
            .iter()
            .skip(start + 1)
            .position(ends)
            .filter(|_| !one_line)
        {
            found.push((start + 1, length + 2));
        }
    }
    found
}

fn is_function(code: &str) -> bool {
    let before = code.split('(').next().unwrap_or_default();
    let mut words = before.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if word == "fn" {
            return words.peek().is_some();
        }
        if !["pub", "const", "async", "unsafe", "extern"].contains(&word) {
            return code.starts_with("pub(") && code.contains(" fn ");
        }
    }
    code.starts_with("pub(") && code.contains(" fn ")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn rust_sources(folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        walk(&root().join(folder), &mut paths);
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    paths
        .into_iter()
        .map(|path| Source {
            shown: shown(&path),
            under_src: path
                .strip_prefix(root().join("src"))
                .map(|path| path.display().to_string())
                .unwrap_or_default(),
            text: fs::read_to_string(&path).expect("a source file is text"),
        })
        .collect()
}

fn repository_files() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    walk(root(), &mut paths);
    paths
}

/// Every file below a folder, in order, without what git does not keep.
fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            if name != "target" && name != ".git" && name != "node_modules" && name != "__pycache__"
            {
                walk(&path, paths);
            }
        } else {
            paths.push(path);
        }
    }
}

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
