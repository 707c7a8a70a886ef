//! The PostgreSQL protocol as pure functions over bytes: framing, the few messages a proxy must read, the few it writes,
//! and the authentication exchanges. Does no I/O. Source: PostgreSQL manual, chapter "Frontend/Backend Protocol".

pub mod authentication;
pub mod backend;
pub mod encode;
pub mod error_response;
pub mod frame;
pub mod frontend;
pub mod password;
pub mod scram;
pub mod startup;
