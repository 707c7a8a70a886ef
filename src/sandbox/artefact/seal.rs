//! Ed25519 keys and signatures (RFC 8032) and how they are written: one line of a word and base64. Hexadecimal digits, base64 alone
//! and the bare bytes, as `openssl` makes them, are read as well. Owns no choice of whom to trust.

use super::is_file_name;
use crate::digest::from_hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::ED25519;
use ring::signature::Ed25519KeyPair;
use ring::signature::KeyPair as _;
use ring::signature::UnparsedPublicKey;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use zeroize::Zeroizing;

const PUBLIC: &str = "pgwarden-public-ed25519";
const SECRET: &str = "pgwarden-secret-ed25519";
const SIGNATURE: &str = "pgwarden-signature-ed25519";

/// What is wrong with a key's or signature's text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// It says that it is another thing.
    #[error("begins with `{found}`, and `{expected}` is wanted")]
    Other {
        /// The word it begins with.
        found: String,
        /// The word it should begin with.
        expected: &'static str,
    },
    /// It is not of this length in any form.
    #[error("is not `{word}` and {len} bytes in base64")]
    Form {
        /// The word before the bytes.
        word: &'static str,
        /// The bytes.
        len: usize,
    },
}

/// A key that says whose a signature is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublicKey([u8; 32]);

/// A signature over some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature([u8; 64]);

/// A key that signs.
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl PublicKey {
    /// Bytes of a key's name.
    pub const NAME_BYTES_MAX: usize = 63;

    /// Whether a key may be called so: `NAME.pub` must be the name of a file in the trust root.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        name.len() <= Self::NAME_BYTES_MAX && is_file_name(name)
    }

    /// Reads the content of a key file.
    ///
    /// # Errors
    /// It is no public key.
    pub fn parse(content: &[u8]) -> Result<Self, SealError> {
        bytes(content, PUBLIC).map(|bytes| Self(*bytes))
    }

    /// Whether `signature` was made over exactly these bytes by the secret key that belongs to this one.
    #[must_use]
    pub fn has_signed(&self, bytes: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(bytes, &signature.0)
            .is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC} {}", STANDARD.encode(self.0))
    }
}

impl Signature {
    /// Where the signature of a plugin's file lies: `plugin.wasm.sig` for `plugin.wasm`.
    #[must_use]
    pub fn beside(plugin: &Path) -> PathBuf {
        let mut name = OsString::from(plugin);
        name.push(".sig");
        name.into()
    }

    /// Reads the content of a signature file.
    ///
    /// # Errors
    /// It is no signature.
    pub fn parse(content: &[u8]) -> Result<Self, SealError> {
        bytes(content, SIGNATURE).map(|bytes| Self(*bytes))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SIGNATURE} {}", STANDARD.encode(self.0))
    }
}

impl SecretKey {
    /// The key that grows from 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        Self(seed)
    }

    /// Reads the content of a key file.
    ///
    /// # Errors
    /// It is no secret key.
    pub fn parse(content: &[u8]) -> Result<Self, SealError> {
        bytes(content, SECRET).map(Self)
    }

    /// The line of a key file.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{SECRET} {}\n", STANDARD.encode(*self.0)))
    }

    /// What others check signatures with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut public = [0; 32];
        public.copy_from_slice(self.pair().public_key().as_ref());
        PublicKey(public)
    }

    /// Signs exactly these bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair().sign(bytes).as_ref());
        Signature(signature)
    }

    #[expect(clippy::expect_used, reason = "every seed of 32 bytes is a key")]
    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&*self.0).expect("a seed of 32 bytes")
    }
}

/// The bytes of a key or signature, in any of the forms it may be written in.
fn bytes<const LEN: usize>(
    content: &[u8],
    word: &'static str,
) -> Result<Zeroizing<[u8; LEN]>, SealError> {
    let wrong = SealError::Form { word, len: LEN };
    // Bytes that chance made are no text, and a text is never taken for bytes.
    if let Ok(bare) = <[u8; LEN]>::try_from(content)
        && !content.is_ascii()
    {
        return Ok(Zeroizing::new(bare));
    }
    let text = std::str::from_utf8(content).map_err(|_| wrong.clone())?;
    let mut words = text.split_ascii_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    if words.next().is_some() {
        return Err(wrong);
    }
    let coded = match second {
        Some(coded) if first == word => coded,
        None => first,
        Some(_) => {
            return Err(SealError::Other {
                found: first.to_owned(),
                expected: word,
            });
        }
    };
    let decoded = match coded.len() == 2 * LEN {
        true => from_hex(coded),
        false => STANDARD.decode(coded).ok(),
    };
    let decoded = Zeroizing::new(decoded.ok_or_else(|| wrong.clone())?);
    let bytes = <[u8; LEN]>::try_from(decoded.as_slice()).map_err(|_| wrong)?;
    Ok(Zeroizing::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, 7.1, TEST 2.
    const SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const SIGNED: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                          085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    #[test]
    fn the_vector_of_the_standard_holds() {
        let secret = SecretKey::parse(SEED.as_bytes()).unwrap();
        let public = PublicKey::parse(KEY.as_bytes()).unwrap();
        let signature = Signature::parse(SIGNED.as_bytes()).unwrap();
        assert_eq!(secret.public(), public);
        assert_eq!(secret.sign(b"\x72"), signature);
        assert!(public.has_signed(b"\x72", &signature));
        assert!(!public.has_signed(b"\x73", &signature));
        assert!(!PublicKey([7; 32]).has_signed(b"\x72", &signature));
    }

    #[test]
    fn every_form_is_read() {
        let public = PublicKey::parse(KEY.as_bytes()).unwrap();
        let line = public.to_string();
        let coded = line.split_once(' ').unwrap().1;
        for form in [
            format!("{line}\n").as_bytes(),
            coded.as_bytes(),
            KEY.to_uppercase().as_bytes(),
            &public.0,
        ] {
            assert_eq!(PublicKey::parse(form), Ok(public));
        }
        let signature = Signature([0x99; 64]);
        assert_eq!(
            Signature::parse(signature.to_string().as_bytes()),
            Ok(signature)
        );
        assert_eq!(Signature::parse(&signature.0), Ok(signature));
    }

    #[test]
    fn one_thing_is_not_taken_for_another() {
        let secret = SecretKey::from_seed(Zeroizing::new([3; 32]));
        let line = secret.expose();
        assert!(SecretKey::parse(line.as_bytes()).is_ok());
        let refused = PublicKey::parse(line.as_bytes()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "begins with `pgwarden-secret-ed25519`, and `pgwarden-public-ed25519` is wanted"
        );
        for wrong in ["", "x", "AAAA", &KEY[1..], "a b c", &KEY.replace('3', "g")] {
            assert!(PublicKey::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(Signature::parse(KEY.as_bytes()).is_err());
    }
}
