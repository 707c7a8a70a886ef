//! A policy as one text: what it includes put together, variables and environment applied, nouns, names and keys in one order,
//! with the place of each line. The text is a policy itself, of the same revision where it lies in the same folder.
//!
//! It is made from the words, not from what became of them: what is a reference stays one, so that no secret is shown. Owns no
//! default; `defaults` asks the policy.

mod defaults;
mod page;
#[cfg(test)]
mod tests;
mod value;

use super::Files;
use super::Policy;
use super::document::Entry;
use super::document::Value;
use super::document::Word;
use super::keys::Key;
use super::keys::Kind;
use super::keys::Noun;
use super::keys::ROOT;
use super::keys::TEST;
use super::reading::Reading;
use super::report::At;
use super::report::Report;
use super::resolve;
use super::revision::Revision;
use super::scope::Scope;
use super::sources;
use super::sources::Words;
use page::Page;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use value::key_text;
use value::quoted;
use value::text;

/// Whether what is not written is shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Defaults {
    /// Only what is written.
    Hidden,
    /// What holds where nothing is written, too.
    Shown,
}

/// The whole of a policy as one text.
///
/// # Errors
/// Every mistake in every file.
pub fn effective(
    root: &Path,
    environment: Option<&str>,
    files: &dyn Files,
    defaults: Defaults,
) -> Result<String, Report> {
    let reading = Reading::new(files);
    let words = sources::read(&reading, root);
    if words.broken {
        return Err(reading.finish().0);
    }
    let vars = sources::chosen(&words, environment);
    reading.set_vars(sources::variables(&reading, &words, environment));
    let scope = Scope {
        reading: &reading,
        words: &words,
    };
    let policy = resolve(scope, root);
    if reading.errors() != 0 {
        return Err(reading.finish().0);
    }
    let writer = Writer {
        reading: &reading,
        words: &words,
        vars,
        kept: RefCell::default(),
        policy: &policy,
        defaults,
    };
    Ok(writer.document())
}

/// Tables that are longer than this have lines of their own.
const INLINE_CHARS_MAX: usize = 90;

struct Writer<'w, 'a> {
    reading: &'w Reading<'a>,
    words: &'w Words,
    /// As they are written.
    vars: BTreeMap<String, Word>,
    /// Those that stand for a part of the process's environment. Their values are not ours to show, so that they stay.
    kept: RefCell<BTreeSet<String>>,
    policy: &'w Policy,
    defaults: Defaults,
}

/// How the values of a table are read, and where they stand.
#[derive(Clone, Copy)]
enum Of {
    /// Keys of the language.
    Noun(&'static Noun),
    /// Names of the operator's, whose values have this type.
    Names(Kind),
}

/// A key with its value as text, and what to say behind it.
struct Line {
    key: String,
    value: String,
    note: String,
    /// What it is without effect on the meaning, and could have one if it were written.
    is_comment: bool,
}

impl Writer<'_, '_> {
    fn document(&self) -> String {
        let mut body = Page::default();
        for key in ROOT.keys.iter().filter(|key| !key.later) {
            match key.kind {
                _ if matches!(key.name, "policy" | "name" | "include" | "vars" | "env") => (),
                Kind::Named(Kind::Table(noun)) => self.named(&mut body, noun),
                Kind::Table(noun) => self.single(&mut body, noun),
                _ => (),
            }
        }
        // Last: they are no part of the meaning.
        for word in &self.words.tests {
            let of = Of::Noun(&TEST);
            self.table(&mut body, "[[test]]", word, of, word.at, Vec::new());
        }
        let revision = Revision::of(&self.policy.canonical());
        let mut page = Page::default();
        page.comment(&format!("policy {}  revision {revision}", self.policy.name));
        self.head(&mut page);
        page.append(body);
        page.finish()
    }

    /// What comes before the first table.
    fn head(&self, page: &mut Page) {
        let mut lines = vec![Line {
            key: "policy".to_owned(),
            value: sources::LANGUAGE.to_string(),
            note: String::new(),
            is_comment: false,
        }];
        lines.push(match self.words.single("name") {
            Some(entry) => self.line(entry, Kind::Text),
            None => Line {
                key: "name".to_owned(),
                value: text(&self.policy.name),
                note: "by the file's name".to_owned(),
                is_comment: false,
            },
        });
        page.lines(&lines);
        let kept = self.kept.borrow();
        let kept: Vec<(&String, &Word)> = self
            .vars
            .iter()
            .filter(|(name, _)| kept.contains(*name))
            .collect();
        if !kept.is_empty() {
            page.header("[vars]", "");
            let line = |(name, word): &(&String, &Word)| Line {
                key: key_text(name),
                value: self.value(word, Kind::Any),
                note: self.place(word.at),
                is_comment: false,
            };
            page.lines(&kept.iter().map(line).collect::<Vec<_>>());
        }
    }

    fn named(&self, page: &mut Page, noun: &'static Noun) {
        for (name, entry) in self.words.named(noun) {
            let path = format!("[{}.{}]", noun.name, key_text(name));
            let more = match self.defaults {
                Defaults::Hidden => Vec::new(),
                Defaults::Shown => defaults::of(self.policy, noun.name, name, &entry.word),
            };
            let of = Of::Noun(noun);
            self.table(page, &path, &entry.word, of, entry.key_at, more);
        }
    }

    fn single(&self, page: &mut Page, noun: &'static Noun) {
        let entry = self.words.single(noun.name);
        let none = Word::new(At::new(0, 0..0), Value::Table(Vec::new()));
        let word = entry.map_or(&none, |entry| &entry.word);
        let more = match self.defaults {
            Defaults::Hidden => Vec::new(),
            Defaults::Shown => defaults::of_single(self.policy, noun.name, entry.is_some(), word),
        };
        let path = format!("[{}]", noun.name);
        match entry {
            Some(entry) => self.table(page, &path, word, Of::Noun(noun), entry.key_at, more),
            None if more.is_empty() => (),
            None => {
                let all_comments = more.iter().all(|line| line.is_comment);
                let path = if all_comments {
                    format!("# {path}")
                } else {
                    path
                };
                page.header(&path, "default");
                page.lines(&more);
            }
        }
    }

    /// One table: its short values, then what has lines of its own.
    fn table(&self, page: &mut Page, header: &str, word: &Word, of: Of, at: At, more: Vec<Line>) {
        let mut lines = Vec::new();
        let mut tables = Vec::new();
        for entry in ordered(word.entries(), of) {
            let kind = of.kind(&entry.key);
            let line = self.line(entry, kind);
            let is_long = INLINE_CHARS_MAX < line.value.chars().count();
            let is_table = matches!(entry.word.value, Value::Table(_)) && !line.is_reference();
            match is_long && is_table {
                true => tables.push((entry, kind)),
                false => lines.push(line),
            }
        }
        lines.extend(more);
        page.header(header, &self.place(at));
        page.lines(&lines);
        for (entry, kind) in tables {
            // `[[test]]` has its own tables as `[test.given]`.
            let inner = header.trim_matches(['[', ']']);
            let header = format!("[{inner}.{}]", key_text(&entry.key));
            let of = Of::kind_of(kind);
            self.table(page, &header, &entry.word, of, entry.key_at, Vec::new());
        }
    }

    fn line(&self, entry: &Entry, kind: Kind) -> Line {
        let settled = self.var(&entry.word).map_or(&entry.word, |(_, word)| word);
        let mut value = match (&*entry.key, &settled.value) {
            ("sink", _) => self.sink(&entry.word),
            // A script, most likely. On a line with other values it would be in their way.
            (_, Value::Text(words)) if words.contains('\n') => text(words),
            _ => self.value(&entry.word, kind),
        };
        let mut note = self.place(entry.key_at);
        if let Some((name, word)) = self.var(&entry.word) {
            note = format!("{note}, `{name}` at {}", self.place(word.at));
        }
        if let Value::List(items) = &entry.word.value
            && INLINE_CHARS_MAX < value.chars().count()
        {
            let item = |item: &Word| format!("  {},\n", self.value(item, element(kind)));
            let items: String = items.iter().map(item).collect();
            value = format!("[\n{items}]");
        }
        Line {
            key: key_text(&entry.key),
            value,
            note,
            is_comment: false,
        }
    }

    /// `file:PATH`, of which the end is a path.
    fn sink(&self, word: &Word) -> String {
        let found = self.var(word).map_or(word, |(_, found)| found);
        match &found.value {
            Value::Text(sink) => match sink.strip_prefix("file:") {
                Some(path) => {
                    let path = self.reading.as_from_root(word.at, path);
                    text(&format!("file:{path}"))
                }
                None => text(sink),
            },
            _ => self.value(word, Kind::Text),
        }
    }

    /// The variable that a word stands for, as it is written, where it may be put in the word's place.
    fn var<'v>(&'v self, word: &'v Word) -> Option<(&'v str, &'v Word)> {
        let Value::Text(name) = &word.single("var")?.value else {
            return None;
        };
        let found = self.vars.get(name)?;
        Some((name, found))
    }

    fn place(&self, at: At) -> String {
        let place = self.reading.place(at);
        format!("{}:{}", place.file.display(), place.line)
    }

    /// A value on one line.
    fn value(&self, word: &Word, kind: Kind) -> String {
        if let Some((name, found)) = self.var(word) {
            if found.single("env").is_some() {
                self.kept.borrow_mut().insert(name.to_owned());
                return format!("{{ var = {} }}", text(name));
            }
            // A path is as seen from where it is used.
            let found = Word {
                at: word.at,
                ..found.clone()
            };
            return self.value(&found, kind);
        }
        match &word.value {
            Value::Text(path) if matches!(kind, Kind::Path) => {
                text(&self.reading.as_from_root(word.at, path))
            }
            Value::Text(words) => quoted(words),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => value::float(*number),
            Value::Boolean(value) => value.to_string(),
            Value::Datetime(datetime) => datetime.to_string(),
            Value::List(items) => {
                let kind = element(kind);
                let items: Vec<String> = items.iter().map(|item| self.value(item, kind)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Table(entries) => self.inline(word, entries, kind),
        }
    }

    fn inline(&self, word: &Word, entries: &[Entry], kind: Kind) -> String {
        if let Some(path) = word.single("file")
            && matches!(kind, Kind::Secret | Kind::Referable | Kind::Any)
        {
            return format!("{{ file = {} }}", self.value(path, Kind::Path));
        }
        let of = Of::kind_of(kind);
        let pairs: Vec<String> = ordered(entries, of)
            .into_iter()
            .map(|entry| {
                let value = self.value(&entry.word, of.kind(&entry.key));
                format!("{} = {value}", key_text(&entry.key))
            })
            .collect();
        match pairs.is_empty() {
            true => "{}".to_owned(),
            false => format!("{{ {} }}", pairs.join(", ")),
        }
    }
}

impl Line {
    /// Whether it is `{ file = ".." }` or the like, which is one value.
    fn is_reference(&self) -> bool {
        ["{ file = ", "{ env = ", "{ var = "]
            .iter()
            .any(|start| self.value.starts_with(start))
    }
}

impl Of {
    fn kind_of(kind: Kind) -> Self {
        match kind {
            Kind::Table(noun) | Kind::Short(noun) | Kind::Tables(noun) => Self::Noun(noun),
            Kind::Named(inner) => Self::Names(*inner),
            Kind::Several(inner) => Self::kind_of(*inner),
            other => Self::Names(other),
        }
    }

    fn kind(self, key: &str) -> Kind {
        match self {
            Self::Noun(noun) => noun.key(key).map_or(Kind::Any, |key| key.kind),
            Self::Names(kind) => kind,
        }
    }
}

fn element(kind: Kind) -> Kind {
    match kind {
        Kind::Several(inner) => *inner,
        other => other,
    }
}

/// The language's keys in its order, names as they are written: of some the order counts.
fn ordered(entries: &[Entry], of: Of) -> Vec<&Entry> {
    let mut entries: Vec<&Entry> = entries.iter().collect();
    if let Of::Noun(noun) = of {
        let order = |key: &str| noun.keys.iter().position(|known: &Key| known.name == key);
        entries.sort_by_key(|entry| order(&entry.key));
    }
    entries
}
