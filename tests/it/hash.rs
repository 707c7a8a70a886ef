//! `pgwarden hash`: what it prints lets its password in, through the proxy and at PostgreSQL itself, and no other.

use crate::support::Folder;
use crate::support::cluster::Cluster;
use crate::support::drivers::Transport;
use crate::support::drivers::libpq;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::proxy::program;
use crate::support::said::Said;
use std::io::Write as _;
use std::process::Command;
use std::process::Stdio;

/// SASLprep makes `IX` of the Roman numeral and a blank of the no-break space.
const PASSWORD: &str = "p\u{e4}ss \u{2168}\u{a0}w";

/// Runs the verb with this on its standard input.
fn hash(arguments: &[&str], input: &str) -> Said {
    Said::by_reading(pgwarden(&["hash"]).args(arguments), input)
}

#[track_caller]
fn hashed(arguments: &[&str], input: &str) -> String {
    let said = hash(arguments, input);
    assert_eq!(said.code, Some(0), "{}", said.err);
    said.out
}

/// Whether psql gets in with a password.
fn gets_in(port: u16, user: &str, password: &str) -> bool {
    let output = libpq("psql", port, user, Transport::Plain)
        .env("PGPASSWORD", password)
        .env("PGCLIENTENCODING", "UTF8")
        .args(["-X", "-q", "-A", "-t", "-w", "-c", "SELECT 'in'"])
        .output()
        .expect("psql");
    output.status.success() && output.stdout == b"in\n"
}

#[test]
fn a_verifier_lets_its_password_in_through_the_proxy() {
    let table = hashed(&["anna lena"], &format!("{PASSWORD}\n"));
    assert!(
        table.starts_with("[user.\"anna lena\"]\nverifier = \"SCRAM-SHA-256$4096:"),
        "{table}"
    );
    let policy = PolicyText::of(Cluster::shared())
        .pool_key("login = { user = \"app\" }")
        .users(&table);
    let proxy = Proxy::start(&policy);
    assert!(gets_in(proxy.port, "anna lena", PASSWORD));
    assert!(gets_in(proxy.port, "anna lena", "p\u{e4}ss IX w"));
    assert!(!gets_in(proxy.port, "anna lena", "p\u{e4}ss"));
}

#[test]
fn a_verifier_is_one_of_postgresql() {
    let cluster = Cluster::new(0);
    let verifier = hashed(&["scram_user", "--bare", "--iterations", "10000"], PASSWORD);
    let verifier = verifier.trim_end();
    assert!(verifier.starts_with("SCRAM-SHA-256$10000:"), "{verifier}");
    let alter = format!("ALTER ROLE scram_user PASSWORD '{verifier}'");
    crate::support::drivers::psql(
        cluster.primary.port,
        "postgres",
        Transport::Plain,
        &[&alter],
    );
    let stored = "SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_user'";
    assert_eq!(cluster.primary.value(stored), verifier, "taken as it is");
    assert!(gets_in(cluster.primary.port, "scram_user", PASSWORD));
    assert!(!gets_in(cluster.primary.port, "scram_user", "secret"));
}

#[test]
fn every_verifier_has_a_salt_of_its_own() {
    let one = hashed(&["a", "--bare"], "secret\n");
    assert_ne!(one, hashed(&["a", "--bare"], "secret\n"));
}

#[test]
fn what_is_no_password_is_refused() {
    for (arguments, input, code, why) in [
        (&["a"][..], "", 1, "the password is empty"),
        (&["a\u{7}"], "secret\n", 1, "is not a name for a user"),
        (&["a", "--iterations", "1"], "secret\n", 64, "4096"),
        (&[], "secret\n", 64, "USER"),
    ] {
        let said = hash(arguments, input);
        assert_eq!(said.code, Some(code), "{}", said.err);
        let is_told = said.err.contains(why) && !said.err.contains("secret");
        assert!(is_told, "{}", said.err);
    }
}

/// `script` of util-linux runs a program on a terminal of its own and shows what is to be seen there.
#[test]
fn a_terminal_does_not_show_what_is_typed() {
    let folder = Folder::new("terminal");
    let out = folder.path().join("out");
    // The answer to each prompt comes after it: before, the terminal would still echo.
    let commands = format!(
        "'{}' hash a --bare > '{}'",
        program().display(),
        out.display()
    );
    let Ok(mut child) = Command::new("script")
        .args(["-q", "-e", "-c", &commands, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    else {
        eprintln!("skipped: there is no `script` that makes a terminal");
        return;
    };
    let mut shown = child.stdout.take().expect("a pipe");
    let mut typed = child.stdin.take().expect("a pipe");
    let mut all = String::new();
    for prompt in ["Password for a: ", "Once more: "] {
        while !all.ends_with(prompt) {
            let mut byte = [0];
            std::io::Read::read_exact(&mut shown, &mut byte).expect("a prompt");
            all.push(char::from(byte[0]));
        }
        typed.write_all(b"secret\n").expect("the terminal");
        typed.flush().expect("the terminal");
    }
    let status = child.wait().expect("script ends");
    std::io::Read::read_to_string(&mut shown, &mut all).expect("the rest");
    assert!(status.success() && !all.contains("secret"), "{all:?}");
    let verifier = std::fs::read_to_string(out).expect("what was printed");
    assert!(verifier.starts_with("SCRAM-SHA-256$4096:"), "{verifier}");
}
