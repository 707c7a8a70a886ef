//! What becomes of a `pgbouncer.ini`, as text. Whether it behaves the same is a matter for tests with clients.

use super::convert::Converted;
use super::convert::Note;
use super::convert::convert;
use super::*;

/// Files in a folder that goes with it.
struct Files(PathBuf);

impl Files {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder =
            std::env::temp_dir().join(format!("pgwarden-init-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        Self(folder)
    }

    fn converted(&self) -> Converted {
        convert(&self.0.join("pgbouncer.ini")).unwrap()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn notes(made: &Converted) -> Vec<&str> {
    made.notes.iter().map(|Note(note)| &**note).collect()
}

/// The policy as it is written, without the comments above it.
fn policy(made: &Converted) -> String {
    let text = layout(Path::new("policy.toml"), &made.policy).unwrap();
    let start = text.find("policy = 1").unwrap();
    text[start..].to_owned()
}

const VERIFIER: &str = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2E=$QU5Bc3RvcmVka2V5QU5Bc3RvcmVka2V5QU5Bc3RvcmU=:QU5Bc2VydmVya2V5QU5Bc2VydmVya2V5QU5Bc2VydmU=";
const MD5: &str = "md54a0a68b43b6cd5cf266fa02f196e2371";

/// What the usual configuration becomes.
const USUAL: &str = r#"policy = 1
name   = "pgbouncer"

[listener.main]
bind            = ["127.0.0.1:6543", "[::1]:6543"]
max_connections = 500

[node.pg1]
role = "primary"
host = "10.0.0.1"
port = 5433

[node.pg2]
role = "primary"
host = "10.0.0.2"
port = 5432

[pool.shop]
database      = "shop"
nodes         = ["pg1"]
mode          = "transaction"
size          = 5
wait          = "1500ms"
lifetime      = "1800s"
session_state = "ignore"                      # as PgBouncer; "pin" keeps what a session sets from others

[pool.all-others]
database      = "*"
nodes         = ["pg2"]
mode          = "transaction"
size          = 30
wait          = "1500ms"
login         = { user = "proxy", password = { file = "secrets/database.2" } }
lifetime      = "1800s"
session_state = "ignore"                      # as PgBouncer; "pin" keeps what a session sets from others

[user.alice]
verifier = "VERIFIER"

[user.bob]
md5 = "MD5"

[user."carol \"c\""]
password = { file = "secrets/user.0" }

[user.dave]
password = { file = "secrets/user-dave" }

# PgBouncer lets every statement through. What is to be refused is written as [stage.NAME].
[pipeline.default]
otherwise = { authorize = "allow" }

[[test]]
name   = "statements pass"
given  = { sql = "SELECT 1", database = "shop", user = "alice" }
expect = { verdict = "allow" }
"#;

#[test]
fn a_usual_configuration_is_carried_over_whole() {
    let ini = "; a comment\n[databases]\nshop = host=10.0.0.1 port=5433 pool_size=5\n%include more.ini\n\n[pgbouncer]\nlisten_addr = 127.0.0.1, ::1\nlisten_port = 6543\nunix_socket_dir =\n\
        auth_type = md5\nauth_file = userlist.txt\npool_mode = transaction\nmax_client_conn = 500\ndefault_pool_size = 30\nquery_wait_timeout = 1.5\nserver_lifetime = 1800\n\
        server_tls_sslmode = disable\nlogfile = /var/log/x\nignore_startup_parameters = extra_float_digits\nquery_timeout = 0\n";
    let users = format!(
        "; more\n\"alice\" \"{VERIFIER}\"\n\"bob\" \"{MD5}\"\n\"carol \"\"c\"\"\" \"s3cret\"\n\"dave\" \"s3cret\" \"extra\"\n"
    );
    let files = Files::new(
        "usual",
        &[
            ("pgbouncer.ini", ini),
            (
                "more.ini",
                "* = host=10.0.0.2 user=proxy password='it''s'\n",
            ),
            ("userlist.txt", &users),
        ],
    );
    let made = files.converted();
    assert_eq!(notes(&made), [""; 0]);
    let expected = USUAL.replace("VERIFIER", VERIFIER).replace("MD5", MD5);
    assert_eq!(policy(&made), expected);
    let secrets: Vec<(&str, &str)> = made
        .secrets
        .iter()
        .map(|(name, secret)| (&**name, &***secret))
        .collect();
    let expected = [
        ("secrets/user.0", "s3cret\n"),
        ("secrets/user-dave", "s3cret\n"),
        ("secrets/database.2", "it's\n"),
    ];
    assert_eq!(secrets, expected);
}

#[test]
fn what_cannot_be_carried_over_is_told_with_its_line() {
    let ini = "[databases]\nold = dbname=new timezone=UTC\nnew = host=h\nlist = host=a,b connect_query='x'\nbad = host\n\
        [pgbouncer]\nlisten_addr = db.example.com\nauth_type = hba\nauth_file = userlist.txt\nauth_query = SELECT 1\nadmin_users = root, alice\npool_mode = statement\n\
        min_pool_size = 5\nno_such = 1\nserver_lifetime = soon\n[users]\nalice = pool_mode=session\n[peers]\n1 = host=x\n";
    let users = format!("\"alice\" \"{VERIFIER}\"\n\"empty\" \"\"\nnonsense s3cret\n");
    let files = Files::new("lost", &[("pgbouncer.ini", ini), ("userlist.txt", &users)]);
    let made = files.converted();
    let said = notes(&made).join("\n");
    for expected in [
        "pgbouncer.ini:10: auth_query: users are not looked up",
        "pgbouncer.ini:13: min_pool_size: ",
        "pgbouncer.ini:14: no_such: no setting that is known here",
        "pgbouncer.ini:17: [users] alice: ",
        "pgbouncer.ini:19: [peers] 1: ",
        "pgbouncer.ini:7: listen_addr: `db.example.com` is a name",
        "pgbouncer.ini:8: auth_type: there are no rules per address",
        "userlist.txt:2: user `empty`: it has no password",
        "userlist.txt:3: auth_file: the line is no user",
        "pgbouncer.ini:11: admin_users: `root` is no user",
        "pgbouncer.ini:11: admin_users: the console is the database `pgwarden`",
        "pgbouncer.ini:15: server_lifetime: not a number of seconds",
        "not set: server_tls_sslmode: TLS is used or it is not",
        "pgbouncer.ini:2: [databases] old: databases keep their names: clients must ask for `new`",
        "pgbouncer.ini:2: [databases] old timezone: ",
        "pgbouncer.ini:2: [databases] old: there is no statement mode",
        "pgbouncer.ini:3: [databases] new: `new` has a pool already",
        "pgbouncer.ini:4: [databases] list: of several hosts the first",
        "pgbouncer.ini:4: [databases] list connect_query: ",
        "pgbouncer.ini:5: [databases] bad: not `key=value ..`",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
        let line = expected.split('\n').next().unwrap();
        assert!(made.policy.contains(&format!("# - {line}")), "{line}");
    }
    assert!(!said.contains("s3cret") && !made.policy.contains("s3cret"));
    assert!(
        policy(&made).contains("bind            = [\"unix:/tmp/.s.PGSQL.6432\"]"),
        "{}",
        policy(&made)
    );
}

#[test]
fn who_may_log_in_depends_on_the_method() {
    let users = format!("\"v\" \"{VERIFIER}\"\n\"m\" \"{MD5}\"\n\"p\" \"s3cret\"\n");
    let of = |method: &str| {
        let ini = format!(
            "[databases]\na = host=h\n[pgbouncer]\nauth_type = {method}\nauth_file = userlist.txt\n"
        );
        let name = format!("method-{method}");
        let files = Files::new(&name, &[("pgbouncer.ini", &ini), ("userlist.txt", &users)]);
        let text = policy(&files.converted());
        let tables = text.split("[user.").skip(1);
        tables
            .map(|table| {
                let (name, rest) = table.split_once("]\n").unwrap();
                format!("{name} {}", rest.split(' ').next().unwrap())
            })
            .collect::<Vec<_>>()
            .join(", ")
    };
    let by_secret = "v verifier, m md5, p password";
    for (method, expected) in [
        ("md5", by_secret),
        ("plain", by_secret),
        ("hba", by_secret),
        ("scram-sha-256", "v verifier, p password"),
        ("trust", "v trust, m trust, p trust"),
        ("any", "v trust, m trust, p trust"),
        ("cert", ""),
        ("pam", ""),
        ("nonsense", ""),
    ] {
        assert_eq!(of(method), expected, "{method}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let loops = Files::new("loop", &[("pgbouncer.ini", "%include pgbouncer.ini\n")]);
    let missing = Files::new(
        "missing",
        &[("pgbouncer.ini", "[pgbouncer]\nauth_file = gone.txt\n")],
    );
    let nonsense = Files::new(
        "nonsense",
        &[("pgbouncer.ini", "[pgbouncer]\nlisten_addr\n")],
    );
    for (files, said) in [
        (&loops, "too deeply"),
        (&missing, "cannot read `gone.txt`"),
        (&nonsense, "pgbouncer.ini:2: not `key = value`"),
    ] {
        let error = convert(&files.0.join("pgbouncer.ini"))
            .map(|_| ())
            .unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn the_policy_to_start_with_is_laid_out() {
    assert_eq!(layout(Path::new("start.toml"), START).unwrap(), START);
    assert_eq!(layout(Path::new("taplo.toml"), TAPLO).unwrap(), TAPLO);
}
