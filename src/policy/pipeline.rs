//! `[pipeline.NAME]`: the order of the stages, one list for each hook, and what holds where none decides.

use super::action;
use super::action::Names;
use super::action::RouteTarget;
use super::canonical::Canonical;
use super::code;
use super::document::Value;
use super::keys::LISTENER;
use super::keys::OTHERWISE;
use super::keys::PIPELINE;
use super::keys::STAGE;
use super::listener::Listener;
use super::reading::Spot;
use super::reading::Table;
use super::reading::unknown;
use super::report::Diagnostic;
use super::scope::Scope;
use super::stage::Stage;
use crate::hook::AuthMethod;
use crate::hook::Hook;
use std::sync::Arc;

/// The order of the stages.
#[derive(Clone, PartialEq, Debug)]
pub struct Pipeline {
    /// The name in the policy.
    pub name: Arc<str>,
    /// For each hook, indices of `Policy::stages`, in the order they are asked.
    pub hooks: [Vec<usize>; Hook::COUNT],
    /// The built-in methods that may follow the `authenticate` stages. All of them where the policy has no such list.
    pub builtin: Vec<AuthMethod>,
    /// What holds where no stage decides.
    pub otherwise: Otherwise,
}

/// What holds where no stage decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Otherwise {
    /// Whether a statement may run.
    pub authorize: AuthorizeOtherwise,
    /// Where it goes.
    pub route: RouteTarget,
}

/// Whether a statement may run that no `authorize` stage decided on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AuthorizeOtherwise {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

impl Otherwise {
    /// Whether a statement may run that no `authorize` stage decided on.
    #[must_use]
    pub fn authorize_allows(&self) -> bool {
        self.authorize == AuthorizeOtherwise::Allow
    }
}

const BUILTIN: [(&str, AuthMethod); 3] = [
    ("trust", AuthMethod::Trust),
    ("scram", AuthMethod::Scram),
    ("md5", AuthMethod::Md5),
];
const AUTHORIZE: [(&str, AuthorizeOtherwise); 2] = [
    ("allow", AuthorizeOtherwise::Allow),
    ("deny", AuthorizeOtherwise::Deny),
];

/// The keys of the lists, in phase order.
const LISTS: [(Hook, &str); Hook::COUNT] = [
    (Hook::OnConnect, "on_connect"),
    (Hook::Authenticate, "authenticate"),
    (Hook::PreQuery, "pre_query"),
    (Hook::Rewrite, "rewrite"),
    (Hook::Authorize, "authorize"),
    (Hook::CacheGet, "cache_get"),
    (Hook::Route, "route"),
    (Hook::CacheSet, "cache_set"),
    (Hook::PostQuery, "post_query"),
    (Hook::Metrics, "metrics"),
    (Hook::OnDisconnect, "on_disconnect"),
    (Hook::Custom, "custom"),
];

/// Reads the pipelines and checks that each stage declares the hooks it is listed at.
pub(super) fn read(scope: Scope<'_, '_>, stages: &[Stage]) -> Vec<Pipeline> {
    let pipelines = scope.each(&PIPELINE, |scope, name, table| {
        Some(pipeline(scope, name, table, stages))
    });
    if pipelines.is_empty() && scope.words.names(&PIPELINE).next().is_none() {
        let found = Diagnostic::error(code::MISSING_KEY, scope.root(), "there is no pipeline");
        scope.reading.add(found.help(
            "write [pipeline.default] with otherwise = { authorize = \"allow\" } or \"deny\"",
        ));
    }
    pipelines
}

fn pipeline(scope: Scope<'_, '_>, name: &str, table: &Table<'_, '_>, stages: &[Stage]) -> Pipeline {
    let mut hooks: [Vec<usize>; Hook::COUNT] = std::array::from_fn(|_| Vec::new());
    let mut builtin = Vec::new();
    for (hook, key) in LISTS {
        let Some(entry) = table.entry(key) else {
            continue;
        };
        for spot in scope.reading.texts(&entry.word) {
            if hook == Hook::Authenticate && method(scope, &spot, &mut builtin) {
                continue;
            }
            if !builtin.is_empty() && hook == Hook::Authenticate {
                let found = Diagnostic::error(
                    code::CONTRADICTION,
                    spot.at,
                    "stages come before the built-in methods",
                );
                scope.reading.add(found.label("move it to the front"));
            }
            let Some(id) = find(scope, hook, &spot) else {
                continue;
            };
            declared(scope, hook, &spot, stages);
            if hooks[hook.index()].contains(&id) {
                scope.listed_twice(&spot);
            }
            hooks[hook.index()].push(id);
        }
    }
    if !table.has("authenticate") {
        builtin = BUILTIN.map(|(_, method)| method).to_vec();
    }
    Pipeline {
        name: name.into(),
        hooks,
        builtin,
        otherwise: otherwise(scope, table),
    }
}

/// Takes a built-in method, unless a stage has its name.
fn method(scope: Scope<'_, '_>, spot: &Spot<String>, builtin: &mut Vec<AuthMethod>) -> bool {
    let Some((_, method)) = BUILTIN.iter().find(|(name, _)| *name == spot.value) else {
        return false;
    };
    if scope.words.names(&STAGE).any(|name| name == spot.value) {
        return false;
    }
    if builtin.contains(method) {
        scope.listed_twice(spot);
    }
    builtin.push(*method);
    true
}

fn find(scope: Scope<'_, '_>, hook: Hook, spot: &Spot<String>) -> Option<usize> {
    if hook != Hook::Authenticate {
        return scope.find(&STAGE, spot);
    }
    let found = scope
        .words
        .names(&STAGE)
        .position(|name| name == spot.value);
    if found.is_none() {
        let names = scope
            .words
            .names(&STAGE)
            .chain(BUILTIN.iter().map(|(name, _)| *name));
        scope.reading.add(unknown(
            code::UNKNOWN_NAME,
            spot.at,
            "stage or built-in method",
            &spot.value,
            names,
        ));
    }
    found
}

fn declared(scope: Scope<'_, '_>, hook: Hook, spot: &Spot<String>, stages: &[Stage]) {
    let Some(stage) = stages.iter().find(|stage| *stage.name == *spot.value) else {
        return;
    };
    // Where one that it declares is misspelt, this may be the one that is meant; that is reported there.
    if !stage.hooks.is_empty()
        && stage.hooks.len() == hooks_written(scope, &spot.value)
        && !stage.hooks.contains(&hook)
    {
        let names = super::suggest::list(stage.hooks.iter().map(|hook| hook.name()));
        let found = Diagnostic::error(
            code::UNDECLARED_HOOK,
            spot.at,
            format!("stage `{}` is not for `{hook}`", spot.value),
        );
        scope.reading.add(
            found
                .label(format!("it declares {names}"))
                .related(stage.place.at, "the stage"),
        );
    }
}

/// How many hooks a stage names, right or wrong.
fn hooks_written(scope: Scope<'_, '_>, stage: &str) -> usize {
    let table = scope.words.table(&STAGE, stage);
    let hook = table.and_then(|table| table.word.entry("hook"));
    let settled = hook.and_then(|hook| scope.reading.settle(&hook.word));
    match settled.as_deref().map(|word| &word.value) {
        Some(Value::List(hooks)) => hooks.len(),
        Some(_) => 1,
        None => 0,
    }
}

fn otherwise(scope: Scope<'_, '_>, table: &Table<'_, '_>) -> Otherwise {
    let denied = Otherwise {
        authorize: AuthorizeOtherwise::Deny,
        route: RouteTarget::Default,
    };
    let Some(inner) = table.table("otherwise", &OTHERWISE) else {
        return denied;
    };
    let authorize = inner
        .choice("authorize", &AUTHORIZE)
        .unwrap_or(denied.authorize);
    let route = inner
        .text("route")
        .and_then(|spot| action::target(scope, &spot))
        .unwrap_or(denied.route);
    inner.finish();
    Otherwise { authorize, route }
}

/// Stages that no pipeline asks at one of their hooks, and pipelines that no listener uses.
pub(super) fn check_used(
    scope: Scope<'_, '_>,
    stages: &[Stage],
    pipelines: &[Pipeline],
    listeners: &[Listener],
) {
    let listed = |hook: Hook, stage: &Stage| {
        let id = scope
            .words
            .names(&STAGE)
            .position(|name| name == &*stage.name);
        pipelines
            .iter()
            .any(|pipeline| id.is_some_and(|id| pipeline.hooks[hook.index()].contains(&id)))
    };
    for stage in stages {
        for hook in stage.hooks.iter().filter(|hook| !listed(**hook, stage)) {
            let message = format!(
                "stage `{}` is in no pipeline's `{hook}` list, so it is never asked there",
                stage.name
            );
            let found = Diagnostic::error(code::UNUSED, stage.place.at, message);
            scope.reading.add(found.help(format!(
                "add it to a `{hook}` list, or remove it; `mode = \"off\"` keeps it out of use"
            )));
        }
    }
    if listeners.len() < scope.words.names(&LISTENER).count() {
        return;
    }
    for (id, (name, entry)) in scope.words.named(&PIPELINE).enumerate() {
        if !listeners.iter().any(|listener| listener.pipeline == id) {
            let found = Diagnostic::error(
                code::UNUSED,
                entry.key_at,
                format!("pipeline `{name}` is used by no listener"),
            );
            scope
                .reading
                .add(found.help("name it in a listener's `pipeline`, or remove it"));
        }
    }
}

impl Pipeline {
    pub(super) fn write(&self, canonical: &mut Canonical, names: Names<'_>, stages: &[Stage]) {
        let Self {
            name,
            hooks,
            builtin,
            otherwise: Otherwise { authorize, route },
        } = self;
        let mut section = canonical.section("pipeline", name);
        for (hook, ids) in Hook::all().zip(hooks) {
            let names: Vec<&str> = ids
                .iter()
                .filter_map(|id| stages.get(*id))
                .map(|stage| &*stage.name)
                .collect();
            section.list(hook.name(), &names);
        }
        let mut methods: Vec<&str> = builtin.iter().map(|method| method.name()).collect();
        methods.sort_unstable();
        section.list("builtin", &methods);
        section.debug("otherwise.authorize", authorize);
        section.text("otherwise.route", &names.target(*route));
    }
}
