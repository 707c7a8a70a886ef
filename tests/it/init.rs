//! `pgwarden init`: what it writes passes `check` and `test`, is never written over, and serves the users a PgBouncer served.

use crate::support::Folder;
use crate::support::cluster::Cluster;
use crate::support::drivers::Transport;
use crate::support::drivers::libpq;
use crate::support::free_port;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

#[track_caller]
fn run(folder: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let said = Said::ends(pgwarden(arguments).current_dir(folder), code);
    (said.out, said.err)
}

#[test]
fn a_policy_to_start_with_is_right_and_never_written_over() {
    let folder = Folder::new("init");
    let (out, err) = run(folder.path(), &["init"], 0);
    assert_eq!(
        out,
        "wrote policy.toml\nwrote policy.schema.json\nwrote .taplo.toml\n"
    );
    assert_eq!(err, "");
    run(folder.path(), &["check", "policy.toml"], 0);
    let (out, _) = run(folder.path(), &["test", "policy.toml"], 0);
    assert!(out.starts_with("2 passed, 0 failed"), "{out}");
    run(folder.path(), &["fmt", "--check", "policy.toml"], 0);
    let schema = std::fs::read(folder.path().join("policy.schema.json")).expect("the schema");
    let (printed, _) = run(folder.path(), &["schema"], 0);
    assert_eq!(schema, printed.as_bytes());

    std::fs::remove_file(folder.path().join("policy.schema.json")).expect("removed");
    folder.write("policy.toml", "mine");
    let (out, err) = run(folder.path(), &["init"], 1);
    let expected = "error: nothing is written, since nothing is overwritten: `policy.toml`, `.taplo.toml` are there already\n";
    assert_eq!((&*out, &*err), ("", expected));
    assert!(!folder.path().join("policy.schema.json").exists());
    let mine = std::fs::read_to_string(folder.path().join("policy.toml")).expect("a file");
    assert_eq!(mine, "mine");

    let (out, _) = run(folder.path(), &["init", "a/new"], 0);
    assert!(out.starts_with("wrote a/new/policy.toml\n"), "{out}");
}

fn psql(port: u16, user: &str, password: &str, database: &str, sql: &str) -> Output {
    libpq("psql", port, user, Transport::Plain)
        .env("PGPASSWORD", password)
        .env("PGDATABASE", database)
        .args(["-X", "-q", "-A", "-t", "-w", "-c", sql])
        .output()
        .expect("psql")
}

/// A PgBouncer's files in front of the shared cluster. Users of each kind of secret, all with the password `secret`.
fn pgbouncer(folder: &Folder, port: u16, more: &str) {
    let cluster = Cluster::shared();
    let node = cluster.primary.port;
    let stored = |user: &str| {
        let query = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{user}'");
        cluster.primary.value(&query)
    };
    let users = format!(
        "\"scram_user\" \"{}\"\n\"md5_user\" \"{}\"\n\"plain_user\" \"secret\"\n",
        stored("scram_user"),
        stored("md5_user")
    );
    folder.write("userlist.txt", users);
    let sockets = folder.path().display();
    let ini = format!(
        "[databases]\napp_dev = host=127.0.0.1 port={node} user=app\n* = host=127.0.0.1 port={node}\n\n[pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir = {sockets}\nauth_type = md5\nauth_file = userlist.txt\n\
         admin_users = plain_user\nserver_tls_sslmode = disable\n{more}"
    );
    folder.write("pgbouncer.ini", ini);
}

#[test]
fn users_of_a_pgbouncer_log_in_as_before() {
    let (folder, port) = (Folder::new("init"), free_port());
    pgbouncer(
        &folder,
        port,
        "pool_mode = transaction\ndefault_pool_size = 3\nquery_timeout = 30\n",
    );
    let (out, err) = run(folder.path(), &["init", "--from", "pgbouncer.ini"], 0);
    assert!(out.ends_with("wrote secrets/user-plain_user\n"), "{out}");
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 3, "{err}");
    assert!(
        lines[0].starts_with("pgbouncer.ini:15: query_timeout: there is no such limit"),
        "{err}"
    );
    assert!(
        lines[1].starts_with("pgbouncer.ini:11: admin_users: the console is the database"),
        "{err}"
    );
    assert!(
        lines[2].starts_with("pgbouncer.ini:2: [databases] app_dev: there is no password of `app`"),
        "{err}"
    );
    let policy = std::fs::read_to_string(folder.path().join("policy.toml")).expect("the policy");
    assert!(
        !policy.contains("\"secret\"") && !err.contains("secret"),
        "{policy}"
    );
    for (name, mode) in [("secrets", 0o700), ("secrets/user-plain_user", 0o600)] {
        let found = std::fs::metadata(folder.path().join(name)).expect(name);
        assert_eq!(found.permissions().mode() & 0o777, mode, "{name}");
    }
    run(folder.path(), &["check", "policy.toml"], 0);
    run(folder.path(), &["test", "policy.toml"], 0);
    run(folder.path(), &["fmt", "--check", "policy.toml"], 0);

    let proxy = Proxy::over(folder, port, &[]);
    for user in ["scram_user", "md5_user", "plain_user"] {
        let output = psql(proxy.port, user, "secret", "app", "SELECT current_user");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.stdout, format!("{user}\n").as_bytes(), "{errors}");
        let output = psql(proxy.port, user, "secret", "app_dev", "SELECT current_user");
        assert_eq!(output.stdout, b"app\n", "the pool of `user=`");
        let output = psql(proxy.port, user, "wrong", "app", "SELECT 1");
        assert!(!output.status.success());
    }
    let socket = proxy.path(&format!(".s.PGSQL.{port}"));
    assert!(socket.exists(), "{}", socket.display());
    let shown = psql(proxy.port, "plain_user", "secret", "pgwarden", "SHOW POOLS");
    assert!(shown.status.success(), "{shown:?}");
    let shown = psql(proxy.port, "md5_user", "secret", "pgwarden", "SHOW POOLS");
    assert!(!shown.status.success(), "no admin");
}

#[test]
fn without_users_the_node_asks() {
    let (folder, port) = (Folder::new("init"), free_port());
    pgbouncer(&folder, port, "auth_file =\npool_mode = transaction\n");
    let (_, err) = run(folder.path(), &["init", "--from", "pgbouncer.ini"], 0);
    assert!(err.contains("the node itself asks who logs in"), "{err}");
    assert!(
        err.contains("[databases] *: without users in the policy the pool is in session mode"),
        "{err}"
    );
    let proxy = Proxy::over(folder, port, &[]);
    let output = psql(
        proxy.port,
        "scram_user",
        "secret",
        "app",
        "SELECT current_user",
    );
    assert_eq!(output.stdout, b"scram_user\n", "{output:?}");
    let output = psql(proxy.port, "scram_user", "wrong", "app", "SELECT 1");
    assert!(!output.status.success());
}

#[test]
fn a_certificate_that_is_missing_here_is_told_and_the_policy_is_there() {
    let (folder, port) = (Folder::new("init"), free_port());
    let tls = "client_tls_sslmode = require\nclient_tls_cert_file = no.crt\nclient_tls_key_file = no.key\n";
    pgbouncer(&folder, port, tls);
    let (out, err) = run(folder.path(), &["init", "--from", "pgbouncer.ini"], 1);
    assert!(out.starts_with("wrote policy.toml\n"), "{out}");
    assert!(
        err.contains("error[P0306]") && err.contains("no.crt"),
        "{err}"
    );
}

/// Words of closed lists in any case, as PgBouncer takes them; what is no word of its list fails closed.
#[test]
fn words_are_read_as_pgbouncer_reads_them_and_unknown_ones_fail_closed() {
    let converted = |tls: &str, code: i32| {
        let folder = Folder::new("init");
        let ini = format!(
            "[databases]\napp = host=127.0.0.1 pool_mode=TRANSACTION user=bob\n* = host=127.0.0.1 dbname=*\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = 6432\nauth_type = TRUST\nauth_file = users\n{tls}"
        );
        folder.write("pgbouncer.ini", ini);
        folder.write("users", "\"app\" \"\"\n\"bob\" \"secret\"\n");
        let (_, err) = run(folder.path(), &["init", "--from", "pgbouncer.ini"], code);
        let path = folder.path().join("policy.toml");
        let mode = std::fs::metadata(&path).expect("the policy").permissions();
        assert_eq!(
            mode.mode() & 0o777,
            0o600,
            "as private as what it is made of"
        );
        (std::fs::read_to_string(path).expect("the policy"), err)
    };
    let known = "client_tls_sslmode = Disable\nserver_tls_sslmode = REQUIRE\n";
    let (policy, err) = converted(known, 0);
    assert!(!err.contains("no mode that is known"), "{err}");
    let has_mode = |line: &str| line.starts_with("mode ") && line.ends_with(" = \"transaction\"");
    assert!(policy.lines().any(has_mode), "{policy}");
    // `dbname=*` is a name that the fallback has anyway.
    assert!(!err.contains("[databases] *"), "{err}");
    let (policy, err) = converted(
        "client_tls_sslmode = sometimes\nserver_tls_sslmode = never\n",
        1,
    );
    for key in ["client_tls_sslmode", "server_tls_sslmode"] {
        let told = format!("{key}: no mode that is known here; TLS is required");
        assert!(err.contains(&told), "{err}");
    }
    assert_eq!(policy.matches("= \"require\"\n").count(), 2, "{policy}");
}

#[test]
fn a_placeholder_stands_only_where_there_is_no_database() {
    let converted = |databases: &str| {
        let folder = Folder::new("init");
        let ini = format!(
            "[databases]\n{databases}[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = 6432\nauth_type = any\n"
        );
        folder.write("pgbouncer.ini", ini);
        let said =
            Said::by(pgwarden(&["init", "--from", "pgbouncer.ini"]).current_dir(folder.path()));
        let policy = std::fs::read_to_string(folder.path().join("policy.toml"));
        (policy.unwrap_or_default(), said.err)
    };
    let (none, _) = converted("");
    assert!(none.contains("database = \"*\""), "{none}");
    let (one, err) = converted("app = host=127.0.0.1 user=bob\n");
    assert!(
        one.contains("database = \"app\"") && !one.contains("database = \"*\""),
        "{one}"
    );
    let why = "[databases] app: without users in the policy clients log in to the node as themselves, and `user` is not used";
    assert!(err.contains(why), "{err}");
}
