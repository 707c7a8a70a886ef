//! What a session lives in: the policy revision in force as one immutable [`World`], and what outlives revisions in
//! [`Shared`]. A [`Binding`] is one session's view of one world. Only `server/reload` writes the pointer.

use super::authenticate::LoginKeys;
use super::canary::Canary;
use super::canary::Seat;
use super::canary::Tally;
use super::control::Clients;
use super::shadow::Beside;
use super::shadow::Shadow;
use crate::hook::AuthMethod;
use crate::hook::SessionContext;
use crate::net::ListenerTls;
use crate::pipeline::DecisionLog;
use crate::pipeline::Pipeline;
use crate::pipeline::StatsRegistry;
use crate::policy;
use crate::policy::Policy;
use crate::policy::PoolMode;
use crate::policy::Role;
use crate::policy::RouteTarget;
use crate::pool::CancelKeys;
use crate::pool::Login;
use crate::pool::Plan;
use crate::pool::Pool;
use crate::pool::PoolKey;
use crate::pool::Pools;
use crate::pool::Target;
use crate::routing;
use crate::routing::Candidate;
use crate::routing::Choice;
use crate::routing::Pick;
use crate::routing::Place;
use crate::sandbox::Services;
use arc_swap::ArcSwap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use uuid::Uuid;

/// Everything a reload changes, as one value. A copy is the same world beside which something else is tried.
#[derive(Clone)]
pub struct World {
    /// The policy, resolved.
    pub policy: Arc<Policy>,
    /// Its pipelines, compiled; indices are the policy's.
    pub pipelines: Vec<Arc<Pipeline>>,
    /// TLS of each listener; indices are the policy's.
    pub listeners: Vec<ListenerTls>,
    /// Each node, ready to connect to; indices are the policy's.
    pub nodes: Vec<NodeTarget>,
    /// What its stages reach of the outside; its own, since statements are asked as this policy says.
    pub services: Arc<dyn Services>,
    /// What is written of its decisions.
    pub decisions: Option<Arc<DecisionLog>>,
    /// The git commit the policy lies in.
    pub commit: Option<Arc<str>>,
    /// When it was loaded.
    pub loaded: SystemTime,
    /// A policy that is asked about every statement and decides nothing.
    pub shadow: Option<Arc<Shadow>>,
    /// A policy that serves some of the sessions.
    pub canary: Option<Arc<Canary>>,
    /// What becomes of the sessions of this world, while there is a canary.
    pub tally: Option<Arc<Tally>>,
}

impl World {
    /// What is tried beside it.
    pub fn tried(&self) -> impl Iterator<Item = &Arc<Self>> {
        let shadow = self.shadow.iter().map(|shadow| &shadow.world);
        shadow.chain(self.canary.iter().map(|canary| &canary.world))
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World({})", self.policy.revision.short())
    }
}

/// A node, ready to connect to.
#[derive(Clone)]
pub struct NodeTarget {
    /// How to get there.
    pub target: Arc<Target>,
    /// Changes when the policy says otherwise about the way there.
    pub identity: u64,
}

/// Whether a session is that of a user of the policy: then the policy says what its roles are, and whether there still is such a
/// user. Whom a stage or a node has identified keeps what it was given.
pub(super) fn has_account(context: &SessionContext) -> bool {
    !matches!(context.auth_method, AuthMethod::Stage | AuthMethod::Node)
}

/// What outlives a policy revision.
pub struct Shared {
    /// The world in force.
    pub live: ArcSwap<World>,
    /// Server connections.
    pub pools: Arc<Pools>,
    /// Cancel keys that are out.
    pub cancel: CancelKeys,
    /// Sessions.
    pub clients: Arc<Clients>,
    /// Figures of stages.
    pub stages: StatsRegistry,
    /// Clock and randomness of the process.
    pub services: Arc<dyn Services>,
    /// What makes logins look alike, whoever the user is.
    pub login_keys: LoginKeys,
}

impl Shared {
    /// A uuid v7 from the services' clock and randomness, for a session or a statement.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.services.random().to_ne_bytes());
        random[8..].copy_from_slice(&self.services.random().to_ne_bytes()[..2]);
        let millis = self.services.unix_micros() / 1000;
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// One session's place in one world.
#[derive(Clone)]
pub struct Binding {
    pub(super) world: Arc<World>,
    pub(super) pipeline: Arc<Pipeline>,
    pool: usize,
    listener: usize,
    /// The client's own login on nodes, where the pool has none.
    own_login: Option<Login>,
    routes: Vec<Route>,
    /// Taken where the session is one of a canary's.
    pub(super) seat: Option<Arc<Seat>>,
    /// The session as the shadow sees it, where there is one.
    pub(super) beside: Option<Arc<Beside>>,
}

/// A place, with what is needed to get a server connection there.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) place: Place,
    pub(super) plan: Arc<Plan>,
    pub(super) pool: Arc<Pool>,
}

/// Where a route leads, as far as an answer depends on it.
pub(super) struct Destination {
    /// The database on the node.
    pub(super) database: Arc<str>,
    /// Who the node takes the session for.
    pub(super) login: Arc<str>,
    /// What tells the nodes of the route from all others.
    pub(super) origin: [u8; 8],
}

impl Binding {
    /// Finds the session's listener and pool in `world`; `None` names what is missing.
    ///
    /// # Errors
    /// What the world does not have for this session.
    pub fn new(
        world: Arc<World>,
        context: &SessionContext,
        own_login: Option<Login>,
        seat: Option<Arc<Seat>>,
    ) -> Result<Self, &'static str> {
        let policy = &world.policy;
        let listener = policy
            .listeners
            .iter()
            .position(|listener| listener.name == context.listener)
            .ok_or("listener")?;
        let pool = policy
            .pool_of(&context.identity.user, &context.database)
            .ok_or("pool")?;
        let pipeline = Arc::clone(&world.pipelines[policy.listeners[listener].pipeline]);
        Ok(Self {
            pipeline,
            pool,
            listener,
            own_login,
            routes: Vec::new(),
            seat,
            beside: world
                .shadow
                .as_ref()
                .map(|shadow| Arc::new(Beside::new(shadow, context))),
            world,
        })
    }

    /// The world this session belongs to while `live` is in force.
    pub(super) fn wanted<'w>(&self, live: &'w Arc<World>) -> &'w Arc<World> {
        match (&live.canary, &self.seat) {
            (Some(canary), Some(seat)) if canary.is_of(seat) => &canary.world,
            _ => live,
        }
    }

    /// Whether anybody reads the statements of this session.
    pub(super) fn is_read(&self) -> bool {
        !self.pipeline.is_plain() || self.beside.is_some()
    }

    /// The same session in another world, which is one of a canary or not.
    ///
    /// # Errors
    /// What that world does not have for this session.
    pub(super) fn moved_to(
        &self,
        world: Arc<World>,
        context: &SessionContext,
        seat: Option<Arc<Seat>>,
    ) -> Result<Self, &'static str> {
        Self::new(world, context, self.own_login.clone(), seat)
    }

    pub(super) fn mode(&self) -> PoolMode {
        self.world.policy.pools[self.pool].mode
    }

    pub(super) fn pool_policy(&self) -> &policy::Pool {
        &self.world.policy.pools[self.pool]
    }

    pub(super) fn idle_timeout(&self) -> Option<Duration> {
        self.world.policy.listeners[self.listener].idle_timeout
    }

    /// Chooses the node for a route.
    pub(super) fn pick(
        &self,
        shared: &Shared,
        target: RouteTarget,
        otherwise: Option<RouteTarget>,
        turn: usize,
    ) -> Pick {
        let policy = &self.world.policy;
        let now = shared.pools.started().elapsed();
        let candidate = |id: usize| {
            let node = &policy.nodes[id];
            let health = shared.pools.health(&node.name);
            Candidate {
                node: id,
                role: node.role,
                weight: node.weight,
                usable: health.usable(now),
                is_behind: health.is_behind(node.max_lag, now),
            }
        };
        let candidates = |nodes: &[usize]| nodes.iter().map(|id| candidate(*id)).collect();
        let pool: Vec<Candidate> = candidates(&policy.pools[self.pool].nodes);
        let choice = Choice {
            pool: &pool,
            branch: &|branch| candidates(&policy.branches[branch].nodes),
            node: &candidate,
        };
        routing::pick(choice, target, otherwise, turn)
    }

    /// How far behind the nearest standby of the pool is that takes statements now; `None`: nobody asks, it is not known, or there
    /// is none.
    pub(super) fn nearest_lag(&self, shared: &Shared) -> Option<Duration> {
        let beside = self.beside.as_ref();
        if !self.pipeline.asks_lag() && !beside.is_some_and(|beside| beside.asks_lag()) {
            return None;
        }
        let policy = &self.world.policy;
        let now = shared.pools.started().elapsed();
        let nodes = policy.pools[self.pool].nodes.iter();
        let standbys = nodes.map(|&id| &policy.nodes[id]);
        let lags = standbys.filter_map(|node| {
            let health = shared.pools.health(&node.name);
            let takes = node.role == Role::Standby
                && health.usable(now)
                && !health.is_behind(node.max_lag, now);
            health.lag(now).filter(|_| takes)
        });
        lags.min()
    }

    /// How far behind the node of a server connection is, nothing of a primary; `None`: not known.
    pub(super) fn lag_of(&self, shared: &Shared, node: &Arc<str>) -> Option<Duration> {
        let mut nodes = self.world.policy.nodes.iter();
        let node = nodes.find(|known| known.name == *node)?;
        match node.role {
            Role::Primary => Some(Duration::ZERO),
            Role::Standby => {
                let now = shared.pools.started().elapsed();
                shared.pools.health(&node.name).lag(now)
            }
        }
    }

    /// The only node there can be for the default route, where no choosing is needed.
    pub(super) fn only_place(&self) -> Option<Place> {
        let policy = &self.world.policy;
        let mut primaries = policy.pools[self.pool]
            .nodes
            .iter()
            .filter(|&&node| policy.nodes[node].role == Role::Primary);
        match (primaries.next(), primaries.next()) {
            (Some(&node), None) => Some(Place { node, branch: None }),
            _ => None,
        }
    }

    /// Where a session begins: on the primary, or where there is none, on whatever there is.
    pub(super) fn first_place(&self, shared: &Shared) -> Option<Place> {
        match self.pick(shared, RouteTarget::Primary, Some(RouteTarget::Standby), 0) {
            Pick::Node(place) => Some(place),
            Pick::Behind | Pick::None => None,
        }
    }

    /// The way to a place, remembered.
    pub(super) fn route(
        &mut self,
        shared: &Shared,
        place: Place,
        context: &SessionContext,
    ) -> &Route {
        let known = self.routes.iter().position(|route| route.place == place);
        let at = known.unwrap_or_else(|| {
            let plan = Arc::new(self.plan(place, context));
            let pool = shared.pools.pool(&PoolKey {
                pool: Arc::clone(&self.world.policy.pools[self.pool].name),
                node: Arc::clone(&self.world.policy.nodes[place.node].name),
                database: Arc::clone(&plan.database),
                user: Arc::clone(&plan.login.user),
            });
            pool.resize(plan.size);
            self.routes.push(Route { place, plan, pool });
            self.routes.len() - 1
        });
        &self.routes[at]
    }

    /// Where a route leads, whichever of its nodes is taken; `None` where this world has no such place.
    pub(super) fn destination(
        &self,
        context: &SessionContext,
        route: RouteTarget,
    ) -> Option<Destination> {
        let policy = &self.world.policy;
        let pool = &policy.pools[self.pool];
        let only;
        let (nodes, branch) = match route {
            RouteTarget::Branch(branch) => (&policy.branches.get(branch)?.nodes[..], Some(branch)),
            RouteTarget::Node(node) => {
                only = [node];
                (&only[..], None)
            }
            RouteTarget::Default | RouteTarget::Primary | RouteTarget::Standby => {
                (&pool.nodes[..], None)
            }
        };
        let mut hasher = DefaultHasher::new();
        for node in nodes {
            self.world.nodes.get(*node)?.identity.hash(&mut hasher);
        }
        let login = match (&pool.login, &self.own_login) {
            (Some(login), _) => &login.user,
            (None, Some(own)) => &own.user,
            (None, None) => &context.identity.user,
        };
        Some(Destination {
            database: self.database(branch, context),
            login: Arc::clone(login),
            origin: hasher.finish().to_le_bytes(),
        })
    }

    /// The session's database on nodes, or on those of a branch.
    fn database(&self, branch: Option<usize>, context: &SessionContext) -> Arc<str> {
        branch
            .and_then(|branch| self.world.policy.branches[branch].database.clone())
            .unwrap_or_else(|| Arc::clone(&context.database))
    }

    fn plan(&self, place: Place, context: &SessionContext) -> Plan {
        let policy = &self.world.policy;
        let pool = &policy.pools[self.pool];
        let node = &self.world.nodes[place.node];
        let database = self.database(place.branch, context);
        let login = match (&pool.login, &self.own_login) {
            (Some(login), _) => Login::of(login, Vec::new()),
            (None, Some(own)) => own.clone(),
            (None, None) => Login {
                user: Arc::clone(&context.identity.user),
                secret: None,
                settings: Vec::new(),
            },
        };
        let mut hasher = DefaultHasher::new();
        (&database, node.identity, &login.user).hash(&mut hasher);
        if let Some(password) = pool
            .login
            .as_ref()
            .and_then(|login| login.password.as_ref())
        {
            password.expose().hash(&mut hasher);
        }
        Plan {
            target: Arc::clone(&node.target),
            login,
            database,
            mode: pool.mode,
            size: pool.size,
            wait: pool.wait,
            reset: Arc::clone(&pool.reset),
            idle_timeout: pool.idle_timeout,
            lifetime: pool.lifetime,
            prepared_max: pool.max_prepared_statements,
            session_state: pool.session_state,
            identity: hasher.finish(),
        }
    }
}
