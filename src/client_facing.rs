//! The face an error shows to a client. `Display` is the other face, for the log. Owns no error of its own.

use crate::sqlstate::SqlState;
use std::borrow::Cow;

/// An error that may have to be told to a client.
pub trait ClientFacing: std::error::Error + Sync {
    /// The code the client's driver will see.
    fn sqlstate(&self) -> SqlState;

    /// Names no address, file, user or plugin.
    fn client_message(&self) -> Cow<'static, str>;
}
