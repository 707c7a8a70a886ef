//! Standbys that fall behind: `max_lag`, the matcher `lag`, and what of both is told. A standby falls behind by pausing its replay.

use crate::figures::figure;
use crate::figures::scrape;
use crate::support::Folder;
use crate::support::cluster::Cluster;
use crate::support::free_port;
use crate::support::message::Message;
use crate::support::message::only_problem;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;
use crate::support::wait_for;
use crate::support::wire::Wire;

/// Which server answered.
const WHERE: &str = "SELECT current_setting('port')";

const READS: &str = "when = { read_only = true, in_transaction = false }\nunless = { hint = \"*\" }\n\
    route = { to = \"standby\", otherwise = \"primary\" }";

fn policy(cluster: &Cluster) -> PolicyText {
    PolicyText::of(cluster)
        .standby_key("max_lag = \"1s\"")
        .pool_key("login = { user = \"app\" }")
        .stage("route", "reads", READS)
}

fn pause(cluster: &Cluster) {
    cluster.standbys[0].value("SELECT pg_wal_replay_pause()::text");
    write(cluster);
}

fn resume(cluster: &Cluster) {
    cluster.standbys[0].value("SELECT pg_wal_replay_resume()::text");
}

/// A position that the standby has not replayed before.
fn write(cluster: &Cluster) {
    cluster.primary.value("SELECT txid_current()::text");
}

#[track_caller]
fn wait_for_reads(wire: &mut Wire, port: u16) {
    let port = port.to_string();
    wait_for("reads go there", || {
        (wire.value(WHERE) == port).then_some(())
    });
}

fn row(messages: &[Message]) -> String {
    let row = messages.iter().find(|message| message.tag == 'D');
    row.map(Message::first_value).unwrap_or_default()
}

#[test]
fn a_standby_that_falls_behind_gets_no_reads_until_it_has_caught_up() {
    let cluster = Cluster::new(1);
    let (primary, standby) = (cluster.primary.port, cluster.standbys[0].port);
    let port = free_port();
    let folder = Folder::new("lag");
    let socket = folder.path().join("admin.sock");
    let named = "when = { hint = \"there\" }\nroute = \"node:pg2\"";
    let policy = policy(&cluster)
        .stage("route", "named", named)
        .admin_key(&format!(
            "metrics = \"127.0.0.1:{port}\"\nsocket = {socket:?}"
        ));
    let proxy = Proxy::start(&policy);
    let (mut wire, mut held) = (proxy.login("app"), proxy.login("app"));
    wait_for_reads(&mut wire, standby);
    assert_eq!(row(&wire.extended(WHERE)), standby.to_string());
    // A transaction that has begun there goes on there.
    held.works("/* pgwarden: there */ BEGIN READ ONLY");

    pause(&cluster);
    wait_for_reads(&mut wire, primary);
    assert_eq!(row(&wire.extended(WHERE)), primary.to_string());
    assert_eq!(proxy.login("app").value(WHERE), primary.to_string());
    assert_eq!(held.value(WHERE), standby.to_string());
    let by_name = format!("/* pgwarden: there */ {WHERE}");
    assert_eq!(wire.fails(&by_name).code, "57P03");
    assert_eq!(only_problem(&wire.extended(&by_name)).code, "57P03");
    let told = proxy.admin().table("SHOW NODES");
    let told: Vec<&str> = told.iter().map(|row| row["state"].as_str()).collect();
    assert_eq!(told, ["ready", "behind"]);
    let samples = scrape(port);
    let state = "pgwarden_node_state{node=\"pg2\",state=\"behind\"}";
    assert_eq!(figure(&samples, state), 1.0);
    figure(&samples, "pgwarden_node_lag_seconds{node=\"pg2\"}");
    let mut status = pgwarden(&["status", "--socket"]);
    let status = Said::by(status.arg(&socket)).out;
    assert!(status.contains("behind"), "{status}");

    resume(&cluster);
    wait_for_reads(&mut wire, standby);
    assert_eq!(wire.value(&by_name), standby.to_string());
}

#[test]
fn without_its_primary_nobody_knows_how_far_a_standby_is_and_it_gets_no_reads() {
    let mut cluster = Cluster::new(1);
    let only = "when = { read_only = true }\nroute = \"standby\"";
    let policy = PolicyText::of(&cluster)
        .standby_key("max_lag = \"1s\"")
        .pool_key("login = { user = \"app\" }")
        .stage("route", "reads", only);
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    let standby = cluster.standbys[0].port.to_string();
    wait_for("the standby is measured", || {
        (row(&wire.query(WHERE)) == standby).then_some(())
    });
    cluster.primary.stop();
    wait_for("the standby gets no reads", || {
        let messages = wire.query(WHERE);
        let refused = messages.iter().find(|message| message.tag == 'E')?;
        assert_eq!(refused.problem().code, "57P03");
        Some(())
    });
    cluster.primary.start_again();
    wait_for("reads return", || {
        (row(&wire.query(WHERE)) == standby).then_some(())
    });
}

#[test]
fn stages_ask_how_far_behind_standbys_are() {
    let cluster = Cluster::new(1);
    let near = "when = { read_only = true, lag = \"<1s\" }\nroute = \"standby\"";
    let note = "when = { lag = \">1ns\" }\nlog = { fields = [\"node\", \"sql.kind\"] }";
    let policy = PolicyText::of(&cluster)
        .pool_key("login = { user = \"app\" }")
        .stage("route", "near", near)
        .stage("post_query", "late", note);
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    let (primary, standby) = (cluster.primary.port, cluster.standbys[0].port);
    wait_for_reads(&mut wire, standby);
    pause(&cluster);
    wait_for_reads(&mut wire, primary);
    assert_eq!(row(&wire.extended(WHERE)), primary.to_string());
    resume(&cluster);
    wait_for_reads(&mut wire, standby);
    // What the primary answers is behind nobody.
    wire.works("UPDATE orders SET amount = amount WHERE id = 1");
    let line = proxy.event("a line of the stage `late`", |event| {
        event["stage"] == "late"
    });
    let message = line["message"].as_str().unwrap_or_default();
    assert!(message.contains("node=pg2"), "{line}");
    let lines = proxy.events().into_iter();
    let mut late = lines.filter(|event| event["stage"] == "late");
    assert!(late.all(|event| !event["message"].to_string().contains("pg1")));
}

const LAGGING: &str = r#"policy = 1
[listener.main]
bind = ["127.0.0.1:6432"]
[node.pg1]
role = "primary"
host = "127.0.0.1"
[node.pg2]
role = "standby"
host = "127.0.0.2"
max_lag = "2s"
[pool.main]
database = "*"
nodes = ["pg1", "pg2"]
login = { user = "proxy" }
[stage.reads]
hook = "route"
when = { read_only = true }
unless = { lag = ">1s" }
route = { to = "standby", otherwise = "primary" }
[pipeline.default]
route = ["reads"]
otherwise = { authorize = "allow" }
[[test]]
name = "reads go to a standby that is near"
given = { user = "a", sql = "SELECT 1" }
cases = [
  { expect = { route = "node:pg2" } },
  { nodes = { pg2 = { lag = "900ms" } }, expect = { route = "standby" } },
  { nodes = { pg2 = { lag = "1500ms" } }, expect = { route = "primary", by = "otherwise" } },
  { nodes = { pg2 = { lag = "9s" } }, expect = { route = "primary" } },
  { nodes = { pg2 = { away = true } }, expect = { route = "primary" } },
]
"#;

/// How far behind standbys are is measured for what is tried beside a policy that does not ask, and told to it.
#[test]
fn a_policy_that_is_tried_may_ask_for_lag_where_the_running_one_does_not() {
    let cluster = Cluster::new(1);
    let folder = Folder::new("lag-tried");
    let socket = folder.path().join("admin.sock");
    let running = PolicyText::of(&cluster)
        .pool_key("login = { user = \"app\" }")
        .admin_key(&format!("socket = {socket:?}"));
    let near = "when = { read_only = true, lag = \"<1h\" }\nroute = \"standby\"";
    let next = folder.write(
        "next.toml",
        running.clone().stage("route", "near", near).text(),
    );
    for (name, bytes) in PolicyText::files() {
        folder.write(name, bytes);
    }
    let proxy = Proxy::start(&running);
    let verb = |arguments: &[&str]| {
        let mut command = pgwarden(arguments);
        Said::ends(command.arg("--socket").arg(&socket), 0).out
    };
    let next = next.to_str().expect("UTF-8");
    verb(&["reload", "--shadow", next]);
    let mut wire = proxy.login("app");
    wait_for("the shadow knows", || {
        wire.value(WHERE);
        let told: serde_json::Value =
            serde_json::from_str(&verb(&["status", "--json"])).expect("JSON");
        let all = told["shadow"]["differences"].as_array()?.clone();
        let found = all
            .iter()
            .any(|one| one["difference"] == "route" && one["shadow"] == "near");
        found.then_some(())
    });
    verb(&["reload", "--shadow", "none"]);
    verb(&["reload", "--canary", "100", next]);
    wait_for_reads(&mut proxy.login("app"), cluster.standbys[0].port);
}

#[test]
fn tests_say_how_nodes_are_and_failures_tell_what_followed() {
    let folder = Folder::new("lagging");
    let test = |text: &str| {
        let path = folder.write("policy.toml", text);
        let said = Said::by(pgwarden(&["test"]).arg(&path));
        (said.code, said.out)
    };
    let (code, said) = test(LAGGING);
    assert_eq!(code, Some(0), "{said}");
    let without = LAGGING
        .replace("max_lag = \"2s\"\n", "")
        .replace("unless = { lag = \">1s\" }\n", "")
        .replace("login = { user = \"proxy\" }\n", "");
    let (code, said) = test(&without);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("expected route = \"primary\"      got route = \"pg2\""),
        "{said}"
    );
    assert!(
        said.contains("no max_lag, so a lag of 9s does not exclude it"),
        "{said}"
    );
    let (_, said) = test(&LAGGING.replace(
        "{ lag = \"900ms\" } }, expect = { route = \"standby\"",
        "{ lag = \"3s\" } }, expect = { route = \"standby\"",
    ));
    assert!(
        said.contains("max_lag 2s, so a lag of 3s excludes it"),
        "{said}"
    );
}
