//! Published signatures, tokens made here, and everything that is wrong with a token.

use super::*;
use crate::signature::fits;
use ed25519_compact::KeyPair;
use ed25519_compact::Seed;
use pgwarden_guest::testing::Input;
use pgwarden_guest::testing::host as testing;

/// RFC 7515, A.1.
const RFC_HS256: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const RFC_HS256_KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
/// RFC 8037, A.1, A.2 and A.4.
const RFC_EDDSA: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
const RFC_EDDSA_PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const RFC_EDDSA_PRIVATE: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

const SHARED: &str = "a shared key of 32 bytes or more!";
const NOW: i64 = 1_700_000_000;
const PAYLOAD: &str = r#"{"iss":"https://id","aud":"warehouse","sub":"ana","exp":1700000300,"nbf":1699999900,
    "roles":["pg-analyst","pg-lead","staff","admin"],"org":"acme","email":"ana@x","level":3}"#;

fn configure(pairs: &[(&str, &str)]) {
    testing(|host| {
        host.now = NOW * 1_000_000 + 999_999;
        host.config.clear();
        for (key, value) in [
            ("algorithm", "HS256"),
            ("key", SHARED),
            ("key_encoding", "text"),
            ("issuer", "https://id"),
            ("audience", "warehouse"),
            ("leeway_s", "60"),
            ("user_claim", "sub"),
            ("match_username", "true"),
            ("roles_claim", "roles"),
            ("roles", r#"{"pg-*":"*","staff":"analyst_of_staff"}"#),
            ("claims", "[]"),
        ]
        .iter()
        .chain(pairs)
        {
            host.config.insert((*key).to_owned(), (*value).to_owned());
        }
    });
}

fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut bits = 0_u32;
        (0..3).for_each(|at| bits = bits << 8 | u32::from(*chunk.get(at).unwrap_or(&0)));
        for digit in 0..=chunk.len() {
            text.push(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize] as char);
        }
    }
    text
}

fn unsigned(header: &str, payload: &str) -> String {
    format!(
        "{}.{}",
        encode(header.as_bytes()),
        encode(payload.as_bytes())
    )
}

fn hs256(header: &str, payload: &str) -> String {
    let signed = unsigned(header, payload);
    let hex = host::hmac_sha256(SHARED.as_bytes(), signed.as_bytes());
    let bytes: Vec<u8> = hex
        .as_chunks::<2>()
        .0
        .iter()
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).expect("hex"), 16).expect("hex"))
        .collect();
    format!("{signed}.{}", encode(&bytes))
}

fn eddsa(header: &str, payload: &str) -> String {
    let signed = unsigned(header, payload);
    let mut seed = [0; 32];
    base64url::decode(RFC_EDDSA_PRIVATE, &mut seed).expect("a key");
    let keys = KeyPair::from_seed(Seed::new(seed));
    format!("{signed}.{}", encode(keys.sk.sign(&signed, None).as_ref()))
}

fn ask(token: &str) -> Verdict {
    Input::new()
        .text(Field::AuthUsername, "ana")
        .text(Field::AuthPassword, token)
        .ask(decide)
}

#[track_caller]
fn denied(token: &str, part: &str) {
    let verdict = ask(token);
    assert_eq!(verdict.value(10), None, "{token}");
    let reason = verdict.value(1).expect("a reason");
    assert!(reason.contains(part), "{reason}");
}

const HS256: &str = r#"{"alg":"HS256"}"#;

#[test]
fn the_signatures_of_the_rfcs_fit() {
    for (token, algorithm, pairs) in [
        (
            RFC_HS256,
            Algorithm::Hs256,
            [("key", RFC_HS256_KEY), ("key_encoding", "base64url")],
        ),
        (
            RFC_EDDSA,
            Algorithm::EdDsa,
            [("key", RFC_EDDSA_PUBLIC), ("key_encoding", "text")],
        ),
    ] {
        configure(&pairs);
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let mut room = vec![0; 4096];
        let mut check = |signed: &str, signature: &str| {
            fits(algorithm, signed, signature, &mut Arena::new(&mut room))
        };
        assert_eq!(check(signed, signature), Ok(true));
        assert_eq!(check(&signed.replacen('e', "f", 1), signature), Ok(false));
        assert_eq!(check(signed, &signature.replacen('_', "-", 1)), Ok(false));
        assert_eq!(check(signed, "AAAA"), Ok(false));
        assert!(check(signed, &signature[1..]).is_err());
    }
}

#[test]
fn a_good_token_is_an_identity() {
    configure(&[
        ("tenant_claim", "org"),
        ("claims", r#"["email","none","level"]"#),
    ]);
    for token in [
        hs256(HS256, PAYLOAD),
        hs256(
            r#"{"typ":"JWT","alg":"HS\u0032\u0035\u0036","kid":"1"}"#,
            &PAYLOAD.replace("\"warehouse\"", "[\"x\",\"warehouse\"]"),
        ),
    ] {
        let verdict = ask(&token);
        assert_eq!(
            verdict.value(10).as_deref(),
            Some("ana"),
            "{:?}",
            verdict.value(1)
        );
        assert_eq!(
            verdict.value(12).as_deref(),
            Some("\u{7}\0\0\0analyst\u{4}\0\0\0lead\u{10}\0\0\0analyst_of_staff")
        );
        assert_eq!(verdict.value(13).as_deref(), Some("acme"));
        assert_eq!(
            verdict.value(14).as_deref(),
            Some("\u{5}\0\0\0email\u{5}\0\0\0ana@x\u{5}\0\0\0level\u{1}\0\0\x003")
        );
    }
    configure(&[("algorithm", "EdDSA"), ("key", RFC_EDDSA_PUBLIC)]);
    let token = eddsa(
        r#"{"alg":"EdDSA"}"#,
        &PAYLOAD.replace(
            r#"["pg-analyst","pg-lead","staff","admin"]"#,
            r#""pg-analyst other""#,
        ),
    );
    let verdict = ask(&token);
    assert_eq!(
        verdict.value(10).as_deref(),
        Some("ana"),
        "{:?}",
        verdict.value(1)
    );
    assert_eq!(verdict.value(12).as_deref(), Some("\u{7}\0\0\0analyst"));
    assert_eq!(verdict.value(13), None);
}

#[test]
fn a_token_that_is_not_signed_as_the_policy_says_is_denied() {
    configure(&[]);
    let good = hs256(HS256, PAYLOAD);
    let none = unsigned(r#"{"alg":"none"}"#, PAYLOAD);
    let not_ours = "not the policy's";
    denied("", "no token");
    denied("secret", "no token");
    denied("a.b", "no token");
    denied(&format!("{none}."), not_ours);
    denied(&hs256(r#"{"alg":"none"}"#, PAYLOAD), not_ours);
    denied(&hs256(r#"{"alg":"hs256"}"#, PAYLOAD), not_ours);
    denied(&hs256(r#"{"alg":["HS256"]}"#, PAYLOAD), not_ours);
    denied(&hs256("{}", PAYLOAD), not_ours);
    denied(&eddsa(r#"{"alg":"EdDSA"}"#, PAYLOAD), not_ours);
    denied(
        &hs256(r#"{"alg":"HS256","alg":"HS256"}"#, PAYLOAD),
        "no JSON object",
    );
    denied(
        &hs256(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, PAYLOAD),
        "extensions",
    );
    denied(&format!("{}.", unsigned(HS256, PAYLOAD)), "does not fit");
    denied(&format!("{good}A"), "does not fit");
    denied(&format!("{good}AA"), "not base64url");
    denied(&format!("{good}="), "not base64url");
    denied(&good.replacen('.', "..", 1), "does not fit");
    denied(&"x".repeat(TOKEN_BYTES_MAX + 1), "too long");
    // The public key of EdDSA is no shared key (RFC 8725, 2.1): what a token names never chooses.
    configure(&[("algorithm", "EdDSA"), ("key", RFC_EDDSA_PUBLIC)]);
    denied(&good, not_ours);
    denied(&hs256(r#"{"alg":"EdDSA"}"#, PAYLOAD), "does not fit");
    denied(&eddsa(HS256, PAYLOAD), not_ours);
    configure(&[
        ("key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("key_encoding", "base64url"),
    ]);
    denied(&good, "shorter than 32");
    configure(&[("algorithm", "EdDSA"), ("key", SHARED)]);
    denied(
        &eddsa(r#"{"alg":"EdDSA"}"#, PAYLOAD),
        "key is not base64url",
    );
}

#[test]
fn a_token_that_is_not_for_us_and_now_is_denied() {
    let with = |old: &str, new: &str| {
        let payload = PAYLOAD.replace(old, new);
        assert_ne!(payload, PAYLOAD);
        hs256(HS256, &payload)
    };
    configure(&[]);
    for (old, new, part) in [
        ("\"exp\":1700000300", "\"exp\":1699999940", "expired"),
        (
            "\"exp\":1700000300",
            "\"exp\":\"1700000300\"",
            "cannot be read",
        ),
        ("\"exp\":1700000300", "\"exp\":17e8", "cannot be read"),
        ("\"exp\":1700000300,", "", "never expires"),
        (
            "\"exp\":1700000300",
            "\"exp\":1,\"exp\":1700000300",
            "no JSON object",
        ),
        ("\"nbf\":1699999900", "\"nbf\":1700000061", "not good yet"),
        ("\"nbf\":1699999900", "\"nbf\":null", "cannot be read"),
        ("\"nbf\":1699999900", "\"nbf\":1.9e9", "cannot be read"),
        ("\"exp\":1700000300", "\"exp\":1.7e9", "cannot be read"),
        ("https://id", "https://id2", "another issuer"),
        ("\"iss\":\"https://id\",", "", "another issuer"),
        ("\"warehouse\"", "\"Warehouse\"", "another audience"),
        ("\"warehouse\"", "[]", "another audience"),
        ("\"aud\":\"warehouse\",", "", "another audience"),
        ("\"ana\"", "\"bob\"", "another user"),
        ("\"ana\"", "\"\"", "names no user"),
        ("\"sub\":\"ana\",", "", "names no user"),
        ("\"staff\"", "7", "no text"),
    ] {
        denied(&with(old, new), part);
    }
    denied(&hs256(HS256, "[1]"), "no JSON object");
    // Within the leeway.
    for (old, new) in [
        ("\"exp\":1700000300", "\"exp\":1699999941.5"),
        ("\"nbf\":1699999900", "\"nbf\":1700000060"),
    ] {
        assert_eq!(ask(&with(old, new)).value(10).as_deref(), Some("ana"));
    }
    configure(&[("tenant_claim", "level")]);
    denied(&hs256(HS256, PAYLOAD), "names no tenant");
    configure(&[("match_username", "false")]);
    assert_eq!(
        ask(&with("\"ana\"", "\"bob\"")).value(10).as_deref(),
        Some("bob")
    );
}

#[test]
fn only_roles_that_the_policy_maps_count() {
    for (roles, map, expected) in [
        (r#"["admin","pg-admin"]"#, "{}", ""),
        (r#"["pg-","pgx","Pg-a"]"#, r#"{"pg-*":"*"}"#, ""),
        (r#"["pg-a"]"#, r#"{"pg-*":"db_*"}"#, "\u{4}\0\0\0db_a"),
        (
            r#"["pg-a"]"#,
            r#"{"pg-*":"guest","pg-a":"owner"}"#,
            "\u{5}\0\0\0owner",
        ),
        (
            r#"["pg-a"]"#,
            r#"{"p*":"short","pg-*":"long"}"#,
            "\u{4}\0\0\0long",
        ),
        (r#"["a*b"]"#, r#"{"a*b":"x"}"#, "\u{1}\0\0\0x"),
        (r#"["axb"]"#, r#"{"a*b":"x"}"#, ""),
        ("null", r#"{"*":"*"}"#, ""),
    ] {
        configure(&[("roles", map)]);
        let payload = PAYLOAD.replace(r#"["pg-analyst","pg-lead","staff","admin"]"#, roles);
        let verdict = ask(&hs256(HS256, &payload));
        assert_eq!(
            verdict.value(12).as_deref(),
            Some(expected),
            "{roles} {map}"
        );
    }
}
