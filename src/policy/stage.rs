//! `[stage.NAME]`: one rule, script or plugin, with its guards, permissions and limits. Owns no order; that is `[pipeline.NAME]`'s.

use super::action;
use super::action::Action;
use super::action::Names;
use super::action::RouteTarget;
use super::attributes;
use super::canonical::Canonical;
use super::code;
use super::guest;
use super::guest::BreakerRule;
use super::guest::Ceilings;
use super::guest::Granted;
use super::guest::Permissions;
use super::keys::MATCHERS;
use super::keys::PERMISSIONS;
use super::keys::STAGE;
use super::load;
use super::load::StageLoad;
use super::plugin::Plugin;
use super::predicate;
use super::predicate::Join;
use super::predicate::Polarity;
use super::predicate::Predicate;
use super::reading::Table;
use super::report::Diagnostic;
use super::report::Place;
use super::scope::Scope;
use super::waiver;
use super::waiver::Waiver;
use crate::hook::Hook;
use crate::sandbox::Abi;
use crate::sandbox::Attribute;
use crate::sandbox::Grants;
use crate::sandbox::GuestSpec;
use crate::sandbox::Limits;
use crate::sandbox::State;
use std::sync::Arc;

/// One stage.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The name in the policy.
    pub name: Arc<str>,
    /// When it is asked; never empty.
    pub hooks: Vec<Hook>,
    /// It is asked only where this matches.
    pub when: Predicate,
    /// It is not asked where this matches.
    pub unless: Predicate,
    /// What it does.
    pub action: Action,
    /// What it may see and do.
    pub grants: Grants,
    /// What is fetched before it is asked, in the order of the names.
    pub loads: Vec<StageLoad>,
    /// What it may use.
    pub limits: Limits,
    /// What a plugin of another system is told beside the fields of its ABI.
    pub attributes: Vec<Attribute>,
    /// When it is no longer asked.
    pub breaker: BreakerRule,
    /// What of one call the next may find.
    pub state: State,
    /// What a failure means.
    pub on_failure: OnFailure,
    /// Whether it counts.
    pub mode: Mode,
    /// Why it loosens the policy, and until when.
    pub waiver: Option<Waiver>,
    /// Where it is written.
    pub place: Place,
    /// What its permission set says it grants; `None`: it names none.
    pub granted: Option<Arc<Granted>>,
    /// Nothing is wrong with what its guest is judged by: its hooks, its permissions and its own keys.
    pub(super) judgeable: bool,
}

/// What a failure of a stage means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OnFailure {
    /// It refuses.
    Closed,
    /// The next stage is asked.
    Open,
}

impl OnFailure {
    pub(super) const NAMES: [(&'static str, Self); 2] =
        [("closed", Self::Closed), ("open", Self::Open)];
}

/// Whether a stage counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// It does.
    Enforce,
    /// It is asked, and what it says is only written down.
    Observe,
    /// It is not asked.
    Off,
}

const MODES: [(&str, Mode); 3] = [
    ("enforce", Mode::Enforce),
    ("observe", Mode::Observe),
    ("off", Mode::Off),
];

/// What stages are checked against.
#[derive(Clone, Copy)]
pub(super) struct Around<'s> {
    pub(super) ceilings: Ceilings,
    pub(super) permissions: &'s [Permissions],
    pub(super) plugins: &'s [Plugin],
}

pub(super) fn read(scope: Scope<'_, '_>, around: Around<'_>) -> Vec<Stage> {
    scope.each(&STAGE, |scope, name, table| {
        stage(scope, name, table, around)
    })
}

fn stage(
    scope: Scope<'_, '_>,
    name: &str,
    table: &Table<'_, '_>,
    around: Around<'_>,
) -> Option<Stage> {
    let errors = scope.reading.errors();
    let hooks = hooks(scope, table);
    let hooks_are_right = !hooks.is_empty() && scope.reading.errors() == errors;
    let when = guard(scope, table, "when", Join::All, &hooks);
    let unless = guard(scope, table, "unless", Join::Any, &hooks);
    let permissions = permissions(scope, table, around.permissions);
    let grants = match permissions {
        Some(found) => Some(found.grants.clone()),
        None => (!table.has("permissions")).then(Grants::standard),
    };
    let action = action::read(scope, table, &hooks, grants.as_ref());
    let errors = scope.reading.errors();
    let loads = load::loads(scope, table, &hooks, grants.as_ref());
    let loads_are_right = scope.reading.errors() == errors;
    let mode = table.choice("mode", &MODES).unwrap_or(Mode::Enforce);
    only_of_guests(table);
    let plugin = match &action {
        Some(Action::Plugin(id)) => scope.words.names(&super::keys::PLUGIN).nth(*id),
        _ => None,
    };
    let plugin = around
        .plugins
        .iter()
        .find(|known| Some(&*known.name) == plugin);
    let limits = match plugin {
        Some(plugin) => guest::limits(table, plugin.limits, &format!("plugin `{}`", plugin.name)),
        None => guest::limits(table, around.ceilings.limits, "`[sandbox]`"),
    };
    let attributes = attributes::read(table, &hooks, grants.as_ref(), plugin);
    if let (Some(plugin), Some(grants)) = (plugin, &grants) {
        attributes::without_text(table, &hooks, grants, plugin);
    }
    let breaker = guest::breaker(
        table,
        plugin.map_or(around.ceilings.breaker, |plugin| plugin.breaker),
    );
    let waiver = waiver::read(table);
    let on_failure = on_failure(table, &hooks, around.ceilings.on_failure);
    if let Some(action) = &action {
        waiver::check(table, action, (mode, on_failure));
    }
    Some(Stage {
        name: name.into(),
        hooks,
        when,
        unless,
        action: action?,
        judgeable: table.is_sound && hooks_are_right && loads_are_right && grants.is_some(),
        grants: grants.unwrap_or_else(Grants::standard),
        granted: permissions.map(|found| Arc::clone(&found.granted)),
        loads,
        limits,
        attributes,
        breaker,
        state: plugin.map_or(State::Fresh, |plugin| plugin.state),
        on_failure,
        mode,
        waiver,
        place: scope.reading.place(table.at),
    })
}

/// Reports keys that only scripts and plugins have, where there is neither.
fn only_of_guests(table: &Table<'_, '_>) {
    const KEYS: [&str; 9] = [
        "fuel",
        "memory",
        "deadline",
        "max_input",
        "max_output",
        "max_host_calls",
        "on_failure",
        "breaker",
        "load",
    ];
    if table.has("script") || table.has("plugin") {
        return;
    }
    // A `log` action has fields, and permissions bound which.
    let permissions = (!table.has("log")).then_some("permissions");
    for key in KEYS
        .into_iter()
        .chain(permissions)
        .filter(|key| table.has(key))
    {
        let message = format!("`{key}` has no effect: this stage asks no script and no plugin");
        table
            .reading
            .error(code::NO_EFFECT, table.key_at(key), message);
    }
}

fn hooks(scope: Scope<'_, '_>, table: &Table<'_, '_>) -> Vec<Hook> {
    let mut hooks = Vec::new();
    for spot in table.texts("hook") {
        match scope
            .reading
            .one_of(&spot, "hook", Hook::all().map(Hook::name), Hook::parse)
        {
            Some(hook) if hooks.contains(&hook) => scope.listed_twice(&spot),
            Some(hook) => hooks.push(hook),
            None => (),
        }
    }
    hooks
}

fn guard(
    scope: Scope<'_, '_>,
    table: &Table<'_, '_>,
    key: &'static str,
    join: Join,
    hooks: &[Hook],
) -> Predicate {
    let Some(inner) = table.table(key, &MATCHERS) else {
        return Predicate::empty(join);
    };
    let predicate = predicate::read(scope, &inner, join, hooks);
    if inner.is_empty() {
        table.reading.error(
            code::EMPTY,
            inner.at,
            format!("`{key}` is empty; leave it out"),
        );
    }
    inner.finish();
    predicate
}

/// The permission set it names, if there is nothing wrong with it: what it grants is not known otherwise.
fn permissions<'p>(
    scope: Scope<'_, '_>,
    table: &Table<'_, '_>,
    all: &'p [Permissions],
) -> Option<&'p Permissions> {
    let id = scope.one(table, "permissions", &PERMISSIONS)?;
    let name = scope.words.names(&PERMISSIONS).nth(id)?;
    all.iter().find(|found| &*found.grants.name == name)
}

/// `open` needs a waiver where a stage guards who may log in and what may run; there even the default of `[sandbox]` is closed.
fn on_failure(table: &Table<'_, '_>, hooks: &[Hook], by_default: OnFailure) -> OnFailure {
    let guards = hooks
        .iter()
        .find(|hook| matches!(hook, Hook::Authenticate | Hook::Authorize));
    let Some(written) = table.choice("on_failure", &OnFailure::NAMES) else {
        return if guards.is_some() {
            OnFailure::Closed
        } else {
            by_default
        };
    };
    if let (OnFailure::Open, Some(hook), false) = (written, guards, table.has("waiver")) {
        let message = format!(
            "`on_failure = \"open\"` is refused at `{hook}` without a `waiver`: a guard that fails must say no"
        );
        let found = Diagnostic::error(code::OPEN_REFUSED, table.value_at("on_failure"), message);
        table
            .reading
            .add(found.label("remove it, or say why, who and until when in a `waiver`"));
    }
    written
}

impl Stage {
    /// Whether the two are asked whichever comes first: what is allowed is masked all the same.
    #[must_use]
    pub fn passes(&self, other: &Self) -> bool {
        matches!(
            (&self.action, &other.action),
            (Action::Allow, Action::Mask(_)) | (Action::Mask(_), Action::Allow)
        )
    }

    /// The polarity of `when` and of `unless`. What matches `when` is acted on, what matches `unless` is spared.
    #[must_use]
    pub fn polarities(&self) -> (Polarity, Polarity) {
        let when = match self.action {
            Action::Allow | Action::Route { .. } | Action::Cache(_) => Polarity::All,
            _ => Polarity::Any,
        };
        (when, when.opposite())
    }

    /// Whether the rest of a list is not asked where it matches. A `route` to the default names no place.
    #[must_use]
    pub fn ends_list(&self) -> bool {
        self.mode == Mode::Enforce
            && match self.action {
                Action::Deny(_) | Action::Allow => true,
                Action::Route { to, .. } => to != RouteTarget::Default,
                _ => false,
            }
    }

    /// The same stage with the opposite of its guards: asked where it was not, and only there.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self {
            when: Predicate::negation_of(&self.when, &self.unless, self.polarities()),
            unless: Predicate::empty(Join::Any),
            ..self.clone()
        }
    }

    /// Whether its guards ask how far behind standbys are.
    pub(super) fn asks_lag(&self) -> bool {
        self.when.asks_lag() || self.unless.asks_lag()
    }

    /// Whether it and another stage are surely never asked about the same statement.
    #[must_use]
    pub fn is_apart_from(&self, other: &Self) -> bool {
        let ((mine, _), (theirs, _)) = (self.polarities(), other.polarities());
        self.when.tests().iter().any(|own| {
            let mut others = other.when.tests().iter();
            others.any(|other| own.excludes(mine, other, theirs))
        })
    }

    /// The terms its guest is loaded on; a script has no plugin.
    #[must_use]
    pub fn guest_spec(&self, plugin: Option<&Plugin>) -> GuestSpec {
        GuestSpec {
            stage: Arc::clone(&self.name),
            hooks: self.hooks.clone(),
            grants: self.grants.clone(),
            limits: self.limits,
            state: self.state,
            config: plugin.and_then(|plugin| plugin.config.clone()),
            manifest: plugin.and_then(|plugin| plugin.manifest.clone()),
            abi: plugin.map_or(Abi::Pgwarden1, |plugin| plugin.abi),
            attributes: self.attributes.clone(),
            loads: self
                .loads
                .iter()
                .map(|load| Arc::clone(&load.name))
                .collect(),
        }
    }

    pub(super) fn write(&self, canonical: &mut Canonical, names: Names<'_>, plugins: &[Plugin]) {
        let Self {
            name,
            hooks,
            when,
            unless,
            action,
            grants,
            loads,
            limits,
            attributes,
            breaker,
            state,
            on_failure,
            mode,
            waiver,
            place: _,
            granted: _,
            judgeable: _,
        } = self;
        let mut section = canonical.section("stage", name);
        let mut hooks: Vec<&str> = hooks.iter().map(|hook| hook.name()).collect();
        hooks.sort_unstable();
        section.list("hooks", &hooks);
        for (guard, predicate) in [("when", when), ("unless", unless)] {
            for (key, wanted) in predicate.canonical() {
                section.text(&format!("{guard}.{key:?}"), wanted);
            }
        }
        section.text(action.name(), &action.canonical(names, plugins));
        section.debug("mode", mode);
        if let Some(waiver) = waiver {
            waiver.write(&mut section);
        }
        if matches!(action, Action::Script(_) | Action::Plugin(_)) {
            // The permissions' name is only a name; what they grant is what counts.
            let Grants {
                name: _,
                see,
                call,
                kv,
                cache,
                patterns,
                metrics,
                load,
            } = grants;
            section.debug("see", see);
            section.debug("call", call);
            section.debug("kv", kv);
            section.debug("cache", cache);
            section.debug("patterns", patterns);
            section.debug("metrics", metrics);
            load::write_grant(&mut section, load.as_ref());
            load::write_loads(&mut section, loads);
            section.limits(limits);
            let attributes: Vec<String> = attributes.iter().map(attributes::shown).collect();
            section.list("attributes", &attributes);
            section.debug("state", state);
            section.debug("on_failure", on_failure);
            section.debug("breaker", breaker);
        }
    }
}
