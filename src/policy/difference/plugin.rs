//! Plugins: which code, vouched for by whom, and what it may use. Other code is a change: what it does is not known.

use super::Differs;
use super::Findings;
use super::Way;
use super::guest;
use crate::policy::Action;
use crate::policy::OnFailure;
use crate::policy::Plugin;
use crate::policy::Policy;
use crate::sandbox::State;

/// Digits of a hash in a line.
const HASH_DIGITS: usize = 12;

pub(super) fn of<'p>(policy: &'p Policy, name: &str) -> Option<&'p Plugin> {
    policy.plugins.iter().find(|known| &*known.name == name)
}

pub(super) fn differs(found: &mut Findings<'_>, differs: &Differs<'_>) -> bool {
    let (Some(old), Some(new)) = (of(found.old, differs.name), of(found.new, differs.name)) else {
        return false;
    };
    match differs.key {
        "sha256" => {
            let short = |hash: &str| hash.chars().take(HASH_DIGITS).collect::<String>();
            let what = format!("{} -> {}", short(&old.sha256), short(&new.sha256));
            found.add(Way::Changes, differs.path(), what, "other code");
        }
        "manifest_sha256" => {
            found.add(Way::Changes, differs.path(), "other manifest", "");
        }
        "signed_by" => {
            let way = match (&old.signed_by, &new.signed_by) {
                (Some(_), None) => Way::Widens,
                (None, Some(_)) => Way::Narrows,
                _ => Way::Changes,
            };
            let why = match way {
                Way::Widens => "nobody vouches for it any more",
                Way::Changes => "another vouches for it",
                Way::Narrows => "only what is signed is loaded",
            };
            found.add(way, differs.path(), differs.values(), why);
        }
        "config" => found.add(Way::Changes, differs.path(), "other configuration", ""),
        "state" => {
            let (way, why) = match new.state {
                State::Kept => (
                    Way::Widens,
                    "what one call leaves behind is found by the next",
                ),
                State::Fresh => (Way::Narrows, "each call begins anew"),
            };
            found.add(way, differs.path(), differs.values(), why);
        }
        _ => {
            let told = found.changes.len();
            let is_told = guest::limits(found, differs, &old.limits, &new.limits);
            if fails_open(found.new, &new.name) {
                guest::may_fail_more(found, told);
            }
            return is_told;
        }
    }
    true
}

/// Whether a stage asks the plugin and lets pass where it fails.
fn fails_open(policy: &Policy, plugin: &str) -> bool {
    let asked = |id: &usize| {
        policy
            .plugins
            .get(*id)
            .is_some_and(|known| *known.name == *plugin)
    };
    policy.stages.iter().any(|stage| {
        stage.on_failure == OnFailure::Open
            && matches!(&stage.action, Action::Plugin(id) if asked(id))
    })
}
