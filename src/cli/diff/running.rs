//! The policy that a process has in force, built again from the files that its admin socket gives. Owns no comparison.
//!
//! Secrets are not given: they are read where they lie, and so are environment variables. Where that comes to another policy than
//! the one in force, nothing is compared.

use super::Stop;
use crate::cli::control;
use crate::cli::control::Reach;
use crate::server::Answer;
use crate::server::Request;
use crate::server::RunningFiles;
use crate::server::Source;
use crate::server::Stored;
use crate::server::Trust;
use crate::session::World;
use std::path::Path;

/// Asks the process whose socket `policy` names, or that of `reach`.
pub(super) fn world(reach: &Reach, policy: &Path, trust: &Trust) -> Result<World, Stop> {
    let files = match reach.ask(Some(policy), &Request::Files) {
        Ok(Answer::Files(files)) => files,
        Ok(_) => return Err(Stop::Said(control::unexpected())),
        Err(code) => return Err(Stop::Said(code)),
    };
    built(&files, trust)
}

fn built(files: &RunningFiles, trust: &Trust) -> Result<World, Stop> {
    let entry = &files.entry;
    let snapshot = files.snapshot().map_err(Stop::Failed)?;
    let stored = Stored::new(&snapshot, trust).seen_from(&entry.folder);
    let source = Source {
        path: entry.root.clone(),
        environment: entry.environment.clone(),
        trust: trust.clone(),
    };
    let world = super::read(
        &source,
        &stored,
        "the running policy, as it reads here,",
        super::BEFORE,
    )?;
    if world.policy.revision.full() != entry.revision {
        return Err(Stop::Failed(format!(
            "the running revision {} reads as {} here: an environment variable is another one in that process; set it here as there",
            control::short(&entry.revision),
            world.policy.revision
        )));
    }
    Ok(world)
}
