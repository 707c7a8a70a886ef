//! What the operator wrote: parsed, checked, resolved into a [`Policy`] that cannot be wrong. Does no I/O: files and environment come
//! through [`Files`]. Compiling guests is `pipeline`'s; this module never starts an engine.
//!
//! Reading order: `document` is the words with their places, `keys` the table of the language, `reading` and `typed` how a
//! table is read, one file for each noun, `predicate` for `when` and `unless`, `report` for what is wrong.

mod action;
mod attributes;
mod canonical;
mod cases;
mod code;
mod decisions;
mod difference;
mod document;
mod draft;
mod effective;
mod environment;
mod guest;
mod keys;
mod lag;
mod layout;
mod lint;
mod listener;
mod load;
mod mocks;
mod node;
mod packs;
mod paths;
mod people;
mod pins;
mod pipeline;
mod plugin;
mod pool;
mod predicate;
mod quote;
mod reading;
mod report;
mod revision;
mod schema;
mod scope;
mod secret;
mod setting;
mod settings;
mod sidecar;
mod signed;
mod sources;
mod stage;
mod suggest;
mod test;
mod typed;
mod user;
mod waiver;

#[cfg(test)]
mod one_file;
#[cfg(test)]
mod tests;

pub use action::Action;
pub use action::Cache;
pub use action::Exceed;
pub use action::Field;
pub use action::Invalidate;
pub use action::Limit;
pub use action::LimitKey;
pub use action::Mask;
pub use action::MaskWith;
pub use action::MaskedColumn;
pub use action::RouteTarget;
pub use action::Script;
pub use action::Vary;
pub use cases::Answered;
pub use cases::Asked;
pub use cases::PluginCase;
pub use cases::PluginCases;
pub use cases::plugin_cases;
pub use code::TLS_UNUSABLE;
pub use decisions::Decisions;
pub use decisions::Sample;
pub use decisions::Sink;
pub use decisions::SqlDetail;
pub use decisions::WhenFull;
pub use difference::Change;
pub use difference::Difference;
pub use difference::Way;
pub use draft::Draft;
pub use effective::Defaults;
pub use effective::effective;
pub use guest::BreakerRule;
pub use guest::Granted;
pub use layout::LayoutError;
pub use layout::layout;
pub use layout::texts;
pub use lint::lint_grants;
pub use listener::Bind;
pub use listener::Listener;
pub use listener::ListenerTls;
pub use listener::ListenerTlsMode;
pub use listener::TlsVersion;
pub use load::LoadArg;
pub use load::StageLoad;
pub use mocks::GivenStep;
pub use mocks::Mocks;
pub use node::Branch;
pub use node::Node;
pub use node::NodeAddress;
pub use node::NodeTls;
pub use node::NodeTlsMode;
pub use node::Role;
#[cfg(test)]
pub(crate) use one_file::OneFile;
pub use pins::Pin;
pub use pins::PinSpot;
pub use pins::pins;
pub use pipeline::AuthorizeOtherwise;
pub use pipeline::Otherwise;
pub use pipeline::Pipeline;
pub use plugin::Plugin;
pub use pool::DatabasePattern;
pub use pool::Login;
pub use pool::Pool;
pub use pool::PoolMode;
pub use pool::SessionState;
pub use predicate::Explained;
pub use predicate::Polarity;
pub use predicate::Predicate;
pub use quote::toml_key;
pub use quote::toml_text;
pub use report::At;
pub use report::Colour;
pub use report::Diagnostic;
pub use report::Place;
pub use report::Report;
pub use report::Severity;
pub use report::Source;
pub use revision::Bundle;
pub use revision::Revision;
pub use schema::cases_schema;
pub use schema::schema;
pub use secret::Secret;
pub use setting::Effect;
pub use setting::Setting;
pub use settings::Admin;
pub use settings::Gate;
pub use settings::KEEP;
pub use settings::OnUnparsed;
pub use settings::ReloadRules;
pub use settings::SessionsMove;
pub use settings::SqlRules;
pub use settings::admin_socket;
pub use stage::Mode;
pub use stage::OnFailure;
pub use stage::Stage;
pub(crate) use suggest::nearest;
pub use test::Case;
pub use test::Expect;
pub use test::ExpectedVerdict;
pub use test::Given;
pub use test::NodeState;
pub use test::Test;
pub use user::Credential;
pub use user::User;
pub use waiver::Waiver;
pub use waiver::review_waivers;

use action::Names;
use canonical::Canonical;
use reading::Reading;
use scope::Scope;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Where a policy's files and the process's environment come from.
pub trait Files {
    /// The whole content of a file.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The whole content of a file that holds a secret. Whoever keeps what is read keeps nothing of it.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read_secret(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read(path)
    }

    /// The value of an environment variable.
    fn env(&self, name: &str) -> Option<String>;

    /// The content of `NAME.pub` in the trust root, a folder that is given to the process and never named by a policy. `None` where
    /// the process has no trust root.
    fn trusted_key(&self, name: &str) -> Option<io::Result<Vec<u8>>>;

    /// Whether every plugin must be signed.
    fn requires_signatures(&self) -> bool;

    /// Who may do what with a file: the bits of `chmod`. `None` where nobody can say.
    fn mode(&self, path: &Path) -> Option<u32>;
}

/// A policy in which every name has been resolved and every value checked.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name.
    pub name: Arc<str>,
    /// The hash of what it means.
    pub revision: Revision,
    /// The hash of the bytes it is written in.
    pub bundle: Bundle,
    /// Where clients connect; at least one.
    pub listeners: Vec<Listener>,
    /// The PostgreSQL servers.
    pub nodes: Vec<Node>,
    /// Other places statements can be routed to.
    pub branches: Vec<Branch>,
    /// Server connections; at least one.
    pub pools: Vec<Pool>,
    /// Who may log in. Empty: the node itself authenticates.
    pub users: BTreeMap<Arc<str>, User>,
    /// The plugins, with their bytes.
    pub plugins: Vec<Plugin>,
    /// The stages.
    pub stages: Vec<Stage>,
    /// The order of the stages; at least one.
    pub pipelines: Vec<Pipeline>,
    /// What is done with SQL before any stage.
    pub sql: SqlRules,
    /// Who may use the admin console.
    pub admin: Admin,
    /// When and how a changed policy is taken over.
    pub reload: ReloadRules,
    /// What is written of decisions; `None`: nothing.
    pub decisions: Option<Decisions>,
    /// What the operator expects of it.
    pub tests: Vec<Test>,
    /// What no guest may exceed.
    ceilings: guest::Ceilings,
    /// What of all this the operator wrote.
    written: setting::Written,
    /// What of all this stands in the process's environment.
    environment: environment::References,
}

/// Reads a policy and everything it includes. Every mistake in every file is in the report.
///
/// # Errors
/// Where the report has errors: the parts that can still be judged, so that what is wrong with guests and certificates can be
/// told in the same report.
pub fn load(
    root: &Path,
    environment: Option<&str>,
    files: &dyn Files,
) -> (Result<Policy, Draft>, Report) {
    let reading = Reading::new(files);
    let words = sources::read(&reading, root);
    if words.broken {
        return (Err(Draft::default()), reading.finish().0);
    }
    reading.set_vars(sources::variables(&reading, &words, environment));
    let policy = resolve(
        Scope {
            reading: &reading,
            words: &words,
        },
        root,
    );
    if reading.errors() == 0 {
        lint::lint(
            Scope {
                reading: &reading,
                words: &words,
            },
            &policy,
        );
    }
    let (report, files) = reading.finish();
    if report.has_errors() {
        let plugin_names: Vec<&str> = words.names(&keys::PLUGIN).collect();
        return (Err(Draft::of(policy, &plugin_names)), report);
    }
    let mut policy = policy;
    policy.revision = Revision::of(&policy.canonical());
    policy.bundle = Bundle::of(&files);
    (Ok(policy), report)
}

/// Seconds since 1970 of a time as a policy writes it, such as `2026-12-31T18:00:00Z`, or of the beginning of a day in UTC.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    let written: toml::value::Datetime = text.parse().ok()?;
    let seconds = document::unix_seconds(&written)?;
    // A day alone means its end where it is written in a policy.
    Some(seconds - i64::from(written.time.is_none()) * 86_400)
}

/// The environments a policy has, whatever else is wrong with it.
#[must_use]
pub fn environments(root: &Path, files: &dyn Files) -> Vec<String> {
    let reading = Reading::new(files);
    let words = sources::read(&reading, root);
    words.names(&keys::ENV).map(str::to_owned).collect()
}

/// Every noun in turn; each goes on after its own mistakes. Ids are right only if there was none.
fn resolve(scope: Scope<'_, '_>, root: &Path) -> Policy {
    let name = scope
        .words
        .single("name")
        .and_then(|entry| scope.reading.text(&entry.word));
    let ceilings = guest::ceilings(scope);
    let plugins = plugin::plugins(scope, ceilings);
    let nodes = node::read(scope);
    let branches = node::branches(scope);
    let pools = pool::read(scope);
    let ways = load::Ways {
        pools: &pools,
        nodes: &nodes,
    };
    let permissions = guest::permissions(scope, ways);
    user::roles(scope);
    let users = user::read(scope);
    let around = stage::Around {
        ceilings,
        permissions: &permissions,
        plugins: &plugins,
    };
    let stages = stage::read(scope, around);
    lag::check(scope, &pools, &nodes, &stages);
    let pipelines = pipeline::read(scope, &stages);
    let listeners = listener::read(scope);
    pipeline::check_used(scope, &stages, &pipelines, &listeners);
    let tests = test::read(
        scope,
        test::Cast {
            users: &users,
            pools: &pools,
        },
    );
    let by_file = || {
        root.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let admin = settings::admin(scope, &listeners);
    Policy {
        name: name.map_or_else(by_file, |spot| spot.value).into(),
        revision: Revision::of(""),
        bundle: Bundle::of(&BTreeMap::new()),
        listeners,
        nodes,
        branches,
        pools,
        users,
        plugins,
        stages,
        pipelines,
        sql: settings::sql(scope),
        admin,
        reload: settings::reload(scope),
        decisions: decisions::read(scope),
        tests,
        ceilings,
        written: setting::Written::of(scope.words),
        environment: environment::References::of(scope.reading, scope.words),
    }
}

impl Policy {
    /// The waivers of its stages, with the stage's name.
    #[must_use]
    pub fn waivers(&self) -> Vec<(Arc<str>, Waiver)> {
        waiver::of(&self.stages)
    }

    /// The pool of a session: the user's own, if it serves the database; otherwise the one whose pattern is closest.
    #[must_use]
    pub fn pool_of(&self, user: &str, database: &str) -> Option<usize> {
        match self.users.get(user).and_then(|user| user.pool) {
            Some(id) => self.pools[id].database.matches(database).then_some(id),
            None => pool::serving(&self.pools, database),
        }
    }

    /// Whether any stage asks a script or a plugin.
    #[must_use]
    pub fn has_guests(&self) -> bool {
        let stages = self.stages.iter();
        stages
            .filter(|stage| stage.mode != Mode::Off)
            .any(|stage| matches!(stage.action, Action::Script(_) | Action::Plugin(_)))
    }

    /// What the policy means, one line for each fact, sorted. The revision is its hash.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.meaning().finish()
    }

    fn meaning(&self) -> Canonical {
        let Self {
            name,
            revision: _,
            bundle: _,
            listeners,
            nodes,
            branches,
            pools,
            users,
            plugins,
            stages,
            pipelines,
            sql,
            admin,
            reload,
            decisions,
            tests: _,
            // Each stage and plugin has its own, which these have gone into.
            ceilings: _,
            written: _,
            environment: _,
        } = self;
        let mut canonical = Canonical::default();
        canonical
            .section("policy", name)
            .debug("language", &sources::LANGUAGE);
        let pipeline_names: Vec<&str> = pipelines.iter().map(|pipeline| &*pipeline.name).collect();
        let names = Names { nodes, branches };
        listeners
            .iter()
            .for_each(|listener| listener.write(&mut canonical, &pipeline_names));
        nodes.iter().for_each(|node| node.write(&mut canonical));
        branches
            .iter()
            .for_each(|branch| branch.write(&mut canonical, nodes));
        pools
            .iter()
            .for_each(|pool| pool.write(&mut canonical, nodes));
        users
            .values()
            .for_each(|user| user.write(&mut canonical, pools));
        plugins
            .iter()
            .for_each(|plugin| plugin.write(&mut canonical));
        stages
            .iter()
            .for_each(|stage| stage.write(&mut canonical, names, plugins));
        pipelines
            .iter()
            .for_each(|pipeline| pipeline.write(&mut canonical, names, stages));
        sql.write(&mut canonical);
        admin.write(&mut canonical);
        reload.write(&mut canonical);
        if let Some(decisions) = decisions {
            decisions.write(&mut canonical);
        }
        canonical
    }
}
