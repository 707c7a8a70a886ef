//! Who may come in, and how the proxy itself logs in to nodes.

use crate::support::Folder;
use crate::support::cluster::Cluster;
use crate::support::drivers::Transport;
use crate::support::drivers::libpq;
use crate::support::drivers::libpq_transports;
use crate::support::frames::VERSION_3_0;
use crate::support::frames::message;
use crate::support::frames::password;
use crate::support::frames::startup;
use crate::support::message::Problem;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::policy::PolicyText;
use crate::support::postgres::has_tls;
use crate::support::proxy::Proxy;
use crate::support::tls::Connector;
use crate::support::wire::Wire;
use std::process::Output;
use tokio_postgres::Config;
use tokio_postgres::NoTls;
use tokio_postgres::config::SslMode;

/// The SCRAM verifier that PostgreSQL stores for a user of the cluster: of the password `secret`.
fn verifier() -> String {
    Cluster::shared()
        .primary
        .value("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_user'")
}

/// The md5 hash that PostgreSQL stores for `md5_user` and `secret`.
fn md5() -> String {
    Cluster::shared()
        .primary
        .value("SELECT rolpassword FROM pg_authid WHERE rolname = 'md5_user'")
}

/// A user the policy knows, in policies whose stages know others.
const SOMEONE: &str = "[user.someone]\npassword = { file = \"password\" }\n";

/// Users that log in by each method with the password `secret`; the node trusts the login of the pool.
fn policy() -> PolicyText {
    let (verifier, md5) = (verifier(), md5());
    PolicyText::of(Cluster::shared())
        .pool_key("login = { user = \"app\" }")
        .users(&format!(
            "[user.by_verifier]\nverifier = \"{verifier}\"\n\
         [user.by_password]\npassword = {{ file = \"password\" }}\n\
         [user.md5_user]\nmd5 = \"{md5}\"\n\
         [user.trusted]\ntrust = true\n\
         [user.expired]\npassword = {{ file = \"password\" }}\nexpires = 2020-01-01T00:00:00Z\n"
        ))
}

fn proxy() -> Proxy {
    Proxy::start_with(&policy(), &[("password", b"secret\n")], &[])
}

fn psql(port: u16, user: &str, password: &str, transport: Transport) -> Output {
    let mut command = libpq("psql", port, user, transport);
    command.env("PGPASSWORD", password).args([
        "-X",
        "-q",
        "-A",
        "-t",
        "-w",
        "-c",
        "SELECT current_user",
    ]);
    command.output().expect("psql")
}

#[test]
fn clients_log_in_by_every_method() {
    let proxy = proxy();
    for transport in libpq_transports() {
        for user in ["by_verifier", "by_password", "md5_user", "trusted"] {
            let output = psql(proxy.port, user, "secret", *transport);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.stdout, b"app\n", "{user} {transport:?}: {errors}");
        }
    }
}

#[test]
fn tokio_postgres_logs_in_by_scram() {
    let proxy = proxy();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(proxy.port)
            .user("by_verifier")
            .dbname("app")
            .password("secret");
        let (client, connection) = config.connect(NoTls).await.expect("a login");
        tokio::spawn(connection);
        assert_eq!(
            client
                .query_one("SELECT 1", &[])
                .await
                .expect("a row")
                .get::<_, i32>(0),
            1
        );
        config.ssl_mode(SslMode::Require);
        let (client, connection) = config.connect(Connector).await.expect("a login over TLS");
        tokio::spawn(connection);
        assert_eq!(
            client
                .query_one("SELECT 1", &[])
                .await
                .expect("a row")
                .get::<_, i32>(0),
            1
        );
    });
}

#[test]
fn a_wrong_password_an_unknown_and_an_expired_user_are_told_the_same() {
    let proxy = proxy();
    let mut answers = Vec::new();
    for (user, password) in [
        ("by_verifier", "wrong"),
        ("by_password", "wrong"),
        ("nobody_of_that_name", "secret"),
        ("expired", "secret"),
    ] {
        let output = psql(proxy.port, user, password, Transport::Plain);
        assert!(!output.status.success(), "{user} came in");
        answers.push(String::from_utf8_lossy(&output.stderr).replace(user, "USER"));
    }
    assert!(
        answers[0].contains("password authentication failed"),
        "{answers:?}"
    );
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

#[test]
fn an_unknown_user_is_asked_for_a_password_like_any_other() {
    let proxy = proxy();
    let asked = |user| {
        let mut wire = Wire::connect(proxy.port);
        wire.send(&startup(
            VERSION_3_0,
            &[("user", user), ("database", "app")],
        ));
        wire.message()
    };
    assert_eq!(asked("nobody_of_that_name"), asked("by_verifier"));
}

#[test]
fn a_secret_is_never_logged() {
    let proxy = proxy();
    drop(psql(proxy.port, "by_password", "secret", Transport::Plain));
    drop(psql(
        proxy.port,
        "by_password",
        "a wrong one",
        Transport::Plain,
    ));
    let log = proxy.log();
    assert!(
        !log.contains("secret\"") && !log.contains("a wrong one"),
        "{log}"
    );
}

/// A cleartext password is asked for by an `authenticate` stage only, and only where nobody can listen.
#[test]
fn an_authenticate_stage_asks_for_the_password_over_tls_only() {
    if !has_tls() {
        eprintln!("skipped: this psql was built without TLS");
        return;
    }
    let stage = "permissions = \"login\"\nscript = '''\n\
        if auth.username == \"known\" && auth.password == \"sesame\" { identity(#{ user: \"known\" }) } else { denied(\"no\") }\n'''";
    let policy = PolicyText::of(Cluster::shared())
        .users(SOMEONE)
        .pool_key("login = { user = \"app\" }")
        .extra("[permissions.login]\nsee = [\"identity\", \"session\", \"auth.password\"]")
        .stage("authenticate", "directory", stage);
    let proxy = Proxy::start_with(&policy, &[("password", b"secret\n")], &[]);
    let output = psql(proxy.port, "known", "sesame", Transport::Tls);
    assert_eq!(
        output.stdout,
        b"app\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        !psql(proxy.port, "known", "wrong", Transport::Tls)
            .status
            .success()
    );
    assert!(
        !psql(proxy.port, "unknown", "sesame", Transport::Tls)
            .status
            .success()
    );
    let mut wire = Wire::connect(proxy.port);
    wire.send(&startup(
        VERSION_3_0,
        &[("user", "known"), ("database", "app")],
    ));
    let problem = only_problem(&wire.until_closed());
    assert_eq!(
        problem.severity, "FATAL",
        "no password in the clear: {problem:?}"
    );
}

/// A policy whose only way in is an `authenticate` stage, with a listener on a Unix socket beside the other.
#[test]
fn an_authenticate_stage_asks_for_the_password_on_a_unix_socket() {
    let folder = Folder::new("socket");
    let socket = folder.path().join(".s.PGSQL.6432");
    let stage = "permissions = \"login\"\nscript = 'if auth.password == \"sesame\" { identity(#{ user: \"known\" }) } else { denied(\"no\") }'";
    let policy = PolicyText::of(Cluster::shared())
        .users(SOMEONE)
        .pool_key("login = { user = \"app\" }")
        .extra(&format!(
            "[listener.local]\nbind = [\"unix:{}\"]\npipeline = \"default\"",
            socket.display()
        ))
        .extra("[permissions.login]\nsee = [\"identity\", \"session\", \"auth.password\"]")
        .stage("authenticate", "directory", stage);
    let proxy = Proxy::start_with(&policy, &[("password", b"secret\n")], &[]);
    for (text, comes_in) in [("sesame", true), ("wrong", false)] {
        let mut wire = Wire::connect_unix(&socket);
        wire.send(&startup(
            VERSION_3_0,
            &[("user", "known"), ("database", "app")],
        ));
        let asked = wire.message();
        assert_eq!(
            (asked.tag, asked.body),
            ('R', vec![0, 0, 0, 3]),
            "AuthenticationCleartextPassword"
        );
        wire.send(&password(text));
        let end = wire.until_ready();
        assert_eq!(shape(&end).ends_with("ZI"), comes_in, "{text}: {end:?}");
    }
    drop(proxy);
}

#[test]
fn nodes_are_reached_over_unix_sockets() {
    let base = PolicyText::of(Cluster::shared());
    let folder = Cluster::shared().socket_folder().display().to_string();
    let mut proxy = Proxy::start(&base);
    let text = base
        .text()
        .replacen("host = \"127.0.0.1\"", &format!("host = \"{folder}\""), 1);
    proxy.reload(&text);
    assert_eq!(
        proxy
            .login("app")
            .value("SELECT coalesce(inet_client_addr()::text, 'unix')"),
        "unix"
    );
    assert!(proxy.runs());
}

#[test]
fn a_password_longer_than_any_is_refused() {
    let proxy = proxy();
    let mut wire = Wire::connect(proxy.port);
    wire.send(&startup(
        VERSION_3_0,
        &[("user", "by_password"), ("database", "app")],
    ));
    assert_eq!(wire.message().tag, 'R');
    wire.send(&message(b'p', &[b'x'; 100_000]));
    assert_eq!(only_problem(&wire.until_closed()).severity, "FATAL");
}

#[test]
fn the_proxy_logs_in_to_nodes_by_every_method() {
    for user in ["app", "plain_user", "md5_user", "scram_user"] {
        let login =
            format!("login = {{ user = \"{user}\", password = {{ file = \"password\" }} }}");
        let policy = PolicyText::of(Cluster::shared()).pool_key(&login);
        let proxy = Proxy::start_with(&policy, &[("password", b"secret\n")], &[]);
        assert_eq!(proxy.login("app").value("SELECT current_user"), user);
    }
}

#[test]
fn a_node_that_refuses_the_proxys_login_is_a_clear_error_without_an_address() {
    let login = "login = { user = \"scram_user\", password = { file = \"password\" } }";
    let policy = PolicyText::of(Cluster::shared())
        .pool_key(login)
        .pool_key("wait = \"2s\"");
    let proxy = Proxy::start_with(&policy, &[("password", b"wrong\n")], &[]);
    let problem = first_problem(&proxy, "SELECT 1");
    assert!(problem.code.starts_with("08"), "{problem:?}");
    let said = format!("{problem:?}");
    let port = Cluster::shared().primary.port.to_string();
    assert!(
        !said.contains("127.0.0.1") && !said.contains(&port) && !said.contains("scram_user"),
        "{said}"
    );
}

#[test]
fn the_proxy_speaks_tls_to_nodes() {
    if !has_tls() {
        eprintln!("skipped: this PostgreSQL was built without TLS");
        return;
    }
    let base = PolicyText::of(Cluster::shared());
    let node = |tls: &str| {
        let text = base.text();
        text.replace(
            "role = \"primary\"\nhost = \"127.0.0.1\"",
            &format!("role = \"primary\"\nhost = \"localhost\"\n{tls}"),
        )
    };
    let encrypted = "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let proxy = Proxy::start(&base);
    assert_eq!(proxy.login("app").value(encrypted), "false");
    for tls in [
        "tls = \"require\"",
        "tls = { mode = \"verify-full\", ca = \"ca.crt\" }",
    ] {
        proxy.reload(&node(tls));
        assert_eq!(proxy.login("app").value(encrypted), "true", "{tls}");
    }
    // An authority that did not sign it, or a name it is not for, is a refusal, and nothing is sent in the clear.
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .expect("a certificate")
        .cert
        .pem();
    std::fs::write(proxy.path("other.crt"), other).expect("written");
    proxy.reload(
        &node("tls = { mode = \"verify-full\", ca = \"other.crt\" }")
            .replace("[pool.main]", "[pool.main]\nwait = \"1s\""),
    );
    assert!(first_problem(&proxy, encrypted).code.starts_with("08"));
}

/// The error of a statement, or of the login where the node is asked for something already then.
#[track_caller]
fn first_problem(proxy: &Proxy, sql: &str) -> Problem {
    let mut wire = Wire::connect(proxy.port);
    wire.send(&startup(
        VERSION_3_0,
        &[("user", "app"), ("database", "app")],
    ));
    let messages = wire.until_ready();
    if shape(&messages).ends_with("ZI") {
        return wire.fails(sql);
    }
    only_problem(&messages)
}
