//! Listeners that are called otherwise, or take an address over: the clients that connect there must not meet less unseen.

use super::told;
use crate::policy::Policy;
use crate::policy::tests::Memory;

fn policy(tables: &[&str]) -> Policy {
    let tables = tables.concat();
    let text = format!(
        "policy = 1\nname = \"p\"\nnode.n = {{ role = \"primary\", host = \"h\" }}\n\
         pool.p = {{ database = \"*\", nodes = \"n\" }}\nuser.ada.password = {{ file = \"pw\" }}\n\
         stage.d = {{ hook = \"authorize\", deny = \"no\", when = {{ kind = \"delete\" }} }}\n\
         pipeline.strict = {{ authorize = [\"d\"], otherwise = {{ authorize = \"allow\" }} }}\n\
         pipeline.lax = {{ otherwise = {{ authorize = \"allow\" }} }}\n{tables}\n"
    );
    Memory::default()
        .file("policy.toml", text)
        .file("cert.pem", "-----BEGIN CERTIFICATE-----\n")
        .file("key.pem", "-----BEGIN PRIVATE KEY-----\n")
        .file("pw", "secret")
        .policy()
}

fn listener(name: &str, bind: &str, pipeline: &str, tls: &str) -> String {
    format!(
        "listener.{name} = {{ bind = {bind}, pipeline = \"{pipeline}\", \
         tls = {{ mode = \"{tls}\", cert = \"cert.pem\", key = {{ file = \"key.pem\" }} }} }}\n"
    )
}

#[test]
fn a_listener_of_another_name_shows_less_tls_and_a_laxer_pipeline() {
    let spare = listener("spare", "\"[::1]:1\"", "lax", "allow");
    let other = listener("other", "\"[::1]:2\"", "strict", "allow");
    let old = listener("old", "\"127.0.0.1:1\"", "strict", "require");
    let new = listener("new", "\"127.0.0.1:1\"", "lax", "allow");
    let before = policy(&[&spare, &other, &old]);
    let after = policy(&[&spare, &other, &new]);
    assert_eq!(
        told(&before, &after),
        [
            "widens pipeline.lax.authorize: - `d`",
            "widens listener.new.tls.mode: require -> allow",
            "changes listener.new: new, on `127.0.0.1:1`",
            "changes listener.new.pipeline: \"strict\" -> \"lax\"",
            "changes listener.old: removed, on `127.0.0.1:1`",
        ]
    );
    assert_eq!(
        told(&after, &before)[3..],
        [
            "narrows pipeline.strict.authorize: + `d`",
            "narrows listener.old.tls.mode: allow -> require",
        ]
    );
}

#[test]
fn a_listener_that_takes_an_address_over_shows_what_its_clients_meet() {
    let strict = listener("strict", "\"127.0.0.1:1\"", "strict", "require");
    let lax = listener("lax", "\"127.0.0.1:2\"", "lax", "allow");
    let both = listener("lax", "[\"127.0.0.1:1\", \"127.0.0.1:2\"]", "lax", "allow");
    let other = listener("other", "\"127.0.0.1:3\"", "strict", "allow");
    let told = told(&policy(&[&strict, &lax, &other]), &policy(&[&both, &other]));
    for line in [
        "widens listener.lax.tls.mode: require -> allow",
        "widens pipeline.lax.authorize: - `d`",
    ] {
        assert!(told.iter().any(|told| told == line), "{told:#?}");
    }
}

#[test]
fn a_name_that_stages_ask_for_counts() {
    let build = |name: &str, guard: &str| {
        let stage = format!(
            "stage.named = {{ hook = \"pre_query\", deny = \"no\", when = {{ listener = \"{guard}\" }} }}\n\
             pipeline.more = {{ pre_query = [\"named\"], otherwise = {{ authorize = \"allow\" }} }}\n"
        );
        policy(&[
            &listener(name, "\"127.0.0.1:1\"", "more", "allow"),
            &listener("rest", "\"127.0.0.1:2\"", "strict", "allow"),
            &listener("other", "\"127.0.0.1:3\"", "lax", "allow"),
            &stage,
        ])
    };
    assert_eq!(
        told(&build("old", "o*"), &build("new", "o*")),
        [
            "widens listener.new: by this name, no longer `old`",
            "changes listener.old: renamed to `new`",
        ]
    );
    assert_eq!(
        told(&build("new", "o*"), &build("old", "o*")),
        [
            "changes listener.new: renamed to `old`",
            "narrows listener.old: by this name, no longer `new`",
        ]
    );
    assert_eq!(
        told(&build("old", "old"), &build("new", "new")),
        [
            "changes listener.old: renamed to `new`",
            "changes stage.named.when.listener: old -> new",
        ]
    );
}
