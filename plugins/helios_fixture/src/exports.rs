//! What a module for heliosdb-proxy exports and imports: memory, `alloc` that only ever goes up, `dealloc` that does nothing, hooks
//! whose result is pointer and length, and four functions of `env`. Owns no answer.

use crate::answers::Host;
use crate::answers::answer;
use crate::out::Out;
use core::cell::UnsafeCell;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering;

/// Bytes there are to give out.
const ARENA_BYTES: usize = 48 << 10;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 << 10;

struct Arena(UnsafeCell<[u8; ARENA_BYTES]>);

// SAFETY: a module has one thread.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena(UnsafeCell::new([0; ARENA_BYTES]));
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Room of that many bytes, or null.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn alloc(len: usize) -> *mut u8 {
    let start = NEXT.load(Ordering::Relaxed);
    match start.checked_add(len) {
        Some(end) if end <= ARENA_BYTES => {
            NEXT.store(end, Ordering::Relaxed);
            // SAFETY: `start` is within the arena.
            unsafe { ARENA.0.get().cast::<u8>().add(start) }
        }
        _ => core::ptr::null_mut(),
    }
}

/// Nothing is ever given back.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dealloc(_pointer: *mut u8, _len: usize) {}

mod env {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn kv_get(key: *const u8, key_len: usize, out: *mut u8, room: usize) -> i32;
        pub(super) fn kv_set(key: *const u8, key_len: usize, value: *const u8, len: usize);
        pub(super) fn kv_delete(key: *const u8, key_len: usize);
        pub(super) fn sha256_hex(bytes: *const u8, len: usize, out: *mut u8);
    }
}

struct Env;

impl Host for Env {
    fn get<'a>(&mut self, key: &[u8], into: &'a mut [u8]) -> Option<&'a [u8]> {
        // SAFETY: pointers and lengths of slices.
        let len = unsafe { env::kv_get(key.as_ptr(), key.len(), into.as_mut_ptr(), into.len()) };
        into.get(..usize::try_from(len).ok()?)
    }
    fn set(&mut self, key: &[u8], value: &[u8]) {
        // SAFETY: as above.
        unsafe { env::kv_set(key.as_ptr(), key.len(), value.as_ptr(), value.len()) }
    }
    fn delete(&mut self, key: &[u8]) {
        // SAFETY: as above.
        unsafe { env::kv_delete(key.as_ptr(), key.len()) }
    }
    fn sha256_hex(&mut self, bytes: &[u8], into: &mut [u8; 64]) {
        // SAFETY: as above, and 64 bytes are what is written.
        unsafe { env::sha256_hex(bytes.as_ptr(), bytes.len(), into.as_mut_ptr()) }
    }
}

/// Pointer in the upper half, length in the lower.
fn ask(hook: &str, pointer: *const u8, len: usize) -> u64 {
    // SAFETY: the proxy passes the place it got from `alloc` and filled.
    let input = unsafe { core::slice::from_raw_parts(pointer, len) };
    let room = alloc(ANSWER_BYTES_MAX);
    if room.is_null() {
        core::arch::wasm32::unreachable();
    }
    // SAFETY: `alloc` gives no place twice.
    let room = unsafe { core::slice::from_raw_parts_mut(room, ANSWER_BYTES_MAX) };
    let mut out = Out::new(room);
    answer(hook, input, &mut Env, &mut out);
    match out.bytes() {
        [] => 0,
        bytes => ((bytes.as_ptr() as u64) << 32) | bytes.len() as u64,
    }
}

macro_rules! answering {
    ($($hook:ident),+) => {
        $(
            /// A hook with a result.
            #[unsafe(no_mangle)]
            pub(crate) extern "C" fn $hook(pointer: *const u8, len: usize) -> u64 {
                ask(stringify!($hook), pointer, len)
            }
        )+
    };
}

macro_rules! silent {
    ($($hook:ident),+) => {
        $(
            /// A hook without a result.
            #[unsafe(no_mangle)]
            pub(crate) extern "C" fn $hook(pointer: *const u8, len: usize) {
                ask(stringify!($hook), pointer, len);
            }
        )+
    };
}

answering!(
    on_connect,
    authenticate,
    pre_query,
    rewrite,
    authorize,
    cache_get,
    route,
    post_query,
    custom_hook
);
silent!(cache_set, metrics, on_disconnect);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
