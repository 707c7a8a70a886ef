//! `pgwarden fmt`: policies in their one layout, with the files they include. Owns which files; the layout is the policy's.

use super::output;
use super::place;
use crate::policy::LayoutError;
use crate::policy::layout;
use crate::policy::texts;
use crate::server::Disk;
use crate::server::Trust;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// `pgwarden fmt POLICY.. [--check]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Root files of policies; what they include is laid out as well. `-`: one text, from standard input to standard output.
    #[arg(value_name = "POLICY", required = true)]
    policies: Vec<PathBuf>,
    /// Change nothing; name the files that are not in their layout.
    #[arg(long)]
    check: bool,
}

/// The text of one file is not longer than a policy may be.
const TEXT_BYTES_MAX: u64 = 4 << 20;

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let outcome = match &*arguments.policies {
        [only] if only == Path::new("-") => stream(arguments.check),
        policies => files(policies, arguments.check),
    };
    match outcome {
        Ok(Laid::Already) => ExitCode::SUCCESS,
        Ok(Laid::Otherwise) => ExitCode::FAILURE,
        Err(said) => {
            output::complain(&said);
            ExitCode::FAILURE
        }
    }
}

/// What was found, once it was put in order or only looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Laid {
    Already,
    Otherwise,
}

fn stream(check: bool) -> Result<Laid, String> {
    let mut text = String::new();
    let stdin = std::io::stdin().lock();
    stdin
        .take(TEXT_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("error: cannot read standard input: {error}\n"))?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        return Err(format!(
            "error: standard input has more than {TEXT_BYTES_MAX} bytes\n"
        ));
    }
    let laid = laid(Path::new("-"), &text)?;
    if check {
        return Ok(match laid == text {
            true => Laid::Already,
            false => Laid::Otherwise,
        });
    }
    output::print(&laid);
    Ok(Laid::Already)
}

fn files(policies: &[PathBuf], check: bool) -> Result<Laid, String> {
    let trust = Trust::default();
    let mut all: BTreeMap<PathBuf, Arc<str>> = BTreeMap::new();
    for policy in policies {
        let sources = texts(policy, &Disk { trust: &trust })
            .map_err(|report| report.render(output::colour()))?;
        all.extend(sources.into_iter().map(|source| (source.path, source.text)));
    }
    // Every file is laid out before one is written: a mistake in the last leaves the first as it was.
    let mut changed = Vec::new();
    for (path, text) in &all {
        let laid = laid(path, text)?;
        if laid != **text {
            changed.push((path, laid));
        }
    }
    for (path, laid) in &changed {
        if !check {
            // Through a symbolic link, which stays one.
            std::fs::canonicalize(path)
                .and_then(|path| place::replace(&path, laid.as_bytes()))
                .map_err(|error| format!("error: cannot write `{}`: {error}\n", path.display()))?;
        }
        output::print(&format!("{}\n", path.display()));
    }
    Ok(match check && !changed.is_empty() {
        true => Laid::Otherwise,
        false => Laid::Already,
    })
}

fn laid(path: &Path, text: &str) -> Result<String, String> {
    layout(path, text).map_err(|error| match error {
        LayoutError::Broken(report) => report.render(output::colour()),
        LayoutError::Unproven => format!(
            "error: `{}` is left as it is: its layout could not be changed without changing more\n",
            path.display()
        ),
    })
}
