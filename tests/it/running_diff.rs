//! `pgwarden diff --running`: the older side is the policy that a process has in force, whatever lies on disk by now.

use crate::support::Folder;
use crate::support::Killed;
use crate::support::cluster::Cluster;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use crate::support::wait_for;
use std::path::Path;
use std::process::Stdio;

fn diff(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = pgwarden(&["diff", "--running"]);
    let command = command.args(arguments).current_dir(folder);
    Said::by(command.env_remove("PGWARDEN_SOCKET"))
}

fn policy(socket: &Path) -> PolicyText {
    PolicyText::of(Cluster::shared())
        .admin_key(&format!("socket = \"{}\"", socket.display()))
        .stage(
            "pre_query",
            "rule",
            "when = { tables = [\"by_rule\"] }\ndeny = \"no\"",
        )
}

#[test]
fn the_running_policy_is_the_older_side() {
    let folder = Folder::new("running");
    let socket = folder.path().join("admin.sock");
    let running = policy(&socket);
    let proxy = Proxy::start(&running);
    wait_for("the admin socket is there", || {
        socket.exists().then_some(())
    });
    let said = diff(proxy.folder(), &["policy.toml"]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    assert!(
        said.out.ends_with("  no difference in meaning\n"),
        "{}",
        said.out
    );
    let text = running.text();
    proxy.write_policy(&text.replace("[\"by_rule\"]", "[\"by_rule\", \"other\"]"));
    let said = diff(proxy.folder(), &["policy.toml"]);
    assert_eq!(said.code, Some(2), "{}{}", said.out, said.err);
    let (header, rest) = said.out.split_once('\n').expect("a header");
    let revisions = header.strip_prefix("policy it  revision ").expect(header);
    assert_eq!(revisions.len(), "01234567 -> 01234567".len(), "{header}");
    assert_eq!(
        rest,
        "  narrows  stage.rule.when.tables  + other  is met by more\n"
    );
    // The file that it was started with is not asked.
    std::fs::remove_file(proxy.path("policy.toml")).expect("removed");
    proxy.write_policy("policy = 1\n");
    let other = folder.write(
        "other.toml",
        text.replace("deny = \"no\"", "deny = \"never\""),
    );
    for (name, bytes) in PolicyText::files() {
        folder.write(name, bytes);
    }
    let socket = socket.to_str().expect("UTF-8");
    let other = other.to_str().expect("UTF-8");
    let said = diff(proxy.folder(), &["--socket", socket, other]);
    assert_eq!(said.code, Some(2), "{}{}", said.out, said.err);
    assert!(said.out.contains("stage.rule"), "{}", said.out);
}

#[test]
fn secrets_are_read_where_they_lie_and_another_environment_is_noticed() {
    let folder = Folder::new("running");
    let socket = folder.path().join("admin.sock");
    let users = "[user.app]\ntrust = true\n[user.postgres]\ntrust = true\n\
                 [user.secretive]\npassword = { file = \"password\" }\n";
    let base = policy(&socket).users(users);
    let text = base
        .extra("[vars]\nlimit = { env = \"PGWARDEN_TEST_SIZE\" }")
        .pool_key("lifetime = { var = \"limit\" }");
    for (name, bytes) in PolicyText::files() {
        folder.write(name, bytes);
    }
    folder.write("password", "hunter2-and-a-half");
    let path = folder.write("policy.toml", text.text());
    let child = pgwarden(&["run", "policy.toml"])
        .current_dir(folder.path())
        .env("PGWARDEN_TEST_SIZE", "2h")
        .stderr(Stdio::null())
        .spawn()
        .expect("pgwarden starts");
    let _serving = Killed(child);
    wait_for("the admin socket is there", || {
        socket.exists().then_some(())
    });
    let elsewhere = Folder::new("elsewhere");
    let from = |size: &str| {
        let mut command = pgwarden(&["diff", "--running", "--socket"]);
        let command = command
            .arg(&socket)
            .arg(&path)
            .current_dir(elsewhere.path());
        let said = Said::by(command.env("PGWARDEN_TEST_SIZE", size));
        (said.code, said.all())
    };
    let (code, said) = from("2h");
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let (code, said) = from("3h");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("an environment variable is another one in that process"),
        "{said}"
    );
}

#[test]
fn nobody_answers_and_wrong_usage() {
    let folder = Folder::new("running");
    let socket = folder.path().join("admin.sock");
    folder.write("policy.toml", policy(&socket).text());
    for (name, bytes) in PolicyText::files() {
        folder.write(name, bytes);
    }
    let said = diff(folder.path(), &["policy.toml"]);
    assert_eq!(said.code, Some(69), "{}", said.err);
    folder.write("other.toml", PolicyText::of(Cluster::shared()).text());
    for wrong in [&["other.toml"][..], &["policy.toml", "other.toml"], &[]] {
        let said = diff(folder.path(), wrong);
        assert_eq!(said.code, Some(64), "{wrong:?} {}", said.err);
    }
    let arguments = ["diff", "--running", "--git", "HEAD", "policy.toml"];
    Said::ends(&mut pgwarden(&arguments), 64);
}
