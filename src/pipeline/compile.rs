//! Policy in, pipelines out: guests are loaded, names become ids, and what a guest gets wrong becomes a diagnostic
//! at its place in the policy. Does no I/O; the policy carries its plugins' bytes.

#[cfg(test)]
mod tests;

use super::Pipeline;
use super::Waits;
use super::breaker::Breaker;
use super::conduct::Conduct;
use super::limit::Limiter;
use super::registry::StatsRegistry;
use super::stage::Action;
use super::stage::Stage;
use crate::hook::Hook;
use crate::hook::Input;
use crate::policy;
use crate::policy::Diagnostic;
use crate::policy::Draft;
use crate::policy::Exceed;
use crate::policy::Mode;
use crate::policy::Plugin;
use crate::policy::Policy;
use crate::policy::Report;
use crate::policy::SqlDetail;
use crate::policy::StageLoad;
use crate::sandbox::Called;
use crate::sandbox::Failed;
use crate::sandbox::Fault;
use crate::sandbox::Guest;
use crate::sandbox::LoadError;
use crate::sandbox::Services;
use crate::sandbox::load_script;
use crate::sandbox::load_wasm;
use crate::statement::Analyzer;
use crate::statement::Needs;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Compiles every pipeline of a policy. Every mistake of every guest is added to `report`; with any, the result is `None`.
pub fn compile(
    policy: &Policy,
    report: &mut Report,
    stats: &StatsRegistry,
    analyzer: &Arc<Analyzer>,
) -> Option<Vec<Arc<Pipeline>>> {
    compile_with_faults(policy, report, stats, analyzer, &BTreeMap::new())
}

/// The same with stages that fail, by their index in the policy: for the policy's tests.
pub fn compile_with_faults(
    policy: &Policy,
    report: &mut Report,
    stats: &StatsRegistry,
    analyzer: &Arc<Analyzer>,
    faults: &BTreeMap<usize, Fault>,
) -> Option<Vec<Arc<Pipeline>>> {
    let _loading = stats.loading(policy);
    let guests = load_guests(policy, report, faults)?;
    Some(compile_variant(policy, &guests, stats, analyzer, faults))
}

/// The loaded guests of a policy, by the index of their stage.
#[derive(Clone)]
pub struct Guests(Vec<Option<Arc<dyn Guest>>>);

/// Loads every guest of a policy but those that fail. Every mistake is added to `report`; with any, the result is `None`.
pub fn load_guests(
    policy: &Policy,
    report: &mut Report,
    faults: &BTreeMap<usize, Fault>,
) -> Option<Guests> {
    let stages = policy.stages.iter().enumerate();
    let guests: Vec<Option<Option<Arc<dyn Guest>>>> = stages
        .map(|(index, stage)| match &stage.action {
            policy::Action::Script(_) | policy::Action::Plugin(_)
                if !faults.contains_key(&index) =>
            {
                load_guest(&policy.plugins, stage, report).map(Some)
            }
            _ => Some(None),
        })
        .collect();
    guests.into_iter().collect::<Option<_>>().map(Guests)
}

/// Compiles a policy, or one that differs from it in guards, order and modes alone, with guests that are loaded already.
pub fn compile_variant(
    policy: &Policy,
    guests: &Guests,
    stats: &StatsRegistry,
    analyzer: &Arc<Analyzer>,
    faults: &BTreeMap<usize, Fault>,
) -> Vec<Arc<Pipeline>> {
    let stages = policy.stages.iter().enumerate();
    let stages: Vec<Arc<Stage>> = stages
        .map(|(index, stage)| {
            let guest = guests.0.get(index).and_then(Option::as_ref);
            compile_stage(stage, faults.get(&index), guest, stats)
        })
        .collect();
    let nodes: Arc<[Arc<str>]> = policy
        .nodes
        .iter()
        .map(|node| Arc::clone(&node.name))
        .collect();
    let branches: Arc<[Arc<str>]> = policy
        .branches
        .iter()
        .map(|branch| Arc::clone(&branch.name))
        .collect();
    let pipelines = policy.pipelines.iter().map(|pipeline| {
        let hooks: [Box<[Arc<Stage>]>; Hook::COUNT] = std::array::from_fn(|hook| {
            let of_hook = pipeline.hooks[hook].iter().map(|&stage| &stages[stage]);
            of_hook
                .filter(|stage| stage.mode != Mode::Off)
                .map(Arc::clone)
                .collect()
        });
        let needs = Hook::all()
            .filter(|hook| hook.has_statement())
            .flat_map(|hook| hooks[hook.index()].iter());
        let mut needs = needs.fold(Needs::default(), |needs, stage| needs.union(stage.needs()));
        let decisions = policy.decisions.as_ref();
        needs.normalized |= decisions.is_some_and(|log| SqlDetail::Normalized <= log.sql);
        let plain = Hook::all()
            .filter(|hook| hook.has_statement())
            .all(|hook| hooks[hook.index()].is_empty())
            && pipeline.otherwise.authorize_allows()
            && !policy.sql.written
            && policy.decisions.is_none();
        let asks_time = hooks.iter().flatten().any(|stage| stage.asks_time());
        let asks_lag = hooks.iter().flatten().any(|stage| stage.asks_lag());
        Arc::new(Pipeline {
            asks_time,
            asks_lag,
            waits: Waits::of(&hooks),
            name: Arc::clone(&pipeline.name),
            policy: Arc::clone(&policy.name),
            revision: policy.revision.short().into(),
            hooks,
            otherwise: pipeline.otherwise,
            sql: policy.sql,
            needs,
            analyzer: Arc::clone(analyzer),
            nodes: Arc::clone(&nodes),
            branches: Arc::clone(&branches),
            plain,
        })
    });
    pipelines.collect()
}

fn compile_stage(
    stage: &policy::Stage,
    fault: Option<&Fault>,
    guest: Option<&Arc<dyn Guest>>,
    stats: &StatsRegistry,
) -> Arc<Stage> {
    let action = match (&stage.action, fault, guest) {
        (_, Some(fault), _) => Action::Guest(Arc::new(Failing(fault.clone()))),
        (_, None, Some(guest)) => Action::Guest(Arc::clone(guest)),
        (policy::Action::Limit(rule), None, None) => {
            Action::Limit(Limiter::new(rule, stats.buckets(&stage.name)))
        }
        (policy::Action::Cache(rule), None, None) => Action::Cache(stats.cache(&stage.name, rule)),
        (action, None, None) => rule(action),
    };
    // A stage that fails as a test wants it to loads nothing.
    let loads: Box<[StageLoad]> = match fault {
        Some(_) => Box::default(),
        None => stage.loads.clone().into(),
    };
    let waits = match &action {
        Action::Guest(guest) => guest.may_wait(),
        Action::Limit(limiter) => limiter.rule().exceed != Exceed::Refuse,
        _ => false,
    };
    Arc::new(Stage {
        may_wait: waits || !loads.is_empty(),
        loads,
        name: Arc::clone(&stage.name),
        place: stage.place.to_string().into(),
        when: stage.when.clone(),
        unless: stage.unless.clone(),
        polarities: stage.polarities(),
        action,
        on_failure: stage.on_failure,
        mode: stage.mode,
        breaker: Breaker::new(stage.breaker),
        conduct: Conduct::default(),
        stats: stats.stage(&stage.name),
    })
}

fn rule(action: &policy::Action) -> Action {
    match action {
        policy::Action::Deny(refusal) => Action::Deny(refusal.clone()),
        policy::Action::Allow => Action::Allow,
        policy::Action::Route { to, otherwise } => Action::Route {
            to: *to,
            otherwise: *otherwise,
        },
        policy::Action::Rewrite {
            add_limit,
            statement_timeout,
        } => Action::Rewrite {
            add_limit: *add_limit,
            statement_timeout: *statement_timeout,
        },
        policy::Action::Log { level, fields } => Action::Log {
            level: *level,
            fields: fields.clone().into(),
        },
        // They were made before, so that this is a mistake of ours; and a mistake refuses.
        policy::Action::Limit(_)
        | policy::Action::Cache(_)
        | policy::Action::Script(_)
        | policy::Action::Plugin(_) => {
            Action::Guest(Arc::new(Failing(Fault::Internal("a stage is not loaded"))))
        }
    }
}

/// A guest that fails as a test wants it to.
struct Failing(Fault);

impl Guest for Failing {
    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn call<'g>(&'g self, _: &Input<'_>, _: &Arc<dyn Services>) -> Called<'g> {
        Called::Done(Err(Failed {
            fault: self.0.clone(),
            fuel: 0,
        }))
    }
}

/// Reports what is wrong with the guests of a policy that is refused already.
pub fn review_guests(draft: &Draft, report: &mut Report) {
    for stage in &draft.stages {
        load_guest(&draft.plugins, stage, report);
    }
}

fn load_guest(
    plugins: &[Plugin],
    stage: &policy::Stage,
    report: &mut Report,
) -> Option<Arc<dyn Guest>> {
    let loaded = match &stage.action {
        policy::Action::Script(script) => load_script(&script.text, stage.guest_spec(None)),
        policy::Action::Plugin(plugin) => {
            let plugin = &plugins[*plugin];
            load_wasm(&plugin.bytes, stage.guest_spec(Some(plugin)))
        }
        _ => return None,
    };
    loaded
        .map(Arc::from)
        .map_err(|errors| {
            for error in errors {
                report.add(diagnostic(plugins, stage, error));
            }
        })
        .ok()
}

/// A script's mistake stands where the script says it; a plugin's at the stage that uses it.
fn diagnostic(plugins: &[Plugin], stage: &policy::Stage, error: LoadError) -> Diagnostic {
    let missing = error.not_granted_by().map(|key| match &stage.granted {
        Some(granted) => granted.by(key),
        None => "the stage names no `permissions`",
    });
    let (at, message) = match &stage.action {
        policy::Action::Script(script) => {
            let at = error
                .span
                .map_or(script.place.at, |span| script.place_of(span));
            (at, error.message)
        }
        policy::Action::Plugin(plugin) => {
            let name = &plugins[*plugin].name;
            (
                stage.place.at,
                format!("plugin `{name}`: {}", error.message),
            )
        }
        _ => (stage.place.at, error.message),
    };
    let found = Diagnostic::error(error.code, at, message);
    match (error.help, missing) {
        (Some(help), Some(missing)) => found.label(format!("{help}; {missing}")),
        (Some(help), None) => found.label(help),
        (None, _) => found,
    }
}
