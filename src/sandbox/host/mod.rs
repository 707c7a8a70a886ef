//! The gate in front of the host functions: permission, limits, charge, then the call; `table` has what it asks by.
//! Owns no engine: a shim turns its arguments into a `Request` and a `Response` into its results, and decides nothing.

mod perform;
mod request;
mod table;
#[cfg(test)]
pub(super) mod witness;

pub(crate) use request::Request;
pub(crate) use request::Response;
pub use table::HostFunction;
#[cfg(test)]
pub(super) use table::Param;
pub(crate) use table::Value;

use super::Fault;
use super::limits::BYTES_PER_FUEL;
use super::turn::Turn;
use perform::perform;
use std::borrow::Cow;
use table::RESULT_BYTES_MAX;
use table::Row;

/// The gate. Nothing else reaches a service.
pub(crate) fn call(turn: &mut Turn, request: Request<'_>) -> Result<Response, Fault> {
    #[cfg(test)]
    let seen = witness::Call::begin(turn, &request);
    let result = permitted(turn, request);
    #[cfg(test)]
    seen.end(turn, &result);
    result
}

fn permitted(turn: &mut Turn, request: Request<'_>) -> Result<Response, Fault> {
    let row = request.function().row();
    if !row.needs.is_none_or(|call| turn.may_call(call)) || !turn.is_open() {
        return Err(Fault::CallRefused(row.import));
    }
    turn.count_call()?;
    charge(turn, row, &request)?;
    let response = perform(turn, request)?;
    let bytes = response.bytes();
    if RESULT_BYTES_MAX < bytes && !response.is_part() {
        return Err(too_large(row, "gives", RESULT_BYTES_MAX));
    }
    turn.meter.charge(bytes as u64 / BYTES_PER_FUEL)?;
    Ok(response)
}

fn charge(turn: &mut Turn, row: &Row, request: &Request<'_>) -> Result<(), Fault> {
    let given = request.given();
    if row.cost.bytes_max < given {
        return Err(too_large(row, "takes", row.cost.bytes_max));
    }
    let bytes = given + request.looked_through(turn);
    turn.meter.charge_call(bytes * row.cost.eighths)
}

#[cold]
fn too_large(row: &Row, does: &str, max: usize) -> Fault {
    Fault::trap(format!("`{}` {does} at most {max} bytes", row.import))
}

/// A guest's bytes as text for a log line: control characters would forge lines.
pub(crate) fn printable(bytes: &[u8], bytes_max: usize) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(&bytes[..bytes.len().min(bytes_max)]);
    text.chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

#[cfg(test)]
mod tests;
