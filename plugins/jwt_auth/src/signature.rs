//! Whether a token was signed with the key of the policy (RFC 7515, 5.2; RFC 7518, 3.2; RFC 8037, 3.1). Owns the two algorithms,
//! and no choice between them: the policy chooses, never a token.

use crate::Reason;
use crate::arena::Arena;
use crate::base64url;
use crate::config;
use ed25519_compact::PublicKey;
use ed25519_compact::Signature;
use pgwarden_guest::host;

/// RFC 7518, 3.2: a key has at least as many bytes as the hash.
const KEY_BYTES_MIN: usize = 32;

/// What the policy accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Algorithm {
    Hs256,
    EdDsa,
}

impl Algorithm {
    pub(crate) fn configured(arena: &mut Arena<'_>) -> Result<Self, Reason> {
        match config("algorithm", arena) {
            Some("HS256") => Ok(Self::Hs256),
            Some("EdDSA") => Ok(Self::EdDsa),
            _ => Err("the policy names no algorithm"),
        }
    }

    /// As a header writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Whether the signature is one of this text.
pub(crate) fn fits(
    algorithm: Algorithm,
    signed: &str,
    signature: &str,
    arena: &mut Arena<'_>,
) -> Result<bool, Reason> {
    let signature = arena
        .bytes(|room| base64url::decode(signature, room))
        .ok_or("the signature is not base64url")?;
    let key = config("key", arena).ok_or("the policy has no key")?;
    let written = config("key_encoding", arena) != Some("base64url");
    if algorithm == Algorithm::Hs256 && written {
        return hs256(key.as_bytes(), signed, signature);
    }
    let key = arena
        .bytes(|room| base64url::decode(key, room))
        .ok_or("the policy's key is not base64url")?;
    match algorithm {
        Algorithm::Hs256 => hs256(key, signed, signature),
        Algorithm::EdDsa => ed25519(key, signed, signature),
    }
}

fn hs256(key: &[u8], signed: &str, signature: &[u8]) -> Result<bool, Reason> {
    if key.len() < KEY_BYTES_MIN {
        return Err("the policy's key is shorter than 32 bytes");
    }
    let expected = host::hmac_sha256(key, signed.as_bytes());
    let mut found = [0; 64];
    if signature.len() * 2 != found.len() {
        return Ok(false);
    }
    for (digits, byte) in found.as_chunks_mut::<2>().0.iter_mut().zip(signature) {
        *digits = [hex(byte >> 4), hex(byte & 15)];
    }
    Ok(host::constant_time_equal(&expected, &found))
}

fn hex(digit: u8) -> u8 {
    if digit < 10 {
        b'0' + digit
    } else {
        b'a' + digit - 10
    }
}

fn ed25519(key: &[u8], signed: &str, signature: &[u8]) -> Result<bool, Reason> {
    let key =
        PublicKey::from_slice(key).map_err(|_| "the policy's key is no Ed25519 public key")?;
    let Ok(signature) = Signature::from_slice(signature) else {
        return Ok(false);
    };
    Ok(key.verify(signed, &signature).is_ok())
}
