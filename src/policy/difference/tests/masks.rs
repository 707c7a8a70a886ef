//! `mask` stages: columns that come and go, and what is left of values.

use super::BASE;
use super::policy;
use super::told;

/// The base with a mask, at that place of its list.
fn with(mask: &str, list: &str) -> String {
    let stage =
        format!("[stage.masks]\nhook = \"authorize\"\nmask = {{ {mask} }}\n[stage.reads]\n");
    let listed = format!("authorize = [{list}]");
    BASE.replacen("[stage.reads]\n", &stage, 1).replacen(
        "authorize = [\"no-writes\", \"reads\"]",
        &listed,
        1,
    )
}

const FIRST: &str = "\"no-writes\", \"masks\", \"reads\"";

#[track_caller]
fn check(from: &str, to: &str, there: &[&str], back: &[&str]) {
    let (old, new) = (policy(&with(from, FIRST)), policy(&with(to, FIRST)));
    assert_eq!(told(&old, &new), there, "{from} -> {to}");
    assert_eq!(told(&new, &old), back, "{to} -> {from}");
}

#[test]
fn a_mask_narrows_and_without_it_values_are_shown() {
    let (old, new) = (
        policy(BASE),
        policy(&with("columns = \"users.email\"", FIRST)),
    );
    assert_eq!(
        told(&old, &new),
        ["narrows stage.masks: new mask at authorize"]
    );
    assert_eq!(
        told(&new, &old),
        ["widens stage.masks: removed mask at authorize"]
    );
}

#[test]
fn columns_come_and_go() {
    check(
        "columns = \"users.email\"",
        "columns = [\"users.email\", \"users.ssn\"]",
        &["narrows stage.masks.mask.columns: + users.ssn"],
        &["widens stage.masks.mask.columns: - users.ssn"],
    );
    check(
        "columns = [\"users.email\"]",
        "columns = [\"users.*\"]",
        &["narrows stage.masks.mask.columns: + users.*"],
        &["widens stage.masks.mask.columns: - users.*"],
    );
    check(
        "columns = [\"users.email\"]",
        "columns = [\"cards.pan\"]",
        &[
            "widens stage.masks.mask.columns: - users.email",
            "narrows stage.masks.mask.columns: + cards.pan",
        ],
        &[
            "widens stage.masks.mask.columns: - cards.pan",
            "narrows stage.masks.mask.columns: + users.email",
        ],
    );
}

#[test]
fn more_or_less_is_left_of_a_value() {
    let to = |with: &str| format!("columns = \"users.email\", with = {with}");
    let hash = "\"hash\", key = { file = \"key.pem\" }";
    for (from, into, there, back) in [
        (
            "\"null\"",
            "\"redact\"",
            "widens stage.masks.mask.with: null -> redact",
            "narrows stage.masks.mask.with: redact -> null",
        ),
        (
            "\"redact\"",
            hash,
            "widens stage.masks.mask.with: redact -> hash",
            "narrows stage.masks.mask.with: hash -> redact",
        ),
        (
            "{ keep_last = 2 }",
            "{ keep_last = 4 }",
            "widens stage.masks.mask.with: keep_last 2 -> keep_last 4",
            "narrows stage.masks.mask.with: keep_last 4 -> keep_last 2",
        ),
        (
            hash,
            "{ keep_last = 4 }",
            "changes stage.masks.mask.with: hash -> keep_last 4",
            "changes stage.masks.mask.with: keep_last 4 -> hash",
        ),
    ] {
        check(&to(from), &to(into), &[there], &[back]);
    }
    check(
        &to(hash),
        &to("\"hash\", key = { file = \"cert.pem\" }"),
        &["changes stage.masks.mask.key: { file = \"key.pem\" } -> { file = \"cert.pem\" }"],
        &["changes stage.masks.mask.key: { file = \"cert.pem\" } -> { file = \"key.pem\" }"],
    );
}

#[test]
fn its_place_beside_an_allow_does_not_matter() {
    let mask = "columns = \"users.email\"";
    let (old, new) = (
        policy(&with(mask, FIRST)),
        policy(&with(mask, "\"no-writes\", \"reads\", \"masks\"")),
    );
    for changes in [told(&old, &new), told(&new, &old)] {
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert!(changes[0].starts_with("changes "), "{changes:?}");
    }
}
