//! The files of one policy put together: includes followed, names collected, variables chosen for the environment.
//! Owns the rule that an include may only add names. Owns no noun's keys.

use super::code;
use super::document;
use super::document::Entry;
use super::document::Shape;
use super::document::Value;
use super::document::Word;
use super::keys::Kind;
use super::keys::Noun;
use super::keys::ROOT;
use super::packs;
use super::paths::fold;
use super::reading::Reading;
use super::reading::Table;
use super::reading::unknown;
use super::report::At;
use super::report::Diagnostic;
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// The version of the language.
pub(super) const LANGUAGE: i64 = 1;
/// Files of one policy, included ones counted.
const FILES_MAX: usize = 256;
/// Bytes of one file.
const FILE_BYTES_MAX: usize = 4 << 20;

/// All files as one: names by noun, single tables, tests.
#[derive(Default)]
pub(super) struct Words {
    /// `[noun.NAME]`, by noun and name.
    named: BTreeMap<&'static str, BTreeMap<String, Entry>>,
    /// `name`, `[sql]` and the like.
    single: BTreeMap<&'static str, Entry>,
    /// `[[test]]`, in the order of the files.
    pub(super) tests: Vec<Word>,
    /// Some file is not TOML: what it holds is unknown.
    pub(super) broken: bool,
}

impl Words {
    /// The entries of `[noun.NAME]`, by name.
    pub(super) fn named(&self, noun: &Noun) -> impl Iterator<Item = (&str, &Entry)> {
        self.named
            .get(noun.name)
            .into_iter()
            .flatten()
            .map(|(name, entry)| (name.as_str(), entry))
    }

    /// `[noun.NAME]` as it is written.
    pub(super) fn table(&self, noun: &Noun, name: &str) -> Option<&Entry> {
        let mut named = self.named(noun);
        named
            .find(|(known, _)| *known == name)
            .map(|(_, entry)| entry)
    }

    /// The names of a noun, sorted; the position of a name is its id.
    pub(super) fn names(&self, noun: &Noun) -> impl Iterator<Item = &str> + Clone {
        self.named
            .get(noun.name)
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
    }

    /// The variables, and where each is written.
    pub(super) fn vars(&self) -> impl Iterator<Item = (&str, At)> {
        let vars = self.named.get("vars").into_iter().flatten();
        vars.map(|(name, entry)| (name.as_str(), entry.key_at))
    }

    /// Every table, with its noun and, where it has one, its name.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&'static str, &str, &Entry)> {
        let named = self.named.iter().flat_map(|(noun, tables)| {
            let tables = tables.iter();
            tables.map(|(name, entry)| (*noun, name.as_str(), entry))
        });
        named.chain(self.single.iter().map(|(noun, entry)| (*noun, "", entry)))
    }

    /// A table that exists once.
    pub(super) fn single(&self, key: &str) -> Option<&Entry> {
        self.single.get(key)
    }
}

/// Reads `root` and everything it includes.
pub(super) fn read(reading: &Reading<'_>, root: &Path) -> Words {
    let mut words = Words::default();
    let mut gather = Gather {
        reading,
        words: &mut words,
        open: Vec::new(),
        seen: Vec::new(),
    };
    gather.file(&fold(root), None);
    words
}

struct Gather<'g, 'a> {
    reading: &'g Reading<'a>,
    words: &'g mut Words,
    /// From the root to the file being read.
    open: Vec<PathBuf>,
    seen: Vec<PathBuf>,
}

impl Gather<'_, '_> {
    fn file(&mut self, path: &Path, from: Option<At>) {
        if self.open.iter().any(|open| open == path) {
            let message = format!(
                "`{}` includes itself, directly or through other files",
                path.display()
            );
            self.reading
                .add(Diagnostic::error(code::INCLUDE_CYCLE, from, message));
            return;
        }
        if self.seen.iter().any(|seen| seen == path) {
            return;
        }
        if self.seen.len() == FILES_MAX {
            let message = format!("a policy has at most {FILES_MAX} files");
            self.reading
                .add(Diagnostic::error(code::TOO_LARGE, from, message));
            return;
        }
        self.seen.push(path.to_owned());
        let Some(text) = self.text(path, from) else {
            self.words.broken = true;
            return;
        };
        let source = self.reading.add_source(path.to_owned(), Arc::clone(&text));
        let (entries, shape) = self
            .reading
            .with_report(|report| document::parse(&text, source, report));
        self.words.broken |= shape == Shape::Broken;
        self.open.push(path.to_owned());
        self.document(
            Word::new(At::new(source, 0..0), Value::Table(entries)),
            shape,
        );
        self.open.pop();
    }

    /// The bytes of a pack, which is part of the program and no file.
    fn pack(&self, at: At, path: &Path) -> Option<Arc<[u8]>> {
        let name = path.to_str().and_then(packs::name)?;
        let Some(text) = packs::text(name) else {
            let found = unknown(code::UNKNOWN_NAME, at, "std pack", name, packs::names());
            self.reading.add(found);
            return None;
        };
        Some(self.reading.kept(path, text.as_bytes().to_vec()))
    }

    fn text(&self, path: &Path, from: Option<At>) -> Option<Arc<str>> {
        let bytes = match from {
            Some(at) if packs::is_pack(path) => self.pack(at, path)?,
            Some(at) => self.reading.bytes(at, path)?,
            None => self.reading.root_bytes(path)?,
        };
        if bytes.len() > FILE_BYTES_MAX {
            let message = format!("`{}` is larger than {FILE_BYTES_MAX} bytes", path.display());
            self.reading
                .add(Diagnostic::error(code::TOO_LARGE, from, message));
            return None;
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Some(text.into()),
            Err(error) => {
                let message = format!(
                    "`{}` is not UTF-8 at byte {}",
                    path.display(),
                    error.valid_up_to()
                );
                self.reading
                    .add(Diagnostic::error(code::NOT_UTF8, from, message));
                None
            }
        }
    }

    fn document(&mut self, document: Word, shape: Shape) {
        if shape == Shape::Whole {
            self.head(&document);
        }
        let Value::Table(entries) = document.value else {
            return;
        };
        let include = entries
            .iter()
            .find(|entry| entry.key == "include")
            .map(|entry| entry.word.clone());
        // Own names first: where an included file repeats one, the included file is at fault.
        for entry in entries {
            self.add(entry);
        }
        for spot in include
            .map(|word| self.reading.texts(&word))
            .unwrap_or_default()
        {
            let path = match packs::name(&spot.value) {
                Some(name) => packs::path(name),
                None => self.reading.beside(spot.at, &spot.value),
            };
            self.file(&path, Some(spot.at));
        }
    }

    /// Unknown keys, and `policy = 1` as the first key.
    fn head(&mut self, document: &Word) {
        let Some(table) = Table::open(self.reading, &ROOT, document.at, "the policy", document)
        else {
            return;
        };
        let Some(version) = table.entry("policy") else {
            return;
        };
        match version.word.value {
            Value::Integer(LANGUAGE) => (),
            Value::Integer(number) => {
                let message = format!(
                    "this policy is written in version {number} of the language; this program knows {LANGUAGE}"
                );
                let found = Diagnostic::error(code::VERSION, version.word.at, message);
                self.reading
                    .add(found.help("use a pgwarden that knows this version"));
                // What the rest means is not ours to say.
                self.words.broken = true;
            }
            _ => self
                .reading
                .wrong_type(&version.word, "the version of the language, 1"),
        }
        let first = document.entries().iter().map(|entry| entry.key_at).min();
        if first.is_some_and(|first| first < version.key_at) {
            let found = Diagnostic::error(
                code::NOT_FIRST,
                version.key_at,
                "`policy` must be the first key of the file",
            );
            self.reading.add(found.label("move this line to the top"));
        }
    }

    fn add(&mut self, entry: Entry) {
        let Some(key) = ROOT.key(&entry.key).filter(|key| !key.later) else {
            return;
        };
        match key.kind {
            _ if matches!(key.name, "policy" | "include") => (),
            Kind::Named(_) => self.add_named(key.name, entry),
            Kind::Tables(_) => match entry.word.value {
                Value::List(items) => self.words.tests.extend(items),
                _ => self
                    .reading
                    .wrong_type(&entry.word, "a list of tables, written `[[test]]`"),
            },
            _ => {
                let first = self.words.single.get(key.name).map(|first| first.key_at);
                match first {
                    Some(first) => self.redefined(&entry.key, entry.key_at, first),
                    None => {
                        self.words.single.insert(key.name, entry);
                    }
                }
            }
        }
    }

    fn add_named(&mut self, noun: &'static str, entry: Entry) {
        let Value::Table(entries) = entry.word.value else {
            self.reading
                .wrong_type(&entry.word, &format!("tables written `[{noun}.NAME]`"));
            return;
        };
        for entry in entries {
            self.check_name(noun, &entry);
            let names = self.words.named.entry(noun).or_default();
            match names.get(&entry.key).map(|first| first.key_at) {
                Some(first) => {
                    self.redefined(&format!("{noun}.{}", entry.key), entry.key_at, first)
                }
                None => {
                    names.insert(entry.key.clone(), entry);
                }
            }
        }
    }

    /// Names of users are the world's; all others are ours and stay plain, so that they need no quoting anywhere.
    fn check_name(&self, noun: &str, entry: &Entry) {
        const NAME_BYTES_MAX: usize = 63;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let good = match noun {
            "user" => !entry.key.chars().any(char::is_control),
            _ => entry.key.chars().all(plain),
        };
        if !good || entry.key.is_empty() || entry.key.len() > NAME_BYTES_MAX {
            let message = format!("`{}` is not a name for a {noun}", entry.key.escape_debug());
            let found = Diagnostic::error(code::BAD_NAME, entry.key_at, message);
            self.reading.add(found.label(format!(
                "use letters, digits, `-` and `_`, at most {NAME_BYTES_MAX}"
            )));
        }
    }

    fn redefined(&self, name: &str, at: At, first: At) {
        let place = self.reading.place(first);
        let found = Diagnostic::error(
            code::REDEFINED,
            at,
            format!("`{name}` is defined twice; the first time at {place}"),
        );
        self.reading.add(
            found
                .label("the second definition")
                .related(first, "the first definition"),
        );
    }
}

/// The variables as they are written, for the chosen environment.
pub(super) fn chosen(words: &Words, environment: Option<&str>) -> BTreeMap<String, Word> {
    let entries = |noun: &str| words.named.get(noun).into_iter().flatten();
    let vars = entries("vars").map(|(name, entry)| (name.clone(), entry.word.clone()));
    let mut vars: BTreeMap<String, Word> = vars.collect();
    for (_, entry) in entries("env").filter(|(name, _)| environment == Some(name.as_str())) {
        let tables = entry.word.entries().iter();
        let overrides = tables
            .filter(|entry| entry.key == "vars")
            .flat_map(|entry| entry.word.entries());
        vars.extend(overrides.map(|entry| (entry.key.clone(), entry.word.clone())));
    }
    vars
}

/// The variables as the chosen environment has them. Every environment is checked, chosen or not.
pub(super) fn variables(
    reading: &Reading<'_>,
    words: &Words,
    environment: Option<&str>,
) -> BTreeMap<String, Word> {
    let mut vars: BTreeMap<String, Word> = words
        .named
        .get("vars")
        .into_iter()
        .flatten()
        .map(|(name, entry)| (name.clone(), entry.word.clone()))
        .collect();
    for (name, word) in &vars {
        if matches!(word.value, Value::Table(_)) && word.single("env").is_none() {
            let message = format!("the variable `{name}` is a table; variables are single values");
            reading.error(code::WRONG_TYPE, word.at, message);
        }
    }
    let mut chosen = Vec::new();
    for (name, entry) in words.named.get("env").into_iter().flatten() {
        let title = format!("`[env.{name}]`");
        let Some(table) = Table::open(reading, &super::keys::ENV, entry.key_at, title, &entry.word)
        else {
            continue;
        };
        for entry in table
            .entry("vars")
            .map(|vars| vars.word.entries())
            .unwrap_or_default()
        {
            check_override(reading, &vars, entry);
            if environment == Some(name.as_str()) {
                chosen.push((entry.key.clone(), entry.word.clone()));
            }
        }
        table.finish();
    }
    if let Some(environment) = environment {
        let names = words
            .named
            .get("env")
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str());
        if !names.clone().any(|name| name == environment) {
            let at = At::new(0, 0..0);
            reading.add(unknown(
                code::UNKNOWN_ENVIRONMENT,
                at,
                "environment",
                environment,
                names,
            ));
        }
    }
    vars.extend(chosen);
    vars.into_iter()
        .filter_map(|(name, word)| Some((name, reading.settle(&word)?.into_owned())))
        .collect()
}

fn check_override(reading: &Reading<'_>, vars: &BTreeMap<String, Word>, entry: &Entry) {
    match vars.get(&entry.key) {
        None => {
            let names = vars.keys().map(String::as_str);
            let found = unknown(
                code::BAD_OVERRIDE,
                entry.key_at,
                "variable",
                &entry.key,
                names,
            );
            reading.add(found.help("an environment may only change variables of `[vars]`"));
        }
        Some(default) => {
            let referred = default.single("env").or(entry.word.single("env")).is_some();
            if !referred && default.type_name() != entry.word.type_name() {
                let message = format!(
                    "`{}` is {} in `[vars]` and {} here",
                    entry.key,
                    default.type_name(),
                    entry.word.type_name()
                );
                reading.add(
                    Diagnostic::error(code::BAD_OVERRIDE, entry.word.at, message)
                        .related(default.at, "the value in `[vars]`"),
                );
            }
        }
    }
}
