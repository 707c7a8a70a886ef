//! Tests of `net/tls`: both configurations against each other over a real socket.

use super::*;
use crate::net::stream::Alpn;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

struct Pem {
    certificate: String,
    key: String,
}

fn self_signed(algorithm: &'static rcgen::SignatureAlgorithm) -> Pem {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    Pem {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

fn server(pem: &Pem, min: TlsVersion) -> ServerTls {
    ServerTls::from_pem(pem.certificate.as_bytes(), pem.key.as_bytes(), min).unwrap()
}

async fn pair(
    server: &ServerTls,
    client: &ClientTls,
    host: &str,
) -> (io::Result<Stream>, io::Result<Stream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    tokio::join!(server.accept(accepted), client.connect(tcp, host))
}

#[tokio::test]
async fn both_sides_see_the_same_certificate() {
    for (algorithm, hash_bytes) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, Some(32)),
        (&rcgen::PKCS_ECDSA_P384_SHA384, Some(48)),
        (&rcgen::PKCS_ED25519, None),
    ] {
        let pem = self_signed(algorithm);
        let (accepted, connected) = pair(
            &server(&pem, TlsVersion::V1_3),
            &ClientTls::require().unwrap(),
            "127.0.0.1",
        )
        .await;
        let (mut accepted, mut connected) = (accepted.unwrap(), connected.unwrap());
        assert_eq!(accepted.end_point().map(|hash| hash.len()), hash_bytes);
        assert_eq!(accepted.end_point(), connected.end_point());
        assert!(accepted.is_private() && connected.tcp().is_some());
        let facts = accepted.tls_facts().unwrap();
        assert_eq!((facts.version, facts.alpn), ("TLSv1.3", Alpn::Postgresql));
        connected.write_all(b"hello").await.unwrap();
        connected.flush().await.unwrap();
        let mut heard = [0; 5];
        accepted.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }
}

#[tokio::test]
async fn verify_full_wants_the_right_root_and_the_right_name() {
    let (right, other) = (
        self_signed(&rcgen::PKCS_ECDSA_P256_SHA256),
        self_signed(&rcgen::PKCS_ECDSA_P256_SHA256),
    );
    for (ca, host, agreed) in [
        (&right, "localhost", true),
        (&right, "elsewhere", false),
        (&other, "localhost", false),
        (&right, "no name", false),
    ] {
        let client = ClientTls::verify_full(Some(ca.certificate.as_bytes())).unwrap();
        let (_, connected) = pair(&server(&right, TlsVersion::V1_2), &client, host).await;
        assert_eq!(connected.is_ok(), agreed, "{host}");
    }
    let (_, connected) = pair(
        &server(&right, TlsVersion::V1_2),
        &ClientTls::require().unwrap(),
        "no name",
    )
    .await;
    assert!(connected.is_ok());
}

#[test]
fn what_cannot_be_used_is_refused_beforehand() {
    let (one, two) = (
        self_signed(&rcgen::PKCS_ECDSA_P256_SHA256),
        self_signed(&rcgen::PKCS_ECDSA_P256_SHA256),
    );
    let made = |chain: &str, key: &str| {
        ServerTls::from_pem(chain.as_bytes(), key.as_bytes(), TlsVersion::V1_2)
    };
    assert!(matches!(made("", &one.key), Err(TlsError::Certificate(_))));
    assert!(matches!(
        made(&one.certificate, "nonsense"),
        Err(TlsError::Key(_))
    ));
    assert!(matches!(
        made(&one.certificate, &two.key),
        Err(TlsError::Unusable(_))
    ));
    assert!(made(&format!("{}{}", one.certificate, two.certificate), &one.key).is_ok());
    assert!(ClientTls::verify_full(Some(b"nonsense")).is_err());
}
