//! The tables that exist once: `[sql]`, `[admin]` and `[reload]`.

use super::Files;
use super::canonical::Canonical;
use super::code;
use super::keys::ADMIN;
use super::keys::RELOAD;
use super::keys::SQL;
use super::keys::USER;
use super::listener;
use super::listener::Bind;
use super::listener::Listener;
use super::reading::Reading;
use super::reading::Table;
use super::report::Diagnostic;
use super::scope::Scope;
use super::sources;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

const MAX_STATEMENTS: u32 = 1_000;
const MAX_BYTES: usize = 16 << 20;

/// Earlier revisions that are kept where the policy does not say how many.
pub const KEEP: usize = 5;

/// What the proxy does with SQL before any stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SqlRules {
    /// A text that cannot be understood.
    pub on_unparsed: OnUnparsed,
    /// Statements in one Query message.
    pub max_statements: u32,
    /// Length of one Query or Parse text.
    pub max_bytes: usize,
    /// Whether the policy says any of this itself. Without it, a pipeline without stages passes statements unread.
    pub written: bool,
}

/// What is done with a text that cannot be understood. It is never waved through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OnUnparsed {
    /// It is refused.
    Deny,
    /// The stages see it as a write of unknown kind, and it goes to the primary.
    AsWrite,
}

/// Who may use the admin console. A right over data is no right here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Admin {
    /// Users, by name.
    pub users: Vec<Arc<str>>,
    /// Roles, by name.
    pub roles: Vec<Arc<str>>,
    /// Where figures are served over HTTP.
    pub metrics: Vec<Bind>,
    /// Where operators reach the process.
    pub socket: Option<PathBuf>,
}

/// When and how a changed policy is taken over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReloadRules {
    /// Whether a change of any of its files reloads it.
    pub watch: bool,
    /// What a reload must pass.
    pub gate: Gate,
    /// When sessions that are open move to this policy.
    pub sessions: SessionsMove,
    /// Earlier revisions that are kept for a way back.
    pub keep: usize,
}

impl Default for ReloadRules {
    fn default() -> Self {
        Self {
            watch: false,
            gate: Gate::default(),
            sessions: SessionsMove::default(),
            keep: KEEP,
        }
    }
}

/// When a session that is open moves to a policy that has come into force. The policy it moves to says so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum SessionsMove {
    /// Before its next statement, also within a transaction; never within an extended batch.
    #[default]
    Statement,
    /// The same once no transaction is open.
    Transaction,
    /// Never: it ends under the policy it began with.
    Session,
}

pub(super) const SESSIONS: [(&str, SessionsMove); 3] = [
    ("next_statement", SessionsMove::Statement),
    ("next_transaction", SessionsMove::Transaction),
    ("next_session", SessionsMove::Session),
];

/// What a reload must pass besides being free of mistakes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Gate {
    /// Nothing.
    #[default]
    Check,
    /// The policy's own tests.
    Tests,
}

/// `none` is a word other programs have; what has mistakes is never taken.
pub(super) const GATES: [(&str, Gate); 3] = [
    ("none", Gate::Check),
    ("check", Gate::Check),
    ("tests", Gate::Tests),
];

pub(super) const UNPARSED: [(&str, OnUnparsed); 2] = [
    ("deny", OnUnparsed::Deny),
    ("as_write", OnUnparsed::AsWrite),
];

pub(super) fn sql(scope: Scope<'_, '_>) -> SqlRules {
    let mut rules = SqlRules {
        on_unparsed: OnUnparsed::Deny,
        max_statements: MAX_STATEMENTS,
        max_bytes: MAX_BYTES,
        written: false,
    };
    let Some(table) = scope.single(&SQL) else {
        return rules;
    };
    rules.written = true;
    rules.on_unparsed = table
        .choice("on_unparsed", &UNPARSED)
        .unwrap_or(rules.on_unparsed);
    let statements = table.integer("max_statements", 1..=1_000_000);
    rules.max_statements = statements
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(rules.max_statements);
    rules.max_bytes = table.size("max_bytes").unwrap_or(rules.max_bytes);
    table.finish();
    rules
}

pub(super) fn admin(scope: Scope<'_, '_>, listeners: &[Listener]) -> Admin {
    let Some(table) = scope.single(&ADMIN) else {
        return Admin::default();
    };
    let users = scope.several(&table, "users", &USER);
    let users = users
        .into_iter()
        .filter_map(|id| scope.words.names(&USER).nth(id))
        .map(Arc::from)
        .collect();
    let roles = scope.roles(&table, "roles");
    let mut metrics = Vec::new();
    for spot in table.texts("metrics") {
        let Some(bind) = listener::address(scope, &spot) else {
            continue;
        };
        let listens = listeners.iter().find(|other| other.bind.contains(&bind));
        if let Some(other) = listens {
            let message = format!(
                "`{}` is where listener `{}` listens",
                spot.value, other.name
            );
            let found = Diagnostic::error(code::BAD_ADDRESS, spot.at, message);
            scope.reading.add(found.label("choose another port"));
        } else if metrics.contains(&bind) {
            scope.listed_twice(&spot);
        } else {
            metrics.push(bind);
        }
    }
    let socket = socket(scope, &table, listeners, &metrics);
    table.finish();
    Admin {
        users,
        roles,
        metrics,
        socket,
    }
}

/// A path of its own.
fn socket(
    scope: Scope<'_, '_>,
    table: &Table<'_, '_>,
    listeners: &[Listener],
    metrics: &[Bind],
) -> Option<PathBuf> {
    let spot = table.text("socket")?;
    let refuse = |message: String, cure: String| {
        let found = Diagnostic::error(code::BAD_ADDRESS, spot.at, message);
        scope.reading.add(found.label(cure));
        None
    };
    let Some(path) = listener::unix_path(&spot.value) else {
        let message = format!("`{}` is no path of a Unix socket", spot.value);
        let cure = match spot.value.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => format!("write \"{path}\""),
            _ => "an absolute path of at most 107 bytes".to_owned(),
        };
        return refuse(message, cure);
    };
    let bind = Bind::Unix(path);
    let taken = match listeners.iter().find(|other| other.bind.contains(&bind)) {
        Some(other) => Some(format!("where listener `{}` listens", other.name)),
        None if metrics.contains(&bind) => Some("where `metrics` is served".to_owned()),
        None => None,
    };
    if let Some(taken) = taken {
        let message = format!("`{}` is {taken}", spot.value);
        return refuse(message, "choose another path".to_owned());
    }
    match bind {
        Bind::Unix(path) => Some(path),
        Bind::Tcp(_) => None,
    }
}

/// The admin socket that a policy names, however wrong the rest of it is: a policy with mistakes is reloaded in order to be
/// told them.
#[must_use]
pub fn admin_socket(root: &Path, environment: Option<&str>, files: &dyn Files) -> Option<PathBuf> {
    let reading = Reading::new(files);
    let words = sources::read(&reading, root);
    reading.set_vars(sources::variables(&reading, &words, environment));
    let scope = Scope {
        reading: &reading,
        words: &words,
    };
    let spot = scope.single(&ADMIN)?.text("socket")?;
    listener::unix_path(&spot.value)
}

pub(super) fn reload(scope: Scope<'_, '_>) -> ReloadRules {
    let Some(table) = scope.single(&RELOAD) else {
        return ReloadRules::default();
    };
    let rules = ReloadRules {
        watch: table.boolean("watch").unwrap_or_default(),
        gate: table.choice("gate", &GATES).unwrap_or_default(),
        sessions: table.choice("sessions", &SESSIONS).unwrap_or_default(),
        keep: table.count("keep", 0..=100).unwrap_or(KEEP),
    };
    table.finish();
    rules
}

impl SqlRules {
    pub(super) fn write(&self, canonical: &mut Canonical) {
        let Self {
            on_unparsed,
            max_statements,
            max_bytes,
            written,
        } = self;
        let mut section = canonical.section("sql", "");
        section.debug("on_unparsed", on_unparsed);
        section.debug("max_statements", max_statements);
        section.debug("max_bytes", max_bytes);
        section.debug("written", written);
    }
}

impl Admin {
    pub(super) fn write(&self, canonical: &mut Canonical) {
        let Self {
            users,
            roles,
            metrics,
            socket,
        } = self;
        let sorted = |names: &[Arc<str>]| {
            let mut names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            names.sort();
            names
        };
        let mut section = canonical.section("admin", "");
        section.list("users", &sorted(users));
        section.list("roles", &sorted(roles));
        let mut metrics: Vec<String> = metrics.iter().map(|bind| format!("{bind:?}")).collect();
        metrics.sort();
        section.list("metrics", &metrics);
        if let Some(socket) = socket {
            section.debug("socket", socket);
        }
    }
}

impl ReloadRules {
    pub(super) fn write(&self, canonical: &mut Canonical) {
        let Self {
            watch,
            gate,
            sessions,
            keep,
        } = self;
        let mut section = canonical.section("reload", "");
        section.debug("watch", watch);
        section.debug("gate", gate);
        if *sessions != SessionsMove::default() {
            section.debug("sessions", sessions);
        }
        if *keep != KEEP {
            section.debug("keep", keep);
        }
    }
}
