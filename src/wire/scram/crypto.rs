//! The hash functions SCRAM is made of. Owns no message and no comparison.

use super::KEY_BYTES;
use super::Key;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Digest;
use sha2::Sha256;
use std::borrow::Cow;
use zeroize::Zeroizing;

/// HMAC-SHA-256 of `parts`, one after the other.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// SHA-256.
pub(super) fn hash(bytes: &[u8]) -> Key {
    Zeroizing::new(Sha256::digest(bytes).into())
}

/// SaltedPassword: the expensive step, `iterations` rounds.
pub(super) fn salted_password(password: &str, salt: &[u8], iterations: u32) -> Key {
    let normal = Zeroizing::new(saslprep(password).into_owned());
    Zeroizing::new(pbkdf2::pbkdf2_hmac_array::<Sha256, KEY_BYTES>(
        normal.as_bytes(),
        salt,
        iterations,
    ))
}

/// ClientKey of a SaltedPassword.
pub(super) fn client_key(salted: &Key) -> Key {
    hmac(salted.as_slice(), &[b"Client Key"])
}

/// ServerKey of a SaltedPassword.
pub(super) fn server_key(salted: &Key) -> Key {
    hmac(salted.as_slice(), &[b"Server Key"])
}

/// `left` XOR `right`.
pub(super) fn xor(left: &Key, right: &Key) -> Key {
    let mut out = Key::default();
    for ((out, left), right) in out.iter_mut().zip(left.iter()).zip(right.iter()) {
        *out = left ^ right;
    }
    out
}

/// The password as both sides hash it. PostgreSQL leaves plain ASCII alone, and takes the bytes as they are when the
/// profile (RFC 4013) refuses them.
fn saslprep(password: &str) -> Cow<'_, str> {
    if password.is_ascii() {
        return Cow::Borrowed(password);
    }
    match stringprep::saslprep(password) {
        Ok(normal) if !normal.is_empty() => normal,
        _ => Cow::Borrowed(password),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_normalized_as_postgresql_does() {
        for (password, normal) in [
            ("pencil", "pencil"),
            ("a\tb", "a\tb"),               // ASCII: untouched
            ("I\u{ad}X", "IX"),             // RFC 4013, example 1
            ("\u{2168}", "IX"),             // example 5
            ("\u{aa}", "a"),                // example 4
            ("a\u{a0}b", "a b"),            // a no-break space
            ("\u{627}1", "\u{627}1"),       // example 7, refused: as it is
            ("\u{e9}\u{7}", "\u{e9}\u{7}"), // a control character, refused: as it is
            ("\u{ad}", "\u{ad}"),           // nothing would be left: as it is
            ("", ""),
        ] {
            assert_eq!(saslprep(password), normal, "{password:?}");
        }
    }
}
