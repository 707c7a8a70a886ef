//! Room in the guest's memory for an input and an answer, without an allocator: one static place each, and new pages for what
//! does not fit. Owns all of the crate's knowledge of addresses.

use core::cell::UnsafeCell;

const INPUT_BYTES: usize = 4 << 10;
const ANSWER_BYTES: usize = 4 << 10;
const PAGE_BYTES: usize = 64 << 10;

struct Room<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: a module has one thread, and the host enters it for one call at a time.
unsafe impl<const BYTES: usize> Sync for Room<BYTES> {}

static INPUT: Room<INPUT_BYTES> = Room(UnsafeCell::new([0; INPUT_BYTES]));
static ANSWER: Room<ANSWER_BYTES> = Room(UnsafeCell::new([0; ANSWER_BYTES]));

/// Room for an input frame. The host asks again only for a longer one.
pub(crate) fn input(len: usize) -> *mut u8 {
    if len <= INPUT_BYTES {
        INPUT.0.get().cast()
    } else {
        pages(len)
    }
}

/// Fills room for an answer of `len` bytes; the word that points at it.
pub(crate) fn answer(len: usize, fill: impl FnOnce(&mut [u8])) -> i64 {
    let place = if len <= ANSWER_BYTES {
        ANSWER.0.get().cast()
    } else {
        pages(len)
    };
    // SAFETY: `place` is `len` bytes of this module's memory that nothing else refers to: the static one is used by one
    // answer at a time, and pages are new.
    fill(unsafe { core::slice::from_raw_parts_mut(place, len) });
    ((place as usize as i64) << 32) | len as i64
}

fn pages(len: usize) -> *mut u8 {
    let before = core::arch::wasm32::memory_grow(0, len.div_ceil(PAGE_BYTES));
    if before == usize::MAX {
        core::arch::wasm32::unreachable();
    }
    (before * PAGE_BYTES) as *mut u8
}
