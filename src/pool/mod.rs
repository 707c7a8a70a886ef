//! Server connections: made, leased, kept clean, cancelled. Knows nodes, not clients and not stages; the one thing it
//! asks of the stages is a [`crate::pipeline::Permit`] for each statement it sends.

mod cancel;
mod connect;
mod connection;
mod error;
mod lease;
mod plan;
mod prepared;
mod registry;
mod settings;
mod stats;

pub use cancel::CancelKeys;
pub use cancel::CancelSlot;
pub use cancel::Delivery;
pub use cancel::Freed;
pub use connect::BackendKey;
pub use connect::ConnectError;
pub use connect::Connected;
pub use connect::Login;
pub use connect::Target;
pub use connect::connect;
pub use connect::connect_relayed;
pub use connection::ServerConnection;
pub(crate) use connection::poll_read;
pub(crate) use connection::poll_write;
pub use error::LeaseError;
pub use lease::Lease;
pub use lease::Parameters;
pub use lease::Patience;
pub use lease::Pool;
pub use lease::Reservation;
pub use plan::Plan;
pub use prepared::StatementKey;
pub use registry::PoolKey;
pub use registry::Pools;
pub use settings::Settings;
pub use stats::PoolCounts;
pub use stats::PoolStats;
