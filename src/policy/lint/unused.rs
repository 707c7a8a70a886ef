//! Names that nothing uses. Stages and pipelines are not among them: those are mistakes.

use super::Lint;
use crate::hook::Hook;
use crate::policy::action::Action;
use crate::policy::action::RouteTarget;
use crate::policy::code;
use crate::policy::keys::BRANCH;
use crate::policy::keys::NODE;
use crate::policy::keys::PERMISSIONS;
use crate::policy::keys::PLUGIN;
use crate::policy::keys::POOL;
use crate::policy::keys::ROLE;
use crate::policy::report::At;
use crate::policy::report::Diagnostic;

pub(super) fn lint(lint: Lint<'_, '_>) {
    permissions(lint);
    plugins(lint);
    nodes_and_branches(lint);
    pools(lint);
    roles(lint);
    variables(lint);
}

fn unused(lint: Lint<'_, '_>, at: At, what: &str, name: &str, cure: &str) {
    let found = Diagnostic::warning(
        code::UNUSED_NAME,
        at,
        format!("nothing uses the {what} `{name}`"),
    );
    lint.add(found.label(format!("{cure}, or remove it")));
}

fn permissions(lint: Lint<'_, '_>) {
    for (name, entry) in lint.scope.words.named(&PERMISSIONS) {
        let mut stages = lint.policy.stages.iter();
        if !stages.any(|stage| stage.granted.is_some() && &*stage.grants.name == name) {
            let cure = "name it in `permissions` of a stage";
            unused(lint, entry.key_at, "permission set", name, cure);
        }
    }
}

fn plugins(lint: Lint<'_, '_>) {
    for (id, (name, entry)) in lint.scope.words.named(&PLUGIN).enumerate() {
        let mut stages = lint.policy.stages.iter();
        if !stages.any(|stage| matches!(stage.action, Action::Plugin(used) if used == id)) {
            unused(lint, entry.key_at, "plugin", name, "ask it in a stage");
        }
    }
}

/// Every place that rules route to.
fn targets(lint: Lint<'_, '_>) -> Vec<RouteTarget> {
    let mut targets = Vec::new();
    for stage in &lint.policy.stages {
        if let Action::Route { to, otherwise } = stage.action {
            targets.push(to);
            targets.extend(otherwise);
        }
    }
    let pipelines = lint.policy.pipelines.iter();
    targets.extend(pipelines.map(|pipeline| pipeline.otherwise.route));
    targets
}

/// Whether a script or plugin may say the name: it stands in a script or in a configuration, or a plugin without a configuration is
/// asked where it can say anything.
fn may_be_said(lint: Lint<'_, '_>, name: &str, anywhere: impl Fn(&[Hook]) -> bool) -> bool {
    lint.policy.stages.iter().any(|stage| match &stage.action {
        Action::Script(script) => script.text.contains(name),
        Action::Plugin(id) => {
            let plugin = &lint.policy.plugins[*id];
            let config = plugin.config.as_ref().map(ToString::to_string);
            let is_told = config.is_some_and(|config| config.contains(name));
            is_told || anywhere(&stage.hooks)
        }
        _ => false,
    })
}

fn nodes_and_branches(lint: Lint<'_, '_>) {
    let targets = targets(lint);
    let may_route = |hooks: &[Hook]| hooks.contains(&Hook::Route);
    let policy = lint.policy;
    for (id, (name, entry)) in lint.scope.words.named(&NODE).enumerate() {
        let mut holders = (policy.pools.iter().map(|pool| &pool.nodes))
            .chain(policy.branches.iter().map(|branch| &branch.nodes));
        if !holders.any(|nodes| nodes.contains(&id))
            && !targets.contains(&RouteTarget::Node(id))
            && !may_be_said(lint, name, may_route)
        {
            let cure = "name it in a pool or branch";
            unused(lint, entry.key_at, "node", name, cure);
        }
    }
    for (id, (name, entry)) in lint.scope.words.named(&BRANCH).enumerate() {
        let mut stages = policy.stages.iter();
        let is_asked_for = stages.any(|stage| {
            let mut tests = stage.when.tests().iter().chain(stage.unless.tests());
            tests.any(|test| test.wants_branch(name))
        });
        if !targets.contains(&RouteTarget::Branch(id))
            && !is_asked_for
            && !may_be_said(lint, name, may_route)
        {
            let cure = "route to it";
            unused(lint, entry.key_at, "branch", name, cure);
        }
    }
}

/// A pool is found by its database, unless every user has another one.
fn pools(lint: Lint<'_, '_>) {
    let policy = lint.policy;
    let mut users = policy.users.values();
    if !lint.policy.knows_everybody() || !users.all(|user| user.pool.is_some()) {
        return;
    }
    for (id, (name, entry)) in lint.scope.words.named(&POOL).enumerate() {
        let mut users = policy.users.values();
        let mut stages = policy.stages.iter();
        let is_loaded_from = stages.any(|stage| {
            let load = stage.grants.load.as_ref();
            let mut statements = load.into_iter().flat_map(|load| &load.statements);
            statements.any(|statement| &*statement.pool == name)
        });
        if !users.any(|user| user.pool == Some(id)) && !is_loaded_from {
            let cure = "every user has another `pool`; name it in one";
            unused(lint, entry.key_at, "pool", name, cure);
        }
    }
}

fn roles(lint: Lint<'_, '_>) {
    let policy = lint.policy;
    for (name, entry) in lint.scope.words.named(&ROLE) {
        let mut users = policy.users.values();
        let mut stages = policy.stages.iter();
        let is_used = users.any(|user| user.roles.iter().any(|role| &**role == name))
            || policy.admin.roles.iter().any(|role| &**role == name)
            || stages.any(|stage| {
                let mut tests = stage.when.tests().iter().chain(stage.unless.tests());
                tests.any(|test| test.wants_role(name))
            })
            || may_be_said(lint, name, |_| false);
        if !is_used {
            let cure = "give it to a user, or ask for it in a stage";
            unused(lint, entry.key_at, "role", name, cure);
        }
    }
}

fn variables(lint: Lint<'_, '_>) {
    for (name, at) in lint.scope.words.vars() {
        if !lint.scope.reading.is_used_var(name) {
            let cure = "write { var = \"..\" } where it is meant";
            unused(lint, at, "variable", name, cure);
        }
    }
}
