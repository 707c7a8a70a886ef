//! `pgwarden plugin bench`: what each of a plugin's own tests costs, once everything is warm. The statement is taken apart before, as in
//! the server, where all stages share that.

use super::Complaint;
use super::file::PluginFile;
use super::output;
use super::play;
use super::play::Player;
use super::project;
use super::test;
use crate::policy::PluginCase;
use crate::sandbox::Services;
use crate::sandbox::State;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// Measurements of one case; the middle one is told.
const ROUNDS: usize = 11;
/// Calls before the first measurement.
const WARM: u32 = 200;

/// `pgwarden plugin bench [FILE] [FILTER]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The plugin's file, or its folder once it is built.
    #[arg(default_value = ".")]
    file: PathBuf,
    /// Only cases whose name contains this.
    filter: Option<String>,
    /// The tests. Default: `tests/cases.toml` beside the file or in the folder.
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Milliseconds for each case and state.
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    time: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Complaint> {
    let plugin = PluginFile::open(&arguments.file)?.told()?;
    let path = project::cases(&arguments.file, arguments.cases.as_deref());
    let cases = test::read(&path)?;
    let player = Player {
        plugin: &plugin,
        cases: &cases,
    };
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let of_case = |case: &PluginCase, state| measure(&player, case, state, arguments.time);
    let wanted = cases.cases.iter().filter(|case| case.name.contains(filter));
    output::print(&row("case", "fuel", "fresh ns", "kept ns"));
    for case in wanted {
        let fresh = of_case(case, State::Fresh)?;
        let kept = of_case(case, State::Kept)?;
        let number = |number: u64| number.to_string();
        output::print(&row(
            &case.name,
            &number(fresh.fuel),
            &number(fresh.nanoseconds),
            &number(kept.nanoseconds),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn row(case: &str, fuel: &str, fresh: &str, kept: &str) -> String {
    format!("{case:<40} {fuel:>10} {fresh:>10} {kept:>10}\n")
}

struct Cost {
    fuel: u64,
    /// The median of the rounds, a call.
    nanoseconds: u64,
}

fn measure(
    player: &Player<'_>,
    case: &PluginCase,
    state: State,
    milliseconds: u64,
) -> Result<Cost, Complaint> {
    let failed =
        |lines: Vec<String>| Complaint::new(format!("{}: {}", case.name, lines.join("\n")));
    let guest = player.guest(case, state).map_err(failed)?;
    let services: Arc<dyn Services> = player.services(case).map_err(failed)?;
    let cost = play::told(case, &*guest, |input| {
        let mut fuel = 0;
        let mut calls = |count: u32| -> Duration {
            let started = Instant::now();
            for _ in 0..count {
                fuel = match guest.call(input, &services).done() {
                    Ok(reply) => reply.fuel,
                    Err(failed) => failed.fuel,
                };
            }
            started.elapsed()
        };
        let warm = calls(WARM).as_nanos().max(1);
        let round = u128::from(milliseconds) * 1_000_000 / ROUNDS as u128;
        let count = u32::try_from(round * u128::from(WARM) / warm).unwrap_or(u32::MAX);
        let count = count.clamp(1, 10_000_000);
        let mut rounds: Vec<u128> = (0..ROUNDS)
            .map(|_| calls(count).as_nanos() / u128::from(count))
            .collect();
        rounds.sort_unstable();
        Cost {
            fuel,
            nanoseconds: u64::try_from(rounds[ROUNDS / 2]).unwrap_or(u64::MAX),
        }
    });
    Ok(cost)
}
