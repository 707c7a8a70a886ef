//! Pools: which databases can be reached, and how well clients of one server connection are kept apart. A database that no pool
//! served widens; sizes and times are different, no more.

use super::Differs;
use super::Findings;
use super::Way;
use super::path;
use crate::policy::Policy;
use crate::policy::Pool;
use crate::policy::SessionState;

const REACHED: &str = "databases that no pool served can be reached";

fn of<'p>(policy: &'p Policy, name: &str) -> Option<&'p Pool> {
    policy.pools.iter().find(|known| &*known.name == name)
}

/// Whether every database of the pool is served by a pool of the policy.
fn served(policy: &Policy, pool: &Pool) -> bool {
    policy
        .pools
        .iter()
        .any(|known| known.database.covers(&pool.database))
}

pub(super) fn differs(found: &mut Findings<'_>, differs: &Differs<'_>) -> bool {
    let (Some(old), Some(new)) = (of(found.old, differs.name), of(found.new, differs.name)) else {
        return false;
    };
    match differs.key {
        "database" => {
            let way = match (served(found.old, new), served(found.new, old)) {
                (false, true) => Way::Widens,
                (true, false) => Way::Narrows,
                // Databases come and go.
                (false, false) => Way::Widens,
                (true, true) => Way::Changes,
            };
            let why = if way == Way::Widens { REACHED } else { "" };
            found.add(way, differs.path(), differs.values(), why);
        }
        "session_state" => {
            let way = Way::of_rise(strictness(new.session_state), strictness(old.session_state));
            let why = match new.session_state {
                SessionState::Ignore => "what one client sets may be seen by others",
                SessionState::Pin => "",
                SessionState::Refuse => "what changes the session is refused",
            };
            found.add(way, differs.path(), differs.values(), why);
        }
        "reset" => {
            let way = match (old.reset.is_empty(), new.reset.is_empty()) {
                (false, true) => Way::Widens,
                (true, false) => Way::Narrows,
                _ => Way::Changes,
            };
            let why = match way {
                Way::Widens => "what one client leaves behind is found by the next",
                _ => "",
            };
            found.add(way, differs.path(), differs.values(), why);
        }
        "login.user" => {
            let why = "the nodes' rights of another user hold";
            found.add(Way::Changes, differs.path(), differs.values(), why);
        }
        _ => return false,
    }
    true
}

/// How little one client's session can become another's, or is let happen at all.
fn strictness(state: SessionState) -> u8 {
    match state {
        SessionState::Ignore => 0,
        SessionState::Pin => 1,
        SessionState::Refuse => 2,
    }
}

pub(super) fn came(found: &mut Findings<'_>, name: &str) {
    let Some(pool) = of(found.new, name) else {
        return;
    };
    let what = format!("new, for `{}`", pool.database);
    let (way, why) = match served(found.old, pool) {
        true => (Way::Changes, ""),
        false => (Way::Widens, REACHED),
    };
    found.add(way, path("pool", name, ""), what, why);
}

pub(super) fn gone(found: &mut Findings<'_>, name: &str) {
    let Some(pool) = of(found.old, name) else {
        return;
    };
    let what = format!("removed, for `{}`", pool.database);
    let way = match served(found.new, pool) {
        true => Way::Changes,
        false => Way::Narrows,
    };
    found.add(way, path("pool", name, ""), what, "");
}
