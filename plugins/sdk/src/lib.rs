//! The guest side of pgwarden's ABI `pgwarden-1` (see `plugins/README.md`), typed.
//!
//! A plugin is one function per hook and one line that exports them:
//!
//! ```
//! use pgwarden_guest::Context;
//! use pgwarden_guest::Deny;
//! use pgwarden_guest::Verdict;
//!
//! pgwarden_guest::export!(authorize => decide);
//!
//! fn decide(context: &Context<'_>) -> Verdict {
//!     if context.has_kind("ddl") && !context.has_role("dba") {
//!         return Deny::new(&["schema changes go through migrations"]).code("42501").into();
//!     }
//!     Verdict::next()
//! }
//! # fn main() {}
//! ```
//!
//! On wasm32 the crate has no dependencies and no allocator. Built for the machine at hand it has [`testing`], so that a
//! plugin's own tests run with `cargo test`. Owns no plugin.

#![cfg_attr(target_arch = "wasm32", no_std)]

mod context;
mod field;
pub mod host;
#[cfg(target_arch = "wasm32")]
mod import;
pub mod json;
#[cfg(target_arch = "wasm32")]
mod room;
mod rows;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod text;
mod verdict;

pub use context::Context;
pub use context::Items;
pub use context::Name;
pub use context::Names;
pub use field::Field;
pub use text::Text;
pub use verdict::Deny;
pub use verdict::Identity;
pub use verdict::Verdict;

/// The ABI's minor version this crate was written for.
pub const MINOR: u16 = 0;

/// Exports functions as hooks: `export!(pre_query => check, post_query => count);`. Each takes a [`Context`] and gives a
/// [`Verdict`].
#[macro_export]
macro_rules! export {
    ($($hook:ident => $function:path),+ $(,)?) => {
        $(
            #[cfg(target_arch = "wasm32")]
            #[doc = concat!("The hook `", stringify!($hook), "`.")]
            #[unsafe(no_mangle)]
            pub extern "C" fn $hook(pointer: *const u8, len: usize) -> i64 {
                $crate::__ask(pointer, len, $function)
            }
        )+
        $(
            // A hook of that name and a function of that type are wanted on every machine.
            #[cfg(not(target_arch = "wasm32"))]
            const _: fn(&$crate::Context<'_>) -> $crate::Verdict = {
                let _ = stringify!($hook);
                $function
            };
        )+
        #[cfg(target_arch = "wasm32")]
        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            core::arch::wasm32::unreachable()
        }
    };
}

/// Exports `on_unload`, which the host calls once nobody will ask any more: `on_unload!(goodbye);` with `fn goodbye()`.
/// There is no input then; host functions work as ever.
#[macro_export]
macro_rules! on_unload {
    ($function:path) => {
        #[cfg(target_arch = "wasm32")]
        #[doc = "Nobody will ask any more."]
        #[unsafe(no_mangle)]
        pub extern "C" fn on_unload() {
            let function: fn() = $function;
            function();
        }
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = $function;
    };
}

/// Puts a manifest into the module, as the custom section `pgwarden:manifest`:
/// `manifest!(include_str!("../manifest.json"));`. What is in one: `plugins/README.md`.
#[macro_export]
macro_rules! manifest {
    ($text:expr) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            const TEXT: &[u8] = $text.as_bytes();
            #[used]
            #[unsafe(link_section = "pgwarden:manifest")]
            static MANIFEST: [u8; TEXT.len()] = {
                let mut bytes = [0; TEXT.len()];
                let mut at = 0;
                while at < bytes.len() {
                    bytes[at] = TEXT[at];
                    at += 1;
                }
                bytes
            };
        };
        #[cfg(not(target_arch = "wasm32"))]
        const _: &str = $text;
    };
}

/// Gives the host room for an input frame.
#[cfg(target_arch = "wasm32")]
#[unsafe(no_mangle)]
pub extern "C" fn pgw_alloc(len: usize) -> *mut u8 {
    room::input(len)
}

/// Lends `len` bytes of room, with whatever was written there last, for what is too large for the stack. Room is lent once at a
/// time: asking for more inside of `with` is a trap.
pub fn scratch<R>(len: usize, with: impl FnOnce(&mut [u8]) -> R) -> R {
    #[cfg(target_arch = "wasm32")]
    return room::scratch(len, with);
    #[cfg(not(target_arch = "wasm32"))]
    with(&mut vec![0; len])
}

#[doc(hidden)]
#[cfg(target_arch = "wasm32")]
#[expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "only the host calls it, through an export that `export!` writes"
)]
pub fn __ask(pointer: *const u8, len: usize, function: fn(&Context<'_>) -> Verdict) -> i64 {
    // SAFETY: the host has written `len` bytes at a place that `pgw_alloc` gave it, and touches it again only after this call.
    let frame = unsafe { core::slice::from_raw_parts(pointer, len) };
    match Context::new(frame) {
        Some(context) => function(&context).word(),
        None => core::arch::wasm32::unreachable(),
    }
}
