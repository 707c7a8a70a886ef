//! The next world, built away from traffic: from the files on disk, from those of an earlier revision, or from a candidate that is
//! tried first. Does blocking I/O. Owns no swap.

use super::Mistakes;
use super::PolicyTests;
use crate::pipeline;
use crate::pipeline::StatsRegistry;
use crate::policy::Files;
use crate::policy::Gate;
use crate::policy::Policy;
use crate::policy::Report;
use crate::server::git;
use crate::server::history::Entry;
use crate::server::live::Source;
use crate::server::live::build_from;
use crate::server::live::log_warnings;
use crate::server::snapshot::Snapshot;
use crate::server::snapshot::Stored;
use crate::server::source::Stamps;
use crate::server::source::Watched;
use crate::server::status::Status;
use crate::session::Shared;
use crate::session::World;
use crate::statement::Analyzer;
use std::path::PathBuf;
use std::sync::Arc;

/// Which bytes the next world is built from, and whose figures its stages count in.
pub(super) enum Wanted {
    /// Those on disk.
    Files,
    /// Those of a revision this many back.
    Back(usize),
    /// Those that a canary was built from.
    Candidate(Box<(Entry, Snapshot)>),
    /// Those of a policy that is tried first: its own file, or the process's where it has none.
    Tried(Option<PathBuf>, Arc<StatsRegistry>),
}

/// A world that may be put into force, and the bytes it was built from.
pub(super) struct Built {
    pub(super) world: World,
    pub(super) source: Source,
    pub(super) snapshot: Snapshot,
}

/// What is needed to build, apart from the files.
pub(super) struct Workshop {
    pub(super) shared: Arc<Shared>,
    pub(super) source: Source,
    pub(super) analyzer: Arc<Analyzer>,
    pub(super) status: Arc<Status>,
    pub(super) tests: PolicyTests,
}

impl Workshop {
    /// The world, and the process's own files as they were found, where they were looked at.
    pub(super) fn build(self, wanted: Wanted) -> (Result<Built, Mistakes>, Option<Stamps>) {
        match wanted {
            Wanted::Files => {
                let (built, stamps) = self.of_files(self.source.clone(), &self.shared.stages);
                (built, Some(stamps))
            }
            Wanted::Back(back) => (self.of_history(back), None),
            Wanted::Candidate(kept) => {
                let (entry, snapshot) = *kept;
                (self.of_kept(entry, snapshot), None)
            }
            Wanted::Tried(path, stages) => {
                let source = Source {
                    path: path.unwrap_or_else(|| self.source.path.clone()),
                    ..self.source.clone()
                };
                (self.of_files(source, &stages).0, None)
            }
        }
    }

    fn of_files(
        &self,
        source: Source,
        stages: &StatsRegistry,
    ) -> (Result<Built, Mistakes>, Stamps) {
        let files = Watched::new(&source.trust);
        let built = self.world(&source, &files, stages);
        let (stamps, snapshot) = files.into_parts();
        let built = built.map(|mut world| {
            world.commit = commit_of(&source, &world.policy, &snapshot);
            Built {
                world,
                source: source.clone(),
                snapshot,
            }
        });
        (built, stamps)
    }

    fn of_history(&self, back: usize) -> Result<Built, Mistakes> {
        let (entry, snapshot) = self.status.history.back(back)?;
        entry.fits(&self.source)?;
        self.of_kept(entry, snapshot)
    }

    /// From stored bytes; secrets are read where they lie.
    fn of_kept(&self, entry: Entry, snapshot: Snapshot) -> Result<Built, Mistakes> {
        let source = Source {
            path: entry.root.clone(),
            ..self.source.clone()
        };
        let files = Stored::new(&snapshot, &source.trust);
        let mut world = self.world(&source, &files, &self.shared.stages)?;
        entry.is_of(&world.policy, &snapshot)?;
        world.commit = entry.commit.map(Arc::from);
        Ok(Built {
            world,
            source,
            snapshot,
        })
    }

    /// The world, once it has passed what the running and the new policy ask of it.
    fn world(
        &self,
        source: &Source,
        files: &dyn Files,
        stages: &StatsRegistry,
    ) -> Result<World, Mistakes> {
        let (next, report) = build_from(source, files, stages, &self.analyzer);
        log_warnings(&report);
        let next = next.ok_or(report)?;
        let gate = self.shared.live.load().policy.reload.gate;
        match gate.max(next.policy.reload.gate) {
            Gate::Check => Ok(next),
            Gate::Tests => pass_tests(next, self.tests, &self.analyzer),
        }
    }
}

/// The git commit that a policy lies in, and whether its files are as they are there. Plugins are left out: they are pinned, and
/// often made from what is in the commit instead of being in it.
pub(in crate::server) fn commit_of(
    source: &Source,
    policy: &Policy,
    snapshot: &Snapshot,
) -> Option<Arc<str>> {
    let files = snapshot.files.iter();
    let files = files.filter(|(path, _)| {
        let mut plugins = policy.plugins.iter();
        !plugins.any(|plugin| plugin.path == **path)
    });
    let files = files.map(|(path, bytes)| (&**path, &**bytes));
    git::commit_of(&source.path, files).map(Arc::from)
}

/// Runs the policy's tests on guests of their own, so that nothing of them is left in those that will serve.
fn pass_tests(
    next: World,
    tests: PolicyTests,
    analyzer: &Arc<Analyzer>,
) -> Result<World, Mistakes> {
    let (mut report, stats) = (Report::default(), StatsRegistry::default());
    let Some(pipelines) = pipeline::compile(&next.policy, &mut report, &stats, analyzer) else {
        return Err(report.into());
    };
    let failures = tests(&next.policy, &pipelines, analyzer);
    if failures.is_empty() {
        Ok(next)
    } else {
        Err(failures.into())
    }
}
