//! The two hashes of a policy. The revision is of what it means; the bundle is of the bytes it is written in.
//! Owns the hashing; what belongs to the meaning is in `canonical` and the nouns.
//!
//! Not part of the revision: order of tables and files, comments, formatting, tests, names of variables, and the values of secrets, so
//! that a hash in a log helps nobody to guess a password. A changed secret is taken over by a reload all the same.

use crate::digest::hex;
use sha2::Digest;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A sha256 that names a policy by what it means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision([u8; 32]);

impl Revision {
    /// The hash of a canonical form.
    #[must_use]
    pub fn of(canonical: &str) -> Self {
        Self(Sha256::digest(canonical.as_bytes()).into())
    }

    /// The first 8 characters, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.full().chars().take(8).collect()
    }

    /// All 64 characters.
    #[must_use]
    pub fn full(&self) -> String {
        hex(&self.0)
    }
}

/// The first 8 characters; `{:#}` gives all 64.
impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&if f.alternate() {
            self.full()
        } else {
            self.short()
        })
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full())
    }
}

/// A sha256 over the bytes of every file of a policy, secrets excepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bundle([u8; 32]);

impl Bundle {
    pub(super) fn of(files: &BTreeMap<PathBuf, Arc<[u8]>>) -> Self {
        let mut hash = Sha256::new();
        for (path, bytes) in files {
            let path = path.to_string_lossy();
            // Lengths first, so that no content can look like the next file's name.
            hash.update(path.len().to_le_bytes());
            hash.update(path.as_bytes());
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_full() {
        let revision = Revision::of("");
        assert_eq!(revision.to_string(), "e3b0c442");
        assert_eq!(format!("{revision:#}").len(), 64);
        assert_eq!(crate::digest::sha256_hex(b""), revision.full());
    }
}
