//! The table of host functions: names, parameters, permissions, what a byte costs and how many there may be. Imports, script
//! functions, `check`, the SDK's declarations and the page in `plugins/README.md` are made from it or compared with it.
//! Owns no call.

use super::super::Level;
use super::super::permission::Call;
use std::ops::RangeInclusive;

/// One host function's row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) function: HostFunction,
    /// The import's name in a module.
    pub(crate) import: &'static str,
    pub(crate) params: &'static [Param],
    pub(crate) gives: Gives,
    /// Module and name in a script; `None` where a script has a variable for it.
    pub(crate) script: Option<(&'static str, &'static str)>,
    /// The permission it needs; `None` where what it reaches was granted by `see`.
    pub(crate) needs: Option<Call>,
    pub(crate) cost: Cost,
}

/// A parameter: what a module passes for it, and what a script does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Param {
    /// A number for a module; a part of the name in a script.
    Level,
    /// A field: its number, or its path in a script.
    Field,
    /// Where in a field to begin. A script reads fields whole.
    Offset,
    /// Bytes: pointer and length, or a script's text.
    Bytes(&'static str),
    /// Bytes, or length -1, or `()`: there are none.
    OrNone(&'static str),
    /// A place and its room. A script gets a value.
    Into,
    /// A place for what has always the same length. A script gets a value.
    Place(&'static str),
    Integer(&'static str),
    /// Milliseconds. A script may leave them out.
    Ttl,
    Float(&'static str),
}

/// What an import gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gives {
    Nothing,
    /// An i32.
    Word,
    /// An i64.
    Long,
}

/// What a call's bytes cost, and how many it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cost {
    /// Eighths of a fuel for a byte it is given or looks through.
    pub(crate) eighths: usize,
    /// Bytes it may be given.
    pub(crate) bytes_max: usize,
}

/// Bytes of a result that has no place of its own: what a guest cannot ask for in parts.
pub(crate) const RESULT_BYTES_MAX: usize = 512 << 10;

/// Names and keys.
const NAMES: Cost = cost(1, 4 << 10);
/// Texts and values.
const TEXTS: Cost = cost(1, 256 << 10);
/// What is hashed.
const HASHED: Cost = cost(8, 256 << 10);
/// What is lexed as SQL.
const LEXED: Cost = cost(16, 256 << 10);
/// What is matched against a pattern: the name is given, the field is looked through.
const MATCHED: Cost = cost(64, 4 << 10);
/// What is parsed as SQL.
const PARSED: Cost = cost(512, 64 << 10);

const fn cost(eighths: usize, bytes_max: usize) -> Cost {
    Cost { eighths, bytes_max }
}

macro_rules! functions {
    ($($(#[doc = $doc:literal])+ $function:ident = $import:literal [$($param:expr),*] $gives:ident, $script:expr, $needs:expr, $cost:ident;)+) => {
        /// Everything a guest may call, whatever its engine.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum HostFunction {
            $($(#[doc = $doc])+ $function,)+
        }

        /// The index of a row is the function's discriminant.
        static TABLE: &[Row] = &[
            $(Row {
                function: HostFunction::$function,
                import: $import,
                params: &[$($param),*],
                gives: Gives::$gives,
                script: $script,
                needs: $needs,
                cost: $cost,
            },)+
        ];
    };
}

use Param::Bytes;
use Param::Field;
use Param::Float;
use Param::Integer;
use Param::Into;
use Param::Offset;
use Param::OrNone;
use Param::Place;
use Param::Ttl;

// All are legal at every hook: an observer may store, count and log.
functions! {
    /// A line in the log.
    Log = "log" [Param::Level, Bytes("message")] Nothing, Some(("log", "info")), Some(Call::Log), TEXTS;
    /// A field of the input, or a part of it.
    Get = "get" [Field, Offset, Into] Word, None, None, TEXTS;
    /// Whether a text field contains a text.
    Contains = "contains" [Field, Bytes("text")] Word, Some(("field", "contains")), None, TEXTS;
    /// A value of the configuration.
    Config = "config" [Bytes("path"), Into] Word, None, None, NAMES;
    /// A stored value.
    KvGet = "kv_get" [Bytes("key"), Into] Word, Some(("kv", "get")), Some(Call::KvRead), NAMES;
    /// Stores a value.
    KvSet = "kv_set" [Bytes("key"), Bytes("value"), Ttl] Word, Some(("kv", "set")), Some(Call::KvWrite), TEXTS;
    /// Forgets a stored value.
    KvDelete = "kv_delete" [Bytes("key")] Word, Some(("kv", "delete")), Some(Call::KvWrite), NAMES;
    /// Adds to a stored number.
    KvAdd = "kv_add" [Bytes("key"), Integer("delta"), Ttl, Place("sum")] Word, Some(("kv", "add")), Some(Call::KvWrite), NAMES;
    /// Replaces a stored value if it is as expected.
    KvCompareAndSwap = "kv_cas" [Bytes("key"), OrNone("old"), Bytes("new"), Ttl] Word, Some(("kv", "cas")), Some(Call::KvWrite), TEXTS;
    /// Raises a counter.
    MetricAdd = "metric_add" [Bytes("name"), Float("value")] Nothing, Some(("metric", "add")), Some(Call::Metrics), NAMES;
    /// Sets a gauge.
    MetricSet = "metric_set" [Bytes("name"), Float("value")] Nothing, Some(("metric", "set")), Some(Call::Metrics), NAMES;
    /// Adds to a histogram.
    MetricObserve = "metric_observe" [Bytes("name"), Float("value")] Nothing, Some(("metric", "observe")), Some(Call::Metrics), NAMES;
    /// The time of day.
    Now = "now" [] Long, Some(("time", "now")), Some(Call::Time), NAMES;
    /// A random number.
    Random = "random" [] Long, Some(("random", "number")), Some(Call::Random), NAMES;
    /// The SHA-256 of bytes, as lower-case hex.
    Sha256 = "sha256" [Bytes("text"), Place("hex")] Nothing, Some(("sha256", "hex")), Some(Call::Sha256), HASHED;
    /// The HMAC-SHA-256 of bytes, as lower-case hex.
    HmacSha256 = "hmac_sha256" [Bytes("key"), Bytes("text"), Place("hex")] Nothing, Some(("sha256", "hmac")), Some(Call::Sha256), HASHED;
    /// Whether two texts are equal, in a time that does not tell where they differ.
    ConstantTimeEqual = "ct_eq" [Bytes("a"), Bytes("b")] Word, Some(("sha256", "equal")), None, TEXTS;
    /// Whether a text field matches a pattern of the permission set.
    Matches = "matches" [Field, Bytes("pattern")] Word, Some(("field", "matches")), None, MATCHED;
    /// The fingerprint of a statement's text.
    Fingerprint = "fingerprint" [Bytes("text")] Long, Some(("statement", "fingerprint")), None, LEXED;
    /// A statement's text with `$n` for literals.
    Normalize = "normalize" [Bytes("text"), Into] Word, Some(("statement", "normalize")), None, LEXED;
    /// The tables a statement's text names.
    Tables = "tables" [Bytes("text"), Into] Word, Some(("statement", "tables")), None, PARSED;
    /// A value of the cache.
    CacheGet = "cache_get" [Bytes("key"), Into] Word, Some(("cache", "get")), Some(Call::Cache), NAMES;
    /// Puts a value into the cache; the oldest go when it is full.
    CachePut = "cache_put" [Bytes("key"), Bytes("value"), Ttl] Word, Some(("cache", "put")), Some(Call::Cache), TEXTS;
    /// Forgets a value of the cache.
    CacheDelete = "cache_delete" [Bytes("key")] Word, Some(("cache", "delete")), Some(Call::Cache), NAMES;
    /// Sets an attribute that later stages see.
    AttributeSet = "attribute_set" [Bytes("name"), Bytes("value")] Nothing, Some(("attribute", "set")), Some(Call::Attributes), NAMES;
    /// Runs the `custom` chain for an event, after this call.
    Emit = "emit" [Bytes("name"), Bytes("payload")] Nothing, Some(("event", "emit")), Some(Call::Emit), TEXTS;
    /// Rows that were loaded before the call.
    Loaded = "loaded" [Bytes("name"), Offset, Into] Word, None, Some(Call::Load), NAMES;
    /// Asks a declared statement; the call waits for it.
    Query = "query" [Bytes("name"), Bytes("args")] Word, None, Some(Call::Query), TEXTS;
    /// The rows that `query` fetched last.
    Rows = "rows" [Offset, Into] Word, None, Some(Call::Query), NAMES;
}

/// A WebAssembly type of the ABI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    I32,
    I64,
    F64,
}

impl Row {
    /// The types of the import's parameters.
    pub(crate) fn import_params(&self) -> impl Iterator<Item = Value> {
        self.params.iter().flat_map(|param| {
            let (value, count) = match param {
                Param::Level | Field | Offset | Place(_) => (Value::I32, 1),
                Bytes(_) | OrNone(_) | Into => (Value::I32, 2),
                Integer(_) | Ttl => (Value::I64, 1),
                Float(_) => (Value::F64, 1),
            };
            std::iter::repeat_n(value, count)
        })
    }

    /// The type of its result.
    pub(crate) fn import_result(&self) -> Option<Value> {
        match self.gives {
            Gives::Nothing => None,
            Gives::Word => Some(Value::I32),
            Gives::Long => Some(Value::I64),
        }
    }

    /// How many arguments it takes in a script.
    pub(crate) fn script_arguments(&self) -> RangeInclusive<usize> {
        let given = self.params.iter().filter(|param| param.is_of_scripts());
        let most = given.count();
        let optional = self.params.iter().filter(|param| **param == Ttl);
        most - optional.count()..=most
    }
}

impl Param {
    /// Whether a script gives it as an argument.
    pub(crate) fn is_of_scripts(self) -> bool {
        !matches!(self, Self::Level | Offset | Into | Place(_))
    }
}

impl HostFunction {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.function)
    }

    /// The import's name in a module.
    #[must_use]
    pub fn import_name(self) -> &'static str {
        self.row().import
    }

    /// The permission it needs.
    #[must_use]
    pub fn needs(self) -> Option<Call> {
        self.row().needs
    }

    /// The name in a script, as it is written.
    pub(crate) fn script_name(self) -> Option<String> {
        self.row()
            .script
            .map(|(module, name)| format!("{module}::{name}"))
    }

    pub(crate) fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    pub(crate) fn by_import(name: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|row| row.import == name)
            .map(|row| row.function)
    }

    /// The function a script writes as `module::name`. `log` is four of them, one per level.
    pub(crate) fn by_script_name(module: &str, name: &str) -> Option<Self> {
        let row = TABLE.iter().find(|row| {
            row.script.is_some_and(|(known, own)| {
                let level = row.params.first() == Some(&Param::Level);
                known == module
                    && (own == name
                        || (level && Level::all().any(|level| level.script_name() == name)))
            })
        });
        row.map(|row| row.function)
    }
}
