//! The tables that exist once: `[sql]`, `[admin]`, `[reload]`, `[decisions]`.

use super::Differs;
use super::Findings;
use super::Way;
use super::listener::address;
use crate::policy::Bind;
use crate::policy::Decisions;
use crate::policy::Gate;
use crate::policy::OnUnparsed;
use crate::policy::SqlDetail;
use std::sync::Arc;

const LITERALS: &str = "literals are now written down";

pub(super) fn differs(found: &mut Findings<'_>, differs: &Differs<'_>) -> bool {
    match differs.noun {
        "sql" => sql(found, differs),
        "admin" => admin(found, differs),
        "reload" => reload(found, differs),
        _ => decisions(found, differs),
    }
}

fn sql(found: &mut Findings<'_>, differs: &Differs<'_>) -> bool {
    let (old, new) = (found.old.sql, found.new.sql);
    let (way, why) = match differs.key {
        "on_unparsed" => match new.on_unparsed {
            OnUnparsed::AsWrite => (Way::Widens, "what cannot be understood may run"),
            OnUnparsed::Deny => (Way::Narrows, "what cannot be understood is refused"),
        },
        "max_statements" => {
            let way = Way::of_rise(old.max_statements, new.max_statements);
            (way, "statements in one message")
        }
        "max_bytes" => {
            let shown =
                |bytes: usize| crate::unit::format_size(u64::try_from(bytes).unwrap_or(u64::MAX));
            let what = format!("{} -> {}", shown(old.max_bytes), shown(new.max_bytes));
            let way = Way::of_rise(old.max_bytes, new.max_bytes);
            found.add(way, differs.path(), what, "bytes of one text");
            return true;
        }
        "written" => {
            let (way, why) = match new.written {
                true => (Way::Narrows, "read even where no stage asks"),
                false => (Way::Widens, "unread where no stage asks"),
            };
            let what = if new.written { "new" } else { "removed" };
            found.add(way, "sql", what, why);
            return true;
        }
        _ => return false,
    };
    found.add(way, differs.path(), differs.values(), why);
    true
}

fn admin(found: &mut Findings<'_>, differs: &Differs<'_>) -> bool {
    let names = |names: &[Arc<str>]| -> Vec<String> {
        names.iter().map(|name| format!("{name:?}")).collect()
    };
    let binds = |binds: &[Bind]| -> Vec<String> { binds.iter().map(address).collect() };
    let (old, new) = (&found.old.admin, &found.new.admin);
    let (old, new, why) = match differs.key {
        "users" => (
            names(&old.users),
            names(&new.users),
            "may use the admin console",
        ),
        "roles" => (
            names(&old.roles),
            names(&new.roles),
            "may use the admin console",
        ),
        "metrics" => (
            binds(&old.metrics),
            binds(&new.metrics),
            "whoever connects there reads figures",
        ),
        _ => return false,
    };
    found.items(
        &differs.path(),
        (&old, &new),
        (Way::Widens, why),
        (Way::Narrows, ""),
    )
}

fn reload(found: &mut Findings<'_>, differs: &Differs<'_>) -> bool {
    if differs.key != "gate" {
        return false;
    }
    let (way, why) = match found.new.reload.gate {
        Gate::Check => (Way::Widens, "a reload need no longer pass the tests"),
        Gate::Tests => (Way::Narrows, "a reload must pass the tests"),
    };
    found.add(way, differs.path(), differs.values(), why);
    true
}

pub(super) fn decisions_came(found: &mut Findings<'_>) {
    let Some(decisions) = &found.new.decisions else {
        return;
    };
    let (way, why) = match decisions.sql {
        SqlDetail::Text => (Way::Widens, LITERALS),
        _ => (Way::Changes, ""),
    };
    let what = format!("new, to {}", decisions.written);
    found.add(way, "decisions", what, why);
}

fn decisions(found: &mut Findings<'_>, differs: &Differs<'_>) -> bool {
    if differs.key != "sql" {
        return false;
    }
    let detail = |decisions: &Option<Decisions>| decisions.as_ref().map(|known| known.sql);
    let (way, why) = match (detail(&found.old.decisions), detail(&found.new.decisions)) {
        (_, Some(SqlDetail::Text)) => (Way::Widens, LITERALS),
        (Some(SqlDetail::Text), _) => (Way::Narrows, "literals are no longer written down"),
        _ => (Way::Changes, ""),
    };
    found.add(way, differs.path(), differs.values(), why);
    true
}
