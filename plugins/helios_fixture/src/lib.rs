//! A plugin as one is made for heliosdb-proxy, for the tests of `abi = "helios-1"`: our own code, written from the documented ABI
//! alone. What it answers is chosen by a word in what it is told: `fixture:pre_query.kind.block` at that hook, nothing elsewhere.
//!
//! It also keeps a small budget: with an attribute `tenant_id`, every statement that ended counts, and a tenant that has
//! used up its three is refused.

#![cfg_attr(target_arch = "wasm32", no_std)]

mod answers;
#[cfg(target_arch = "wasm32")]
mod exports;
mod out;

pub use answers::Host;
pub use answers::answer;
pub use out::Out;
