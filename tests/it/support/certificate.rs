//! Certificates for the tests: an authority, and one for `localhost` and 127.0.0.1 signed by it. Made once a run.

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use std::sync::OnceLock;

pub(crate) struct Certificate {
    /// The authority, PEM.
    pub(crate) authority: String,
    /// The certificate, PEM.
    pub(crate) certificate: String,
    /// Its key, PEM.
    pub(crate) key: String,
}

/// The certificate of every node and listener in the tests.
pub(crate) fn localhost() -> &'static Certificate {
    static MADE: OnceLock<Certificate> = OnceLock::new();
    MADE.get_or_init(|| {
        // Two names: a certificate whose issuer is its subject passes for self-signed.
        let mut params = named("authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&key).expect("an authority").pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().expect("a key");
        let signed = named("localhost", &["localhost", "127.0.0.1"]).signed_by(&key, &issuer);
        Certificate {
            authority,
            certificate: signed.expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    })
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("valid names");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
