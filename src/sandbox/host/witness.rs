//! For tests: what went through the gate in this thread, so that both engines can be compared call by call.

use super::super::Fault;
use super::super::turn::Turn;
use super::HostFunction;
use super::Request;
use super::Response;
use std::cell::RefCell;

/// One call as the gate saw it.
#[derive(Clone, PartialEq, Debug)]
pub(in super::super) struct Seen {
    pub(in super::super) function: HostFunction,
    /// Its arguments.
    pub(in super::super) request: String,
    /// Its result, or its fault.
    pub(in super::super) result: Result<String, Fault>,
    /// What the gate charged for it.
    pub(in super::super) fuel: u64,
}

thread_local! {
    static SEEN: RefCell<Vec<Seen>> = const { RefCell::new(Vec::new()) };
}

/// What went through since it was asked last.
pub(in super::super) fn take() -> Vec<Seen> {
    SEEN.take()
}

/// A call that is going on.
pub(super) struct Call {
    function: HostFunction,
    request: String,
    used: u64,
}

impl Call {
    pub(super) fn begin(turn: &Turn, request: &Request<'_>) -> Self {
        Self {
            function: request.function(),
            request: format!("{request:?}"),
            used: turn.meter.used(),
        }
    }

    pub(super) fn end(self, turn: &Turn, result: &Result<Response, Fault>) {
        let seen = Seen {
            function: self.function,
            request: self.request,
            result: match result {
                Ok(response) => Ok(format!("{response:?}")),
                Err(fault) => Err(fault.clone()),
            },
            fuel: turn.meter.used() - self.used,
        };
        SEEN.with_borrow_mut(|all| all.push(seen));
    }
}
