//! Integration tests: the program as a process, in front of real PostgreSQL. One binary, so that the crate is linked
//! once. `support` starts things; every other module is one subject.
#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on should stop and say where"
)]

mod adversaries;
mod cache;
mod check_formats;
mod check_live;
mod clock;
mod codes;
mod column_mask;
mod console;
mod control;
mod copies;
mod decisions;
mod diff;
mod drivers;
mod every_path;
mod example_shop;
mod explain_decision;
mod faults;
mod figures;
mod fmt;
mod foreign_plugins;
mod hash;
mod helios;
mod hooks;
mod hostile;
mod init;
mod jwt_auth;
mod lag;
mod limits;
mod load;
mod logins;
mod memory;
mod moving;
mod nodes;
mod plugin_cli;
mod plugins;
mod plugins_document;
mod policy_cli;
mod policy_tests;
mod pooling;
mod reload;
mod render;
mod repl;
mod replay;
mod routing;
mod running_diff;
mod sidecars;
mod startup;
mod std_packs;
mod stop;
mod support;
mod watch;
