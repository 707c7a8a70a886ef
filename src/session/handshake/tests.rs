//! Tests of `session/handshake` over real sockets.

use super::*;
use crate::client_facing::ClientFacing as _;
use crate::net::ClientTls;
use crate::net::tls::TlsVersion;
use crate::sqlstate::SqlState;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::net::UnixStream;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn server_tls() -> Arc<ServerTls> {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let (chain, key) = (certificate.pem(), key.serialize_pem());
    Arc::new(ServerTls::from_pem(chain.as_bytes(), key.as_bytes(), TlsVersion::V1_2).unwrap())
}

async fn tcp_pair() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (Stream::Tcp(accepted.unwrap().0), client.unwrap())
}

fn startup_bytes(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    startup::startup_message(&mut out, parameters.iter().copied());
    out[4..8].copy_from_slice(&version.to_be_bytes());
    out
}

const V3: u32 = 3 << 16;
const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";
const GSS_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x30";

/// What comes of a client that sends `bytes` and then closes its side.
async fn outcome(bytes: &[u8], tls: &ListenerTls) -> Result<Greeting, Failure> {
    let (stream, mut client) = tcp_pair().await;
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    handshake(stream, tls, soon()).await
}

fn startup_of(greeting: Result<Greeting, Failure>) -> Startup {
    match greeting {
        Ok(Greeting::Startup(startup)) => *startup,
        other => panic!("no startup: {other:?}"),
    }
}

#[tokio::test]
async fn a_plain_client_gets_in_where_tls_is_not_required() {
    let user = startup_bytes(V3, &[("user", "u"), ("options", "-c a=b")]);
    for tls in [ListenerTls::Disable, ListenerTls::Allow(server_tls())] {
        let startup = startup_of(outcome(&user, &tls).await);
        assert_eq!(
            startup.parameters.settings,
            [("a".to_owned(), "b".to_owned())]
        );
        assert_eq!((startup.minor, startup.tls), (0, None));
    }
    let refused = outcome(&user, &ListenerTls::Require(server_tls()))
        .await
        .unwrap_err();
    assert_eq!(refused.error.sqlstate(), SqlState::INVALID_AUTHORIZATION);
    assert!(refused.stream.is_some());
}

#[tokio::test]
async fn encryption_is_asked_for_and_answered() {
    let tls = ListenerTls::Require(server_tls());
    let (stream, mut client) = tcp_pair().await;
    let client = async {
        let mut answer = [0];
        client.write_all(GSS_REQUEST).await.unwrap();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"N");
        client.write_all(SSL_REQUEST).await.unwrap();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"S");
        let mut secured = ClientTls::require()
            .unwrap()
            .connect(client, "localhost")
            .await
            .unwrap();
        send(&mut secured, &startup_bytes(V3 | 2, &[("user", "u")]))
            .await
            .unwrap();
        secured
    };
    let (greeting, _client) = tokio::join!(handshake(stream, &tls, soon()), client);
    let startup = startup_of(greeting);
    assert_eq!(startup.minor, 2);
    assert!(startup.stream.is_private() && startup.stream.end_point().is_some());
    assert_eq!(startup.tls.unwrap().alpn, Alpn::Postgresql);
}

#[tokio::test]
async fn tls_from_the_first_byte_is_taken_where_there_is_tls() {
    let tls = server_tls();
    for (listener, let_in) in [
        (ListenerTls::Allow(Arc::clone(&tls)), true),
        (ListenerTls::Disable, false),
    ] {
        let (stream, client) = tcp_pair().await;
        let client = async {
            let mut secured = ClientTls::require()
                .unwrap()
                .connect(client, "localhost")
                .await
                .ok()?;
            send(&mut secured, &startup_bytes(V3, &[("user", "u")]))
                .await
                .ok()?;
            Some(secured)
        };
        let (greeting, client) = tokio::join!(handshake(stream, &listener, soon()), client);
        assert_eq!((greeting.is_ok(), client.is_some()), (let_in, let_in));
    }
}

#[tokio::test]
async fn no_request_works_twice_or_inside_tls() {
    let twice = [GSS_REQUEST, GSS_REQUEST].concat();
    let (stream, mut client) = tcp_pair().await;
    let asking = async {
        let mut answer = [0];
        client.write_all(&twice[..8]).await.unwrap();
        client.read_exact(&mut answer).await.unwrap();
        client.write_all(&twice[8..]).await.unwrap();
        client
    };
    let (greeting, _client) =
        tokio::join!(handshake(stream, &ListenerTls::Disable, soon()), asking);
    assert!(matches!(
        greeting.unwrap_err().error,
        HandshakeError::AskedAgain
    ));

    let tls = ListenerTls::Allow(server_tls());
    let (stream, client) = tcp_pair().await;
    let asking = async {
        let mut secured = ClientTls::require()
            .unwrap()
            .connect(client, "localhost")
            .await
            .unwrap();
        send(&mut secured, SSL_REQUEST).await.unwrap();
        secured
    };
    let (greeting, _client) = tokio::join!(handshake(stream, &tls, soon()), asking);
    assert!(matches!(
        greeting.unwrap_err().error,
        HandshakeError::AskedAgain
    ));
}

#[tokio::test]
async fn bytes_before_the_encryption_are_refused() {
    let early = [SSL_REQUEST, &startup_bytes(V3, &[("user", "u")])].concat();
    let failure = outcome(&early, &ListenerTls::Allow(server_tls()))
        .await
        .unwrap_err();
    assert!(matches!(failure.error, HandshakeError::TooEarly));
    assert_eq!(failure.error.sqlstate(), SqlState::PROTOCOL_VIOLATION);
}

#[tokio::test]
async fn a_newer_version_is_negotiated() {
    let (stream, mut client) = tcp_pair().await;
    let grease = startup_bytes(V3 | 9999, &[("user", "u"), ("_pq_.grease", "1")]);
    client.write_all(&grease).await.unwrap();
    let startup = startup_of(handshake(stream, &ListenerTls::Disable, soon()).await);
    assert_eq!(startup.minor, 2);
    let mut told = [0; 13];
    client.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"v\0\0\0\x18\0\x03\0\x02\0\0\0\x01");
}

#[tokio::test]
async fn probes_are_silent_and_the_rest_is_told() {
    assert!(matches!(
        outcome(b"", &ListenerTls::Disable).await,
        Ok(Greeting::Closed)
    ));
    for (bytes, code, quiet) in [
        (&b"\0\0"[..], SqlState::PROTOCOL_VIOLATION, true),
        (b"\0\0\0\x20abc", SqlState::PROTOCOL_VIOLATION, true),
        (
            b"GET / HTTP/1.1\r\n\r\n",
            SqlState::PROTOCOL_VIOLATION,
            false,
        ),
        (
            &startup_bytes(2 << 16, &[("user", "u")]),
            SqlState::FEATURE_NOT_SUPPORTED,
            false,
        ),
        (
            &startup_bytes(V3, &[]),
            SqlState::INVALID_AUTHORIZATION,
            false,
        ),
        (
            &startup_bytes(V3, &[("user", "u"), ("replication", "1")]),
            SqlState::FEATURE_NOT_SUPPORTED,
            false,
        ),
    ] {
        let failure = outcome(bytes, &ListenerTls::Disable).await.unwrap_err();
        assert_eq!(
            (failure.error.sqlstate(), failure.error.is_quiet()),
            (code, quiet),
            "{bytes:?}"
        );
        assert!(failure.stream.is_some() && !failure.error.client_message().is_empty());
    }
}

#[tokio::test]
async fn a_cancel_request_needs_no_tls() {
    let key = CancelKey::new(7, &[9; 32]).unwrap();
    let mut request = Vec::new();
    startup::cancel_request(&mut request, &key);
    match outcome(&request, &ListenerTls::Require(server_tls())).await {
        Ok(Greeting::Cancel(read)) => assert!(read.process_id == 7 && read.matches(&[9; 32])),
        other => panic!("no cancel: {other:?}"),
    }
}

#[tokio::test]
async fn a_unix_socket_is_as_good_as_tls() {
    let (ours, mut client) = UnixStream::pair().unwrap();
    client.write_all(SSL_REQUEST).await.unwrap();
    client
        .write_all(&startup_bytes(V3, &[("user", "u")]))
        .await
        .unwrap();
    let tls = ListenerTls::Require(server_tls());
    let startup = startup_of(handshake(Stream::Unix(ours), &tls, soon()).await);
    assert!(startup.tls.is_none() && startup.stream.is_private());
    let mut answer = [0];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"N");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_not_waited_for() {
    let (ours, _client) = UnixStream::pair().unwrap();
    let failure = handshake(Stream::Unix(ours), &ListenerTls::Disable, Instant::now())
        .await
        .unwrap_err();
    assert!(matches!(failure.error, HandshakeError::DeadlinePassed));
}
