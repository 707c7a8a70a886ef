//! Permissions: what foreign code may see and do. Whatever it could not see or do before widens.

use super::Findings;
use super::Way;
use crate::sandbox::Call;
use crate::sandbox::DeclaredQuery;
use crate::sandbox::Grants;
use crate::sandbox::KvGrant;
use crate::sandbox::LoadGrant;
use crate::sandbox::See;
use crate::unit;
use std::sync::Arc;

/// One key of two permission sets; false where it is none of theirs.
pub(super) fn differ(
    found: &mut Findings<'_>,
    path: &str,
    key: &str,
    old: &Grants,
    new: &Grants,
) -> bool {
    match key {
        "see" => see(found, path, old, new),
        "call" => call(found, path, old, new),
        "kv" => place(
            found,
            &format!("{path}.kv"),
            old.kv.as_ref(),
            new.kv.as_ref(),
        ),
        "cache" => {
            let path = format!("{path}.cache");
            place(found, &path, old.cache.as_ref(), new.cache.as_ref());
        }
        "patterns" => {
            let path = format!("{path}.patterns");
            found.add(Way::Changes, path, "other patterns", "");
        }
        "metrics" => metrics(found, &format!("{path}.metrics"), old, new),
        _ if key.starts_with("load.max_queries") || key.starts_with("load.statement.") => {
            let path = format!("{path}.load");
            load(found, &path, old.load.as_ref(), new.load.as_ref());
        }
        _ => return false,
    }
    true
}

/// Everything that a guest may do beyond what any may.
pub(super) fn beyond_standard(found: &mut Findings<'_>, path: &str, new: &Grants) {
    let standard = Grants::standard();
    see(found, path, &standard, new);
    call(found, path, &standard, new);
}

fn see(found: &mut Findings<'_>, path: &str, old: &Grants, new: &Grants) {
    let path = format!("{path}.see");
    for see in new.see.difference(&old.see) {
        let what = format!("+ {:?}", see.name());
        found.add(Way::Widens, &*path, what, can_see(*see));
    }
    for see in old.see.difference(&new.see) {
        found.add(Way::Narrows, &*path, format!("- {:?}", see.name()), "");
    }
}

fn can_see(see: See) -> &'static str {
    match see {
        See::Identity => "can now read who asks",
        See::Session => "can now read from where and with what",
        See::SqlText => "can now read literals",
        See::SqlNormalized => "can now read statements, without literals",
        See::SqlFingerprint => "can now tell statements apart",
        See::SqlKind => "can now read what statements do",
        See::SqlTables => "can now read which tables are named",
        See::ResultSummary => "can now read how statements end",
        See::ResultError => "can now read errors, which may quote data",
        See::Password => "can now read passwords",
    }
}

fn call(found: &mut Findings<'_>, path: &str, old: &Grants, new: &Grants) {
    let path = format!("{path}.call");
    for call in new.call.difference(&old.call) {
        let what = format!("+ {:?}", call.name());
        found.add(Way::Widens, &*path, what, can_do(*call));
    }
    for call in old.call.difference(&new.call) {
        found.add(Way::Narrows, &*path, format!("- {:?}", call.name()), "");
    }
}

fn can_do(call: Call) -> &'static str {
    match call {
        Call::Log => "can now write to the log",
        Call::Metrics => "can now touch metrics",
        Call::KvRead => "can now read stored values",
        Call::KvWrite => "can now change stored values",
        Call::Time => "can now tell the time",
        Call::Random => "can now draw random numbers",
        Call::Sha256 => "can now hash",
        Call::Cache => "can now keep values",
        Call::Attributes => "can now tell later stages something",
        Call::Emit => "can now raise events",
        Call::Load => "can now be given rows of a node",
        Call::Query => "can now ask a node for rows",
    }
}

/// `kv` and `cache`. Without the right to call there is none, and that right is told by itself.
fn place(found: &mut Findings<'_>, path: &str, old: Option<&KvGrant>, new: Option<&KvGrant>) {
    let (Some(old), Some(new)) = (old, new) else {
        return;
    };
    if old.namespace != new.namespace {
        let what = format!("{} -> {}", old.namespace, new.namespace);
        found.add(Way::Changes, path, what, "other stored values");
    }
    rise(
        found,
        path,
        "max_keys",
        (old.max_keys, new.max_keys),
        &count,
    );
    rise(
        found,
        path,
        "max_bytes",
        (old.max_bytes, new.max_bytes),
        &bytes,
    );
}

fn count(value: usize) -> String {
    value.to_string()
}

fn bytes(value: usize) -> String {
    unit::format_size(u64::try_from(value).unwrap_or(u64::MAX))
}

fn rise(
    found: &mut Findings<'_>,
    path: &str,
    key: &str,
    (old, new): (usize, usize),
    shown: &dyn Fn(usize) -> String,
) {
    if old != new {
        let what = format!("{} -> {}", shown(old), shown(new));
        found.add(Way::of_rise(old, new), format!("{path}.{key}"), what, "");
    }
}

/// Where none is declared, any may be touched.
fn metrics(found: &mut Findings<'_>, path: &str, old: &Grants, new: &Grants) {
    match (old.metrics.is_empty(), new.metrics.is_empty()) {
        (true, false) => {
            found.add(Way::Narrows, path, "declared", "only those may be touched");
            return;
        }
        (false, true) => {
            found.add(Way::Widens, path, "none declared", "any may be touched");
            return;
        }
        _ => (),
    }
    for name in new.metrics.keys() {
        match old.metrics.get(name) {
            None => found.add(Way::Widens, path, format!("+ {name}"), "may be touched"),
            Some(before) if new.metrics.get(name) != Some(before) => {
                found.add(Way::Changes, path, format!("other {name}"), "");
            }
            Some(_) => (),
        }
    }
    for name in old.metrics.keys() {
        if !new.metrics.contains_key(name) {
            found.add(Way::Narrows, path, format!("- {name}"), "");
        }
    }
}

/// Statements: a new one shows rows that could not be seen, another text may show more or less.
fn load(found: &mut Findings<'_>, path: &str, old: Option<&LoadGrant>, new: Option<&LoadGrant>) {
    let statements = |grant: Option<&LoadGrant>| -> Vec<Arc<DeclaredQuery>> {
        grant.map_or_else(Vec::new, |grant| grant.statements.clone())
    };
    if let (Some(old), Some(new)) = (old, new)
        && old.max_queries != new.max_queries
    {
        let what = format!("{} -> {}", old.max_queries, new.max_queries);
        let way = Way::of_rise(old.max_queries, new.max_queries);
        found.add(way, format!("{path}.max_queries"), what, "");
    }
    let (before, after) = (statements(old), statements(new));
    for new in &after {
        let path = format!("{path}.statements.{}", new.name);
        match before.iter().find(|old| old.name == new.name) {
            None => found.add(Way::Widens, path, "new", "its rows can be asked for"),
            Some(old) => statement(found, &path, old, new),
        }
    }
    for old in before {
        if !after.iter().any(|new| new.name == old.name) {
            let path = format!("{path}.statements.{}", old.name);
            found.add(Way::Narrows, path, "removed", "");
        }
    }
}

fn statement(found: &mut Findings<'_>, path: &str, old: &DeclaredQuery, new: &DeclaredQuery) {
    if (&old.sql, old.params) != (&new.sql, new.params) {
        found.add(Way::Changes, path, "other statement", "");
    }
    let place = |of: &DeclaredQuery| (Arc::clone(&of.pool), Arc::clone(&of.database), of.node);
    if place(old) != place(new) {
        found.add(Way::Changes, path, "asked elsewhere", "");
    }
    rise(
        found,
        path,
        "max_rows",
        (old.max_rows, new.max_rows),
        &count,
    );
    rise(
        found,
        path,
        "max_bytes",
        (old.max_bytes, new.max_bytes),
        &bytes,
    );
    if old.timeout != new.timeout {
        let shown = unit::format_duration;
        let what = format!("{} -> {}", shown(old.timeout), shown(new.timeout));
        let way = Way::of_rise(old.timeout, new.timeout);
        found.add(way, format!("{path}.timeout"), what, "");
    }
}
