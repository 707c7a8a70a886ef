//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, both sides, as PostgreSQL speaks them: state machines with bytes in and bytes out.
//! Owns no framing (see `authentication`), no socket and no randomness: nonces and keys are arguments.
//! Sources: RFC 5802, RFC 7677, RFC 5929 (tls-server-end-point), `src/backend/libpq/auth-scram.c`.

mod client;
mod crypto;
mod message;
mod server;
#[cfg(test)]
mod tests;
mod verifier;

pub use client::Binding;
pub use client::Client;
pub use client::ClientFinal;
pub use client::Secret;
pub use server::Server;
pub use server::ServerFinal;
pub use server::Verified;
pub use verifier::MockKey;
pub use verifier::Verifier;

use zeroize::Zeroizing;

/// The mechanism without channel binding.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";

/// The mechanism with channel binding.
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Random bytes in a nonce of ours (PostgreSQL's `SCRAM_RAW_NONCE_LEN`).
pub const NONCE_BYTES: usize = 18;

/// Bytes of a salt of ours (PostgreSQL's `SCRAM_DEFAULT_SALT_LEN`).
pub const SALT_BYTES: usize = 16;

/// Rounds of PBKDF2 in a verifier of ours (PostgreSQL's default).
pub const ITERATIONS: u32 = 4096;

/// The most rounds a verifier or a node may ask for: about a second of work.
pub const ITERATIONS_MAX: u32 = 2_000_000;

/// The largest SCRAM message believed, in either direction (PostgreSQL's `PG_MAX_SASL_MESSAGE_LENGTH`).
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// Bytes of a SHA-256 hash and of every key here.
const KEY_BYTES: usize = 32;

/// A key, wiped when it is dropped.
type Key = Zeroizing<[u8; KEY_BYTES]>;

/// What it takes to log in to a server that holds the same verifier, without the password: the ClientKey, which only a
/// successful login reveals, and the ServerKey, by which the server's own proof is checked.
#[derive(Clone)]
pub struct Keys {
    client: Key,
    server: Key,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// Why an exchange ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScramError {
    /// Bytes that are not SCRAM, or SCRAM that the mechanism does not allow.
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// The channel binding does not fit the connection, or was left out although both sides can do it.
    #[error("SCRAM channel binding failed: {0}")]
    ChannelBinding(&'static str),
    /// The client does not know the password.
    #[error("wrong password")]
    WrongPassword,
    /// The server says no.
    #[error("the server refused the SCRAM exchange")]
    Refused,
    /// The server does not know the password: it is not the server it claims to be.
    #[error("the server's SCRAM signature is wrong")]
    WrongServer,
}
