//! Signatures of plugins: whose counts, over which bytes, and what is said of every other.

use super::*;
use crate::digest::sha256_hex;
use crate::sandbox::SecretKey;
use zeroize::Zeroizing;

const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(Zeroizing::new([seed; 32]))
}

fn policy(more: &str) -> Memory {
    let root = SMALLEST.replace("otherwise", "authorize = [\"s\"]\notherwise");
    let stage = "[stage.s]\nhook = \"authorize\"\nplugin = \"p\"";
    let hash = sha256_hex(MODULE);
    let text =
        format!("{root}\n[plugin.p]\npath = \"p.wasm\"\nsha256 = \"{hash}\"\n{more}\n{stage}\n");
    Memory::default()
        .file("policy.toml", text)
        .file("p.wasm", MODULE)
}

fn signed(by: &SecretKey) -> Memory {
    policy("signed_by = \"team\"").file("p.wasm.sig", by.sign(MODULE).to_string())
}

fn trusting(mut memory: Memory, keys: &[(&str, &SecretKey)]) -> Memory {
    let line = |(name, key): &(&str, &SecretKey)| ((*name).to_owned(), key.public().to_string());
    memory.trusted = Some(keys.iter().map(line).collect());
    memory
}

fn said(memory: &Memory) -> String {
    let (policy, report) = memory.load(None);
    assert!(policy.is_none());
    report.lines().join("\n")
}

#[test]
fn a_signature_of_the_named_key_is_good() {
    let policy = trusting(signed(&key(1)), &[("team", &key(1))]).policy();
    assert_eq!(policy.plugins[0].signed_by.as_deref(), Some("team"));
    assert!(policy.canonical().contains("signed_by"));
}

#[test]
fn every_other_is_not() {
    let team = key(1);
    let cases = [
        (
            signed(&team),
            "P0456",
            "no key is trusted, and so `team` is not; start with --trust-root FOLDER",
        ),
        (
            trusting(signed(&team), &[]),
            "P0456",
            "there is no `team.pub` in the trust root",
        ),
        (
            trusting(signed(&team), &[("team", &key(2))]),
            "P0455",
            "is not of the key `team`",
        ),
        (
            trusting(signed(&key(2)), &[("team", &team), ("other", &key(2))]),
            "P0455",
            "is not of the key `team`",
        ),
        (
            trusting(policy("signed_by = \"team\""), &[("team", &team)]),
            "P0454",
            "`p.wasm` is not signed",
        ),
        (
            trusting(signed(&team).file("p.wasm.sig", "x"), &[("team", &team)]),
            "P0455",
            "`p.wasm.sig` is not `pgwarden-signature",
        ),
        (
            trusting(policy("signed_by = \"../team\""), &[]),
            "P0205",
            "is not a name for a key",
        ),
    ];
    for (memory, code, words) in cases {
        let said = said(&memory);
        assert!(
            said.contains(code) && said.contains(words),
            "{words}\n{said}"
        );
    }
    let mut nonsense = signed(&team);
    nonsense.trusted = Some(BTreeMap::from([("team".to_owned(), "x".to_owned())]));
    assert!(said(&nonsense).contains("`team.pub` is not `pgwarden-public-ed25519`"));
}

#[test]
fn a_signature_is_of_the_very_bytes() {
    let other = [MODULE, b"\0\x01\0"].concat();
    let memory = policy("signed_by = \"team\"").file("p.wasm.sig", key(1).sign(&other).to_string());
    assert!(said(&trusting(memory, &[("team", &key(1))])).contains("P0455"));
}

#[test]
fn a_process_may_demand_signatures() {
    let mut memory = policy("");
    memory.requires_signatures = true;
    let said = said(&memory);
    assert!(
        said.contains("P0454") && said.contains("write `signed_by`"),
        "{said}"
    );
    let mut memory = trusting(signed(&key(1)), &[("team", &key(1))]);
    memory.requires_signatures = true;
    assert!(memory.load(None).0.is_some());
}

#[test]
fn the_signature_counts_towards_the_bundle_but_no_key_does() {
    let memory = trusting(signed(&key(1)), &[("team", &key(1))]);
    let asked = |memory: &Memory| {
        memory.policy();
        memory.asked.borrow().clone()
    };
    assert!(asked(&memory).contains(&PathBuf::from("p.wasm.sig")));
    assert!(!asked(&policy("")).contains(&PathBuf::from("p.wasm.sig")));
}
