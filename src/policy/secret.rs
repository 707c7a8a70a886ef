//! A value that must never be shown: kept once, wiped when dropped, absent from every format.
//! Owns no reading; `reading` fetches the bytes.

use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

const WRITTEN: &str = "written in the policy";

/// Secret bytes and where they came from. Clones share the bytes; the last one wipes them.
#[derive(Clone)]
pub struct Secret {
    bytes: Arc<Zeroizing<Vec<u8>>>,
    reference: Arc<str>,
}

impl Secret {
    /// Takes the bytes over. `reference` says where they came from and may be shown, as in `{ env = "PGPASSWORD" }`.
    #[must_use]
    pub fn new(bytes: Vec<u8>, reference: impl Into<Arc<str>>) -> Self {
        Self {
            bytes: Arc::new(Zeroizing::new(bytes)),
            reference: reference.into(),
        }
    }

    /// Bytes that stand in the policy itself, as verifiers may.
    pub(super) fn written(bytes: Vec<u8>) -> Self {
        Self::new(bytes, WRITTEN)
    }

    /// Whether the bytes stand in the policy itself.
    pub(super) fn is_written(&self) -> bool {
        &*self.reference == WRITTEN
    }

    /// The bytes. Name the call where it stands: every use of a secret should be easy to find.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes as text, if they are UTF-8.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// Where the secret came from; not secret itself.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new(b"hunter2".to_vec(), "{ env = \"PW\" }");
        assert_eq!(format!("{secret:?}"), "Secret({ env = \"PW\" })");
        assert_eq!(secret.expose_text(), Some("hunter2"));
    }
}
