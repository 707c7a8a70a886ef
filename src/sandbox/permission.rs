//! What a guest may see and what it may call, and the names of both in policies.
//! Owns no enforcement: `Grants::fields` decides what is encoded, `host` asks `Grants::may_call`.

use super::LoadGrant;
use super::MetricOp;
use crate::hook::abi::Field;
use crate::hook::abi::Fields;
use regex_lite::Regex;
use regex_lite::RegexBuilder;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A part of the input a guest may be shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum See {
    /// The user, its roles, tenant, claims and attributes.
    Identity,
    /// The session: database, branch, client, application, listener, transaction state, startup parameters.
    Session,
    /// The text with every literal.
    SqlText,
    /// The text without literals.
    SqlNormalized,
    /// The fingerprint.
    SqlFingerprint,
    /// The kinds, whether it is read-only, and its shape (where, limit, parameters, length).
    SqlKind,
    /// The tables, functions and columns it names.
    SqlTables,
    /// How it ended, without the error's message.
    ResultSummary,
    /// The error's message, which may quote data.
    ResultError,
    /// The cleartext password, at `authenticate` only.
    Password,
}

const SEE: [(See, &str); 10] = [
    (See::Identity, "identity"),
    (See::Session, "session"),
    (See::SqlText, "sql.text"),
    (See::SqlNormalized, "sql.normalized"),
    (See::SqlFingerprint, "sql.fingerprint"),
    (See::SqlKind, "sql.kind"),
    (See::SqlTables, "sql.tables"),
    (See::ResultSummary, "result.summary"),
    (See::ResultError, "result.error"),
    (See::Password, "auth.password"),
];

impl See {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        SEE.iter().map(|(see, _)| *see)
    }

    /// The name in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        SEE[self as usize].1
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        SEE.iter()
            .find(|(_, known)| *known == name)
            .map(|(see, _)| *see)
    }

    /// The permission a field needs; `None` for what the guest's caller passes it directly.
    #[must_use]
    pub fn needed_for(field: Field) -> Option<Self> {
        Some(match field {
            Field::EventName | Field::EventPayload => return None,
            Field::AuthPassword => Self::Password,
            Field::AuthUsername => Self::Identity,
            Field::AuthHeaders => Self::Session,
            Field::Text => Self::SqlText,
            Field::Normalized => Self::SqlNormalized,
            Field::Fingerprint => Self::SqlFingerprint,
            Field::Tables | Field::Functions | Field::Columns => Self::SqlTables,
            Field::Error => Self::ResultError,
            _ => match field.row().variable {
                "user" => Self::Identity,
                "session" => Self::Session,
                "sql" => Self::SqlKind,
                _ => Self::ResultSummary,
            },
        })
    }
}

/// An effect a guest may have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Call {
    /// Lines in the log.
    Log,
    /// Counters, gauges and histograms.
    Metrics,
    /// Stored values, reading.
    KvRead,
    /// Stored values, writing.
    KvWrite,
    /// The time of day.
    Time,
    /// Random numbers.
    Random,
    /// Hashing, keyed and not.
    Sha256,
    /// The cache.
    Cache,
    /// Attributes that later stages see.
    Attributes,
    /// Events for the `custom` chain.
    Emit,
    /// Rows that are fetched before it is asked.
    Load,
    /// Rows that it asks for itself; modules only.
    Query,
}

const CALL: [(Call, &str); 12] = [
    (Call::Log, "log"),
    (Call::Metrics, "metrics"),
    (Call::KvRead, "kv.read"),
    (Call::KvWrite, "kv.write"),
    (Call::Time, "time"),
    (Call::Random, "random"),
    (Call::Sha256, "sha256"),
    (Call::Cache, "cache"),
    (Call::Attributes, "attributes"),
    (Call::Emit, "emit"),
    (Call::Load, "load"),
    (Call::Query, "query"),
];

impl Call {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        CALL.iter().map(|(call, _)| *call)
    }

    /// The name in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        CALL[self as usize].1
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        CALL.iter()
            .find(|(_, known)| *known == name)
            .map(|(call, _)| *call)
    }
}

/// The part of the store a permission set opens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KvGrant {
    /// The namespace; guests of one namespace share its values.
    pub namespace: Arc<str>,
    /// Keys it may hold.
    pub max_keys: usize,
    /// Bytes of keys and values it may hold.
    pub max_bytes: usize,
}

/// One permission set, as a stage has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grants {
    /// The name of the permission set in the policy; empty for the default one.
    pub name: Arc<str>,
    /// What it may see.
    pub see: BTreeSet<See>,
    /// What it may call.
    pub call: BTreeSet<Call>,
    /// Where its stored values lie.
    pub kv: Option<KvGrant>,
    /// Where its cached values lie.
    pub cache: Option<KvGrant>,
    /// Regular expressions it may match fields against, by name.
    pub patterns: Patterns,
    /// The metrics it may touch, by name; any where none is declared.
    pub metrics: BTreeMap<Arc<str>, MetricGrant>,
    /// The statements it may have asked.
    pub load: Option<LoadGrant>,
}

/// Bytes of a metric's name.
const METRIC_NAME_BYTES_MAX: usize = 64;

/// Whether a metric may be called that.
#[must_use]
pub fn is_metric_name(name: &str) -> bool {
    let legal = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    !name.is_empty() && name.len() <= METRIC_NAME_BYTES_MAX && name.as_bytes().iter().all(legal)
}

/// A metric that a permission set declares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetricGrant {
    /// What may be done to it, and so what it is.
    pub op: MetricOp,
    /// What it says, for people.
    pub help: Arc<str>,
}

/// Regular expressions by name, compiled once. They match in a time linear in the text.
#[derive(Clone, Default)]
pub struct Patterns(BTreeMap<Arc<str>, Regex>);

impl Patterns {
    /// Adds one.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub fn insert(&mut self, name: &str, expression: &str) -> Result<(), String> {
        let compiled = RegexBuilder::new(expression)
            .size_limit(PATTERN_BYTES_MAX)
            .nest_limit(PATTERN_DEPTH_MAX)
            .build()
            .map_err(|error| error.to_string())?;
        self.0.insert(name.into(), compiled);
        Ok(())
    }

    /// The one of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Regex> {
        self.0.get(name)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }
}

/// Bytes a compiled pattern may take, and how deep it may nest.
const PATTERN_BYTES_MAX: usize = 256 << 10;
const PATTERN_DEPTH_MAX: u32 = 32;

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written()
    }
}

impl Eq for Patterns {}

impl std::fmt::Debug for Patterns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.written().fmt(f)
    }
}

impl Patterns {
    fn written(&self) -> BTreeMap<&str, &str> {
        let written = self.0.iter();
        written
            .map(|(name, pattern)| (&**name, pattern.as_str()))
            .collect()
    }
}

impl Grants {
    /// What a stage without `permissions` gets: who, where, what kind, which tables and how it ended; no text, no literal,
    /// no password, no effect but the log.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            name: Arc::from(""),
            see: BTreeSet::from([
                See::Identity,
                See::Session,
                See::SqlFingerprint,
                See::SqlKind,
                See::SqlTables,
                See::ResultSummary,
            ]),
            call: BTreeSet::from([Call::Log]),
            kv: None,
            cache: None,
            patterns: Patterns::default(),
            metrics: BTreeMap::new(),
            load: None,
        }
    }

    /// Whether it may see this.
    #[must_use]
    pub fn may_see(&self, see: See) -> bool {
        self.see.contains(&see)
    }

    /// Whether it may have this effect. Stored values need a namespace as well, and rows declared statements.
    #[must_use]
    pub fn may_call(&self, call: Call) -> bool {
        let has_place = match call {
            Call::KvRead | Call::KvWrite => self.kv.is_some(),
            Call::Cache => self.cache.is_some(),
            Call::Load | Call::Query => self.load.is_some(),
            _ => true,
        };
        self.call.contains(&call) && has_place
    }

    /// Whether a metric of that name may be touched like this.
    ///
    /// # Errors
    /// Why it may not.
    pub fn may_touch(&self, name: &str, op: MetricOp) -> Result<(), String> {
        match self.metrics.get(name) {
            Some(metric) if metric.op == op => Ok(()),
            Some(metric) => Err(format!("the metric `{name}` is a {}", metric.op.kind())),
            None if self.metrics.is_empty() => Ok(()),
            None => Err(format!("the permissions declare no metric `{name}`")),
        }
    }

    /// The fields it may see.
    #[must_use]
    pub fn fields(&self) -> Fields {
        let visible = |field: &Field| See::needed_for(*field).is_none_or(|see| self.may_see(see));
        Field::all().map(|row| row.field).filter(visible).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_tables_are_in_the_order_of_the_enums() {
        for see in See::all() {
            assert_eq!(See::parse(see.name()), Some(see));
            assert_eq!(SEE[see as usize].0, see);
        }
        for call in Call::all() {
            assert_eq!(Call::parse(call.name()), Some(call));
            assert_eq!(CALL[call as usize].0, call);
        }
    }

    #[test]
    fn the_standard_set_shows_no_literal_and_no_secret() {
        let fields = Grants::standard().fields();
        for hidden in [
            Field::Text,
            Field::Normalized,
            Field::AuthPassword,
            Field::Error,
        ] {
            assert!(!fields.contains(hidden), "{hidden:?}");
        }
        for shown in [Field::UserName, Field::Kind, Field::Tables, Field::Code] {
            assert!(fields.contains(shown), "{shown:?}");
        }
    }

    #[test]
    fn stored_values_need_a_namespace() {
        let mut grants = Grants::standard();
        grants.call.insert(Call::KvRead);
        assert!(!grants.may_call(Call::KvRead));
        grants.kv = Some(KvGrant {
            namespace: "a".into(),
            max_keys: 1,
            max_bytes: 1,
        });
        assert!(grants.may_call(Call::KvRead));
    }
}
