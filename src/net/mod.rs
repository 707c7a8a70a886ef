//! Sockets: plain and TLS streams, and the addresses of nodes. Knows bytes and certificates; no session, no policy and no
//! message but the frame of one during a login.

pub mod address;
pub mod message;
pub mod stream;
pub mod tls;

pub use address::Address;
pub use address::ReachError;
pub use stream::Stream;
pub use tls::ClientTls;
pub use tls::ListenerTls;
pub use tls::ServerTls;
