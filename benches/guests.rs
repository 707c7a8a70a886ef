//! What one stage of each kind costs: a native rule, a script (lowered, and run by Rhai), a plugin (kept and fresh).
//! Each looks at a statement of 100 bytes and lets it pass; what it looks at was found out before.
//!
//! `cargo bench --bench guests` prints times. `benches/guests-instructions` counts instructions with valgrind, for machines
//! whose clocks cannot be trusted: it calls this program with a kind and a number of calls.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark says what is wrong by ending"
)]

use criterion::Criterion;
use pgwarden::hook::AuthMethod;
use pgwarden::hook::ClientAddress;
use pgwarden::hook::Hook;
use pgwarden::hook::Identity;
use pgwarden::hook::Input;
use pgwarden::hook::Protocol;
use pgwarden::hook::SessionContext;
use pgwarden::hook::StatementContext;
use pgwarden::hook::abi::Fields;
use pgwarden::pipeline;
use pgwarden::pipeline::Detail;
use pgwarden::pipeline::NoPrepared;
use pgwarden::pipeline::Pipeline;
use pgwarden::pipeline::Statement;
use pgwarden::pipeline::StatsRegistry;
use pgwarden::pipeline::decide_at_once;
use pgwarden::policy;
use pgwarden::sandbox::Abi;
use pgwarden::sandbox::Call;
use pgwarden::sandbox::Grants;
use pgwarden::sandbox::Guest;
use pgwarden::sandbox::GuestSpec;
use pgwarden::sandbox::KvGrant;
use pgwarden::sandbox::Limits;
use pgwarden::sandbox::Manifest;
use pgwarden::sandbox::Services;
use pgwarden::sandbox::State;
use pgwarden::sandbox::load_script;
use pgwarden::sandbox::load_wasm;
use pgwarden::server::ProcessServices;
use pgwarden::statement::Analyzer;
use pgwarden::statement::Facts;
use pgwarden::statement::Needs;
use pgwarden::statement::analyze;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const SQL: &str = "SELECT id, name, total FROM orders JOIN customers USING (customer_id) WHERE orders.id = 12345 LIMIT 10";

const LOWERED: &str = "if sql.kind == \"ddl\" { deny(\"no schema changes\") } else { next() }";
const LOWERED_LOOP: &str = "for t in sql.tables { if t.name.starts_with(\"tenant_\") && t.name != `tenant_${user.tenant}` { return deny(`${t.name} belongs to another tenant`); } } next()";
/// `switch` is left to Rhai.
const BY_RHAI: &str = "switch sql.kind { \"ddl\" => deny(\"no schema changes\"), _ => next() }";

/// What stages are asked about.
struct Subject {
    session: SessionContext,
    facts: Facts,
    services: Arc<dyn Services>,
}

impl Subject {
    fn new() -> Self {
        let needs = Needs {
            normalized: true,
            parse: true,
        };
        let session = SessionContext {
            client_id: Uuid::nil(),
            identity: Identity {
                user: "app".into(),
                roles: vec!["app".into()],
                tenant: Some("7".into()),
                ..Identity::default()
            },
            database: "shop".into(),
            branch: None,
            app: "bench".into(),
            listener: "main".into(),
            client: ClientAddress::Unix,
            tls: false,
            auth_method: AuthMethod::Scram,
            attributes: BTreeMap::new(),
            learned: BTreeMap::new(),
        };
        Self {
            session,
            facts: analyze(SQL, needs),
            services: Arc::new(ProcessServices::new()),
        }
    }

    fn ask(&self, guest: &dyn Guest) {
        let statement = StatementContext {
            facts: &self.facts,
            text: SQL,
            protocol: Protocol::Simple,
            in_transaction: false,
            tx_writes: false,
            statement_count: 1,
        };
        let input = Input {
            hook: Hook::PreQuery,
            request_id: Uuid::nil(),
            session: &self.session,
            statement: Some(&statement),
            outcome: None,
            auth: None,
            custom: None,
            loaded: &[],
            now: None,
            lag: None,
        };
        black_box(guest.call(&input, &self.services).done().unwrap());
    }

    fn decide(&self, pipeline: &Pipeline) {
        let statement = Statement {
            session: &self.session,
            request_id: Uuid::nil(),
            text: SQL,
            protocol: Protocol::Simple,
            in_transaction: false,
            tx_writes: false,
            statement_count: 1,
            prepared: &NoPrepared,
            lag: None,
        };
        let trace = decide_at_once(pipeline, &statement, &self.services, Detail::Verdict).unwrap();
        black_box(trace.fuel);
    }
}

/// A policy's one file.
struct OneFile(String);

impl policy::Files for OneFile {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }

    fn mode(&self, _: &Path) -> Option<u32> {
        None
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn trusted_key(&self, _: &str) -> Option<io::Result<Vec<u8>>> {
        None
    }

    fn requires_signatures(&self) -> bool {
        false
    }
}

/// A pipeline of as many rules that do not match.
fn rules(count: usize) -> Arc<Pipeline> {
    let mut text = "policy = 1\nname = \"bench\"\n[listener.main]\nbind = [\"127.0.0.1:6432\"]\n[node.pg]\nrole = \"primary\"\nhost = \"127.0.0.1\"\n[pool.main]\ndatabase = \"*\"\nnodes = [\"pg\"]\n[sql]\nmax_statements = 9\n".to_owned();
    let names: Vec<String> = (0..count).map(|number| format!("\"r{number}\"")).collect();
    for name in &names {
        text.push_str(&format!(
            "[stage.{name}]\nhook = \"pre_query\"\nwhen = {{ kind = [\"ddl\", \"grant\"], user = \"app\" }}\ndeny = \"no\"\n"
        ));
    }
    let list = match &names[..] {
        [] => String::new(),
        names => format!("pre_query = [{}]\n", names.join(", ")),
    };
    text.push_str(&format!(
        "[pipeline.default]\n{list}otherwise = {{ authorize = \"allow\" }}\n"
    ));
    let (policy, mut report) = policy::load(Path::new("policy.toml"), None, &OneFile(text));
    let Ok(policy) = policy else {
        unreachable!("the policy above is right: {:?}", report.lines());
    };
    let analyzer = Arc::new(Analyzer::new(100));
    let stats = StatsRegistry::default();
    pipeline::compile(&policy, &mut report, &stats, &analyzer)
        .unwrap()
        .swap_remove(0)
}

fn spec(state: State, manifest: Option<Manifest>, abi: Abi) -> GuestSpec {
    let mut grants = Grants::standard();
    if abi == Abi::Helios1 {
        // The fixture imports all that it may.
        grants.call = [Call::KvRead, Call::KvWrite, Call::Sha256].into();
        grants.kv = Some(KvGrant {
            namespace: "bench".into(),
            max_keys: 1,
            max_bytes: 1_024,
        });
    }
    GuestSpec {
        stage: "bench".into(),
        hooks: vec![Hook::PreQuery],
        grants,
        limits: Limits::default(),
        state,
        config: None,
        manifest: manifest.map(Arc::new),
        abi,
        attributes: Vec::new(),
        loads: Vec::new(),
    }
}

fn script(text: &str) -> Box<dyn Guest> {
    load_script(text, spec(State::Fresh, None, Abi::Pgwarden1)).unwrap()
}

/// A plugin of this repository. Where it is missing, `scripts/plugins.sh` builds it.
fn example(name: &str) -> Vec<u8> {
    let root = env!("CARGO_MANIFEST_DIR");
    std::fs::read(format!("{root}/policies/plugins/{name}.wasm")).unwrap()
}

fn plugin(name: &str, state: State, abi: Abi) -> Box<dyn Guest> {
    let bytes = example(name);
    let manifest = Manifest::of_module(&bytes).unwrap();
    load_wasm(&bytes, spec(state, manifest, abi)).unwrap()
}

/// A module that looks at nothing: what is left is what a plugin of any kind costs.
const SILENT: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "pgw_alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "pre_query") (param i32 i32) (result i64) (i64.const 0)))"#;

fn module(text: &str, state: State) -> Box<dyn Guest> {
    let bytes = wat::parse_str(text).unwrap();
    // It says that it reads nothing, so nothing is encoded for it.
    let manifest = Manifest {
        reads: Some(Fields::NONE),
        ..Manifest::of_module(&example("deny_ddl")).unwrap().unwrap()
    };
    load_wasm(&bytes, spec(state, Some(manifest), Abi::Pgwarden1)).unwrap()
}

/// One call of a kind.
type OneCall = Box<dyn Fn(&Subject)>;

fn kinds() -> Vec<(&'static str, OneCall)> {
    let guest =
        |guest: Box<dyn Guest>| -> OneCall { Box::new(move |subject| subject.ask(&*guest)) };
    let (without, with) = (rules(0), rules(10));
    vec![
        ("no rule", Box::new(move |subject| subject.decide(&without))),
        ("ten rules", Box::new(move |subject| subject.decide(&with))),
        ("script, lowered", guest(script(LOWERED))),
        ("script with a loop, lowered", guest(script(LOWERED_LOOP))),
        ("script, run by Rhai", guest(script(BY_RHAI))),
        (
            "plugin, kept",
            guest(plugin("deny_ddl", State::Kept, Abi::Pgwarden1)),
        ),
        (
            "plugin, kept, that asks for nothing",
            guest(module(SILENT, State::Kept)),
        ),
        (
            "plugin, fresh, that asks for nothing",
            guest(module(SILENT, State::Fresh)),
        ),
        (
            "plugin of heliosdb-proxy's kind",
            guest(plugin("helios_fixture", State::Fresh, Abi::Helios1)),
        ),
        (
            "plugin, fresh",
            guest(plugin("deny_ddl", State::Fresh, Abi::Pgwarden1)),
        ),
    ]
}

fn main() {
    let subject = Subject::new();
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, kind, calls] = &arguments[..]
        && flag == "--calls"
    {
        let (_, call) = kinds().into_iter().find(|(name, _)| name == kind).unwrap();
        (0..calls.parse::<u32>().unwrap()).for_each(|_| call(&subject));
        return;
    }
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for (name, call) in kinds() {
        criterion.bench_function(name, |bencher| bencher.iter(|| call(&subject)));
    }
    criterion.final_summary();
}
