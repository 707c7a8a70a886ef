//! Runs real clients against a port: psql, pgbench, and scripts of tests/drivers with Python and Node drivers.

use super::certificate;
use super::postgres::bin;
use super::postgres::has_tls;
use super::postgres::run;
use super::repository;
use super::script;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;

/// How a client reaches the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Plain,
    Tls,
}

/// Both, for tests that do everything twice.
pub(crate) const TRANSPORTS: [Transport; 2] = [Transport::Plain, Transport::Tls];

/// The transports that libpq's programs can do: those of PostgreSQL 18's wheel were built without TLS.
pub(crate) fn libpq_transports() -> &'static [Transport] {
    if has_tls() {
        return &TRANSPORTS;
    }
    eprintln!("skipped: this psql and pgbench were built without TLS");
    &[Transport::Plain]
}

/// A program of libpq's with its connection in the environment.
pub(crate) fn libpq(program: &str, port: u16, user: &str, transport: Transport) -> Command {
    let mut command = Command::new(bin().join(program));
    connection(&mut command, port, user, transport);
    command
}

fn connection(command: &mut Command, port: u16, user: &str, transport: Transport) {
    let mode = match transport {
        Transport::Plain => "disable",
        Transport::Tls => "verify-full",
    };
    command
        .stdin(Stdio::null())
        .env("HOME", "/")
        .env("PGHOST", "localhost")
        .env("PGHOSTADDR", "127.0.0.1");
    command
        .env("PGPORT", port.to_string())
        .env("PGUSER", user)
        .env("PGDATABASE", "app");
    command
        .env("PGSSLMODE", mode)
        .env("PGSSLROOTCERT", authority_file())
        .env("PGCONNECT_TIMEOUT", "30");
}

/// Runs statements with psql, each as a Query of its own, and gives unaligned rows.
#[track_caller]
pub(crate) fn psql(port: u16, user: &str, transport: Transport, statements: &[&str]) -> String {
    let mut command = libpq("psql", port, user, transport);
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
    for statement in statements {
        command.args(["-c", statement]);
    }
    run(&mut command)
}

/// A python with psycopg 3 and asyncpg.
fn python() -> &'static PathBuf {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| script("drivers.sh", &["python"]))
}

/// A folder whose node_modules holds node-postgres.
fn node_home() -> &'static PathBuf {
    static NODE: OnceLock<PathBuf> = OnceLock::new();
    NODE.get_or_init(|| script("drivers.sh", &["node"]))
}

/// Whether Node.js is there at all; the other drivers are always tested.
pub(crate) fn has_node() -> bool {
    Command::new("node")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok()
}

/// Runs a script of tests/drivers, which ends with "ok" when everything in it held.
#[track_caller]
pub(crate) fn driver(name: &str, port: u16, mode: &str, transport: Transport) {
    let mut command = if name.ends_with(".py") {
        Command::new(python())
    } else {
        let mut command = Command::new("node");
        command.env("NODE_PATH", node_home().join("node_modules"));
        command
    };
    connection(&mut command, port, "app", transport);
    command
        .arg(repository().join("tests/drivers").join(name))
        .env("POOL_MODE", mode);
    let printed = run(&mut command);
    assert!(printed.ends_with("ok\n"), "{name}: {printed}");
}

/// The authority's certificate in a file, for clients that want a path.
fn authority_file() -> &'static PathBuf {
    static FILE: OnceLock<(super::Folder, PathBuf)> = OnceLock::new();
    let (_, path) = FILE.get_or_init(|| {
        let folder = super::Folder::new("ca");
        let path = folder.write("ca.crt", &certificate::localhost().authority);
        (folder, path)
    });
    path
}
