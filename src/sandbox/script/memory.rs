//! How much memory a script's live values take. Rhai bounds a single value, and not even that when a map grows by index
//! assignment; this counts what all variables hold, every few operations. Owns no limit; it is in `Limits`.

use super::super::Fault;
use super::current::Stop;
use super::current::operations;
use super::current::stop;
use super::current::with_turn;
use rhai::Array;
use rhai::Dynamic;
use rhai::EvalContext;
use rhai::FnPtr;
use rhai::ImmutableString;
use rhai::Map;
use std::cell::Cell;
use std::cell::RefCell;

/// Operations between two counts. Few, since a map can double within a handful of them.
const OPERATIONS_PER_COUNT: u64 = 8;
/// From here on each operation is counted, so that doubling ends soon after the limit.
const BYTES_OF_CONCERN: usize = 64 << 10;
/// Bytes counted that cost one fuel.
const BYTES_PER_FUEL: usize = 64;
/// How deeply values may lie in values: copying and dropping them recurses on our own stack.
const DEPTH_MAX: usize = 64;
/// A slot in an array or a variable.
const SLOT_BYTES: usize = 16;
/// A text's header and reference count.
const TEXT_BYTES: usize = 48;
/// A map's entry beside its value: key header, its share of the tree.
const ENTRY_BYTES: usize = 48;

thread_local! {
    static NEXT_COUNT: Cell<u64> = const { Cell::new(0) };
    /// What the variables of each call level held when they were last counted; outer levels cannot be seen from inner ones.
    static LEVELS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Forgets the last call.
pub(super) fn reset() {
    NEXT_COUNT.set(OPERATIONS_PER_COUNT);
    LEVELS.with_borrow_mut(Vec::clear);
}

/// Called at each access to a variable; counts when it is time to.
pub(super) fn check(
    context: &EvalContext<'_, '_, '_, '_, '_, '_>,
    bytes_max: usize,
) -> Result<(), Stop> {
    if operations() < NEXT_COUNT.get() {
        return Ok(());
    }
    let variables = context.scope().iter_raw().map(|(_, _, value)| size(value));
    let here = variables
        .chain(context.this_ptr().map(size))
        .fold(0, usize::saturating_add);
    let total = LEVELS.with_borrow_mut(|levels| {
        levels.resize(context.call_level() + 1, 0);
        levels[context.call_level()] = here;
        levels
            .iter()
            .fold(0, |sum: usize, level| sum.saturating_add(*level))
    });
    let pause = if here < BYTES_OF_CONCERN {
        OPERATIONS_PER_COUNT
    } else {
        1
    };
    NEXT_COUNT.set(operations() + pause);
    if bytes_max < total {
        return stop(Fault::OutOfMemory);
    }
    with_turn(|turn| turn.meter.charge((here / BYTES_PER_FUEL) as u64))
}

/// Bytes a value takes. A text that several values share counts for each of them; what is nested too deeply counts as endless.
pub(super) fn size(value: &Dynamic) -> usize {
    size_at(value, 0)
}

fn size_at(value: &Dynamic, depth: usize) -> usize {
    if DEPTH_MAX < depth {
        return usize::MAX;
    }
    let add = |sum: usize, (own, item): (usize, &Dynamic)| {
        sum.saturating_add(own)
            .saturating_add(size_at(item, depth + 1))
    };
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return SLOT_BYTES + TEXT_BYTES + text.len();
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().map(|item| (0, item)).fold(SLOT_BYTES, add);
    }
    if let Some(map) = value.read_lock::<Map>() {
        return map
            .iter()
            .map(|(key, item)| (ENTRY_BYTES + key.len(), item))
            .fold(SLOT_BYTES, add);
    }
    if let Some(function) = value.read_lock::<FnPtr>() {
        return function
            .iter_curry()
            .map(|item| (0, item))
            .fold(SLOT_BYTES + TEXT_BYTES, add);
    }
    SLOT_BYTES
}
