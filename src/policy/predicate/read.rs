//! How `when` and `unless` are written: one arm for each key, checked against the stage's hooks and the policy's names.

use super::Bounds;
use super::Glob;
use super::Join;
use super::Matcher;
use super::NameGlob;
use super::Predicate;
use super::Test;
use super::bounds::bounds;
use super::clock;
use super::fact::FigureFact;
use super::fact::FlagFact;
use super::fact::TextFact;
use super::glob::part;
use super::network::Network;
use crate::hook::AuthMethod;
use crate::hook::Hook;
use crate::hook::Protocol;
use crate::policy::code;
use crate::policy::document::Value;
use crate::policy::document::Word;
use crate::policy::keys::BRANCH;
use crate::policy::keys::LISTENER;
use crate::policy::keys::MATCHERS;
use crate::policy::keys::NODE;
use crate::policy::keys::Noun;
use crate::policy::keys::ROLE;
use crate::policy::reading::Spot;
use crate::policy::reading::Table;
use crate::policy::reading::unknown;
use crate::policy::report::Diagnostic;
use crate::policy::scope::Scope;
use crate::statement;
use crate::statement::KindSet;
use crate::unit;
use std::fmt::Display;

/// Reads one table of matchers for a stage that is asked at `hooks`.
pub(in crate::policy) fn read(
    scope: Scope<'_, '_>,
    table: &Table<'_, '_>,
    join: Join,
    hooks: &[Hook],
) -> Predicate {
    let mut tests = Vec::new();
    for key in MATCHERS.names() {
        let Some(entry) = table.entry(key) else {
            continue;
        };
        let moment = MATCHERS.key(key).map(|key| key.when);
        if let Some(moment) = moment
            && let Some(hook) = hooks.iter().find(|hook| !moment.exists_at(**hook))
        {
            let message = format!("`{key}` has no value at `{hook}`");
            let found = Diagnostic::error(code::VALUE_AT_HOOK, entry.key_at, message);
            scope
                .reading
                .add(found.label(format!("it has a value only {}", moment.words())));
        }
        let reader = Reader { scope, key };
        if key == "attr" {
            tests.extend(reader.attributes(&entry.word));
            continue;
        }
        if let Some((matcher, wanted)) = reader.matcher(&entry.word) {
            tests.push(Test {
                key: key.into(),
                wanted: wanted.into(),
                matcher,
            });
        }
    }
    tests.sort_by(|left, right| left.key.cmp(&right.key));
    Predicate { join, tests }
}

/// `clock::times` or `clock::weekdays`.
type SpansReader = fn(
    &mut dyn Iterator<Item = &str>,
    &mut dyn FnMut(usize, &'static str),
) -> (clock::Spans, String);

struct Reader<'s, 'a> {
    scope: Scope<'s, 'a>,
    key: &'static str,
}

impl Reader<'_, '_> {
    /// The compiled matcher and its canonical form.
    fn matcher(&self, word: &Word) -> Option<(Matcher, String)> {
        if let Some(fact) = text_fact(self.key) {
            let (globs, wanted) = self.globs(word)?;
            return Some((Matcher::Text(fact, globs), wanted));
        }
        if let Some(fact) = flag_fact(self.key) {
            let wanted = self.scope.reading.boolean(word)?;
            return Some((Matcher::Flag(fact, wanted), wanted.to_string()));
        }
        if let Some(fact) = figure_fact(self.key) {
            let bounds = self.bounds(word, fact)?;
            return Some((Matcher::Figure(fact, bounds), bounds.canonical(fact)));
        }
        match self.key {
            "role" => self
                .globs(word)
                .map(|(globs, wanted)| (Matcher::Role(globs), wanted)),
            "hint" => self
                .globs(word)
                .map(|(globs, wanted)| (Matcher::Hint(globs), wanted)),
            "client" => self.list(word, Network::parse, Matcher::Client),
            "auth_method" => self.auth_methods(word),
            "protocol" => self.protocols(word),
            "kind" => self.kinds(word),
            "tables" => self.names(word, Matcher::Tables),
            "functions" => self.names(word, Matcher::Functions),
            "schemas" => self.identifiers(word, Matcher::Schemas),
            "columns" => self.identifiers(word, Matcher::Columns),
            "fingerprint" => self.fingerprints(word),
            "code" => self.codes(word),
            "time" => self.spans(word, clock::times),
            "weekday" => self.spans(word, clock::weekdays),
            _ => None,
        }
    }

    fn wrong(&self, spot: &Spot<String>, why: impl Display) {
        let found = Diagnostic::error(
            code::BAD_MATCHER,
            spot.at,
            format!("`{}` is no value for `{}`", spot.value, self.key),
        );
        self.scope.reading.add(found.label(why.to_string()));
    }

    /// A list, each item read by `parse`, sorted so that the order in the file means nothing.
    fn list<T: Ord + Display>(
        &self,
        word: &Word,
        parse: impl Fn(&str) -> Result<T, &'static str>,
        matcher: impl Fn(Vec<T>) -> Matcher,
    ) -> Option<(Matcher, String)> {
        let mut items = Vec::new();
        for spot in self.scope.reading.texts(word) {
            match parse(&spot.value) {
                Ok(item) => items.push(item),
                Err(why) => self.wrong(&spot, why),
            }
        }
        items.sort();
        items.dedup();
        let wanted = join(items.iter().map(T::to_string).collect());
        (!items.is_empty()).then(|| (matcher(items), wanted))
    }

    fn globs(&self, word: &Word) -> Option<(Vec<Glob>, String)> {
        let spots = self.scope.reading.texts(word);
        for spot in &spots {
            self.check_name(spot);
        }
        compile(spots.into_iter().map(|spot| spot.value).collect(), |text| {
            Some(Glob::new(text))
        })
    }

    /// A name without a wildcard must exist; a pattern must match one that does.
    fn check_name(&self, spot: &Spot<String>) {
        let noun: &'static Noun = match self.key {
            "role" => &ROLE,
            "listener" => &LISTENER,
            "branch" => &BRANCH,
            "node" => &NODE,
            _ => return,
        };
        let glob = Glob::new(&spot.value);
        let names = self.scope.words.names(noun);
        if names.clone().any(|name| glob.matches(name)) {
            return;
        }
        match glob.exact() {
            Some(name) => {
                self.scope
                    .reading
                    .add(unknown(code::UNKNOWN_NAME, spot.at, noun.name, name, names))
            }
            None => self.wrong(spot, format_args!("no {} matches it", noun.name)),
        }
    }

    fn attributes(&self, word: &Word) -> Vec<Test> {
        let Value::Table(entries) = &word.value else {
            self.scope
                .reading
                .wrong_type(word, "a table such as { tenant = \"acme\" }");
            return Vec::new();
        };
        let mut tests = Vec::new();
        for entry in entries {
            if let Some((globs, wanted)) = self.globs(&entry.word) {
                let matcher = Matcher::Attribute(entry.key.as_str().into(), globs);
                tests.push(Test {
                    key: format!("attr.{}", entry.key).into(),
                    wanted: wanted.into(),
                    matcher,
                });
            }
        }
        tests
    }

    fn names(
        &self,
        word: &Word,
        matcher: impl Fn(Vec<NameGlob>) -> Matcher,
    ) -> Option<(Matcher, String)> {
        let mut texts = Vec::new();
        for spot in self.scope.reading.texts(word) {
            match NameGlob::parse(&spot.value) {
                Some(_) => texts.push(spot.value),
                None => self.wrong(&spot, "expected `name` or `schema.name`; quote as in SQL"),
            }
        }
        let (globs, wanted) = compile(texts, NameGlob::parse)?;
        Some((matcher(globs), wanted))
    }

    fn identifiers(
        &self,
        word: &Word,
        matcher: impl Fn(Vec<Glob>) -> Matcher,
    ) -> Option<(Matcher, String)> {
        let parse = |text: &str| match part(text) {
            Some((name, "")) => Some(name),
            _ => None,
        };
        let mut names = Vec::new();
        for spot in self.scope.reading.texts(word) {
            match parse(&spot.value) {
                Some(name) => names.push(name),
                None => self.wrong(&spot, "expected one name; quote as in SQL"),
            }
        }
        let (globs, wanted) = compile(names, |name| Some(Glob::new(name)))?;
        Some((matcher(globs), wanted))
    }

    fn kinds(&self, word: &Word) -> Option<(Matcher, String)> {
        let names = || statement::Kind::all().map(statement::Kind::name);
        let reading = self.scope.reading;
        let spots = reading.texts(word);
        let kinds: KindSet = spots
            .iter()
            .filter_map(|spot| reading.one_of(spot, "kind", names(), statement::Kind::parse))
            .collect();
        let wanted = join(kinds.iter().map(|kind| kind.name().to_owned()).collect());
        (!kinds.is_empty()).then_some((Matcher::Kind(kinds), wanted))
    }

    fn auth_methods(&self, word: &Word) -> Option<(Matcher, String)> {
        const METHODS: [AuthMethod; 5] = [
            AuthMethod::Trust,
            AuthMethod::Scram,
            AuthMethod::Md5,
            AuthMethod::Stage,
            AuthMethod::Node,
        ];
        let (found, wanted) = self.words(word, &METHODS, AuthMethod::name)?;
        Some((Matcher::AuthMethod(found), wanted))
    }

    fn protocols(&self, word: &Word) -> Option<(Matcher, String)> {
        const PROTOCOLS: [Protocol; 3] =
            [Protocol::Simple, Protocol::Extended, Protocol::FunctionCall];
        let (found, wanted) = self.words(word, &PROTOCOLS, Protocol::name)?;
        Some((Matcher::Protocol(found), wanted))
    }

    /// Words of a closed list, in the list's order.
    fn words<T: Copy>(
        &self,
        word: &Word,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Option<(Vec<T>, String)> {
        let reading = self.scope.reading;
        let parse = |text: &str| all.iter().position(|item| name(*item) == text);
        let names = || all.iter().map(|item| name(*item)).collect::<Vec<_>>();
        let spots = reading.texts(word);
        let mut ids: Vec<usize> = spots
            .iter()
            .filter_map(|spot| reading.one_of(spot, &format!("`{}`", self.key), names(), parse))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let found: Vec<T> = ids.into_iter().map(|id| all[id]).collect();
        let wanted = join(found.iter().map(|item| name(*item).to_owned()).collect());
        (!found.is_empty()).then_some((found, wanted))
    }

    fn fingerprints(&self, word: &Word) -> Option<(Matcher, String)> {
        let mut found = Vec::new();
        for spot in self.scope.reading.texts(word) {
            let whole =
                spot.value.len() == 16 && spot.value.bytes().all(|byte| byte.is_ascii_hexdigit());
            match u64::from_str_radix(&spot.value, 16) {
                Ok(fingerprint) if whole => found.push(fingerprint),
                _ => self.wrong(&spot, "expected 16 hexadecimal digits"),
            }
        }
        found.sort_unstable();
        found.dedup();
        let wanted = join(
            found
                .iter()
                .map(|fingerprint| format!("{fingerprint:016x}"))
                .collect(),
        );
        (!found.is_empty()).then_some((Matcher::Fingerprint(found), wanted))
    }

    /// Spans of the day or of the week, as the reader of either takes them.
    fn spans(&self, word: &Word, read: SpansReader) -> Option<(Matcher, String)> {
        let spots = self.scope.reading.texts(word);
        let mut texts = spots.iter().map(|spot| spot.value.as_str());
        let mut wrong = |index: usize, why: &'static str| {
            if let Some(spot) = spots.get(index) {
                self.wrong(spot, why);
            }
        };
        let (spans, wanted) = read(&mut texts, &mut wrong);
        (!wanted.is_empty()).then_some((Matcher::Clock(spans), wanted))
    }

    fn codes(&self, word: &Word) -> Option<(Matcher, String)> {
        let good = |text: &str| {
            let allowed = |byte: u8| {
                byte.is_ascii_digit() || byte.is_ascii_uppercase() || matches!(byte, b'*' | b'?')
            };
            !text.is_empty() && text.len() <= 5 && text.bytes().all(allowed)
        };
        let mut texts = Vec::new();
        for spot in self.scope.reading.texts(word) {
            if good(&spot.value) && (spot.value.len() == 5 || spot.value.contains('*')) {
                texts.push(spot.value);
            } else {
                self.wrong(
                    &spot,
                    "expected a SQLSTATE such as `42501`, or a class such as `42*`",
                );
            }
        }
        let (globs, wanted) = compile(texts, |text| Some(Glob::new(text)))?;
        Some((Matcher::Code(globs), wanted))
    }

    fn bounds(&self, word: &Word, fact: FigureFact) -> Option<Bounds> {
        let settled = self.scope.reading.settle(word)?;
        let text = match &settled.value {
            Value::Text(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            _ => {
                self.scope.reading.wrong_type(
                    &settled,
                    "a value, or a comparison such as \">5\" or \"10..20\"",
                );
                return None;
            }
        };
        let parsed = match fact {
            FigureFact::Elapsed | FigureFact::Lag => bounds(&text, |text| {
                let duration = unit::parse_duration(text).map_err(|error| error.to_string())?;
                u64::try_from(duration.as_nanos()).map_err(|error| error.to_string())
            }),
            FigureFact::Bytes | FigureFact::BytesOut => bounds(&text, |text| {
                unit::parse_size(text).map_err(|error| error.to_string())
            }),
            FigureFact::StatementCount | FigureFact::ParamCount | FigureFact::Rows => {
                bounds(&text, |text| {
                    text.parse().map_err(|_| "expected an integer".to_owned())
                })
            }
        };
        parsed
            .map_err(|why| {
                self.wrong(
                    &Spot {
                        at: word.at,
                        value: text,
                    },
                    why,
                )
            })
            .ok()
    }
}

/// Sorted, deduplicated and compiled; with the canonical text.
fn compile<T>(
    mut texts: Vec<String>,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<(Vec<T>, String)> {
    texts.sort();
    texts.dedup();
    let globs: Vec<T> = texts.iter().filter_map(|text| parse(text)).collect();
    (!globs.is_empty()).then(|| (globs, join(texts)))
}

fn join(items: Vec<String>) -> String {
    items.join(", ")
}

fn text_fact(key: &str) -> Option<TextFact> {
    Some(match key {
        "user" => TextFact::User,
        "database" => TextFact::Database,
        "branch" => TextFact::Branch,
        "app" => TextFact::App,
        "listener" => TextFact::Listener,
        "node" => TextFact::Node,
        _ => return None,
    })
}

fn flag_fact(key: &str) -> Option<FlagFact> {
    Some(match key {
        "tls" => FlagFact::Tls,
        "read_only" => FlagFact::ReadOnly,
        "has_where" => FlagFact::HasWhere,
        "has_limit" => FlagFact::HasLimit,
        "has_cte" => FlagFact::HasCte,
        "in_transaction" => FlagFact::InTransaction,
        "tx_writes" => FlagFact::TxWrites,
        "error" => FlagFact::Error,
        "cached" => FlagFact::Cached,
        _ => return None,
    })
}

fn figure_fact(key: &str) -> Option<FigureFact> {
    Some(match key {
        "statement_count" => FigureFact::StatementCount,
        "param_count" => FigureFact::ParamCount,
        "bytes" => FigureFact::Bytes,
        "elapsed" => FigureFact::Elapsed,
        "rows" => FigureFact::Rows,
        "bytes_out" => FigureFact::BytesOut,
        "lag" => FigureFact::Lag,
        _ => return None,
    })
}
