//! Real clients work through the proxy as they work without it: in both pool modes, with TLS and without, with more
//! clients than server connections.

use crate::support::cluster::Cluster;
use crate::support::drivers::TRANSPORTS;
use crate::support::drivers::Transport;
use crate::support::drivers::driver;
use crate::support::drivers::has_node;
use crate::support::drivers::libpq;
use crate::support::drivers::libpq_transports;
use crate::support::drivers::psql;
use crate::support::policy::PolicyText;
use crate::support::postgres::run;
use crate::support::proxy::Proxy;
use crate::support::tls::Connector;
use crate::support::wire::Wire;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use tokio_postgres::Client;
use tokio_postgres::Config;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

const MODES: [&str; 2] = ["session", "transaction"];

fn proxy(cluster: &Cluster, mode: &'static str, size: usize) -> Proxy {
    Proxy::start(
        &PolicyText::of(cluster)
            .mode(mode)
            .size(size)
            .pool_key("wait = \"60s\""),
    )
}

#[test]
fn psql_works() {
    let cluster = Cluster::shared();
    for mode in MODES {
        let proxy = proxy(cluster, mode, 4);
        for transport in libpq_transports() {
            let statements = [
                "SELECT item FROM orders WHERE id = 5",
                "BEGIN; CREATE TEMP TABLE t (n int) ON COMMIT DROP; INSERT INTO t VALUES (7); SELECT n FROM t; COMMIT",
                "COPY (SELECT id FROM orders WHERE id < 3 ORDER BY id) TO STDOUT",
                "SELECT 'last'",
            ];
            let printed = psql(proxy.port, "app", *transport, &statements);
            assert_eq!(printed, "item 5\n7\n1\n2\nlast\n", "{mode} {transport:?}");
        }
        // What psql's \d asks is long and joins the catalogue.
        let printed = psql(proxy.port, "app", Transport::Plain, &["\\d orders"]);
        assert!(printed.contains("item|text"), "{mode}: {printed}");
    }
}

#[test]
fn pgbench_simple_runs_32_clients_on_8_server_connections() {
    pgbench("simple");
}

#[test]
fn pgbench_extended_runs_32_clients_on_8_server_connections() {
    pgbench("extended");
}

#[test]
fn pgbench_prepared_runs_32_clients_on_8_server_connections() {
    pgbench("prepared");
}

/// Every client finishes every transaction, and the node never sees more than eight connections.
fn pgbench(protocol: &str) {
    let cluster = Cluster::new(0);
    for mode in MODES {
        let proxy = proxy(&cluster, mode, 8);
        for transport in libpq_transports() {
            let mut command = libpq("pgbench", proxy.port, "app", *transport);
            // A thread for each client: `PQprepare` blocks its thread, and in session mode another client of the same thread
            // may hold the server connection that it waits for.
            command.args(["-n", "-M", protocol, "-c", "32", "-j", "32", "-t", "40"]);
            let (printed, most) = watched(&cluster, || run(&mut command));
            let all = "number of transactions actually processed: 1280/1280";
            assert!(printed.contains(all), "{mode} {transport:?}: {printed}");
            assert!(most <= 8, "{mode} {transport:?}: {most} server connections");
        }
    }
}

/// Runs something, and gives also the most connections of `app` that the primary had meanwhile.
fn watched<T>(cluster: &Cluster, work: impl FnOnce() -> T) -> (T, u32) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut wire = Wire::login(cluster.primary.port, "postgres", "app");
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                let count =
                    wire.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'");
                most = most.max(count.parse().expect("a number"));
            }
            most
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        over.store(true, Ordering::Relaxed);
        let most = watcher.join().expect("the watcher");
        (
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            most,
        )
    })
}

#[test]
fn psycopg_3_works() {
    scripted("psycopg_driver.py");
}

#[test]
fn asyncpg_works() {
    scripted("asyncpg_driver.py");
}

#[test]
fn node_postgres_works() {
    if has_node() {
        scripted("node_driver.js");
    } else {
        eprintln!("skipped: there is no Node.js");
    }
}

fn scripted(name: &str) {
    let cluster = Cluster::new(0);
    for mode in MODES {
        let proxy = proxy(&cluster, mode, 4);
        for transport in TRANSPORTS {
            driver(name, proxy.port, mode, transport);
        }
    }
}

#[test]
fn tokio_postgres_works() {
    let cluster = Cluster::new(0);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for mode in MODES {
        let proxy = proxy(&cluster, mode, 4);
        for transport in TRANSPORTS {
            runtime.block_on(async {
                let clients = if mode == "session" { 4 } else { 12 };
                let mut tasks = tokio::task::JoinSet::new();
                for number in 0..clients {
                    tasks.spawn(tokio_client(proxy.port, transport, number));
                }
                while let Some(result) = tasks.join_next().await {
                    result.expect("a client").expect("no error");
                }
            });
        }
    }
}

async fn tokio_connect(port: u16, transport: Transport) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::new();
    config
        .host("127.0.0.1")
        .port(port)
        .user("app")
        .dbname("app");
    if transport == Transport::Plain {
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        return Ok(client);
    }
    config.ssl_mode(tokio_postgres::config::SslMode::Require);
    let (client, connection) = config.connect(Connector).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn tokio_client(
    port: u16,
    transport: Transport,
    number: i32,
) -> Result<(), tokio_postgres::Error> {
    let mut client = tokio_connect(port, transport).await?;
    let statement = client
        .prepare("SELECT amount FROM orders WHERE id = $1")
        .await?;
    for id in 1..=20 {
        let row = client.query_one(&statement, &[&id]).await?;
        assert_eq!(row.get::<_, i32>(0), id * 10);
    }
    // Queries of one connection at the same time are a pipeline.
    let (one, two, three) = tokio::join!(
        client.query_one(&statement, &[&1]),
        client.query_one("SELECT $1::text", &[&"two"]),
        client.simple_query("SELECT 3"),
    );
    assert_eq!(
        (one?.get::<_, i32>(0), two?.get::<_, &str>(0), three?.len()),
        (10, "two", 3)
    );
    let table = format!("tokio_{number}");
    client
        .batch_execute(&format!("CREATE TABLE {table} (id int PRIMARY KEY)"))
        .await?;
    let transaction = client.transaction().await?;
    transaction
        .execute(
            &format!("INSERT INTO {table} SELECT generate_series(1, $1)"),
            &[&25],
        )
        .await?;
    let error = transaction
        .execute("SELECT 1 / $1::int", &[&0])
        .await
        .expect_err("a division by zero");
    assert_eq!(error.code(), Some(&SqlState::DIVISION_BY_ZERO));
    transaction.rollback().await?;
    let row = client
        .query_one(&format!("SELECT count(*) FROM {table}"), &[])
        .await?;
    assert_eq!(row.get::<_, i64>(0), 0);
    client.batch_execute(&format!("DROP TABLE {table}")).await
}
