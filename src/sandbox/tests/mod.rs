//! The rules of the sandbox, each asked of both engines. Owns the fixtures: a statement, services with a clock of their own.

mod answers;
mod calls;
mod functions;
mod gate;
mod limits;
mod loading;
mod rows;
mod seeing;
mod unloading;

use super::Call;
use super::Failed;
use super::Fault;
use super::Grants;
use super::Guest;
use super::GuestSpec;
use super::KvGrant;
use super::Level;
use super::Limits;
use super::LoadError;
use super::MetricOp;
use super::Reply;
use super::Services;
use super::State;
use super::Store;
use super::load_script;
use super::load_wasm;
use crate::hook::AuthMethod;
use crate::hook::AuthRequest;
use crate::hook::ClientAddress;
use crate::hook::Hook;
use crate::hook::Identity;
use crate::hook::Input;
use crate::hook::Outcome;
use crate::hook::Protocol;
use crate::hook::SessionContext;
use crate::hook::StatementContext;
use crate::statement::Needs;
use crate::statement::analyze;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use uuid::Uuid;

/// Services whose clock goes on by `tick` at each look.
#[derive(Default)]
pub(super) struct Stub {
    store: Store,
    tick: Duration,
    looks: AtomicU64,
    unix_micros: AtomicU64,
    log: Mutex<Vec<String>>,
    metrics: Mutex<Vec<String>>,
}

impl Services for Stub {
    fn unix_micros(&self) -> u64 {
        self.unix_micros.load(Ordering::Relaxed)
    }
    fn monotonic(&self) -> Duration {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        self.tick * u32::try_from(looks).unwrap()
    }
    fn random(&self) -> u64 {
        7
    }
    fn store(&self) -> &Store {
        &self.store
    }
    fn metric(&self, stage: &str, name: &str, op: MetricOp, value: f64) {
        self.metrics
            .lock()
            .unwrap()
            .push(format!("{stage} {name} {op:?} {value}"));
    }
    fn log(&self, stage: &str, level: Level, message: &str) {
        self.log
            .lock()
            .unwrap()
            .push(format!("{stage} {} {message}", level.name()));
    }
    fn aside(&self, work: &mut (dyn FnMut() + Send)) {
        work();
    }
}

impl Stub {
    /// Services whose clock goes on by `tick` at each look.
    pub(super) fn ticking(tick: Duration) -> Self {
        Self {
            tick,
            ..Self::default()
        }
    }
}

pub(super) fn stub() -> Arc<Stub> {
    Arc::new(Stub::default())
}

fn session() -> SessionContext {
    SessionContext {
        client_id: Uuid::nil(),
        identity: Identity {
            user: "ada".into(),
            roles: vec!["app".into(), "dba".into()],
            tenant: Some("7".into()),
            ..Identity::default()
        },
        database: "shop".into(),
        branch: None,
        app: "psql".into(),
        listener: "main".into(),
        client: ClientAddress::Ip([10, 0, 0, 9].into(), 5_000),
        tls: true,
        auth_method: AuthMethod::Scram,
        attributes: BTreeMap::from([("team".into(), "red".into())]),
        learned: BTreeMap::new(),
    }
}

/// Asks a guest about a statement at a hook.
pub(super) fn ask_at(
    guest: &dyn Guest,
    hook: Hook,
    sql: &str,
    services: &Arc<Stub>,
) -> Result<Reply, Failed> {
    let session = session();
    let facts = analyze(
        sql,
        Needs {
            normalized: true,
            parse: true,
        },
    );
    let statement = StatementContext {
        facts: &facts,
        text: sql,
        protocol: Protocol::Simple,
        in_transaction: false,
        tx_writes: false,
        statement_count: 1,
    };
    let outcome = Outcome {
        success: true,
        rows: 3,
        elapsed: Duration::from_micros(1_500),
        ..Outcome::default()
    };
    let headers = [("user".to_owned(), "ada".to_owned())];
    let auth = AuthRequest {
        headers: &headers,
        username: "ada",
        password: Some("hunter2"),
    };
    let input = Input {
        hook,
        request_id: Uuid::nil(),
        session: &session,
        statement: hook.has_statement().then_some(&statement),
        outcome: hook.has_outcome().then_some(&outcome),
        auth: (hook == Hook::Authenticate).then_some(&auth),
        custom: None,
        loaded: &[],
        now: None,
        lag: None,
    };
    let services: Arc<dyn Services> = Arc::<Stub>::clone(services);
    guest.call(&input, &services).done()
}

fn ask(guest: &dyn Guest, sql: &str, services: &Arc<Stub>) -> Result<Reply, Failed> {
    ask_at(guest, Hook::Authorize, sql, services)
}

fn fault(guest: &dyn Guest, services: &Arc<Stub>) -> Fault {
    ask(guest, "SELECT 1", services).expect_err("a fault").fault
}

fn spec() -> GuestSpec {
    GuestSpec {
        stage: "stage".into(),
        hooks: vec![Hook::Authorize],
        grants: Grants::standard(),
        limits: Limits::default(),
        state: State::Fresh,
        config: None,
        manifest: None,
        abi: super::Abi::Pgwarden1,
        attributes: Vec::new(),
        loads: Vec::new(),
    }
}

/// A spec that may call everything and has a namespace.
pub(super) fn trusted() -> GuestSpec {
    let mut spec = spec();
    spec.grants.name = "trusted".into();
    spec.grants.call = Call::all().collect();
    spec.grants.see = super::See::all().collect();
    spec.grants.kv = Some(KvGrant {
        namespace: "n".into(),
        max_keys: 8,
        max_bytes: 4_096,
    });
    spec.grants.cache = Some(KvGrant {
        namespace: "cache:n".into(),
        max_keys: 4,
        max_bytes: 4_096,
    });
    spec.grants
        .patterns
        .insert("pan", r"\b\d{16}\b")
        .expect("a pattern");
    spec.grants.load = Some(super::LoadGrant {
        statements: Vec::new(),
        max_queries: 1,
    });
    spec
}

macro_rules! wat {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/plugins/wat/",
            $name,
            ".wat"
        ))
    };
}
use wat;

fn wasm(text: &str, spec: GuestSpec) -> Result<Box<dyn Guest>, Vec<LoadError>> {
    load_wasm(
        &::wat::parse_str(text).expect("the test's text is a module"),
        spec,
    )
}

/// The same guest for both engines.
fn both(text: &str, script: &str, spec: &GuestSpec) -> [Box<dyn Guest>; 2] {
    let script = load_script(script, spec.clone()).unwrap_or_else(|errors| panic!("{errors:?}"));
    let module = wasm(text, spec.clone()).unwrap_or_else(|errors| panic!("{errors:?}"));
    [module, script]
}
