//! Revisions that are kept: they outlive the process, hold no secret, and know the commit they came from.

use super::*;
use crate::figures::figure;
use crate::figures::scrape;
use crate::support::Killed;
use crate::support::git::git;

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

/// A certificate and its key in one file, or the key's file by another path: neither leaves the place where it lies.
#[test]
fn a_private_key_is_neither_kept_nor_told_by_whatever_path_it_is_read() {
    let state = Folder::new("keys");
    let kept = state.path().join("kept");
    let arguments = ["--state", kept.to_str().expect("UTF-8")];
    let running = Running::start("first", &arguments);
    let folder = running.proxy.folder().to_owned();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    let both = read("server.crt") + &read("server.key");
    std::fs::write(folder.join("both.pem"), &both).expect("written");
    std::fs::create_dir(folder.join("more")).expect("a folder");
    std::os::unix::fs::symlink("both.pem", folder.join("link.pem")).expect("a link");
    std::fs::hard_link(folder.join("both.pem"), folder.join("hard.pem")).expect("a link");
    let text = policy(&running.base, &running.socket, "second").text();
    for (cert, key) in [
        ("both.pem", "server.key"),
        ("both.pem", "link.pem"),
        ("link.pem", "both.pem"),
        ("hard.pem", "more/../both.pem"),
    ] {
        let text = text
            .replace("cert = \"server.crt\"", &format!("cert = \"{cert}\""))
            .replace("file = \"server.key\"", &format!("file = \"{key}\""));
        assert!(text.contains(cert) && text.contains(key), "{text}");
        running.proxy.write_policy(&text);
        works(&running.socket, &["reload"]);
        let (names, secrets) = files(&running.socket);
        assert_eq!(names, ["policy.toml"], "{cert} {key}");
        assert!(secrets.contains(cert), "{secrets}");
        holds_no_secret(&kept);
    }
    works(&running.socket, &["rollback", "3"]);
    assert_eq!(running.says(), "second");
}

/// What the figure says is about the files on disk; what is kept has nothing to do with it.
#[test]
fn a_rollback_says_nothing_of_the_files_on_disk() {
    let port = crate::support::free_port();
    let base =
        PolicyText::of(Cluster::shared()).admin_key(&format!("metrics = \"127.0.0.1:{port}\""));
    let make = |base: &PolicyText, socket: &Path| policy(base, socket, "first");
    let running = Running::over(base, make, &[]);
    let failed = || figure(&scrape(port), "pgwarden_last_reload_failed");
    assert_eq!(ask(&running.socket, &["rollback"]).code, Some(1));
    assert_eq!(failed(), 0.0, "a rollback that was refused read no file");
    running.write("second");
    works(&running.socket, &["reload"]);
    let text = policy(&running.base, &running.socket, "third").text();
    running
        .proxy
        .write_policy(&text.replace("size = 10", "siez = 10"));
    assert_eq!(ask(&running.socket, &["reload"]).code, Some(1));
    assert_eq!(failed(), 1.0);
    works(&running.socket, &["rollback"]);
    assert_eq!(failed(), 1.0, "the files on disk are as wrong as before");
    running.write("third");
    works(&running.socket, &["reload"]);
    assert_eq!(failed(), 0.0);
}

/// The commit alone does not say what is in force where a file of the policy is not as it is there.
#[test]
fn a_policy_that_is_not_as_in_its_commit_is_called_dirty() {
    let running = Running::start("first", &[]);
    let git = |arguments: &[&str]| {
        let printed = git(running.proxy.folder(), arguments);
        printed.trim().to_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "policy.toml", "server.crt"]);
    git(&["commit", "-q", "-m", "first"]);
    let first = git(&["rev-parse", "HEAD"]);
    let commit = || status(&running.socket)["commit"].clone();
    assert_eq!(commit(), Value::Null);
    // Files beside it that are none of its own do not count, nor does its key.
    works(&running.socket, &["reload"]);
    assert_eq!(commit(), first);
    running.write("second");
    let dirty = format!("{first}-dirty");
    let out = works(&running.socket, &["reload"]);
    assert!(out.contains(&format!("commit {dirty}, ")), "{out}");
    assert_eq!(commit(), dirty);
    let row = running.proxy.admin().table("SHOW POLICY").swap_remove(0);
    assert_eq!(row["commit"], dirty);
    let told = works(&running.socket, &["history"]);
    assert!(told.contains(&format!("{}-dirty", &first[..8])), "{told}");
    running.proxy.event("the log says so", |event| {
        event["message"] == "policy reloaded" && event["commit"] == *dirty
    });
    git(&["commit", "-q", "-a", "-m", "second"]);
    works(&running.socket, &["reload"]);
    assert_eq!(commit(), git(&["rev-parse", "HEAD"]));
    works(&running.socket, &["rollback"]);
    assert_eq!(commit(), first, "the one it was loaded with");
}
