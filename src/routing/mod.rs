//! From a route to a node: which nodes a pool has, which of them can be used now, whose turn it is. Pure: the time,
//! the health and the lag of nodes are arguments. Owns no sockets and no stages.

mod health;
mod pick;

pub use health::Health;
pub use pick::Candidate;
pub use pick::Choice;
pub use pick::Pick;
pub use pick::Place;
pub use pick::pick;
