//! `pgwarden check --live`: what nodes say of themselves is compared with the policy; without it no node is asked.

use crate::support::Folder;
use crate::support::cluster::Cluster;
use crate::support::free_port;
use crate::support::policy::PolicyText;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;

fn check(text: &str, arguments: &[&str]) -> Said {
    let folder = Folder::new("live");
    for (name, bytes) in PolicyText::files() {
        folder.write(name, bytes);
    }
    folder.write("policy.toml", text);
    let mut command = pgwarden(&["check", "policy.toml"]);
    Said::by(command.args(arguments).current_dir(folder.path()))
}

fn policy() -> String {
    let policy = PolicyText::of(Cluster::shared()).pool_key("login = { user = \"postgres\" }");
    policy.text()
}

#[test]
fn each_node_tells_its_version_and_role() {
    let said = check(&policy(), &["--live"]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    let line = said.out.lines().find(|line| line.starts_with("node pg1"));
    let line = line.expect("a line of the node");
    let start = "node pg1, database postgres as postgres (pool main): PostgreSQL 1";
    assert!(
        line.starts_with(start) && line.ends_with(", primary"),
        "{line}"
    );
}

#[test]
fn what_is_not_as_the_policy_says_is_an_error() {
    let text = policy();
    let wrong_role = text.replace("role = \"primary\"", "role = \"standby\"");
    let wrong_role = wrong_role.replace("route = \"primary\"", "route = \"standby\"");
    let no_database = text.replace("database = \"*\"", "database = \"no_such_database\"");
    let no_user = text.replace(
        "login = { user = \"postgres\" }",
        "login = { user = \"nobody_here\" }",
    );
    let port = Cluster::shared().primary.port.to_string();
    let away = text.replace(
        &format!("port = {port}"),
        &format!("port = {}", free_port()),
    );
    for (text, words) in [
        (
            &wrong_role,
            "it is a primary, and the policy says role = \"standby\"",
        ),
        (&no_database, "database \"no_such_database\" does not exist"),
        (&no_user, "as nobody_here (pool main): "),
        (&away, "cannot connect to"),
    ] {
        let said = check(text, &[]);
        assert_eq!(said.code, Some(0), "no node is asked: {}", said.err);
        let said = check(text, &["--live"]);
        assert_eq!(said.code, Some(1), "{words}\n{}{}", said.out, said.err);
        assert!(
            said.err.contains("error: node pg1, database "),
            "{}",
            said.err
        );
        assert!(said.err.contains(words), "{words}\n{}", said.err);
    }
}

#[test]
fn a_node_that_nobody_can_log_in_to_is_not_tried_and_mistakes_come_first() {
    let said = check(&PolicyText::of(Cluster::shared()).text(), &["--live"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("node pg1: not tried: "), "{}", said.out);
    let said = check(&policy().replace("size = 10", "sise = 10"), &["--live"]);
    assert_eq!(said.code, Some(1));
    assert!(!said.err.contains("node pg1"), "{}", said.err);
    for other in [
        &["--live", "--all-envs"][..],
        &["--live", "--format", "json"],
    ] {
        assert_eq!(check(&policy(), other).code, Some(64), "{other:?}");
    }
}
