//! What guests get wrong, as `check` shows it: once, at its place, beside every other mistake of the policy.

use super::*;
use crate::policy::Colour;
use crate::policy::Files;
use std::io;
use std::path::Path;

const HEAD: &str = r#"policy = 1
[listener.main]
bind = "127.0.0.1:6432"
[node.pg]
role = "primary"
host = "127.0.0.1"
[pool.main]
database = "*"
nodes = "pg"
[permissions.tenant]
see = ["identity", "sql.kind"]
call = ["log"]
"#;
const GUARD: &str = r#"[pipeline.default]
authorize = ["guard"]
otherwise = { authorize = "allow" }
[stage.guard]
hook = "authorize"
"#;
/// Wants a call that nothing grants here, and does not export what its hook needs.
const MODULE: &str = r#"(module
    (import "pgwarden1" "kv_set" (func (param i32 i32 i32 i32 i64) (result i32)))
    (memory (export "memory") 1)
    (func (export "pgw_alloc") (param i32) (result i32) i32.const 0))"#;

/// Writes to the log, and nothing else that needs a permission.
const GOOD: &str = r#"(module
    (import "pgwarden1" "log" (func (param i32 i32 i32)))
    (memory (export "memory") 1)
    (func (export "pgw_alloc") (param i32) (result i32) i32.const 0)
    (func (export "authorize") (param i32 i32) (result i64) i64.const 0))"#;

struct OneFile(String);

impl Files for OneFile {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.extension() {
            Some(kind) if kind == "wasm" => {
                let is_good = path.ends_with("good.wasm");
                Ok(wat::parse_str(if is_good { GOOD } else { MODULE }).unwrap())
            }
            _ => Ok(self.0.clone().into_bytes()),
        }
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn trusted_key(&self, _: &str) -> Option<io::Result<Vec<u8>>> {
        None
    }

    fn requires_signatures(&self) -> bool {
        false
    }

    fn mode(&self, _: &Path) -> Option<u32> {
        None
    }
}

/// The report of the policy that ends with `more`, as `check` makes it.
fn check(more: &str) -> Report {
    let files = OneFile(format!("{HEAD}{GUARD}{more}"));
    let (policy, mut report) = policy::load(Path::new("policy.toml"), None, &files);
    match policy {
        Ok(policy) => {
            let analyzer = Arc::new(Analyzer::new(1));
            let stats = StatsRegistry::default();
            let compiled = compile(&policy, &mut report, &stats, &analyzer);
            assert_eq!(compiled.is_none(), report.has_errors());
            if let Some(pipelines) = compiled {
                policy::lint_grants(&policy, &crate::pipeline::uses(&pipelines), &mut report);
            }
        }
        Err(draft) => review_guests(&draft, &mut report),
    }
    // None of these policies has tests, and some do not use the permissions.
    report.forgive(&["P0731".to_owned(), "P0711".to_owned()]);
    report
}

fn codes(report: &Report) -> Vec<&'static str> {
    report
        .diagnostics()
        .iter()
        .map(|found| found.code)
        .collect()
}

const SETS: &str =
    "permissions = \"tenant\"\nscript = '''\nkv::set(\"seen\", user.name);\nnext()\n'''\n";

#[test]
fn what_is_not_granted_is_told_as_documented() {
    let report = check(SETS);
    let expected = "\
error[P0412]: stage `guard` calls `kv::set`, which permissions `tenant` do not grant
  --> policy.toml:20:1
   |
20 | kv::set(\"seen\", user.name);
   | ^^^^^^^ needs `kv.write` in `call`; granted at policy.toml:12: call = [\"log\"]
1 error in 1 file
";
    assert_eq!(report.render(Colour::Never), expected);
    let report = check("script = '''\nsql.text;\nnext()\n'''\n");
    let line = "policy.toml:19:5: error[P0405]: `sql.text` is not visible to stage `guard`; \
        needs `sql.text` in `see`; the stage names no `permissions`";
    assert_eq!(report.lines(), [line]);
}

#[test]
fn guests_are_judged_beside_the_other_mistakes() {
    let report = check(&format!("{SETS}when = {{ kind = \"slect\" }}\n[rol.x]\n"));
    assert_eq!(codes(&report), ["P0412", "P0502", "P0207"]);
}

#[test]
fn plugins_are_judged_beside_the_other_mistakes() {
    // An unreadable plugin before it: indices of what was read are not those of what is written.
    let plugins = "plugin = \"p\"\n[plugin.a]\npath = \"a.txt\"\nsha256 = \"x\"\n[plugin.p]\npath = \"p.wasm\"\nsha256 = \"HASH\"\n";
    let report = check(plugins);
    assert_eq!(codes(&report), ["P0452", "P0452"]);
    let wrong_hash = plugins.replace("HASH", &"0".repeat(64));
    let report = check(&wrong_hash);
    assert_eq!(codes(&report), ["P0412", "P0423", "P0452", "P0451"]);
    let lines = report.lines();
    assert!(
        lines[0].starts_with("policy.toml:16:8: error[P0412]: plugin `p`: imports `kv_set`, which"),
        "{lines:#?}"
    );
}

#[test]
fn nothing_is_told_of_a_guest_whose_terms_are_not_known() {
    for (more, expected) in [
        (SETS.replace("tenant", "tennant"), ["P0301"]),
        (SETS.replace("permissions", "permision"), ["P0207"]),
        (format!("{SETS}on = \"pre_query\"\n"), ["P0207"]),
    ] {
        assert_eq!(codes(&check(&more)), expected, "{more}");
    }
}

#[test]
fn what_is_granted_and_never_used_is_told_where_it_is_granted() {
    let check = |script: &str| {
        let report = check(&format!(
            "permissions = \"tenant\"\nscript = '''\n{script}\nnext()\n'''\n"
        ));
        assert!(!report.has_errors(), "{:#?}", report.lines());
        report.lines()
    };
    let unused = |place: &str, key: &str, what: &str| {
        format!(
            "policy.toml:{place}: warning[P0741]: `{key}` of permissions `tenant` grants `{what}`, which no stage uses; remove it"
        )
    };
    let (identity, kind, log) = (
        unused("11:8", "see", "identity"),
        unused("11:20", "see", "sql.kind"),
        unused("12:9", "call", "log"),
    );
    assert_eq!(check(""), [identity.as_str(), &kind, &log]);
    assert_eq!(check("log::info(user.name);"), [kind.as_str()]);
    assert_eq!(
        check("if field::contains(\"user.name\", \"a\") { log::warn(\"a\"); }"),
        [kind.as_str()]
    );
    assert_eq!(
        check("if sql.has_kind(\"ddl\") && user.has_role(\"x\") { log::warn(\"a\"); }"),
        [""; 0]
    );
    // Whoever is handed a variable may look at all of it.
    assert_eq!(
        check("fn name(who) { who.name } name(user); sql.kind;"),
        [log.as_str()]
    );
}

#[test]
fn a_plugin_calls_what_it_imports_and_may_see_whatever_it_is_granted() {
    let hash = crate::digest::sha256_hex(&wat::parse_str(GOOD).unwrap());
    let plugin = format!(
        "permissions = \"tenant\"\nplugin = \"p\"\n[plugin.p]\npath = \"good.wasm\"\nsha256 = \"{hash}\"\n"
    );
    assert_eq!(check(&plugin).lines(), [""; 0]);
    let files = format!("{HEAD}{GUARD}{plugin}").replace("[\"log\"]", "[\"log\", \"time\"]");
    let (policy, mut report) = policy::load(Path::new("policy.toml"), None, &OneFile(files));
    let (policy, stats) = (policy.unwrap(), StatsRegistry::default());
    let analyzer = Arc::new(Analyzer::new(1));
    let pipelines = compile(&policy, &mut report, &stats, &analyzer).unwrap();
    policy::lint_grants(&policy, &crate::pipeline::uses(&pipelines), &mut report);
    report.forgive(&["P0731".to_owned()]);
    let line = "policy.toml:12:16: warning[P0741]: `call` of permissions `tenant` grants `time`, which no stage uses; remove it";
    assert_eq!(report.lines(), [line]);
}
