//! What a stage does: the verbs of the language, each with its own keys. Exactly one is written.
//! Owns no guard and no order.

mod cache;
mod field;
mod limit;
mod script;

pub use cache::Cache;
pub use cache::Invalidate;
pub use cache::Vary;
pub use field::Field;
pub(super) use field::field_names;
pub use limit::Exceed;
pub use limit::Limit;
pub use limit::LimitKey;
pub(super) use limit::key_names as limit_key_names;
pub use script::Script;

use super::code;
use super::document::Value;
use super::keys::BRANCH;
use super::keys::DENY;
use super::keys::NODE;
use super::keys::PLUGIN;
use super::keys::REWRITE;
use super::keys::ROUTE;
use super::keys::STAGE;
use super::plugin::Plugin;
use super::reading::Spot;
use super::reading::Table;
use super::reading::unknown;
use super::report::Diagnostic;
use super::scope::Scope;
use crate::hook::AnswerKind;
use crate::hook::Hook;
use crate::hook::Refusal;
use crate::sandbox::Grants;
use crate::sandbox::Level;
use crate::sqlstate::SqlState;
use std::sync::Arc;
use std::time::Duration;

/// What a stage does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Refuses.
    Deny(Refusal),
    /// Allows; the rest of the hook's list is not asked.
    Allow,
    /// Sends the statement somewhere.
    Route {
        /// Where.
        to: RouteTarget,
        /// Where, when that is away.
        otherwise: Option<RouteTarget>,
    },
    /// Changes the statement.
    Rewrite {
        /// A SELECT returns at most this many rows.
        add_limit: Option<u64>,
        /// The node cancels the statement after this.
        statement_timeout: Option<Duration>,
    },
    /// Lets only so many statements pass in a time.
    Limit(Box<Limit>),
    /// Answers from what was kept of earlier answers.
    Cache(Arc<Cache>),
    /// Writes a line to the log.
    Log {
        /// How loud.
        level: Level,
        /// What it says.
        fields: Vec<Field>,
    },
    /// Asks a script.
    Script(Script),
    /// Asks a plugin, an index of `Policy::plugins`.
    Plugin(usize),
}

/// Where a statement goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RouteTarget {
    /// The pool's default.
    Default,
    /// The pool's primary.
    Primary,
    /// One of the pool's standbys.
    Standby,
    /// An index of `Policy::nodes`.
    Node(usize),
    /// An index of `Policy::branches`.
    Branch(usize),
}

const ACTIONS: [&str; 9] = [
    "deny", "allow", "route", "rewrite", "limit", "cache", "log", "script", "plugin",
];

/// Reads the one action of a stage and checks it against the stage's hooks, and against what it is granted where that is known.
pub(super) fn read(
    scope: Scope<'_, '_>,
    table: &Table<'_, '_>,
    hooks: &[Hook],
    grants: Option<&Grants>,
) -> Option<Action> {
    let written: Vec<&str> = ACTIONS
        .into_iter()
        .filter(|action| table.has(action))
        .collect();
    if let [action] = written[..] {
        legal_at(scope, table, action, hooks);
    } else if written.len() > 1
        || !STAGE
            .keys
            .iter()
            .any(|key| key.later && table.has(key.name))
    {
        let message = match written.len() {
            0 => format!("{} has no action", table.title()),
            _ => format!("{} has {} actions", table.title(), written.len()),
        };
        let found = Diagnostic::error(code::ACTION_COUNT, table.at, message);
        scope.reading.add(found.label(format!(
            "write exactly one of {}",
            super::suggest::list(ACTIONS)
        )));
    }
    let mut actions = [
        deny(table),
        allow(table),
        route(scope, table),
        rewrite(table),
        limit::limit(scope, table, hooks),
        cache::cache(scope, table, hooks),
        field::log(scope, table, hooks, grants),
        script::read(scope, table).map(Action::Script),
        scope.one(table, "plugin", &PLUGIN).map(Action::Plugin),
    ];
    actions.iter_mut().find_map(Option::take)
}

/// Whether the answer that the action gives is one that the hook accepts.
fn legal_at(scope: Scope<'_, '_>, table: &Table<'_, '_>, action: &str, hooks: &[Hook]) {
    let answer = match action {
        "deny" | "limit" => AnswerKind::Block,
        "allow" => AnswerKind::Allow,
        "route" => AnswerKind::Route,
        "rewrite" => AnswerKind::Rewrite,
        _ => return,
    };
    for hook in hooks.iter().filter(|hook| !hook.accepts(answer)) {
        let possible: Vec<&str> = Hook::all()
            .filter(|hook| hook.accepts(answer))
            .map(Hook::name)
            .collect();
        let found = Diagnostic::error(
            code::ACTION_AT_HOOK,
            table.key_at(action),
            format!("`{action}` is not possible at `{hook}`"),
        );
        scope
            .reading
            .add(found.label(format!("possible at {}", super::suggest::list(possible))));
    }
}

fn deny(table: &Table<'_, '_>) -> Option<Action> {
    let entry = table.entry("deny")?;
    if !matches!(entry.word.value, Value::Table(_)) || entry.word.single("var").is_some() {
        return Some(Action::Deny(Refusal::new(table.text("deny")?.value)));
    }
    let inner = table.table("deny", &DENY)?;
    let code = inner
        .text("code")
        .and_then(|spot| refusal_code(&inner, &spot));
    let refusal = Refusal {
        code: code.unwrap_or(SqlState::ACCESS_RULE_VIOLATION),
        message: inner.arc("message").unwrap_or_default(),
        hint: inner.arc("hint"),
        detail: inner.arc("detail"),
    };
    inner.finish();
    Some(Action::Deny(refusal))
}

/// Classes 00, 01 and 02 say that nothing is wrong; drivers do not take them for errors.
fn refusal_code(table: &Table<'_, '_>, spot: &Spot<String>) -> Option<SqlState> {
    let code = SqlState::parse(&spot.value);
    let good = code.filter(|code| {
        !["00", "01", "02"]
            .iter()
            .any(|class| code.as_str().starts_with(class))
    });
    if good.is_none() {
        let message = format!("`{}` is not the SQLSTATE of an error", spot.value);
        let found = Diagnostic::error(code::BAD_SQLSTATE, spot.at, message);
        table
            .reading
            .add(found.label("expected five digits or capitals, such as `42501`"));
    }
    good
}

fn allow(table: &Table<'_, '_>) -> Option<Action> {
    if table.boolean("allow")? {
        return Some(Action::Allow);
    }
    let found = Diagnostic::error(
        code::NO_EFFECT,
        table.value_at("allow"),
        "`allow = false` says nothing",
    );
    table
        .reading
        .add(found.label("write `deny = { message = \"..\" }` to refuse"));
    None
}

fn route(scope: Scope<'_, '_>, table: &Table<'_, '_>) -> Option<Action> {
    let entry = table.entry("route")?;
    if !matches!(entry.word.value, Value::Table(_)) || entry.word.single("var").is_some() {
        let to = target(scope, &table.text("route")?)?;
        return Some(Action::Route {
            to,
            otherwise: None,
        });
    }
    let inner = table.table("route", &ROUTE)?;
    let otherwise = inner
        .text("otherwise")
        .and_then(|spot| target(scope, &spot));
    let to = inner.text("to").and_then(|spot| target(scope, &spot));
    inner.finish();
    Some(Action::Route { to: to?, otherwise })
}

/// Reads `primary`, `standby`, `default`, `node:NAME` or `branch:NAME`.
pub(super) fn target(scope: Scope<'_, '_>, spot: &Spot<String>) -> Option<RouteTarget> {
    const WORDS: [(&str, RouteTarget); 3] = [
        ("default", RouteTarget::Default),
        ("primary", RouteTarget::Primary),
        ("standby", RouteTarget::Standby),
    ];
    if let Some((_, target)) = WORDS.iter().find(|(word, _)| *word == spot.value) {
        return Some(*target);
    }
    let named = |prefix: &str| {
        let name = spot.value.strip_prefix(prefix)?;
        Some(Spot {
            at: spot.at,
            value: name.to_owned(),
        })
    };
    if let Some(name) = named("node:") {
        return scope.find(&NODE, &name).map(RouteTarget::Node);
    }
    if let Some(name) = named("branch:") {
        return scope.find(&BRANCH, &name).map(RouteTarget::Branch);
    }
    let nodes = scope.words.names(&NODE).map(|name| format!("node:{name}"));
    let branches = scope
        .words
        .names(&BRANCH)
        .map(|name| format!("branch:{name}"));
    let all: Vec<String> = WORDS
        .iter()
        .map(|(word, _)| (*word).to_owned())
        .chain(nodes)
        .chain(branches)
        .collect();
    let bare = all.iter().find(|name| {
        name.split_once(':')
            .is_some_and(|(_, name)| name == spot.value)
    });
    let found = unknown(
        code::UNKNOWN_NAME,
        spot.at,
        "route",
        &spot.value,
        all.iter().map(String::as_str),
    );
    scope.reading.add(match bare {
        Some(name) => found.label(format!("write `{name}`")),
        None => found,
    });
    None
}

fn rewrite(table: &Table<'_, '_>) -> Option<Action> {
    let inner = table.table("rewrite", &REWRITE)?;
    let add_limit = inner.integer("add_limit", 0..=u64::try_from(i64::MAX).unwrap_or(u64::MAX));
    let statement_timeout = inner.timeout("statement_timeout");
    if !inner.has("add_limit") && !inner.has("statement_timeout") {
        table.reading.error(
            code::EMPTY,
            inner.at,
            "`rewrite` changes nothing; write `add_limit` or `statement_timeout`",
        );
    }
    if statement_timeout.is_some_and(|timeout| timeout < Duration::from_millis(1)) {
        let message =
            "PostgreSQL counts `statement_timeout` in milliseconds; this is less than one";
        table.reading.error(
            code::OUT_OF_RANGE,
            inner.value_at("statement_timeout"),
            message,
        );
    }
    inner.finish();
    Some(Action::Rewrite {
        add_limit,
        statement_timeout,
    })
}

impl Action {
    /// The verb in the policy.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Deny(_) => "deny",
            Self::Allow => "allow",
            Self::Route { .. } => "route",
            Self::Rewrite { .. } => "rewrite",
            Self::Limit(_) => "limit",
            Self::Cache(_) => "cache",
            Self::Log { .. } => "log",
            Self::Script(_) => "script",
            Self::Plugin(_) => "plugin",
        }
    }

    /// What it does, without places and ids.
    pub(super) fn canonical(&self, names: Names<'_>, plugins: &[Plugin]) -> String {
        match self {
            Self::Deny(refusal) => format!("{refusal:?}"),
            Self::Allow => String::new(),
            Self::Route { to, otherwise } => {
                format!(
                    "{} otherwise {:?}",
                    names.target(*to),
                    otherwise.map(|target| names.target(target))
                )
            }
            Self::Rewrite {
                add_limit,
                statement_timeout,
            } => {
                format!(
                    "{add_limit:?} {:?}",
                    statement_timeout.map(|timeout| timeout.as_nanos())
                )
            }
            Self::Limit(limit) => limit.canonical(),
            Self::Cache(cache) => cache.canonical(),
            Self::Log { level, fields } => {
                let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
                format!("{} {names:?}", level.name())
            }
            Self::Script(script) => format!("{:?}", script.text),
            Self::Plugin(id) => format!("{:?}", plugins.get(*id).map(|plugin| &plugin.name)),
        }
    }
}

/// The names behind the ids of routes.
#[derive(Clone, Copy)]
pub(super) struct Names<'n> {
    pub(super) nodes: &'n [super::node::Node],
    pub(super) branches: &'n [super::node::Branch],
}

impl Names<'_> {
    pub(super) fn target(self, target: RouteTarget) -> String {
        match target {
            RouteTarget::Default => "default".to_owned(),
            RouteTarget::Primary => "primary".to_owned(),
            RouteTarget::Standby => "standby".to_owned(),
            RouteTarget::Node(id) => {
                format!("node:{}", self.nodes.get(id).map_or("", |node| &node.name))
            }
            RouteTarget::Branch(id) => format!(
                "branch:{}",
                self.branches.get(id).map_or("", |branch| &branch.name)
            ),
        }
    }
}
