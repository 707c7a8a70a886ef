//! Finds out whether a client is who it says: trust, SCRAM-SHA-256 with and without channel binding, md5, or the
//! `authenticate` stages with a cleartext password. Owns no users and no stages; both come as arguments.
//!
//! What a client sees of a user that does not exist is what it sees of one whose password it got wrong: the same messages in
//! the same order, the same text, the same work. Users that log in by `trust` or md5 are told apart from others by their
//! method, as in PostgreSQL.

mod error;
mod keys;
#[cfg(test)]
mod tests;

pub(super) use error::AuthenticateError;
pub use keys::LoginKeys;

use self::error::Rejection;
use crate::net::Stream;
use crate::net::message::read_message;
use crate::policy::Credential;
use crate::wire::authentication;
use crate::wire::authentication::Secret;
use crate::wire::password;
use crate::wire::password::Md5Password;
use crate::wire::scram;
use crate::wire::scram::ScramError;
use crate::wire::scram::Server;
use crate::wire::scram::Verifier;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// The longest answer taken from a client that is not logged in: the longest SCRAM message or password, and its frame.
const ANSWER_BYTES_MAX: usize = scram::MESSAGE_BYTES_MAX + 64;

/// What a client has to do to get in.
pub(super) struct Offer<'a> {
    /// The user it says it is.
    pub user: &'a str,
    /// What the policy knows of that user; `None` when it knows no such user.
    pub credential: Option<&'a Credential>,
    /// Whether the password counts at all: not for a user that has expired.
    pub account: Account,
    /// The `authenticate` stages, when there are any; they are asked once, with the cleartext password.
    pub stages: Option<&'a mut dyn AskStages>,
    /// This process's keys.
    pub keys: &'a LoginKeys,
    /// When the login must be done; counts from the accept.
    pub deadline: Instant,
}

/// Asks the `authenticate` stages.
pub(super) trait AskStages: Send {
    /// What they make of a password.
    fn ask<'s>(
        &'s mut self,
        password: &'s str,
    ) -> Pin<Box<dyn Future<Output = StageLogin> + Send + 's>>;
}

/// Whether a user may log in at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Account {
    /// Yes.
    Open,
    /// No, whatever the password; the client is told what a wrong password would be told.
    Expired,
}

/// What the `authenticate` stages make of a password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum StageLogin {
    /// The client is somebody; who, the caller remembers.
    Accepted,
    /// The client is not who it says; the reason is for the log.
    Denied {
        /// Why.
        reason: String,
    },
    /// No stage could tell: the policy's own credential decides.
    Deferred,
}

/// How a client got in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    /// Nothing was asked.
    Trust,
    /// SCRAM-SHA-256.
    Scram,
    /// SCRAM-SHA-256-PLUS.
    ScramPlus,
    /// md5.
    Md5,
    /// A cleartext password, checked by the credential.
    Password,
    /// A cleartext password, accepted by a stage.
    Stage,
}

/// A client that got in. AuthenticationOk has not been sent.
#[derive(Debug)]
pub(super) struct Authenticated {
    /// How.
    pub method: Method,
    /// What logs in to a node as this client, where the login revealed it or the policy has it: the password, the keys of
    /// SCRAM (good for a node with the same verifier), or the stored md5 form.
    pub secret: Option<Secret>,
}

/// Lets a client prove who it is. Sends no AuthenticationOk and no error. Not cancel safe.
///
/// # Errors
/// When it cannot, or the deadline passes.
pub(super) async fn authenticate(
    stream: &mut Stream,
    offer: Offer<'_>,
) -> Result<Authenticated, AuthenticateError> {
    let deadline = offer.deadline;
    match tokio::time::timeout_at(deadline, ask(stream, offer)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(AuthenticateError::DeadlinePassed),
    }
}

async fn ask(stream: &mut Stream, offer: Offer<'_>) -> Result<Authenticated, AuthenticateError> {
    let Offer {
        user,
        credential,
        account,
        stages,
        keys,
        ..
    } = offer;
    if let Some(stages) = stages {
        return by_stages(stream, user, credential, account, stages, keys).await;
    }
    match (credential, account) {
        (Some(Credential::Trust), Account::Open) => Ok(Authenticated {
            method: Method::Trust,
            secret: None,
        }),
        (Some(Credential::Md5(stored)), _) => by_md5(stream, user, stored, account).await,
        (Some(Credential::Verifier(verifier)), _) => {
            by_scram(stream, user, verifier.clone(), account).await
        }
        (Some(Credential::Password(secret)), _) => {
            let password = text_of(user, secret.expose_text())?;
            let verifier = keys.verifier(user, &password).await?;
            let mut authenticated = by_scram(stream, user, verifier, account).await?;
            authenticated.secret = Some(Secret::Password(password));
            Ok(authenticated)
        }
        (None, _) | (Some(Credential::Trust), Account::Expired) => {
            by_scram(stream, user, keys.mock(user), Account::Expired).await
        }
    }
}

async fn by_scram(
    stream: &mut Stream,
    user: &str,
    verifier: Verifier,
    account: Account,
) -> Result<Authenticated, AuthenticateError> {
    let server = Server::new(verifier, stream.end_point().cloned());
    let mut out = Vec::new();
    authentication::sasl(&mut out, server.mechanisms());
    send(stream, &out).await?;

    let answer = receive(stream).await?;
    let (mechanism, first) = authentication::sasl_initial_answer(&answer)?;
    let mechanism = std::str::from_utf8(mechanism).unwrap_or_default();
    let method = if mechanism == scram::SCRAM_SHA_256_PLUS {
        Method::ScramPlus
    } else {
        Method::Scram
    };
    let mut nonce = [0; scram::NONCE_BYTES];
    getrandom::fill(&mut nonce)?;
    let (server, reply) = server.first(mechanism, first, &nonce)?;
    out.clear();
    authentication::sasl_continue(&mut out, &reply);
    send(stream, &out).await?;

    let answer = receive(stream).await?;
    let verified = match server.last(&answer) {
        Ok(verified) if account == Account::Open => verified,
        Ok(_) | Err(ScramError::WrongPassword) => return Err(wrong(user)),
        Err(error) => return Err(error.into()),
    };
    out.clear();
    authentication::sasl_final(&mut out, &verified.reply);
    send(stream, &out).await?;
    Ok(Authenticated {
        method,
        secret: Some(Secret::ScramKeys(verified.keys)),
    })
}

async fn by_md5(
    stream: &mut Stream,
    user: &str,
    stored: &str,
    account: Account,
) -> Result<Authenticated, AuthenticateError> {
    let mut salt = [0; 4];
    getrandom::fill(&mut salt)?;
    let mut out = Vec::new();
    authentication::md5(&mut out, salt);
    send(stream, &out).await?;
    let answer = receive(stream).await?;
    let answer = std::str::from_utf8(authentication::password_answer(&answer)?).unwrap_or_default();
    match Md5Password::parse(stored) {
        Some(stored) if stored.check_answer(answer, salt) && account == Account::Open => {
            Ok(Authenticated {
                method: Method::Md5,
                secret: Some(Secret::Md5(stored)),
            })
        }
        _ => Err(wrong(user)),
    }
}

async fn by_stages(
    stream: &mut Stream,
    user: &str,
    credential: Option<&Credential>,
    account: Account,
    stages: &mut dyn AskStages,
    keys: &LoginKeys,
) -> Result<Authenticated, AuthenticateError> {
    if !stream.is_private() {
        return Err(AuthenticateError::CleartextNeedsTls);
    }
    let mut out = Vec::new();
    authentication::cleartext(&mut out);
    send(stream, &out).await?;
    let answer = receive(stream).await?;
    let answer = authentication::password_answer(&answer)?;
    if answer.is_empty() {
        return Err(AuthenticateError::EmptyPassword);
    }
    if password::PASSWORD_BYTES_MAX < answer.len() {
        return Err(wrong(user));
    }
    let password = text_of(user, std::str::from_utf8(answer).ok())?;
    // An expired user's password is nobody's business, a stage's neither.
    let verdict = if account == Account::Open {
        stages.ask(&password).await
    } else {
        StageLogin::Deferred
    };
    let method = match verdict {
        StageLogin::Accepted => Method::Stage,
        StageLogin::Denied { reason } => {
            return Err(AuthenticateError::Rejected {
                user: user.into(),
                why: Rejection::Stage { reason },
            });
        }
        StageLogin::Deferred
            if fits(user, &password, credential, keys).await? && account == Account::Open =>
        {
            Method::Password
        }
        StageLogin::Deferred => return Err(wrong(user)),
    };
    Ok(Authenticated {
        method,
        secret: Some(Secret::Password(password)),
    })
}

/// Whether the policy's credential takes this password. A user that does not exist costs as much as one with a verifier.
async fn fits(
    user: &str,
    password: &Zeroizing<String>,
    credential: Option<&Credential>,
    keys: &LoginKeys,
) -> Result<bool, AuthenticateError> {
    let verifier = match credential {
        Some(Credential::Trust) => return Ok(true),
        Some(Credential::Md5(stored)) => {
            return Ok(
                Md5Password::parse(stored).is_some_and(|stored| stored.verify(password, user))
            );
        }
        Some(Credential::Verifier(verifier)) => verifier.clone(),
        Some(Credential::Password(secret)) => {
            let expected = text_of(user, secret.expose_text())?;
            keys.verifier(user, &expected).await?
        }
        None => keys.mock(user),
    };
    let password = password.clone();
    keys::blocking(move || verifier.verify(&password)).await
}

/// A password as text. What is not UTF-8 fits nothing.
fn text_of(user: &str, text: Option<&str>) -> Result<Zeroizing<String>, AuthenticateError> {
    let text = text.ok_or_else(|| wrong(user))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn wrong(user: &str) -> AuthenticateError {
    AuthenticateError::Rejected {
        user: Arc::from(user),
        why: Rejection::WrongPassword,
    }
}

async fn send(stream: &mut Stream, message: &[u8]) -> Result<(), AuthenticateError> {
    stream
        .write_all(message)
        .await
        .map_err(AuthenticateError::Io)?;
    stream.flush().await.map_err(AuthenticateError::Io)
}

/// The body of the client's next answer.
async fn receive(stream: &mut Stream) -> Result<Zeroizing<Vec<u8>>, AuthenticateError> {
    let message = read_message(stream, ANSWER_BYTES_MAX).await?;
    match message.tag {
        authentication::ANSWER_TAG => Ok(message.body),
        b'X' => Err(AuthenticateError::Closed),
        tag => Err(AuthenticateError::Unexpected { tag }),
    }
}
