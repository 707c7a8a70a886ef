//! What stands in the place of one value. Owns no row.

use crate::digest::hex;
use crate::policy::MaskWith;
use crate::policy::Secret;
use crate::wire::backend::Instead;
use hmac::Hmac;
use hmac::KeyInit as _;
use hmac::Mac as _;
use sha2::Sha256;
use std::fmt;

/// `text`, `varchar`, `bpchar` and `name`: the types of which the bytes are the text in both formats (pg_type.dat).
const TEXT: u32 = 25;
const VARCHAR: u32 = 1043;
const BPCHAR: u32 = 1042;
const NAME: u32 = 19;

/// What stands in the place of values.
pub(super) enum Method {
    Null,
    Redact,
    KeepLast(usize),
    Hash(Secret),
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Redact => "redact",
            Self::KeepLast(_) => "keep_last",
            Self::Hash(_) => "hash",
        })
    }
}

impl Method {
    pub(super) fn new(with: &MaskWith) -> Self {
        match with {
            MaskWith::Null => Self::Null,
            MaskWith::Redact => Self::Redact,
            MaskWith::KeepLast(kept) => Self::KeepLast(*kept),
            MaskWith::Hash(key) => Self::Hash(key.clone()),
        }
    }

    /// Appends what stands for `value` of a type.
    pub(super) fn apply(&self, type_oid: u32, value: &[u8], out: &mut Vec<u8>) -> Instead {
        if !matches!(type_oid, TEXT | VARCHAR | BPCHAR | NAME) {
            return Instead::Null;
        }
        match self {
            Self::Null => return Instead::Null,
            Self::Redact => out.extend_from_slice(b"***"),
            Self::KeepLast(kept) => keep_last(*kept, unpadded(type_oid, value), out),
            Self::Hash(key) => out.extend_from_slice(digest(key, value).as_bytes()),
        }
        Instead::Written
    }
}

/// `char(n)` fills up with spaces that are no part of the value.
fn unpadded(type_oid: u32, value: &[u8]) -> &[u8] {
    let mut value = value;
    while let (BPCHAR, Some(rest)) = (type_oid, value.strip_suffix(b" ")) {
        value = rest;
    }
    value
}

/// A star for each character but the last ones. Nothing is kept of a value that would be kept whole, or that is no UTF-8, of
/// which the characters are not known.
fn keep_last(kept: usize, value: &[u8], out: &mut Vec<u8>) {
    let (stars, rest) = match std::str::from_utf8(value) {
        Ok(text) => {
            let count = text.chars().count();
            let stars = if count <= kept { count } else { count - kept };
            let rest = text.char_indices().nth(stars).map(|(at, _)| &value[at..]);
            (stars, rest.unwrap_or_default())
        }
        Err(_) => (value.len(), &[][..]),
    };
    out.resize(out.len() + stars, b'*');
    out.extend_from_slice(rest);
}

fn digest(key: &Secret, value: &[u8]) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("any length will do");
    mac.update(value);
    hex(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(method: &Method, type_oid: u32, value: &str) -> Option<String> {
        let mut out = b"before".to_vec();
        match method.apply(type_oid, value.as_bytes(), &mut out) {
            Instead::Null => None,
            Instead::Same => panic!("a value stays"),
            Instead::Written => Some(String::from_utf8(out.split_off(6)).unwrap()),
        }
    }

    #[test]
    fn each_method_leaves_what_it_says() {
        const INT: u32 = 23;
        let keep = |kept| Method::KeepLast(kept);
        for (method, type_oid, value, expected) in [
            (Method::Null, TEXT, "secret", None),
            (Method::Redact, TEXT, "secret", Some("***")),
            (Method::Redact, VARCHAR, "", Some("***")),
            (Method::Redact, INT, "1234", None),
            (keep(4), VARCHAR, "123-45-6789", Some("*******6789")),
            (keep(4), TEXT, "1234", Some("****")),
            (keep(4), TEXT, "12345", Some("*2345")),
            (keep(4), TEXT, "", Some("")),
            (keep(2), TEXT, "\u{e9}\u{e8}\u{ea}", Some("*\u{e8}\u{ea}")),
            (keep(2), BPCHAR, "abcd      ", Some("**cd")),
            (keep(2), NAME, "abcd ", Some("***d ")),
            (keep(4), INT, "123456", None),
        ] {
            let got = applied(&method, type_oid, value);
            assert_eq!(got.as_deref(), expected, "{method:?} {type_oid} {value}");
        }
        let mut out = Vec::new();
        keep(1).apply(TEXT, b"ab\xff", &mut out);
        assert_eq!(out, b"***");
    }

    #[test]
    fn a_hash_is_keyed_and_repeats() {
        // RFC 4231, test case 2.
        let key = |key: &str| Method::Hash(Secret::new(key.into(), "{ env = \"K\" }"));
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let value = "what do ya want for nothing?";
        assert_eq!(
            applied(&key("Jefe"), TEXT, value).as_deref(),
            Some(expected)
        );
        assert_ne!(
            applied(&key("Jefa"), TEXT, value).as_deref(),
            Some(expected)
        );
        assert_eq!(format!("{:?}", key("Jefe")), "hash");
    }
}
