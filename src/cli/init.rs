//! `pgwarden init`: a policy to start with, or one that does what a `pgbouncer.ini` says. Owns which files are written; it overwrites
//! none.

mod accounts;
mod convert;
mod databases;
mod ini;
mod lost;
#[cfg(test)]
mod tests;

use super::output;
use super::place;
use crate::pipeline::StatsRegistry;
use crate::policy::layout;
use crate::policy::schema;
use crate::server::Source;
use crate::server::Trust;
use crate::server::build;
use crate::statement::Analyzer;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// `pgwarden init [FOLDER] [--from pgbouncer.ini]`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the files go; it is made if it is not there.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The configuration of a PgBouncer, which the policy does as well; its `auth_file` is read too.
    #[arg(long, value_name = "PGBOUNCER.INI")]
    from: Option<PathBuf>,
}

const POLICY: &str = "policy.toml";
const START: &str = include_str!("init/start.toml");
const TAPLO: &str = include_str!("init/taplo.toml");

/// The folder of secrets is its owner's alone.
const SECRET_FOLDER: u32 = 0o700;

/// A file to be written.
struct New {
    name: String,
    content: Vec<u8>,
    mode: u32,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let outcome = files(arguments).and_then(|files| {
        write(&arguments.folder, &files)?;
        Ok(files)
    });
    match outcome {
        Ok(files) => {
            let path = |file: &New| format!("wrote {}\n", within(&arguments.folder, &file.name));
            output::print(&files.iter().map(path).collect::<String>());
            check(&arguments.folder.join(POLICY))
        }
        Err(reason) => {
            output::complain(&format!("error: {reason}\n"));
            ExitCode::FAILURE
        }
    }
}

/// All that is written, and on standard error what is not as it was.
fn files(arguments: &Arguments) -> Result<Vec<New>, String> {
    let (policy, secrets) = match &arguments.from {
        None => (START.to_owned(), Vec::new()),
        Some(path) => {
            let made = convert::convert(path)?;
            for convert::Note(note) in &made.notes {
                output::complain(&format!("{note}\n"));
            }
            (made.policy, made.secrets)
        }
    };
    let policy = layout(Path::new(POLICY), &policy)
        .map_err(|error| format!("a mistake of pgwarden's own, the policy is none: {error:?}"))?;
    let public = |name: &str, text: String| New {
        name: name.to_owned(),
        content: text.into_bytes(),
        mode: place::PUBLIC,
    };
    let mut files = vec![
        New {
            // A hash or a verifier of `userlist.txt` stays as private as that file.
            mode: match arguments.from {
                Some(_) => place::SECRET,
                None => place::PUBLIC,
            },
            ..public(POLICY, policy)
        },
        public("policy.schema.json", format!("{:#}\n", schema())),
        public(".taplo.toml", TAPLO.to_owned()),
    ];
    files.extend(secrets.into_iter().map(|(name, secret)| New {
        name,
        content: secret.as_bytes().to_vec(),
        mode: place::SECRET,
    }));
    Ok(files)
}

fn write(folder: &Path, files: &[New]) -> Result<(), String> {
    let there: Vec<String> = files
        .iter()
        .filter(|file| folder.join(&file.name).symlink_metadata().is_ok())
        .map(|file| format!("`{}`", within(folder, &file.name)))
        .collect();
    if !there.is_empty() {
        return Err(format!(
            "nothing is written, since nothing is overwritten: {} there already",
            match &*there {
                [one] => format!("{one} is"),
                several => format!("{} are", several.join(", ")),
            }
        ));
    }
    let cannot = |path: &Path, error| format!("cannot write `{}`: {error}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| cannot(folder, error))?;
    for file in files {
        let path = folder.join(&file.name);
        let parent = path.parent().unwrap_or(folder);
        if !parent.exists() {
            let mut builder = DirBuilder::new();
            let made = builder.mode(SECRET_FOLDER).create(parent);
            made.map_err(|error| cannot(parent, error))?;
        }
        place::create(&path, &file.content, file.mode).map_err(|error| cannot(&path, error))?;
    }
    Ok(())
}

/// A path without the `.` of the folder one is in.
fn within(folder: &Path, name: &str) -> String {
    match folder == Path::new(".") {
        true => name.to_owned(),
        false => folder.join(name).display().to_string(),
    }
}

/// Whether the policy can be served as it is: a certificate that PgBouncer names may be missing here.
fn check(policy: &Path) -> ExitCode {
    let source = Source {
        path: policy.to_owned(),
        environment: None,
        trust: Trust::default(),
    };
    let analyzer = Arc::new(Analyzer::new(super::check::STATEMENTS_MAX));
    match build(&source, &StatsRegistry::default(), &analyzer) {
        Ok(_) => ExitCode::SUCCESS,
        Err(report) => {
            output::complain(&report.render(output::colour()));
            ExitCode::FAILURE
        }
    }
}
