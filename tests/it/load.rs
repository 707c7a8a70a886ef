//! Rows from a node for stages: loaded for a script, asked for by a plugin, kept, and what happens when they cannot be had.

use crate::support::cluster::Cluster;
use crate::support::frames::query;
use crate::support::message::only_problem;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wait_for;
use crate::support::wire::Wire;

/// Logins and their tenants. The proxy asks as `postgres`, so that no client's rights are needed.
const TENANTS: &str = "statements = { tenant_of = \
    \"select tenant from (values ('app', 'acme'), ('other', 'globex'), ('other', 'nobody')) as t (login, tenant) \
     where login = $1 and tenant <> 'nobody'\" }";

const SCRIPT: &str = r#"script = '''
if load.tenant == () { return deny("login has no tenant"); }
for t in sql.tables {
    if t.name.starts_with("tenant_") && t.name != `tenant_${load.tenant}` {
        return deny(`${t.name} belongs to another tenant`);
    }
}
next()
'''"#;

fn grant(call: &str, more: &str) -> String {
    format!(
        "[permissions.tenant]\nsee = [\"identity\", \"sql.tables\"]\ncall = [\"{call}\"]\n\
         load = {{ pool = \"main\", database = \"app\", max_rows = 1, {more}, {TENANTS} }}"
    )
}

/// A pool with a login of its own, and a stage that looks at tables of tenants.
fn policy(cluster: &Cluster, size: usize, grant: &str, keys: &str) -> PolicyText {
    let keys = format!("permissions = \"tenant\"\nwhen = {{ tables = [\"tenant_*\"] }}\n{keys}");
    PolicyText::of(cluster)
        .size(size)
        .pool_key("login = { user = \"postgres\" }")
        .extra(grant)
        .stage("authorize", "tenants", &keys)
}

fn load(cache: &str) -> String {
    format!(
        "load = {{ tenant = {{ statement = \"tenant_of\", args = [\"user.name\"]{cache} }} }}\n{SCRIPT}"
    )
}

/// How many statements the set's own connections have asked, by `SHOW STATS`.
fn asked(proxy: &Proxy) -> u64 {
    let rows = proxy.admin().table("SHOW STATS");
    let own = rows.iter().filter(|row| row["pool"] == "main/tenant");
    own.map(|row| row["statements"].parse::<u64>().expect("a number"))
        .sum()
}

#[track_caller]
fn keeps_tenants_apart(proxy: &Proxy) {
    for send in [Wire::query, Wire::extended] {
        for (user, own, foreign) in [
            ("app", "tenant_acme", "tenant_globex"),
            ("other", "tenant_globex", "tenant_acme"),
        ] {
            let mut wire = proxy.login(user);
            let shape = |messages: &[crate::support::message::Message]| {
                crate::support::message::shape(messages)
            };
            let allowed = shape(&send(&mut wire, &format!("SELECT note FROM {own}")));
            assert!(allowed.contains('D'), "{user} {own}: {allowed}");
            let refused = send(&mut wire, &format!("SELECT note FROM {foreign}"));
            assert!(shape(&refused).contains('E'), "{user} {foreign}");
            assert_eq!(wire.value("SELECT 1"), "1", "the session goes on");
        }
    }
}

#[test]
fn a_script_loads_the_tenant_of_the_user() {
    let grant = grant("load", "timeout = \"10s\"");
    let proxy = Proxy::start(&policy(Cluster::shared(), 10, &grant, &load("")));
    keeps_tenants_apart(&proxy);
    let mut wire = proxy.login("app");
    let problem = wire.fails("SELECT * FROM tenant_globex");
    assert_eq!(problem.code, "42000");
    assert_eq!(problem.message, "tenant_globex belongs to another tenant");
    let problem = proxy.login("postgres").fails("SELECT * FROM tenant_acme");
    assert_eq!(problem.message, "login has no tenant");
    let before = asked(&proxy);
    wire.works("SELECT * FROM tenant_acme");
    assert_eq!(asked(&proxy), before + 1, "without `cache` each time");
    wire.works("SELECT * FROM orders");
    assert_eq!(
        asked(&proxy),
        before + 1,
        "not where the guards do not match"
    );
    let rows = proxy.admin().table("SHOW POOLS");
    assert!(
        rows.iter().any(|row| row["pool"] == "main/tenant"),
        "{rows:?}"
    );
}

#[test]
fn a_plugin_asks_for_it_in_the_middle_of_a_call() {
    for state in ["fresh", "kept"] {
        let module = plugins::wat(include_str!("../../plugins/wat/tenant_query.wat"));
        let table = format!("{}state = \"{state}\"", plugins::table("query", &module));
        let grant = grant("query", "timeout = \"10s\"");
        let policy = policy(Cluster::shared(), 10, &grant, "plugin = \"query\"").extra(&table);
        let proxy = Proxy::start_with(&policy, &[("query.wasm", &module)], &[]);
        keeps_tenants_apart(&proxy);
        assert_eq!(asked(&proxy), 8);
    }
}

#[test]
fn an_answer_is_kept_until_a_reload() {
    let grant = grant("load", "timeout = \"10s\"");
    let policy = policy(Cluster::shared(), 10, &grant, &load(", cache = \"1h\""));
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    for _ in 0..5 {
        wire.works("SELECT * FROM tenant_acme");
    }
    assert_eq!(asked(&proxy), 1);
    proxy.login("other").works("SELECT * FROM tenant_globex");
    assert_eq!(asked(&proxy), 2, "another argument is another question");
    proxy.reload(&policy.extra("[vars]\nunused = \"1\"").text());
    wire.works("SELECT * FROM tenant_acme");
    wire.works("SELECT * FROM tenant_acme");
    assert_eq!(asked(&proxy), 3);
}

/// A session that holds the pool's only connection waits for no other of that pool.
#[test]
fn a_pool_of_one_connection_is_enough_for_many_clients() {
    let grant = grant("load", "timeout = \"20s\"");
    let proxy = Proxy::start(&policy(Cluster::shared(), 1, &grant, &load("")));
    let mut wire = proxy.login("app");
    wire.works("BEGIN");
    wire.works("SELECT * FROM tenant_acme");
    wire.fails("SELECT * FROM tenant_globex");
    wire.works("ROLLBACK");
    drop(wire);
    std::thread::scope(|scope| {
        for number in 0..32 {
            let proxy = &proxy;
            scope.spawn(move || {
                let (user, own, foreign) = match number % 2 {
                    0 => ("app", "tenant_acme", "tenant_globex"),
                    _ => ("other", "tenant_globex", "tenant_acme"),
                };
                let mut wire = proxy.login(user);
                for _ in 0..20 {
                    wire.works(&format!("BEGIN; SELECT * FROM {own}; COMMIT"));
                    let problem = wire.fails(&format!("SELECT * FROM {foreign}"));
                    assert_eq!(
                        problem.message,
                        format!("{foreign} belongs to another tenant")
                    );
                }
            });
        }
    });
    let servers = proxy.admin().table("SHOW SERVERS");
    let own = servers
        .iter()
        .filter(|row| row["pool"] == "main/tenant")
        .count();
    assert!((1..=4).contains(&own), "{own}");
}

#[test]
fn what_cannot_be_had_refuses_and_the_session_goes_on() {
    let mut cluster = Cluster::new(1);
    let grant = grant("load", "timeout = \"10s\", node = \"standby\"");
    let proxy = Proxy::start(&policy(&cluster, 10, &grant, &load("")));
    let mut wire = proxy.login("app");
    cluster.wait_for_standbys();
    wire.works("SELECT * FROM tenant_acme");
    cluster.standbys[0].stop();
    for _ in 0..3 {
        let problem = wire.fails("SELECT * FROM tenant_acme");
        assert_eq!(problem.code, "58000");
        let text = "what a stage of the policy loads as \"tenant\" could not be had: no node could be asked";
        assert_eq!(problem.message, text);
        assert_eq!(wire.value("SELECT count(*) FROM orders"), "100");
    }
    cluster.standbys[0].start_again();
    wait_for("the standby is asked again", || {
        let messages = wire.query("SELECT * FROM tenant_acme");
        crate::support::message::shape(&messages)
            .contains('D')
            .then_some(())
    });
    let stages = proxy.admin().table("SHOW STAGES");
    assert!(format!("{stages:?}").contains("load_failed="), "{stages:?}");
}

#[test]
fn limits_of_rows_bytes_and_time_hold() {
    let statement = |sql: &str| {
        format!(
            "[permissions.tenant]\nsee = [\"sql.tables\"]\ncall = [\"load\"]\nload = {{ pool = \"main\", database = \"app\", \
             max_rows = 2, max_bytes = \"100B\", timeout = \"3s\", statements = {{ s = \"{sql}\" }} }}"
        )
    };
    let load =
        "load = { tenant = { statement = \"s\" } }\nscript = 'deny(load.tenant.len().to_string())'";
    let numbers = "select g::text from unnest(array[1,2,3]) g";
    // Nothing volatile may be asked, so what takes long has to be a long calculation.
    let long = "select count(*) from orders a, orders b, orders c, orders d, orders e, orders f";
    for (sql, said) in [
        (format!("{numbers} limit 2"), "2"),
        (format!("{numbers} limit 0"), "0"),
        (
            numbers.to_owned(),
            "more rows or bytes than the policy allows",
        ),
        ("select repeat('x', 101)".to_owned(), "more rows or bytes"),
        (
            "select repeat('x', 1000000)".to_owned(),
            "more rows or bytes",
        ),
        (long.to_owned(), "no answer in time"),
        (
            "select 1 / 0".to_owned(),
            "the node refused the statement with 22012",
        ),
        ("select * from nowhere".to_owned(), "with 42P01"),
    ] {
        let proxy = Proxy::start(&policy(Cluster::shared(), 10, &statement(&sql), load));
        let mut wire = proxy.login("app");
        for _ in 0..2 {
            let problem = wire.fails("SELECT * FROM tenant_acme");
            assert!(problem.message.contains(said), "{sql}: {}", problem.message);
        }
        assert_eq!(wire.value("SELECT 1"), "1");
    }
}

#[test]
fn the_connections_of_a_set_are_read_only_and_have_a_fixed_path() {
    let settings = "select current_setting('transaction_read_only') || current_setting('search_path') \
                    || current_setting('statement_timeout') || current_user";
    let grant = format!(
        "[permissions.tenant]\nsee = [\"sql.tables\"]\ncall = [\"load\"]\n\
         load = {{ pool = \"main\", database = \"app\", max_rows = 1, timeout = \"10s\", statements = {{ s = \"{settings}\" }} }}"
    );
    let load = "load = { tenant = { statement = \"s\" } }\nscript = 'deny(load.tenant)'";
    let proxy = Proxy::start(&policy(Cluster::shared(), 10, &grant, load));
    let problem = proxy.login("app").fails("SELECT * FROM tenant_acme");
    assert_eq!(problem.message, "onpg_catalog, public, pg_temp10spostgres");
}

/// Stages that are asked at a login, and those that watch.
#[test]
fn logins_and_observers_may_load() {
    let grant = grant("load", "timeout = \"10s\"").replace("call = [", "call = [\"log\", ");
    let load = "permissions = \"tenant\"\nload = { tenant = { statement = \"tenant_of\", args = [\"user.name\"] } }";
    let login = format!(
        "{load}\nscript = 'if load.tenant == () {{ deny(\"28000\", \"no tenant\") }} else {{ next() }}'"
    );
    let watch = format!("{load}\nscript = 'log::info(`${{hook}} of ${{load.tenant}}`); next()'");
    let users = "[user.app]\ntrust = true\n[user.other]\ntrust = true\n[user.lost]\ntrust = true\n";
    let policy = PolicyText::of(Cluster::shared())
        .users(users)
        .pool_key("login = { user = \"postgres\" }")
        .extra(&grant)
        .stage("on_connect", "known", &login)
        .stage("post_query", "watch", &watch)
        .stage("on_disconnect", "gone", &watch);
    let proxy = Proxy::start(&policy);
    assert!(Wire::try_login(proxy.port, "lost", "app").is_none());
    let mut wire = proxy.login("other");
    for send in [Wire::query, Wire::extended] {
        let before = proxy.log().matches("post_query of globex").count();
        drop(send(&mut wire, "SELECT 1"));
        wait_for("the observer is told", || {
            let now = proxy.log().matches("post_query of globex").count();
            (now == before + 1).then_some(())
        });
    }
    drop(wire);
    wait_for("the end is told", || {
        proxy
            .log()
            .contains("on_disconnect of globex")
            .then_some(())
    });
}

/// What an argument is made of is found out although nothing else of the stage asks for it.
#[test]
fn arguments_have_their_values_whatever_else_the_stage_reads() {
    let grant = "[permissions.echo]\nsee = [\"sql.normalized\", \"sql.kind\"]\ncall = [\"load\"]\n\
         load = { pool = \"main\", database = \"app\", max_rows = 1, timeout = \"10s\", statements = { echo = \"select $1::text\" } }";
    for (field, sql, said) in [
        ("sql.normalized", "SELECT 4711", "select $1"),
        ("sql.has_where", "DELETE FROM orders", "false"),
        ("sql.has_limit", "SELECT id FROM orders LIMIT 1", "true"),
    ] {
        let keys = format!(
            "permissions = \"echo\"\nload = {{ told = {{ statement = \"echo\", args = [\"{field}\"] }} }}\nscript = 'deny(load.told)'"
        );
        let policy = PolicyText::of(Cluster::shared())
            .pool_key("login = { user = \"postgres\" }")
            .extra(grant)
            .stage("pre_query", "echo", &keys);
        let proxy = Proxy::start(&policy);
        assert_eq!(proxy.login("app").fails(sql).message, said, "{field}");
    }
}

/// A client that sends without waiting has its observers told after each message, and not when it pauses.
#[test]
fn observers_that_load_are_told_between_messages_of_a_pipeline() {
    let grant = grant("load", "timeout = \"10s\"").replace(
        "call = [\"load\"]",
        "call = [\"load\", \"kv.read\", \"kv.write\"]\nkv = { namespace = \"n\", max_keys = 2, max_bytes = \"1KiB\" }",
    );
    let load = "permissions = \"tenant\"\nload = { tenant = { statement = \"tenant_of\", args = [\"user.name\"] } }";
    let count = format!("{load}\nscript = 'kv::add(\"told\", 1); next()'");
    let tell = "permissions = \"tenant\"\nscript = 'deny(`${kv::get(\"told\")}`)'";
    let policy = PolicyText::of(Cluster::shared())
        .pool_key("login = { user = \"postgres\" }")
        .extra(&grant)
        .stage("pre_query", "tell", tell)
        .stage("post_query", "count", &count);
    let proxy = Proxy::start(&policy);
    let mut wire = proxy.login("app");
    wire.send(&query("SELECT 1").repeat(5));
    let told: Vec<String> = (0..5)
        .map(|_| only_problem(&wire.until_ready()).message)
        .collect();
    assert_eq!(told, ["", "1", "2", "3", "4"]);
}

/// Nothing is asked for a guest that is not asked either.
#[test]
fn an_open_breaker_loads_nothing() {
    let grant = grant("load", "timeout = \"10s\"");
    let stage = "breaker = { failures = 1, within = \"1h\", retry_after = \"1h\" }\n\
         load = { tenant = { statement = \"tenant_of\", args = [\"user.name\"] } }\nscript = 'loop { }'";
    let proxy = Proxy::start(&policy(Cluster::shared(), 10, &grant, stage));
    let mut wire = proxy.login("app");
    for _ in 0..3 {
        assert_eq!(wire.fails("SELECT * FROM tenant_acme").code, "58000");
        assert_eq!(asked(&proxy), 1);
    }
    let stages = format!("{:?}", proxy.admin().table("SHOW STAGES"));
    assert!(stages.contains("breaker_open=2"), "{stages}");
}
