//! `pgwarden plugin`: what authors and operators of WASM plugins do with a plugin's file. One file a verb; none of them needs a
//! node, and none but `inspect --policy` and `pin` a policy.

mod bench;
mod build;
mod file;
mod inspect;
mod keygen;
mod new;
mod pin;
mod play;
mod project;
mod seal;
mod test;

use super::output;
use super::place;
use std::process::ExitCode;

/// What to do with a plugin.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write a plugin that builds and passes its own test.
    New(new::Arguments),
    /// Build a plugin from its source, with its manifest in it.
    Build(build::Arguments),
    /// Show what a plugin's file is: manifest, hooks, imports, memory, hash, signature.
    Inspect(inspect::Arguments),
    /// Run a plugin's own tests.
    Test(test::Arguments),
    /// Measure what a plugin's own tests cost, once everything is warm.
    Bench(bench::Arguments),
    /// Write the sha256 of plugins into a policy.
    Pin(pin::Arguments),
    /// Make a key that signs plugins.
    Keygen(keygen::Arguments),
    /// Sign a plugin's file.
    Sign(seal::SignArguments),
    /// Find out who signed a plugin's file.
    Verify(seal::VerifyArguments),
}

pub(super) fn run(command: &Command) -> ExitCode {
    let outcome = match command {
        Command::New(arguments) => new::run(arguments),
        Command::Build(arguments) => build::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Test(arguments) => test::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Pin(arguments) => pin::run(arguments),
        Command::Keygen(arguments) => keygen::run(arguments),
        Command::Sign(arguments) => seal::sign(arguments),
        Command::Verify(arguments) => seal::verify(arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(Complaint(text)) => {
            output::complain(&text);
            ExitCode::FAILURE
        }
    }
}

/// Why a verb could not do its work, ready to be printed.
struct Complaint(String);

impl Complaint {
    fn new(text: impl std::fmt::Display) -> Self {
        Self(format!("error: {text}\n"))
    }
}
