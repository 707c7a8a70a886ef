//! Stages: what they do, what they ask for, how they fail and where they stand.

use super::BASE;
use super::check;
use super::policy;
use super::told;

/// What stands in the base, what stands there instead, and what is told there and back.
type Change = (&'static str, &'static str, &'static str, &'static str);

const GUARDS: &[Change] = &[
    (
        "[\"insert\", \"update\"]",
        "[\"insert\", \"update\", \"delete\"]",
        "narrows stage.no-writes.when.kind: + delete",
        "widens stage.no-writes.when.kind: - delete",
    ),
    (
        "client = \"10.0.0.0/8\"",
        "client = \"10.1.0.0/16\"",
        "widens stage.no-writes.when.client: 10.0.0.0/8 -> 10.1.0.0/16",
        "narrows stage.no-writes.when.client: 10.1.0.0/16 -> 10.0.0.0/8",
    ),
    (
        ", client = \"10.0.0.0/8\"",
        "",
        "narrows stage.no-writes.when.client: - 10.0.0.0/8",
        "widens stage.no-writes.when.client: + 10.0.0.0/8",
    ),
    (
        "unless = { role = \"dba\" }",
        "unless = { role = [\"dba\", \"ops\"] }",
        "widens stage.no-writes.unless.role: + ops",
        "narrows stage.no-writes.unless.role: - ops",
    ),
    (
        "unless = { role = \"dba\" }",
        "unless = { role = \"dba\", user = \"eve\" }",
        "widens stage.no-writes.unless.user: + eve",
        "narrows stage.no-writes.unless.user: - eve",
    ),
    (
        "tables = \"shop.*\"",
        "tables = \"shop.orders\"",
        "narrows stage.reads.when.tables: shop.* -> shop.orders",
        "widens stage.reads.when.tables: shop.orders -> shop.*",
    ),
    (
        "kind = \"select\", tables = \"shop.*\"",
        "kind = \"select\"",
        "widens stage.reads.when.tables: - shop.*",
        "narrows stage.reads.when.tables: + shop.*",
    ),
    (
        "app = \"batch*\"",
        "app = \"b*\"",
        "narrows stage.reads.unless.app: batch* -> b*",
        "widens stage.reads.unless.app: b* -> batch*",
    ),
    (
        "app = \"batch*\"",
        "app = \"etl\"",
        "changes stage.reads.unless.app: batch* -> etl",
        "changes stage.reads.unless.app: etl -> batch*",
    ),
    (
        "read_only = true",
        "read_only = false",
        "changes stage.away.when.read_only: true -> false",
        "changes stage.away.when.read_only: false -> true",
    ),
    (
        // In other words.
        "tables = \"shop.*\"",
        "tables = [\"shop.*\", \"shop.a\"]",
        "changes stage.reads.when.tables: + shop.a",
        "changes stage.reads.when.tables: - shop.a",
    ),
    (
        "hook = \"pre_query\"\nscript",
        "hook = \"pre_query\"\nwhen = { kind = \"ddl\" }\nscript",
        "changes stage.budget.when.kind: + ddl",
        "changes stage.budget.when.kind: - ddl",
    ),
];

#[test]
fn guards() {
    for (from, to, there, back) in GUARDS {
        check(from, to, &[there], &[back]);
    }
}

#[test]
fn a_bare_name_counts_for_a_deny() {
    // `s.orders` may be meant by `orders`; `s.*` says nothing of it, so that it does not stand for `s.orders`.
    let stage = |tables: &str| {
        let stage = format!("when = {{ tables = \"{tables}\", client");
        policy(&BASE.replacen(
            "when = { kind = [\"insert\", \"update\"], client",
            &stage,
            1,
        ))
    };
    let told = told(&stage("s.*"), &stage("s.orders"));
    assert_eq!(
        told,
        ["changes stage.no-writes.when.tables: s.* -> s.orders"]
    );
}

const ACTIONS: &[Change] = &[
    (
        "add_limit = 100",
        "add_limit = 200",
        "widens stage.limit.rewrite.add_limit: 100 -> 200",
        "narrows stage.limit.rewrite.add_limit: 200 -> 100",
    ),
    (
        "add_limit = 100",
        "add_limit = 100, statement_timeout = \"1s\"",
        "narrows stage.limit.rewrite.statement_timeout: none -> 1s",
        "widens stage.limit.rewrite.statement_timeout: 1s -> none",
    ),
    (
        "deny = { message = \"no\" }",
        "deny = { message = \"no!\" }",
        "changes stage.no-writes.deny: other words",
        "changes stage.no-writes.deny: other words",
    ),
    (
        "deny = { message = \"no\" }",
        "deny = { message = \"no\", code = \"42501\" }",
        "changes stage.no-writes.deny.code: 42000 -> 42501",
        "changes stage.no-writes.deny.code: 42501 -> 42000",
    ),
    (
        "deny = { message = \"no\" }",
        "allow = true",
        "widens stage.no-writes: deny -> allow",
        "narrows stage.no-writes: allow -> deny",
    ),
    (
        "deny = { message = \"no\" }",
        "log = { fields = \"user\" }",
        "widens stage.no-writes: deny -> log",
        "narrows stage.no-writes: log -> deny",
    ),
    (
        "deny = { message = \"no\" }",
        "script = \"next()\"",
        "changes stage.no-writes: deny -> script",
        "changes stage.no-writes: script -> deny",
    ),
    (
        "deny = { message = \"no\" }",
        "deny = { message = \"no\" }\nmode = \"observe\"",
        "widens stage.no-writes.mode: enforce -> observe",
        "narrows stage.no-writes.mode: observe -> enforce",
    ),
    (
        "allow = true",
        "allow = true\nmode = \"off\"",
        "narrows stage.reads.mode: enforce -> off",
        "widens stage.reads.mode: off -> enforce",
    ),
    (
        "route = \"primary\"",
        "route = \"branch:dev\"",
        "changes stage.away.route: primary -> branch:dev",
        "changes stage.away.route: branch:dev -> primary",
    ),
    (
        "fields = [\"user\", \"rows\"]",
        "fields = [\"user\", \"rows\", \"node\"]",
        "changes stage.note.log.fields: + \"node\"",
        "changes stage.note.log.fields: - \"node\"",
    ),
    (
        "script = \"next()\"",
        "script = \"next() \"",
        "changes stage.budget.script: other script",
        "changes stage.budget.script: other script",
    ),
];

#[test]
fn what_stages_do() {
    for (from, to, there, back) in ACTIONS {
        check(from, to, &[there], &[back]);
    }
}

#[test]
fn rates() {
    let with = |limit: &str| policy(&BASE.replacen("deny = { message = \"no\" }", limit, 1));
    let base = with("limit = { rate = 10, burst = 5, key = \"user\" }");
    for (limit, there, back) in [
        (
            "limit = { rate = 20, burst = 5, key = \"user\" }",
            "widens stage.no-writes.limit.rate: 10 in 1s -> 20 in 1s",
            "narrows stage.no-writes.limit.rate: 20 in 1s -> 10 in 1s",
        ),
        (
            // As many in the same time.
            "limit = { rate = 20, per = \"2s\", burst = 5, key = \"user\" }",
            "changes stage.no-writes.limit.rate: 10 in 1s -> 20 in 2s",
            "changes stage.no-writes.limit.rate: 20 in 2s -> 10 in 1s",
        ),
        (
            "limit = { rate = 10, burst = 6, key = \"user\" }",
            "widens stage.no-writes.limit.burst: 5 -> 6",
            "narrows stage.no-writes.limit.burst: 6 -> 5",
        ),
        (
            // Each client of a user has its own.
            "limit = { rate = 10, burst = 5, key = [\"user\", \"client\"] }",
            "widens stage.no-writes.limit.key: + client",
            "narrows stage.no-writes.limit.key: - client",
        ),
        (
            "limit = { rate = 10, burst = 5, key = \"user\", exceed = \"delay\" }",
            "widens stage.no-writes.limit.exceed: refuse -> delay 1s",
            "narrows stage.no-writes.limit.exceed: delay 1s -> refuse",
        ),
        (
            "deny = { message = \"no\" }",
            "narrows stage.no-writes: limit -> deny",
            "widens stage.no-writes: deny -> limit",
        ),
    ] {
        let other = with(limit);
        assert_eq!(told(&base, &other), [there], "{limit}");
        assert_eq!(told(&other, &base), [back], "{limit}");
    }
}

#[test]
fn literals_in_the_log() {
    let text = BASE.replacen("see = [\"identity\"]", "see = [\"sql.text\"]", 1);
    let more = text.replacen(
        "log = { fields = [\"user\", \"rows\"] }",
        "log = { fields = [\"user\", \"rows\", \"sql.text\"] }\npermissions = \"other\"",
        1,
    );
    let (text, more) = (policy(&text), policy(&more));
    assert_eq!(
        told(&text, &more),
        ["widens stage.note.log.fields: + \"sql.text\""]
    );
    assert_eq!(
        told(&more, &text),
        ["narrows stage.note.log.fields: - \"sql.text\""]
    );
}

#[test]
fn stages_come_and_go() {
    let with = |stage: &str, list: &str| {
        let text = BASE.replacen("[stage.reads]", &format!("{stage}\n[stage.reads]"), 1);
        let text = text.replacen("pre_query = [\"no-writes\", \"budget\"]", list, 1);
        policy(&text)
    };
    let base = policy(BASE);
    for (stage, list, there, back) in [
        (
            "[stage.x]\nhook = \"pre_query\"\ndeny = \"x\"",
            "pre_query = [\"x\", \"no-writes\", \"budget\"]",
            "narrows stage.x: new deny at pre_query",
            "widens stage.x: removed deny at pre_query",
        ),
        (
            "[stage.x]\nhook = \"pre_query\"\ndeny = \"x\"\nmode = \"observe\"",
            "pre_query = [\"x\", \"no-writes\", \"budget\"]",
            "changes stage.x: new deny at pre_query, observing",
            "changes stage.x: removed deny at pre_query, observing",
        ),
        (
            "[stage.x]\nhook = \"pre_query\"\nallow = true",
            "pre_query = [\"x\", \"no-writes\", \"budget\"]",
            "widens stage.x: new allow at pre_query",
            "narrows stage.x: removed allow at pre_query",
        ),
        (
            // Nothing stands behind it.
            "[stage.x]\nhook = \"pre_query\"\nallow = true",
            "pre_query = [\"no-writes\", \"budget\", \"x\"]",
            "changes stage.x: new allow at pre_query",
            "changes stage.x: removed allow at pre_query",
        ),
        (
            "[stage.x]\nhook = \"pre_query\"\nscript = \"next()\"",
            "pre_query = [\"no-writes\", \"budget\", \"x\"]",
            "changes stage.x: new script at pre_query",
            "changes stage.x: removed script at pre_query",
        ),
    ] {
        let more = with(stage, list);
        assert_eq!(told(&base, &more), [there], "{stage}");
        assert_eq!(told(&more, &base), [back], "{stage}");
    }
    let renamed = policy(&BASE.replace("no-writes", "read-only"));
    assert_eq!(
        told(&base, &renamed),
        ["changes stage.no-writes: renamed to `read-only`"]
    );
}

#[test]
fn a_new_guest_is_told_with_what_it_may() {
    let text = BASE.replacen(
        "[stage.reads]",
        "[permissions.new]\nsee = \"sql.text\"\ncall = \"time\"\n\
         [stage.x]\nhook = \"pre_query\"\nscript = \"next()\"\npermissions = \"new\"\n[stage.reads]",
        1,
    );
    let text = text.replacen("\"budget\"]", "\"budget\", \"x\"]", 1);
    assert_eq!(
        told(&policy(BASE), &policy(&text))[..3],
        [
            "widens stage.x.see: + \"sql.text\"",
            "widens stage.x.call: + \"time\"",
            "changes stage.x: new script at pre_query",
        ]
    );
}

#[test]
fn what_foreign_code_may() {
    for (from, to, there, back) in [
        (
            "see = [\"identity\", \"sql.kind\"]",
            "see = [\"identity\", \"sql.kind\", \"sql.text\"]",
            "widens permissions.budget.see: + \"sql.text\"",
            "narrows permissions.budget.see: - \"sql.text\"",
        ),
        (
            "call = [\"kv.read\", \"load\"]",
            "call = [\"kv.read\", \"kv.write\", \"load\"]",
            "widens permissions.budget.call: + \"kv.write\"",
            "narrows permissions.budget.call: - \"kv.write\"",
        ),
        (
            "max_keys = 10",
            "max_keys = 20",
            "widens permissions.budget.kv.max_keys: 10 -> 20",
            "narrows permissions.budget.kv.max_keys: 20 -> 10",
        ),
        (
            "namespace = \"n\"",
            "namespace = \"m\"",
            "changes permissions.budget.kv: n -> m",
            "changes permissions.budget.kv: m -> n",
        ),
        (
            "limit = \"SELECT 1\"",
            "limit = \"SELECT 1\", more = \"SELECT 2\"",
            "widens permissions.budget.load.statements.more: new",
            "narrows permissions.budget.load.statements.more: removed",
        ),
        (
            "max_rows = 5",
            "max_rows = 6",
            "widens permissions.budget.load.statements.limit.max_rows: 5 -> 6",
            "narrows permissions.budget.load.statements.limit.max_rows: 6 -> 5",
        ),
        (
            "limit = \"SELECT 1\"",
            "limit = \"SELECT 2\"",
            "changes permissions.budget.load.statements.limit: other statement",
            "changes permissions.budget.load.statements.limit: other statement",
        ),
        (
            "fuel = 1000",
            "fuel = 2000",
            "widens stage.budget.fuel: 1000 -> 2000",
            "narrows stage.budget.fuel: 2000 -> 1000",
        ),
        (
            "script = \"next()\"",
            "script = \"next()\"\ndeadline = \"1ms\"",
            "narrows stage.budget.deadline: 10ms -> 1ms",
            "widens stage.budget.deadline: 1ms -> 10ms",
        ),
        (
            "script = \"next()\"",
            "script = \"next()\"\non_failure = \"open\"",
            "widens stage.budget.on_failure: closed -> open",
            "narrows stage.budget.on_failure: open -> closed",
        ),
    ] {
        check(from, to, &[there], &[back]);
    }
}

#[test]
fn less_for_a_stage_that_fails_open_narrows_nothing_for_certain() {
    let open = BASE.replacen(
        "script = \"next()\"",
        "script = \"next()\"\non_failure = \"open\"",
        1,
    );
    for (from, to, there, back) in [
        (
            "fuel = 1000",
            "fuel = 2000",
            "widens stage.budget.fuel: 1000 -> 2000",
            "changes stage.budget.fuel: 2000 -> 1000",
        ),
        (
            "max_rows = 5",
            "max_rows = 6",
            "widens permissions.budget.load.statements.limit.max_rows: 5 -> 6",
            "changes permissions.budget.load.statements.limit.max_rows: 6 -> 5",
        ),
        (
            "see = [\"identity\", \"sql.kind\"]",
            "see = [\"identity\", \"sql.kind\", \"sql.text\"]",
            "widens permissions.budget.see: + \"sql.text\"",
            "changes permissions.budget.see: - \"sql.text\"",
        ),
    ] {
        let (old, new) = (policy(&open), policy(&open.replacen(from, to, 1)));
        assert_eq!(told(&old, &new), [there]);
        assert_eq!(told(&new, &old), [back]);
    }
}

#[test]
fn lists() {
    for (from, to, there, back) in [
        (
            "authorize = \"deny\"",
            "authorize = \"allow\"",
            "widens pipeline.default.otherwise.authorize: deny -> allow",
            "narrows pipeline.default.otherwise.authorize: allow -> deny",
        ),
        (
            "authorize = \"deny\"",
            "authorize = \"deny\", route = \"primary\"",
            "changes pipeline.default.otherwise.route: default -> primary",
            "changes pipeline.default.otherwise.route: primary -> default",
        ),
        (
            "pre_query = [\"no-writes\", \"budget\"]",
            "pre_query = [\"no-writes\", \"budget\"]\nauthenticate = [\"scram\", \"md5\"]",
            "narrows pipeline.default.authenticate: - trust",
            "widens pipeline.default.authenticate: + trust",
        ),
        (
            // An `allow` comes before a `deny`.
            "authorize = [\"no-writes\", \"reads\"]",
            "authorize = [\"reads\", \"no-writes\"]",
            "widens pipeline.default.authorize: moved `no-writes` after `reads`",
            "narrows pipeline.default.authorize: moved `reads` after `no-writes`",
        ),
        (
            "pre_query = [\"no-writes\", \"budget\"]",
            "pre_query = [\"budget\", \"no-writes\"]",
            "changes pipeline.default.pre_query: moved `no-writes` after `budget`",
            "changes pipeline.default.pre_query: moved `budget` after `no-writes`",
        ),
    ] {
        check(from, to, &[there], &[back]);
    }
    // A stage that stays elsewhere.
    let fewer = BASE.replacen("authorize = [\"no-writes\", ", "authorize = [", 1);
    let fewer = fewer.replacen("[\"pre_query\", \"authorize\"]", "\"pre_query\"", 1);
    let (base, fewer) = (policy(BASE), policy(&fewer));
    assert_eq!(
        told(&base, &fewer),
        ["widens pipeline.default.authorize: - `no-writes`"]
    );
    assert_eq!(
        told(&fewer, &base),
        ["narrows pipeline.default.authorize: + `no-writes`"]
    );
}

#[test]
fn a_listener_that_goes_to_another_pipeline_shows_what_its_sessions_no_longer_meet() {
    let text = BASE.replacen("pipeline = \"default\"", "pipeline = \"lax\"", 1);
    let text = text.replacen("[pipeline.default]", "[pipeline.lax]", 1);
    let text = text.replacen("authorize = [\"no-writes\", ", "authorize = [", 1);
    let text = text.replacen("[\"pre_query\", \"authorize\"]", "\"pre_query\"", 1);
    assert_eq!(
        told(&policy(BASE), &policy(&text)),
        [
            "widens pipeline.lax.authorize: - `no-writes`",
            "changes listener.app.pipeline: \"default\" -> \"lax\"",
            "changes pipeline.default: removed",
            "changes pipeline.lax: new",
        ]
    );
}
