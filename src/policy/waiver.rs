//! `waiver` of a stage: why it loosens the policy, who says so, and until when. Nothing of it reaches a statement. Owns no clock:
//! the day is an argument.

use super::action::Action;
use super::canonical::Section;
use super::code;
use super::keys::WAIVER;
use super::reading::Table;
use super::report::Diagnostic;
use super::report::Place;
use super::report::Report;
use super::stage::Mode;
use super::stage::OnFailure;
use super::stage::Stage;
use crate::unit;
use std::sync::Arc;
use std::time::Duration;

/// So long before its end a waiver is warned of.
const WARN_SECONDS: i64 = 14 * 86_400;

/// Why a stage loosens the policy, and until when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiver {
    /// Why.
    pub reason: Arc<str>,
    /// Who answers for it.
    pub by: Arc<str>,
    /// From then on the policy is refused; seconds since 1970.
    pub expires: i64,
    /// Where its end is written.
    pub place: Place,
}

pub(super) fn read(table: &Table<'_, '_>) -> Option<Waiver> {
    let inner = table.table("waiver", &WAIVER)?;
    let (reason, by) = (inner.arc("reason"), inner.arc("by"));
    let expires = inner.date("expires");
    let place = table.reading.place(inner.value_at("expires"));
    inner.finish();
    Some(Waiver {
        reason: reason?,
        by: by?,
        expires: expires?,
        place,
    })
}

/// Reports a waiver of a stage that loosens nothing.
pub(super) fn check(table: &Table<'_, '_>, action: &Action, how: (Mode, OnFailure)) {
    let (mode, on_failure) = how;
    let is_guest = matches!(action, Action::Script(_) | Action::Plugin(_));
    let loosens = on_failure == OnFailure::Open && is_guest
        || mode != Mode::Enforce
        || matches!(action, Action::Allow)
        || table.has("unless");
    if loosens || !table.has("waiver") {
        return;
    }
    let message = format!(
        "{} loosens nothing that a `waiver` could be for",
        table.title()
    );
    let found = Diagnostic::error(code::NO_EFFECT, table.key_at("waiver"), message);
    table.reading.add(found.label(
        "it goes with `on_failure = \"open\"`, a `mode` that does not enforce, `allow` and `unless`",
    ));
}

impl Waiver {
    /// `until 2027-01-01T00:00:00Z by Ana: the gateway is being replaced`.
    pub(super) fn told(&self) -> String {
        format!(
            "until {} by {}: {}",
            end(self.expires),
            self.by,
            self.reason
        )
    }

    pub(super) fn write(&self, section: &mut Section<'_>) {
        section.text("waiver", &self.told());
    }
}

/// The waivers of stages, with the stage's name.
pub(super) fn of(stages: &[Stage]) -> Vec<(Arc<str>, Waiver)> {
    let waived = |stage: &Stage| Some((Arc::clone(&stage.name), stage.waiver.clone()?));
    stages.iter().filter_map(waived).collect()
}

/// Reports the waivers of stages that have ended at `now`, and warns of those that soon will; seconds since 1970.
pub fn review_waivers(waivers: &[(Arc<str>, Waiver)], now: i64, report: &mut Report) {
    for (name, waiver) in waivers {
        let left = waiver.expires.saturating_sub(now);
        if WARN_SECONDS < left {
            continue;
        }
        let end = end(waiver.expires);
        let found = if left <= 0 {
            let message = format!("the waiver of stage `{name}` ended at {end}");
            Diagnostic::error(code::WAIVER_ENDED, waiver.place.at, message)
                .label("let the stage count again, or have the waiver renewed")
        } else {
            let days = left / 86_400;
            let message = format!("the waiver of stage `{name}` ends in {days} days, at {end}");
            Diagnostic::warning(code::WAIVER_ENDS, waiver.place.at, message)
                .label("from then on this policy is refused")
        };
        report.add(found.help(format!("by {}: {}", waiver.by, waiver.reason)));
    }
}

fn end(seconds: i64) -> String {
    unit::format_utc(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use crate::policy::Severity;
    use crate::policy::review_waivers;
    use crate::policy::tests::Memory;
    use crate::policy::tests::SMALLEST;

    /// 2026-12-31 ends here.
    const END: i64 = 1_798_761_600;

    fn with(stage: &str) -> Memory {
        let root = SMALLEST.replace("otherwise", "authorize = [\"s\"]\notherwise");
        let stage = format!("[stage.s]\nhook = \"authorize\"\n{stage}\n");
        Memory::default().file("policy.toml", format!("{root}{stage}"))
    }

    /// The codes of its errors, without those that end up as notes.
    fn errors(stage: &str) -> Vec<&'static str> {
        let (_, report) = with(stage).load(None);
        let found = report.diagnostics().into_iter();
        let errors = found.filter(|found| found.severity == Severity::Error);
        errors.map(|found| found.code).collect()
    }

    const WAIVER: &str = "waiver = { reason = \"moving\", by = \"ana\", expires = 2026-12-31 }";

    #[test]
    fn a_waiver_warns_for_fourteen_days_and_then_refuses() {
        let policy = with(&format!("deny = \"no\"\nmode = \"observe\"\n{WAIVER}")).policy();
        for (now, severity) in [
            (END - 14 * 86_400 - 1, None),
            (END - 14 * 86_400, Some(Severity::Warning)),
            (END - 1, Some(Severity::Warning)),
            (END, Some(Severity::Error)),
            (END + 400 * 86_400, Some(Severity::Error)),
        ] {
            let mut report = crate::policy::Report::default();
            review_waivers(&policy.waivers(), now, &mut report);
            let found: Vec<_> = report
                .diagnostics()
                .iter()
                .map(|one| one.severity)
                .collect();
            assert_eq!(found, Vec::from_iter(severity), "{now}");
        }
    }

    #[test]
    fn a_guard_may_fail_open_only_with_a_waiver() {
        let open = "script = \"next()\"\non_failure = \"open\"\n";
        assert_eq!(errors(open), ["P0604"]);
        let stage = &with(&format!("{open}{WAIVER}")).policy().stages[0];
        assert_eq!(stage.on_failure, crate::policy::OnFailure::Open);
        let told = stage.waiver.as_ref().map(super::Waiver::told);
        let told = told.unwrap();
        assert_eq!(told, "until 2027-01-01T00:00:00Z by ana: moving");
    }

    #[test]
    fn a_waiver_has_something_to_waive_and_is_whole() {
        for (stage, codes) in [
            (format!("deny = \"no\"\n{WAIVER}"), &["P0208"][..]),
            (
                format!("deny = \"no\"\nunless = {{ user = \"ana\" }}\n{WAIVER}"),
                &[],
            ),
            (format!("allow = true\n{WAIVER}"), &[]),
            (
                "allow = true\nwaiver = { reason = \"\", by = \"ana\", expires = 2026-12-31 }"
                    .to_owned(),
                &["P0509"],
            ),
            (
                "allow = true\nwaiver = { expires = \"soon\" }".to_owned(),
                &["P0201", "P0201", "P0202"],
            ),
            ("allow = true\nwaiver = \"because\"".to_owned(), &["P0202"]),
        ] {
            assert_eq!(errors(&stage), codes, "{stage}");
        }
    }

    #[test]
    fn it_changes_the_revision() {
        let revision = |waiver: &str| with(&format!("allow = true\n{waiver}")).policy().revision;
        assert_ne!(revision(""), revision(WAIVER));
        assert_ne!(revision(&WAIVER.replace("2026", "2027")), revision(WAIVER));
    }
}
