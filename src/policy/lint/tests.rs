//! Each lint: policies it speaks about, with the place, and policies it does not.

use crate::policy::Report;
use crate::policy::Severity;
use crate::policy::tests::Memory;
use crate::policy::tests::SMALLEST;

/// What the lints say of the smallest policy with these lists in its pipeline and these tables: code and marked text each.
fn said(lists: &str, more: &str) -> Vec<String> {
    let root = SMALLEST.replace("otherwise", &format!("{lists}\notherwise"));
    of(&Memory::default().file("policy.toml", format!("{root}\n{more}")))
}

fn of(memory: &Memory) -> Vec<String> {
    let (policy, report) = memory.load(None);
    assert!(policy.is_some(), "{:#?}", report.lines());
    shown(&report)
}

/// `P0701 text` each, without what is said of missing tests.
fn shown(report: &Report) -> Vec<String> {
    let found = report.diagnostics().into_iter();
    let found = found.filter(|found| found.code != "P0731");
    found
        .map(|found| {
            assert_ne!(found.severity, Severity::Error);
            let place = report.place(found.at.expect("a lint has a place"));
            let source = report.sources().iter().find(|it| *it.path == *place.file);
            let text = &source.expect("a source").text[place.span];
            format!("{} {text}", found.code)
        })
        .collect()
}

const DENY: &str = "deny = \"no\"";

#[track_caller]
fn authorize(first: &str, second: &str, expected: &[&str]) {
    let stages = format!(
        "[stage.a]\nhook = \"authorize\"\n{first}\n[stage.b]\nhook = \"authorize\"\n{second}\n"
    );
    let people = "[role.dba]\n[role.app]\n[user.dana]\ntrust = true\nroles = [\"dba\"]\n[user.al]\ntrust = true\nroles = [\"app\"]\n";
    let found = said("authorize = [\"a\", \"b\"]", &format!("{stages}{people}"));
    assert_eq!(found, expected, "{first}\n{second}");
}

#[test]
fn a_stage_behind_one_that_ends_the_list_is_never_reached() {
    const B: &[&str] = &["P0701 \"b\""];
    authorize("allow = true", DENY, B);
    authorize(DENY, "allow = true", B);
    authorize(
        "when = { kind = [\"select\", \"show\"] }\ndeny = \"no\"",
        "when = { kind = \"select\", role = \"app\" }\ndeny = \"other\"",
        B,
    );
    // All of its kinds are among those of which any is refused.
    authorize(
        "when = { kind = \"select\" }\ndeny = \"no\"",
        "when = { kind = \"select\" }\nallow = true",
        B,
    );
    authorize(
        "when = { tables = [\"pay*\"] }\nunless = { role = \"dba\" }\ndeny = \"no\"",
        "when = { tables = \"pay_roll\" }\nunless = { role = \"d*\", user = \"d*\" }\nscript = \"next()\"",
        B,
    );
    // An allow speaks of statements all of whose kinds it names; a later deny still catches the others.
    authorize(
        "when = { kind = \"select\" }\nallow = true",
        "when = { kind = \"select\" }\nscript = \"next()\"",
        &[],
    );
    authorize(
        "when = { kind = \"select\" }\ndeny = \"no\"",
        "when = { kind = [\"select\", \"show\"] }\ndeny = \"other\"",
        &[],
    );
    authorize(
        "when = { tables = \"a\" }\nunless = { role = \"dba\" }\ndeny = \"no\"",
        "when = { tables = \"a\" }\ndeny = \"other\"",
        &[],
    );
    authorize(
        "mode = \"observe\"\nlog = { fields = [\"user\"] }",
        DENY,
        &[],
    );
}

#[test]
fn what_is_rewritten_between_two_stages_is_no_longer_the_same() {
    let stages = |between: &str| {
        format!(
            "[stage.a]\nhook = \"pre_query\"\nwhen = {{ kind = \"delete\" }}\ndeny = \"no\"\n[stage.b]\nhook = \"pre_query\"\n{between}\n\
            [stage.c]\nhook = \"pre_query\"\nwhen = {{ kind = \"delete\" }}\ndeny = \"again\"\n"
        )
    };
    let list = "pre_query = [\"a\", \"b\", \"c\"]";
    assert_eq!(
        said(list, &stages("log = { fields = [\"user\"] }")),
        ["P0701 \"c\""]
    );
    assert_eq!(said(list, &stages("script = 'next()'")), [""; 0]);
}

#[test]
fn the_first_route_decides() {
    let route = |guard: &str, to: &str| {
        format!(
            "[stage.a]\nhook = \"route\"\n{guard}\nroute = \"{to}\"\n[stage.b]\nhook = \"route\"\nroute = \"primary\"\n"
        )
    };
    let list = "route = [\"a\", \"b\"]";
    assert_eq!(said(list, &route("", "standby")), ["P0701 \"b\""]);
    assert_eq!(said(list, &route("", "default")), [""; 0]);
    assert_eq!(
        said(list, &route("when = { read_only = true }", "standby")),
        [""; 0]
    );
}

#[test]
fn an_allow_before_a_deny_is_told_unless_they_cannot_meet() {
    let deny = "when = { kind = [\"delete\", \"update\"] }\ndeny = \"no\"";
    const B: &[&str] = &["P0702 \"b\""];
    authorize("when = { role = \"app\" }\nallow = true", deny, B);
    authorize("when = { kind = [\"delete\"] }\nallow = true", deny, B);
    authorize("when = { kind = \"unparsed\" }\nallow = true", deny, B);
    authorize("when = { kind = \"select\" }\nallow = true", deny, &[]);
    authorize("when = { read_only = true }\nallow = true", deny, &[]);
    authorize(
        "when = { role = \"app\" }\nallow = true",
        &format!("unless = {{ role = \"app\" }}\n{deny}"),
        &[],
    );
    authorize(
        "when = { role = \"app\" }\nallow = true",
        "when = { role = \"dba\" }\ndeny = \"no\"",
        &[],
    );
    authorize(
        "unless = { kind = [\"delete\", \"update\", \"ddl\"] }\nallow = true",
        deny,
        &[],
    );
}

#[track_caller]
fn guard(guards: &str, expected: &[&str]) {
    let people = "[role.dba]\n[role.app]\n[user.dana]\ntrust = true\nroles = [\"dba\"]\nattributes = { team = \"a\" }\n[user.al]\ntrust = true\nroles = [\"app\"]\n";
    for (hook, action) in [
        ("authorize", DENY),
        ("post_query", "log = { fields = [\"user\"] }"),
    ] {
        if hook == "authorize" && guards.contains("error") {
            continue;
        }
        let stage = format!("[stage.a]\nhook = \"{hook}\"\n{guards}\n{action}\n");
        let found = said(&format!("{hook} = [\"a\"]"), &format!("{stage}{people}"));
        assert_eq!(found, expected, "{hook} {guards}");
    }
}

#[test]
fn keys_that_exclude_each_other_are_told() {
    guard(
        "when = { read_only = true, kind = \"delete\" }",
        &["P0703 read_only"],
    );
    guard(
        "when = { read_only = true, kind = [\"delete\", \"select\"] }",
        &[],
    );
    guard("when = { error = false, code = \"42*\" }", &["P0703 error"]);
    guard("when = { error = true, code = \"42*\" }", &[]);
}

#[test]
fn an_exception_that_covers_the_rule_is_told() {
    guard(
        "when = { role = \"dba\" }\nunless = { role = [\"dba\", \"app\"] }",
        &["P0704 role"],
    );
    guard("unless = { user = \"*\" }", &["P0704 user"]);
    guard(
        "when = { client = \"10.1.0.0/16\" }\nunless = { client = \"10.0.0.0/8\" }",
        &["P0704 client"],
    );
    guard(
        "when = { time = \"09:00..17:00\" }\nunless = { time = \"18:00..08:00\" }",
        &[],
    );
    guard(
        "when = { time = \"09:00..17:00\" }\nunless = { time = \"09:00..19:00+01:00\" }",
        &["P0704 time"],
    );
    guard("unless = { weekday = \"mon..sun\" }", &["P0704 weekday"]);
    // A statement that deletes and selects is refused.
    guard(
        "when = { kind = \"delete\" }\nunless = { kind = \"delete\" }",
        &[],
    );
    guard(
        "when = { user = \"*a*\" }\nunless = { user = \"da*\" }",
        &[],
    );
}

#[test]
fn guards_that_fit_nobody_and_nothing_are_told() {
    guard("when = { user = \"dnaa\" }", &["P0705 user"]);
    guard("when = { user = \"d*\" }", &[]);
    guard("when = { attr = { team = \"b\" } }", &["P0705 team"]);
    guard("when = { role = \"dba\", user = \"al\" }", &["P0705 when"]);
    guard("unless = { role = [\"dba\", \"app\"] }", &["P0705 unless"]);
    guard("when = { auth_method = \"md5\" }", &["P0705 auth_method"]);
    guard("when = { tls = true }", &["P0705 tls"]);
    guard("when = { tls = false }", &[]);
    guard("unless = { user = \"dnaa\" }", &["P0705 user"]);
    guard("unless = { user = \"d*\" }", &[]);
    guard(
        "when = { role = \"dba\" }\nunless = { user = \"al\" }",
        &["P0705 user"],
    );
    guard(
        "when = { kind = \"ddl\" }\nunless = { role = \"app\" }",
        &[],
    );
    guard("unless = { attr = { team = \"b\" } }", &["P0705 team"]);
    guard("unless = { auth_method = \"md5\" }", &["P0705 auth_method"]);
    guard("unless = { tls = true }", &["P0705 tls"]);
    let shop = SMALLEST
        .replace("database = \"*\"", "database = \"shop_*\"")
        .replace("otherwise", "authorize = [\"a\"]\notherwise");
    for (database, expected) in [
        ("shop_eu", &[][..]),
        ("sh*", &[]),
        ("stock", &["P0705 database"]),
    ] {
        let stage = format!(
            "{shop}[stage.a]\nhook = \"authorize\"\nwhen = {{ database = \"{database}\" }}\ndeny = \"no\"\n"
        );
        assert_eq!(of(&Memory::default().file("policy.toml", stage)), expected);
    }
}

#[test]
fn a_guard_out_of_the_environment_is_told_as_it_is_written() {
    let root = SMALLEST.replace("otherwise", "authorize = [\"a\"]\notherwise");
    let stage = "[stage.a]\nhook = \"authorize\"\nunless = { user = { env = \"WHO\" } }\ndeny = \"no\"\n[user.al]\ntrust = true\n";
    let memory = Memory::default()
        .file("policy.toml", format!("{root}{stage}"))
        .variable("WHO", "hunter2");
    let lines = memory.load(None).1.lines().concat();
    assert!(lines.contains("has user { env = \"WHO\" }"), "{lines}");
    assert!(!lines.contains("hunter2"), "{lines}");
}

#[test]
fn there_is_no_tls_on_a_unix_socket() {
    let said = |bind: &str, mode: &str, guard: &str| {
        let root = SMALLEST
            .replace("\"127.0.0.1:6432\"", bind)
            .replace(
                "[node.pg]",
                &format!("tls = {{ mode = \"{mode}\", cert = \"cert.pem\", key = {{ file = \"key.pem\" }} }}\n[node.pg]"),
            )
            .replace("otherwise", "authorize = [\"a\"]\notherwise");
        let stage =
            format!("[stage.a]\nhook = \"authorize\"\nwhen = {{ {guard} }}\ndeny = \"no\"\n");
        let memory = Memory::default()
            .file("policy.toml", format!("{root}{stage}"))
            .file("cert.pem", "-----BEGIN CERTIFICATE-----\n")
            .file("key.pem", "-----BEGIN PRIVATE KEY-----\n");
        of(&memory)
    };
    let (tcp, unix) = ("\"127.0.0.1:6432\"", "\"unix:/run/pgw\"");
    let both = format!("{tcp}, {unix}");
    const NEVER: &[&str] = &["P0705 tls"];
    for (bind, mode, guard, expected) in [
        (tcp, "require", "tls = false", NEVER),
        (tcp, "allow", "tls = false", &[]),
        (tcp, "require", "tls = true", &[]),
        (&*both, "require", "tls = false", &[]),
        (&*both, "allow", "tls = true", &[]),
        (unix, "require", "tls = false", &[]),
        (unix, "require", "tls = true", NEVER),
    ] {
        assert_eq!(said(bind, mode, guard), expected, "{bind} {mode} {guard}");
    }
}

#[test]
fn without_users_nothing_is_said_of_them() {
    let stage = "[role.x]\n[stage.a]\nhook = \"authorize\"\nwhen = { user = \"any\", role = \"x\" }\ndeny = \"no\"\n";
    assert_eq!(said("authorize = [\"a\"]", stage), [""; 0]);
    let stage = stage.replace("when", "unless");
    assert_eq!(said("authorize = [\"a\"]", &stage), [""; 0]);
}

#[test]
fn names_that_nothing_uses_are_told() {
    let unused = "[vars]\nport = 1\n[node.pg2]\nrole = \"standby\"\nhost = \"127.0.0.1\"\n[branch.dev]\nnode = \"pg\"\n\
        [role.r]\n[permissions.p]\nsee = [\"identity\"]\n[plugin.x]\npath = \"x.wasm\"\nsha256 = \"HASH\"\n";
    let hash = crate::digest::sha256_hex(b"x");
    let memory = |more: &str| {
        let text = format!("{SMALLEST}{unused}{more}").replace("HASH", &hash);
        Memory::default()
            .file("policy.toml", text)
            .file("x.wasm", "x")
    };
    assert_eq!(
        of(&memory("")),
        [
            "P0711 port",
            "P0711 pg2",
            "P0711 dev",
            "P0711 r",
            "P0711 p",
            "P0711 x"
        ]
    );
    let used = "[stage.a]\nhook = \"route\"\nwhen = { role = \"r\", param_count = { var = \"port\" } }\nroute = { to = \"node:pg2\", otherwise = \"branch:dev\" }\n\
        [stage.b]\nhook = \"route\"\npermissions = \"p\"\nplugin = \"x\"\n";
    let root = SMALLEST.replace("otherwise", "route = [\"a\", \"b\"]\notherwise");
    let text = format!("{root}{unused}{used}").replace("HASH", &hash);
    let memory = Memory::default()
        .file("policy.toml", text)
        .file("x.wasm", "x");
    assert_eq!(of(&memory), [""; 0]);
}

#[test]
fn a_pool_that_no_user_has_is_told() {
    let text = |pool: &str| {
        format!(
            "{SMALLEST}[pool.other]\ndatabase = \"other\"\nnodes = [\"pg\"]\n[user.a]\ntrust = true\npool = \"{pool}\"\n[user.b]\ntrust = true\npool = \"main\"\n"
        )
    };
    let said = |pool| of(&Memory::default().file("policy.toml", text(pool)));
    assert_eq!(said("main"), ["P0711 other"]);
    assert_eq!(said("other"), [""; 0]);
}

#[test]
fn users_without_a_proof_behind_an_open_listener_are_told() {
    let text = |bind: &str, methods: &str| {
        let root = SMALLEST
            .replace("127.0.0.1:6432", bind)
            .replace("otherwise", &format!("{methods}\notherwise"));
        format!("{root}[user.a]\ntrust = true\n")
    };
    let said = |bind, methods| of(&Memory::default().file("policy.toml", text(bind, methods)));
    assert_eq!(said("0.0.0.0:6432", ""), ["P0721 trust"]);
    assert_eq!(said("127.0.0.1:6432", ""), [""; 0]);
    assert_eq!(said("[::1]:6432", ""), [""; 0]);
    assert_eq!(said("0.0.0.0:6432", "authenticate = [\"scram\"]"), [""; 0]);
}

#[test]
fn secrets_that_others_can_read_are_told() {
    let text = format!(
        "{SMALLEST}[user.a]\npassword = {{ file = \"a.secret\" }}\n[user.b]\npassword = {{ env = \"B\" }}\n"
    );
    let memory = |mode: Option<u32>| {
        let mut memory = Memory::default()
            .file("policy.toml", &text)
            .file("a.secret", "hunter2")
            .variable("B", "hunter2");
        memory
            .modes
            .extend(mode.map(|mode| ("a.secret".into(), mode)));
        memory
    };
    assert_eq!(of(&memory(Some(0o644))), ["P0722 \"a.secret\""]);
    for mode in [Some(0o640), Some(0o600), Some(0o642), None] {
        assert_eq!(of(&memory(mode)), [""; 0], "{mode:?}");
    }
    // A hash is no secret, but it is not in the policy.
    let hash = crate::digest::sha256_hex(b"x");
    let stage = "[stage.a]\nhook = \"authorize\"\nplugin = \"x\"\n[plugin.x]\npath = \"x.wasm\"\nsha256 = { file = \"x.sha256\" }\n";
    let root = SMALLEST.replace("otherwise", "authorize = [\"a\"]\notherwise");
    let mut memory = Memory::default()
        .file("policy.toml", format!("{root}{stage}"))
        .file("x.wasm", "x")
        .file("x.sha256", hash);
    memory.modes.insert("x.sha256".into(), 0o644);
    assert_eq!(of(&memory), ["P0723 { file = \"x.sha256\" }"]);
}

#[test]
fn stages_that_fail_open_or_do_not_count_are_told() {
    let script = |more: &str, hook: &str| {
        let stage = format!("[stage.a]\nhook = \"{hook}\"\nscript = \"next()\"\n{more}\n");
        said(&format!("{hook} = [\"a\"]"), &stage)
    };
    assert_eq!(
        script("on_failure = \"open\"", "pre_query"),
        ["P0724 on_failure"]
    );
    assert_eq!(
        script("[sandbox]\non_failure = \"open\"", "pre_query"),
        ["P0724 on_failure"]
    );
    assert_eq!(script("on_failure = \"open\"", "post_query"), [""; 0]);
    assert_eq!(script("on_failure = \"closed\"", "pre_query"), [""; 0]);
    let deny = |mode: &str| {
        let stage = format!("[stage.a]\nhook = \"pre_query\"\nmode = \"{mode}\"\ndeny = \"no\"\n");
        said("pre_query = [\"a\"]", &stage)
    };
    assert_eq!(deny("observe"), ["P0725 mode"]);
    assert_eq!(deny("off"), ["P0725 mode"]);
    assert_eq!(deny("enforce"), [""; 0]);
}

#[test]
fn tests_that_are_missing_or_say_nothing_are_told() {
    let report = |lists: &str, more: &str| {
        let root = SMALLEST.replace("otherwise", &format!("{lists}\notherwise"));
        let (policy, report) = Memory::default()
            .file("policy.toml", format!("{root}\n{more}"))
            .load(None);
        assert!(policy.is_some(), "{:#?}", report.lines());
        report.lines()
    };
    let stage = "[stage.a]\nhook = \"authorize\"\nwhen = { kind = \"ddl\" }\ndeny = \"no\"\n";
    let list = "authorize = [\"a\"]";
    let lines = report(list, stage);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].contains("warning[P0731]: there is a stage and no test"),
        "{lines:#?}"
    );
    let test = |expect: &str| {
        format!(
            "{stage}[[test]]\nname = \"t\"\ngiven = {{ user = \"a\", sql = \"SELECT 1\" }}\n{expect}\n"
        )
    };
    assert_eq!(
        report(list, &test("expect = { verdict = \"allow\" }")),
        [""; 0]
    );
    for nothing in ["expect = { steps = [] }", "cases = []"] {
        let lines = report(list, &test(nothing));
        assert!(
            lines.iter().any(|line| line.contains("warning[P0732]")),
            "{nothing} {lines:#?}"
        );
    }
    let other = "[listener.other]\nbind = [\"127.0.0.1:1\"]\npipeline = \"other\"\n[pipeline.other]\nauthorize = [\"b\"]\notherwise = { authorize = \"allow\" }\n\
        [stage.b]\nhook = \"authorize\"\nwhen = { kind = \"ddl\" }\ndeny = \"no\"\n";
    let lines = report(
        list,
        &format!("{}{other}", test("expect = { verdict = \"allow\" }")),
    );
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].contains("no test plays a session in pipeline `other`"),
        "{lines:#?}"
    );
}
