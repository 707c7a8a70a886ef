//! Revisions that are kept on disk: they outlive the process, and hold no secret.

use super::*;
use crate::support::Killed;

/// A policy of several files: one is included, one is a plugin with its pin, one is a password.
fn of_many_files(base: &PolicyText, socket: &Path, message: &str) -> (String, Vec<u8>) {
    let users = "[user.app]\ntrust = true\n[user.postgres]\ntrust = true\n\
                 [user.secretive]\npassword = { file = \"password\" }\n";
    let text = base
        .clone()
        .users(users)
        .admin_key(&format!("socket = \"{}\"", socket.display()))
        .extra("[plugin.p]\npath = \"p.wasm\"\nsha256 = { file = \"p.sha256\" }")
        .stage("pre_query", "asks", "plugin = \"p\"")
        .text();
    let text = text.replacen(
        "name = \"it\"\n",
        "name = \"it\"\ninclude = [\"more.toml\"]\n",
        1,
    );
    (text, plugins::refusing(message))
}

fn more(role: &str) -> String {
    format!("policy = 1\n[role.{role}]\n")
}

const SECRET: &str = "hunter2-and-a-half";

#[track_caller]
fn holds_no_secret(state: &Path) {
    for file in std::fs::read_dir(state).expect("a folder") {
        let path = file.expect("a file").path();
        let bytes = std::fs::read(&path).expect("readable");
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(SECRET), "{}", path.display());
        assert!(!text.contains("PRIVATE KEY"), "{}", path.display());
        let mode = std::fs::metadata(&path).expect("a file").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn kept_revisions_outlive_the_process_and_hold_no_secret() {
    let folder = Folder::new("state");
    let (socket, state) = (folder.path().join("admin.sock"), folder.path().join("kept"));
    let base = PolicyText::of(Cluster::shared());
    let write = |proxy_folder: &Path, message: &str| {
        let (text, bytes) = of_many_files(&base, &socket, message);
        for (name, content) in [
            ("password", SECRET.as_bytes()),
            ("more.toml", more(message).as_bytes()),
            ("p.sha256", plugins::sha256(&bytes).as_bytes()),
            ("p.wasm", &bytes),
            ("policy.toml", text.as_bytes()),
        ] {
            std::fs::write(proxy_folder.join(name), content).expect("written");
        }
    };
    let state_argument = state.to_str().expect("UTF-8").to_owned();
    // One folder for both processes, so that the paths are the same.
    write(folder.path(), "old");
    for (name, text) in PolicyText::files() {
        folder.write(name, text);
    }
    let path = folder.path().join("policy.toml");
    let start = || {
        let mut command = pgwarden(&["run", "--state", &state_argument]);
        let child = command.arg(&path).stderr(Stdio::null());
        let child = child.spawn().expect("pgwarden starts");
        wait_for("the proxy answers", || {
            (ask(&socket, &["status"]).code == Some(0)).then_some(())
        });
        Killed(child)
    };
    let stop = |mut serving: Killed| {
        signal("TERM", serving.0.id());
        assert!(serving.0.wait().expect("it ends").success());
    };
    let refusal = || {
        let mut wire = Wire::login(base.port, "app", "app");
        wire.fails("SELECT 1").message
    };
    let first = start();
    assert_eq!(refusal(), "old");
    write(folder.path(), "new");
    works(&socket, &["reload"]);
    assert_eq!(refusal(), "new");
    let second = said(pgwarden(&["run", "--state", &state_argument]).arg(&path));
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains("another process"), "{second:?}");
    stop(first);
    // The files of the first revision are gone, and so is what pinned its plugin.
    let second = start();
    let kept = listed(&history(&socket));
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_eq!(kept[0].1, "start");
    works(&socket, &["rollback"]);
    assert_eq!(refusal(), "old");
    assert_eq!(listed(&history(&socket))[0].0, kept[1].0);
    let mode = std::fs::metadata(&state).expect("a folder").permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);
    holds_no_secret(&state);
    // A secret is read where it lies: without it there is no way back.
    std::fs::remove_file(folder.path().join("password")).expect("removed");
    let refused = ask(&socket, &["rollback"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("password"), "{refused:?}");
    assert_eq!(refusal(), "old");
    stop(second);
}
