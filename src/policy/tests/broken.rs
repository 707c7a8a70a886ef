//! Mistakes: each is found, where it is, beside all the others.

use super::*;

/// The code and place of each mistake in the smallest policy with `more`.
fn mistakes(more: &str) -> Vec<String> {
    lines(&smallest(more))
}

fn lines(memory: &Memory) -> Vec<String> {
    let (policy, report) = memory.load(None);
    assert_eq!(policy.is_none(), report.has_errors());
    report.lines()
}

fn codes(lines: &[String]) -> Vec<&str> {
    lines
        .iter()
        .filter_map(|line| Some(line.split_once("error[")?.1.split_once(']')?.0))
        .collect()
}

/// Also where the hooks it is for are a variable, and there are several.
#[test]
fn a_stage_is_listed_only_where_it_declares() {
    let root = |hook: &str| {
        let lists = "pre_query = [\"a\"]\notherwise";
        let root = SMALLEST.replace("otherwise", lists);
        format!(
            "{root}[vars]\nh = [\"authorize\", \"metrics\"]\n[stage.a]\nhook = {hook}\nscript = 'next()'\n"
        )
    };
    for hook in ["[\"authorize\", \"metrics\"]", "{ var = \"h\" }"] {
        let memory = Memory::default().file("policy.toml", root(hook));
        let found = lines(&memory);
        assert_eq!(
            codes(&found)
                .iter()
                .filter(|code| **code == "P0606")
                .count(),
            1,
            "{hook}: {found:?}"
        );
    }
    let memory = Memory::default().file("policy.toml", root("{ var = \"nowhere\" }"));
    assert!(!codes(&lines(&memory)).contains(&"P0606"));
}

#[test]
fn the_report_looks_as_documented() {
    let text = "policy = 1\n\n[stage.pii]\nhook = \"pre_query\"\nwhen = { kind = [\"update\"], has_were = false }\ndeny = \"no\"\n";
    let root = SMALLEST
        .replace("otherwise", "pre_query = [\"pii\"]\notherwise")
        .replace("[listener", "include = [\"policies/pii.toml\"]\n[listener");
    let memory = Memory::default()
        .file("policy.toml", root)
        .file("policies/pii.toml", text);
    let (_, report) = memory.load(None);
    let expected = "\
error[P0207]: unknown key `has_were` in `when`
 --> policies/pii.toml:5:29
  |
5 | when = { kind = [\"update\"], has_were = false }
  |                             ^^^^^^^^ did you mean `has_where`?
1 error in 2 files
";
    assert_eq!(report.render(Colour::Never), expected);
    let line = "policies/pii.toml:5:29: error[P0207]: unknown key `has_were` in `when`; did you mean `has_where`?";
    assert_eq!(report.lines(), [line]);
}

#[test]
fn every_mistake_is_told_at_once() {
    let lines = mistakes(
        r#"
[user.a]
password = "hunter2"
roles = ["dab"]
[role.dba]
[stage.x]
hook = ["authorize", "pre_qery"]
when = { elapsed = ">1s", kind = "slect" }
on_failure = "open"
script = "next()"
[stage.y]
hook = "route"
deny = { code = "00000", message = "m" }
allow = true
[role.z]
roles = ["a"]
[plugin.p]
path = "missing.wasm"
sha256 = "abc"
"#,
    );
    let expected = [
        "P0506", "P0301", "P0605", "P0502", "P0603", "P0502", "P0604", "P0601", "P0605", "P0505",
        "P0204", "P0306", "P0452",
    ];
    assert_eq!(codes(&lines), expected, "{lines:#?}");
}

/// What is added to the smallest policy, and the code that it must get.
const RULES: &[(&str, &str)] = &[
    (
        "[stage.a]\nhook = \"pre_query\"\nroute = \"primary\"\n",
        "P0602",
    ),
    ("[stage.a]\nhook = \"pre_query\"\n", "P0601"),
    (
        "[stage.a]\nhook = \"pre_query\"\ncache = { ttl = \"1s\" }\n",
        "P0602",
    ),
    (
        "[stage.a]\nhook = [\"cache_get\", \"cache_set\"]\ncache = { ttl = \"1s\" }\n",
        "P0602",
    ),
    ("[stage.a]\nhook = \"cache_get\"\ncache = {}\n", "P0201"),
    (
        "[stage.a]\nhook = \"cache_get\"\ncache = { ttl = \"25h\" }\n",
        "P0503",
    ),
    (
        "[stage.a]\nhook = \"cache_get\"\ncache = { ttl = \"1s\", vary = [\"users\"] }\n",
        "P0502",
    ),
    (
        "[stage.a]\nhook = \"cache_get\"\ncache = { ttl = \"1s\", vary = [\"attr.\"] }\n",
        "P0502",
    ),
    (
        "[stage.a]\nhook = \"cache_get\"\ncache = { ttl = \"1s\", vary = [\"user\", \"user\"] }\n",
        "P0608",
    ),
    (
        "[stage.a]\nhook = \"cache_get\"\ncache = { ttl = \"1s\", max_bytes = \"1KiB\" }\n",
        "P0503",
    ),
    (
        "[stage.a]\nhook = \"cache_get\"\ncache = { ttl = \"1s\", max_entry = \"5MiB\" }\n",
        "P0503",
    ),
    (
        "[stage.a]\nhook = \"cache_get\"\ncache = { ttl = \"1s\", invalidate = \"on_reads\" }\n",
        "P0502",
    ),
    (
        "[stage.a]\nhook = \"pre_query\"\ndeny = \"x\"\nfuel = 5\n",
        "P0208",
    ),
    (
        "[stage.a]\nhook = \"pre_query\"\nscript = \"next()\"\nfuel = 5_000_000\n",
        "P0607",
    ),
    ("[stage.a]\nhook = \"pre_query\"\ndeny = \"x\"\n", "P0605"),
    (
        "[stage.a]\nhook = \"on_connect\"\nwhen = { kind = \"ddl\" }\ndeny = \"x\"\n",
        "P0603",
    ),
    (
        "[stage.a]\nhook = \"custom\"\nwhen = { in_transaction = true }\ndeny = \"x\"\n",
        "P0603",
    ),
    (
        "[stage.a]\nhook = \"pre_query\"\nlog = { fields = [\"sql.text\"] }\n",
        "P0609",
    ),
    (
        "[stage.a]\nhook = \"pre_query\"\nwhen = { client = \"10.0.0.1/8\" }\ndeny = \"x\"\n",
        "P0508",
    ),
    ("[stage.a]\nhook = \"route\"\nroute = \"pg\"\n", "P0301"),
    (
        "[stage.a]\nhook = \"pre_query\"\nwhen = { bytes = \">5\" }\ndeny = \"x\"\n",
        "P0508",
    ),
    (
        "[stage.a]\nhook = \"pre_query\"\nwhen = {}\ndeny = \"x\"\n",
        "P0509",
    ),
    (
        "[stage.a]\nhook = \"pre_query\"\nwhen = { weekday = \"monday\" }\ndeny = \"x\"\n",
        "P0508",
    ),
    (
        "[stage.a]\nhook = \"pre_query\"\nwhen = { time = \"08:00..08:00\" }\ndeny = \"x\"\n",
        "P0508",
    ),
    (
        "[stage.a]\nhook = \"pre_query\"\nwhen = { weekday = [\"mon+01:00\", \"tue\"] }\ndeny = \"x\"\n",
        "P0508",
    ),
    ("[stage.a]\nhook = \"pre_query\"\nplugin = \"p\"\n", "P0301"),
    (
        "[stage.a]\nhook = \"pre_query\"\nmask = { columns = \"t.c\" }\n",
        "P0602",
    ),
    (
        "[stage.a]\nhook = \"authorize\"\nmask = { columns = \"c\" }\n",
        "P0501",
    ),
    (
        "[stage.a]\nhook = \"authorize\"\nmask = { columns = [] }\n",
        "P0509",
    ),
    (
        "[stage.a]\nhook = \"authorize\"\nmask = { columns = [\"t.c\", \"T.c\"] }\n",
        "P0608",
    ),
    (
        "[stage.a]\nhook = \"authorize\"\nmask = { columns = \"t.c\", with = \"stars\" }\n",
        "P0502",
    ),
    (
        "[stage.a]\nhook = \"authorize\"\nmask = { columns = \"t.c\", with = { keep_last = 0 } }\n",
        "P0503",
    ),
    (
        "[stage.a]\nhook = \"authorize\"\nmask = { columns = \"t.c\", with = \"hash\" }\n",
        "P0201",
    ),
    (
        "[stage.a]\nhook = \"authorize\"\nmask = { columns = \"t.c\", with = \"hash\", key = \"0123456789abcdef\" }\n",
        "P0506",
    ),
    (
        "[stage.a]\nhook = \"authorize\"\nmask = { columns = \"t.c\", key = { env = \"K\" } }\n",
        "P0208",
    ),
    ("[log]\nlevel = \"info\"\n", "P0204"),
    ("[reload]\nsessions = \"next\"\n", "P0502"),
    ("[reload]\nkeep = 101\n", "P0503"),
    ("[admin]\nsocket = \"admin.sock\"\n", "P0504"),
    ("[admin]\nsocket = \"unix:/run/admin.sock\"\n", "P0504"),
    (
        "[admin]\nsocket = \"/run/a.sock\"\nmetrics = \"unix:/run/a.sock\"\n",
        "P0504",
    ),
    ("[reload]\ngate = \"test\"\n", "P0502"),
    ("[admin]\nmetrics = \"localhost:9127\"\n", "P0504"),
    ("[admin]\nmetrics = \"127.0.0.1:6432\"\n", "P0504"),
    ("[sandbox]\nbreaker = { failures = 0 }\n", "P0503"),
    ("[sandbox]\nbreaker = { within = \"0s\" }\n", "P0503"),
    ("[sandbox]\nbreaker = { after = \"1s\" }\n", "P0207"),
    (
        "[stage.a]\nhook = \"pre_query\"\ndeny = \"x\"\nbreaker = { failures = 2 }\n",
        "P0208",
    ),
    ("[listenr.x]\n", "P0207"),
    (
        "[node.pg2]\nrole = \"primary\"\nhost = \"h\"\nport = 70000\n",
        "P0503",
    ),
    ("[node.pg2]\nrole = \"primary\"\n", "P0201"),
    ("[node.pg2]\nrole = 5\nhost = \"h\"\n", "P0202"),
    (
        "[node.\"p g\"]\nrole = \"primary\"\nhost = \"h\"\n",
        "P0205",
    ),
    (
        "[node.pg2]\nrole = \"primary\"\nhost = \"h\"\nconnect_timeout = \"5\"\n",
        "P0501",
    ),
    (
        "[node.pg2]\nrole = \"primary\"\nhost = { var = \"nope\" }\n",
        "P0302",
    ),
    (
        "[node.pg2]\nrole = \"primary\"\nhost = { env = \"NOPE\" }\n",
        "P0303",
    ),
    ("[vars]\na = 1\n[env.x.vars]\nb = 1\n", "P0304"),
    ("[vars]\na = 1\n[env.x.vars]\na = \"1\"\n", "P0304"),
    (
        "[pool.b]\ndatabase = \"b\"\nnodes = [\"pg\", \"pg\"]\n",
        "P0608",
    ),
    (
        "[pool.b]\ndatabase = \"b\"\nnodes = [\"pg\"]\nmode = \"transaction\"\n",
        "P0610",
    ),
    ("[pool.b]\ndatabase = \"*\"\nnodes = [\"pg\"]\n", "P0610"),
    (
        "[pool.b]\ndatabase = \"b\"\nnodes = [\"pg\"]\npool_mode = \"session\"\n",
        "P0207",
    ),
    ("[user.a]\nverifier = \"hunter2\"\n", "P0507"),
    ("[user.a]\nmd5 = \"md5\"\n", "P0507"),
    ("[user.a]\n", "P0203"),
    (
        "[user.a]\ntrust = true\nexpires = 2026-01-01T00:00:00\n",
        "P0501",
    ),
    ("[listener.b]\nbind = \"localhost:1\"\n", "P0504"),
    (
        "[listener.b]\nbind = \"127.0.0.1:1\"\ntls = \"require\"\n",
        "P0201",
    ),
    ("[listener.b]\nbind = []\n", "P0509"),
    (
        "[pipeline.b]\notherwise = { authorize = \"deny\" }\n",
        "P0605",
    ),
    ("[permissions.a]\nsee = [\"sql.txt\"]\n", "P0502"),
    ("[permissions.a]\ncall = [\"kv.read\"]\n", "P0201"),
    ("[permissions.a]\ncall = [\"cache\"]\n", "P0201"),
    (
        "[permissions.a]\nmetrics = { a = { kind = \"gauge\" } }\n",
        "P0208",
    ),
    (
        "[permissions.a]\ncall = \"metrics\"\nmetrics = { a = { help = \"x\" } }\n",
        "P0201",
    ),
    (
        "[permissions.a]\ncall = \"metrics\"\nmetrics = { a = { kind = \"gage\" } }\n",
        "P0502",
    ),
    (
        "[permissions.a]\ncall = \"metrics\"\nmetrics = { \"A b\" = { kind = \"gauge\" } }\n",
        "P0501",
    ),
    (
        "[permissions.a]\nsee = \"session\"\npatterns = { a = \"(\" }\n",
        "P0512",
    ),
    (
        "[sandbox]\nmax_host_calls = 10\n[stage.a]\nhook = \"pre_query\"\nscript = \"next()\"\nmax_host_calls = 11\n",
        "P0607",
    ),
    (
        "[[test]]\nname = \"t\"\ngiven = { user = \"u\", sql = \"x\" }\nexpect = { by = \"nope\" }\n",
        "P0301",
    ),
    (
        "[[test]]\nname = \"t\"\ngiven = { user = \"u\" }\n",
        "P0203",
    ),
    ("a = \n", "P0101"),
    ("[node.pg]\n", "P0101"),
];

#[test]
fn each_rule_has_its_code() {
    for (more, code) in RULES {
        let lines = mistakes(more);
        assert!(codes(&lines).contains(code), "{more}\n{lines:#?}");
    }
}

#[test]
fn a_hook_that_is_misspelt_is_told_once() {
    let root = SMALLEST.replace("otherwise", "pre_query = [\"s\"]\notherwise");
    for hook in ["\"pre_qery\"", "[\"pre_qery\"]"] {
        let text = format!("{root}[stage.s]\nhook = {hook}\ndeny = \"no\"\n");
        let lines = lines(&Memory::default().file("policy.toml", text));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("did you mean `pre_query`?"), "{lines:?}");
    }
    // One of several.
    let root = root.replace("otherwise", "route = [\"s\"]\notherwise");
    let text = format!("{root}[stage.s]\nhook = [\"route\", \"pre_qery\"]\ndeny = \"no\"\n");
    let lines = lines(&Memory::default().file("policy.toml", text));
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn files_that_cannot_be_read_or_go_round_in_circles() {
    let with = |include: &str| {
        SMALLEST.replace("[listener", &format!("include = [{include:?}]\n[listener"))
    };
    let memory = Memory::default();
    assert_eq!(
        lines(&memory),
        ["error[P0102]: cannot read `policy.toml`: no such file"]
    );
    let memory = Memory::default().file("policy.toml", with("./a/../policy.toml"));
    assert_eq!(codes(&lines(&memory)), ["P0105"]);
    let memory = Memory::default().file("policy.toml", with("gone.toml"));
    assert_eq!(codes(&lines(&memory)), ["P0306"]);
    let memory = Memory::default().file("policy.toml", [0xff, 0xfe]);
    assert_eq!(codes(&lines(&memory)), ["P0103"]);
    let memory = Memory::default()
        .file("policy.toml", with("a.toml"))
        .file("a.toml", "policy = 1\n[node.pg]\n");
    let found = lines(&memory);
    assert_eq!(codes(&found), ["P0206"]);
    assert!(
        found[0].starts_with("a.toml:2:7") && found[0].contains("policy.toml:9:7"),
        "{found:?}"
    );
    let memory =
        Memory::default().file("policy.toml", SMALLEST.replace("policy = 1", "policy = 2"));
    assert_eq!(codes(&lines(&memory)), ["P0106"]);
    let memory = Memory::default().file(
        "policy.toml",
        SMALLEST.replace(
            "policy = 1\nname   = \"quickstart\"",
            "name = \"q\"\npolicy = 1",
        ),
    );
    assert_eq!(codes(&lines(&memory)), ["P0107"]);
}

#[test]
fn a_plugin_must_be_the_one_that_is_pinned() {
    let stage = "[plugin.p]\npath = \"p.wasm\"\nsha256 = \"HASH\"\n[stage.s]\nhook = \"authorize\"\nplugin = \"p\"\n";
    let root = SMALLEST.replace("otherwise", "authorize = [\"s\"]\notherwise");
    let memory = |hash: &str| {
        Memory::default()
            .file(
                "policy.toml",
                format!("{root}{}", stage.replace("HASH", hash)),
            )
            .file("p.wasm", "module")
    };
    let hash = crate::digest::sha256_hex(b"module");
    let right = memory(&hash);
    assert_eq!(&*right.policy().plugins[0].bytes, b"module");
    let times = right
        .asked
        .borrow()
        .iter()
        .filter(|path| path.ends_with("p.wasm"))
        .count();
    assert_eq!(times, 1, "the bytes that are hashed are the bytes that run");
    let (_, report) = memory(&"0".repeat(64)).load(None);
    let text = report.render(Colour::Never);
    assert!(
        text.contains("P0451") && text.contains(&hash) && text.contains(&"0".repeat(64)),
        "{text}"
    );
}

#[test]
fn secrets_in_the_policy_are_not_shown() {
    for credential in ["password", "verifier", "md5"] {
        let (_, report) = smallest(&format!("[user.a]\n{credential} = \"hunter2\"\n")).load(None);
        let text = format!("{}{:?}", report.render(Colour::Never), report.lines());
        assert!(report.has_errors() && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn what_comes_later_is_refused_by_name() {
    let lines = mistakes("[role.z]\nroles = [\"a\"]\n");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("`roles` in `[role.z]` is not supported by this version")),
        "{lines:?}"
    );
}
