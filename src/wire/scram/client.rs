//! The client's side: client-first out, server-first in, client-final out, server-final in. Owns no choice of method.

use super::ITERATIONS_MAX;
use super::Key;
use super::Keys;
use super::NONCE_BYTES;
use super::SCRAM_SHA_256;
use super::SCRAM_SHA_256_PLUS;
use super::ScramError;
use super::crypto;
use super::message;
use super::message::Attributes;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What the client knows.
#[derive(Clone)]
pub enum Secret {
    /// The password.
    Password(Zeroizing<String>),
    /// The keys of a login elsewhere, good for a server that holds the same verifier.
    Keys(Keys),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What the client says about channel binding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Binding {
    /// The connection has no TLS, or the certificate has no hash to bind to.
    Unsupported,
    /// The client could, but the server did not offer it.
    NotOffered,
    /// The hash of the server's certificate.
    EndPoint(Vec<u8>),
}

/// Waits for the server's nonce and salt.
#[derive(Debug)]
pub struct Client {
    pub(super) secret: Secret,
    pub(super) first_bare: String,
    pub(super) nonce: String,
    pub(super) channel: String,
    pub(super) mechanism: &'static str,
}

/// Waits for the server's own proof.
#[derive(Debug)]
pub struct ClientFinal {
    pub(super) signature: Key,
}

impl Client {
    /// Begins; gives the client-first message.
    #[must_use]
    pub fn new(secret: Secret, binding: &Binding, nonce: &[u8; NONCE_BYTES]) -> (Self, Vec<u8>) {
        let (header, end_point, mechanism) = match binding {
            Binding::Unsupported => ("n,,", &[][..], SCRAM_SHA_256),
            Binding::NotOffered => ("y,,", &[][..], SCRAM_SHA_256),
            Binding::EndPoint(hash) => (
                "p=tls-server-end-point,,",
                hash.as_slice(),
                SCRAM_SHA_256_PLUS,
            ),
        };
        let nonce = message::encode(nonce);
        let first_bare = format!("n=,r={nonce}"); // the user is the startup packet's
        let first = format!("{header}{first_bare}").into_bytes();
        let mut input = header.as_bytes().to_vec();
        input.extend_from_slice(end_point);
        let client = Self {
            secret,
            first_bare,
            nonce,
            channel: message::encode(&input),
            mechanism,
        };
        (client, first)
    }

    /// The mechanism to name in SASLInitialResponse.
    #[must_use]
    pub const fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    /// Takes the server-first message; gives the client-final message. With a password this costs the rounds the server
    /// asks for, so it belongs on a thread that may block.
    ///
    /// # Errors
    /// When the message is not what it should be or asks for absurd work.
    pub fn first(self, server_first: &[u8]) -> Result<(ClientFinal, Vec<u8>), ScramError> {
        let server_first = message::text(server_first)?;
        let mut attributes = Attributes::new(server_first);
        let nonce = message::nonce(attributes.expect('r', "no nonce")?)?;
        let salt = message::decode(attributes.expect('s', "no salt")?, "salt is not base64")?;
        let iterations = attributes.expect('i', "no iteration count")?;
        attributes.only_extensions_follow()?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(ScramError::Malformed("nonce does not continue ours"));
        }
        let iterations = match iterations.parse() {
            Ok(iterations @ 1..=ITERATIONS_MAX) => iterations,
            _ => return Err(ScramError::Malformed("impossible iteration count")),
        };
        let Keys { client, server } = match self.secret {
            Secret::Keys(keys) => keys,
            Secret::Password(password) => {
                let salted = crypto::salted_password(&password, &salt, iterations);
                Keys {
                    client: crypto::client_key(&salted),
                    server: crypto::server_key(&salted),
                }
            }
        };
        let signed = format!("c={},r={nonce}", self.channel);
        let parts = [self.first_bare.as_str(), ",", server_first, ",", &signed].map(str::as_bytes);
        let stored_key = crypto::hash(client.as_slice());
        let proof = crypto::xor(&client, &crypto::hmac(stored_key.as_slice(), &parts));
        let signature = crypto::hmac(server.as_slice(), &parts);
        let last = format!("{signed},p={}", message::encode(proof.as_slice())).into_bytes();
        Ok((ClientFinal { signature }, last))
    }
}

impl ClientFinal {
    /// Takes the server-final message.
    ///
    /// # Errors
    /// `WrongServer` when the server cannot prove that it knows the password.
    pub fn last(self, server_final: &[u8]) -> Result<(), ScramError> {
        let mut attributes = Attributes::new(message::text(server_final)?);
        let signature = match attributes.expect('v', "no signature") {
            Ok(signature) => message::decode(signature, "signature is not base64")?,
            Err(_) if server_final.starts_with(b"e=") => return Err(ScramError::Refused),
            Err(malformed) => return Err(malformed),
        };
        attributes.only_extensions_follow()?;
        if bool::from(signature.as_slice().ct_eq(self.signature.as_slice())) {
            Ok(())
        } else {
            Err(ScramError::WrongServer)
        }
    }
}
