//! A plugin made for heliosdb-proxy with its manifest in a file beside it, as it is handed over: it runs, it is shown, and what the file
//! says holds.

use crate::support::Folder;
use crate::support::cluster::Cluster;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use crate::support::wait_for;
use std::path::Path;

const SEES: &str = "[permissions.legacy]\nsee = [\"identity\", \"sql.text\", \"result.summary\"]\ncall = [\"kv.read\", \"kv.write\", \"sha256\"]\n\
     kv = { namespace = \"legacy\" }\n";

fn fixture() -> Vec<u8> {
    plugins::example("helios_fixture")
}

fn policy(hooks: &[&str]) -> PolicyText {
    let plugin = plugins::table("fixture", &fixture());
    let policy =
        PolicyText::of(Cluster::shared()).extra(&format!("{plugin}abi = \"helios-1\"\n\n{SEES}"));
    hooks.iter().fold(policy, |policy, hook| {
        let name = hook.replace('_', "-");
        let keys = "plugin = \"fixture\"\npermissions = \"legacy\"";
        policy.stage(hook, &name, keys)
    })
}

fn yaml() -> String {
    format!(
        "# What heliosdb-proxy reads beside a plugin.\n---\nname: fixture\nversion: 0.10\ndescription: >\n  Answers what a statement\n\
         \x20 asks for\nauthor: \"somebody\"\nhooks:\n  - PreQuery\n  - PostQuery\npermissions: [KvStore]\nmin_memory: 1048576\n\
         max_memory: 67108864\nwasm_sha256: {}\n",
        plugins::sha256(&fixture())
    )
}

fn json() -> String {
    format!(
        "{{\n  \"name\": \"fixture\",\n  \"version\": \"0.10\",\n  \"author\": \"somebody\",\n  \"hooks\": [\"PreQuery\", \"PostQuery\"],\n\
         \x20 \"permissions\": [\"KvStore\"],\n  \"max_memory\": 67108864,\n  \"wasm_sha256\": \"{}\"\n}}\n",
        plugins::sha256(&fixture())
    )
}

fn runs_as_it_is(name: &str, manifest: &str) {
    let files = [("fixture.wasm", &*fixture()), (name, manifest.as_bytes())];
    let proxy = Proxy::start_with(&policy(&["pre_query", "post_query"]), &files, &[]);
    let mut wire = proxy.login("app");
    let rewritten = "SELECT 'fixture:pre_query.kind.rewrite'";
    assert_eq!(wire.value(rewritten), "rewritten");
    let blocked = "SELECT 'fixture:pre_query.action.block'";
    assert_eq!(wire.fails(blocked).message, "blocked by action");
    assert_eq!(only_problem(&wire.extended(blocked)).code, "42000");
    assert_eq!(wire.value("SELECT 7"), "7");
    let row = proxy.admin().table("SHOW PLUGINS").swap_remove(0);
    assert_eq!((&*row["plugin"], &*row["version"]), ("fixture", "0.10"));
    assert_eq!(row["state"], "ready");
}

#[test]
fn a_plugin_with_yaml_beside_it_runs_as_it_is() {
    runs_as_it_is("fixture.yaml", &yaml());
}

#[test]
fn a_plugin_with_json_beside_it_runs_as_it_is() {
    runs_as_it_is("fixture.json", &json());
}

/// What a verb says of a policy in a folder.
#[track_caller]
fn said(folder: &Path, arguments: &[&str], code: i32) -> String {
    Said::ends(pgwarden(arguments).current_dir(folder), code).all()
}

#[test]
fn what_the_file_says_holds_and_a_mistake_in_it_has_a_place() {
    let folder = Folder::new("sidecars");
    for (name, text) in PolicyText::files() {
        folder.write(name, text);
    }
    folder.write("fixture.wasm", fixture());
    folder.write("policy.toml", policy(&["pre_query", "route"]).text());
    let check = |code: i32| said(folder.path(), &["check", "policy.toml"], code);
    let inspect = |code: i32| said(folder.path(), &["plugin", "inspect", "fixture.wasm"], code);
    check(0);
    assert!(!inspect(0).contains("made for"));

    folder.write("fixture.yml", yaml());
    let text = check(1);
    for expected in ["P0428", "is not made for the hook `route`"] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    let text = inspect(0);
    for expected in [
        "version    0.10",
        "made for   pre_query, post_query",
        "asks for   KvStore",
        "env.kv_get (kv.read)",
    ] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }

    folder.write("fixture.yml", yaml().replace("PostQuery", "Rout"));
    let text = check(1);
    for expected in [
        "P0427",
        "fixture.yml:11:5",
        "did you mean `route`?",
        "- Rout",
    ] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    folder.write(
        "fixture.yml",
        "name: fixture\nhooks: [PreQuery\nversion: 1\n",
    );
    let text = check(1);
    assert!(
        text.contains("P0427") && text.contains("fixture.yml:3:8"),
        "{text}"
    );
    let text = inspect(1);
    assert!(text.contains("fixture.yml:3:8: "), "{text}");

    let other = plugins::sha256(b"another module");
    folder.write(
        "fixture.yml",
        format!("name: a\nhooks: []\nwasm_sha256: {other}\n"),
    );
    let text = check(1);
    for expected in [
        "P0427",
        "fixture.yml:3:14",
        &format!("and the module has `{}`", plugins::sha256(&fixture())),
    ] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }

    folder.write("fixture.json", json());
    let text = check(1);
    let both = "both `fixture.yml` and `fixture.json` lie beside the plugin";
    assert!(text.contains("P0610") && text.contains(both), "{text}");
    assert!(inspect(1).contains(both));
}

#[test]
fn a_change_of_the_file_is_a_change_of_the_policy() {
    let policy = policy(&["pre_query"]).extra("[reload]\nwatch = true");
    let files = [("fixture.wasm", &*fixture())];
    let proxy = Proxy::start_with(&policy, &files, &[]);
    let mut admin = proxy.admin();
    let first = admin.table("SHOW POLICY").swap_remove(0);
    // There was none, and now there is one.
    std::fs::write(proxy.path("fixture.yaml"), yaml()).expect("written");
    let mut of_plugin = || admin.table("SHOW PLUGINS").swap_remove(0);
    wait_for("its version is known", || {
        (of_plugin()["version"] == "0.10").then_some(())
    });
    let second = admin.table("SHOW POLICY").swap_remove(0);
    assert_ne!(first["revision"], second["revision"]);
    // One for another hook: refused, and what runs stays.
    let other = yaml().replace("PreQuery", "Route");
    std::fs::write(proxy.path("fixture.yaml"), other).expect("written");
    let third = wait_for("the other one is refused", || {
        let row = admin.table("SHOW POLICY").swap_remove(0);
        (row["last_reload"] == "refused").then_some(row)
    });
    assert_eq!(second["revision"], third["revision"]);
    assert!(third["mistakes"].contains("P0428"), "{third:?}");
    let blocked = "SELECT 'fixture:pre_query.action.block'";
    assert!(shape(&proxy.login("app").query(blocked)).starts_with('E'));
}
