//! The server's side: client-first in, server-first out, client-final in, server-final out. Owns no user lookup.

use super::Key;
use super::Keys;
use super::NONCE_BYTES;
use super::SCRAM_SHA_256;
use super::SCRAM_SHA_256_PLUS;
use super::ScramError;
use super::Verifier;
use super::crypto;
use super::message;
use super::message::Attributes;
use std::sync::Arc;
use subtle::ConstantTimeEq;

const END_POINT_HEADER: &str = "p=tls-server-end-point,";

/// Waits for the client's choice and first message.
#[derive(Debug)]
pub struct Server {
    verifier: Verifier,
    end_point: Option<Arc<[u8]>>,
}

/// Waits for the client's proof.
#[derive(Debug)]
pub struct ServerFinal {
    pub(super) verifier: Verifier,
    pub(super) client_first_bare: String,
    pub(super) server_first: String,
    pub(super) nonce: String,
    pub(super) channel: String,
}

/// A client that knows the password.
#[derive(Debug)]
pub struct Verified {
    /// What to log in to nodes with, if they hold the same verifier.
    pub keys: Keys,
    /// The server-final message.
    pub reply: Vec<u8>,
}

impl Server {
    /// A server that checks against `verifier`. `end_point` is the hash of the certificate the connection was secured
    /// with; with it, channel binding is offered.
    #[must_use]
    pub const fn new(verifier: Verifier, end_point: Option<Arc<[u8]>>) -> Self {
        Self {
            verifier,
            end_point,
        }
    }

    /// What to offer, the best first.
    #[must_use]
    pub const fn mechanisms(&self) -> &'static [&'static str] {
        match self.end_point {
            Some(_) => &[SCRAM_SHA_256_PLUS, SCRAM_SHA_256],
            None => &[SCRAM_SHA_256],
        }
    }

    /// Takes the client's mechanism and its first message; gives the server-first message.
    ///
    /// # Errors
    /// When they do not fit what was offered.
    pub fn first(
        self,
        mechanism: &str,
        client_first: &[u8],
        nonce: &[u8; NONCE_BYTES],
    ) -> Result<(ServerFinal, Vec<u8>), ScramError> {
        let bound_to = match (mechanism, self.end_point) {
            (SCRAM_SHA_256_PLUS, Some(end_point)) => Bound::Yes(end_point),
            (SCRAM_SHA_256, Some(_)) => Bound::Declined,
            (SCRAM_SHA_256, None) => Bound::NotOffered,
            _ => return Err(ScramError::Malformed("mechanism was not offered")),
        };
        let text = message::text(client_first)?;
        let (header, bare) = split_header(text)?;
        let channel = bound_to.expected_channel(header)?;
        let mut attributes = Attributes::new(bare);
        // The user is the startup packet's; PostgreSQL ignores this one too, and libpq sends none.
        attributes.expect('n', "no user name")?;
        let client_nonce = message::nonce(attributes.expect('r', "no nonce")?)?;
        attributes.only_extensions_follow()?;

        let nonce = format!("{client_nonce}{}", message::encode(nonce));
        let salt = message::encode(&self.verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", self.verifier.iterations);
        let reply = server_first.clone().into_bytes();
        let next = ServerFinal {
            verifier: self.verifier,
            client_first_bare: bare.to_owned(),
            server_first,
            nonce,
            channel,
        };
        Ok((next, reply))
    }
}

impl ServerFinal {
    /// Takes the client's proof.
    ///
    /// # Errors
    /// `WrongPassword` when the proof is wrong; others when the message is not what it should be.
    pub fn last(self, client_final: &[u8]) -> Result<Verified, ScramError> {
        let text = message::text(client_final)?;
        let (signed, proof) = text
            .rsplit_once(",p=")
            .ok_or(ScramError::Malformed("no proof"))?;
        let mut attributes = Attributes::new(signed);
        if attributes.expect('c', "no channel binding")? != self.channel {
            return Err(ScramError::ChannelBinding("it is not this connection's"));
        }
        if attributes.expect('r', "no nonce")? != self.nonce {
            return Err(ScramError::Malformed("nonce does not match"));
        }
        attributes.only_extensions_follow()?;
        let proof: Key = message::decode(proof, "proof is not base64")?
            .try_into()
            .map(Key::new)
            .map_err(|_| ScramError::Malformed("proof has the wrong length"))?;

        let parts = [
            &self.client_first_bare,
            ",",
            &self.server_first,
            ",",
            signed,
        ]
        .map(str::as_bytes);
        let signature = crypto::hmac(self.verifier.stored_key.as_slice(), &parts);
        let client = crypto::xor(&proof, &signature);
        let stored_key = crypto::hash(client.as_slice());
        if !bool::from(
            stored_key
                .as_slice()
                .ct_eq(self.verifier.stored_key.as_slice()),
        ) {
            return Err(ScramError::WrongPassword);
        }
        let server = self.verifier.server_key;
        let signature = crypto::hmac(server.as_slice(), &parts);
        let reply = format!("v={}", message::encode(signature.as_slice())).into_bytes();
        let keys = Keys { client, server };
        Ok(Verified { keys, reply })
    }
}

/// What the client's choice of mechanism says about channel binding.
enum Bound {
    Yes(Arc<[u8]>),
    Declined,
    NotOffered,
}

impl Bound {
    /// The `c=` the client must send at the end, given the header it sent at the start.
    fn expected_channel(&self, header: &str) -> Result<String, ScramError> {
        match (self, header) {
            (Self::Yes(end_point), END_POINT_HEADER) => {
                let mut input = format!("{header},").into_bytes();
                input.extend_from_slice(end_point);
                Ok(message::encode(&input))
            }
            (Self::NotOffered, "n," | "y,") | (Self::Declined, "n,") => {
                Ok(message::encode(format!("{header},").as_bytes()))
            }
            // Somebody between us and the client removed the offer.
            (Self::Declined, "y,") => Err(ScramError::ChannelBinding(
                "the client supports it but thinks that the server does not",
            )),
            (Self::Yes(_), _) if header.starts_with("p=") => {
                Err(ScramError::ChannelBinding("unsupported type"))
            }
            _ => Err(ScramError::ChannelBinding(
                "it contradicts the chosen mechanism",
            )),
        }
    }
}

/// Splits `n,,n=..` into the flag with its comma and what follows the header. An authorization identity is refused, as by
/// PostgreSQL.
fn split_header(text: &str) -> Result<(&str, &str), ScramError> {
    let flag_end = text.find(',').ok_or(ScramError::Malformed("no header"))? + 1;
    let (flag, rest) = text.split_at(flag_end);
    if !(matches!(flag, "n," | "y,") || flag.starts_with("p=")) {
        return Err(ScramError::Malformed("unknown channel binding flag"));
    }
    match rest.strip_prefix(',') {
        Some(bare) => Ok((flag, bare)),
        None => Err(ScramError::Malformed(
            "authorization identity is not supported",
        )),
    }
}
