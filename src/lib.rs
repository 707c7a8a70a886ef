//! pgwarden is a PostgreSQL proxy and pooler whose whole behaviour is one declarative, git-versioned policy file.
//!
//! ```text
//! a statement   bytes -> message -> statement -> context -> stages -> verdict -> route -> pool -> node -> bytes
//! lives in      wire/----^          statement/   hook/      pipeline/--^         routing/ pool/---^       session/
//!                                                           (guests run in sandbox/)
//!
//! a policy      file -> document (spanned) -> policy (valid) -> pipeline (compiled) -> live (swapped)
//! lives in      server/  policy/              policy/           pipeline/compile       server/reload
//! ```
//!
//! Modules stand in reading order, lowest floor first; a module uses only floors below its own (ARCHITECTURE.md).

// floor 0: words
pub mod client_facing;
pub mod digest;
mod kernel;
pub mod sqlstate;
pub mod unit;
// floor 1: bytes and text to meaning
pub mod statement;
pub mod wire;
// floor 2: the seam between proxy and stages
pub mod hook;
// floor 3: running one guest
pub mod sandbox;
// floor 4: what the operator wrote
pub mod policy;
// floor 5: compiled, immutable
pub mod pipeline;
pub mod routing;
// floor 6: sockets
pub mod net;
// floor 7: server connections
pub mod pool;
// floor 8: one client
pub mod session;
// floor 9: the process
pub mod server;
// floor 10: the command line
pub mod cli;
