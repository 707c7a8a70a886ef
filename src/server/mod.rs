//! The process: files, signals, listening sockets, the swapped pointer and the operator's console.

mod admin;
mod aside;
mod decisions;
mod figures;
mod git;
mod health;
mod http;
mod listener;
mod live;
mod load;
mod metric;
mod run;
mod services;
mod source;
mod status;
mod watch;

pub use live::PolicyTests;
pub use live::Reload;
pub use live::Reloader;
pub use live::Source;
pub use live::build;
pub use live::build_from;
pub use metric::Metric;
pub use run::Loaded;
pub use run::Options;
pub use run::Start;
pub use run::load;
pub use run::run;
pub use services::ProcessServices;
pub use source::Disk;
pub use source::Trust;
