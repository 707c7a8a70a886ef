//! The stored form of a password, `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, and its stand-in for users that do
//! not exist. Owns no exchange.

use super::ITERATIONS;
use super::ITERATIONS_MAX;
use super::Key;
use super::Keys;
use super::SALT_BYTES;
use super::SCRAM_SHA_256;
use super::crypto;
use super::message;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a server keeps of a password: enough to check it, not enough to log in with it.
#[derive(Clone)]
pub struct Verifier {
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    pub(super) stored_key: Key,
    pub(super) server_key: Key,
}

impl Verifier {
    /// Reads PostgreSQL's stored form (`pg_authid.rolpassword`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(SCRAM_SHA_256)?.strip_prefix('$')?;
        let (parameters, keys) = rest.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        if !iterations.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let iterations = iterations.parse().ok()?;
        if !(1..=ITERATIONS_MAX).contains(&iterations) {
            return None;
        }
        let salt = message::decode(salt, "salt").ok()?;
        if salt.is_empty() {
            return None;
        }
        Some(Self {
            iterations,
            salt,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }

    /// Makes the verifier of a password. Costs `iterations` rounds.
    #[must_use]
    pub fn from_password(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = crypto::salted_password(password, salt, iterations);
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: crypto::hash(crypto::client_key(&salted).as_slice()),
            server_key: crypto::server_key(&salted),
        }
    }

    /// A verifier that no password fits and that looks like any other: the same user gets the same salt each time.
    #[must_use]
    pub fn mock(user: &str, key: &MockKey) -> Self {
        Self {
            iterations: ITERATIONS,
            salt: key.salt(user).to_vec(),
            stored_key: key.derive(b"stored", user),
            server_key: key.derive(b"server", user),
        }
    }

    /// Whether `password` is the one. Costs the verifier's iterations; compares in constant time.
    #[must_use]
    pub fn verify(&self, password: &str) -> bool {
        let salted = crypto::salted_password(password, &self.salt, self.iterations);
        let server_key = crypto::server_key(&salted);
        server_key
            .as_slice()
            .ct_eq(self.server_key.as_slice())
            .into()
    }

    /// The keys to log in elsewhere with, when `password` is the one.
    #[must_use]
    pub fn keys_of(&self, password: &str) -> Option<Keys> {
        let salted = crypto::salted_password(password, &self.salt, self.iterations);
        let server = crypto::server_key(&salted);
        let fits: bool = server.as_slice().ct_eq(self.server_key.as_slice()).into();
        fits.then(|| Keys {
            client: crypto::client_key(&salted),
            server,
        })
    }

    /// PostgreSQL's stored form.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "{SCRAM_SHA_256}${}:{}${}:{}",
            self.iterations,
            message::encode(&self.salt),
            message::encode(self.stored_key.as_slice()),
            message::encode(self.server_key.as_slice()),
        ))
    }
}

impl PartialEq for Verifier {
    fn eq(&self, other: &Self) -> bool {
        let keys = self
            .stored_key
            .as_slice()
            .ct_eq(other.stored_key.as_slice())
            & self
                .server_key
                .as_slice()
                .ct_eq(other.server_key.as_slice());
        self.iterations == other.iterations && self.salt == other.salt && keys.into()
    }
}

impl Eq for Verifier {}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(..)")
    }
}

/// One random key per process, from which mock verifiers and the salts of plain passwords come. It keeps what a user is
/// shown the same between two logins, which a random salt would not: that difference alone would tell who exists.
pub struct MockKey(Zeroizing<[u8; 32]>);

impl MockKey {
    /// Wraps 32 random bytes.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// The salt of `user`, the same for a real and for a mock verifier made under this key.
    #[must_use]
    pub fn salt(&self, user: &str) -> [u8; SALT_BYTES] {
        let derived = self.derive(b"salt", user);
        let mut salt = [0; SALT_BYTES];
        salt.copy_from_slice(&derived[..SALT_BYTES]);
        salt
    }

    /// A value only this process can make.
    #[must_use]
    pub fn derive(&self, purpose: &[u8], text: &str) -> Zeroizing<[u8; 32]> {
        crypto::hmac(self.0.as_slice(), &[purpose, &[0], text.as_bytes()])
    }
}

impl std::fmt::Debug for MockKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MockKey(..)")
    }
}

fn key(text: &str) -> Option<Key> {
    let bytes = Zeroizing::new(message::decode(text, "key").ok()?);
    Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
}
