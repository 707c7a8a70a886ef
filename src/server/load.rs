//! What the stages of one policy revision reach of the outside: the process's services, and declared statements, which are
//! asked on server connections of their own and kept as long as the policy says.
//!
//! A client's statement may hold the pool's last connection while a stage of it loads: from the same connections it would
//! wait for itself. So each permission set has a few of its own on each node, seen in `SHOW POOLS` as `pool/set`.

mod ask;
mod cache;

use super::decisions::Sinks;
use super::services::ProcessServices;
use crate::pipeline::DecisionLog;
use crate::policy;
use crate::policy::Policy;
use crate::policy::PoolMode;
use crate::policy::Role;
use crate::policy::SessionState;
use crate::pool::Login;
use crate::pool::Plan;
use crate::pool::PoolKey;
use crate::pool::Pools;
use crate::sandbox::Asking;
use crate::sandbox::DeclaredQuery;
use crate::sandbox::Level;
use crate::sandbox::MetricOp;
use crate::sandbox::Query;
use crate::sandbox::QueryResult;
use crate::sandbox::Services;
use crate::sandbox::Store;
use crate::session::NodeTarget;
use crate::session::World;
use cache::Cache;
use std::collections::BTreeMap;
use std::future::Future;
use std::hash::DefaultHasher;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// Server connections of one permission set to one node.
const CONNECTIONS_MAX: usize = 4;

/// Where names are looked up: first where nobody can create what shadows a function or an operator, last where nobody has.
const SEARCH_PATH: &str = "pg_catalog, public, pg_temp";

/// What the process has outside of any policy.
#[derive(Clone)]
pub(super) struct Outside {
    pub(super) process: Arc<ProcessServices>,
    pub(super) pools: Arc<Pools>,
    pub(super) sinks: Arc<Sinks>,
}

/// For what a world is attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// It serves sessions.
    Serves,
    /// It is asked and decides nothing.
    Shadow,
}

impl Outside {
    /// Lets a world reach it, off the threads that move messages: a file of decisions may lie where opening takes long. A shadow's
    /// decisions are not written, its stages change nothing, and it asks its statements on server connections of its own.
    ///
    /// # Errors
    /// Why decisions cannot be written where the policy wants them.
    pub(super) async fn attach(&self, world: World, part: Part) -> Result<World, String> {
        let outside = self.clone();
        let attached = tokio::task::spawn_blocking(move || outside.attached(world, part));
        match attached.await {
            Ok(attached) => attached,
            Err(panic) => Err(format!("building the policy failed: {panic}")),
        }
    }

    fn attached(&self, mut world: World, part: Part) -> Result<World, String> {
        if let Some(rules) = &world.policy.decisions
            && part == Part::Serves
        {
            let queue = self.sinks.open(rules)?;
            let revision = world.policy.revision.full();
            let log = DecisionLog::new(rules, &revision, world.commit.clone(), queue);
            world.decisions = Some(Arc::new(log));
        }
        world.services = Arc::new(WorldServices {
            process: match part {
                Part::Serves => Arc::clone(&self.process),
                Part::Shadow => Arc::new(self.process.shadow()),
            },
            ways: Ways::of(&world, Arc::clone(&self.pools), part),
            cache: Mutex::default(),
        });
        Ok(world)
    }
}

/// The outside as the stages of one revision reach it. Owns no guest: they keep handles of it.
struct WorldServices {
    process: Arc<ProcessServices>,
    ways: Ways,
    cache: Mutex<Cache>,
}

/// The ways to nodes of every permission set that asks statements.
struct Ways {
    pools: Arc<Pools>,
    sets: BTreeMap<Arc<str>, Vec<Way>>,
    turn: AtomicUsize,
}

/// One node, as one permission set asks it.
pub(super) struct Way {
    role: Role,
    pub(super) key: PoolKey,
    plan: Arc<Plan>,
    max_lag: Option<Duration>,
}

impl Ways {
    fn of(world: &World, pools: Arc<Pools>, part: Part) -> Self {
        let mut sets = BTreeMap::new();
        let grants = world
            .policy
            .stages
            .iter()
            .filter_map(|stage| stage.grants.load.as_ref());
        // What all statements of a set have in common is in each of them.
        for statement in grants.filter_map(|grant| grant.statements.first()) {
            if !sets.contains_key(&statement.set) {
                let ways = ways(
                    &world.policy,
                    &world.nodes,
                    statement,
                    CONNECTIONS_MAX,
                    part,
                );
                sets.insert(Arc::clone(&statement.set), ways);
            }
        }
        Self {
            pools,
            sets,
            turn: AtomicUsize::new(0),
        }
    }
}

/// The ways to the nodes of a statement's pool, in their order, with so many connections each; none where it has no login.
pub(super) fn ways(
    policy: &Policy,
    nodes: &[NodeTarget],
    statement: &DeclaredQuery,
    connections: usize,
    part: Part,
) -> Vec<Way> {
    let Some(pool) = policy.pools.iter().find(|pool| pool.name == statement.pool) else {
        return Vec::new();
    };
    let Some(login) = &pool.login else {
        return Vec::new();
    };
    let way = |&id: &usize| Way {
        role: policy.nodes[id].role,
        key: PoolKey {
            pool: match part {
                Part::Serves => format!("{}/{}", pool.name, statement.set).into(),
                Part::Shadow => format!("{}/{}/shadow", pool.name, statement.set).into(),
            },
            node: Arc::clone(&policy.nodes[id].name),
            database: Arc::clone(&statement.database),
            user: Arc::clone(&login.user),
        },
        plan: Arc::new(Plan {
            size: connections,
            ..plan(pool, login, &nodes[id], statement)
        }),
        max_lag: policy.nodes[id].max_lag,
    };
    pool.nodes.iter().map(way).collect()
}

/// Asks one node of a pool a statement of the proxy's own, as the pool's login.
pub(super) async fn ask_there(pools: &Pools, way: &Way, query: &Query) -> QueryResult {
    ask::ask_there(pools, way, query).await
}

fn plan(
    pool: &policy::Pool,
    login: &policy::Login,
    node: &NodeTarget,
    statement: &DeclaredQuery,
) -> Plan {
    let password = login.password.as_ref();
    let timeout = statement.timeout.as_millis().max(1);
    let settings = [
        ("application_name", "pgwarden".to_owned()),
        ("client_encoding", "UTF8".to_owned()),
        ("default_transaction_read_only", "on".to_owned()),
        ("search_path", SEARCH_PATH.to_owned()),
        ("statement_timeout", timeout.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let mut hasher = DefaultHasher::new();
    (&statement.database, node.identity, &login.user, &settings).hash(&mut hasher);
    if let Some(password) = password {
        password.expose().hash(&mut hasher);
    }
    Plan {
        target: Arc::clone(&node.target),
        login: Login::of(login, settings.into()),
        database: Arc::clone(&statement.database),
        mode: PoolMode::Transaction,
        size: CONNECTIONS_MAX,
        wait: statement.timeout,
        reset: "".into(),
        idle_timeout: pool.idle_timeout,
        lifetime: pool.lifetime,
        prepared_max: 0,
        session_state: SessionState::Refuse,
        identity: hasher.finish(),
    }
}

impl WorldServices {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Services for WorldServices {
    fn unix_micros(&self) -> u64 {
        self.process.unix_micros()
    }

    fn monotonic(&self) -> Duration {
        self.process.monotonic()
    }

    fn random(&self) -> u64 {
        self.process.random()
    }

    fn store(&self) -> &Store {
        self.process.store()
    }

    fn metric(&self, stage: &str, name: &str, op: MetricOp, value: f64) {
        self.process.metric(stage, name, op, value);
    }

    fn log(&self, stage: &str, level: Level, message: &str) {
        self.process.log(stage, level, message);
    }

    fn query<'a>(&'a self, query: &'a Query) -> Asking<'a> {
        let Some(age_max) = query.cache else {
            return Asking::Waiting(Box::pin(ask::ask(&self.ways, query)));
        };
        if let Some(rows) = self.cache().get(query, self.monotonic(), age_max) {
            return Asking::Ready(Ok(rows));
        }
        Asking::Waiting(Box::pin(async move {
            let asked = self.monotonic(); // as old as the question, not as the answer
            let rows = ask::ask(&self.ways, query).await?;
            self.cache().put(query, &rows, asked);
            Ok(rows)
        }))
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.process.sleep(time)
    }

    fn aside(&self, work: &mut (dyn FnMut() + Send)) {
        self.process.aside(work);
    }
}
