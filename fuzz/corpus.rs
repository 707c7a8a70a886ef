//! The texts to begin with: the policies of the repository and what its documents show; and the files a policy of them can name. Owns
//! no change of them.

use pgwarden::policy::Files;
use pgwarden::policy::Policy;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// Where the text under test lies, beside the policies of the repository, so that they find each other. No such file exists.
pub(crate) const ROOT: &str = "policies/fuzzed.toml";
/// What it may include.
pub(crate) const SECOND: &str = "second.toml";

/// A policy that is whole, for parts of one.
const SMALLEST: &str = "\
policy = 1
listener.main.bind = \"127.0.0.1:6432\"
node.pg = { role = \"primary\", host = \"127.0.0.1\" }
pool.main = { database = \"*\", nodes = \"pg\" }
pipeline.default.otherwise.authorize = \"allow\"
";

/// A part of a document that is longer is a page of its own.
const TABLES_OF_SMALLEST: [&str; 4] = ["[listener.", "[node.", "[pool.", "[pipeline."];

/// What there is to make texts from.
pub(crate) struct Corpus {
    /// Whole texts.
    pub(crate) texts: Vec<String>,
    /// What each of them means, where it could be served.
    pub(crate) served: Vec<Option<Policy>>,
    /// The numbers of those.
    pub(crate) clean: Vec<usize>,
    /// Tables with their keys, from header to header.
    pub(crate) tables: Vec<String>,
    /// What stands behind each key.
    pub(crate) values: BTreeMap<String, Vec<String>>,
    /// Every word, number and quoted text.
    pub(crate) tokens: Vec<String>,
}

impl Corpus {
    /// `serve` reads a text as the proxy does.
    pub(crate) fn read(serve: impl Fn(&str) -> Option<Policy>) -> Self {
        let mut texts = Vec::new();
        for path in files("policies", "toml") {
            texts.push(std::fs::read_to_string(path).expect("a policy"));
        }
        for path in files("docs", "md") {
            let document = std::fs::read_to_string(path).expect("a document");
            texts.extend(blocks(&document).map(whole));
        }
        let (mut tables, mut values) = (Vec::new(), BTreeMap::<String, BTreeSet<String>>::new());
        let mut tokens = BTreeSet::new();
        for text in &texts {
            tables.extend(tables_of(text));
            tokens.extend(tokens_of(text).map(|at| text[at].to_owned()));
            for line in text.lines() {
                if let Some((key, value)) = key_and_value(line) {
                    values
                        .entry(key.to_owned())
                        .or_default()
                        .insert(value.to_owned());
                }
            }
        }
        let served: Vec<Option<Policy>> = texts.iter().map(|text| serve(text)).collect();
        let listed =
            |(key, values): (String, BTreeSet<String>)| (key, values.into_iter().collect());
        Self {
            clean: (0..texts.len())
                .filter(|at| served[*at].is_some())
                .collect(),
            served,
            texts,
            tables,
            values: values.into_iter().map(listed).collect(),
            tokens: tokens.into_iter().collect(),
        }
    }
}

/// `key` and `value` of a line that has both.
pub(crate) fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(" = ")?;
    let key = key.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.\"".contains(c);
    (!key.is_empty() && key.chars().all(plain)).then_some((key, value.trim()))
}

/// Words, numbers, quoted texts and single signs; what is between them is left out.
pub(crate) fn tokens_of(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += text[at..].len() - text[at..].trim_start().len();
        let first = text[at..].chars().next()?;
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let length = match first {
            '"' | '\'' => text[at + 1..]
                .find([first, '\n'])
                .map_or(1, |length| length + 2),
            first if is_word(first) => text[at..].find(|c| !is_word(c)).unwrap_or(text[at..].len()),
            other => other.len_utf8(),
        };
        let start = at;
        at += length;
        Some(start..at)
    })
}

/// From header to header.
fn tables_of(text: &str) -> Vec<String> {
    let mut tables: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') || tables.is_empty() {
            tables.push(String::new());
        }
        let table = tables.last_mut().expect("one at least");
        table.push_str(line);
        table.push('\n');
    }
    tables
}

fn blocks(document: &str) -> impl Iterator<Item = &str> {
    document
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
}

/// A part of a policy with what it lacks to be one.
fn whole(part: &str) -> String {
    if part.contains("policy = 1") || part.contains("policy  ") {
        return format!("{part}\n");
    }
    let lacks = |line: &&str| {
        let noun = line.split_once('.').map_or(*line, |(noun, _)| noun);
        let table = TABLES_OF_SMALLEST
            .iter()
            .find(|table| **table == format!("[{noun}."));
        table.is_none_or(|table| !part.contains(table))
    };
    let smallest: Vec<&str> = SMALLEST.lines().filter(lacks).collect();
    format!("{}\n\n{part}\n", smallest.join("\n"))
}

/// Files below a folder of the repository, in order.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![repository().join(folder)];
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(folder).expect("a folder of the repository");
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a case, in one file or in two.
pub(crate) struct Input {
    pub(crate) root: Vec<u8>,
    pub(crate) second: Option<Vec<u8>>,
    /// Files of the repository that were read.
    read: RefCell<BTreeMap<PathBuf, Option<Vec<u8>>>>,
}

impl Input {
    pub(crate) fn new(root: impl Into<Vec<u8>>, second: Option<Vec<u8>>) -> Self {
        Self {
            root: root.into(),
            second,
            read: RefCell::default(),
        }
    }

    /// Writes its files to a folder.
    pub(crate) fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder).expect("a folder for the input");
        std::fs::write(folder.join("fuzzed.toml"), &self.root).expect("the input is written");
        let second = folder.join(SECOND);
        match &self.second {
            Some(text) => std::fs::write(second, text).expect("the input is written"),
            // Of an earlier case, if it is there at all.
            None => drop(std::fs::remove_file(second)),
        }
    }
}

impl Files for Input {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        if path == Path::new(ROOT) {
            return Ok(self.root.clone());
        }
        if path == Path::new("policies").join(SECOND) {
            return self.second.clone().ok_or_else(missing);
        }
        // Whatever a text names, only files of the policies are read.
        let names_a_policy =
            path.starts_with("policies") && path.components().all(|part| part.as_os_str() != "..");
        if !names_a_policy {
            return Err(missing());
        }
        let mut read = self.read.borrow_mut();
        let bytes = read
            .entry(path.to_owned())
            .or_insert_with(|| std::fs::read(repository().join(path)).ok());
        bytes.clone().ok_or_else(missing)
    }

    fn env(&self, name: &str) -> Option<String> {
        name.len().is_multiple_of(2).then(|| "5432".to_owned())
    }

    fn trusted_key(&self, _: &str) -> Option<io::Result<Vec<u8>>> {
        None
    }

    fn requires_signatures(&self) -> bool {
        false
    }

    fn mode(&self, _: &Path) -> Option<u32> {
        Some(0o640)
    }
}
