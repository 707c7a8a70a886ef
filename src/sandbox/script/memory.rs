//! How much memory a script's live values take. Rhai bounds a single value, and not even that when a map grows by index
//! assignment; this counts what all variables hold, every few operations. Owns no limit; it is in `Limits`.

use super::super::Fault;
use super::current::Stop;
use super::current::operations;
use super::current::stop;
use rhai::Array;
use rhai::Dynamic;
use rhai::EvalContext;
use rhai::FnPtr;
use rhai::ImmutableString;
use rhai::Map;
use std::cell::Cell;
use std::cell::RefCell;

/// Operations between two counts, so that a script grows by a bounded amount in between.
const OPERATIONS_PER_COUNT: u64 = 8;
/// Bytes counted that put the next count off by one operation: counting costs at most about what running does.
const BYTES_PER_OPERATION: usize = 4_096;
/// A slot in an array or a variable.
const SLOT_BYTES: usize = 16;
/// A text's header and reference count.
const TEXT_BYTES: usize = 48;
/// A map's entry: key header, value, its share of the tree.
const ENTRY_BYTES: usize = 64;

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
    let variables = context
        .scope()
        .iter_raw()
        .map(|(_, _, value)| SLOT_BYTES + size(value))
        .sum::<usize>();
    let here = variables + context.this_ptr().map_or(0, size);
    let total = LEVELS.with_borrow_mut(|levels| {
        levels.resize(context.call_level() + 1, 0);
        levels[context.call_level()] = here;
        levels.iter().sum::<usize>()
    });
    NEXT_COUNT.set(operations() + OPERATIONS_PER_COUNT + (here / BYTES_PER_OPERATION) as u64);
    if bytes_max < total {
        return stop(Fault::OutOfMemory);
    }
    Ok(())
}

/// Bytes a value holds on the heap. A text that several values share counts for each of them.
pub(super) fn size(value: &Dynamic) -> usize {
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return TEXT_BYTES + text.len();
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().map(|item| SLOT_BYTES + size(item)).sum();
    }
    if let Some(map) = value.read_lock::<Map>() {
        return map
            .iter()
            .map(|(key, item)| ENTRY_BYTES + key.len() + size(item))
            .sum();
    }
    if let Some(function) = value.read_lock::<FnPtr>() {
        return TEXT_BYTES
            + function
                .iter_curry()
                .map(|item| SLOT_BYTES + size(item))
                .sum::<usize>();
    }
    0
}
