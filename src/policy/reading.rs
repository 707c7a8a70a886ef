//! How a table is read: typed access by key, every mistake reported at its place, unknown keys compared with known ones.
//! Owns the references (`{ var }`, `{ env }`, `{ file }`) and the files behind them. Owns no noun.

use super::Files;
use super::code;
use super::document::Entry;
use super::document::Value;
use super::document::Word;
use super::keys::Key;
use super::keys::Noun;
use super::packs;
use super::paths::fold;
use super::paths::relative;
use super::report::At;
use super::report::Diagnostic;
use super::report::Place;
use super::report::Report;
use super::report::Source;
use super::suggest;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Spot<T> {
    pub(super) at: At,
    pub(super) value: T,
}

/// What all readers share.
pub(super) struct Reading<'a> {
    files: &'a dyn Files,
    report: RefCell<Report>,
    vars: RefCell<BTreeMap<String, Word>>,
    /// The variables that something refers to.
    used_vars: RefCell<BTreeSet<String>>,
    /// The variables that packs need and nobody has written.
    needed_vars: RefCell<BTreeSet<String>>,
    /// The files that hold secrets, and where they are named.
    secret_files: RefCell<BTreeSet<(At, PathBuf)>>,
    /// Every file that was read as part of the policy, for the bundle's hash. Secrets are not among them.
    bundle: RefCell<BTreeMap<PathBuf, Arc<[u8]>>>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(files: &'a dyn Files) -> Self {
        Self {
            files,
            report: RefCell::default(),
            vars: RefCell::default(),
            used_vars: RefCell::default(),
            needed_vars: RefCell::default(),
            secret_files: RefCell::default(),
            bundle: RefCell::default(),
        }
    }

    pub(super) fn finish(self) -> (Report, BTreeMap<PathBuf, Arc<[u8]>>) {
        (self.report.into_inner(), self.bundle.into_inner())
    }

    pub(super) fn add(&self, diagnostic: Diagnostic) {
        self.report.borrow_mut().add(diagnostic);
    }

    pub(super) fn error(&self, code: &'static str, at: At, message: impl Into<String>) {
        self.report.borrow_mut().error(code, at, message);
    }

    /// How many errors were found so far.
    pub(super) fn errors(&self) -> usize {
        self.report.borrow().errors()
    }

    pub(super) fn place(&self, at: At) -> Place {
        self.report.borrow().place(at)
    }

    /// Runs `read` with the report, for what is below this module.
    pub(super) fn with_report<T>(&self, read: impl FnOnce(&mut Report) -> T) -> T {
        read(&mut self.report.borrow_mut())
    }

    pub(super) fn set_vars(&self, vars: BTreeMap<String, Word>) {
        *self.vars.borrow_mut() = vars;
    }

    /// Whether a variable is one of which `is` holds. To ask is no use of it.
    pub(super) fn with_var(&self, name: &str, is: impl Fn(&Word) -> bool) -> bool {
        self.vars.borrow().get(name).is_some_and(is)
    }

    /// Whether something refers to the variable.
    pub(super) fn is_used_var(&self, name: &str) -> bool {
        self.used_vars.borrow().contains(name)
    }

    /// Remembers that `word` holds a secret, if it refers to a file.
    pub(super) fn holds_secret(&self, word: &Word) {
        if let Some(path) = word.single("file").and_then(|path| self.text(path)) {
            let file = self.beside(path.at, &path.value);
            self.secret_files.borrow_mut().insert((path.at, file));
        }
    }

    /// The files that hold secrets, and where each is named.
    pub(super) fn secret_files(&self) -> Vec<(At, PathBuf)> {
        self.secret_files.borrow().iter().cloned().collect()
    }

    /// The text that stands at `at`, as it is written.
    pub(super) fn written(&self, at: At) -> Option<String> {
        let report = self.report.borrow();
        report.source(at)?.text.get(at.span()).map(str::to_owned)
    }

    pub(super) fn add_source(&self, path: PathBuf, text: Arc<str>) -> u32 {
        self.report.borrow_mut().add_source(Source { path, text })
    }

    /// `path` as seen from the file that `at` stands in, without `.` and with `..` folded where that is certain.
    pub(super) fn beside(&self, at: At, path: &str) -> PathBuf {
        let report = self.report.borrow();
        let folder = report
            .source(at)
            .and_then(|source| source.path.parent())
            .unwrap_or(Path::new(""));
        fold(&folder.join(path))
    }

    /// The path that stands at `at`, as the file everything begins with would write it.
    pub(super) fn as_from_root(&self, at: At, path: &str) -> String {
        let folder = |source: &Source| source.path.parent().map(Path::to_owned);
        let report = self.report.borrow();
        let own = report.source(at).and_then(folder);
        let root = report
            .sources()
            .first()
            .and_then(folder)
            .unwrap_or_default();
        if own.as_ref() == Some(&root) || Path::new(path).is_absolute() {
            return path.to_owned();
        }
        drop(report);
        let path = relative(&self.beside(at, path), &root);
        path.to_string_lossy().into_owned()
    }

    /// Bytes that are part of the policy, wherever they come from: they count towards the bundle's hash.
    pub(super) fn kept(&self, path: &Path, bytes: Vec<u8>) -> Arc<[u8]> {
        let bytes: Arc<[u8]> = bytes.into();
        let mut bundle = self.bundle.borrow_mut();
        bundle.insert(path.to_owned(), Arc::clone(&bytes));
        bytes
    }

    /// The bytes of a file that is part of the policy: they count towards the bundle's hash.
    pub(super) fn bytes(&self, at: At, path: &Path) -> Option<Arc<[u8]>> {
        match self.files.read(path) {
            Ok(bytes) => Some(self.kept(path, bytes)),
            Err(error) => {
                self.unreadable(at, path, &error);
                None
            }
        }
    }

    /// The bytes of a file that is part of the policy where it exists; a file that is not there is no mistake.
    pub(super) fn bytes_if_there(&self, at: At, path: &Path) -> Option<Arc<[u8]>> {
        match self.files.read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                self.unreadable(at, path, &error);
                None
            }
            Ok(bytes) => Some(self.kept(path, bytes)),
        }
    }

    /// Where the process's files come from.
    pub(super) fn files(&self) -> &'a dyn Files {
        self.files
    }

    /// The bytes of the file everything begins with, which nothing refers to.
    pub(super) fn root_bytes(&self, path: &Path) -> Option<Arc<[u8]>> {
        match self.files.read(path) {
            Ok(bytes) => Some(self.kept(path, bytes)),
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                self.add(Diagnostic::error(code::UNREADABLE, None, message));
                None
            }
        }
    }

    /// The bytes of a file whose content stays outside of every hash.
    pub(super) fn secret_bytes(&self, at: At, path: &Path) -> Option<Vec<u8>> {
        self.files
            .read_secret(path)
            .map_err(|error| self.unreadable(at, path, &error))
            .ok()
    }

    fn unreadable(&self, at: At, path: &Path, error: &std::io::Error) {
        let message = format!("cannot read `{}`: {error}", path.display());
        self.add(
            Diagnostic::error(code::MISSING_FILE, at, message)
                .label("this file must exist and be readable"),
        );
    }

    /// The value of an environment variable.
    pub(super) fn env(&self, word: &Word) -> Option<String> {
        let Value::Text(name) = &word.value else {
            self.wrong_type(word, "the name of an environment variable");
            return None;
        };
        let value = self.files.env(name);
        if value.is_none() {
            self.error(
                code::UNSET_ENV,
                word.at,
                format!("the environment variable `{name}` is not set"),
            );
        }
        value
    }

    /// What a word stands for, once `{ var }` and `{ env }` are followed. The place stays that of the reference.
    pub(super) fn settle<'w>(&self, word: &'w Word) -> Option<Cow<'w, Word>> {
        if let Some(name) = word.single("var") {
            return self.var(name).map(|found| {
                Cow::Owned(Word {
                    at: word.at,
                    ..found
                })
            });
        }
        if let Some(name) = word.single("env") {
            let text = self.env(name)?;
            return Some(Cow::Owned(Word {
                at: word.at,
                value: Value::Text(text),
                from_env: true,
            }));
        }
        Some(Cow::Borrowed(word))
    }

    /// The std pack that something stands in.
    fn pack_of(&self, at: At) -> Option<String> {
        let report = self.report.borrow();
        let path = &report.source(at)?.path;
        packs::is_pack(path).then(|| path.display().to_string())
    }

    fn var(&self, word: &Word) -> Option<Word> {
        let Value::Text(name) = &word.value else {
            self.wrong_type(word, "the name of a variable in `[vars]`");
            return None;
        };
        let vars = self.vars.borrow();
        if let Some(found) = vars.get(name) {
            self.used_vars.borrow_mut().insert(name.clone());
            return Some(found.clone());
        }
        if let Some(pack) = self.pack_of(word.at) {
            // Its tests need the same variable again and again.
            if self.needed_vars.borrow_mut().insert(name.clone()) {
                let message = format!("`{pack}` needs the variable `{name}`");
                let found = Diagnostic::error(code::UNKNOWN_VAR, word.at, message);
                self.add(found.help(format!(
                    "write {name} = \"..\" under [vars]; the head of the pack says what it is"
                )));
            }
            return None;
        }
        let names = vars.keys().map(String::as_str);
        self.add(unknown(code::UNKNOWN_VAR, word.at, "variable", name, names));
        None
    }

    pub(super) fn wrong_type(&self, word: &Word, expected: &str) {
        let message = format!("expected {expected}, found {}", word.type_name());
        self.error(code::WRONG_TYPE, word.at, message);
    }
}

/// "no such thing", with the nearest name or the list of names.
pub(super) fn unknown<'a>(
    code: &'static str,
    at: At,
    thing: &str,
    name: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let found = Diagnostic::error(code, at, format!("unknown {thing} `{name}`"));
    if let Some(near) = suggest::nearest(name, names.clone()) {
        return found.label(format!("did you mean `{near}`?"));
    }
    let known = suggest::list(names);
    if known.is_empty() {
        found.label(format!("there is no {thing}"))
    } else {
        found.label(format!("known: {known}"))
    }
}

/// A table that is being read. Unknown, unsupported and missing keys were reported when it was opened.
pub(super) struct Table<'r, 'a> {
    pub(super) reading: &'r Reading<'a>,
    pub(super) at: At,
    noun: &'static Noun,
    title: String,
    entries: &'r [Entry],
    /// Its keys exist and none is missing; their values are another matter.
    pub(super) is_sound: bool,
    asked: RefCell<Vec<&'static str>>,
}

impl<'r, 'a> Table<'r, 'a> {
    /// Opens a table. `at` is where to point when something is missing, `title` what it is called in messages.
    pub(super) fn open(
        reading: &'r Reading<'a>,
        noun: &'static Noun,
        at: At,
        title: impl Into<String>,
        word: &'r Word,
    ) -> Option<Self> {
        let Value::Table(entries) = &word.value else {
            reading.wrong_type(word, &format!("a table for {}", title.into()));
            return None;
        };
        let errors = reading.errors();
        let mut table = Self {
            reading,
            at,
            noun,
            title: title.into(),
            entries,
            is_sound: true,
            asked: RefCell::default(),
        };
        for entry in entries {
            table.check_key(entry);
        }
        for key in noun.keys.iter().filter(|key| key.required) {
            if !table.has(key.name) {
                let message = format!("{} needs `{}`", table.title, key.name);
                reading.add(
                    Diagnostic::error(code::MISSING_KEY, at, message)
                        .help(format!("`{}`: {}", key.name, key.about)),
                );
            }
        }
        table.is_sound = reading.errors() == errors;
        Some(table)
    }

    fn check_key(&self, entry: &Entry) {
        match self.noun.key(&entry.key) {
            Some(Key { later: false, .. }) => (),
            Some(key) => {
                let message = format!(
                    "`{}` in {} is not supported by this version",
                    key.name, self.title
                );
                let found = Diagnostic::error(code::NOT_SUPPORTED, entry.key_at, message);
                self.reading.add(
                    found
                        .label("remove it; it would have no effect")
                        .help(format!("planned: {}", key.about)),
                );
            }
            None => {
                let message = format!("unknown key `{}` in {}", entry.key, self.title);
                let found = Diagnostic::error(code::UNKNOWN_KEY, entry.key_at, message);
                let renamed = self
                    .noun
                    .keys
                    .iter()
                    .find(|key| key.also.contains(&entry.key.as_str()));
                self.reading.add(
                    match (renamed, suggest::nearest(&entry.key, self.noun.names())) {
                        (Some(key), _) => found.label(format!("this is `{}` here", key.name)),
                        (None, Some(near)) => found.label(format!("did you mean `{near}`?")),
                        (None, None) => {
                            found.label(format!("known: {}", suggest::list(self.noun.names())))
                        }
                    },
                );
            }
        }
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The entry of a key as it is written. The key must be in the noun's table: that is what keeps schema and reader in step.
    pub(super) fn entry(&self, key: &'static str) -> Option<&'r Entry> {
        debug_assert!(
            self.noun.key(key).is_some(),
            "`{key}` is not a key of `{}`",
            self.noun.name
        );
        self.asked.borrow_mut().push(key);
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The place of a key, or of the table where it is absent.
    pub(super) fn key_at(&self, key: &str) -> At {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map_or(self.at, |entry| entry.key_at)
    }

    /// The place of a key's value, or of the table where it is absent.
    pub(super) fn value_at(&self, key: &str) -> At {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map_or(self.at, |entry| entry.word.at)
    }

    /// The value of a key, references followed.
    pub(super) fn word(&self, key: &'static str) -> Option<Cow<'r, Word>> {
        self.reading.settle(&self.entry(key)?.word)
    }

    /// Keys that no one asked for have no effect here, and saying nothing about that would be a lie.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for entry in self.entries {
            let known = self.noun.key(&entry.key).is_some_and(|key| !key.later);
            if known && !asked.contains(&entry.key.as_str()) {
                let message = format!("`{}` in {} has no effect here", entry.key, self.title);
                self.reading.error(code::NO_EFFECT, entry.key_at, message);
            }
        }
    }
}
