//! What a stage keeps of answers, and for whom, in both directions.

use super::BASE;
use super::policy;
use super::told;

fn keeping(cache: &str) -> String {
    let stage = format!(
        "[stage.kept]\nhook = \"cache_get\"\nwhen = {{ tables = \"shop.*\" }}\ncache = {{ {cache} }}\n[pipeline.default]\ncache_get = [\"kept\"]"
    );
    BASE.replacen("[pipeline.default]", &stage, 1)
}

#[track_caller]
fn check(from: &str, to: &str, there: &str, back: &str) {
    let (old, new) = (policy(&keeping(from)), policy(&keeping(to)));
    assert_eq!(told(&old, &new), [there], "{from} -> {to}");
    assert_eq!(told(&new, &old), [back], "{to} -> {from}");
}

#[test]
fn whom_answers_cross_and_how_long_they_live() {
    check(
        "ttl = \"1s\"",
        "ttl = \"1s\", vary = [\"user\", \"app\"]",
        "narrows stage.kept.cache.vary: + app",
        "widens stage.kept.cache.vary: - app",
    );
    check(
        "ttl = \"1s\", vary = [\"role\"]",
        "ttl = \"1s\", vary = [\"attr.tenant\", \"role\"]",
        "narrows stage.kept.cache.vary: + attr.tenant",
        "widens stage.kept.cache.vary: - attr.tenant",
    );
    check(
        "ttl = \"1s\"",
        "ttl = \"1m\"",
        "changes stage.kept.cache.ttl: 1s -> 1m",
        "changes stage.kept.cache.ttl: 1m -> 1s",
    );
    check(
        "ttl = \"1s\"",
        "ttl = \"1s\", invalidate = \"never\"",
        "changes stage.kept.cache.invalidate: on_write -> never",
        "changes stage.kept.cache.invalidate: never -> on_write",
    );
    check(
        "ttl = \"1s\", max_entry = \"1MiB\"",
        "ttl = \"1s\", max_entry = \"1MiB\", max_bytes = \"32MiB\"",
        "changes stage.kept.cache.max_bytes: 16MiB -> 32MiB",
        "changes stage.kept.cache.max_bytes: 32MiB -> 16MiB",
    );
    assert_eq!(
        told(&policy(BASE), &policy(&keeping("ttl = \"1s\""))),
        ["changes stage.kept: new cache at cache_get"]
    );
}

/// Words that mean the same are one revision.
#[test]
fn what_means_the_same_is_the_same() {
    let one = policy(&keeping("ttl = \"60s\", vary = [\"role\", \"app\"]"));
    let other = policy(&keeping(
        "ttl = \"1m\", vary = [\"app\", \"role\"], max_bytes = \"16MiB\", max_entry = \"1MiB\", invalidate = \"on_write\"",
    ));
    assert_eq!(one.revision, other.revision);
}
