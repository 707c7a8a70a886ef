//! Permissions that nothing needs. What a script or plugin uses is known once it is loaded, so this is asked by who loads them.

use crate::policy::Policy;
use crate::policy::action::Action;
use crate::policy::code;
use crate::policy::report::Diagnostic;
use crate::policy::report::Report;
use crate::policy::stage::Stage;
use crate::sandbox::Call;
use crate::sandbox::Grants;
use crate::sandbox::See;
use crate::sandbox::Uses;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Warns of what permission sets grant and no stage of theirs uses. `uses` is by the names of the stages; of one that is not in it
/// nothing is known, and it is taken to use everything.
pub fn lint_grants(policy: &Policy, uses: &BTreeMap<Arc<str>, Uses>, report: &mut Report) {
    let mut sets: BTreeMap<&str, Vec<&Stage>> = BTreeMap::new();
    for stage in policy.stages.iter().filter(|stage| stage.granted.is_some()) {
        sets.entry(&stage.grants.name).or_default().push(stage);
    }
    for (name, stages) in sets {
        let Some(granted) = stages.first().and_then(|stage| stage.granted.as_ref()) else {
            continue;
        };
        let see = all(&stages, |stage| seen(stage, uses));
        let call = all(&stages, |stage| called(stage, uses));
        let mut wider = |at, key: &str, what: &str| {
            let message =
                format!("`{key}` of permissions `{name}` grants `{what}`, which no stage uses");
            let found = Diagnostic::warning(code::WIDER_THAN_NEEDED, at, message);
            report.add(found.label("remove it"));
        };
        for (granted, at) in granted.seen() {
            if see.as_ref().is_some_and(|see| !see.contains(granted)) {
                wider(*at, "see", granted.name());
            }
        }
        for (granted, at) in granted.called() {
            if call.as_ref().is_some_and(|call| !call.contains(granted)) {
                wider(*at, "call", granted.name());
            }
        }
    }
}

/// What any of the stages uses; `None` where that is not known of all.
fn all<T: Ord>(
    stages: &[&Stage],
    of: impl Fn(&Stage) -> Option<BTreeSet<T>>,
) -> Option<BTreeSet<T>> {
    let mut together = BTreeSet::new();
    for stage in stages {
        together.extend(of(stage)?);
    }
    Some(together)
}

/// What the stage looks at, itself and to ask for rows.
fn seen(stage: &Stage, uses: &BTreeMap<Arc<str>, Uses>) -> Option<BTreeSet<See>> {
    let mut see = match &stage.action {
        // What a log line may have without permission may be granted all the same.
        Action::Log { fields, .. } => {
            let beyond = fields.iter().filter_map(|field| field.see());
            beyond.chain(Grants::standard().see).collect()
        }
        _ => uses.get(&stage.name)?.see.clone()?,
    };
    let args = stage.loads.iter().flat_map(|load| &load.args);
    see.extend(args.filter_map(|arg| See::needed_for(arg.field())));
    let told = stage.attributes.iter();
    see.extend(told.filter_map(|attribute| See::needed_for(attribute.field)));
    Some(see)
}

/// What the stage calls.
fn called(stage: &Stage, uses: &BTreeMap<Arc<str>, Uses>) -> Option<BTreeSet<Call>> {
    let mut call = match &stage.action {
        Action::Log { .. } => BTreeSet::new(),
        _ => uses.get(&stage.name)?.call.clone()?,
    };
    if !stage.loads.is_empty() {
        call.insert(Call::Load);
    }
    Some(call)
}
