//! Answers a node's authentication requests as the policy's login. Owns no socket and no relaying.

use super::ConnectError;
use super::Login;
use super::receive;
use super::send;
use crate::net::Stream;
use crate::wire::authentication;
use crate::wire::authentication::Mechanisms;
use crate::wire::authentication::Request;
use crate::wire::authentication::Secret;
use crate::wire::password::Md5Password;
use crate::wire::scram;
use crate::wire::scram::Binding;
use crate::wire::scram::Client;
use std::io;
use zeroize::Zeroizing;

/// From StartupMessage to AuthenticationOk.
pub(super) async fn log_in(stream: &mut Stream, login: &Login) -> Result<(), ConnectError> {
    let message = receive_request(stream).await?;
    match authentication::request(&message)? {
        Request::Ok => return Ok(()),
        Request::Cleartext => {
            let password = password(login)?;
            if !is_safe_for_cleartext(stream) {
                return Err(ConnectError::Cleartext);
            }
            answer(stream, password.as_bytes()).await?;
        }
        Request::Md5 { salt } => {
            let stored = match &login.secret {
                Some(Secret::Md5(stored)) => stored.clone(),
                _ => Md5Password::from_password(password(login)?, &login.user),
            };
            answer(stream, stored.answer(salt).as_bytes()).await?;
        }
        Request::Sasl(mechanisms) => {
            let secret = match login.secret.clone() {
                Some(Secret::Password(password)) => scram::Secret::Password(password),
                Some(Secret::ScramKeys(keys)) => scram::Secret::Keys(keys),
                Some(Secret::Md5(_)) | None => return Err(ConnectError::NoPassword),
            };
            let binding = binding(stream, mechanisms)?;
            scram(stream, secret, &binding).await?;
        }
        Request::SaslContinue(_) | Request::SaslFinal(_) => {
            return Err(ConnectError::Protocol("a SASL message out of order"));
        }
        Request::Unsupported(method) => return Err(ConnectError::Method(method)),
    }
    let message = receive_request(stream).await?;
    match authentication::request(&message)? {
        Request::Ok => Ok(()),
        _ => Err(ConnectError::Protocol("a second authentication request")),
    }
}

/// The body of the next message, which must be an authentication request.
pub(super) async fn receive_request(
    stream: &mut Stream,
) -> Result<Zeroizing<Vec<u8>>, ConnectError> {
    let message = receive(stream).await?;
    match message.tag {
        authentication::REQUEST_TAG => Ok(message.body),
        // NegotiateProtocolVersion: nothing newer than 3.0 was asked for.
        b'v' => Err(ConnectError::Protocol("a version that was not asked for")),
        _ => Err(ConnectError::Protocol(
            "a message that does not belong to a login",
        )),
    }
}

/// Whether only the node reads what is sent: TLS, a Unix socket, or the loopback interface.
pub(super) fn is_safe_for_cleartext(stream: &Stream) -> bool {
    stream.is_private()
        || stream
            .tcp()
            .and_then(|tcp| tcp.peer_addr().ok())
            .is_some_and(|peer| peer.ip().to_canonical().is_loopback())
}

fn password(login: &Login) -> Result<&str, ConnectError> {
    match &login.secret {
        Some(Secret::Password(password)) => Ok(password),
        Some(Secret::ScramKeys(_) | Secret::Md5(_)) | None => Err(ConnectError::NoPassword),
    }
}

async fn answer(stream: &mut Stream, text: &[u8]) -> Result<(), ConnectError> {
    let mut message = Zeroizing::new(Vec::with_capacity(text.len() + 6));
    authentication::password_message(&mut message, text);
    send(stream, &message).await
}

/// Binds to the node's certificate where both sides can, and says so where only we can: a proxy between us that removed the
/// offer is found out by that.
fn binding(stream: &Stream, mechanisms: Mechanisms<'_>) -> Result<Binding, ConnectError> {
    match stream.end_point() {
        Some(hash) if mechanisms.offer(scram::SCRAM_SHA_256_PLUS) => {
            Ok(Binding::EndPoint(hash.to_vec()))
        }
        _ if !mechanisms.offer(scram::SCRAM_SHA_256) => Err(ConnectError::Protocol(
            "SASL mechanisms of which none is supported",
        )),
        Some(_) => Ok(Binding::NotOffered),
        None => Ok(Binding::Unsupported),
    }
}

async fn scram(
    stream: &mut Stream,
    secret: scram::Secret,
    binding: &Binding,
) -> Result<(), ConnectError> {
    let mut nonce = [0; scram::NONCE_BYTES];
    getrandom::fill(&mut nonce)?;
    let (client, first) = Client::new(secret, binding, &nonce);
    let mut out = Vec::new();
    authentication::sasl_initial_response(&mut out, client.mechanism(), &first);
    send(stream, &out).await?;

    let message = receive_request(stream).await?;
    let Request::SaslContinue(server_first) = authentication::request(&message)? else {
        return Err(ConnectError::Protocol("no SASL challenge"));
    };
    let server_first = server_first.to_vec();
    // Thousands of hash rounds, as many as the node asks for.
    let rounds = tokio::task::spawn_blocking(move || client.first(&server_first));
    let (client, last) = rounds
        .await
        .map_err(|stopped| ConnectError::Io(io::Error::other(stopped)))??;
    out.clear();
    authentication::sasl_response(&mut out, &last);
    send(stream, &out).await?;

    let message = receive_request(stream).await?;
    let Request::SaslFinal(server_final) = authentication::request(&message)? else {
        return Err(ConnectError::Protocol(
            "no proof that it knows the password",
        ));
    };
    Ok(client.last(server_final)?)
}
