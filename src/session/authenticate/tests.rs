//! Tests of `session/authenticate`: a client and the proxy on two ends of a socket.

use super::*;
use crate::client_facing::ClientFacing as _;
use crate::policy::Secret as PolicySecret;
use crate::sqlstate::SqlState;
use crate::wire::authentication::Request;
use crate::wire::scram::Binding;
use crate::wire::scram::Client;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UnixStream;

const USER: &str = "alice";

fn keys() -> LoginKeys {
    LoginKeys::new([7; 32])
}

fn secret(password: &str) -> Credential {
    Credential::Password(PolicySecret::new(password.as_bytes().to_vec(), "test"))
}

fn verifier(password: &str) -> Credential {
    Credential::Verifier(Verifier::from_password(password, b"salt of the test", 4096))
}

fn offer<'a>(credential: Option<&'a Credential>, keys: &'a LoginKeys) -> Offer<'a> {
    let deadline = Instant::now() + Duration::from_secs(10);
    Offer {
        user: USER,
        credential,
        account: Account::Open,
        stages: None,
        keys,
        deadline,
    }
}

/// A client that answers whatever it is asked; the tags and codes of what it was asked.
async fn client(mut stream: Stream, password: &str) -> Vec<u8> {
    let mut asked = Vec::new();
    let mut scram: Option<Client> = None;
    let mut out = Vec::new();
    while let Ok(message) = read_message(&mut stream, 10_000).await {
        asked.push(message.body[3]);
        out.clear();
        match authentication::request(&message.body).unwrap() {
            Request::Cleartext => authentication::password_message(&mut out, password.as_bytes()),
            Request::Md5 { salt } => {
                let answer = Md5Password::from_password(password, USER).answer(salt);
                authentication::password_message(&mut out, answer.as_bytes());
            }
            Request::Sasl(_) => {
                let secret = scram::Secret::Password(Zeroizing::new(password.to_owned()));
                let (client, first) = Client::new(secret, &Binding::Unsupported, &[1; 18]);
                authentication::sasl_initial_response(&mut out, client.mechanism(), &first);
                scram = Some(client);
            }
            Request::SaslContinue(challenge) => {
                let (_, last) = scram.take().unwrap().first(challenge).unwrap();
                authentication::sasl_response(&mut out, &last);
            }
            _ => (),
        }
        stream.write_all(&out).await.unwrap();
    }
    asked
}

async fn log_in(
    offer: Offer<'_>,
    password: &str,
) -> (Result<Authenticated, AuthenticateError>, Vec<u8>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let proxy = async move { authenticate(&mut Stream::Unix(ours), offer).await };
    tokio::join!(proxy, client(Stream::Unix(theirs), password))
}

#[tokio::test]
async fn each_credential_has_its_method() {
    let keys = keys();
    let md5 = Credential::Md5("md5".to_owned() + "a5c5ae2e4a3b9f2bb7bb5a0d8a6bb4a0");
    for (credential, method, right) in [
        (Credential::Trust, Method::Trust, true),
        (verifier("secret"), Method::Scram, true),
        (verifier("other"), Method::Scram, false),
        (secret("secret"), Method::Scram, true),
        (secret("other"), Method::Scram, false),
        (md5, Method::Md5, false),
        (Credential::Md5("nonsense".to_owned()), Method::Md5, false),
    ] {
        let (outcome, _) = log_in(offer(Some(&credential), &keys), "secret").await;
        match outcome {
            Ok(authenticated) => assert!(right && authenticated.method == method, "{credential:?}"),
            Err(error) => {
                assert!(!right, "{credential:?}: {error}");
                assert_eq!(
                    error.client_message(),
                    "password authentication failed for user \"alice\""
                );
                assert_eq!(error.sqlstate(), SqlState::INVALID_PASSWORD);
            }
        }
    }
}

#[tokio::test]
async fn the_right_md5_answer_lets_in() {
    let stored = Credential::Md5("md54a0a68b43b6cd5cf266fa02f196e2371".to_owned());
    let keys = keys();
    let (outcome, asked) = log_in(offer(Some(&stored), &keys), "secret").await;
    assert!(matches!(outcome.unwrap().secret, Some(Secret::Md5(_))));
    assert_eq!(asked, [5]);
}

#[tokio::test]
async fn nobody_and_the_wrong_password_look_the_same() {
    let keys = keys();
    let known = secret("right");
    let (wrong, asked_wrong) = log_in(offer(Some(&known), &keys), "guess").await;
    let (nobody, asked_nobody) = log_in(offer(None, &keys), "guess").await;
    let expired = Offer {
        account: Account::Expired,
        ..offer(Some(&known), &keys)
    };
    let (expired, asked_expired) = log_in(expired, "right").await;
    let trusted = Offer {
        account: Account::Expired,
        ..offer(Some(&Credential::Trust), &keys)
    };
    let (trusted, asked_trusted) = log_in(trusted, "right").await;
    let outcomes = [wrong, nobody, expired, trusted].map(|outcome| {
        let error = outcome.unwrap_err();
        (error.sqlstate(), error.client_message())
    });
    assert!(
        outcomes.iter().all(|outcome| *outcome == outcomes[0]),
        "{outcomes:?}"
    );
    for asked in [asked_wrong, asked_nobody, asked_expired, asked_trusted] {
        assert_eq!(asked, [10, 11]);
    }
}

#[tokio::test]
async fn a_password_is_hashed_once() {
    let keys = keys();
    let text = Zeroizing::new("secret".to_owned());
    let first = keys.verifier(USER, &text).await.unwrap();
    assert_eq!(first, keys.verifier(USER, &text).await.unwrap());
    assert_ne!(first, keys.verifier("bob", &text).await.unwrap());
    let other = Zeroizing::new("secret2".to_owned());
    assert_ne!(first, keys.verifier(USER, &other).await.unwrap());
}

/// Stages that answer at once.
struct Answering<F>(F);

impl<F: FnMut(&str) -> StageLogin + Send> AskStages for Answering<F> {
    fn ask<'s>(
        &'s mut self,
        password: &'s str,
    ) -> Pin<Box<dyn Future<Output = StageLogin> + Send + 's>> {
        Box::pin(std::future::ready((self.0)(password)))
    }
}

#[tokio::test]
async fn stages_are_asked_with_the_password_and_may_defer() {
    let keys = keys();
    let (known, trust) = (verifier("secret"), Credential::Trust);
    let denied = StageLogin::Denied {
        reason: "not today".to_owned(),
    };
    for (answer, credential, account, expected) in [
        (StageLogin::Accepted, None, Account::Open, Ok(Method::Stage)),
        (
            StageLogin::Accepted,
            Some(&known),
            Account::Expired,
            Err(SqlState::INVALID_PASSWORD),
        ),
        (
            StageLogin::Deferred,
            Some(&known),
            Account::Open,
            Ok(Method::Password),
        ),
        (
            StageLogin::Deferred,
            Some(&trust),
            Account::Open,
            Ok(Method::Password),
        ),
        (
            StageLogin::Deferred,
            None,
            Account::Open,
            Err(SqlState::INVALID_PASSWORD),
        ),
        (
            denied,
            Some(&known),
            Account::Open,
            Err(SqlState::INVALID_PASSWORD),
        ),
    ] {
        let mut seen = None;
        let mut stages = Answering(|password: &str| {
            seen = Some(password.to_owned());
            answer.clone()
        });
        let offer = Offer {
            account,
            stages: Some(&mut stages),
            ..offer(credential, &keys)
        };
        let (outcome, asked) = log_in(offer, "secret").await;
        let outcome = outcome
            .map(|authenticated| authenticated.method)
            .map_err(|error| error.sqlstate());
        assert_eq!(outcome, expected, "{answer:?}");
        assert_eq!(asked, [3]);
        assert_eq!(seen.is_some(), account == Account::Open);
    }
}

#[tokio::test]
async fn a_cleartext_password_is_never_asked_for_in_the_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (theirs, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let keys = keys();
    let mut stages = Answering(|_: &str| StageLogin::Accepted);
    let offer = Offer {
        stages: Some(&mut stages),
        ..offer(None, &keys)
    };
    let error = authenticate(&mut Stream::Tcp(accepted.unwrap().0), offer)
        .await
        .unwrap_err();
    assert!(matches!(error, AuthenticateError::CleartextNeedsTls));
    assert!(
        client(Stream::Tcp(theirs.unwrap()), "secret")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_no_answer_ends_the_login() {
    let keys = keys();
    let known = verifier("secret");
    for (bytes, quiet, code) in [
        (&b""[..], true, SqlState::PROTOCOL_VIOLATION),
        (b"X\0\0\0\x04", true, SqlState::PROTOCOL_VIOLATION),
        (b"Q\0\0\0\x05\0", false, SqlState::PROTOCOL_VIOLATION),
        (b"p\x7f\xff\xff\xff", false, SqlState::PROTOCOL_VIOLATION),
        (b"p\0\0\x10\0", false, SqlState::PROTOCOL_VIOLATION),
        (b"p\0\0\0\x04", false, SqlState::PROTOCOL_VIOLATION),
        (
            b"p\0\0\0\x15SCRAM-SHA-1\0\0\0\0\0x",
            false,
            SqlState::PROTOCOL_VIOLATION,
        ),
    ] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut theirs = Stream::Unix(theirs);
        theirs.write_all(bytes).await.unwrap();
        theirs.shutdown().await.unwrap();
        let error = authenticate(&mut Stream::Unix(ours), offer(Some(&known), &keys))
            .await
            .unwrap_err();
        assert_eq!(
            (error.is_quiet(), error.sqlstate()),
            (quiet, code),
            "{bytes:?}: {error}"
        );
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_not_waited_for() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let keys = keys();
    let offer = Offer {
        deadline: Instant::now(),
        ..offer(None, &keys)
    };
    let error = authenticate(&mut Stream::Unix(ours), offer)
        .await
        .unwrap_err();
    assert!(matches!(error, AuthenticateError::DeadlinePassed));
}
