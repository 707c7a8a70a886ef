//! What foreign code may use: fuel, memory, time, and what a failure of it means. More of anything widens.

use super::Differs;
use super::Findings;
use super::Way;
use super::words::shown;
use crate::sandbox::Limits;
use crate::unit;

/// The limits, whether they are bytes, and their value in one unit.
fn limit(limits: &Limits, key: &str) -> Option<(u128, String)> {
    let count = |count: u64| Some((u128::from(count), count.to_string()));
    let size = |bytes: usize| {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Some((u128::from(bytes), unit::format_size(bytes)))
    };
    match key {
        "fuel" => count(limits.fuel),
        "memory" => size(limits.memory_bytes_max),
        "deadline" => Some((
            limits.deadline.as_nanos(),
            unit::format_duration(limits.deadline),
        )),
        "max_input" => size(limits.input_bytes_max),
        "max_output" => size(limits.output_bytes_max),
        "max_host_calls" => count(u64::from(limits.host_calls_max)),
        "max_module" => size(limits.module_bytes_max),
        "max_log_lines" => count(u64::from(limits.log_lines_max)),
        _ => None,
    }
}

/// Whether the key is a limit of guests.
pub(super) fn is_limit(key: &str) -> bool {
    limit(&Limits::default(), key).is_some()
}

/// Whether a limit is the same in both.
pub(super) fn is_equal(one: &Limits, other: &Limits, key: &str) -> bool {
    limit(one, key) == limit(other, key)
}

/// A raised limit widens; false where the key is no limit.
pub(super) fn limits(
    found: &mut Findings<'_>,
    differs: &Differs<'_>,
    old: &Limits,
    new: &Limits,
) -> bool {
    let (Some((before, old)), Some((after, new))) =
        (limit(old, differs.key), limit(new, differs.key))
    else {
        return false;
    };
    let way = Way::of_rise(before, after);
    let why = match way {
        Way::Widens => "foreign code may use more",
        _ => "",
    };
    found.add(way, differs.path(), format!("{old} -> {new}"), why);
    true
}

/// Of what was told since, nothing narrows for certain: a guest that has less may fail where it did not, and its failure lets
/// pass.
pub(super) fn may_fail_more(found: &mut Findings<'_>, since: usize) {
    for change in found.changes.iter_mut().skip(since) {
        if change.way == Way::Narrows {
            change.way = Way::Changes;
            change.why = "it may fail more often, and a failure lets pass".to_owned();
        }
    }
}

/// `breaker`: how soon a stage that fails is left alone.
pub(super) fn breaker(found: &mut Findings<'_>, differs: &Differs<'_>) {
    let value = |value: Option<&str>| {
        let text = value.map(shown).unwrap_or_default();
        text.replace("BreakerRule ", "")
    };
    let what = format!("{} -> {}", value(differs.old), value(differs.new));
    found.add(Way::Changes, differs.path(), what, "");
}
