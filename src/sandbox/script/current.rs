//! The call that is going on in this thread. Rhai hands its callbacks an operation count and nothing else, and its functions
//! must own what they use, so the turn waits here while a script runs. Owns no state between calls: `run` puts in and takes out.

use super::super::Fault;
use super::super::limits::FUEL_PER_OPERATION;
use super::super::limits::FUEL_PER_SLICE;
use super::super::turn::Turn;
use rhai::Dynamic;
use rhai::EvalAltResult;
use std::cell::Cell;
use std::cell::RefCell;

/// Operations between two looks at meter and clock. One operation may work on a whole text, so the clock is asked often.
const OPERATIONS_PER_LOOK: u64 = 16;
/// A script that ends before this never reads the clock.
const OPERATIONS_BEFORE_CLOCK: u64 = FUEL_PER_SLICE / FUEL_PER_OPERATION / 8;

/// An error on its way out of a script.
pub(super) type Stop = Box<EvalAltResult>;

struct Current {
    turn: Box<Turn>,
    fault: Option<Fault>,
    /// Operations the meter has been charged for.
    charged: u64,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
    static OPERATIONS: Cell<u64> = const { Cell::new(0) };
    static NEXT_LOOK: Cell<u64> = const { Cell::new(0) };
}

/// Runs a script with `turn` as the current one; gives the turn back with the result and the fault that stopped it, if one did.
pub(super) fn run<R>(turn: Box<Turn>, script: impl FnOnce() -> R) -> (Box<Turn>, R, Option<Fault>) {
    OPERATIONS.set(0);
    NEXT_LOOK.set(next_look(0, turn.meter.left()));
    let outer = CURRENT.replace(Some(Current {
        turn,
        fault: None,
        charged: 0,
    }));
    let result = script();
    let current = CURRENT.replace(outer);
    let Some(mut current) = current else {
        unreachable!("only this function takes the current turn away");
    };
    if current.charge(OPERATIONS.get()).is_err() {
        current.fault.get_or_insert(Fault::OutOfFuel);
    }
    (current.turn, result, current.fault)
}

/// Operations so far.
pub(super) fn operations() -> u64 {
    OPERATIONS.get()
}

/// Called by Rhai for each operation; `Some` stops the script in a way that it cannot catch.
pub(super) fn on_progress(operations: u64) -> Option<Dynamic> {
    OPERATIONS.set(operations);
    if operations < NEXT_LOOK.get() {
        return None;
    }
    look(operations).err().map(|_| Dynamic::UNIT)
}

#[cold]
fn look(operations: u64) -> Result<(), Stop> {
    with(|turn_of| {
        turn_of.charge(operations)?;
        if OPERATIONS_BEFORE_CLOCK <= operations {
            turn_of.turn.look_at_clock()?;
        }
        NEXT_LOOK.set(next_look(operations, turn_of.turn.meter.left()));
        Ok(())
    })
}

/// The operation at which fuel may run out, or the next one to look at the clock.
fn next_look(operations: u64, left: u64) -> u64 {
    operations + OPERATIONS_PER_LOOK.min(left / FUEL_PER_OPERATION + 1)
}

impl Current {
    fn charge(&mut self, operations: u64) -> Result<(), Fault> {
        let new = operations.saturating_sub(self.charged);
        self.charged = operations;
        self.turn.meter.charge(new * FUEL_PER_OPERATION)
    }
}

fn with<R>(work: impl FnOnce(&mut Current) -> Result<R, Fault>) -> Result<R, Stop> {
    CURRENT.with_borrow_mut(|current| {
        let Some(current) = current else {
            return Err(stopped());
        };
        work(current).map_err(|fault| {
            current.fault.get_or_insert(fault);
            stopped()
        })
    })
}

/// Works on the current turn. A fault stops the script; it cannot catch it.
pub(super) fn with_turn<R>(work: impl FnOnce(&mut Turn) -> Result<R, Fault>) -> Result<R, Stop> {
    with(|current| work(&mut current.turn))
}

/// Stops the script with a fault.
pub(super) fn stop<R>(fault: Fault) -> Result<R, Stop> {
    with_turn(|_| Err(fault))
}

fn stopped() -> Stop {
    Box::new(EvalAltResult::ErrorTerminated(
        Dynamic::UNIT,
        rhai::Position::NONE,
    ))
}
