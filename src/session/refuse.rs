//! The one place where an error becomes bytes for a client.

use crate::client_facing::ClientFacing;
use crate::hook::Refusal;
use crate::wire::error_response::ErrorFields;

/// ErrorResponse of a policy's refusal; the session goes on.
pub(super) fn refusal(refusal: &Refusal, out: &mut Vec<u8>) {
    fields("ERROR", refusal).encode(out);
}

/// ErrorResponse of a refusal that ends the session.
pub(super) fn fatal_refusal(refusal: &Refusal, out: &mut Vec<u8>) {
    fields("FATAL", refusal).encode(out);
}

fn fields<'a>(severity: &'a str, refusal: &'a Refusal) -> ErrorFields<'a> {
    ErrorFields {
        severity,
        code: refusal.code,
        message: &refusal.message,
        detail: refusal.detail.as_deref(),
        hint: refusal.hint.as_deref(),
    }
}

/// ErrorResponse of an error of ours; the session goes on.
pub(super) fn error(error: &dyn ClientFacing, out: &mut Vec<u8>) {
    ErrorFields::error(error.sqlstate(), &error.client_message()).encode(out);
}

/// ErrorResponse of an error that ends the session.
pub(super) fn fatal(error: &dyn ClientFacing, out: &mut Vec<u8>) {
    ErrorFields::fatal(error.sqlstate(), &error.client_message()).encode(out);
}
