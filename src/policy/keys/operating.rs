//! The keys of operation: `[admin]`, `[reload]` and `[decisions]`.

use super::Kind;
use super::Noun;
use super::key;

const TEXT: Kind = Kind::Text;

/// `[admin]`.
pub(in crate::policy) static ADMIN: Noun = Noun {
    name: "admin",
    about: "Who may use the admin console, and where operators reach the process.",
    keys: &[
        key("users", Kind::Several(&Kind::Name), "Users."),
        key("roles", Kind::Several(&Kind::Name), "Roles."),
        key(
            "metrics",
            Kind::Several(&TEXT),
            "Where figures are served over HTTP: `ADDRESS:PORT`, `[ADDRESS]:PORT` or `unix:/PATH`. Whoever connects reads them.",
        ),
        key(
            "socket",
            TEXT,
            "The Unix socket that `reload`, `promote`, `withdraw`, `rollback`, `status` and `history` talk to, by its absolute path. Only the process's own user and root may use it.",
        ),
    ],
};

/// `[reload]`.
pub(in crate::policy) static RELOAD: Noun = Noun {
    name: "reload",
    about: "When and how a changed policy is taken over.",
    keys: &[
        key(
            "watch",
            Kind::Boolean,
            "Whether a change of any file of the policy reloads it. Default: false.",
        ),
        key(
            "gate",
            Kind::OneOf(|| vec!["none", "check", "tests"]),
            "What a reload must pass. What `check` refuses is refused in any case; `tests` runs the policy's own tests as well. Default: `check`.",
        ),
        key(
            "sessions",
            Kind::OneOf(|| vec!["next_statement", "next_transaction", "next_session"]),
            "When sessions that are open move to this policy: before their next statement or batch, once no transaction is open, or never. Default: `next_statement`.",
        ),
        key(
            "keep",
            Kind::Integer,
            "Earlier revisions that are kept for `rollback`, up to 100. Default: 5.",
        ),
    ],
};

/// `[decisions]`.
pub(in crate::policy) static DECISIONS: Noun = Noun {
    name: "decisions",
    about: "The log of decisions, one line of JSON each.",
    keys: &[
        key(
            "sink",
            TEXT,
            "Where it is written: `file:PATH`, relative to this file, or `stdout`.",
        )
        .required(),
        key(
            "sample",
            Kind::Table(&SAMPLE),
            "Which share of the decisions is written, by verdict.",
        ),
        key(
            "sql",
            Kind::OneOf(|| vec!["none", "fingerprint", "normalized", "text"]),
            "How much of a statement is written; `text` has its literals, and what stages made of them. Default: `fingerprint`.",
        ),
        key(
            "full",
            Kind::OneOf(|| vec!["drop_oldest", "drop_newest"]),
            "What is lost, and counted, when decisions come faster than they can be written. Default: `drop_oldest`.",
        ),
    ],
};

/// `sample` of `[decisions]`.
pub(in crate::policy) static SAMPLE: Noun = Noun {
    name: "sample",
    about: "Which share of the decisions is written, by verdict.",
    keys: &[
        key("deny", Kind::Share, "Of refusals. Default: 1.0."),
        key(
            "allow",
            Kind::Share,
            "Of statements that went to a node or were answered by a stage. Default: 1.0.",
        ),
    ],
};
