//! `pgwarden check --live`: each node is connected to and logged in to as its pools do, once for each database that is named. Owns
//! what is tried and how it is told; nothing is asked of a node but the login.

use crate::policy::Login;
use crate::policy::Policy;
use crate::policy::Pool;
use crate::policy::Role;
use crate::pool::ConnectError;
use crate::pool::Connected;
use crate::pool::Login as NodeLogin;
use crate::pool::connect;
use crate::session::World;
use crate::wire::encode;
use std::collections::BTreeSet;
use std::error::Error as _;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;

/// The database that is tried where a pool serves any.
const ANY: &str = "postgres";

/// What the nodes said: lines for people, and whether all is as the policy has it.
pub(super) struct Found {
    pub(super) good: Vec<String>,
    pub(super) bad: Vec<String>,
}

/// One login on one node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Try {
    node: usize,
    pool: usize,
    database: Arc<str>,
}

/// Logs in everywhere.
///
/// # Errors
/// Where the system gives no way to do so.
pub(super) fn found(world: &World) -> std::io::Result<Found> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let policy = &world.policy;
    let mut found = Found {
        good: Vec::new(),
        bad: Vec::new(),
    };
    let tries = tries(policy);
    for (index, node) in policy.nodes.iter().enumerate() {
        let mut own = tries.iter().filter(|one| one.node == index).peekable();
        if own.peek().is_none() {
            let why = "not tried: no pool has a `login` and a database for it";
            found.good.push(format!("node {}: {why}", node.name));
        }
        for one in own {
            match runtime.block_on(log_in(world, one)) {
                Ok(Ok(line)) => found.good.push(line),
                Ok(Err(line)) => found.bad.push(line),
                Err(error) => found.bad.push(refused(policy, one, &error)),
            }
        }
    }
    Ok(found)
}

/// Every node with every pool's login and database there, branches among them.
fn tries(policy: &Policy) -> BTreeSet<Try> {
    let mut tries = BTreeSet::new();
    let with_login = policy.pools.iter().enumerate();
    for (index, pool) in with_login.filter(|(_, pool)| pool.login.is_some()) {
        let own = database(pool);
        let branches = policy.branches.iter();
        let branches = branches.map(|branch| (&branch.nodes, branch.database.clone()));
        let places = std::iter::once((&pool.nodes, None)).chain(branches);
        for (nodes, database) in places {
            let Some(database) = database.or_else(|| own.clone()) else {
                continue;
            };
            tries.extend(nodes.iter().map(|&node| Try {
                node,
                pool: index,
                database: Arc::clone(&database),
            }));
        }
    }
    tries
}

/// A database that the pool serves for certain.
fn database(pool: &Pool) -> Option<Arc<str>> {
    match pool.database.exact() {
        Some(name) => Some(name.into()),
        None => pool.database.matches(ANY).then(|| ANY.into()),
    }
}

fn login(login: &Login) -> NodeLogin {
    let name = ("application_name".to_owned(), "pgwarden check".to_owned());
    NodeLogin::of(login, vec![name])
}

/// What the node is, where it is what the policy says; what it is not, where it is not.
async fn log_in(world: &World, one: &Try) -> Result<Result<String, String>, ConnectError> {
    let policy = &world.policy;
    let Some(known) = &policy.pools[one.pool].login else {
        return Ok(Err(format!("{}: no login", place(policy, one))));
    };
    let target = &world.nodes[one.node].target;
    let mut connected = connect(target, &login(known), &one.database).await?;
    let is = told(policy, one, &connected);
    let mut end = Vec::new();
    encode::terminate(&mut end);
    // It has said all that is wanted.
    drop(connected.stream.write_all(&end).await);
    Ok(is)
}

fn told(policy: &Policy, one: &Try, connected: &Connected) -> Result<String, String> {
    let reported = |name: &str| {
        let mut all = connected.parameters.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    let version = reported("server_version").unwrap_or("of an unknown version");
    let place = place(policy, one);
    let wanted = policy.nodes[one.node].role;
    let role = match reported("in_hot_standby") {
        Some("on") => Role::Standby,
        Some(_) => Role::Primary,
        None => {
            return Ok(format!(
                "{place}: PostgreSQL {version}, which does not say its role"
            ));
        }
    };
    match role == wanted {
        true => Ok(format!("{place}: PostgreSQL {version}, {}", role.name())),
        false => Err(format!(
            "{place}: it is a {}, and the policy says role = \"{}\"",
            role.name(),
            wanted.name()
        )),
    }
}

fn refused(policy: &Policy, one: &Try, error: &ConnectError) -> String {
    let mut line = format!("{}: {error}", place(policy, one));
    let mut source = error.source();
    while let Some(inner) = source {
        line.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    line
}

fn place(policy: &Policy, one: &Try) -> String {
    let pool = &policy.pools[one.pool];
    let user = pool.login.as_ref().map_or("", |login| &login.user);
    format!(
        "node {}, database {} as {user} (pool {})",
        policy.nodes[one.node].name, one.database, pool.name
    )
}
