//! The program: arguments in, exit code out. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    match pgwarden::cli::parse(std::env::args_os()) {
        Ok(command) => pgwarden::cli::run(command),
        Err(usage) => pgwarden::cli::usage(&usage),
    }
}
