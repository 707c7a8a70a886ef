//! The keys of stages, their actions, pipelines and tests.

use super::Key;
use super::Kind;
use super::MASK;
use super::MATCHERS;
use super::Noun;
use super::key;
use super::later;
use crate::hook::Hook;
use crate::policy::action::field_names;
use crate::policy::action::limit_key_names;
use crate::sandbox::Level;

const TEXT: Kind = Kind::Text;
const NAME: Kind = Kind::Name;

fn hooks() -> Vec<&'static str> {
    Hook::all().map(Hook::name).collect()
}

/// `[stage.NAME]`.
pub(in crate::policy) static STAGE: Noun = Noun {
    name: "stage",
    about: "One rule, script or plugin. Exactly one action is written.",
    keys: &[
        key(
            "hook",
            Kind::Several(&Kind::OneOf(hooks)),
            "When it is asked.",
        )
        .required()
        .also(&["hooks", "on"]),
        key(
            "when",
            Kind::Table(&MATCHERS),
            "It is asked only where every key matches.",
        )
        .also(&["if", "match"]),
        key(
            "unless",
            Kind::Table(&MATCHERS),
            "It is not asked where any key matches.",
        )
        .also(&["except"]),
        key(
            "deny",
            Kind::Short(&DENY),
            "Action: refuse, with this error.",
        )
        .also(&["block", "refuse"]),
        key(
            "allow",
            Kind::Boolean,
            "Action: allow; the rest of the hook's list is not asked.",
        ),
        key(
            "route",
            Kind::Short(&ROUTE),
            "Action: where the statement goes.",
        ),
        key(
            "rewrite",
            Kind::Table(&REWRITE),
            "Action: change the statement.",
        ),
        key("log", Kind::Table(&LOG), "Action: write a line to the log."),
        key(
            "limit",
            Kind::Table(&LIMIT),
            "Action: let only so many statements pass in a time.",
        ),
        key(
            "mask",
            Kind::Table(&MASK),
            "Action: clients do not see the values of these columns.",
        ),
        key("script", Kind::Referable, "Action: ask a Rhai script."),
        key("plugin", NAME, "Action: ask a plugin."),
        key(
            "attributes",
            Kind::Named(&TEXT),
            "What a plugin with `abi = \"helios-1\"` finds in `attributes`: names, and the fields of scripts they stand for.",
        ),
        key(
            "permissions",
            NAME,
            "What it may see and do. Default: no text, no literal, no password, no effect but `log`.",
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
            "on_failure",
            Kind::OneOf(|| vec!["closed", "open"]),
            "What a failure means. Default: as in `[sandbox]`.",
        ),
        key(
            "breaker",
            Kind::Table(&super::BREAKER),
            "When it is no longer asked after faults. Default: as its plugin's, or `[sandbox]`.",
        ),
        key(
            "mode",
            Kind::OneOf(|| vec!["enforce", "observe", "off"]),
            "`observe` only writes down. Default: `enforce`.",
        ),
        later("cache", "Action: answer from a cache."),
        key(
            "load",
            Kind::Named(&Kind::Table(&LOADED)),
            "Rows that are fetched before the script or plugin is asked.",
        ),
        later("waiver", "Why this loosens the policy, and until when."),
    ],
};

/// One entry of `load` of a stage.
pub(in crate::policy) static LOADED: Noun = Noun {
    name: "load",
    about: "Rows that are fetched before a script or plugin is asked.",
    keys: &[
        key("statement", NAME, "A statement of the stage's permissions.").required(),
        key(
            "args",
            Kind::Several(&TEXT),
            "The fields its arguments are taken from, such as `user.name`.",
        ),
        key(
            "cache",
            Kind::Duration,
            "How long rows are kept for the same arguments. Default: not at all.",
        ),
    ],
};

/// `deny` of a stage.
pub(in crate::policy) static DENY: Noun = Noun {
    name: "deny",
    about: "The error the client gets.",
    keys: &[
        key("message", TEXT, "Its message.").required(),
        key("code", TEXT, "Its SQLSTATE. Default: 42000.").also(&["sqlstate"]),
        key("hint", TEXT, "What to do about it."),
        key("detail", TEXT, "More about it."),
    ],
};

/// `route` of a stage.
pub(in crate::policy) static ROUTE: Noun = Noun {
    name: "route",
    about: "Where a statement goes.",
    keys: &[
        key(
            "to",
            TEXT,
            "`primary`, `standby`, `default`, `node:NAME` or `branch:NAME`.",
        )
        .required(),
        key("otherwise", TEXT, "Where it goes when that is away."),
    ],
};

/// `rewrite` of a stage.
pub(in crate::policy) static REWRITE: Noun = Noun {
    name: "rewrite",
    about: "How a statement is changed.",
    keys: &[
        key(
            "add_limit",
            Kind::Integer,
            "A SELECT gets this LIMIT, or its own is lowered to it.",
        ),
        key(
            "statement_timeout",
            Kind::Duration,
            "The node cancels the statement after this.",
        ),
    ],
};

/// `log` of a stage.
pub(in crate::policy) static LOG: Noun = Noun {
    name: "log",
    about: "A line in the log.",
    keys: &[
        key("level", Kind::OneOf(levels), "Default: `info`."),
        key(
            "fields",
            Kind::Several(&Kind::OneOf(field_names)),
            "What it says.",
        )
        .required(),
    ],
};

/// `limit` of a stage.
pub(in crate::policy) static LIMIT: Noun = Noun {
    name: "limit",
    about: "How many statements pass in a time.",
    keys: &[
        key("rate", Kind::Integer, "So many.").required(),
        key("per", Kind::Duration, "In this time. Default: 1s."),
        key(
            "burst",
            Kind::Integer,
            "So many at once, after a while of silence. Default: `rate`.",
        ),
        key(
            "key",
            Kind::Several(&Kind::OneOf(limit_key_names)),
            "What is counted apart. Default: all statements together.",
        ),
        key(
            "exceed",
            Kind::OneOf(|| vec!["refuse", "delay"]),
            "What becomes of more; `delay` lets them wait for their turn. Default: `refuse`.",
        ),
        key(
            "max_delay",
            Kind::Duration,
            "What would wait longer is refused, up to 60s. Default: 1s.",
        ),
        key("code", TEXT, "The SQLSTATE of the refusal. Default: 53400."),
        key(
            "message",
            TEXT,
            "Its message. Default: `too many statements; try again later`.",
        ),
        key("hint", TEXT, "What to do about it."),
    ],
};

fn levels() -> Vec<&'static str> {
    [Level::Debug, Level::Info, Level::Warn, Level::Error]
        .map(Level::name)
        .to_vec()
}

const STAGES: Kind = Kind::Several(&NAME);

/// `[pipeline.NAME]`.
pub(in crate::policy) static PIPELINE: Noun = Noun {
    name: "pipeline",
    about: "The order of the stages.",
    keys: &[
        key("on_connect", STAGES, "A client has connected."),
        key(
            "authenticate",
            STAGES,
            "Who is it? Stages, then the built-in `trust`, `scram`, `md5`.",
        ),
        key("pre_query", STAGES, "A statement arrived."),
        key("rewrite", STAGES, "The statement may be changed."),
        key("authorize", STAGES, "May it run?"),
        key("cache_get", STAGES, "May it be answered without a node?"),
        key("route", STAGES, "Where does it go?"),
        key("cache_set", STAGES, "A result came back."),
        key("post_query", STAGES, "The statement has ended."),
        key("metrics", STAGES, "The statement has ended, figures only."),
        key("on_disconnect", STAGES, "The client has gone."),
        key("custom", STAGES, "Only when named."),
        key(
            "otherwise",
            Kind::Table(&OTHERWISE),
            "What holds where no stage decides.",
        )
        .required(),
    ],
};

/// `otherwise` of a pipeline.
pub(in crate::policy) static OTHERWISE: Noun = Noun {
    name: "otherwise",
    about: "What holds where no stage decides.",
    keys: &[
        key(
            "authorize",
            Kind::OneOf(|| vec!["allow", "deny"]),
            "Whether a statement may run.",
        )
        .required(),
        key("route", TEXT, "Where it goes. Default: `default`."),
    ],
};

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
        later("nodes", "The state of nodes."),
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
const MASKED: Key = key(
    "masked",
    Kind::Texts,
    "The columns that are masked in its rows, as `mask` names them; `[]` is none.",
);
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
        MASKED,
        FUEL_BELOW,
        key("steps", Kind::Tables(&STEP), "The same for each step."),
    ],
};

/// One of the `steps` of `expect`.
pub(in crate::policy) static STEP: Noun = Noun {
    name: "step",
    about: "What must come of one step.",
    keys: &[
        VERDICT, CODE, MESSAGE, BY, GOES_TO, SENT, UNCHANGED, MASKED, FUEL_BELOW,
    ],
};
