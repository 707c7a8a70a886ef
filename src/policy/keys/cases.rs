//! The keys of `tests/cases.toml`: what a plugin is asked in its own tests, without a policy, and what it must answer.

use super::Kind;
use super::Noun;
use super::key;
use super::parties::PERMISSIONS;
use crate::hook::AnswerKind;
use crate::hook::AuthMethod;
use crate::hook::Hook;
use crate::sandbox::Fault;

const TEXT: Kind = Kind::Text;
const TEXTS: Kind = Kind::Several(&TEXT);
const PAIRS: Kind = Kind::Named(&TEXT);

/// The whole file.
pub(in crate::policy) static CASES: Noun = Noun {
    name: "cases",
    about: "Tests of a plugin.",
    keys: &[
        key(
            "permissions",
            Kind::Table(&PERMISSIONS),
            "What the plugin is granted. Default: what its manifest needs and wants.",
        ),
        key(
            "case",
            Kind::Tables(&PLUGIN_CASE),
            "One call and what must come of it.",
        )
        .required(),
    ],
};

/// `[[case]]`.
pub(in crate::policy) static PLUGIN_CASE: Noun = Noun {
    name: "case",
    about: "One call and what must come of it.",
    keys: &[
        key("name", TEXT, "What it shows.").required(),
        key(
            "hook",
            Kind::OneOf(|| Hook::all().map(Hook::name).collect()),
            "The moment at which it is asked.",
        )
        .required(),
        key("config", Kind::Named(&Kind::Any), "Its configuration."),
        key(
            "given",
            Kind::Table(&ASKED),
            "What it is told; every key of it has a default.",
        ),
        key("kv", PAIRS, "Values that are stored before."),
        key(
            "repeat",
            Kind::Integer,
            "How often it is asked; the last answer counts. Default: 1.",
        ),
        key("expect", Kind::Table(&ANSWERED), "What must come of it.").required(),
    ],
};

/// `given` of a plugin's case: the fields, by the names that scripts give them.
pub(in crate::policy) static ASKED: Noun = Noun {
    name: "given",
    about: "What it is told.",
    keys: &[
        key(
            "sql",
            TEXT,
            "The statement; its kinds, tables and the rest follow from it. Default: `SELECT 1`.",
        ),
        key("user", Kind::Table(&ASKED_USER), "Who."),
        key(
            "session",
            Kind::Table(&ASKED_SESSION),
            "From where, and in which state.",
        ),
        key(
            "result",
            Kind::Table(&ASKED_RESULT),
            "How the statement ended, after the node.",
        ),
        key(
            "auth",
            Kind::Table(&ASKED_AUTH),
            "What the client said, at `authenticate`.",
        ),
        key(
            "event",
            Kind::Table(&ASKED_EVENT),
            "The event, at `custom`.",
        ),
        key(
            "time",
            Kind::Date,
            "The time of day. Default: 2026-01-01T00:00:00Z.",
        ),
    ],
};

static ASKED_USER: Noun = Noun {
    name: "user",
    about: "Who.",
    keys: &[
        key("name", TEXT, "Default: `ada`."),
        key("id", TEXT, "Of the identity provider."),
        key("roles", TEXTS, "Default: none."),
        key("tenant", TEXT, "Default: none."),
        key("claims", PAIRS, "Default: none."),
        key("attributes", PAIRS, "From the policy. Default: none."),
    ],
};

static ASKED_SESSION: Noun = Noun {
    name: "session",
    about: "From where, and in which state.",
    keys: &[
        key("database", TEXT, "Default: `shop`."),
        key("branch", TEXT, "Default: none."),
        key("app", TEXT, "`application_name`. Default: empty."),
        key("client", TEXT, "An address or `unix`. Default: 127.0.0.1."),
        key("tls", Kind::Boolean, "Default: false."),
        key("listener", TEXT, "Default: `main`."),
        key(
            "auth_method",
            Kind::OneOf(|| AuthMethod::ALL.map(AuthMethod::name).to_vec()),
            "Default: `none`.",
        ),
        key("attributes", PAIRS, "Set by other stages. Default: none."),
        key("in_transaction", Kind::Boolean, "Default: false."),
        key("tx_writes", Kind::Boolean, "Default: false."),
        key(
            "protocol",
            Kind::OneOf(|| vec!["simple", "extended", "function_call"]),
            "How the statement arrived. Default: `simple`.",
        ),
        key(
            "statement_count",
            Kind::Integer,
            "Statements in the message. Default: 1.",
        ),
    ],
};

static ASKED_RESULT: Noun = Noun {
    name: "result",
    about: "How the statement ended, after the node.",
    keys: &[
        key("node", TEXT, "Default: none was asked."),
        key("elapsed", Kind::Duration, "Default: 0."),
        key("rows", Kind::Integer, "Default: 0."),
        key("bytes", Kind::Integer, "Default: 0."),
        key("code", TEXT, "The SQLSTATE, which makes it a failure."),
        key("error", TEXT, "The error's message."),
        key("cached", Kind::Boolean, "Default: false."),
    ],
};

static ASKED_AUTH: Noun = Noun {
    name: "auth",
    about: "What the client said, at `authenticate`.",
    keys: &[
        key("username", TEXT, "Default: the user's name."),
        key("password", TEXT, "In clear text. Default: none."),
        key("headers", PAIRS, "The startup parameters. Default: none."),
    ],
};

static ASKED_EVENT: Noun = Noun {
    name: "event",
    about: "The event, at `custom`.",
    keys: &[
        key("name", TEXT, "Its name.").required(),
        key("payload", TEXT, "Default: empty."),
    ],
};

/// `expect` of a plugin's case.
pub(in crate::policy) static ANSWERED: Noun = Noun {
    name: "expect",
    about: "What must come of it.",
    keys: &[
        key(
            "answer",
            Kind::OneOf(|| AnswerKind::ALL.map(AnswerKind::name).to_vec()),
            "The kind of the answer.",
        ),
        key(
            "fault",
            Kind::OneOf(|| Fault::KINDS.to_vec()),
            "How it fails.",
        ),
        key("code", TEXT, "The SQLSTATE of a refusal."),
        key("message", TEXT, "The message of a refusal."),
        key("hint", TEXT, "The hint of a refusal."),
        key("detail", TEXT, "The detail of a refusal."),
        key("sql", TEXT, "The text it was rewritten to."),
        key(
            "route",
            TEXT,
            "Where it goes: `default`, `primary`, `standby`, a node, `branch:NAME`.",
        ),
        key("columns", TEXTS, "The columns of the rows that were given."),
        key("rows", Kind::Integer, "How many rows were given."),
        key("user", TEXT, "Who the client is."),
        key("roles", TEXTS, "Which roles the client has."),
        key("tenant", TEXT, "Whose client it is."),
        key("reason", TEXT, "Why the client was denied."),
        key("log", TEXTS, "Texts that must be in the log."),
        key("kv", PAIRS, "Values that must be stored after it."),
        key("attributes", PAIRS, "Attributes it must set."),
        key("events", PAIRS, "Events it must raise, name and payload."),
        key(
            "fuel_below",
            Kind::Integer,
            "The last call used less fuel than this.",
        ),
    ],
};
