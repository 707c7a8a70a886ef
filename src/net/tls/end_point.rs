//! The hash of a certificate for the channel binding `tls-server-end-point` (RFC 5929, section 4.1). Reads just enough DER to
//! find which hash the certificate was signed with.

use sha2::Digest as _;
use sha2::Sha224;
use sha2::Sha256;
use sha2::Sha384;
use sha2::Sha512;

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const EXPLICIT_0: u8 = 0xa0;

/// 1.2.840.113549.1.1: RSA, with the hash in the last byte.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// 1.2.840.10045.4: ECDSA, with the hash in the last byte or bytes.
const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
/// 2.16.840.1.101.3.4.2: the SHA-2 family.
const SHA_2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// The hash of a certificate (DER); `None` when its signature names no hash, as Ed25519's does not.
pub(super) fn hash(certificate: &[u8]) -> Option<Vec<u8>> {
    Some(match signature_hash(certificate)? {
        Hash::Sha224 => Sha224::digest(certificate).to_vec(),
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

/// Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID, parameters }, signature }
fn signature_hash(certificate: &[u8]) -> Option<Hash> {
    let (fields, _) = element(certificate, SEQUENCE)?;
    let (_, fields) = element(fields, SEQUENCE)?;
    let (algorithm, _) = element(fields, SEQUENCE)?;
    let (identifier, parameters) = element(algorithm, OBJECT_IDENTIFIER)?;
    match (identifier.strip_prefix(RSA), identifier.strip_prefix(ECDSA)) {
        // MD5 and SHA-1 are replaced by SHA-256, says the RFC.
        (Some([4 | 5 | 11]), _) | (_, Some([1] | [3, 2])) => Some(Hash::Sha256),
        (Some([14]), _) | (_, Some([3, 1])) => Some(Hash::Sha224),
        (Some([12]), _) | (_, Some([3, 3])) => Some(Hash::Sha384),
        (Some([13]), _) | (_, Some([3, 4])) => Some(Hash::Sha512),
        (Some([10]), _) => pss_hash(parameters),
        _ => None,
    }
}

/// RSASSA-PSS-params ::= SEQUENCE { [0] hashAlgorithm SEQUENCE { OID, .. } DEFAULT sha1, .. }
fn pss_hash(parameters: &[u8]) -> Option<Hash> {
    let (parameters, _) = element(parameters, SEQUENCE)?;
    let Some((explicit, _)) = element(parameters, EXPLICIT_0) else {
        return Some(Hash::Sha256); // SHA-1, replaced
    };
    let (algorithm, _) = element(explicit, SEQUENCE)?;
    let (identifier, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    match identifier.strip_prefix(SHA_2) {
        Some([1]) => Some(Hash::Sha256),
        Some([2]) => Some(Hash::Sha384),
        Some([3]) => Some(Hash::Sha512),
        Some([4]) => Some(Hash::Sha224),
        _ => None,
    }
}

/// The contents of the element at the front, which must have `tag`, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let mut length = 0_usize;
        for digit in digits {
            length = length.checked_mul(256)?.checked_add(usize::from(*digit))?;
        }
        (length, rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::any;
    use proptest::prelude::prop;
    use proptest::proptest;
    use std::hint::black_box;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let contents = parts.concat();
        let mut out = vec![tag, 0x82];
        out.extend(u16::try_from(contents.len()).unwrap().to_be_bytes());
        out.extend(contents);
        out
    }

    fn certificate(identifier: &[u8], parameters: &[u8]) -> Vec<u8> {
        let algorithm = der(
            SEQUENCE,
            &[&der(OBJECT_IDENTIFIER, &[identifier]), parameters],
        );
        der(
            SEQUENCE,
            &[&der(SEQUENCE, &[&[0; 300]]), &algorithm, b"signature"],
        )
    }

    #[test]
    fn the_signature_says_which_hash() {
        let pss = |last: u8| {
            let identifier = der(OBJECT_IDENTIFIER, &[SHA_2, &[last]]);
            der(
                SEQUENCE,
                &[&der(EXPLICIT_0, &[&der(SEQUENCE, &[&identifier])])],
            )
        };
        for (family, rest, parameters, expected) in [
            (RSA, &[5][..], vec![], Some(Hash::Sha256)),
            (RSA, &[11], vec![5, 0], Some(Hash::Sha256)),
            (RSA, &[12], vec![], Some(Hash::Sha384)),
            (RSA, &[13], vec![], Some(Hash::Sha512)),
            (RSA, &[14], vec![], Some(Hash::Sha224)),
            (RSA, &[10], der(SEQUENCE, &[]), Some(Hash::Sha256)),
            (RSA, &[10], pss(2), Some(Hash::Sha384)),
            (RSA, &[10], pss(9), None),
            (ECDSA, &[1], vec![], Some(Hash::Sha256)),
            (ECDSA, &[3, 2], vec![], Some(Hash::Sha256)),
            (ECDSA, &[3, 3], vec![], Some(Hash::Sha384)),
            (ECDSA, &[3, 4], vec![], Some(Hash::Sha512)),
            (&[0x2b, 0x65, 0x70], &[], vec![], None), // Ed25519
        ] {
            let certificate = certificate(&[family, rest].concat(), &parameters);
            assert_eq!(
                signature_hash(&certificate),
                expected,
                "{family:?} {rest:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_crash_it(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..400) {
            black_box(hash(&bytes));
            let whole = certificate(RSA, &bytes);
            black_box(hash(&whole[..cut.min(whole.len())]));
        }
    }
}
