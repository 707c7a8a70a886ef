//! Measures how far standbys are behind: asks the primary where it is and each standby how far it has come, again and again, and
//! tells the health of the nodes. Owns no choice of a node: what is too far is the policy's, who is chosen `routing`'s.
//!
//! A standby has all that its primary had at a moment, once it has replayed the position that the primary told after that moment.
//! Its lag is the age of the newest such moment. It grows by itself while nobody can be asked.

use super::load;
use super::load::Part;
use super::load::Way;
use crate::policy::Policy;
use crate::policy::Pool;
use crate::policy::Role;
use crate::pool::Pools;
use crate::routing::Health;
use crate::sandbox::DeclaredQuery;
use crate::sandbox::Query;
use crate::sandbox::QueryNode;
use crate::session::Shared;
use crate::session::World;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Measurements are no further apart than this.
const EVERY_MAX: Duration = Duration::from_secs(1);
/// So many of them fit into the smallest `max_lag`.
const IN_MAX_LAG: u32 = 4;
/// Positions of a primary that are kept. Beyond, every second one goes, and lag is told as more than it is.
const POSITIONS_MAX: usize = 512;
/// Behind the pool's name in `SHOW POOLS`; no permission set can be called so.
const SET: &str = ".lag";

/// An answer may take this long.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Where it is, and which cluster it belongs to. A server in recovery refuses.
const OF_PRIMARY: &str = "SELECT pg_catalog.pg_current_wal_lsn()::pg_catalog.text, system_identifier::pg_catalog.text \
    FROM pg_catalog.pg_control_system()";
/// How far it has come; nothing where it is no standby any more.
const OF_STANDBY: &str = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()::pg_catalog.text END, \
    system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()";

/// Measures for as long as the process runs.
pub(super) async fn measure(shared: Arc<Shared>) {
    let mut round = Round::default();
    loop {
        let began = shared.pools.started().elapsed();
        round.plan(&shared);
        let every = round.every;
        round.go(&shared.pools).await;
        let took = shared.pools.started().elapsed().saturating_sub(began);
        tokio::time::sleep(every.saturating_sub(took).max(every / 2)).await;
    }
}

/// What is asked in each round, as the policy in force has it.
struct Round {
    groups: Vec<Group>,
    /// What is known of primaries, by the pool.
    positions: BTreeMap<Arc<str>, Positions>,
    /// The policies it is made of: that in force, and those that are tried beside it.
    policies: Vec<Weak<Policy>>,
    every: Duration,
}

/// A pool that is measured.
struct Group {
    pool: Arc<str>,
    primaries: Vec<Arc<Asked>>,
    standbys: Vec<Arc<Asked>>,
}

/// A node, and the way to ask it.
struct Asked {
    way: Way,
    query: Query,
    /// Changes when it is another server.
    identity: u64,
    max_lag: Option<Duration>,
    /// Whether it was too far behind when that was looked at last.
    was_behind: AtomicBool,
}

impl Default for Round {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            positions: BTreeMap::new(),
            policies: Vec::new(),
            every: EVERY_MAX,
        }
    }
}

impl Round {
    /// Follows the policy in force. Holds nothing of its world: that goes when its sessions have gone.
    fn plan(&mut self, shared: &Shared) {
        let world = shared.live.load();
        // Not by revisions: a secret is not part of one, and a new password has to be used.
        let now = std::iter::once(&world.policy).chain(world.tried().map(|tried| &tried.policy));
        let policies: Vec<Weak<Policy>> = now.map(Arc::downgrade).collect();
        let same = |(one, other): (&Weak<Policy>, &Weak<Policy>)| one.ptr_eq(other);
        if policies.len() == self.policies.len() && policies.iter().zip(&self.policies).all(same) {
            return;
        }
        let before = self.identities();
        self.groups = groups(&world);
        self.policies = policies;
        let bounds = world.policy.nodes.iter().filter_map(|node| node.max_lag);
        let shortest = bounds.min().map(|bound| bound / IN_MAX_LAG);
        self.every = shortest.unwrap_or(EVERY_MAX).min(EVERY_MAX);
        let now = self.identities();
        for (node, identity) in &now {
            // What was known of another server under that name is not known of this one.
            if before.get(node) != Some(identity) {
                shared.pools.health(node).forget_lag();
            }
        }
        let same = |group: &Group| {
            let mut primaries = group.primaries.iter();
            primaries.all(|asked| before.get(&asked.way.key.node) == Some(&asked.identity))
        };
        let kept: Vec<&Arc<str>> = self
            .groups
            .iter()
            .filter(|group| same(group))
            .map(|group| &group.pool)
            .collect();
        self.positions.retain(|pool, _| kept.contains(&pool));
    }

    fn identities(&self) -> BTreeMap<Arc<str>, u64> {
        let asked = self
            .groups
            .iter()
            .flat_map(|group| group.primaries.iter().chain(&group.standbys));
        asked
            .map(|asked| (Arc::clone(&asked.way.key.node), asked.identity))
            .collect()
    }

    /// Asks everybody once; pools beside one another.
    async fn go(&mut self, pools: &Arc<Pools>) {
        let mut asking = tokio::task::JoinSet::new();
        for group in std::mem::take(&mut self.groups) {
            let positions = self.positions.remove(&group.pool).unwrap_or_default();
            let pools = Arc::clone(pools);
            asking.spawn(async move { group.measure(positions, &pools).await });
        }
        while let Some(measured) = asking.join_next().await {
            if let Ok((group, positions)) = measured {
                self.positions.insert(Arc::clone(&group.pool), positions);
                self.groups.push(group);
            }
        }
    }
}

/// The pools of the policy in force that it measures itself, or that what is tried beside it would: those it has a login for.
fn measured(world: &World) -> BTreeSet<usize> {
    let pools = &world.policy.pools;
    let of_tried = world.tried().flat_map(|tried| {
        let measured = tried.policy.measured().into_iter();
        measured.filter_map(|id| {
            let name = &tried.policy.pools[id].name;
            let same = |pool: &Pool| pool.name == *name && pool.login.is_some();
            pools.iter().position(same)
        })
    });
    world
        .policy
        .measured()
        .into_iter()
        .chain(of_tried)
        .collect()
}

/// The pools that are measured, each with its nodes. A node of several is asked by the first of them.
fn groups(world: &World) -> Vec<Group> {
    let policy = &world.policy;
    let mut taken: Vec<Arc<str>> = Vec::new();
    let mut groups = Vec::new();
    for id in measured(world) {
        let pool = &policy.pools[id];
        let mut group = Group {
            pool: Arc::clone(&pool.name),
            primaries: Vec::new(),
            standbys: Vec::new(),
        };
        // The way is the same for both statements.
        let any = statement(policy, id, OF_STANDBY);
        let ways = load::ways(policy, &world.nodes, &any, 1, Part::Serves);
        for (node, way) in pool.nodes.iter().zip(ways) {
            let (list, sql) = match policy.nodes[*node].role {
                Role::Primary => (&mut group.primaries, OF_PRIMARY),
                Role::Standby => (&mut group.standbys, OF_STANDBY),
            };
            let name = Arc::clone(&way.key.node);
            if policy.nodes[*node].role == Role::Standby && taken.contains(&name) {
                continue;
            }
            taken.push(name);
            list.push(Arc::new(Asked {
                way,
                query: Query {
                    statement: Arc::new(statement(policy, id, sql)),
                    args: Vec::new(),
                    load: None,
                    cache: None,
                },
                identity: world.nodes[*node].identity,
                max_lag: policy.nodes[*node].max_lag,
                was_behind: AtomicBool::new(false),
            }));
        }
        groups.push(group);
    }
    groups
}

fn statement(policy: &Policy, pool: usize, sql: &str) -> DeclaredQuery {
    let pool = &policy.pools[pool];
    DeclaredQuery {
        set: SET.into(),
        name: "lag".into(),
        sql: sql.into(),
        params: 0,
        pool: Arc::clone(&pool.name),
        // Positions are the server's, whatever the database.
        database: pool.database.exact().unwrap_or("postgres").into(),
        node: QueryNode::Any,
        max_rows: 1,
        max_bytes: 64,
        timeout: TIMEOUT,
    }
}

impl Group {
    /// Asks the primary, then all standbys at once.
    async fn measure(self, mut positions: Positions, pools: &Arc<Pools>) -> (Self, Positions) {
        for primary in &self.primaries {
            let then = pools.started().elapsed();
            if let Answer::At(position, cluster) = primary.ask(pools).await {
                positions.add(then, position, cluster);
                break;
            }
        }
        let mut asking = tokio::task::JoinSet::new();
        for standby in &self.standbys {
            let (standby, pools) = (Arc::clone(standby), Arc::clone(pools));
            asking.spawn(async move {
                let answer = standby.ask(&pools).await;
                (standby, answer)
            });
        }
        let mut slowest = u64::MAX;
        while let Some(asked) = asking.join_next().await {
            let Ok((standby, answer)) = asked else {
                continue;
            };
            let health = pools.health(&standby.way.key.node);
            match answer {
                Answer::At(position, cluster) if cluster == positions.cluster => {
                    slowest = slowest.min(position);
                    match positions.reached_by(position) {
                        Some(then) => health.caught_up(then),
                        // It is before everything that is known: how far is not.
                        None => health.forget_lag(),
                    }
                }
                Answer::At(..) | Answer::NoStandby => health.forget_lag(),
                Answer::None => slowest = 0,
            }
            standby.tell(&health, pools.started().elapsed());
        }
        positions.forget_before(slowest);
        (self, positions)
    }
}

/// What a node says of itself.
enum Answer {
    /// The position, and the cluster's identifier.
    At(u64, String),
    /// It is not what the policy takes it for.
    NoStandby,
    /// It cannot be asked now.
    None,
}

impl Asked {
    /// Says in the log when it becomes too far behind, and when it is near again.
    fn tell(&self, health: &Health, now: Duration) {
        let is_behind = health.is_behind(self.max_lag, now);
        if self.was_behind.swap(is_behind, Relaxed) == is_behind {
            return;
        }
        let lag = health.lag(now).map(|lag| lag.as_secs_f64());
        let node = &self.way.key.node;
        match is_behind {
            true => tracing::warn!(%node, lag, "standby too far behind: it takes no statements"),
            false => tracing::info!(%node, lag, "standby near enough: it takes statements"),
        }
    }

    async fn ask(&self, pools: &Pools) -> Answer {
        let health = pools.health(&self.way.key.node);
        if !health.usable(pools.started().elapsed()) {
            return Answer::None;
        }
        let Ok(rows) = load::ask_there(pools, &self.way, &self.query).await else {
            return Answer::None;
        };
        match rows.rows.first().map(Vec::as_slice) {
            Some([Some(position), Some(cluster)]) => match parse(position) {
                Some(position) => Answer::At(position, cluster.clone()),
                None => Answer::None,
            },
            _ => Answer::NoStandby,
        }
    }
}

/// Where the primary of a cluster was, and when; both grow.
#[derive(Default)]
struct Positions {
    cluster: String,
    known: VecDeque<(Duration, u64)>,
}

impl Positions {
    fn add(&mut self, then: Duration, position: u64, cluster: String) {
        // A primary that was put back, or another one, has another history.
        let is_back = self.known.back().is_some_and(|(_, last)| position < *last);
        if is_back || cluster != self.cluster {
            self.known.clear();
            self.cluster = cluster;
        }
        if self.known.len() == POSITIONS_MAX {
            let mut keep = false;
            self.known.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.known.push_back((then, position));
    }

    /// The newest moment of which everything is there, for whoever has replayed up to `position`.
    fn reached_by(&self, position: u64) -> Option<Duration> {
        let mut reached = self
            .known
            .iter()
            .rev()
            .filter(|(_, known)| *known <= position);
        reached.next().map(|(then, _)| *then)
    }

    /// Forgets what everybody has passed who has replayed up to `position`, but for the last of it.
    fn forget_before(&mut self, position: u64) {
        while self
            .known
            .get(1)
            .is_some_and(|(_, second)| *second <= position)
        {
            self.known.pop_front();
        }
    }
}

/// A position as PostgreSQL writes it: `16/B374D848`.
fn parse(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let high = u32::from_str_radix(high, 16).ok()?;
    let low = u32::from_str_radix(low, 16).ok()?;
    Some(u64::from(high) << 32 | u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn id() -> String {
        "7012345678901234567".to_owned()
    }

    #[test]
    fn positions_are_read_as_postgresql_writes_them() {
        for (text, position) in [
            ("0/0", Some(0)),
            ("0/3000148", Some(0x300_0148)),
            ("16/B374D848", Some(0x16_B374_D848)),
            ("FFFFFFFF/FFFFFFFF", Some(u64::MAX)),
            ("16", None),
            ("16/", None),
            ("1/123456789", None),
            ("/1", None),
        ] {
            assert_eq!(parse(text), position, "{text}");
        }
    }

    #[test]
    fn a_standby_is_as_old_as_the_newest_position_it_has_passed() {
        let mut positions = Positions::default();
        for second in 1..=5 {
            positions.add(SECOND * second, u64::from(second) * 100, id());
        }
        assert_eq!(positions.reached_by(99), None);
        assert_eq!(positions.reached_by(100), Some(SECOND));
        assert_eq!(positions.reached_by(399), Some(3 * SECOND));
        assert_eq!(positions.reached_by(9_999), Some(5 * SECOND));
        positions.forget_before(310);
        assert_eq!(positions.known.len(), 3);
        assert_eq!(positions.reached_by(310), Some(3 * SECOND));
        // Nothing is written, and the clock goes on.
        positions.add(6 * SECOND, 500, id());
        assert_eq!(positions.reached_by(500), Some(6 * SECOND));
        positions.add(7 * SECOND, 900, "another".to_owned());
        assert_eq!(positions.reached_by(500), None);
        positions.add(8 * SECOND, 400, "another".to_owned());
        assert_eq!(positions.reached_by(500), Some(8 * SECOND));
    }

    #[test]
    fn a_paused_standby_does_not_make_memory_grow_and_is_not_forgotten() {
        let mut positions = Positions::default();
        for second in 0..10_000 {
            positions.add(SECOND * second, u64::from(second), id());
            positions.forget_before(3);
        }
        assert!(positions.known.len() <= POSITIONS_MAX);
        assert_eq!(positions.reached_by(3), Some(3 * SECOND));
        let near = positions.reached_by(9_000).unwrap();
        assert!(near <= 9_000 * SECOND && 8_000 * SECOND < near, "{near:?}");
    }
}
