//! The keys of tests: what is given, what is expected.

use super::Key;
use super::Kind;
use super::Noun;
use super::key;

const TEXT: Kind = Kind::Text;
const NAME: Kind = Kind::Name;

/// `[[test]]`.
pub(in crate::policy) static TEST: Noun = Noun {
    name: "test",
    about: "A test of the policy.",
    keys: &[
        key("name", TEXT, "What it shows.").required(),
        key(
            "given",
            Kind::Table(&GIVEN),
            "The session and what it sends.",
        ),
        key("expect", Kind::Table(&EXPECT), "What must come of it."),
        key(
            "cases",
            Kind::Tables(&CASE),
            "Several statements with their expectations; each is a session of its own.",
        ),
    ],
};

const USER: Key = key("user", TEXT, "Who.");
const DATABASE: Key = key(
    "database",
    TEXT,
    "Default: the database of the user's pool.",
);
const CLIENT: Key = key("client", TEXT, "An address or `unix`. Default: 127.0.0.1.");
const APP: Key = key("app", TEXT, "`application_name`.");
const LISTENER: Key = key("listener", NAME, "Default: the first.");
const TLS: Key = key("tls", Kind::Boolean, "Default: false.");
const PROTOCOL: Key = key(
    "protocol",
    Kind::OneOf(|| vec!["simple", "extended"]),
    "How the statements arrive. Default: `simple`.",
);
const SQL: Key = key("sql", TEXT, "One message; it may hold several statements.");
const ONE_STEP: Kind = Kind::Short(&GIVEN_STEP);
const STEPS: Key = key(
    "steps",
    Kind::Several(&ONE_STEP),
    "Several messages in one session.",
);
const TIME: Key = key("time", Kind::Date, "The time of day.");
const STORED: Key = key(
    "kv",
    Kind::Named(&Kind::Named(&TEXT)),
    "Stored values, by namespace.",
);
const INJECT: Key = key("inject", Kind::Named(&TEXT), "A fault, by stage.");

const LOADS: Key = key(
    "load",
    Kind::Named(&Kind::Any),
    "What stages load, by name: a text, or a list of rows, each a table of texts.",
);
const QUERIES: Key = key(
    "query",
    Kind::Named(&Kind::Any),
    "What plugins get from `query`, by the statement's name: likewise.",
);

const STATE: Kind = Kind::Table(&NODE_STATE);
const NODES: Key = key(
    "nodes",
    Kind::Named(&STATE),
    "How nodes are, by name. The others are well, and not behind.",
);

/// One of `nodes` of `given`.
pub(in crate::policy) static NODE_STATE: Noun = Noun {
    name: "nodes",
    about: "How a node is.",
    keys: &[
        key("lag", Kind::Duration, "How far it is behind. Default: 0."),
        key(
            "away",
            Kind::Boolean,
            "Whether connections to it fail. Default: false.",
        ),
    ],
};

/// One of the `steps` of `given`.
pub(in crate::policy) static GIVEN_STEP: Noun = Noun {
    name: "step",
    about: "One message, and what is loaded for it.",
    keys: &[key("sql", TEXT, "The message.").required(), LOADS, QUERIES],
};

/// `given` of a test.
pub(in crate::policy) static GIVEN: Noun = Noun {
    name: "given",
    about: "The session and what it sends.",
    keys: &[
        USER, DATABASE, CLIENT, APP, LISTENER, TLS, PROTOCOL, SQL, STEPS, TIME, STORED, INJECT,
        LOADS, QUERIES, NODES,
    ],
};

/// One of the `cases` of a test.
pub(in crate::policy) static CASE: Noun = Noun {
    name: "case",
    about: "What differs from `given`, and what must come of it.",
    keys: &[
        USER,
        DATABASE,
        CLIENT,
        APP,
        LISTENER,
        TLS,
        PROTOCOL,
        SQL,
        STEPS,
        TIME,
        STORED,
        INJECT,
        LOADS,
        QUERIES,
        NODES,
        key("expect", Kind::Table(&EXPECT), "What must come of it.").required(),
    ],
};

const VERDICT: Key = key(
    "verdict",
    Kind::OneOf(|| vec!["allow", "deny"]),
    "Whether it runs.",
);
const CODE: Key = key("code", TEXT, "The error's SQLSTATE.");
const MESSAGE: Key = key("message", TEXT, "The error's message.");
const BY: Key = key("by", NAME, "The stage that decided, `otherwise`, or `sql`.");
const GOES_TO: Key = key("route", TEXT, "Where it goes.");
const SENT: Key = key("sql", TEXT, "The text that is sent.");
const UNCHANGED: Key = key(
    "unchanged",
    Kind::Boolean,
    "Whether the text is sent as it came.",
);
const FUEL_BELOW: Key = key(
    "fuel_below",
    Kind::Integer,
    "The fuel all stages used is less than this.",
);

const TIMEOUT: Key = key(
    "statement_timeout",
    Kind::Duration,
    "The time after which it is cancelled.",
);

/// `expect` of a test.
pub(in crate::policy) static EXPECT: Noun = Noun {
    name: "expect",
    about: "What must come of it.",
    keys: &[
        VERDICT,
        CODE,
        MESSAGE,
        BY,
        GOES_TO,
        SENT,
        UNCHANGED,
        TIMEOUT,
        FUEL_BELOW,
        key("steps", Kind::Tables(&STEP), "The same for each step."),
    ],
};

/// One of the `steps` of `expect`.
pub(in crate::policy) static STEP: Noun = Noun {
    name: "step",
    about: "What must come of one step.",
    keys: &[
        VERDICT, CODE, MESSAGE, BY, GOES_TO, SENT, UNCHANGED, TIMEOUT, FUEL_BELOW,
    ],
};
