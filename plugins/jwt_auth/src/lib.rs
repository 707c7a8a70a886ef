//! Logs clients in whose password is a JSON Web Token (RFC 7519), signed with HS256 or with EdDSA over Ed25519. The policy says
//! which of the two; what a token says about it only has to agree.
//!
//! ```toml
//! [plugin.jwt_auth]
//! path = "plugins/jwt_auth.wasm"
//!
//! [plugin.jwt_auth.config]
//! algorithm = "EdDSA"
//! key       = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
//! issuer    = "https://id.example.com"
//! audience  = "warehouse"
//! roles     = { "pg-*" = "*" }
//! ```
//!
//! Whatever is wrong, the client is told what everybody with a wrong password is told; the reason is for the log, and holds
//! nothing of the token or the key.

#![cfg_attr(target_arch = "wasm32", no_std)]

mod arena;
mod base64url;
mod claims;
mod signature;

#[cfg(test)]
mod tests;

use arena::Arena;
use claims::Claims;
use pgwarden_guest::Context;
use pgwarden_guest::Field;
use pgwarden_guest::Verdict;
use pgwarden_guest::host;
use pgwarden_guest::json::Json;
use signature::Algorithm;

pgwarden_guest::manifest!(include_str!("../manifest.json"));
pgwarden_guest::export!(authenticate => decide);

/// Bytes of a token. The proxy takes no longer password than 1024.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Bytes of everything else: the configuration's texts and what the identity is made of.
const TEXTS_BYTES_MAX: usize = 24 << 10;

/// Why a token is not good.
type Reason = &'static str;

fn decide(context: &Context<'_>) -> Verdict {
    let given = context.text(Field::AuthPassword).unwrap_or_default();
    pgwarden_guest::scratch(TOKEN_BYTES_MAX + TEXTS_BYTES_MAX, |room| {
        let mut arena = Arena::new(room);
        match identify(context, given, &mut arena) {
            Ok(verdict) => verdict,
            Err(reason) => Verdict::denied(&[reason]),
        }
    })
}

fn identify(context: &Context<'_>, token: &str, arena: &mut Arena<'_>) -> Result<Verdict, Reason> {
    if TOKEN_BYTES_MAX < token.len() {
        return Err("the token is too long");
    }
    // RFC 7515, 7.1: header, payload and signature, each as base64url.
    let (signed, signature) = token.rsplit_once('.').ok_or("the password is no token")?;
    let (header, payload) = signed.split_once('.').ok_or("the password is no token")?;
    let algorithm = Algorithm::configured(arena)?;
    check_header(
        arena.decoded(header).ok_or("the header is not base64url")?,
        algorithm,
    )?;
    if !signature::fits(algorithm, signed, signature, arena)? {
        return Err("the signature does not fit");
    }
    let payload = arena
        .decoded(payload)
        .ok_or("the payload is not base64url")?;
    let claims = Claims::parse(payload)?;
    claims.check(arena)?;
    claims.identity(context, arena)
}

/// RFC 7515, 4.1: the algorithm is the one of the policy, and nothing in the header has to be understood that is not.
fn check_header(header: &str, algorithm: Algorithm) -> Result<(), Reason> {
    let header = Json::parse(header)
        .filter(|header| header.is_object() && header.has_unique_names())
        .ok_or("the header is no JSON object")?;
    if header.get("crit").is_some() {
        return Err("the header has extensions that must be understood");
    }
    let named = header.get("alg").and_then(|name| name.text());
    if !named.is_some_and(|named| named.is(algorithm.name())) {
        return Err("the token's algorithm is not the policy's");
    }
    Ok(())
}

/// A text of the configuration.
fn config<'a>(path: &str, arena: &mut Arena<'a>) -> Option<&'a str> {
    arena.filled(|room| host::config(path, room).map(str::len))
}
