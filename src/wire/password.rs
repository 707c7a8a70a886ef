//! Cleartext and md5 passwords: the stored md5 form, the answer to a salt, and checks of both.
//! Owns no messages (see `authentication`). md5 is only for what exists already; SCRAM is the default everywhere.

use md5::Digest;
use md5::Md5;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The largest password taken from a client, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;

const PREFIX: &str = "md5";

/// A password as PostgreSQL stores it under `password_encryption = md5`: the hash of the password and the user's name.
#[derive(Clone)]
pub struct Md5Password {
    hex: Zeroizing<String>,
}

impl Md5Password {
    /// Reads the stored form, `md5` and 32 hexadecimal digits.
    #[must_use]
    pub fn parse(stored: &str) -> Option<Self> {
        let hex = stored.strip_prefix(PREFIX)?;
        if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let hex = Zeroizing::new(hex.to_ascii_lowercase());
        Some(Self { hex })
    }

    /// The stored form of `password` for `user`.
    #[must_use]
    pub fn from_password(password: &str, user: &str) -> Self {
        let hex = hex(&[password.as_bytes(), user.as_bytes()]);
        Self { hex }
    }

    /// What a client answers to `salt`.
    #[must_use]
    pub fn answer(&self, salt: [u8; 4]) -> Zeroizing<String> {
        let hashed = hex(&[self.hex.as_bytes(), &salt]);
        Zeroizing::new(format!("{PREFIX}{}", hashed.as_str()))
    }

    /// Whether `answer` is the right one to `salt`.
    #[must_use]
    pub fn check_answer(&self, answer: &str, salt: [u8; 4]) -> bool {
        same(self.answer(salt).as_bytes(), answer.as_bytes())
    }

    /// Whether `password` is the one.
    #[must_use]
    pub fn verify(&self, password: &str, user: &str) -> bool {
        same(
            Self::from_password(password, user).hex.as_bytes(),
            self.hex.as_bytes(),
        )
    }
}

impl std::fmt::Debug for Md5Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Md5Password(..)")
    }
}

/// Whether two passwords are the same. Hashing them first makes the time independent of the expected one's length too.
#[must_use]
pub fn same(expected: &[u8], given: &[u8]) -> bool {
    let (expected, given) = (Sha256::digest(expected), Sha256::digest(given));
    expected.as_slice().ct_eq(given.as_slice()).into()
}

/// The md5 hash of `parts` in lower-case hexadecimal digits.
fn hex(parts: &[&[u8]]) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    let mut hex = Zeroizing::new(String::with_capacity(32));
    for byte in hash.finalize() {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_postgresqls() {
        // select 'md5' || md5('secret' || 'alice');
        let stored = "md54a0a68b43b6cd5cf266fa02f196e2371";
        let password = Md5Password::parse(stored).unwrap();
        assert_eq!(
            *password.hex,
            *Md5Password::from_password("secret", "alice").hex
        );
        assert!(password.verify("secret", "alice"));
        assert!(!password.verify("secret", "bob") && !password.verify("", "alice"));
        for wrong in [
            "",
            "md5",
            "md5xyz",
            "b1ba95a5b0f2d7a7ef5a2cd2bbd6b4e7",
            "md5b1ba95a5b0f2d7a7ef5a2cd2bbd6b4eg",
        ] {
            assert!(Md5Password::parse(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{password:?}").contains(password.hex.as_str()));
    }

    #[test]
    fn an_answer_fits_its_salt_only() {
        let password = Md5Password::from_password("secret", "alice");
        let answer = password.answer([1, 2, 3, 4]);
        assert_eq!(answer.as_str(), "md598a0412b9c31436fc53776e863350083");
        assert!(password.check_answer(&answer, [1, 2, 3, 4]));
        assert!(!password.check_answer(&answer, [1, 2, 3, 5]));
        assert!(!password.check_answer("", [1, 2, 3, 4]));
    }
}
