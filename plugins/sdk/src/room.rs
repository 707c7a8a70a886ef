//! Room in the guest's memory without an allocator: one static place for each use, and new pages for what does not fit, which
//! are used again by the next call of the same instance. Owns all of the crate's knowledge of addresses.

use core::cell::Cell;
use core::cell::UnsafeCell;

const INPUT_BYTES: usize = 4 << 10;
const ANSWER_BYTES: usize = 4 << 10;
const SCRATCH_BYTES: usize = 1 << 10;
const PAGE_BYTES: usize = 64 << 10;

struct Room<const BYTES: usize> {
    first: UnsafeCell<[u8; BYTES]>,
    /// The pages that took its place, and their length.
    pages: Cell<(*mut u8, usize)>,
    lent: Cell<bool>,
}

// SAFETY: a module has one thread, and the host enters it for one call at a time.
unsafe impl<const BYTES: usize> Sync for Room<BYTES> {}

static INPUT: Room<INPUT_BYTES> = Room::new();
static ANSWER: Room<ANSWER_BYTES> = Room::new();
static SCRATCH: Room<SCRATCH_BYTES> = Room::new();

impl<const BYTES: usize> Room<BYTES> {
    const fn new() -> Self {
        Self {
            first: UnsafeCell::new([0; BYTES]),
            pages: Cell::new((core::ptr::null_mut(), 0)),
            lent: Cell::new(false),
        }
    }

    /// A place of `len` bytes, the same one as before wherever that is long enough.
    fn place(&self, len: usize) -> *mut u8 {
        if len <= BYTES {
            return self.first.get().cast();
        }
        let (known, room) = self.pages.get();
        if len <= room {
            return known;
        }
        let count = len.div_ceil(PAGE_BYTES);
        let before = core::arch::wasm32::memory_grow(0, count);
        if before == usize::MAX {
            core::arch::wasm32::unreachable();
        }
        let start = (before * PAGE_BYTES) as *mut u8;
        self.pages.set((start, count * PAGE_BYTES));
        start
    }
}

/// Room for an input frame. The host asks again only for a longer one.
pub(crate) fn input(len: usize) -> *mut u8 {
    INPUT.place(len)
}

/// Fills room for an answer of `len` bytes; the word that points at it.
pub(crate) fn answer(len: usize, fill: impl FnOnce(&mut [u8])) -> i64 {
    let place = ANSWER.place(len);
    // SAFETY: `place` is `len` bytes of this module's memory that nothing else refers to: it is used by one answer at a time.
    fill(unsafe { core::slice::from_raw_parts_mut(place, len) });
    ((place as usize as i64) << 32) | len as i64
}

/// Lends `len` bytes. Lending them a second time meanwhile is a trap.
pub(crate) fn scratch<R>(len: usize, with: impl FnOnce(&mut [u8]) -> R) -> R {
    if SCRATCH.lent.replace(true) {
        core::arch::wasm32::unreachable();
    }
    let place = SCRATCH.place(len);
    // SAFETY: `place` is `len` bytes of this module's memory, and `lent` says that nothing else refers to them.
    let given = with(unsafe { core::slice::from_raw_parts_mut(place, len) });
    SCRATCH.lent.set(false);
    given
}
