//! A policy in one text, for the tests of every floor above: whatever is read is that text, and there is nothing beside it.

use super::Files;
use std::io;
use std::path::Path;

/// The only file there is.
pub(crate) struct OneFile(pub(crate) String);

impl Files for OneFile {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }

    fn mode(&self, _: &Path) -> Option<u32> {
        None
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn trusted_key(&self, _: &str) -> Option<io::Result<Vec<u8>>> {
        None
    }

    fn requires_signatures(&self) -> bool {
        false
    }
}
