//! The keys of stages, their actions and pipelines.

use super::Kind;
use super::MATCHERS;
use super::Noun;
use super::key;
use super::later;
use crate::hook::Hook;
use crate::policy::action::Invalidate;
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
            "cache",
            Kind::Table(&CACHE),
            "Action: answer a read from what was kept of an earlier answer.",
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
        later("mask", "Action: mask columns."),
        key(
            "load",
            Kind::Named(&Kind::Table(&LOADED)),
            "Rows that are fetched before the script or plugin is asked.",
        ),
        key(
            "waiver",
            Kind::Table(&WAIVER),
            "Why it loosens the policy, and until when; past that day the policy is refused.",
        ),
    ],
};

/// `waiver` of a stage.
pub(in crate::policy) static WAIVER: Noun = Noun {
    name: "waiver",
    about: "Why a stage loosens the policy, and until when.",
    keys: &[
        key("reason", TEXT, "Why.").required(),
        key("by", TEXT, "Who answers for it.").required(),
        key(
            "expires",
            Kind::Date,
            "The last day, in UTC, or a time: two weeks before, `check` warns; after it, the policy is refused.",
        )
        .required(),
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

/// `cache` of a stage.
pub(in crate::policy) static CACHE: Noun = Noun {
    name: "cache",
    about: "Which answers are kept, how long, and for whom.",
    keys: &[
        key(
            "ttl",
            Kind::Duration,
            "How long an answer is given, from the moment its statement was sent; 24h at most.",
        )
        .required(),
        key(
            "vary",
            Kind::Several(&TEXT),
            "What of a session must be the same: `user`, `role`, `database`, `client`, `app`, `listener`, `attr.NAME`. Default: `user`.",
        ),
        key(
            "max_bytes",
            Kind::Size,
            "Bytes of all answers; those that are asked for least go. Default: 16MiB.",
        ),
        key(
            "max_entry",
            Kind::Size,
            "Bytes of one answer, up to a quarter of `max_bytes`; a longer one is not kept. Default: a sixteenth.",
        ),
        key(
            "invalidate",
            Kind::OneOf(Invalidate::names),
            "Which writes through this process end an answer: those to its tables, those to any table of its database, or none. Default: `on_write`.",
        ),
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
