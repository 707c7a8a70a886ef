//! Tests of `pool/connect` against nodes that say what a test wants them to.

use super::*;
use crate::client_facing::ClientFacing as _;
use crate::sqlstate::SqlState;
use crate::wire::authentication;
use crate::wire::encode;
use crate::wire::error_response::ErrorFields;
use crate::wire::scram;
use crate::wire::scram::Server;
use crate::wire::scram::Verifier;
use crate::wire::startup::Parameters;
use crate::wire::startup::Replication;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

async fn node() -> (TcpListener, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = Address::Tcp {
        host: "127.0.0.1".into(),
        port,
    };
    (
        listener,
        Target {
            address,
            tls: None,
            connect_timeout: Duration::from_secs(10),
        },
    )
}

fn login(password: Option<&str>) -> Login {
    let secret = password.map(|password| Secret::Password(Zeroizing::new(password.to_owned())));
    let settings = vec![("application_name".to_owned(), "pgwarden".to_owned())];
    Login {
        user: "alice".into(),
        secret,
        settings,
    }
}

/// Takes one connection and its StartupMessage.
async fn accept(listener: &TcpListener) -> TcpStream {
    let (mut tcp, _) = listener.accept().await.unwrap();
    let length = tcp.read_u32().await.unwrap();
    let mut packet = vec![0; usize::try_from(length).unwrap() - 4];
    tcp.read_exact(&mut packet).await.unwrap();
    tcp
}

fn ready(out: &mut Vec<u8>) {
    encode::parameter_status(out, "server_version", "15.4");
    encode::parameter_status(out, "TimeZone", "UTC");
    encode::parameter_status(out, "TimeZone", "GMT");
    out.extend_from_slice(b"S\0\0\0\x08a\0\xff\0"); // not UTF-8
    encode::backend_key_data(out, 42, &[1, 2, 3, 4]);
    encode::ready_for_query(out, b'I');
}

/// What comes of a node that sends `bytes` whatever it is sent.
async fn outcome(bytes: &[u8], password: Option<&str>) -> Result<Connected, ConnectError> {
    let (listener, target) = node().await;
    let node = async {
        let mut tcp = accept(&listener).await;
        tcp.write_all(bytes).await.unwrap();
        tcp.shutdown().await.unwrap();
        tcp
    };
    let login = login(password);
    let (outcome, _node) = tokio::join!(connect(&target, &login, "db"), node);
    outcome
}

#[tokio::test]
async fn a_node_that_trusts_us_is_ready_and_nothing_is_read_beyond() {
    let mut bytes = Vec::new();
    ErrorFields::error(SqlState::SUCCESS, "hello").encode_notice(&mut bytes);
    encode::authentication_ok(&mut bytes);
    ready(&mut bytes);
    ErrorFields::error(SqlState::SUCCESS, "later").encode_notice(&mut bytes);
    let mut connected = outcome(&bytes, None).await.unwrap();
    let expected = [("server_version", "15.4"), ("TimeZone", "GMT")];
    assert_eq!(
        connected.parameters,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(
        (
            connected.backend_key.process_id,
            connected.backend_key.secret()
        ),
        (42, &[1, 2, 3, 4][..])
    );
    assert_eq!(connected.stream.read_u8().await.unwrap(), b'N');
}

/// Serves one SCRAM login of `password` on a connection, then becomes ready.
async fn serve_scram(tcp: &mut TcpStream, password: &str) -> Option<()> {
    let server = Server::new(Verifier::from_password(password, b"salt", 4096), None);
    let mut out = Vec::new();
    authentication::sasl(&mut out, server.mechanisms());
    tcp.write_all(&out).await.ok()?;
    let answer = read_message(tcp, 2000).await.ok()?;
    let (mechanism, first) = authentication::sasl_initial_answer(&answer.body).ok()?;
    let (server, reply) = server
        .first(std::str::from_utf8(mechanism).ok()?, first, &[5; 18])
        .ok()?;
    out.clear();
    authentication::sasl_continue(&mut out, &reply);
    tcp.write_all(&out).await.ok()?;
    let answer = read_message(tcp, 2000).await.ok()?;
    out.clear();
    match server.last(&answer.body) {
        Ok(verified) => authentication::sasl_final(&mut out, &verified.reply),
        Err(_) => {
            ErrorFields::fatal(SqlState::INVALID_PASSWORD, "no from 10.0.0.1").encode(&mut out)
        }
    }
    encode::authentication_ok(&mut out);
    ready(&mut out);
    tcp.write_all(&out).await.ok()
}

#[tokio::test]
async fn scram_lets_in_with_the_right_password_only() {
    for (password, code) in [
        ("secret", None),
        ("wrong", Some(SqlState::CONNECTION_FAILURE)),
    ] {
        let (listener, target) = node().await;
        let node = async {
            let mut tcp = accept(&listener).await;
            serve_scram(&mut tcp, "secret").await
        };
        let login = login(Some(password));
        let (outcome, _) = tokio::join!(connect(&target, &login, "db"), node);
        let told = outcome
            .err()
            .map(|error| (error.sqlstate(), error.client_message()));
        assert_eq!(told.as_ref().map(|told| told.0), code);
        assert!(told.is_none_or(|told| !told.1.contains("10.0.0.1")));
    }
}

#[tokio::test]
async fn a_node_cannot_skip_its_own_proof() {
    let mut bytes = Vec::new();
    authentication::sasl(&mut bytes, &[scram::SCRAM_SHA_256]);
    encode::authentication_ok(&mut bytes);
    ready(&mut bytes);
    assert!(matches!(
        outcome(&bytes, Some("p")).await,
        Err(ConnectError::Protocol(_))
    ));
}

#[tokio::test]
async fn a_login_that_lacks_what_is_asked_for_ends() {
    let made = |encode: fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        encode(&mut bytes);
        bytes
    };
    for bytes in [
        made(authentication::cleartext),
        made(|out| authentication::md5(out, [0; 4])),
        made(|out| authentication::sasl(out, &[scram::SCRAM_SHA_256])),
    ] {
        assert!(matches!(
            outcome(&bytes, None).await,
            Err(ConnectError::NoPassword)
        ));
    }
    let other = made(|out| authentication::sasl(out, &["OAUTHBEARER"]));
    assert!(matches!(
        outcome(&other, Some("p")).await,
        Err(ConnectError::Protocol(_))
    ));
    assert!(matches!(
        outcome(b"R\0\0\0\x08\0\0\0\x07", Some("p")).await,
        Err(ConnectError::Method(7))
    ));
}

#[tokio::test]
async fn nonsense_of_a_node_is_an_error_and_no_crash() {
    let ok = b"R\0\0\0\x08\0\0\0\0";
    for rest in [
        &b""[..],
        b"S\0\0\0\x03",
        b"S\x7f\xff\xff\xff",
        b"S\0\0\0\x06ab",
        b"K\0\0\0\x06ab",
        b"Z\0\0\0\x05T",
        b"Z\0\0\0\x05I", // without a key
        b"D\0\0\0\x04",
        b"E\0\0\0\x04",
        b"E\0\0\0\x05\0",
        b"R\0\0\0\x08\0\0\0\0",
    ] {
        assert!(
            outcome(&[ok, rest].concat(), None).await.is_err(),
            "{rest:?}"
        );
    }
    for first in [
        &b"R\0\0\0\x04"[..],
        b"R\0\0\0\x08\0\0\0\x05",
        b"R\0\0\0\x08\0\0\0\x0b",
        b"v\0\0\0\x04",
        b"HTTP/1.1",
    ] {
        assert!(outcome(first, Some("p")).await.is_err(), "{first:?}");
    }
    let notices = b"N\0\0\0\x05\0".repeat(2 * MESSAGES_MAX);
    assert!(matches!(
        outcome(&notices, None).await,
        Err(ConnectError::Protocol(_) | ConnectError::Io(_))
    ));
}

#[tokio::test]
async fn what_the_node_says_of_the_database_is_passed_on() {
    for (code, message, shown) in [
        ("3D000", "database \"db\" does not exist", true),
        ("53300", "too many clients", true),
        ("57P03", "starting up", true),
        ("28000", "no pg_hba.conf entry for host \"10.0.0.1\"", false),
        ("XX000", "internal", false),
    ] {
        let code = SqlState::parse(code).unwrap();
        let mut bytes = Vec::new();
        ErrorFields::fatal(code, message).encode(&mut bytes);
        let error = outcome(&bytes, None).await.unwrap_err();
        assert_eq!(
            (error.client_message() == message, error.sqlstate() == code),
            (shown, shown),
            "{code}"
        );
    }
}

#[tokio::test]
async fn tls_is_never_given_up() {
    for answer in [b"N", b"E", b"x"] {
        let (listener, mut target) = node().await;
        target.tls = Some(Arc::new(ClientTls::require().unwrap()));
        let node = async {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut request = [0; 8];
            tcp.read_exact(&mut request).await.unwrap();
            tcp.write_all(answer).await.unwrap();
            tcp
        };
        let login = login(None);
        let (outcome, _node) = tokio::join!(connect(&target, &login, "db"), node);
        assert!(matches!(
            outcome,
            Err(ConnectError::TlsRefused | ConnectError::Protocol(_))
        ));
    }
}

#[tokio::test]
async fn a_cancel_is_delivered_before_it_returns() {
    let (listener, target) = node().await;
    let key = BackendKey::new(42, &[1, 2, 3, 4]).unwrap();
    let node = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut request = [0; 16];
        tcp.read_exact(&mut request).await.unwrap();
        request
    };
    let (sent, request) = tokio::join!(send_cancel(&target, &key), node);
    assert!(sent.is_ok());
    assert_eq!(
        &request,
        b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x2a\x01\x02\x03\x04"
    );
}

#[tokio::test]
async fn names_cannot_smuggle_parameters() {
    let (_listener, target) = node().await;
    let login = Login {
        user: "a\0database\0b".into(),
        ..login(None)
    };
    assert!(matches!(
        connect(&target, &login, "db").await,
        Err(ConnectError::Name)
    ));
}

#[tokio::test]
async fn a_login_is_relayed_without_channel_binding() {
    let parameters = Parameters {
        user: "alice".to_owned(),
        database: "db".to_owned(),
        application_name: String::new(),
        settings: Vec::new(),
        replication: Replication::Off,
    };
    for (password, let_in) in [("secret", true), ("wrong", false)] {
        let (listener, target) = node().await;
        let node = async {
            let mut tcp = accept(&listener).await;
            serve_scram(&mut tcp, "secret").await
        };
        let (ours, theirs) = UnixStream::pair().unwrap();
        let parameters = &parameters;
        let relaying = async move {
            let deadline = Instant::now() + Duration::from_secs(10);
            connect_relayed(&target, parameters, &mut Stream::Unix(ours), deadline).await
        };
        // The client's side is the same code that logs in to nodes.
        let client =
            async move { login::log_in(&mut Stream::Unix(theirs), &login(Some(password))).await };
        let (relayed, client, _) = tokio::join!(relaying, client, node);
        assert_eq!(relayed.is_ok(), let_in);
        // AuthenticationOk is the caller's to send; here nobody does.
        assert!(matches!(client, Err(ConnectError::Closed)));
        if let Err(error) = relayed {
            assert_eq!(error.sqlstate(), SqlState::INVALID_PASSWORD);
        }
    }
}
