//! Runs one guest: a WASM module or a Rhai script, under one set of permissions, limits and host functions.
//! Owns no policy and no pipeline: it never learns why a guest is asked or what follows from the answer.
//!
//! `host` is the one table of host functions and the one gate in front of them. The engines (`wasm`, `script`) convert
//! arguments and results; they decide nothing.

mod artefact;
mod fault;
mod guest;
mod host;
mod limits;
mod manifest;
mod meter;
mod permission;
mod query;
mod script;
mod services;
mod store;
mod suggest;
mod turn;
mod wasm;

#[cfg(test)]
mod tests;

pub use artefact::Artefact;
pub use artefact::ArtefactError;
pub use artefact::Packing;
pub use artefact::PublicKey;
pub use artefact::SealError;
pub use artefact::SecretKey;
pub use artefact::Signature;
pub use fault::Fault;
pub use guest::Abi;
pub use guest::Attribute;
pub use guest::Called;
pub use guest::Effects;
pub use guest::Failed;
pub use guest::Guest;
pub use guest::GuestSpec;
pub use guest::LoadError;
pub use guest::Reply;
pub use guest::State;
pub use guest::Suspended;
pub use guest::Uses;
pub use host::HostFunction;
pub use limits::Limits;
pub use manifest::ConfigError;
pub use manifest::ConfigSchema;
pub use manifest::Manifest;
pub use manifest::ManifestForm;
pub use manifest::ManifestMistake;
pub use manifest::Permission;
pub use manifest::Step;
pub use manifest::schema as manifest_schema;
pub use permission::Call;
pub use permission::Grants;
pub use permission::KvGrant;
pub use permission::MetricGrant;
pub use permission::Patterns;
pub use permission::See;
pub use permission::is_metric_name;
pub use query::Asking;
pub use query::DeclaredQuery;
pub use query::LoadGrant;
pub use query::Query;
pub use query::QueryError;
pub use query::QueryNode;
pub use query::QueryResult;
pub use script::load_script;
pub use services::Level;
pub use services::MetricOp;
pub use services::Services;
pub use store::Quota;
pub use store::Store;
pub use store::StoreError;
pub use wasm::Imported;
pub use wasm::Inspected;
pub use wasm::inspect_wasm;
pub use wasm::load_wasm;
