//! The keys of the tables that say who, and what foreign code may do: users, plugins, permissions, ceilings, console.

use super::Kind;
use super::Noun;
use super::key;
use super::later;
use crate::sandbox::Abi;
use crate::sandbox::Call;
use crate::sandbox::MetricOp;
use crate::sandbox::See;

const TEXT: Kind = Kind::Text;
const NAME: Kind = Kind::Name;

/// `[role.NAME]`.
pub(in crate::policy) static ROLE: Noun = Noun {
    name: "role",
    about: "A role; it has no settings of its own.",
    keys: &[later("roles", "Roles it includes.")],
};

/// `[user.NAME]`.
pub(in crate::policy) static USER: Noun = Noun {
    name: "user",
    about: "Someone who may log in, and how.",
    keys: &[
        key(
            "verifier",
            Kind::Referable,
            "SCRAM-SHA-256 verifier, as in `pg_authid`.",
        ),
        key(
            "password",
            Kind::Secret,
            "The password; it is used for SCRAM.",
        ),
        key(
            "md5",
            Kind::Referable,
            "`md5` and 32 hexadecimal digits, as in old `pg_authid`.",
        ),
        key(
            "trust",
            Kind::Boolean,
            "No proof; only over loopback or a Unix socket.",
        ),
        key("roles", Kind::Several(&NAME), "Its roles."),
        key("pool", NAME, "Its pool. Default: by the database's name."),
        key(
            "attributes",
            Kind::Named(&TEXT),
            "What stages may know of it, as `attr.NAME`.",
        ),
        key(
            "expires",
            Kind::Date,
            "From then on it may not log in; a date means the end of that day in UTC.",
        ),
        later("cert", "The name in the client's certificate."),
    ],
};

/// `[plugin.NAME]`.
pub(in crate::policy) static PLUGIN: Noun = Noun {
    name: "plugin",
    about: "A WASM plugin.",
    keys: &[
        key(
            "path",
            Kind::Path,
            "The `.wasm` file, or a `.tar.gz` that holds it.",
        )
        .required(),
        key(
            "sha256",
            Kind::Referable,
            "Its hash, 64 hexadecimal digits, or the file `sha256sum` wrote.",
        )
        .required(),
        key(
            "abi",
            Kind::OneOf(|| Abi::NAMES.map(|(name, _)| name).to_vec()),
            "How it is called; `helios-1` is that of plugins made for heliosdb-proxy. Default: `pgwarden-1`.",
        ),
        key(
            "config",
            Kind::Named(&Kind::Any),
            "What it is configured with; it reads this as JSON.",
        ),
        key(
            "state",
            Kind::OneOf(|| vec!["fresh", "kept"]),
            "Whether its memory outlives a call. Default: `fresh`.",
        ),
        key("fuel", Kind::Integer, "Fuel a call."),
        key("memory", Kind::Size, "Memory."),
        key("deadline", Kind::Duration, "Time a call."),
        key("max_input", Kind::Size, "What it may be told in one call."),
        key("max_output", Kind::Size, "What it may answer."),
        key(
            "max_host_calls",
            Kind::Integer,
            "Calls of host functions a call.",
        ),
        key(
            "signed_by",
            TEXT,
            "The key of the trust root that must have signed it.",
        ),
        key(
            "breaker",
            Kind::Table(&BREAKER),
            "When it is no longer asked after faults.",
        ),
    ],
};

/// `breaker` of a plugin, a stage or `[sandbox]`.
pub(in crate::policy) static BREAKER: Noun = Noun {
    name: "breaker",
    about: "A stage that fails so often is not asked for a while; its `on_failure` decides meanwhile.",
    keys: &[
        key("failures", Kind::Integer, "Faults in a row. Default: 20."),
        key(
            "within",
            Kind::Duration,
            "All within this time. Default: 10s.",
        ),
        key(
            "retry_after",
            Kind::Duration,
            "Until one call finds out; doubled each time it fails, up to 32 times. Default: 1s.",
        ),
    ],
};

/// `[permissions.NAME]`.
pub(in crate::policy) static PERMISSIONS: Noun = Noun {
    name: "permissions",
    about: "What a stage may see and do.",
    keys: &[
        key(
            "see",
            Kind::Several(&Kind::OneOf(|| See::all().map(See::name).collect())),
            "Data it is shown.",
        ),
        key(
            "call",
            Kind::Several(&Kind::OneOf(|| Call::all().map(Call::name).collect())),
            "Effects it may have.",
        ),
        key(
            "kv",
            Kind::Table(&KV),
            "Where its stored values lie, for `kv.read` and `kv.write`.",
        ),
        key(
            "cache",
            Kind::Table(&KV),
            "Where its cached values lie, for `cache`; the oldest go when it is full.",
        ),
        key(
            "patterns",
            Kind::Named(&TEXT),
            "Regular expressions by name, which it may match fields against.",
        ),
        key(
            "metrics",
            Kind::Named(&Kind::Table(&METRIC)),
            "The metrics it may touch, by name, for `metrics`. Default: any.",
        ),
        key(
            "load",
            Kind::Table(&LOAD),
            "Statements whose rows are fetched for it, for `load` and `query`.",
        ),
    ],
};

/// `load` of permissions.
pub(in crate::policy) static LOAD: Noun = Noun {
    name: "load",
    about: "Statements whose rows are fetched for a stage.",
    keys: &[
        key("pool", NAME, "Whose login and nodes they use.").required(),
        key(
            "database",
            TEXT,
            "The database on the node. Default: the pool's, where it serves just one.",
        ),
        key(
            "node",
            Kind::OneOf(|| vec!["primary", "standby", "any"]),
            "Which node answers. Default: `primary`.",
        ),
        key(
            "max_rows",
            Kind::Integer,
            "Rows one may give, up to 1000; more are a failure. Default: 100.",
        ),
        key(
            "max_bytes",
            Kind::Size,
            "Bytes of values one may give, up to 16MiB; more are a failure. Default: 64KiB.",
        ),
        key(
            "timeout",
            Kind::Duration,
            "From asking to the last row. Default: 100ms.",
        ),
        key(
            "max_queries",
            Kind::Integer,
            "Calls of `query` in one call of a plugin. Default: 4.",
        ),
        key(
            "statements",
            Kind::Named(&TEXT),
            "Name and text of each: one SELECT that changes nothing, with `$1` for its first argument.",
        )
        .required(),
    ],
};

/// `metrics` of permissions.
pub(in crate::policy) static METRIC: Noun = Noun {
    name: "metrics",
    about: "A metric.",
    keys: &[
        key(
            "kind",
            Kind::OneOf(|| MetricOp::KINDS.map(|(name, _)| name).to_vec()),
            "What it is: a `counter` is added to, a `gauge` is set, a `histogram` observes.",
        )
        .required(),
        key("help", TEXT, "What it says, for people."),
    ],
};

/// `kv` of permissions.
pub(in crate::policy) static KV: Noun = Noun {
    name: "kv",
    about: "A namespace of stored values.",
    keys: &[
        key(
            "namespace",
            TEXT,
            "Its name; stages of one namespace share its values.",
        )
        .required(),
        key(
            "max_keys",
            Kind::Integer,
            "Keys it may hold. Default: 1000.",
        ),
        key(
            "max_bytes",
            Kind::Size,
            "Bytes of keys and values it may hold. Default: 1MiB.",
        ),
    ],
};

/// `[sandbox]`.
pub(in crate::policy) static SANDBOX: Noun = Noun {
    name: "sandbox",
    about: "Ceilings of every guest.",
    keys: &[
        key(
            "fuel",
            Kind::Integer,
            "Fuel a call; one wasm operator is 1, a script operation 64. Default: 2000000.",
        ),
        key("memory", Kind::Size, "Memory. Default: 2MiB."),
        key("deadline", Kind::Duration, "Time a call. Default: 10ms."),
        key(
            "on_failure",
            Kind::OneOf(|| vec!["closed", "open"]),
            "What a failure means. Default: `closed`, it refuses.",
        ),
        key(
            "max_input",
            Kind::Size,
            "What a guest may be told in one call. Default: 256KiB.",
        ),
        key(
            "max_output",
            Kind::Size,
            "What a guest may answer. Default: 256KiB.",
        ),
        key(
            "max_host_calls",
            Kind::Integer,
            "Calls of host functions a call. Default: 10000.",
        ),
        key(
            "max_module",
            Kind::Size,
            "A plugin's file. Default: 8MiB. A script's text has 64KiB at most.",
        ),
        key(
            "max_log_lines",
            Kind::Integer,
            "Log lines a call. Default: 16.",
        ),
        key(
            "breaker",
            Kind::Table(&BREAKER),
            "When a stage is no longer asked after faults.",
        ),
    ],
};

/// `[sql]`.
pub(in crate::policy) static SQL: Noun = Noun {
    name: "sql",
    about: "What the proxy does with SQL before any stage.",
    keys: &[
        key(
            "on_unparsed",
            Kind::OneOf(|| vec!["deny", "as_write"]),
            "A text that cannot be understood. Default: `deny`.",
        ),
        key(
            "max_statements",
            Kind::Integer,
            "Statements in one Query message. Default: 1000.",
        ),
        key(
            "max_bytes",
            Kind::Size,
            "Length of one Query or Parse text. Default: 16MiB.",
        ),
    ],
};

/// The limits that a plugin or a stage may lower.
pub(in crate::policy) const LIMIT_KEYS: [&str; 6] = [
    "fuel",
    "memory",
    "deadline",
    "max_input",
    "max_output",
    "max_host_calls",
];
