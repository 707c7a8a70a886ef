//! One client, from accept to Terminate: handshake, login, and the relay of its messages through the stages to a node.
//! Owns no files, no signals and no listening sockets; the policy in force is read through one pointer.

mod answers;
mod authenticate;
mod by_name;
mod client;
mod control;
mod decide;
mod end;
mod ended;
mod extended;
mod handshake;
mod inflight;
mod leasing;
mod login;
mod masking;
mod messages;
mod observers;
mod portal;
mod refuse;
mod relay;
mod reset;
mod simple;
mod statement;
mod world;

pub use authenticate::LoginKeys;
pub use client::Client;
pub use control::Activity;
pub use control::Clients;
pub use control::Control;
pub use control::OpenConnection;
pub use login::Accepted;
pub use login::CONSOLE_DATABASE;
pub use login::Console;
pub use login::introduce;
pub use login::serve;
pub use world::Binding;
pub use world::NodeTarget;
pub use world::Shared;
pub use world::World;
