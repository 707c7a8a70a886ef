//! What `SHOW` shows. Secrets are in none of it.

use super::guests;
use crate::hook::ClientAddress;
use crate::hook::Rows;
use crate::pool::Pool;
use crate::server::services::ProcessServices;
use crate::server::status::Status;
use crate::session::Activity;
use crate::session::Shared;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

/// Everything there is to show.
pub(super) const NAMES: [&str; 10] = [
    "POLICY", "POOLS", "CLIENTS", "SERVERS", "STATS", "STAGES", "PLUGINS", "METRICS", "VERSION",
    "HELP",
];

/// The rows of one name; `None` when there is none of it.
pub(super) fn show(
    name: &str,
    shared: &Shared,
    services: &ProcessServices,
    status: &Status,
) -> Option<Rows> {
    Some(match name {
        "POLICY" => policy(shared, status),
        "POOLS" => pools(shared),
        "CLIENTS" => clients(shared),
        "SERVERS" => servers(shared),
        "STATS" => stats(shared),
        "STAGES" => guests::stages(shared),
        "PLUGINS" => guests::plugins(shared),
        "METRICS" => metrics(services),
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
            "stages",
            "last_reload",
            "at",
            "mistakes",
        ],
        [vec![
            policy.name.to_string(),
            policy.revision.full(),
            policy.bundle.to_string(),
            world.commit.as_deref().unwrap_or("none").to_owned(),
            utc(world.loaded),
            policy.stages.len().to_string(),
            outcome.to_owned(),
            last.as_ref()
                .map_or_else(|| "-".to_owned(), |last| utc(last.at)),
            last.map_or_else(String::new, |last| last.reasons.join("\n")),
        ]],
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
                utc(control.connected),
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

/// A time as RFC 3339 in UTC, to the second.
fn utc(time: SystemTime) -> String {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's civil_from_days, for dates after 1970.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_shown_in_utc() {
        let at = |seconds| utc(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_498_496), "2026-11-24T05:34:56Z");
    }
}
