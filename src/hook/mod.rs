//! The seam between the proxy and its stages: which moments exist, what a stage is told, what it may answer.
//! Owns no engine and no policy; `sandbox` encodes these types for guests and `pipeline` calls stages with them.

pub mod abi;
mod answer;
mod context;
mod kind;

pub use answer::Answer;
pub use answer::AnswerKind;
pub use answer::Refusal;
pub use answer::RouteAnswer;
pub use answer::Rows;
pub use context::AuthMethod;
pub use context::AuthRequest;
pub use context::ClientAddress;
pub use context::CustomCall;
pub use context::Identity;
pub use context::Input;
pub use context::Loaded;
pub use context::Outcome;
pub use context::Protocol;
pub use context::SessionContext;
pub use context::StatementContext;
pub use kind::Hook;
