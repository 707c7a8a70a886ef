//! Listeners: where clients can connect, and how well that is protected. A new address widens; less TLS widens.

use super::Differs;
use super::Findings;
use super::Way;
use super::environment;
use super::force::Force;
use super::guards::Turned;
use super::path;
use super::pipeline;
use super::words::ticked;
use crate::policy::Bind;
use crate::policy::Listener;
use crate::policy::ListenerTlsMode;
use crate::policy::Policy;
use crate::policy::TlsVersion;
use crate::policy::listener::MODES;

fn of<'p>(policy: &'p Policy, name: &str) -> Option<&'p Listener> {
    policy.listeners.iter().find(|known| &*known.name == name)
}

pub(super) fn differs(found: &mut Findings<'_>, differs: &Differs<'_>) -> bool {
    let (Some(old), Some(new)) = (of(found.old, differs.name), of(found.new, differs.name)) else {
        return false;
    };
    match differs.key {
        "bind" => binds(found, &differs.path(), &old.bind, &new.bind),
        "tls.cert" => {
            found.add(Way::Changes, differs.path(), "other certificate", "");
            true
        }
        key => guarded(found, key, old, new),
    }
}

/// What clients of an address meet: what the listener asks of them, and which stages. The two need not have one name.
fn guarded(found: &mut Findings<'_>, key: &str, old: &Listener, new: &Listener) -> bool {
    let path = path("listener", &new.name, key);
    match key {
        "pipeline" => return pipelines(found, &path, old, new),
        "tls.mode" => {
            let way = Way::of_rise(protection(new.tls.mode), protection(old.tls.mode));
            let why = match new.tls.mode {
                ListenerTlsMode::Disable => "nothing is encrypted",
                ListenerTlsMode::Allow if way == Way::Widens => "clients may go without TLS",
                ListenerTlsMode::Allow => "clients may use TLS",
                ListenerTlsMode::Require => "clients must use TLS",
            };
            let what = format!("{} -> {}", mode(old.tls.mode), mode(new.tls.mode));
            found.add(way, path, what, why);
        }
        "tls.min" => {
            let what = format!("{} -> {}", version(old.tls.min), version(new.tls.min));
            let way = Way::of_rise(new.tls.min, old.tls.min);
            found.add(way, path, what, "");
        }
        "max_connections" => {
            let (before, after) = (old.max_connections, new.max_connections);
            let what = format!("{before} -> {after}");
            found.add(Way::of_rise(before, after), path, what, "clients at a time");
        }
        _ => return false,
    }
    true
}

/// Clients of an address meet another listener there: whatever is different for them.
fn taken_over(found: &mut Findings<'_>, old: &Listener, new: &Listener) {
    for (key, is_same) in [
        ("pipeline", false),
        ("tls.mode", old.tls.mode == new.tls.mode),
        ("tls.min", old.tls.min == new.tls.min),
        (
            "max_connections",
            old.max_connections == new.max_connections,
        ),
    ] {
        if is_same {
            continue;
        }
        let since = found.changes.len();
        guarded(found, key, old, new);
        let is_withheld = environment::written(found.old, "listener", &old.name, key).is_some()
            || environment::written(found.new, "listener", &new.name, key).is_some();
        for change in found.changes.iter_mut().skip(since) {
            if is_withheld && change.path == path("listener", &new.name, key) {
                change.what = "other value".to_owned();
            }
        }
    }
    renamed(found, &old.name, &new.name);
}

/// Stages may ask which listener a client came by.
pub(super) fn renamed(found: &mut Findings<'_>, from: &str, to: &str) {
    let mut turned = Turned::default();
    for before in &found.old.stages {
        let mut others = found.new.stages.iter();
        let Some(after) = others.find(|other| found.is_same("stage", &before.name, &other.name))
        else {
            // One that comes or goes is told by itself.
            continue;
        };
        let force = match (Force::of(found.old, before), Force::of(found.new, after)) {
            (before, after) if before == after => after,
            _ => Force::Unknown,
        };
        for (was, is, is_when) in [
            (&before.when, &after.when, true),
            (&before.unless, &after.unless, false),
        ] {
            // A key that comes or goes is told by itself as well.
            if let (Some(was), Some(is)) = (was.wants_listener(from), is.wants_listener(to)) {
                turned.note(after, force, is_when, (was, is));
            }
        }
    }
    for (way, why) in turned.ways() {
        let what = format!("by this name, no longer `{from}`");
        found.add(way, path("listener", to, ""), what, &why);
    }
}

/// How much a mode protects what is sent.
fn protection(mode: ListenerTlsMode) -> u8 {
    match mode {
        ListenerTlsMode::Disable => 0,
        ListenerTlsMode::Allow => 1,
        ListenerTlsMode::Require => 2,
    }
}

fn mode(mode: ListenerTlsMode) -> &'static str {
    let known = MODES.iter().find(|(_, known)| *known == mode);
    known.map_or("", |(name, _)| name)
}

fn version(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    }
}

pub(super) fn came(found: &mut Findings<'_>, name: &str) {
    let Some(listener) = of(found.new, name) else {
        return;
    };
    let what = format!("new, on {}", addresses(&listener.bind));
    let known = |bind: &Bind| listens(found.old, bind);
    let way = match listener.bind.iter().all(known) {
        true => Way::Changes,
        false => Way::Widens,
    };
    found.add(
        way,
        path("listener", name, ""),
        what,
        "clients can connect there",
    );
    for old in &found.old.listeners {
        if shares(old, listener) {
            taken_over(found, old, listener);
        }
    }
}

pub(super) fn gone(found: &mut Findings<'_>, name: &str) {
    let Some(listener) = of(found.old, name) else {
        return;
    };
    let what = format!("removed, on {}", addresses(&listener.bind));
    let known = |bind: &Bind| listens(found.new, bind);
    let way = match listener.bind.iter().all(known) {
        true => Way::Changes,
        false => Way::Narrows,
    };
    found.add(way, path("listener", name, ""), what, "");
    for new in &found.new.listeners {
        if shares(listener, new) {
            taken_over(found, listener, new);
        }
    }
}

/// Whether a client that came by the old one may come by the new one without connecting elsewhere.
fn shares(old: &Listener, new: &Listener) -> bool {
    old.bind.iter().any(|old| {
        let mut binds = new.bind.iter();
        binds.any(|new| reaches(old, new) || reaches(new, old))
    })
}

fn addresses(binds: &[Bind]) -> String {
    let texts: Vec<String> = binds.iter().map(address).collect();
    ticked(texts.iter().map(String::as_str))
}

/// An address as it is written in a policy.
pub(super) fn address(bind: &Bind) -> String {
    match bind {
        Bind::Tcp(address) => address.to_string(),
        Bind::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// Whether any listener of the policy is reached there.
fn listens(policy: &Policy, bind: &Bind) -> bool {
    let mut binds = policy.listeners.iter().flat_map(|known| &known.bind);
    binds.any(|known| reaches(known, bind))
}

/// Whether who listens at `wide` is reached at `narrow` as well: `0.0.0.0` stands for every address of its family.
fn reaches(wide: &Bind, narrow: &Bind) -> bool {
    match (wide, narrow) {
        (Bind::Tcp(wide), Bind::Tcp(narrow)) => {
            let all = wide.ip().is_unspecified() && wide.is_ipv4() == narrow.is_ipv4();
            wide.port() == narrow.port() && (all || wide.ip() == narrow.ip())
        }
        _ => wide == narrow,
    }
}

/// Addresses that lie in others of the other side are no news.
fn binds(found: &mut Findings<'_>, path: &str, old: &[Bind], new: &[Bind]) -> bool {
    let beyond = |these: &[Bind], those: &[Bind]| -> Vec<String> {
        let these = these.iter();
        let these = these.filter(|one| !those.iter().any(|other| reaches(other, one)));
        these.map(address).collect()
    };
    let (added, removed) = (beyond(new, old), beyond(old, new));
    found.items(
        path,
        (&removed, &added),
        (Way::Widens, "clients can connect there"),
        (Way::Narrows, ""),
    )
}

/// The sessions of a listener that names another pipeline meet other stages: what was and what is are held side by side.
fn pipelines(found: &mut Findings<'_>, path: &str, old: &Listener, new: &Listener) -> bool {
    let (Some(before), Some(after)) = (
        found.old.pipelines.get(old.pipeline),
        found.new.pipelines.get(new.pipeline),
    ) else {
        return false;
    };
    if found.is_same("pipeline", &before.name, &after.name) {
        return true;
    }
    let what = format!("{:?} -> {:?}", before.name, after.name);
    found.add(Way::Changes, path, what, "");
    pipeline::compare(found, before, after);
    true
}
