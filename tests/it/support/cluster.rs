//! A primary with streaming standbys, made from a template that is initialised once a run. Owns the template's
//! users, databases and tables; see `postgres` for the processes.

use super::Folder;
use super::certificate;
use super::free_port;
use super::postgres::Postgres;
use super::postgres::bin;
use super::postgres::give_away;
use super::postgres::has_tls;
use super::postgres::run;
use super::postgres::unprivileged;
use super::wait_for;
use super::wire::Wire;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// Databases, users and tables that every cluster has. `app` owns everything and is trusted; the users named for a
/// method log in by it with the password `secret`.
const SCHEMA: &str = include_str!("schema.sql");

/// First match counts. `app` and the superuser are trusted on loopback; each method has a user of its name.
const HBA: &str = "\
local   all           all                                 trust
host    all           scram_user          127.0.0.1/32    scram-sha-256
host    all           md5_user            127.0.0.1/32    md5
host    all           plain_user          127.0.0.1/32    password
hostnossl all         tls_user            127.0.0.1/32    reject
host    all           all                 127.0.0.1/32    trust
host    replication   all                 127.0.0.1/32    trust
";

/// One server with its data folder. Dropped, it stops before the folder goes.
pub(crate) struct Member {
    server: Postgres,
    data: PathBuf,
    settings: Vec<String>,
    pub(crate) port: u16,
}

impl Member {
    fn start(data: PathBuf, folder: &Path, primary: Option<u16>) -> Self {
        let port = free_port();
        let mut settings: Vec<String> = [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "full_page_writes=off",
            "wal_level=replica",
            "wal_keep_size=64MB",
            "max_connections=100",
            "shared_buffers=64MB",
            "max_prepared_transactions=10",
            "wal_receiver_status_interval=1s",
            "log_line_prefix=%m [%p] %u@%d ",
        ]
        .map(str::to_owned)
        .into();
        settings.push(format!("unix_socket_directories={}", folder.display()));
        if let Some(primary) = primary {
            settings.push(format!(
                "primary_conninfo=host=127.0.0.1 port={primary} user=postgres"
            ));
        }
        let server = Postgres::start(&data, port, &settings);
        Self {
            server,
            data,
            settings,
            port,
        }
    }

    /// Stops the server as a crash would.
    pub(crate) fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it again on its port.
    pub(crate) fn start_again(&mut self) {
        self.server = Postgres::start(&self.data, self.port, &self.settings);
    }

    /// Runs one statement on this server, not through a proxy, and gives the first column of the first row.
    #[track_caller]
    pub(crate) fn value(&self, sql: &str) -> String {
        Wire::login(self.port, "postgres", "app").value(sql)
    }
}

/// A primary and its standbys.
pub(crate) struct Cluster {
    pub(crate) primary: Member,
    pub(crate) standbys: Vec<Member>,
    folder: Folder,
}

impl Cluster {
    /// A cluster of one's own, to stop and start, with this many standbys.
    pub(crate) fn new(standbys: usize) -> Self {
        let folder = Folder::new("pg");
        give_away(folder.path());
        let primary = Member::start(copy(folder.path(), "primary"), folder.path(), None);
        let standbys = (0..standbys)
            .map(|number| {
                let data = copy(folder.path(), &format!("standby{number}"));
                let signal = data.join("standby.signal");
                std::fs::write(&signal, "").expect("standby.signal");
                give_away(&signal);
                Member::start(data, folder.path(), Some(primary.port))
            })
            .collect();
        let cluster = Self {
            primary,
            standbys,
            folder,
        };
        cluster.wait_for_standbys();
        cluster
    }

    /// The cluster that tests share which leave it running: a primary and one standby.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::new(1))
    }

    /// Where the servers' Unix sockets are.
    pub(crate) fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until every standby has replayed what the primary has written so far.
    pub(crate) fn wait_for_standbys(&self) {
        let written = self.primary.value("SELECT pg_current_wal_lsn()::text");
        for standby in &self.standbys {
            let sql = format!("SELECT (pg_last_wal_replay_lsn() >= '{written}')::text");
            wait_for("the standby catches up", || {
                (standby.value(&sql) == "true").then_some(())
            });
        }
    }
}

/// Copies the template's data to a new folder.
fn copy(folder: &Path, name: &str) -> PathBuf {
    let data = folder.join(name);
    // As the account of the servers, so that the files are its own.
    run(unprivileged("cp")
        .args(["-R", "--preserve=mode", "--reflink=auto"])
        .arg(template())
        .arg(&data));
    data
}

/// The data folder that every cluster begins with.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<(Folder, PathBuf)> = OnceLock::new();
    let (_, data) = TEMPLATE.get_or_init(|| {
        let folder = Folder::new("template");
        give_away(folder.path());
        let data = folder.path().join("data");
        let mut initdb = unprivileged(bin().join("initdb"));
        initdb.arg("--pgdata").arg(&data).args([
            "--username",
            "postgres",
            "--auth",
            "trust",
            "--no-sync",
        ]);
        run(initdb.args(["--encoding", "UTF8", "--locale", "C"]));
        configure(&data);
        let mut member = Member::start(data.clone(), folder.path(), None);
        let schema = folder.write("schema.sql", SCHEMA);
        run(psql(member.port, "postgres").args(["-c", "CREATE DATABASE app"]));
        run(psql(member.port, "app").arg("-f").arg(schema));
        let mut pgbench = unprivileged(bin().join("pgbench"));
        pgbench.args([
            "-i",
            "-q",
            "-h",
            "127.0.0.1",
            "-U",
            "app",
            "-d",
            "app",
            "-p",
        ]);
        run(pgbench.arg(member.port.to_string()));
        member.server.shut_down();
        (folder, data)
    });
    data
}

fn psql(port: u16, database: &str) -> Command {
    let mut psql = unprivileged(bin().join("psql"));
    psql.args([
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "-d",
        database,
    ]);
    psql.args(["-p", &port.to_string()]);
    psql
}

fn configure(data: &Path) {
    let write = |name: &str, text: &str| {
        let path = data.join(name);
        std::fs::write(&path, text).expect("a file in the data folder");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("permissions");
        give_away(&path);
    };
    let hba = if has_tls() {
        HBA.to_owned()
    } else {
        without_tls(HBA)
    };
    write("pg_hba.conf", &hba);
    if has_tls() {
        let certificate = certificate::localhost();
        write("server.crt", &certificate.certificate);
        write("server.key", &certificate.key);
        write("postgresql.auto.conf", "ssl = on\n");
    }
}

fn without_tls(hba: &str) -> String {
    hba.lines()
        .filter(|line| !line.starts_with("hostnossl"))
        .flat_map(|line| [line, "\n"])
        .collect()
}
