//! No key of an operational table lacks an effect, a row or a line in the documentation, and no row shows a secret.

use super::*;
use crate::digest::sha256_hex;
use crate::policy::keys::Kind;
use crate::policy::tests::Memory;
use crate::policy::tests::repository_file;
use crate::policy::tests::smallest;

const FULL: &str = r#"
[listener.other]
bind = ["127.0.0.1:6433", "unix:/run/pg.sock"]
idle_timeout = "1h"
tls = { cert = "both.pem", key = { file = "both.pem" } }

[node.two]
role = "standby"
host = "/run/postgresql"
tls = "disable"

[branch.one]
node = "pg"

[branch.two]
nodes = ["pg", "two"]
database = "other"

[pool.other]
database = "other"
nodes = ["pg"]
login = { user = "proxy", password = { file = "password" } }

[role.dba]

[user.a]
trust = true
roles = ["dba"]
attributes = { team = "blue" }
expires = 2027-01-01

[user.b]
password = { file = "password" }

[user.c]
md5 = { file = "md5" }

[user.d]
verifier = { file = "verifier" }

[plugin.p]
path = "p.wasm"
sha256 = { file = "p.sha256" }
config = { key = { file = "password" }, plain = 1 }

[stage.asks]
hook = "pre_query"
plugin = "p"

[admin]
users = ["a"]
socket = "/run/pgwarden/admin.sock"

[reload]
gate = "check"

[decisions]
sink = "stdout"
sample = { deny = 0.5 }
"#;

/// The tables as they are written in the documentation.
static TITLES: &[(&Noun, &str)] = &[
    (&LISTENER, "[listener.NAME]"),
    (&LISTENER_TLS, "tls of [listener.NAME]"),
    (&NODE, "[node.NAME]"),
    (&NODE_TLS, "tls of [node.NAME]"),
    (&BRANCH, "[branch.NAME]"),
    (&POOL, "[pool.NAME]"),
    (&LOGIN, "login of [pool.NAME]"),
    (&USER, "[user.NAME]"),
    (&PLUGIN, "[plugin.NAME]"),
    (&SANDBOX, "[sandbox]"),
    (&BREAKER, "breaker of [sandbox], [plugin.NAME]"),
    (&SQL, "[sql]"),
    (&ADMIN, "[admin]"),
    (&RELOAD, "[reload]"),
    (&DECISIONS, "[decisions]"),
    (&SAMPLE, "sample of [decisions]"),
];

fn title(noun: &Noun) -> &'static str {
    let found = TITLES.iter().find(|(known, _)| std::ptr::eq(*known, noun));
    found.unwrap_or_else(|| panic!("{}", noun.name)).1
}

const SECRET: &str = "hunter2";

fn full() -> Memory {
    let module = b"\0asm\x01\0\0\0";
    let both = format!("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n{SECRET}\n");
    let mut memory = smallest(FULL);
    memory.replace(
        "policy.toml",
        "[pipeline.default]\n",
        "[pipeline.default]\npre_query = [\"asks\"]\n",
    );
    memory
        .file("both.pem", both)
        .file("password", SECRET)
        .file("md5", "md50123456789abcdef0123456789abcdef")
        .file("verifier", VERIFIER)
        .file("p.wasm", module)
        .file("p.sha256", sha256_hex(module))
}

const VERIFIER: &str = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$QWxhZGRpbjpvcGVuIHNlc2FtZUFsYWRkaW46b3BlbiE=:QWxhZGRpbjpvcGVuIHNlc2FtZUFsYWRkaW46b3BlbiE=";

fn rows() -> Vec<Setting> {
    full().policy().settings()
}

fn row(rows: &[Setting], table: &str, key: &str) -> (String, bool, Effect) {
    let found = rows.iter().find(|row| row.table == table && row.key == key);
    let found = found.unwrap_or_else(|| panic!("no row {table}.{key}"));
    (found.value.clone(), found.written, found.effect)
}

#[test]
fn every_key_has_one_effect_and_every_effect_a_key() {
    let mut wrong = Vec::new();
    for Effects { noun, keys, .. } in EFFECTS {
        let mut told: Vec<&str> = keys.iter().flat_map(|(_, keys)| *keys).copied().collect();
        let mut known: Vec<&str> = noun.names().collect();
        told.sort_unstable();
        known.sort_unstable();
        if told != known {
            wrong.push(format!("{}: {told:?} instead of {known:?}", noun.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_table_of_the_language_is_operational_or_a_rule() {
    let rules = [
        "permissions",
        "pipeline",
        "role",
        "stage",
        "test",
        "vars",
        "env",
        "name",
        "policy",
        "include",
    ];
    for name in crate::policy::keys::ROOT.names() {
        let has_effects = EFFECTS.iter().any(|table| table.noun.name == name);
        assert!(has_effects || rules.contains(&name), "{name}");
    }
}

#[test]
fn every_key_has_a_row() {
    let rows = rows();
    let mut missing = Vec::new();
    for Effects { noun, .. } in EFFECTS {
        let title = title(noun);
        for key in noun.keys.iter().filter(|key| !key.later) {
            if matches!(key.kind, Kind::Table(_) | Kind::Short(_)) {
                continue;
            }
            let (outer, inner) = match title.split_once(" of ") {
                Some((inner, outer)) => (outer, format!("{inner}.{}", key.name)),
                None => (title, key.name.to_owned()),
            };
            let table = outer.trim_start_matches('[');
            let end = table.find(['.', ']']).unwrap();
            let is_there = rows
                .iter()
                .any(|row| row.table.split('.').next() == Some(&table[..end]) && row.key == inner);
            if !is_there {
                missing.push(format!("{title}: {inner}"));
            }
        }
    }
    assert!(missing.is_empty(), "no row for\n{}", missing.join("\n"));
}

#[test]
fn values_are_shown_as_they_are_written_and_secrets_by_their_reference() {
    let rows = rows();
    for (table, key, value, written) in [
        (
            "listener.other",
            "bind",
            "127.0.0.1:6433, unix:/run/pg.sock",
            true,
        ),
        ("listener.other", "idle_timeout", "1h", true),
        ("listener.other", "max_connections", "1000", false),
        ("listener.main", "idle_timeout", "none", false),
        ("listener.other", "tls.key", "{ file = \"both.pem\" }", true),
        ("listener.other", "tls.mode", "allow", false),
        ("node.two", "tls.mode", "disable", true),
        ("node.pg", "tls.mode", "disable", false),
        ("node.two", "host", "/run/postgresql", true),
        ("branch.two", "nodes", "pg, two", true),
        ("pool.other", "login.user", "proxy", true),
        (
            "pool.other",
            "login.password",
            "{ file = \"password\" }",
            true,
        ),
        ("pool.main", "login", "none", false),
        ("pool.main", "wait", "2m", false),
        ("user.a", "expires", "2027-01-02T00:00:00Z", true),
        ("user.a", "attributes", "team=blue", true),
        ("user.b", "password", "{ file = \"password\" }", true),
        ("sandbox", "memory", "2MiB", false),
        ("reload", "gate", "check", true),
        ("reload", "keep", "5", false),
        ("decisions", "sample.deny", "0.5", true),
        ("decisions", "sample.allow", "1", false),
        (
            "plugin.p",
            "config",
            "{\"key\":\"{ file = \\\"password\\\" }\",\"plain\":1}",
            true,
        ),
    ] {
        let found = row(&rows, table, key);
        assert_eq!((&*found.0, found.1), (value, written), "{table}.{key}");
    }
    for row in &rows {
        assert!(!row.value.contains(SECRET), "{row:?}");
        assert!(!row.value.contains("0123456789abcdef0123"), "{row:?}");
        assert!(!row.value.contains("SCRAM"), "{row:?}");
    }
}

#[test]
fn what_waits_for_sessions_to_move_waits_as_long_as_the_policy_has_them_stay() {
    for (sessions, statement, transaction) in [
        (
            "next_statement",
            Effect::NextStatement,
            Effect::NextTransaction,
        ),
        (
            "next_transaction",
            Effect::NextTransaction,
            Effect::NextTransaction,
        ),
        ("next_session", Effect::NextSession, Effect::NextSession),
    ] {
        let rows = smallest(&format!("[reload]\nsessions = \"{sessions}\"\n"))
            .policy()
            .settings();
        let shown = row(&rows, "reload", "sessions");
        assert_eq!(shown, (sessions.to_owned(), true, Effect::Now));
        assert_eq!(row(&rows, "sql", "max_bytes").2, statement, "{sessions}");
        assert_eq!(row(&rows, "pool.main", "size").2, transaction, "{sessions}");
        assert_eq!(
            row(&rows, "pool.main", "lifetime").2,
            Effect::NextConnection
        );
    }
}

#[test]
fn the_documentation_tells_every_effect() {
    let document = repository_file("docs/operations.md");
    let mut missing = Vec::new();
    for Effects { noun, keys } in EFFECTS {
        let title = title(noun);
        for (effect, keys) in *keys {
            let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            let line = format!("| `{title}` | {} | {} |", keys.join(", "), effect.name());
            if !document.contains(&line) {
                missing.push(line);
            }
        }
    }
    for effect in Effect::ALL {
        if !document.contains(&format!("| {} | ", effect.name())) {
            missing.push(format!("| {} | .. |", effect.name()));
        }
    }
    assert!(
        missing.is_empty(),
        "docs/operations.md lacks\n{}",
        missing.join("\n")
    );
}
