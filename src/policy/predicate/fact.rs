//! Where the facts come from, and what a matcher makes of them. One function reads each fact, for matching and for explaining.

use super::Bounds;
use super::Glob;
use super::Match;
use super::Matcher;
use super::Polarity;
use super::glob::any_glob;
use crate::hook::Input;
use crate::hook::Outcome;
use crate::hook::StatementContext;
use crate::sqlstate::SqlState;
use crate::statement::Kind;
use crate::statement::KindSet;
use crate::statement::Relations;

/// Facts that are one text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TextFact {
    User,
    Database,
    Branch,
    App,
    Listener,
    Node,
}

/// Facts that are true or false.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FlagFact {
    Tls,
    ReadOnly,
    HasWhere,
    HasLimit,
    HasCte,
    InTransaction,
    TxWrites,
    Error,
    Cached,
}

/// Facts that are numbers; durations in nanoseconds, sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FigureFact {
    StatementCount,
    ParamCount,
    Bytes,
    Elapsed,
    Rows,
    BytesOut,
    Lag,
}

/// What an unparsed text could be: anything that changes something.
pub(super) const COULD_BE: KindSet = KindSet::of(Kind::Insert)
    .with(Kind::Update)
    .with(Kind::Delete)
    .with(Kind::Merge)
    .with(Kind::Ddl)
    .with(Kind::Grant)
    .with(Kind::CopyIn)
    .with(Kind::CopyProgram)
    .with(Kind::Call)
    .with(Kind::Do)
    .with(Kind::Set)
    .with(Kind::Other)
    .with(Kind::Unparsed);

impl TextFact {
    pub(super) fn get<'i>(self, input: &Input<'i>) -> Option<&'i str> {
        let session = input.session;
        match self {
            Self::User => Some(&session.identity.user),
            Self::Database => Some(&session.database),
            Self::Branch => session.branch.as_deref(),
            Self::App => Some(&session.app),
            Self::Listener => Some(&session.listener),
            Self::Node => input.outcome?.node.as_deref(),
        }
    }
}

impl FlagFact {
    pub(super) fn needs_parse(self) -> bool {
        matches!(self, Self::HasWhere | Self::HasLimit | Self::HasCte)
    }

    /// `None`: not known.
    pub(super) fn get(self, input: &Input<'_>) -> Option<bool> {
        match self {
            Self::Tls => Some(input.session.tls),
            Self::Error => Some(!input.outcome?.success),
            Self::Cached => Some(input.outcome?.cached),
            Self::InTransaction => Some(input.statement?.in_transaction),
            Self::TxWrites => Some(input.statement?.tx_writes),
            Self::ReadOnly => Some(input.statement?.facts.read_only),
            Self::HasWhere => Some(parsed(input.statement)?.facts.has_where),
            Self::HasLimit => Some(parsed(input.statement)?.facts.has_limit),
            Self::HasCte => Some(parsed(input.statement)?.facts.has_cte),
        }
    }
}

impl FigureFact {
    /// Whether there is no such figure, which is another thing than one that is not known.
    fn is_absent(self, input: &Input<'_>) -> bool {
        self == Self::Lag && input.outcome.is_some_and(|outcome| outcome.node.is_none())
    }

    /// `None`: not known.
    pub(super) fn get(self, input: &Input<'_>) -> Option<u64> {
        let whole = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        match self {
            Self::StatementCount => Some(u64::from(input.statement?.statement_count)),
            Self::ParamCount => Some(u64::from(input.statement?.facts.param_count)),
            Self::Bytes => Some(whole(input.statement?.facts.bytes)),
            Self::Elapsed => {
                Some(u64::try_from(input.outcome?.elapsed.as_nanos()).unwrap_or(u64::MAX))
            }
            Self::Rows => Some(input.outcome?.rows),
            Self::BytesOut => Some(input.outcome?.bytes_out),
            Self::Lag => {
                let lag = input.outcome.map_or(input.lag, |outcome| outcome.lag)?;
                Some(u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX))
            }
        }
    }
}

/// The statement, if what only the parser knows is known of it.
fn parsed<'a>(statement: Option<&'a StatementContext<'a>>) -> Option<&'a StatementContext<'a>> {
    statement.filter(|statement| !statement.facts.kinds.contains(Kind::Unparsed))
}

/// The relations, if they are known.
pub(super) fn relations<'i>(input: &Input<'i>) -> Option<&'i Relations> {
    Some(&parsed(input.statement)?.facts.relations)
}

/// The error's SQLSTATE: known to be none, or known.
pub(super) fn sqlstate(outcome: Option<&Outcome>) -> Option<Option<SqlState>> {
    Some(outcome?.code)
}

/// A set against a matcher: any member or all of them, as the polarity says.
fn each<T>(facts: &[T], polarity: Polarity, matches: impl Fn(&T) -> Match) -> Match {
    match polarity {
        Polarity::Any => facts.iter().any(|fact| matches(fact) != Match::No).into(),
        Polarity::All => {
            (!facts.is_empty() && facts.iter().all(|fact| matches(fact) == Match::Yes)).into()
        }
    }
}

fn kinds(wanted: KindSet, found: KindSet, polarity: Polarity) -> Match {
    let matches = match polarity {
        Polarity::Any => {
            let could_be = if found.contains(Kind::Unparsed) {
                COULD_BE
            } else {
                KindSet::EMPTY
            };
            found.union(could_be).intersects(wanted)
        }
        Polarity::All => !found.is_empty() && found.is_subset(wanted),
    };
    matches.into()
}

impl Bounds {
    fn contain(self, figure: u64) -> bool {
        (self.min..=self.max).contains(&figure)
    }
}

impl Matcher {
    /// Asks one matcher.
    pub(super) fn ask(&self, input: &Input<'_>, polarity: Polarity) -> Match {
        let known = |answer: Option<bool>| answer.map_or(Match::Maybe, Match::from);
        match self {
            Self::Text(fact, globs) => fact
                .get(input)
                .is_some_and(|text| any_glob(globs, text))
                .into(),
            Self::Attribute(name, globs) => input
                .session
                .attribute(name)
                .is_some_and(|value| any_glob(globs, value))
                .into(),
            Self::Flag(fact, wanted) => known(fact.get(input).map(|found| found == *wanted)),
            Self::Figure(fact, _) if fact.is_absent(input) => Match::No,
            Self::Figure(fact, bounds) => known(fact.get(input).map(|found| bounds.contain(found))),
            Self::Role(globs) => input
                .session
                .identity
                .roles
                .iter()
                .any(|role| any_glob(globs, role))
                .into(),
            Self::Client(networks) => networks
                .iter()
                .any(|network| network.contains(input.session.client))
                .into(),
            Self::Negated(guards) => (!guards.hold(input)).into(),
            Self::Clock(spans) => known(input.now.map(|now| spans.contain(now))),
            Self::AuthMethod(methods) => methods.contains(&input.session.auth_method).into(),
            Self::Protocol(protocols) => known(
                input
                    .statement
                    .map(|statement| protocols.contains(&statement.protocol)),
            ),
            Self::Kind(wanted) => match input.statement {
                Some(statement) => kinds(*wanted, statement.facts.kinds, polarity),
                None => Match::Maybe,
            },
            Self::Hint(globs) => known(input.statement.map(|statement| {
                crate::statement::hints(statement.text).any(|hint| any_glob(globs, hint))
            })),
            Self::Fingerprint(wanted) => known(
                input
                    .statement
                    .map(|statement| wanted.contains(&statement.facts.fingerprint)),
            ),
            Self::Code(globs) => known(
                sqlstate(input.outcome)
                    .map(|code| code.is_some_and(|code| any_glob(globs, code.as_str()))),
            ),
            Self::Tables(_) | Self::Functions(_) | Self::Schemas(_) | Self::Columns(_) => {
                match relations(input) {
                    Some(relations) => self.ask_relations(relations, polarity),
                    None => Match::Maybe,
                }
            }
        }
    }

    fn ask_relations(&self, relations: &Relations, polarity: Polarity) -> Match {
        match self {
            Self::Tables(globs) => {
                each(&relations.tables, polarity, |name| glob_names(globs, name))
            }
            Self::Functions(globs) => each(&relations.functions, polarity, |name| {
                glob_names(globs, name)
            }),
            // `*` is every column there is.
            Self::Columns(globs) => each(&relations.columns, polarity, |column| match &**column {
                "*" if !globs.iter().any(Glob::is_any) => Match::Maybe,
                column => any_glob(globs, column).into(),
            }),
            Self::Schemas(globs) => {
                let matches =
                    |schema: Option<&str>| schema.is_some_and(|schema| any_glob(globs, schema));
                let tables = each(&relations.tables, polarity, |name| {
                    matches(name.schema.as_deref()).into()
                });
                let functions = each(&relations.functions, polarity, |name| {
                    matches(name.schema.as_deref()).into()
                });
                match polarity {
                    Polarity::Any => (tables == Match::Yes || functions == Match::Yes).into(),
                    // Functions without a schema are nearly always the server's own and say nothing about tables.
                    Polarity::All => tables,
                }
            }
            _ => Match::No,
        }
    }
}

fn glob_names(globs: &[super::NameGlob], name: &crate::statement::Name) -> Match {
    let mut best = Match::No;
    for glob in globs {
        match glob.matches(name) {
            Match::Yes => return Match::Yes,
            Match::Maybe => best = Match::Maybe,
            Match::No => (),
        }
    }
    best
}
