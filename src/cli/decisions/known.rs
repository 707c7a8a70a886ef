//! What a record tells of a statement whose text it does not hold, as the facts that stages are asked about. Owns what is missing:
//! nothing is guessed.

use super::again::Undecided;
use super::record::Known;
use super::record::Record;
use crate::hook::AuthMethod;
use crate::statement;
use crate::statement::Facts;
use crate::statement::Kind;
use crate::statement::KindSet;
use crate::statement::Name;
use crate::statement::Needs;
use crate::statement::Relations;
use crate::statement::SessionEffect;
use crate::statement::Sql;
use std::sync::Arc;

/// What of a statement and its session the record holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) text: bool,
    pub(super) normalized: bool,
    pub(super) fingerprint: bool,
    /// Parameters and bytes.
    pub(super) sizes: bool,
    /// Tables, functions and their schemas.
    pub(super) names: bool,
    pub(super) columns: bool,
    /// Whether it has a LIMIT; not where a rule has put one in.
    pub(super) limit: bool,
    /// What an `authenticate` stage told of the client: claims and the like.
    pub(super) claims: bool,
    /// Attributes that stages had set.
    pub(super) learned: bool,
}

impl Held {
    /// Of a record with the text.
    pub(super) fn with_text(record: &Record) -> Self {
        let is_known = record.auth_method() != Some(AuthMethod::Stage);
        Self {
            text: true,
            normalized: true,
            fingerprint: true,
            sizes: true,
            names: true,
            columns: true,
            limit: true,
            claims: is_known,
            learned: is_known || record.attributes.is_some(),
        }
    }
}

/// The facts, and what is held of them.
///
/// # Errors
/// Why the record does not do.
pub(super) fn of(record: &Record, needs: Needs) -> Result<(Facts, Held), Undecided> {
    let known = record.came();
    let Some(read_only) = known.read_only else {
        return Err(Undecided::new("the record holds nothing of the statement"));
    };
    let mut kinds = kinds(known)?;
    let unparsed = kinds.contains(Kind::Unparsed);
    let is_parsed = known.has_where.is_some();
    if unparsed && is_parsed && !needs.parse {
        let why = "whether it could be understood unparsed is not in the log";
        return Err(Undecided::new(why));
    }
    let again = reread(known, needs).filter(|_| !unparsed);
    if needs.parse && !is_parsed && !unparsed && again.is_none() {
        let why = "the log comes from a policy for which nothing was parsed, and a stage of this one asks for more";
        return Err(Undecided::new(why));
    }
    let mut read_only = read_only;
    if let Some(again) = again.as_ref().filter(|_| !is_parsed) {
        read_only &= again.kinds.is_subset(kinds);
        kinds = kinds.union(again.kinds);
    }
    let held = Held {
        text: false,
        normalized: known.normalized.is_some(),
        fingerprint: known.fingerprint.is_some(),
        sizes: known.bytes.is_some(),
        names: unparsed || known.tables.is_some() || again.is_some(),
        columns: unparsed || again.is_some(),
        ..Held::with_text(record)
    };
    let shape = |written: Option<bool>, read: fn(&Facts) -> bool, otherwise: bool| {
        written.unwrap_or_else(|| again.as_ref().map_or(otherwise, read))
    };
    let fingerprint = known.fingerprint.as_deref();
    let facts = Facts {
        kinds,
        read_only,
        effect: SessionEffect::None,
        sql: Sql::Plain,
        fingerprint: fingerprint
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .unwrap_or(0),
        normalized: known.normalized.clone().unwrap_or_default(),
        has_where: shape(known.has_where, |facts| facts.has_where, true),
        has_limit: shape(known.has_limit, |facts| facts.has_limit, false),
        has_cte: shape(known.has_cte, |facts| facts.has_cte, false),
        param_count: known.param_count.unwrap_or(0),
        bytes: known.bytes.unwrap_or(0),
        relations: Arc::new(relations(known, again.as_ref())?),
    };
    Ok((facts, held))
}

fn kinds(known: &Known) -> Result<KindSet, Undecided> {
    let kind = |name: &String| {
        let unknown = || Undecided::new(format!("there is no kind `{}`", name.escape_debug()));
        Kind::parse(name).ok_or_else(unknown)
    };
    known.kinds.iter().map(kind).collect()
}

/// What its text without literals tells, where that can be read.
fn reread(known: &Known, needs: Needs) -> Option<Facts> {
    let text = known.normalized.as_deref().filter(|_| needs.parse)?;
    let wanted = Needs {
        normalized: false,
        parse: true,
    };
    let facts = statement::analyze(text, wanted);
    (!facts.kinds.contains(Kind::Unparsed)).then_some(facts)
}

fn relations(known: &Known, again: Option<&Facts>) -> Result<Relations, Undecided> {
    let read = |names: &Vec<String>| -> Result<Vec<Name>, Undecided> {
        let name = |text: &String| {
            let no_name = || Undecided::new("the record holds a name that is none");
            Name::from_dotted(text).ok_or_else(no_name)
        };
        names.iter().map(name).collect()
    };
    let again = again.map(|facts| Relations::clone(&facts.relations));
    let mut relations = again.unwrap_or_default();
    if let Some(tables) = &known.tables {
        relations.tables = read(tables)?;
    }
    if let Some(functions) = &known.functions {
        relations.functions = read(functions)?;
    }
    Ok(relations)
}
