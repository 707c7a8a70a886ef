//! The verbs of `pgwarden plugin` where `docs/plugins.md` shows no example: what they refuse, other languages, other places; and what
//! signatures mean to a proxy that runs.

use crate::support::Folder;
use crate::support::cluster::Cluster;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::Reload;
use crate::support::proxy::pgwarden;
use crate::support::repository;
use crate::support::said::Said;
use std::path::Path;
use std::process::Command;

/// Runs a verb in a folder and gives what it printed.
#[track_caller]
fn plugin(folder: &Path, arguments: &str, code: i32) -> String {
    let arguments: Vec<&str> = ["plugin"].into_iter().chain(arguments.split(' ')).collect();
    let mut command = pgwarden(&arguments);
    command
        .current_dir(folder)
        .env_remove("PGWARDEN_TRUST_ROOT");
    Said::ends(&mut command, code).all()
}

fn new_builds_and_passes_its_own_test(language: &str) {
    let folder = Folder::new("new");
    plugin(folder.path(), &format!("new guard --lang {language}"), 0);
    plugin(folder.path(), "build guard", 0);
    let said = plugin(folder.path(), "test guard", 0);
    assert!(
        said.ends_with("3 passed, 0 failed    hooks 1/1\n"),
        "{said}"
    );
    // From within its folder as well, and one case alone.
    let said = plugin(&folder.path().join("guard"), "test . role", 0);
    assert!(said.contains("2 passed, 0 failed"), "{said}");
    let said = plugin(folder.path(), "new guard", 1);
    assert_eq!(said, "error: `guard` exists\n");
}

#[test]
fn a_new_plugin_in_rust_builds_and_passes_its_own_test() {
    new_builds_and_passes_its_own_test("rust");
}

#[test]
fn a_new_plugin_in_text_builds_and_passes_its_own_test() {
    new_builds_and_passes_its_own_test("wat");
}

#[test]
fn a_new_plugin_in_c_builds_and_passes_its_own_test() {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if has("clang") && has("wasm-ld") {
        new_builds_and_passes_its_own_test("c");
    } else {
        eprintln!("skipped, no clang and wasm-ld here");
    }
}

#[test]
fn a_failing_case_says_what_was_expected_and_where() {
    let folder = Folder::new("failing");
    plugin(folder.path(), "new guard --lang wat", 0);
    plugin(folder.path(), "build guard", 0);
    let cases = "[[case]]\nname = \"no\"\nhook = \"authorize\"\ngiven = { sql = \"DELETE FROM t\" }\n\
        expect = { answer = \"continue\", fuel_below = 10 }\n\
        [[case]]\nname = \"what it says\"\nhook = \"authorize\"\ngiven = { sql = \"DELETE FROM t\" }\n\
        expect = { code = \"42501\", message = \"no\" }\n\
        [[case]]\nname = \"not here\"\nhook = \"route\"\nexpect = { fault = \"trap\" }\n";
    folder.write("cases.toml", cases);
    let said = plugin(folder.path(), "test guard --cases cases.toml", 1);
    let expected = "\
FAIL no  cases.toml:1:1
     expected answer = continue      got block
     expected fuel below 10      got 183
FAIL what it says  cases.toml:6:1
     expected code = 42501      got 42000
     expected message = \"no\"      got \"refused by policy\"
FAIL not here  cases.toml:11:1
     is not made for the hook `route`; made for authorize
     does not export `route`, which the hook `route` needs
0 passed, 3 failed    hooks 1/1
";
    assert_eq!(said, expected);
    folder.write("cases.toml", "[[case]]\nname = \"a\"\nhok = \"route\"\n");
    let said = plugin(folder.path(), "test guard --cases cases.toml", 1);
    assert!(
        said.contains("cases.toml:3:1") && said.contains("did you mean `hook`?"),
        "{said}"
    );
}

#[test]
fn what_does_not_load_is_not_built() {
    let folder = Folder::new("unbuilt");
    plugin(folder.path(), "new guard --lang wat", 0);
    folder.write("guard/guard.wat", "(module (memory (export \"memory\") 1))");
    let said = plugin(folder.path(), "build guard", 1);
    let expected = "\
error[P0423]: does not export `pgw_alloc`, which the ABI needs
error[P0423]: does not export `authorize`, which the hook `authorize` needs
error: `guard/guard.wasm` was not written
";
    assert_eq!(said, expected);
    assert!(!folder.path().join("guard/guard.wasm").exists());
    folder.write("guard/guard.wat", "(module (memory");
    let said = plugin(folder.path(), "build guard", 1);
    assert!(said.contains("guard.wat:1:16"), "{said}");
    let said = plugin(folder.path(), "build .", 1);
    assert_eq!(
        said,
        "error: `.` is no plugin's folder: it has no `manifest.json`\n"
    );
}

#[test]
fn inspect_compares_the_imports_with_the_grants() {
    let folder = Folder::new("inspect");
    let module = plugins::wat(
        r#"(module
            (import "pgwarden1" "kv_get" (func (param i32 i32 i32 i32) (result i32)))
            (import "pgwarden1" "get" (func (param i32 i32 i32 i32) (result i32)))
            (import "env" "abort" (func))
            (memory (export "memory") 1 2)
            (func (export "extra") (param i32))
            (func (export "pgw_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "authorize") (param i32 i32) (result i64) (i64.const 0)))"#,
    );
    folder.write("p.wasm", &module);
    let sha256 = plugins::sha256(&module);
    let expected = format!(
        "\
plugin     p
file       p.wasm, {} bytes
sha256     {sha256}
signature  none
memory     64KiB, grows to 128KiB
hooks      authorize
exports    extra (i32) -> ()
imports    pgwarden1.kv_get (kv.read), pgwarden1.get, env.abort (no host function)
",
        module.len()
    );
    assert_eq!(plugin(folder.path(), "inspect p.wasm", 0), expected);
    let policy = PolicyText::of(Cluster::shared())
        .stage("authorize", "s", "plugin = \"p\"")
        .extra(&plugins::table("p", &module));
    folder.write("policy.toml", policy.text());
    for (name, text) in PolicyText::files() {
        folder.write(name, text);
    }
    let said = plugin(folder.path(), "inspect p.wasm --policy policy.toml", 1);
    let (_, stage) = said.split_once("\n\n").expect("a part about the stage");
    let lines: Vec<&str> = stage.lines().skip(1).collect();
    let expected = [
        "  pgwarden1.kv_get             NOT GRANTED",
        "  pgwarden1.get                granted",
        "  env.abort                    UNKNOWN",
        "  error[P0412]: imports `kv_get`, which the standard permissions do not grant",
        "  error[P0425]: imports `env.abort`; host functions live in `pgwarden1` only",
    ];
    assert_eq!(lines, expected);
    let other = plugins::pre_query("(i64.const 0)");
    folder.write("other.wasm", other);
    let said = plugin(folder.path(), "inspect other.wasm --policy policy.toml", 1);
    assert!(
        said.contains("no stage of `policy.toml` that can be read asks a plugin with this sha256"),
        "{said}"
    );
}

#[test]
fn pin_writes_the_hash_and_nothing_else() {
    let folder = Folder::new("pin");
    let (one, two) = (plugins::refusing("one"), plugins::refusing("two"));
    std::fs::create_dir(folder.path().join("in")).expect("a folder");
    folder.write("one.wasm", &one);
    folder.write("two.wasm", &two);
    folder.write("in/two.sha256", "00  two.wasm\n");
    folder.write("in/policy.toml", "policy = 1\n[plugin.two] # kept\npath   = \"../two.wasm\"\nsha256 = { file = \"two.sha256\" }\n");
    let policy = |hash: &str| {
        format!(
            "policy = 1 # first\ninclude = \"in/policy.toml\"\n\n[plugin.one]\npath = \"one.wasm\"\nsha256   =  {hash}  # reviewed\n\n[vars]\nx = 1\n"
        )
    };
    folder.write("policy.toml", policy("\"00\""));
    let said = plugin(folder.path(), "pin policy.toml one", 0);
    assert_eq!(
        said,
        format!("pinned one  {}  in policy.toml\n", plugins::sha256(&one))
    );
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("a file");
    assert_eq!(
        text("policy.toml"),
        policy(&format!("\"{}\"", plugins::sha256(&one)))
    );
    let said = plugin(folder.path(), "pin policy.toml", 0);
    assert_eq!(
        said,
        format!("pinned two  {}  in in/two.sha256\n", plugins::sha256(&two))
    );
    assert_eq!(
        text("in/two.sha256"),
        format!("{}  two.wasm\n", plugins::sha256(&two))
    );
    let said = plugin(folder.path(), "pin policy.toml", 1);
    assert_eq!(said, "error: `policy.toml` pins these files already\n");
    let said = plugin(folder.path(), "pin policy.toml three", 1);
    assert_eq!(
        said,
        "error: `policy.toml` has no plugin `three`; known: one, two\n"
    );
    folder.write(
        "policy.toml",
        "policy = 1\n[plugin.one]\npath = \"nowhere.wasm\"\n",
    );
    let said = plugin(folder.path(), "pin policy.toml", 1);
    assert!(said.contains("cannot read `nowhere.wasm`"), "{said}");
}

#[test]
fn keys_are_kept_and_checked() {
    let folder = Folder::new("keys");
    folder.write("p.wasm", plugins::refusing("no"));
    for name in ["one", "two"] {
        plugin(folder.path(), &format!("keygen {name}"), 0);
    }
    let said = plugin(folder.path(), "keygen one", 1);
    assert_eq!(
        said,
        "error: `one.pub` exists; a key is never overwritten\n"
    );
    let said = plugin(folder.path(), "keygen ../one", 1);
    assert!(said.contains("is not a name for a key"), "{said}");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(folder.path().join("one.key")).expect("the key");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let said = plugin(folder.path(), "verify p.wasm --key one.pub", 1);
    assert_eq!(said, "error: `p.wasm` is not signed\n");
    let said = plugin(folder.path(), "sign p.wasm --key one.pub", 1);
    assert!(
        said.contains("`one.pub` begins with `pgwarden-public-ed25519`"),
        "{said}"
    );
    plugin(folder.path(), "sign p.wasm --key one.key", 0);
    plugin(folder.path(), "verify p.wasm --key one.pub", 0);
    plugin(folder.path(), "verify p.wasm --trust-root . --by one", 0);
    let said = plugin(folder.path(), "verify p.wasm --trust-root . --by two", 1);
    assert_eq!(said, "error: `p.wasm` is not signed by two\n");
    let said = plugin(folder.path(), "verify p.wasm --key two.pub", 1);
    assert_eq!(said, "error: `p.wasm` is signed by none of these keys\n");
    let said = plugin(folder.path(), "verify p.wasm", 1);
    assert!(said.contains("no key is trusted"), "{said}");
    folder.write("p.wasm", plugins::refusing("yes"));
    plugin(folder.path(), "verify p.wasm --key one.pub", 1);
}

#[test]
fn a_revoked_key_stops_the_next_reload_and_nothing_else() {
    let keys = Folder::new("trust");
    let module = plugins::refusing("signed and sealed");
    keys.write("p.wasm", &module);
    plugin(keys.path(), "keygen team", 0);
    plugin(keys.path(), "sign p.wasm --key team.key", 0);
    let signature = std::fs::read(keys.path().join("p.wasm.sig")).expect("the signature");
    let policy = PolicyText::of(Cluster::shared())
        .stage(
            "pre_query",
            "p",
            "when = { tables = [\"by_rule\"] }\nplugin = \"p\"",
        )
        .extra(&format!(
            "{}signed_by = \"team\"\n",
            plugins::table("p", &module)
        ));
    let trust = keys.path().to_str().expect("UTF-8");
    let proxy = Proxy::start_with(
        &policy,
        &[("p.wasm", &module), ("p.wasm.sig", &signature)],
        &["--trust-root", trust, "--require-signed"],
    );
    let mut wire = proxy.login("app");
    assert_eq!(
        wire.fails("SELECT id FROM by_rule").message,
        "signed and sealed"
    );
    assert_eq!(proxy.hang_up(), Reload::Swapped);
    std::fs::rename(keys.path().join("team.pub"), keys.path().join("team.gone")).expect("revoked");
    assert_eq!(proxy.hang_up(), Reload::Kept);
    proxy.event("the log says why", |event| {
        event.to_string().contains("the key `team` is not trusted")
    });
    assert_eq!(
        wire.fails("SELECT id FROM by_rule").message,
        "signed and sealed"
    );
    // Somebody else's module with somebody else's signature does not come in either.
    std::fs::rename(keys.path().join("team.gone"), keys.path().join("team.pub"))
        .expect("trusted again");
    plugin(keys.path(), "keygen mallory", 0);
    let other = plugins::refusing("forged");
    keys.write("p.wasm", &other);
    plugin(keys.path(), "sign p.wasm --key mallory.key", 0);
    std::fs::copy(keys.path().join("p.wasm"), proxy.path("p.wasm")).expect("copied");
    std::fs::copy(keys.path().join("p.wasm.sig"), proxy.path("p.wasm.sig")).expect("copied");
    let pinned = policy
        .text()
        .replace(&plugins::sha256(&module), &plugins::sha256(&other));
    assert_eq!(proxy.reload(&pinned), Reload::Kept);
    assert_eq!(
        wire.fails("SELECT id FROM by_rule").message,
        "signed and sealed"
    );
}

#[test]
fn the_example_plugins_pass_their_own_tests() {
    for name in ["deny_ddl", "tenant_guard"] {
        let module = plugins::example(name);
        let folder = Folder::new("example");
        folder.write("p.wasm", module);
        let cases = repository().join(format!("plugins/{name}/tests/cases.toml"));
        let said = plugin(
            folder.path(),
            &format!("test p.wasm --cases {}", cases.display()),
            0,
        );
        assert!(said.contains(" passed, 0 failed"), "{said}");
    }
}
