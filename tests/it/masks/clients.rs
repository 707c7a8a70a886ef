//! Real clients in front of masked columns, and what the operator is told of it.

use super::MASK;
use super::base;
use super::login;
use super::proxy;
use crate::figures::figure;
use crate::figures::scrape;
use crate::support::drivers::Transport;
use crate::support::drivers::driver;
use crate::support::drivers::psql;
use crate::support::free_port;
use crate::support::proxy::Proxy;
use crate::support::wait_for;
use serde_json::Value;
use serde_json::json;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

#[test]
fn psql_sees_null() {
    let proxy = proxy();
    let statements = [
        "SELECT id, email FROM apart.users ORDER BY id LIMIT 2",
        "TABLE apart.companies",
        "\\pset null NULL",
        "SELECT * FROM apart.users WHERE id = 9",
    ];
    let printed = psql(proxy.port, "app", Transport::Plain, &statements);
    assert_eq!(
        printed,
        "1|\n2|\n1|company@example.org\n9|name 9|NULL|NULL|159\n"
    );
}

#[test]
fn psycopg_and_asyncpg_see_null() {
    for mode in ["session", "transaction"] {
        let proxy = Proxy::start(&base().mode(mode).stage("authorize", "masks", MASK));
        for name in ["masks_psycopg.py", "masks_asyncpg.py"] {
            driver(name, proxy.port, mode, Transport::Plain);
        }
    }
}

#[tokio::test]
async fn tokio_postgres_sees_null() {
    let proxy = proxy();
    let config = format!("host=127.0.0.1 port={} user=app dbname=app", proxy.port);
    let (client, connection) = tokio_postgres::connect(&config, NoTls)
        .await
        .expect("a client");
    let pumping = tokio::spawn(connection);
    let one = "SELECT id, email, ssn FROM apart.users WHERE id = $1";
    let prepared = client.prepare(one).await.expect("a statement");
    let (first, second, all) = tokio::join!(
        client.query_one(&prepared, &[&1]),
        client.query_one(one, &[&2]),
        client.query("SELECT * FROM apart.users", &[]),
    );
    for (row, id) in [(first, 1), (second, 2)] {
        let row = row.expect("a row");
        let values: (i32, Option<String>, Option<String>) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(values, (id, None, None));
    }
    let all = all.expect("rows");
    assert_eq!(all.len(), 9);
    assert!(
        all.iter()
            .all(|row| row.get::<_, Option<String>>("email").is_none())
    );
    let refused = client.query("SELECT id FROM apart.users WHERE email = $1", &[&"x"]);
    let error = refused.await.expect_err("a refusal");
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    drop(client);
    pumping.await.expect("no panic").expect("no error");
}

#[test]
fn decisions_and_figures_tell_what_was_masked() {
    let metrics = free_port();
    let policy = base()
        .admin_key(&format!("metrics = \"127.0.0.1:{metrics}\""))
        .stage("authorize", "masks", MASK)
        .extra("[decisions]\nsink = \"file:decisions.jsonl\"\nsql = \"text\"");
    let proxy = Proxy::start(&policy);
    let mut wire = login(&proxy, "app", "apart");
    for sql in [
        "SELECT id, email FROM users",
        "SELECT * FROM users WHERE id = 1",
        "SELECT id FROM users WHERE id = 1",
        "SELECT 1",
    ] {
        wire.works(sql);
    }
    wire.fails("SELECT lower(email) FROM users");
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(proxy.path("decisions.jsonl")).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let is_select = |line: &Value| {
            line["text"]
                .as_str()
                .is_some_and(|text| text.starts_with("SELECT"))
        };
        lines.filter(is_select).collect()
    };
    let lines = wait_for("the decisions are written", || {
        let lines = lines();
        (lines.len() == 5).then_some(lines)
    });
    let told: Vec<(Value, Value)> = lines
        .iter()
        .map(|line| (line["masked"].clone(), line["stages"][0]["result"].clone()))
        .collect();
    let expected = [
        (json!(["users.email"]), json!("mask")),
        (json!(["users.email", "users.ssn"]), json!("mask")),
        (Value::Null, json!("continue")),
        (Value::Null, json!("continue")),
        (Value::Null, json!("block")),
    ];
    assert_eq!(told, expected);
    let samples = scrape(metrics);
    let counted = figure(
        &samples,
        "pgwarden_stage_masked_values_total{stage=\"masks\"}",
    );
    assert_eq!(counted, 11.0);
}
