//! The std packs: each in the smallest policy that includes it, by its own tests, by the changes that those must notice, and in
//! front of a real server.

use crate::support::Folder;
use crate::support::cluster::Cluster;
use crate::support::message::Message;
use crate::support::message::only_problem;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::proxy::pgwarden;
use crate::support::said::Said;

/// One pack, as a policy includes it.
struct Pack {
    name: &'static str,
    vars: &'static str,
    /// Hook and stage, in their order.
    stages: &'static [(&'static str, &'static str)],
    /// User, statement, and the SQLSTATE of the refusal.
    cases: &'static [(&'static str, &'static str, Option<&'static str>)],
}

/// `app` is everybody; `other` has the role of each pack.
const USERS: &str = "[role.special]\n[user.app]\ntrust = true\n\
    [user.other]\ntrust = true\nroles = [\"special\"]\nattributes = { tenant = \"acme\" }\n\
    [user.postgres]\ntrust = true\nroles = [\"special\"]\n";

const NO: Option<&str> = Some("42501");
const YES: Option<&str> = None;

const PACKS: [Pack; 7] = [
    Pack {
        name: "read-only-role",
        vars: "std_reader_role = \"special\"\nstd_reader_user = \"other\"\n",
        stages: &[("authorize", "std-readers-only-read")],
        cases: &[
            ("other", "SELECT * FROM orders WHERE id = 1", YES),
            (
                "other",
                "UPDATE orders SET amount = amount WHERE id = 1",
                NO,
            ),
            ("other", "SELECT id FROM orders WHERE id = 1 FOR UPDATE", NO),
            ("other", "SHOW search_path", YES),
            ("app", "UPDATE orders SET amount = amount WHERE id = 1", YES),
        ],
    },
    Pack {
        name: "write-needs-where",
        vars: "std_writer_user = \"app\"\n",
        stages: &[("pre_query", "std-write-needs-where")],
        cases: &[
            ("app", "UPDATE orders SET amount = amount", NO),
            (
                "app",
                "WITH d AS (DELETE FROM orders RETURNING id) SELECT * FROM d",
                NO,
            ),
            ("app", "UPDATE orders SET amount = amount WHERE id = 1", YES),
            ("app", "SELECT 1", YES),
        ],
    },
    Pack {
        name: "ddl-freeze",
        vars: "std_migrator_role = \"special\"\nstd_frozen_user = \"app\"\n",
        stages: &[("authorize", "std-ddl-freeze")],
        cases: &[
            ("app", "CREATE TABLE frozen (a int)", NO),
            ("app", "DO $$ BEGIN PERFORM 1; END $$", NO),
            (
                "app",
                "INSERT INTO products VALUES (1, 'again') ON CONFLICT (id) DO NOTHING",
                YES,
            ),
            (
                "postgres",
                "CREATE TEMP TABLE IF NOT EXISTS thawed (a int)",
                YES,
            ),
        ],
    },
    Pack {
        name: "statement-timeouts",
        vars: "std_timeout = \"300ms\"\nstd_batch_role = \"special\"\nstd_batch_timeout = \"60s\"\nstd_user = \"app\"\nstd_batch_user = \"other\"\n",
        stages: &[("rewrite", "std-timeout"), ("rewrite", "std-batch-timeout")],
        cases: &[
            ("app", "SELECT pg_sleep(20)", Some("57014")),
            ("app", "SELECT 1", YES),
            ("other", "SELECT pg_sleep(0.5)", YES),
        ],
    },
    Pack {
        name: "tenant-isolation",
        vars: "std_tenant_role = \"special\"\nstd_tenant_user = \"other\"\n",
        stages: &[
            ("authorize", "std-tenant-ways-around"),
            ("authorize", "std-tenant-hidden-reads"),
            ("authorize", "std-tenant-own-schema"),
        ],
        cases: &[
            ("other", "SELECT * FROM orders", NO),
            ("other", "SELECT * FROM public.orders", NO),
            ("other", "SELECT 1", YES),
            // It is not there, which is for the node to say.
            ("other", "SELECT * FROM acme.orders", Some("42P01")),
            ("other", "SELECT * FROM acme.orders, public.orders", NO),
            ("other", "SET search_path = public", NO),
            ("other", "SELECT table_to_xml('orders', true, true, '')", NO),
            // Has the role, and no tenant.
            ("postgres", "SELECT * FROM orders", NO),
            ("postgres", "SELECT * FROM acme.orders", NO),
            ("app", "SELECT * FROM orders", YES),
        ],
    },
    Pack {
        name: "pii-columns",
        vars: "std_pii_columns = [\"amount\", \"*_name\"]\nstd_pii_role = \"special\"\nstd_pii_user = \"app\"\n",
        stages: &[
            ("authorize", "std-pii-columns"),
            ("authorize", "std-pii-whole-rows"),
        ],
        cases: &[
            ("app", "SELECT amount FROM orders", NO),
            ("app", "SELECT * FROM orders", NO),
            ("app", "SELECT id FROM orders WHERE amount > 5", NO),
            ("app", "COPY orders TO STDOUT", NO),
            ("app", "SELECT id FROM orders WHERE id = 1", YES),
            ("other", "SELECT * FROM orders WHERE id = 1", YES),
        ],
    },
    Pack {
        name: "llm-agent-guard",
        vars: "std_agent_role = \"special\"\nstd_agent_rows = 2\nstd_agent_timeout = \"300ms\"\nstd_agent_user = \"other\"\n",
        stages: &[
            ("rewrite", "std-agent-bounds"),
            ("authorize", "std-agent-only-rows"),
            ("authorize", "std-agent-needs-where"),
        ],
        cases: &[
            ("other", "DROP TABLE orders", NO),
            ("other", "DELETE FROM orders", NO),
            ("other", "SELECT pg_sleep(20)", Some("57014")),
            ("other", "SELECT generate_series(1, 10)", YES),
            ("app", "SET work_mem = '4MB'", YES),
        ],
    },
];

fn policy(pack: &Pack) -> PolicyText {
    let mut policy = PolicyText::of(Cluster::shared())
        .users(USERS)
        .mode("session")
        .extra(&format!("[vars]\n{}", pack.vars));
    for (hook, stage) in pack.stages {
        policy = policy.listed(hook, stage);
    }
    policy
}

fn including(pack: &Pack, policy: &str) -> String {
    let include = format!("policy = 1\ninclude = [\"std:{}\"]\n", pack.name);
    policy.replacen("policy = 1\n", &include, 1)
}

fn folder(policy: &str) -> Folder {
    let folder = Folder::new("pack");
    for (name, text) in PolicyText::files() {
        folder.write(name, text);
    }
    folder.write("policy.toml", policy);
    folder
}

fn verb(arguments: &[&str], folder: &Folder) -> (Option<i32>, String) {
    let path = folder.path().join("policy.toml");
    let said = Said::by(pgwarden(arguments).arg(path));
    (said.code, said.all())
}

#[test]
fn each_pack_passes_its_tests_and_misses_each_of_its_stages() {
    for pack in &PACKS {
        let folder = folder(&including(pack, &policy(pack).text()));
        let (code, said) = verb(&["check"], &folder);
        assert_eq!(code, Some(0), "{}: {said}", pack.name);
        assert!(
            !said.contains("std:"),
            "a warning about {}: {said}",
            pack.name
        );
        let (code, said) = verb(&["test", "--mutate"], &folder);
        assert_eq!(code, Some(0), "{}: {said}", pack.name);
        assert!(
            said.contains("0 alive") && !said.contains("0 mutants"),
            "{said}"
        );
        let (code, said) = verb(&["render"], &folder);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("std:{}:", pack.name)), "{said}");
        let (code, said) = verb(&["fmt", "--check"], &folder);
        assert!(!said.contains("std:"), "{code:?} {said}");
    }
}

#[test]
fn packs_live_beside_one_another() {
    let names = ["write-needs-where", "statement-timeouts", "ddl-freeze"];
    let packs = || PACKS.iter().filter(|pack| names.contains(&pack.name));
    let mut policy = PolicyText::of(Cluster::shared()).users(USERS);
    for (hook, stage) in packs().flat_map(|pack| pack.stages) {
        policy = policy.listed(hook, stage);
    }
    let vars: String = packs().map(|pack| pack.vars).collect();
    let text = policy.extra(&format!("[vars]\n{vars}")).text();
    let includes: Vec<String> = names.iter().map(|name| format!("std:{name}")).collect();
    let include = format!("policy = 1\ninclude = {includes:?}\n");
    let folder = folder(&text.replacen("policy = 1\n", &include, 1));
    let (code, said) = verb(&["test", "--mutate"], &folder);
    assert!(code == Some(0) && said.contains("0 alive"), "{said}");
}

#[test]
fn what_a_pack_needs_is_said_once() {
    let pack = &PACKS[0];
    let text = including(pack, &policy(pack).text()).replace("std_reader_user", "std_reader_usr");
    let (code, said) = verb(&["check"], &folder(&text));
    assert_eq!(code, Some(1));
    let needs = "error[P0302]: `std:read-only-role` needs the variable `std_reader_user`";
    assert_eq!(said.matches(needs).count(), 1, "{said}");
    assert!(
        said.contains("write std_reader_user = \"..\" under [vars]"),
        "{said}"
    );
}

#[test]
fn each_pack_decides_in_front_of_a_server() {
    for pack in &PACKS {
        let policy = policy(pack);
        let folder = folder(&including(pack, &policy.text()));
        let proxy = Proxy::over(folder, policy.port, &[]);
        for (user, sql, code) in pack.cases {
            let mut wire = proxy.login(user);
            let (simple, extended) = (wire.query(sql), wire.extended(sql));
            for messages in [simple, extended] {
                let refused = messages.iter().any(|message| message.tag == 'E');
                let got = refused.then(|| only_problem(&messages).code);
                assert_eq!(got.as_deref(), *code, "{}: {user}: {sql}", pack.name);
            }
        }
        if pack.name == "llm-agent-guard" {
            let mut wire = proxy.login("other");
            let rows = wire.query("SELECT generate_series(1, 10)");
            let rows = rows.iter().filter(|message: &&Message| message.tag == 'D');
            assert_eq!(rows.count(), 2);
        }
    }
}
