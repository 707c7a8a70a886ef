//! Reports of one policy in several environments as one report. Owns no reading.

use super::At;
use super::Diagnostic;
use super::Report;

impl Report {
    /// Puts the reports of one policy together. Each mistake is told once; one that is not in all of them says in which it is,
    /// in the words that come with them, as in "in the environment `prod`".
    #[must_use]
    pub fn merged(reports: Vec<(String, Self)>) -> Self {
        let all = reports.len();
        let mut merged = Self::default();
        for (environment, report) in reports {
            let sources = merged.adopt_sources(&report);
            for found in report.diagnostics() {
                let found = moved(found, &sources);
                match merged.diagnostics.iter_mut().find(|known| known.is(&found)) {
                    // A report may tell a thing twice.
                    Some(known) if known.environments.contains(&environment) => (),
                    Some(known) => known.environments.push(environment.clone()),
                    None => merged.diagnostics.push(Diagnostic {
                        environments: vec![environment.clone()],
                        ..found
                    }),
                }
            }
        }
        for found in &mut merged.diagnostics {
            if found.environments.len() == all {
                found.environments.clear();
            }
        }
        merged
    }

    /// The index here of each source of another report. The same file with the same text is the same source.
    fn adopt_sources(&mut self, other: &Self) -> Vec<u32> {
        let sources = other.sources.iter().map(|source| {
            let known = self
                .sources
                .iter()
                .position(|known| known.path == source.path && known.text == source.text);
            match known {
                Some(known) => u32::try_from(known).unwrap_or(u32::MAX),
                None => self.add_source(source.clone()),
            }
        });
        sources.collect()
    }
}

impl Diagnostic {
    /// Whether it is the same, wherever it was found.
    fn is(&self, other: &Self) -> bool {
        let Self {
            code,
            severity,
            at,
            message,
            label,
            help,
            related,
            concealed,
            environments: _,
        } = self;
        *code == other.code
            && *severity == other.severity
            && *at == other.at
            && *message == other.message
            && *label == other.label
            && *help == other.help
            && *related == other.related
            && *concealed == other.concealed
    }
}

/// The diagnostic with the places of the new report.
fn moved(found: &Diagnostic, sources: &[u32]) -> Diagnostic {
    let there = |at: At| At {
        source: sources.get(at.source as usize).copied().unwrap_or(u32::MAX),
        ..at
    };
    let related = found.related.iter();
    Diagnostic {
        at: found.at.map(there),
        related: related.map(|(at, why)| (there(*at), why.clone())).collect(),
        ..found.clone()
    }
}
