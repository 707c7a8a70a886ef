//! `[pool.NAME]`: server connections, and which session gets which of them.

use super::canonical::Canonical;
use super::code;
use super::keys::LOGIN;
use super::keys::NODE;
use super::keys::POOL;
use super::keys::USER;
use super::node::Node;
use super::predicate::Glob;
use super::reading::Table;
use super::report::Diagnostic;
use super::scope::Scope;
use super::secret::Secret;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const SIZE: usize = 20;
/// PgBouncer's `query_wait_timeout`.
const WAIT: Duration = Duration::from_secs(120);
const RESET: &str = "DISCARD ALL";
/// PgBouncer's `server_idle_timeout`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// PgBouncer's `server_lifetime`.
const LIFETIME: Duration = Duration::from_secs(3_600);
/// PgBouncer's since 1.24.
const MAX_PREPARED_STATEMENTS: usize = 200;

/// Server connections to some nodes, for some databases.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The name in the policy.
    pub name: Arc<str>,
    /// The databases it serves.
    pub database: DatabasePattern,
    /// Indices of `Policy::nodes`; never empty.
    pub nodes: Vec<usize>,
    /// When a server connection returns.
    pub mode: PoolMode,
    /// Server connections to a node, for a user and database.
    pub size: usize,
    /// How long a statement waits for a server connection.
    pub wait: Duration,
    /// Who the proxy is to the node; `None`: the client's own user.
    pub login: Option<Login>,
    /// Sent before another client gets a server connection; empty: nothing.
    pub reset: Arc<str>,
    /// An unused server connection is closed after this.
    pub idle_timeout: Duration,
    /// A server connection is replaced after this.
    pub lifetime: Duration,
    /// Prepared statements kept on a server connection.
    pub max_prepared_statements: usize,
    /// What a statement that changes the session does in transaction mode.
    pub session_state: SessionState,
}

/// When a server connection returns to its pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PoolMode {
    /// When the client goes.
    Session,
    /// When the transaction ends.
    Transaction,
}

/// What a statement that changes the session does in transaction mode.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SessionState {
    /// The client keeps the server connection until it goes or discards what it changed.
    Pin,
    /// It is refused.
    Refuse,
    /// Nothing, as in PgBouncer: the change may be seen by other clients.
    Ignore,
}

/// Who the proxy is to a node.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name.
    pub user: Arc<str>,
    /// The password, where the node asks for one.
    pub password: Option<Secret>,
}

/// The databases a pool serves.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DatabasePattern {
    glob: Glob,
    text: Arc<str>,
}

impl DatabasePattern {
    fn new(text: &str) -> Self {
        Self {
            glob: Glob::new(text),
            text: text.into(),
        }
    }

    /// Whether it serves this database.
    #[must_use]
    pub fn matches(&self, database: &str) -> bool {
        self.glob.matches(database)
    }

    /// Whether a database that matches the glob may be one that it serves.
    pub(super) fn may_serve(&self, glob: &Glob) -> bool {
        !self.glob.is_apart(glob)
    }

    /// Whether it is known to serve whatever the other one serves.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.glob.covers(&other.glob)
    }

    /// The database, where it serves exactly one.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        self.glob.exact()
    }

    /// The more of a pattern is fixed, the earlier it is asked: a name, then globs by length, then `*`.
    fn looseness(&self) -> (bool, usize) {
        (self.exact().is_none(), usize::MAX - self.text.len())
    }
}

impl fmt::Display for DatabasePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

pub(super) const MODES: [(&str, PoolMode); 2] = [
    ("session", PoolMode::Session),
    ("transaction", PoolMode::Transaction),
];
pub(super) const STATES: [(&str, SessionState); 3] = [
    ("pin", SessionState::Pin),
    ("refuse", SessionState::Refuse),
    ("ignore", SessionState::Ignore),
];

/// The pool of the closest pattern that serves a database.
pub(super) fn serving(pools: &[Pool], database: &str) -> Option<usize> {
    let serving = pools
        .iter()
        .enumerate()
        .filter(|(_, pool)| pool.database.matches(database));
    serving
        .min_by_key(|(_, pool)| pool.database.looseness())
        .map(|(id, _)| id)
}

pub(super) fn read(scope: Scope<'_, '_>) -> Vec<Pool> {
    if scope.words.names(&POOL).next().is_none() {
        let found = Diagnostic::error(code::MISSING_KEY, scope.root(), "there is no pool");
        scope
            .reading
            .add(found.help("write [pool.main] with database = \"*\" and nodes = [\"NODE\"]"));
    }
    let pools = scope.each(&POOL, pool);
    check_overlap(scope, &pools);
    pools
}

fn pool(scope: Scope<'_, '_>, name: &str, table: &Table<'_, '_>) -> Option<Pool> {
    let nodes = scope.several(table, "nodes", &NODE);
    let mode = table.choice("mode", &MODES).unwrap_or(PoolMode::Session);
    if mode == PoolMode::Transaction && scope.words.names(&USER).next().is_none() {
        let message = "transaction mode needs `[user.NAME]` tables: without them the node authenticates each client itself";
        scope
            .reading
            .error(code::CONTRADICTION, table.value_at("mode"), message);
    }
    let session_state = table.choice("session_state", &STATES);
    if mode == PoolMode::Session && table.has("session_state") {
        let message = "`session_state` has no effect in session mode";
        scope
            .reading
            .error(code::NO_EFFECT, table.key_at("session_state"), message);
    }
    let login = table.table("login", &LOGIN).map(|login| {
        let read = Login {
            user: login.arc("user").unwrap_or_default(),
            password: login.secret("password"),
        };
        login.finish();
        read
    });
    let reset = table
        .word("reset")
        .and_then(|word| scope.reading.text(&word))
        .map(|spot| spot.value.into());
    let size = table.count("size", 1..=100_000);
    let wait = table.duration("wait");
    let idle_timeout = table.timeout("idle_timeout");
    let lifetime = table.timeout("lifetime");
    let max_prepared_statements = table.count("max_prepared_statements", 0..=100_000);
    Some(Pool {
        name: name.into(),
        database: DatabasePattern::new(&table.text("database")?.value),
        nodes,
        mode,
        size: size.unwrap_or(SIZE),
        wait: wait.unwrap_or(WAIT),
        login,
        reset: reset.unwrap_or_else(|| RESET.into()),
        idle_timeout: idle_timeout.unwrap_or(IDLE_TIMEOUT),
        lifetime: lifetime.unwrap_or(LIFETIME),
        max_prepared_statements: max_prepared_statements.unwrap_or(MAX_PREPARED_STATEMENTS),
        session_state: session_state.unwrap_or(SessionState::Pin),
    })
}

/// Two pools may serve one database only if every user names its pool.
fn check_overlap(scope: Scope<'_, '_>, pools: &[Pool]) {
    let by_name = |entry: &super::document::Entry| {
        entry.word.entries().iter().any(|entry| entry.key == "pool")
    };
    let mut users = scope.words.named(&USER).peekable();
    if users.peek().is_some() && users.all(|(_, entry)| by_name(entry)) {
        return;
    }
    let mut seen: BTreeMap<&DatabasePattern, &str> = BTreeMap::new();
    for pool in pools {
        let Some(first) = seen.insert(&pool.database, &pool.name) else {
            continue;
        };
        let at = scope
            .words
            .named(&POOL)
            .find(|(name, _)| *name == &*pool.name)
            .map(|(_, entry)| entry.key_at);
        let message = format!(
            "the pools `{first}` and `{}` both serve `{}`",
            pool.name, pool.database
        );
        let found = Diagnostic::error(code::CONTRADICTION, at, message);
        scope
            .reading
            .add(found.help("give them different databases, or write `pool` for every user"));
    }
}

impl Pool {
    pub(super) fn write(&self, canonical: &mut Canonical, all_nodes: &[Node]) {
        let Self {
            name,
            database,
            nodes,
            mode,
            size,
            wait,
            login,
            reset,
            idle_timeout,
            lifetime,
            max_prepared_statements,
            session_state,
        } = self;
        let mut section = canonical.section("pool", name);
        section.text("database", &database.text);
        let names: Vec<&str> = nodes
            .iter()
            .filter_map(|id| all_nodes.get(*id))
            .map(|node| &*node.name)
            .collect();
        section.list("nodes", &names);
        section.debug("mode", mode);
        section.debug("size", size);
        section.duration("wait", Some(*wait));
        section.debug("login.user", &login.as_ref().map(|login| &login.user));
        section.reference(
            "login.password",
            login.as_ref().and_then(|login| login.password.as_ref()),
        );
        section.text("reset", reset);
        section.duration("idle_timeout", Some(*idle_timeout));
        section.duration("lifetime", Some(*lifetime));
        section.debug("max_prepared_statements", max_prepared_statements);
        section.debug("session_state", session_state);
    }
}
