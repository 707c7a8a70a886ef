//! Users: who may log in, with which proof, and what stages take them for. Someone new widens, a weaker proof widens; a role
//! widens where a stage lets more happen for it.

use super::Differs;
use super::Findings;
use super::Way;
use super::force::Force;
use super::guards::Turned;
use super::path;
use super::stage::is_guest;
use super::words::ticked;
use crate::policy::Credential;
use crate::policy::Policy;
use crate::policy::User;
use crate::policy::predicate::Test;
use crate::sandbox::See;
use std::sync::Arc;

fn of<'p>(policy: &'p Policy, name: &str) -> Option<&'p User> {
    policy.users.get(name)
}

/// Whether the proxy itself finds out who logs in, on both sides.
fn both_authenticate(found: &Findings<'_>) -> bool {
    !found.old.users.is_empty() && !found.new.users.is_empty()
}

/// The first user and the last one change who authenticates at all.
pub(super) fn regime(found: &mut Findings<'_>) {
    match (found.old.users.is_empty(), found.new.users.is_empty()) {
        (true, false) => {
            let why = "the proxy finds out who logs in, no longer the node";
            found.add(Way::Changes, "user", "there are users now", why);
        }
        (false, true) => {
            let why = "whoever a node lets in may log in";
            found.add(Way::Widens, "user", "there are none any more", why);
        }
        _ => (),
    }
}

pub(super) fn came(found: &mut Findings<'_>, name: &str) {
    let Some(user) = of(found.new, name) else {
        return;
    };
    let roles = ticked(user.roles.iter().map(|role| &**role));
    let what = match roles.is_empty() {
        true => format!("new, by {}", user.credential.method()),
        false => format!("new, by {}, as {roles}", user.credential.method()),
    };
    let way = match user.credential {
        // Whom nodes let in until now is not known, but it was not without any proof to us.
        Credential::Trust => Way::Widens,
        _ if both_authenticate(found) => Way::Widens,
        _ => Way::Changes,
    };
    found.add(way, path("user", name, ""), what, "may log in");
}

pub(super) fn gone(found: &mut Findings<'_>, name: &str) {
    let way = match both_authenticate(found) {
        true => Way::Narrows,
        false => Way::Changes,
    };
    let why = match way {
        Way::Narrows => "may no longer log in",
        _ => "",
    };
    found.add(way, path("user", name, ""), "removed", why);
}

pub(super) fn differs(found: &mut Findings<'_>, differs: &Differs<'_>) -> bool {
    let (Some(old), Some(new)) = (of(found.old, differs.name), of(found.new, differs.name)) else {
        return false;
    };
    match differs.key {
        "credential" => {
            let way = Way::of_rise(proof(&new.credential), proof(&old.credential));
            let what = format!("{} -> {}", old.credential.method(), new.credential.method());
            let why = match new.credential {
                Credential::Trust => "logs in without any proof",
                _ => "",
            };
            found.add(way, differs.path(), what, why);
        }
        "credential.reference" => {
            // With another method it goes without saying.
            if old.credential.method() == new.credential.method() {
                let path = path("user", differs.name, old.credential.method());
                found.add(Way::Changes, path, "another secret", "");
            }
        }
        "roles" => roles(found, &differs.path(), old, new),
        "expires" => {
            // None is never.
            let end = |user: &User| user.expires.unwrap_or(i64::MAX);
            let (old, new) = (end(old), end(new));
            let what = format!("{} -> {}", day(old), day(new));
            let why = if old < new {
                "may log in for longer"
            } else {
                ""
            };
            found.add(Way::of_rise(old, new), differs.path(), what, why);
        }
        _ => return false,
    }
    true
}

/// How much a method asks for: nothing, a hash that is as good as the password, the password itself.
fn proof(credential: &Credential) -> u8 {
    match credential {
        Credential::Trust => 0,
        Credential::Md5(_) => 1,
        Credential::Verifier(_) | Credential::Password(_) => 2,
    }
}

fn day(seconds: i64) -> String {
    match u64::try_from(seconds) {
        Ok(seconds) if seconds < i64::MAX.unsigned_abs() => {
            crate::unit::format_utc(std::time::Duration::from_secs(seconds))
        }
        Ok(_) => "never".to_owned(),
        Err(_) => "before 1970".to_owned(),
    }
}

fn roles(found: &mut Findings<'_>, path: &str, old: &User, new: &User) {
    for role in new.roles.iter().filter(|role| !old.roles.contains(role)) {
        let more = with(&old.roles, role);
        let policy = found.new;
        let mut ways = turned(policy, &old.roles, &more).ways();
        if may_administer(policy, role) {
            ways.push((Way::Widens, "may use the admin console".to_owned()));
        }
        tell_role(found, path, &format!("+ {role:?}"), ways);
    }
    for role in old.roles.iter().filter(|role| !new.roles.contains(role)) {
        let more = with(&new.roles, role);
        let policy = found.old;
        let mut ways = turned(policy, &more, &new.roles).ways();
        if may_administer(policy, role) {
            let why = "may no longer use the admin console";
            ways.push((Way::Narrows, why.to_owned()));
        }
        tell_role(found, path, &format!("- {role:?}"), ways);
    }
}

fn with(roles: &[Arc<str>], role: &Arc<str>) -> Vec<Arc<str>> {
    let more = roles.iter().chain([role]);
    more.cloned().collect()
}

fn may_administer(policy: &Policy, role: &str) -> bool {
    policy.admin.roles.iter().any(|known| **known == *role)
}

/// What it leads to that somebody has other roles. Foreign code that sees who asks may make of it what it likes.
fn turned<'p>(policy: &'p Policy, old: &[Arc<str>], new: &[Arc<str>]) -> Turned<'p> {
    let any = |roles: &[Arc<str>], test: &Test| roles.iter().any(|role| test.wants_role(role));
    let mut turned = Turned::of(policy, &|test| any(old, test), &|test| any(new, test));
    for stage in policy.stages.iter().filter(|stage| is_guest(stage)) {
        let decides = Force::of(policy, stage) == Force::Unknown;
        if decides && stage.grants.may_see(See::Identity) {
            turned.may_look(stage);
        }
    }
    turned
}

fn tell_role(found: &mut Findings<'_>, path: &str, what: &str, ways: Vec<(Way, String)>) {
    if ways.is_empty() {
        let why = "no stage decides otherwise for it";
        found.add(Way::Changes, path, what, why);
    }
    for (way, why) in ways {
        found.add(way, path, what, &why);
    }
}
