//! The JSON Schema of a decision, for whoever reads the log. One row a field; `record` writes them.

use super::record::VERSION;
use crate::hook::AnswerKind;
use crate::hook::Hook;
use crate::sandbox::Fault;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// A field: its name, whether every decision has it, its schema, and what it says.
type Row = (&'static str, bool, fn() -> Value, &'static str);

const TEXT: fn() -> Value = || json!({ "type": "string" });
const FLAG: fn() -> Value = || json!({ "type": "boolean" });
const COUNT: fn() -> Value = || json!({ "type": "integer", "minimum": 0 });
const TEXTS: fn() -> Value = || json!({ "type": "array", "items": { "type": "string" } });

pub(super) const FIELDS: [Row; 36] = [
    (
        "version",
        true,
        || json!({ "const": VERSION }),
        "The version of this format.",
    ),
    (
        "time",
        true,
        || json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6}Z$" }),
        "When it was decided, in UTC.",
    ),
    (
        "id",
        true,
        TEXT,
        "The decision's id, which errors and the process's own log carry as well.",
    ),
    ("policy", true, TEXT, "The policy's name."),
    (
        "revision",
        true,
        || json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }),
        "The policy's revision; elsewhere its first eight digits are shown.",
    ),
    ("commit", false, TEXT, "The git commit the policy lay in."),
    ("pipeline", true, TEXT, "The pipeline that decided."),
    ("session", true, TEXT, "The session's id."),
    ("user", true, TEXT, "Who."),
    ("roles", true, TEXTS, "The user's roles."),
    ("tenant", false, TEXT, "The user's tenant."),
    ("database", true, TEXT, "The database the client asked for."),
    ("branch", false, TEXT, "The branch of the session."),
    ("client", true, TEXT, "The client's address, or `unix`."),
    (
        "app",
        true,
        TEXT,
        "`application_name`, as the client gave it.",
    ),
    ("listener", true, TEXT, "The listener."),
    ("tls", true, FLAG, "Whether the client's connection is TLS."),
    ("auth_method", true, TEXT, "How the client logged in."),
    (
        "attributes",
        false,
        || json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        "Attributes that stages had set before; with `sql = \"text\"`.",
    ),
    (
        "protocol",
        true,
        || json!({ "enum": ["simple", "extended", "function_call"] }),
        "How the statement arrived.",
    ),
    (
        "in_transaction",
        true,
        FLAG,
        "Whether a transaction block was open.",
    ),
    (
        "tx_writes",
        true,
        FLAG,
        "Whether that block may have written.",
    ),
    ("statement_count", true, COUNT, "Statements in the message."),
    (
        "text",
        false,
        TEXT,
        "The text that came; with `sql = \"text\"`.",
    ),
    (
        "runs",
        false,
        TEXT,
        "What an EXECUTE runs; with `sql = \"text\"`.",
    ),
    (
        "rewritten",
        true,
        FLAG,
        "Whether a stage replaced the text.",
    ),
    (
        "sent",
        false,
        TEXT,
        "The text that went on in its place; with `sql = \"text\"`.",
    ),
    (
        "came",
        false,
        || object(&KNOWN, "What is known of a statement."),
        "What was known of the statement that came, where a stage replaced it; the fields above are about what went on.",
    ),
    (
        "verdict",
        true,
        || json!({ "enum": ["allow", "deny", "reply"] }),
        "It went to a node, was refused, or a stage answered it.",
    ),
    (
        "by",
        true,
        TEXT,
        "The stage that decided, the rule of `[sql]`, or `otherwise`.",
    ),
    ("code", false, TEXT, "The SQLSTATE of a refusal."),
    (
        "message",
        false,
        TEXT,
        "The message of a refusal; with `sql = \"text\"`.",
    ),
    (
        "route",
        false,
        TEXT,
        "Where it goes: `default`, `primary`, `standby`, `node:NAME`, `branch:NAME`.",
    ),
    (
        "routed_by",
        false,
        TEXT,
        "The stage that chose the route, or `otherwise`.",
    ),
    ("fuel", true, COUNT, "Fuel that all stages used."),
    (
        "stages",
        true,
        stages,
        "The stages that took part, in order.",
    ),
];

/// What is known of a statement: of the one that went on, and in `came` of the one that came.
const KNOWN: [Row; 11] = [
    ("kinds", false, TEXTS, "What the statement does."),
    (
        "read_only",
        false,
        FLAG,
        "Whether it is proven to write nothing.",
    ),
    ("param_count", false, COUNT, "The highest `$n` in it."),
    ("bytes", false, COUNT, "Bytes of its text."),
    (
        "has_where",
        false,
        FLAG,
        "Its UPDATEs and DELETEs, or its outermost SELECT, have a WHERE; where a stage has it parsed.",
    ),
    (
        "has_limit",
        false,
        FLAG,
        "Its outermost SELECT has a LIMIT; where a stage has it parsed.",
    ),
    (
        "has_cte",
        false,
        FLAG,
        "It has a WITH; where a stage has it parsed.",
    ),
    (
        "fingerprint",
        false,
        || json!({ "type": "string", "pattern": "^[0-9a-f]{16}$" }),
        "The same for statements that differ in literals; not with `sql = \"none\"`.",
    ),
    (
        "tables",
        false,
        TEXTS,
        "Tables it names, as `schema.name` or `name`; where a stage has it parsed, not with `sql = \"none\"`.",
    ),
    (
        "functions",
        false,
        TEXTS,
        "Functions it names; where a stage has it parsed, not with `sql = \"none\"`.",
    ),
    (
        "normalized",
        false,
        TEXT,
        "Its text without literals; from `sql = \"normalized\"` on.",
    ),
];

/// Fields of a stage's part.
const PARTS: [Row; 7] = [
    (
        "hook",
        true,
        || json!({ "enum": Hook::all().map(Hook::name).collect::<Vec<_>>() }),
        "The moment.",
    ),
    ("stage", true, TEXT, "The stage."),
    ("result", true, results, "What it answered."),
    (
        "observed",
        false,
        FLAG,
        "True: it only observes, and what it answered did not count.",
    ),
    (
        "fault",
        false,
        || json!({ "enum": Fault::KINDS }),
        "How it failed.",
    ),
    (
        "fuel",
        false,
        COUNT,
        "Fuel it used; of scripts and plugins.",
    ),
    (
        "nanos",
        false,
        COUNT,
        "Nanoseconds it took, waiting for rows excepted; of scripts and plugins.",
    ),
];

fn results() -> Value {
    let mut words: Vec<&str> = AnswerKind::ALL.iter().map(|kind| kind.name()).collect();
    words.extend(["cache", "fault"]);
    json!({ "enum": words })
}

fn stages() -> Value {
    json!({ "type": "array", "items": object(&PARTS, "What one stage had to do with it.") })
}

fn object(rows: &[Row], about: &str) -> Value {
    let mut properties = Map::new();
    for (name, _, schema, about) in rows {
        let mut schema = schema();
        schema["description"] = json!(about);
        properties.insert((*name).to_owned(), schema);
    }
    let required: Vec<&str> = rows.iter().filter(|row| row.1).map(|row| row.0).collect();
    json!({
        "type": "object",
        "description": about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// The schema, ready to be written.
#[must_use]
pub fn schema() -> Value {
    let fields: Vec<Row> = FIELDS.into_iter().chain(KNOWN).collect();
    let mut schema = object(&fields, "One line of the log of decisions.");
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("pgwarden decision");
    schema
}
