//! Where statements go: proven reads to the standby, everything else to the primary, transactions where they began,
//! and what a stage says.

use crate::support::cluster::Cluster;
use crate::support::frames::bind;
use crate::support::frames::execute;
use crate::support::frames::parse;
use crate::support::frames::sync;
use crate::support::message::Message;
use crate::support::message::shape;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wait_for;
use crate::support::wire::Wire;

/// Which server answered: stable, so that it is a proven read.
const WHERE: &str = "SELECT current_setting('port')";

const READS: &str = "when = { read_only = true, in_transaction = false }\n\
    route = { to = \"standby\", otherwise = \"primary\" }";

fn policy() -> PolicyText {
    PolicyText::of(Cluster::shared()).stage("route", "reads", READS)
}

fn primary() -> String {
    Cluster::shared().primary.port.to_string()
}

fn standby() -> String {
    Cluster::shared().standbys[0].port.to_string()
}

fn first_value(messages: &[Message]) -> String {
    let row = messages.iter().find(|message| message.tag == 'D');
    row.unwrap_or_else(|| panic!("no row in {messages:?}"))
        .first_value()
}

#[test]
fn without_a_route_stage_everything_goes_to_the_primary() {
    let proxy = Proxy::start(&PolicyText::of(Cluster::shared()));
    assert_eq!(proxy.login("app").value(WHERE), primary());
}

#[test]
fn proven_reads_go_to_the_standby_in_both_protocols() {
    for mode in ["transaction", "session"] {
        let proxy = Proxy::start(&policy().mode(mode));
        let mut wire = proxy.login("app");
        assert_eq!(wire.value(WHERE), standby(), "{mode}");
        assert_eq!(first_value(&wire.extended(WHERE)), standby(), "{mode}");
        wire.works("CREATE TEMP TABLE t (n int)");
    }
}

#[test]
fn a_read_that_was_prepared_before_goes_to_the_standby() {
    let proxy = Proxy::start(&policy());
    let mut wire = proxy.login("app");
    let read = format!("{WHERE} || $1");
    wire.send(&[parse("read", &read), sync()].concat());
    wire.until_ready();
    for value in ["", "x"] {
        // Its parameters stand between its name and the Sync that ends the batch.
        wire.send(&[bind("", "read", &[value]), execute(""), sync()].concat());
        let answered = first_value(&wire.until_ready());
        assert_eq!(answered, format!("{}{value}", standby()));
    }
    let twice = [bind("", "read", &[""]), execute("")].concat();
    wire.send(&[&twice[..], &twice, &sync()].concat());
    let answered = first_value(&wire.until_ready());
    assert_eq!(answered, primary(), "a batch of several is one transaction");
}

#[test]
fn what_is_not_proven_to_read_goes_to_the_primary() {
    let proxy = Proxy::start(&policy());
    let port = "current_setting('port')";
    for sql in [
        format!("SELECT {port} FROM orders WHERE id = 1 FOR UPDATE"),
        format!("SELECT {port}, nextval('numbers')"),
        format!("SELECT {port} FROM pg_advisory_xact_lock(1)"),
        format!("SELECT {port}, set_config('work_mem', '1MB', true)"),
        format!("SELECT {port}, random()"),
        format!(
            "WITH w AS (UPDATE orders SET amount = amount WHERE id = 1 RETURNING id) SELECT {port} FROM w"
        ),
        format!(
            "INSERT INTO products VALUES (1, 'again') ON CONFLICT (id) DO UPDATE SET name = products.name RETURNING {port}"
        ),
        format!("SELECT {port}; SELECT nextval('numbers')"),
    ] {
        let mut wire = proxy.login("app");
        assert_eq!(wire.value(&sql), primary(), "{sql}");
    }
}

#[test]
fn a_transaction_stays_where_it_began() {
    let proxy = Proxy::start(&policy());
    let mut wire = proxy.login("app");
    wire.works("BEGIN");
    assert_eq!(wire.value(WHERE), primary());
    assert_eq!(first_value(&wire.extended(WHERE)), primary());
    wire.works("UPDATE orders SET amount = amount WHERE id = 1");
    assert_eq!(wire.value(WHERE), primary());
    wire.works("COMMIT");
    assert_eq!(wire.value(WHERE), standby());
}

#[test]
fn a_pipeline_stays_on_one_server_until_sync() {
    let proxy = Proxy::start(&policy());
    let mut wire = proxy.login("app");
    let step = |sql: &str| [parse("", sql), bind("", "", &[]), execute("")].concat();
    // The write after the read belongs to the same implicit transaction.
    wire.send(
        &[
            step(WHERE),
            step("SELECT nextval('numbers')"),
            step(WHERE),
            sync(),
        ]
        .concat(),
    );
    let messages = wire.until_ready();
    let rows: Vec<String> = messages
        .iter()
        .filter(|message| message.tag == 'D')
        .map(Message::first_value)
        .collect();
    assert!(shape(&messages).ends_with("ZI"), "{messages:?}");
    assert!(
        messages.iter().any(|message| message.tag == 'E')
            || (rows[0] == rows[2] && rows[0] == primary()),
        "{messages:?}"
    );
    assert_eq!(wire.value("SELECT 'alive'"), "alive");
}

#[test]
fn a_read_in_a_read_only_transaction_works() {
    let proxy = Proxy::start(&policy());
    let mut wire = proxy.login("app");
    wire.works("BEGIN READ ONLY");
    wire.works("SELECT count(*) FROM orders");
    wire.works("COMMIT");
}

#[test]
fn a_branch_overrides_node_and_database() {
    let policy = PolicyText::of(Cluster::shared())
        .extra("[branch.dev]\nnode = \"pg2\"\ndatabase = \"app_dev\"")
        .stage(
            "route",
            "dev",
            "when = { user = \"other\" }\nroute = { to = \"branch:dev\" }",
        );
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("other");
    assert_eq!(wire.value("SELECT current_database()"), "app_dev");
    assert_eq!(wire.value(WHERE), standby());
    assert_eq!(proxy.login("app").value("SELECT current_database()"), "app");
}

#[test]
fn a_node_can_be_named() {
    let policy =
        PolicyText::of(Cluster::shared()).stage("route", "there", "route = { to = \"node:pg2\" }");
    assert_eq!(Proxy::start(&policy).login("app").value(WHERE), standby());
}

/// The same verdicts from a script, told by who asks.
#[test]
fn a_script_can_route_and_block() {
    let script = "script = '''\nswitch user.name {\n\
        \"other\" => route(\"node:pg2\"),\n\
        \"postgres\" => deny(\"nowhere to go\"),\n\
        _ => route(\"primary\")\n}\n'''";
    let proxy = Proxy::start(&PolicyText::of(Cluster::shared()).stage("route", "by-user", script));
    assert_eq!(proxy.login("other").value(WHERE), standby());
    assert_eq!(proxy.login("app").value(WHERE), primary());
    let mut wire = proxy.login("postgres");
    let problem = wire.fails("SELECT 1");
    assert_eq!(
        (problem.code.as_str(), problem.message.as_str()),
        ("42000", "nowhere to go")
    );
    assert_eq!(shape(&wire.extended("SELECT 1")), "E ZI");
}

#[test]
fn a_plugin_can_route_to_a_node_and_to_a_branch() {
    const NODE: u16 = 7;
    const BRANCH: u16 = 8;
    const TARGET: u16 = 6;
    let node = plugins::answering("route", NODE, TARGET, "pg2");
    let branch = plugins::answering("route", BRANCH, TARGET, "dev");
    let policy = PolicyText::of(Cluster::shared())
        .extra("[branch.dev]\nnode = \"pg1\"\ndatabase = \"app_dev\"")
        .extra(&plugins::table("to_node", &node))
        .extra(&plugins::table("to_branch", &branch))
        .stage(
            "route",
            "node",
            "when = { user = \"app\" }\nplugin = \"to_node\"",
        )
        .stage(
            "route",
            "branch",
            "when = { user = \"other\" }\nplugin = \"to_branch\"",
        );
    let proxy = Proxy::start_with(
        &policy,
        &[("to_node.wasm", &node), ("to_branch.wasm", &branch)],
        &[],
    );
    assert_eq!(proxy.login("app").value(WHERE), standby());
    assert_eq!(
        proxy.login("other").value("SELECT current_database()"),
        "app_dev"
    );
}

#[test]
fn a_route_to_what_the_policy_does_not_name_is_a_fault() {
    const NODE: u16 = 7;
    const BRANCH: u16 = 8;
    const TARGET: u16 = 6;
    for kind in [NODE, BRANCH] {
        let plugin = plugins::answering("route", kind, TARGET, "nowhere");
        let policy = PolicyText::of(Cluster::shared())
            .extra(&plugins::table("lost", &plugin))
            .stage(
                "route",
                "lost",
                "when = { user = \"other\" }\nplugin = \"lost\"",
            );
        let proxy = Proxy::start_with(&policy, &[("lost.wasm", &plugin)], &[]);
        let mut wire = proxy.login("other");
        assert_eq!(wire.fails("SELECT 1").code, "58000");
        assert_eq!(shape(&wire.extended("SELECT 1")), "E ZI");
        assert_eq!(proxy.login("app").value("SELECT 'alive'"), "alive");
    }
}

#[test]
fn reads_go_to_the_primary_while_the_standby_is_away() {
    let mut cluster = Cluster::new(1);
    let proxy = Proxy::start(&PolicyText::of(&cluster).stage("route", "reads", READS));
    let (primary, standby) = (
        cluster.primary.port.to_string(),
        cluster.standbys[0].port.to_string(),
    );
    let mut wire = proxy.login("app");
    assert_eq!(wire.value(WHERE), standby);
    cluster.standbys[0].stop();
    // One statement may find out that the connection is gone.
    wait_for("reads go to the primary", || {
        let mut wire: Wire = proxy.login("app");
        let messages = wire.query(WHERE);
        messages
            .iter()
            .any(|message| message.tag == 'D' && message.first_value() == primary)
            .then_some(())
    });
    cluster.standbys[0].start_again();
    wait_for("reads go to the standby again", || {
        (proxy.login("app").value(WHERE) == standby).then_some(())
    });
}
