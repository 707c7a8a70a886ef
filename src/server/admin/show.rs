//! What `SHOW` shows. Secrets are in none of it.

use super::guests;
use crate::hook::ClientAddress;
use crate::hook::Rows;
use crate::policy::Vary;
use crate::pool::Pool;
use crate::server::caches;
use crate::server::services::ProcessServices;
use crate::server::status::Status;
use crate::session::Activity;
use crate::session::Shared;
use crate::session::World;
use crate::unit::format_duration;
use crate::unit::format_time;
use std::sync::atomic::Ordering::Relaxed;

/// Everything there is to show.
pub(super) const NAMES: [&str; 15] = [
    "POLICY",
    "CONFIG",
    "HISTORY",
    "NODES",
    "POOLS",
    "CLIENTS",
    "SERVERS",
    "STATS",
    "STAGES",
    "CACHES",
    "PLUGINS",
    "METRICS",
    "DECISIONS",
    "VERSION",
    "HELP",
];

/// Mistakes of a refused reload that are shown.
const MISTAKES_MAX: usize = 20;

/// The rows of one name; `None` when there is none of it.
pub(super) fn show(
    name: &str,
    shared: &Shared,
    services: &ProcessServices,
    status: &Status,
) -> Option<Rows> {
    Some(match name {
        "POLICY" => policy(shared, status),
        "CONFIG" => config(shared),
        "HISTORY" => history(status),
        "NODES" => nodes(shared),
        "POOLS" => pools(shared),
        "CLIENTS" => clients(shared),
        "SERVERS" => servers(shared),
        "STATS" => stats(shared),
        "STAGES" => guests::stages(shared),
        "CACHES" => caches(shared),
        "PLUGINS" => guests::plugins(shared),
        "METRICS" => metrics(services),
        "DECISIONS" => decisions(shared),
        "VERSION" => rows(
            &["version"],
            [vec![
                concat!("pgwarden ", env!("CARGO_PKG_VERSION")).to_owned(),
            ]],
        ),
        "HELP" => rows(
            &["command"],
            NAMES.iter().map(|name| vec![format!("SHOW {name}")]),
        ),
        _ => return None,
    })
}

pub(super) fn rows(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Rows {
    Rows {
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        rows: rows
            .into_iter()
            .map(|row| row.into_iter().map(Some).collect())
            .collect(),
    }
}

fn policy(shared: &Shared, status: &Status) -> Rows {
    let world = shared.live.load();
    let policy = &world.policy;
    let last = status.last();
    let outcome = last.as_ref().map_or("none", |last| {
        if last.reasons.is_empty() {
            "swapped"
        } else {
            "refused"
        }
    });
    rows(
        &[
            "name",
            "revision",
            "bundle",
            "commit",
            "loaded",
            "by",
            "stages",
            "last_reload",
            "at",
            "mistakes",
            "part",
        ],
        [vec![
            policy.name.to_string(),
            policy.revision.full(),
            policy.bundle.to_string(),
            world.commit.as_deref().unwrap_or("none").to_owned(),
            format_time(world.loaded),
            status.history.by(),
            policy.stages.len().to_string(),
            outcome.to_owned(),
            last.as_ref()
                .map_or_else(|| "-".to_owned(), |last| format_time(last.at)),
            last.map_or_else(String::new, |last| {
                let shown = last.reasons.len().min(MISTAKES_MAX);
                last.reasons[..shown].join("\n")
            }),
            "in force".to_owned(),
        ]]
        .into_iter()
        .chain(tried(&world)),
    )
}

/// What is tried beside the policy in force.
fn tried(world: &World) -> Vec<Vec<String>> {
    let row = |tried: &World, part: String| {
        let policy = &tried.policy;
        let mut row = vec![
            policy.name.to_string(),
            policy.revision.full(),
            policy.bundle.to_string(),
            tried.commit.as_deref().unwrap_or("none").to_owned(),
            format_time(tried.loaded),
            "reload".to_owned(),
            policy.stages.len().to_string(),
        ];
        row.extend(["-", "-", ""].map(str::to_owned));
        row.push(part);
        row
    };
    let shadow = world.shadow.as_ref();
    let shadow = shadow.map(|shadow| row(&shadow.world, "shadow".to_owned()));
    let canary = world.canary.as_ref();
    let canary = canary.map(|canary| {
        let (percent, open) = (canary.percent, canary.sessions());
        row(
            &canary.world,
            format!("canary, {percent} %, {open} sessions"),
        )
    });
    shadow.into_iter().chain(canary).collect()
}

fn config(shared: &Shared) -> Rows {
    let settings = shared.live.load().policy.settings().into_iter();
    rows(
        &["table", "key", "value", "source", "takes_effect"],
        settings.map(|setting| {
            vec![
                setting.table,
                setting.key,
                setting.value,
                if setting.written {
                    "written"
                } else {
                    "default"
                }
                .to_owned(),
                setting.effect.name().to_owned(),
            ]
        }),
    )
}

fn history(status: &Status) -> Rows {
    let entries = status.history.entries().into_iter().enumerate();
    rows(
        &[
            "back", "name", "revision", "bundle", "commit", "loaded", "by", "root", "env",
        ],
        entries.map(|(back, entry)| {
            vec![
                back.to_string(),
                entry.policy,
                entry.revision,
                entry.bundle,
                entry.commit.unwrap_or_else(|| "none".to_owned()),
                entry.loaded,
                entry.by,
                entry.root.display().to_string(),
                entry.environment.unwrap_or_default(),
            ]
        }),
    )
}

fn key_of(pool: &Pool) -> Vec<String> {
    let key = &pool.key;
    vec![
        key.pool.to_string(),
        key.node.to_string(),
        key.database.to_string(),
        key.user.to_string(),
    ]
}

fn nodes(shared: &Shared) -> Rows {
    let views = super::super::nodes::nodes(shared, &shared.live.load());
    rows(
        &["node", "role", "state", "lag", "max_lag", "failures"],
        views.into_iter().map(|node| {
            vec![
                node.name.to_string(),
                node.role.to_owned(),
                node.state.name().to_owned(),
                node.lag_text(),
                node.max_lag_text(),
                node.failures.to_string(),
            ]
        }),
    )
}

fn pools(shared: &Shared) -> Rows {
    rows(
        &[
            "pool",
            "node",
            "database",
            "user",
            "sv_active",
            "sv_idle",
            "cl_waiting",
            "node_failures",
        ],
        shared.pools.all().iter().map(|pool| {
            let counts = pool.counts();
            let mut row = key_of(pool);
            row.extend([counts.active, counts.idle, counts.waiting].map(|count| count.to_string()));
            row.push(pool.health.failures().to_string());
            row
        }),
    )
}

fn clients(shared: &Shared) -> Rows {
    rows(
        &[
            "pid",
            "user",
            "database",
            "application_name",
            "client",
            "listener",
            "tls",
            "auth",
            "state",
            "connected",
        ],
        shared.clients.all().iter().map(|control| {
            let context = &control.context;
            vec![
                control.pid.to_string(),
                context.identity.user.to_string(),
                context.database.to_string(),
                context.app.to_string(),
                match context.client {
                    ClientAddress::Ip(address, port) => {
                        std::net::SocketAddr::new(address, port).to_string()
                    }
                    ClientAddress::Unix => "unix".to_owned(),
                },
                context.listener.to_string(),
                context.tls.to_string(),
                context.auth_method.name().to_owned(),
                match control.activity() {
                    Activity::Idle => "idle",
                    Activity::Waiting => "waiting",
                    Activity::Active => "active",
                }
                .to_owned(),
                format_time(control.connected),
            ]
        }),
    )
}

fn servers(shared: &Shared) -> Rows {
    rows(
        &["pool", "node", "database", "user", "state", "age_seconds"],
        shared.pools.all().iter().flat_map(|pool| {
            let row = |state: &str, age: String| {
                let mut row = key_of(pool);
                row.extend([state.to_owned(), age]);
                row
            };
            let active = (0..pool.counts().active)
                .map(|_| row("active", "-".to_owned()))
                .collect::<Vec<_>>();
            let idle = pool
                .idle_ages()
                .into_iter()
                .map(|age| row("idle", age.as_secs().to_string()));
            active.into_iter().chain(idle).collect::<Vec<_>>()
        }),
    )
}

fn stats(shared: &Shared) -> Rows {
    rows(
        &[
            "pool",
            "node",
            "database",
            "user",
            "transactions",
            "statements",
            "received",
            "sent",
            "statement_us",
            "wait_us",
        ],
        shared.pools.all().iter().map(|pool| {
            let stats = &pool.stats;
            let mut row = key_of(pool);
            row.extend(
                [
                    &stats.transactions,
                    &stats.statements,
                    &stats.received,
                    &stats.sent,
                    &stats.statement_us,
                    &stats.wait_us,
                ]
                .map(|figure| figure.load(Relaxed).to_string()),
            );
            row
        }),
    )
}

fn caches(shared: &Shared) -> Rows {
    let world = shared.live.load();
    rows(
        &[
            "stage",
            "ttl",
            "vary",
            "invalidate",
            "max_bytes",
            "bytes",
            "entries",
            "hits",
            "misses",
            "stored",
            "unfit",
            "invalidated",
            "expired",
            "evicted",
        ],
        caches::all(&world).map(|(stage, rule, of)| {
            let vary: Vec<String> = rule.vary.iter().map(Vary::name).collect();
            let mut row = vec![
                stage.to_owned(),
                format_duration(rule.ttl),
                vary.join(","),
                rule.invalidate.name().to_owned(),
                rule.bytes_max.to_string(),
            ];
            let figures = [
                of.bytes,
                of.entries,
                of.hits,
                of.misses,
                of.stored,
                of.unfit,
                of.invalidated,
                of.expired,
                of.evicted,
            ];
            row.extend(figures.map(|figure| figure.to_string()));
            row
        }),
    )
}

fn metrics(services: &ProcessServices) -> Rows {
    rows(
        &["stage", "name", "kind", "value", "count"],
        services.metrics().into_iter().map(|metric| {
            vec![
                metric.stage,
                metric.name,
                metric.op.kind().to_owned(),
                metric.value.to_string(),
                metric.count.to_string(),
            ]
        }),
    )
}

fn decisions(shared: &Shared) -> Rows {
    let world = shared.live.load();
    let log = world
        .policy
        .decisions
        .as_ref()
        .zip(world.decisions.as_ref());
    rows(
        &["sink", "written", "lost", "failed", "waiting"],
        log.map(|(rules, log)| {
            let counts = log.queue().counts();
            vec![
                rules.written.to_string(),
                counts.written.to_string(),
                counts.lost.to_string(),
                counts.failed.to_string(),
                counts.waiting.to_string(),
            ]
        }),
    )
}
