//! The keys of `when` and `unless`: what can be asked about a session, a statement and its outcome, and from when on.

use super::Kind;
use super::Moment;
use super::Noun;
use super::key;
use crate::statement;

const GLOBS: Kind = Kind::Several(&Kind::Text);

fn kinds() -> Vec<&'static str> {
    statement::Kind::all().map(statement::Kind::name).collect()
}

/// `when` and `unless`.
pub(in crate::policy) static MATCHERS: Noun = Noun {
    name: "when",
    about: "Conditions. A list means any of its values.",
    keys: &[
        key("user", GLOBS, "The user's name; globs."),
        key(
            "role",
            GLOBS,
            "One of the user's roles; globs over the roles that are declared.",
        ),
        key(
            "database",
            GLOBS,
            "The database the client asked for; globs.",
        ),
        key("branch", GLOBS, "The branch of the session; globs.").from(Moment::LoggedIn),
        key(
            "client",
            GLOBS,
            "The client's address: networks such as `10.0.0.0/8`, addresses, `unix`.",
        ),
        key("app", GLOBS, "The application's name; globs.")
            .also(&["application_name", "application"]),
        key("listener", GLOBS, "The listener; globs."),
        key(
            "tls",
            Kind::Boolean,
            "Whether the client's connection is TLS.",
        )
        .also(&["ssl"]),
        key(
            "auth_method",
            Kind::Several(&Kind::OneOf(auth_methods)),
            "How the client logged in.",
        )
        .from(Moment::LoggedIn),
        key("attr", Kind::Named(&GLOBS), "The user's attributes; globs."),
        key(
            "hint",
            Kind::Several(&Kind::Text),
            "A word in a comment before the statement, `/* pgwarden: primary, team=billing */`; globs. Whoever writes the statement writes it.",
        )
        .from(Moment::Statement),
        key(
            "kind",
            Kind::Several(&Kind::OneOf(kinds)),
            "What the statement does.",
        )
        .from(Moment::Statement)
        .also(&["kinds"]),
        key(
            "tables",
            GLOBS,
            "Tables it names; globs of `name` or `schema.name`.",
        )
        .from(Moment::Statement)
        .also(&["table"]),
        key("schemas", GLOBS, "Schemas it names; globs.")
            .from(Moment::Statement)
            .also(&["schema"]),
        key(
            "functions",
            GLOBS,
            "Functions it calls; globs of `name` or `schema.name`.",
        )
        .from(Moment::Statement)
        .also(&["function"]),
        key("columns", GLOBS, "Columns it names; globs.")
            .from(Moment::Statement)
            .also(&["column"]),
        key(
            "read_only",
            Kind::Boolean,
            "Whether it is proven to write nothing.",
        )
        .from(Moment::Statement),
        key(
            "has_where",
            Kind::Boolean,
            "Whether every UPDATE and DELETE in it has a WHERE.",
        )
        .from(Moment::Statement),
        key("has_limit", Kind::Boolean, "Whether it has a LIMIT.").from(Moment::Statement),
        key("has_cte", Kind::Boolean, "Whether it has a WITH.").from(Moment::Statement),
        key(
            "statement_count",
            Kind::Comparison,
            "Statements in the message.",
        )
        .from(Moment::Statement),
        key(
            "param_count",
            Kind::Comparison,
            "Parameters `$n` in the text.",
        )
        .from(Moment::Statement),
        key("bytes", Kind::Comparison, "Length of the text; a size.").from(Moment::Statement),
        key(
            "protocol",
            Kind::Several(&Kind::OneOf(protocols)),
            "How it arrived.",
        )
        .from(Moment::Statement),
        key(
            "in_transaction",
            Kind::Boolean,
            "Whether a transaction block is open.",
        )
        .from(Moment::Statement),
        key(
            "tx_writes",
            Kind::Boolean,
            "Whether the transaction block may have written.",
        )
        .from(Moment::Statement),
        key(
            "fingerprint",
            GLOBS,
            "The statement without its literals; 16 hexadecimal digits.",
        )
        .from(Moment::Statement),
        key("elapsed", Kind::Comparison, "How long it took; a duration.").from(Moment::Outcome),
        key("rows", Kind::Comparison, "Rows sent or changed.").from(Moment::Outcome),
        key(
            "bytes_out",
            Kind::Comparison,
            "Bytes of the answer; a size.",
        )
        .from(Moment::Outcome),
        key("error", Kind::Boolean, "Whether it ended with an error.").from(Moment::Outcome),
        key("code", GLOBS, "The error's SQLSTATE; globs such as `42*`.").from(Moment::Outcome),
        key("node", GLOBS, "The node that answered; globs.").from(Moment::Outcome),
        key(
            "cached",
            Kind::Boolean,
            "Whether a stage answered instead of a node.",
        )
        .from(Moment::Outcome),
        key(
            "time",
            GLOBS,
            "The time of day, in UTC or with an offset: `08:00..18:00`, `22:00..06:00+01:00`; the end is not part of it.",
        ),
        key(
            "weekday",
            GLOBS,
            "The day of the week, in UTC or with an offset: `sat`, `mon..fri`, `mon..fri+01:00`.",
        ),
        key(
            "lag",
            Kind::Comparison,
            "How far behind: at `route` the nearest standby of the pool, afterwards the node that answered; a duration.",
        )
        .from(Moment::Routing),
    ],
};

fn auth_methods() -> Vec<&'static str> {
    use crate::hook::AuthMethod;
    [
        AuthMethod::Trust,
        AuthMethod::Scram,
        AuthMethod::Md5,
        AuthMethod::Stage,
        AuthMethod::Node,
    ]
    .map(AuthMethod::name)
    .to_vec()
}

fn protocols() -> Vec<&'static str> {
    use crate::hook::Protocol;
    [Protocol::Simple, Protocol::Extended, Protocol::FunctionCall]
        .map(Protocol::name)
        .to_vec()
}
