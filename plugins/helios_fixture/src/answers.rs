//! What the plugin says, hook by hook. Owns no pointer; `exports` has them.

use crate::out::Out;

/// Statements a tenant may run.
const BUDGET: u32 = 3;
/// Bytes of a stored text.
const VALUE_BYTES_MAX: usize = 4_096;
/// Bytes of a key.
const KEY_BYTES_MAX: usize = 64;

/// What the proxy offers.
pub trait Host {
    /// A stored value, where there is one that fits.
    fn get<'a>(&mut self, key: &[u8], into: &'a mut [u8]) -> Option<&'a [u8]>;
    /// Stores a value.
    fn set(&mut self, key: &[u8], value: &[u8]);
    /// Forgets a value.
    fn delete(&mut self, key: &[u8]);
    /// The SHA-256 of bytes, in hexadecimal.
    fn sha256_hex(&mut self, bytes: &[u8], into: &mut [u8; 64]);
}

/// Every answer of both dialects, by the word that asks for it.
const ANSWERS: &[(&str, &str)] = &[
    ("pre_query.action.continue", r#"{"action":"continue"}"#),
    (
        "pre_query.action.rewrite",
        r#"{"action":"rewrite","value":"SELECT 'rewritten'"}"#,
    ),
    (
        "pre_query.action.block",
        r#"{"action":"block","value":"blocked by action"}"#,
    ),
    (
        "pre_query.action.cached",
        r#"{"action":"cached","data":"{\"columns\":[\"a\",\"b\"],\"rows\":[[\"1\",null]]}"}"#,
    ),
    ("pre_query.kind.continue", r#"{"kind":"continue"}"#),
    (
        "pre_query.kind.rewrite",
        r#"{"kind":"rewrite","sql":"SELECT 'rewritten'"}"#,
    ),
    (
        "pre_query.kind.block",
        r#"{"kind":"block","reason":"blocked by kind"}"#,
    ),
    (
        "pre_query.kind.cached",
        // {"columns":["a"],"rows":[]}
        r#"{"kind":"cached","bytes":[123,34,99,111,108,117,109,110,115,34,58,91,34,97,34,93,44,34,114,111,119,115,34,58,91,93,125]}"#,
    ),
    (
        "pre_query.nonsense",
        r#"{"action":"continue","reason":"but no"}"#,
    ),
    (
        "rewrite.action.rewrite",
        r#"{"action":"rewrite","value":"SELECT 'rewritten'"}"#,
    ),
    (
        "rewrite.kind.block",
        r#"{"kind":"block","reason":"not to be rewritten"}"#,
    ),
    ("authorize.action.success", r#"{"action":"success"}"#),
    (
        "authorize.action.denied",
        r#"{"action":"denied","message":"may not run"}"#,
    ),
    (
        "authorize.kind.denied",
        r#"{"kind":"denied","reason":"may not run"}"#,
    ),
    ("authorize.action.defer", r#"{"action":"defer"}"#),
    (
        "cache_get.action.cached",
        r#"{"action":"cached","data":{"columns":["a"],"rows":[["kept"]]}}"#,
    ),
    ("route.action.default", r#"{"action":"default"}"#),
    ("route.action.primary", r#"{"action":"primary"}"#),
    ("route.action.standby", r#"{"action":"standby"}"#),
    ("route.action.node", r#"{"action":"node","target":"pg2"}"#),
    ("route.kind.branch", r#"{"kind":"branch","target":"dev"}"#),
    (
        "route.action.nowhere",
        r#"{"action":"node","target":"pg9"}"#,
    ),
    (
        "route.action.block",
        r#"{"action":"block","reason":"nowhere to go"}"#,
    ),
    (
        "authenticate.action.success",
        r#"{"action":"success","identity":{"user_id":"u7","username":"app","roles":["clerk"],"tenant_id":"acme","claims":{"iss":"fixture"}}}"#,
    ),
    (
        "authenticate.action.denied",
        r#"{"action":"denied","message":"no such ticket"}"#,
    ),
    (
        "authenticate.kind.denied",
        r#"{"kind":"denied","reason":"no such ticket"}"#,
    ),
    ("authenticate.action.defer", r#"{"action":"defer"}"#),
    (
        "custom_hook.action.block",
        r#"{"action":"block","value":"no such event"}"#,
    ),
];

/// Writes the answer at a hook; nothing written is the hook's default.
pub fn answer(hook: &str, input: &[u8], host: &mut impl Host, out: &mut Out<'_>) {
    let word = word(input);
    match hook {
        "pre_query" => {
            if is_over_budget(input, host) {
                return out.push(br#"{"action":"block","value":"the tenant is over budget"}"#);
            }
            asked(word, input, host, out);
        }
        "post_query" => spend(input, host),
        "on_connect" if after(input, br#""username":"other""#).is_some() => {
            out.push(br#"{"action":"block","value":"not from there"}"#);
        }
        _ => {}
    }
    if word == b"note" || hook == "on_disconnect" {
        host.set(
            hook.as_bytes(),
            input.get(..VALUE_BYTES_MAX).unwrap_or(input),
        );
    }
    let of_hook = word
        .strip_prefix(hook.as_bytes())
        .is_some_and(|rest| rest.starts_with(b"."));
    if let Some((_, answer)) = ANSWERS
        .iter()
        .find(|(known, _)| of_hook && known.as_bytes() == word)
    {
        out.push(answer.as_bytes());
    }
}

/// Refuses with what it was asked for: what it was told, what it has stored, what a statement hashes to.
fn asked(word: &[u8], input: &[u8], host: &mut impl Host, out: &mut Out<'_>) {
    let mut buffer = [0; VALUE_BYTES_MAX];
    let mut hash = [0; 64];
    let said = match word {
        b"pre_query.echo" => input,
        b"pre_query.hash" => {
            host.sha256_hex(b"fixture", &mut hash);
            &hash
        }
        b"pre_query.forget" => {
            host.delete(b"post_query");
            b"forgotten"
        }
        _ => match word.strip_prefix(b"pre_query.show.") {
            Some(key) => host.get(key, &mut buffer).unwrap_or(b"nothing"),
            None => return,
        },
    };
    out.push(br#"{"action":"block","value":""#);
    out.push_escaped(said);
    out.push(br#""}"#);
}

fn is_over_budget(input: &[u8], host: &mut impl Host) -> bool {
    tenant(input).is_some_and(|tenant| BUDGET <= used(tenant, host))
}

fn spend(input: &[u8], host: &mut impl Host) {
    let Some(tenant) = tenant(input) else { return };
    let mut digits = [0; 10];
    let mut text = Out::new(&mut digits);
    text.push_number(used(tenant, host).saturating_add(1));
    let mut room = [0; KEY_BYTES_MAX];
    host.set(key(tenant, &mut room).bytes(), text.bytes());
}

fn used(tenant: &[u8], host: &mut impl Host) -> u32 {
    let (mut room, mut digits) = ([0; KEY_BYTES_MAX], [0; 10]);
    let stored = host.get(key(tenant, &mut room).bytes(), &mut digits);
    let stored = stored.and_then(|digits| core::str::from_utf8(digits).ok());
    stored.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn key<'a>(tenant: &[u8], room: &'a mut [u8]) -> Out<'a> {
    let mut key = Out::new(room);
    key.push(b"tenant:");
    key.push(tenant);
    key.push(b":used");
    key
}

/// The attribute `tenant_id`. No text of a client holds an unescaped quote, so only the proxy can have written this.
fn tenant(input: &[u8]) -> Option<&[u8]> {
    let attributes = after(input, br#""attributes":{"#)?;
    let end = attributes.iter().position(|byte| *byte == b'}')?;
    let value = after(attributes.get(..end)?, br#""tenant_id":""#)?;
    value.split(|byte| *byte == b'"').next()
}

/// What follows `fixture:` up to something that is no part of a word.
fn word(input: &[u8]) -> &[u8] {
    let rest = after(input, b"fixture:").unwrap_or_default();
    let is_part = |byte: &u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.');
    let end = rest.iter().position(|byte| !is_part(byte));
    rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
}

fn after<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(mark.len()).position(|window| window == mark)?;
    text.get(at + mark.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[derive(Default)]
    struct Stored(HashMap<Vec<u8>, Vec<u8>>);

    impl Host for Stored {
        fn get<'a>(&mut self, key: &[u8], into: &'a mut [u8]) -> Option<&'a [u8]> {
            let value = self.0.get(key)?;
            let place = into.get_mut(..value.len())?;
            place.copy_from_slice(value);
            Some(place)
        }
        fn set(&mut self, key: &[u8], value: &[u8]) {
            self.0.insert(key.to_vec(), value.to_vec());
        }
        fn delete(&mut self, key: &[u8]) {
            self.0.remove(key);
        }
        fn sha256_hex(&mut self, _: &[u8], into: &mut [u8; 64]) {
            into.fill(b'0');
        }
    }

    fn said(hook: &str, input: &str, host: &mut Stored) -> String {
        let mut room = [0; 1_024];
        let mut out = Out::new(&mut room);
        answer(hook, input.as_bytes(), host, &mut out);
        String::from_utf8(out.bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_word_chooses_the_answer_at_its_hook_only() {
        let host = &mut Stored::default();
        let input = r#"{"query":"SELECT 'fixture:rewrite.kind.block'"}"#;
        assert_eq!(
            said("rewrite", input, host),
            r#"{"kind":"block","reason":"not to be rewritten"}"#
        );
        assert_eq!(said("pre_query", input, host), "");
        let echo = r#"{"query":"fixture:pre_query.echo"}"#;
        assert_eq!(
            said("pre_query", echo, host),
            r#"{"action":"block","value":"{\"query\":\"fixture:pre_query.echo\"}"}"#
        );
    }

    #[test]
    fn a_tenant_has_three_statements() {
        let host = &mut Stored::default();
        let input = |tenant: &str| {
            format!(r#"{{"hook_context":{{"attributes":{{"tenant_id":"{tenant}"}}}}}}"#)
        };
        for _ in 0..3 {
            assert_eq!(said("pre_query", &input("acme"), host), "");
            said("post_query", &input("acme"), host);
        }
        assert!(said("pre_query", &input("acme"), host).contains("over budget"));
        assert_eq!(said("pre_query", &input("globex"), host), "");
    }
}
