//! TLS configurations, ours towards clients and ours towards nodes, and their handshakes. Certificates come as bytes; files
//! are somebody else's. Session tickets and resumption are off: with them a certificate changed by a reload would break
//! channel binding.

mod end_point;
#[cfg(test)]
mod tests;

use super::stream::Secured;
use super::stream::Stream;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::SignatureScheme;
use rustls::SupportedProtocolVersion;
use rustls::client::Resumption;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::IpAddr;
use rustls::pki_types::Ipv4Addr;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::NoServerSessionStorage;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::TlsConnector;

/// The application protocol of PostgreSQL, as registered with IANA.
pub const ALPN: &[u8] = b"postgresql";

static VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// The oldest version of TLS that is accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl TlsVersion {
    fn and_newer(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::V1_2 => &VERSIONS,
            Self::V1_3 => &VERSIONS[1..],
        }
    }
}

/// Why a TLS configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The bytes are not PEM, or hold no certificate.
    #[error("no certificate could be read: {0}")]
    Certificate(rustls::pki_types::pem::Error),
    /// The bytes are not PEM, or hold no private key.
    #[error("no private key could be read: {0}")]
    Key(rustls::pki_types::pem::Error),
    /// The parts do not make a configuration: most often a key that is not the certificate's.
    #[error("certificate and key are not usable: {0}")]
    Unusable(#[from] rustls::Error),
    /// The system has no trust roots.
    #[error("the system has no trust roots; name a `ca`")]
    NoRoots,
}

/// What a listener says to a client that asks for TLS.
#[derive(Clone, Debug)]
pub enum ListenerTls {
    /// No.
    Disable,
    /// Yes, and clients that do not ask are let in as well.
    Allow(Arc<ServerTls>),
    /// Yes, and clients that do not ask are refused.
    Require(Arc<ServerTls>),
}

/// Our side towards clients.
pub struct ServerTls {
    acceptor: TlsAcceptor,
    end_point: Option<Arc<[u8]>>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerTls(..)")
    }
}

impl ServerTls {
    /// A configuration that shows the whole `chain` (PEM, our certificate first) and owns `key` (PEM).
    ///
    /// # Errors
    /// When either cannot be read or they do not fit together.
    pub fn from_pem(chain: &[u8], key: &[u8], min: TlsVersion) -> Result<Self, TlsError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
        let end_point = chain
            .first()
            .and_then(|own| end_point::hash(own))
            .map(Arc::from);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(min.and_newer())?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self {
            acceptor,
            end_point,
        })
    }

    /// The handshake with a client. Not cancel safe.
    ///
    /// # Errors
    /// When it fails; the client has been told by an alert.
    pub async fn accept(&self, tcp: TcpStream) -> io::Result<Stream> {
        let tls = self.acceptor.accept(tcp).await?;
        let end_point = self.end_point.clone();
        Ok(Stream::TlsServer(Box::new(Secured { tls, end_point })))
    }
}

/// Our side towards nodes.
pub struct ClientTls {
    connector: TlsConnector,
    names: Names,
}

/// Whether the name we connect to has to be one that a certificate can hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Checked,
    Ignored,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientTls(..)")
    }
}

impl ClientTls {
    /// `require`: encrypted, whoever the node is. Keeps listeners out, not impostors.
    ///
    /// # Errors
    /// Never in practice: the versions are those the provider has.
    pub fn require() -> Result<Self, TlsError> {
        let provider = provider();
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(TlsVersion::default().and_newer())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate { provider }))
            .with_no_client_auth();
        Ok(Self::new(config, Names::Ignored))
    }

    /// `verify-full`: the node's certificate must lead to a root of `ca` (PEM), or of the system's without one, and name
    /// the host we connect to.
    ///
    /// # Errors
    /// When there is no root.
    pub fn verify_full(ca: Option<&[u8]>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(pem) => {
                for root in certificates(pem)? {
                    roots.add(root)?;
                }
            }
            None => {
                // Single system roots that cannot be read do no harm while there are others.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(TlsError::NoRoots);
                }
            }
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(TlsVersion::default().and_newer())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::new(config, Names::Checked))
    }

    fn new(mut config: ClientConfig, names: Names) -> Self {
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        let connector = TlsConnector::from(Arc::new(config));
        Self { connector, names }
    }

    /// The handshake with a node that has agreed to it. Not cancel safe.
    ///
    /// # Errors
    /// When it fails, or the node is not the one it should be.
    pub async fn connect(&self, tcp: TcpStream, host: &str) -> io::Result<Stream> {
        let name = match ServerName::try_from(host.to_owned()) {
            Ok(name) => name,
            // No certificate names such a host; an address in its place keeps it out of the handshake.
            Err(_) if self.names == Names::Ignored => {
                ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0; 4])))
            }
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
        };
        let tls = self.connector.connect(name, tcp).await?;
        let end_point = tls
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| end_point::hash(chain.first()?))
            .map(Arc::from);
        Ok(Stream::TlsClient(Box::new(Secured { tls, end_point })))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(TlsError::Certificate)?;
    if certificates.is_empty() {
        return Err(TlsError::Certificate(
            rustls::pki_types::pem::Error::NoItemsFound,
        ));
    }
    Ok(certificates)
}

/// Takes any certificate, but still checks that the node owns its key.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
