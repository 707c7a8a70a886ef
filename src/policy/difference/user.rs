//! Users: who may log in, with which proof, and what stages take them for. Someone new widens, a weaker proof widens; a role
//! widens where a stage lets more happen for it.

use super::Differs;
use super::Findings;
use super::Way;
use super::path;
use super::stage::Force;
use super::words::ticked;
use crate::policy::Action;
use crate::policy::Credential;
use crate::policy::Policy;
use crate::policy::User;
use crate::sandbox::See;

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
        let (way, why) = meaning(found.new, role);
        found.add(way, path, format!("+ {role:?}"), &why);
    }
    for role in old.roles.iter().filter(|role| !new.roles.contains(role)) {
        let (way, _) = meaning(found.old, role);
        let why = match way.opposite() {
            Way::Widens => "is no longer met by stages that refuse or bound",
            _ => "",
        };
        found.add(way.opposite(), path, format!("- {role:?}"), why);
    }
}

/// What having a role leads to: more where anything opens for it, less where stages only close, and who knows where foreign
/// code may look at it.
fn meaning(policy: &Policy, role: &str) -> (Way, String) {
    let mut opens = Vec::new();
    let mut closes = Vec::new();
    let mut unknown = false;
    for stage in &policy.stages {
        let force = Force::of(policy, stage);
        let is_guest = matches!(stage.action, Action::Script(_) | Action::Plugin(_));
        unknown |= is_guest && force == Force::Unknown && stage.grants.may_see(See::Identity);
        for (asks, way) in [
            (stage.when.asks_for_role(role), force.way_of_presence()),
            (
                stage.unless.asks_for_role(role),
                force.way_of_presence().opposite(),
            ),
        ] {
            match way {
                _ if !asks || force == Force::Nothing => (),
                Way::Widens => opens.push(&*stage.name),
                Way::Narrows => closes.push(&*stage.name),
                Way::Changes => unknown = true,
            }
        }
    }
    if policy.admin.roles.iter().any(|known| **known == *role) {
        return (Way::Widens, "may use the admin console".to_owned());
    }
    if !opens.is_empty() {
        let stages = ticked(opens);
        return (
            Way::Widens,
            format!("may now be matched as {role:?} by {stages}"),
        );
    }
    match (unknown, closes.is_empty()) {
        (false, false) => (Way::Narrows, format!("is now met by {}", ticked(closes))),
        (true, _) => (Way::Changes, String::new()),
        (false, true) => (Way::Changes, "no stage asks for it".to_owned()),
    }
}
