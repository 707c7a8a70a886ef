//! Each change by itself, in both directions: what it is called, and which way it moves the policy.

mod caches;
mod environment;
mod listeners;
mod lists;
mod order;
mod plugins;
mod proofs;

use crate::policy::Policy;
use crate::policy::tests::Memory;

/// A policy with something of everything.
pub(super) const BASE: &str = r#"
policy = 1
name   = "shop"

[listener.app]
bind = ["127.0.0.1:6432"]
pipeline = "default"
max_connections = 100
tls = { mode = "allow", min = "1.2", cert = "cert.pem", key = { file = "key.pem" } }

[node.pg]
role = "primary"
host = "10.0.0.1"
tls = "require"

[branch.dev]
node = "pg"

[pool.main]
database = "shop"
nodes = ["pg"]
mode = "transaction"
session_state = "pin"
login = { user = "proxy", password = { file = "pw" } }

[role.app]
[role.dba]
[role.ops]

[user.ada]
password = { file = "pw" }
roles = ["app"]
expires = 2030-01-01

[user.bob]
password = { env = "BOB" }

[permissions.budget]
see = ["identity", "sql.kind"]
call = ["kv.read", "load"]
kv = { namespace = "n", max_keys = 10 }
load = { pool = "main", max_rows = 5, statements = { limit = "SELECT 1" } }

[permissions.other]
see = ["identity"]
call = ["log"]

[sandbox]
fuel = 1000

[stage.no-writes]
hook = ["pre_query", "authorize"]
when = { kind = ["insert", "update"], client = "10.0.0.0/8" }
unless = { role = "dba" }
deny = { message = "no" }

[stage.reads]
hook = "authorize"
when = { kind = "select", tables = "shop.*" }
unless = { app = "batch*" }
allow = true

[stage.limit]
hook = "rewrite"
rewrite = { add_limit = 100 }

[stage.note]
hook = "post_query"
log = { fields = ["user", "rows"] }

[stage.budget]
hook = "pre_query"
script = "next()"
permissions = "budget"

[stage.away]
hook = "route"
when = { read_only = true }
route = "primary"

[pipeline.default]
pre_query = ["no-writes", "budget"]
rewrite = ["limit"]
authorize = ["no-writes", "reads"]
route = ["away"]
post_query = ["note"]
otherwise = { authorize = "deny" }

[reload]
gate = "tests"

[admin]
users = ["ada"]

[decisions]
sink = "stdout"
"#;

pub(super) fn policy(text: &str) -> Policy {
    Memory::default()
        .file("policy.toml", text)
        .file("cert.pem", "-----BEGIN CERTIFICATE-----\n")
        .file("key.pem", "-----BEGIN PRIVATE KEY-----\n")
        .file("pw", "secret")
        .file("other", "secret")
        .variable("BOB", "secret")
        .policy()
}

/// Every change as `way path: what`.
pub(super) fn told(old: &Policy, new: &Policy) -> Vec<String> {
    let changes = old.difference(new).changes.into_iter();
    let lines =
        changes.map(|change| format!("{} {}: {}", change.way.name(), change.path, change.what));
    lines.collect()
}

/// `from` becomes `to`, which is told as `there`; the way back is told as `back`.
#[track_caller]
pub(super) fn check(from: &str, to: &str, there: &[&str], back: &[&str]) {
    assert!(BASE.contains(from), "{from}");
    let (old, new) = (policy(BASE), policy(&BASE.replacen(from, to, 1)));
    assert_eq!(told(&old, &new), there, "{from} -> {to}");
    assert_eq!(told(&new, &old), back, "{to} -> {from}");
}

#[test]
fn the_time_of_day_of_a_rule() {
    let rule = |guard: &str| {
        format!("when = {{ kind = [\"insert\", \"update\"], client = \"10.0.0.0/8\"{guard} }}")
    };
    let old = policy(&BASE.replacen(&rule(""), &rule(", time = \"08:00..18:00\""), 1));
    let new = policy(&BASE.replacen(&rule(""), &rule(", time = \"09:00..18:00+01:00\""), 1));
    let path = "stage.no-writes.when.time";
    let shorter = format!("widens {path}: 08:00..18:00 -> 08:00..17:00");
    assert_eq!(told(&old, &new), [shorter]);
    let longer = format!("narrows {path}: 08:00..17:00 -> 08:00..18:00");
    assert_eq!(told(&new, &old), [longer]);
}

#[test]
fn waivers() {
    let waived = |end: &str, by: &str| {
        let waiver = format!("waiver = {{ reason = \"move\", by = \"{by}\", expires = {end} }}");
        policy(&BASE.replacen("allow = true", &format!("allow = true\n{waiver}"), 1))
    };
    let (none, short) = (policy(BASE), waived("2030-12-31", "ana"));
    let path = "stage.reads.waiver";
    let text = "\"until 2031-01-01T00:00:00Z by ana: move\"";
    let came = format!("widens {path}: none -> {text}");
    assert_eq!(told(&none, &short), [came]);
    let gone = format!("narrows {path}: {text} -> none");
    assert_eq!(told(&short, &none), [gone]);
    let ways = |new: &Policy| {
        let changes = short.difference(new).changes.into_iter();
        changes.map(|change| change.way.name()).collect::<Vec<_>>()
    };
    assert_eq!(ways(&waived("2031-12-31", "ana")), ["widens"]);
    assert_eq!(ways(&waived("2030-12-30", "ana")), ["narrows"]);
    assert_eq!(ways(&waived("2030-12-31", "bob")), ["changes"]);
}

#[test]
fn a_policy_is_like_itself() {
    assert_eq!(told(&policy(BASE), &policy(BASE)), [""; 0]);
}

#[test]
fn listeners() {
    for (from, to, there, back) in [
        (
            "[\"127.0.0.1:6432\"]",
            "[\"127.0.0.1:6432\", \"unix:/run/pgw\"]",
            "widens listener.app.bind: + unix:/run/pgw",
            "narrows listener.app.bind: - unix:/run/pgw",
        ),
        (
            "127.0.0.1:6432",
            "0.0.0.0:6432",
            "widens listener.app.bind: + 0.0.0.0:6432",
            "narrows listener.app.bind: - 0.0.0.0:6432",
        ),
        (
            "max_connections = 100",
            "max_connections = 200",
            "widens listener.app.max_connections: 100 -> 200",
            "narrows listener.app.max_connections: 200 -> 100",
        ),
        (
            "mode = \"allow\", min",
            "mode = \"require\", min",
            "narrows listener.app.tls.mode: allow -> require",
            "widens listener.app.tls.mode: require -> allow",
        ),
        (
            "min = \"1.2\"",
            "min = \"1.3\"",
            "narrows listener.app.tls.min: 1.2 -> 1.3",
            "widens listener.app.tls.min: 1.3 -> 1.2",
        ),
        (
            "[listener.app]",
            "[listener.more]\nbind = \"[::1]:1\"\npipeline = \"default\"\n[listener.app]",
            "widens listener.more: new, on `[::1]:1`",
            "narrows listener.more: removed, on `[::1]:1`",
        ),
        (
            "[listener.app]",
            "[listener.front]",
            "changes listener.app: renamed to `front`",
            "changes listener.front: renamed to `app`",
        ),
    ] {
        check(from, to, &[there], &[back]);
    }
}

#[test]
fn nodes_and_pools() {
    for (from, to, there, back) in [
        (
            "tls = \"require\"\n",
            "tls = \"verify-full\"\n",
            "narrows node.pg.tls.mode: require -> verify-full",
            "widens node.pg.tls.mode: verify-full -> require",
        ),
        (
            "host = \"10.0.0.1\"",
            "host = \"10.0.0.2\"",
            "changes node.pg.address: 10.0.0.1:5432 -> 10.0.0.2:5432",
            "changes node.pg.address: 10.0.0.2:5432 -> 10.0.0.1:5432",
        ),
        (
            "session_state = \"pin\"",
            "session_state = \"ignore\"",
            "widens pool.main.session_state: pin -> ignore",
            "narrows pool.main.session_state: ignore -> pin",
        ),
        (
            "[role.app]",
            "[pool.more]\ndatabase = \"more\"\nnodes = \"pg\"\n[role.app]",
            "widens pool.more: new, for `more`",
            "narrows pool.more: removed, for `more`",
        ),
        (
            "[role.app]",
            "[branch.old]\nnode = \"pg\"\ndatabase = \"old\"\n[role.app]",
            "changes branch.old: new",
            "changes branch.old: removed",
        ),
    ] {
        check(from, to, &[there], &[back]);
    }
}

#[test]
fn a_pool_for_databases_that_are_served_already_opens_nothing() {
    let all = BASE.replacen("database = \"shop\"", "database = \"*\"", 1);
    let all = all.replacen(
        "{ pool = \"main\",",
        "{ pool = \"main\", database = \"shop\",",
        1,
    );
    let more = all.replacen(
        "[role.app]",
        "[pool.x]\ndatabase = \"x*\"\nnodes = \"pg\"\n[role.app]",
        1,
    );
    let (all, more) = (policy(&all), policy(&more));
    assert_eq!(told(&all, &more), ["changes pool.x: new, for `x*`"]);
    assert_eq!(told(&more, &all), ["changes pool.x: removed, for `x*`"]);
}

#[test]
fn users() {
    for (from, to, there, back) in [
        (
            "[user.bob]",
            "[user.eve]\ntrust = true\n[user.bob]",
            "widens user.eve: new, by trust",
            "narrows user.eve: removed",
        ),
        (
            "password = { env = \"BOB\" }",
            "trust = true",
            "widens user.bob.credential: password -> trust",
            "narrows user.bob.credential: trust -> password",
        ),
        (
            "[user.ada]\npassword = { file = \"pw\" }",
            "[user.ada]\npassword = { file = \"other\" }",
            "changes user.ada.password: another secret",
            "changes user.ada.password: another secret",
        ),
        (
            "expires = 2030-01-01\n",
            "",
            "widens user.ada.expires: 2030-01-02T00:00:00Z -> never",
            "narrows user.ada.expires: never -> 2030-01-02T00:00:00Z",
        ),
        (
            "roles = [\"app\"]",
            "roles = [\"app\", \"dba\"]",
            "widens user.ada.roles: + \"dba\"",
            // A script sees who asks, and may make of it what it likes.
            "changes user.ada.roles: - \"dba\"",
        ),
        (
            "roles = [\"app\"]",
            "roles = [\"app\", \"ops\"]",
            "changes user.ada.roles: + \"ops\"",
            "changes user.ada.roles: - \"ops\"",
        ),
        (
            "users = [\"ada\"]",
            "users = [\"ada\", \"bob\"]",
            "widens admin.users: + \"bob\"",
            "narrows admin.users: - \"bob\"",
        ),
        (
            "[admin]",
            "[admin]\nmetrics = \"127.0.0.1:9\"",
            "widens admin.metrics: + 127.0.0.1:9",
            "narrows admin.metrics: - 127.0.0.1:9",
        ),
    ] {
        check(from, to, &[there], &[back]);
    }
}

#[test]
fn settings() {
    for (from, to, there, back) in [
        (
            "gate = \"tests\"",
            "gate = \"check\"",
            "widens reload.gate: tests -> check",
            "narrows reload.gate: check -> tests",
        ),
        (
            "sink = \"stdout\"",
            "sink = \"stdout\"\nsql = \"text\"",
            "widens decisions.sql: fingerprint -> text",
            "narrows decisions.sql: text -> fingerprint",
        ),
        (
            "sink = \"stdout\"",
            "sink = \"stdout\"\nsample = { allow = 0.5 }",
            "changes decisions.sample.allow: 1.0 -> 0.5",
            "changes decisions.sample.allow: 0.5 -> 1.0",
        ),
        (
            "[decisions]\nsink = \"stdout\"\n",
            "",
            "changes decisions: removed",
            "changes decisions: new, to stdout",
        ),
        (
            "name   = \"shop\"",
            "name   = \"store\"",
            "changes name: shop -> store",
            "changes name: store -> shop",
        ),
    ] {
        check(from, to, &[there], &[back]);
    }
    let sql = |rules: &str| policy(&format!("{BASE}[sql]\n{rules}\n"));
    let (deny, write) = (
        sql("on_unparsed = \"deny\""),
        sql("on_unparsed = \"as_write\""),
    );
    assert_eq!(
        told(&deny, &write),
        ["widens sql.on_unparsed: deny -> as_write"]
    );
    assert_eq!(
        told(&write, &deny),
        ["narrows sql.on_unparsed: as_write -> deny"]
    );
    assert_eq!(told(&policy(BASE), &deny), ["narrows sql: new"]);
    let (few, many) = (sql("max_bytes = \"1KiB\""), sql("max_bytes = \"2KiB\""));
    assert_eq!(told(&few, &many), ["widens sql.max_bytes: 1KiB -> 2KiB"]);
}

#[test]
fn who_authenticates() {
    let none = r#"
policy = 1
name = "shop"
listener.app.bind = "127.0.0.1:1"
node.pg = { role = "primary", host = "h" }
pool.main = { database = "*", nodes = "pg" }
pipeline.default.otherwise.authorize = "allow"
"#;
    let proven = format!("{none}user.ada.password.file = \"pw\"\n");
    let trusted = format!("{none}user.ada.trust = true\n");
    let (none, proven, trusted) = (policy(none), policy(&proven), policy(&trusted));
    let first = "changes user: there are users now";
    assert_eq!(
        told(&none, &proven),
        ["changes user.ada: new, by password", first]
    );
    assert_eq!(
        told(&none, &trusted),
        ["widens user.ada: new, by trust", first]
    );
    assert_eq!(
        told(&proven, &none),
        [
            "widens user: there are none any more",
            "changes user.ada: removed"
        ]
    );
}
