//! `pgwarden plugin test`: a plugin's own tests, in the sandbox it will run in.

use super::Complaint;
use super::file::PluginFile;
use super::output;
use super::play;
use super::play::Player;
use super::project;
use crate::policy::PluginCase;
use crate::policy::PluginCases;
use crate::policy::plugin_cases;
use crate::server::Disk;
use crate::server::Trust;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

/// `pgwarden plugin test [FILE] [FILTER]`.
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
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Complaint> {
    let plugin = PluginFile::open(&arguments.file)?.told()?;
    let path = project::cases(&arguments.file, arguments.cases.as_deref());
    let cases = read(&path)?;
    let player = Player {
        plugin: &plugin,
        cases: &cases,
    };
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let (mut passed, mut failed) = (0_usize, 0_usize);
    let mut asked = BTreeSet::new();
    for case in cases.cases.iter().filter(|case| case.name.contains(filter)) {
        asked.insert(case.hook);
        let (text, is_right) = told(&player, case);
        output::print(&text);
        match is_right {
            true => passed += 1,
            false => failed += 1,
        }
    }
    let hooks = match &plugin.artefact.manifest {
        Some(manifest) => {
            asked.retain(|hook| manifest.hooks.contains(hook));
            manifest.hooks.len()
        }
        None => asked.len(),
    };
    output::print(&format!(
        "{passed} passed, {failed} failed    hooks {}/{hooks}\n",
        asked.len()
    ));
    Ok(match failed == 0 && passed != 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Reads the tests of a plugin.
pub(super) fn read(path: &Path) -> Result<PluginCases, Complaint> {
    let trust = Trust::default();
    plugin_cases(path, &Disk { trust: &trust })
        .map_err(|report| Complaint(report.render(output::colour())))
}

/// What there is to say about one case, and whether it passed.
fn told(player: &Player<'_>, case: &PluginCase) -> (String, bool) {
    let failures = match player.play(case) {
        Ok(played) => {
            let mut lines = play::differences(&case.expect, &played);
            if lines.is_empty() {
                let fuel = played.fuel();
                return (format!("ok   {}  fuel {fuel}\n", case.name), true);
            }
            let log = played.services.lines().into_iter();
            lines.extend(log.map(|line| format!("log   {line}")));
            lines
        }
        Err(lines) => lines,
    };
    let lines = failures.iter().map(|line| format!("     {line}\n"));
    let text = format!(
        "FAIL {}  {}\n{}",
        case.name,
        case.place,
        lines.collect::<String>()
    );
    (text, false)
}
