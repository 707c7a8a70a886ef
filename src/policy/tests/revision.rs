//! What changes the revision, and what does not.

use super::*;

fn revision(text: &str) -> Revision {
    Memory::default()
        .file("policy.toml", text)
        .file("a", "x")
        .file("b", "y")
        .policy()
        .revision
}

#[test]
fn words_do_not_matter_and_meaning_does() {
    let base = format!("{SMALLEST}[user.a]\npassword = {{ file = \"a\" }}\n");
    let same = [
        format!("# a comment\n{base}"),
        base.replace("nodes    = [\"pg\"]", "nodes = \"pg\""),
        base.replace("[pool.main]", "[pool.main]\nsize = 20\nwait = \"2m\""),
        base.replace("\"127.0.0.1\"\n", "{ var = \"host\" }\n") + "[vars]\nhost = \"127.0.0.1\"\n",
        base.clone()
            + "[[test]]\nname = \"t\"\ngiven = { user = \"a\" }\nexpect = { verdict = \"allow\" }\n",
    ];
    for text in same {
        assert_eq!(revision(&text), revision(&base), "{text}");
    }
    let different = [
        base.replace("6432", "6433"),
        base.replace("authorize = \"allow\"", "authorize = \"deny\""),
        base.replace("[pool.main]", "[pool.main]\nsize = 21"),
        base.replace("file = \"a\"", "file = \"b\""),
        base.replace("[user.a]", "[sql]\non_unparsed = \"as_write\"\n[user.a]"),
        base.replace("[user.a]", "[user.b]"),
    ];
    for text in different {
        assert_ne!(revision(&text), revision(&base), "{text}");
    }
}

#[test]
fn stages_count_by_what_they_ask_and_do() {
    let policy = |stage: &str, list: &str| {
        let root = SMALLEST.replace("otherwise", &format!("pre_query = {list}\notherwise"));
        revision(&format!(
            "{root}[stage.b]\nhook = \"pre_query\"\ndeny = \"b\"\n[stage.a]\nhook = \"pre_query\"\n{stage}\n"
        ))
    };
    let base = policy(
        "when = { kind = [\"ddl\", \"grant\"], elapsed_ = 1 }\ndeny = \"x\""
            .replace(", elapsed_ = 1", "")
            .as_str(),
        "[\"a\", \"b\"]",
    );
    let same = policy(
        "deny = { message = \"x\" }\nwhen = { kind = [\"grant\", \"ddl\"] }",
        "[\"a\", \"b\"]",
    );
    assert_eq!(base, same);
    let reordered = policy(
        "deny = \"x\"\nwhen = { kind = [\"ddl\", \"grant\"] }",
        "[\"b\", \"a\"]",
    );
    let negated = policy(
        "deny = \"x\"\nunless = { kind = [\"ddl\", \"grant\"] }",
        "[\"a\", \"b\"]",
    );
    let other = policy(
        "deny = \"x\"\nwhen = { kind = [\"ddl\"] }",
        "[\"a\", \"b\"]",
    );
    for different in [reordered, negated, other] {
        assert_ne!(base, different);
    }
}

#[test]
fn what_a_permission_set_grants_counts() {
    let root = SMALLEST.replace("otherwise", "pre_query = [\"a\"]\notherwise");
    let policy = |grants: &str, stage: &str| {
        revision(&format!(
            "{root}[permissions.p]\ncall = \"metrics\"\n{grants}\n[stage.a]\nhook = \"pre_query\"\n\
             script = \"next()\"\npermissions = \"p\"\n{stage}\n"
        ))
    };
    let all = [
        policy("", ""),
        policy("metrics = { a = { kind = \"gauge\" } }", ""),
        policy("metrics = { a = { kind = \"counter\" } }", ""),
        policy("patterns = { a = \"x\" }", ""),
        policy("patterns = { a = \"y\" }", ""),
        policy("", "max_host_calls = 3"),
    ];
    for (index, one) in all.iter().enumerate() {
        assert!(!all[index + 1..].contains(one), "{index}");
    }
}

#[test]
fn the_values_of_secrets_are_in_no_hash_and_the_bytes_of_plugins_in_both() {
    let text = format!("{SMALLEST}[user.a]\npassword = {{ file = \"a\" }}\n");
    let load = |secret: &str| {
        Memory::default()
            .file("policy.toml", &text)
            .file("a", secret)
            .policy()
    };
    let (one, two) = (load("hunter1"), load("hunter2"));
    assert_eq!((one.revision, one.bundle), (two.revision, two.bundle));
    assert!(!one.canonical().contains("hunter1"), "{}", one.canonical());

    let root = SMALLEST.replace("otherwise", "authorize = [\"s\"]\notherwise");
    let load = |module: &str| {
        let hash = crate::digest::sha256_hex(module.as_bytes());
        let text = format!(
            "{root}[plugin.p]\npath = \"p\"\nsha256 = {{ file = \"h\" }}\n[stage.s]\nhook = \"authorize\"\nplugin = \"p\"\n"
        );
        Memory::default()
            .file("policy.toml", text)
            .file("p", module)
            .file("h", hash)
            .policy()
    };
    let (one, two) = (load("one"), load("two"));
    assert_ne!(one.revision, two.revision);
    assert_ne!(one.bundle, two.bundle);
}
