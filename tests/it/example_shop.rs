//! `examples/shop`: with the files that its README asks for it passes `check` and `test`, in each environment, and no change of it goes
//! unnoticed but those that are known.

use crate::support::Folder;
use crate::support::certificate;
use crate::support::plugins;
use crate::support::proxy::pgwarden;
use crate::support::repository;
use crate::support::said::Said;
use std::path::Path;

/// The example with its placeholders filled, and a trust root.
fn shop() -> Folder {
    let folder = Folder::new("shop");
    let example = repository().join("examples/shop");
    let made = certificate::localhost();
    let module = plugins::example("helios_fixture");
    for inner in ["policies", "tls", "secrets", "plugins"] {
        std::fs::create_dir(folder.path().join(inner)).expect("a folder");
    }
    for file in ["policy.toml", "policies/users.toml"] {
        let text = std::fs::read(example.join(file)).expect("a file of the example");
        folder.write(file, text);
    }
    folder.write("tls/server.crt", &made.certificate);
    folder.write("secrets/tls.key", &made.key);
    folder.write("secrets/pg_password", "secret\n");
    folder.write("plugins/cost_governor.wasm", &module);
    let sum = format!("{}  cost_governor.wasm\n", plugins::sha256(&module));
    folder.write("plugins/cost_governor.wasm.sha256", sum);
    let sign = "plugin sign plugins/cost_governor.wasm --key platform-team.key";
    for command in ["plugin keygen platform-team", sign] {
        let (code, said) = run(folder.path(), command);
        assert_eq!(code, Some(0), "{command}: {said}");
    }
    folder
}

fn run(folder: &Path, command: &str) -> (Option<i32>, String) {
    let arguments: Vec<&str> = command.split(' ').collect();
    let mut command = pgwarden(&arguments);
    let said = Said::by(command.current_dir(folder));
    (said.code, said.all())
}

#[test]
fn the_example_is_checked_and_tested_in_every_environment() {
    let folder = shop();
    let check = "check policy.toml --trust-root . --require-signed --all-envs";
    let (code, said) = run(folder.path(), check);
    assert_eq!(code, Some(0), "{said}");
    for environment in ["", " --env prod"] {
        let test = format!("test policy.toml --trust-root .{environment} --coverage");
        let (code, said) = run(folder.path(), &test);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(" 0 failed"), "{said}");
    }
    // The key belongs to the operator: without it nobody is trusted.
    let (code, said) = run(folder.path(), "check policy.toml --trust-root plugins");
    assert_eq!(code, Some(1));
    assert!(said.contains("P0456"), "{said}");
}
