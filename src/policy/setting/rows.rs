//! The values in force of each table, as an operator would write them. Each noun's fields are taken apart, so that a new one is
//! missed by the compiler.

use super::Setting;
use super::Written;
use super::effect_of;
use crate::digest::sha256_hex;
use crate::policy::Credential;
use crate::policy::Policy;
use crate::policy::Secret;
use crate::policy::decisions;
use crate::policy::decisions::Decisions;
use crate::policy::decisions::Sample;
use crate::policy::guest::BreakerRule;
use crate::policy::keys::ADMIN;
use crate::policy::keys::BRANCH;
use crate::policy::keys::BREAKER;
use crate::policy::keys::DECISIONS;
use crate::policy::keys::LISTENER;
use crate::policy::keys::LISTENER_TLS;
use crate::policy::keys::LOGIN;
use crate::policy::keys::NODE;
use crate::policy::keys::NODE_TLS;
use crate::policy::keys::Noun;
use crate::policy::keys::PLUGIN;
use crate::policy::keys::POOL;
use crate::policy::keys::RELOAD;
use crate::policy::keys::SAMPLE;
use crate::policy::keys::SANDBOX;
use crate::policy::keys::SQL;
use crate::policy::keys::USER;
use crate::policy::listener;
use crate::policy::listener::Bind;
use crate::policy::listener::Listener;
use crate::policy::listener::ListenerTls;
use crate::policy::node;
use crate::policy::node::Branch;
use crate::policy::node::Node;
use crate::policy::node::NodeAddress;
use crate::policy::node::NodeTls;
use crate::policy::plugin;
use crate::policy::plugin::Plugin;
use crate::policy::pool;
use crate::policy::pool::Login;
use crate::policy::pool::Pool;
use crate::policy::settings;
use crate::policy::settings::Admin;
use crate::policy::settings::ReloadRules;
use crate::policy::settings::SqlRules;
use crate::policy::stage::OnFailure;
use crate::policy::user::User;
use crate::sandbox::Limits;
use crate::unit;
use std::time::Duration;

/// Where a value is not there.
const NONE: &str = "none";

pub(super) fn of(policy: &Policy) -> Vec<Setting> {
    let mut rows = Rows {
        policy,
        written: &policy.written,
        rows: Vec::new(),
    };
    policy.listeners.iter().for_each(|one| rows.listener(one));
    policy.nodes.iter().for_each(|one| rows.node(one));
    policy.branches.iter().for_each(|one| rows.branch(one));
    policy.pools.iter().for_each(|one| rows.pool(one));
    policy.users.values().for_each(|one| rows.user(one));
    policy.plugins.iter().for_each(|one| rows.plugin(one));
    rows.sandbox();
    rows.sql(policy.sql);
    rows.admin(&policy.admin);
    rows.reload(policy.reload);
    if let Some(decisions) = &policy.decisions {
        rows.decisions(decisions);
    }
    rows.rows
}

struct Rows<'p> {
    policy: &'p Policy,
    written: &'p Written,
    rows: Vec<Setting>,
}

/// A table, and the keys within it that belong to one noun.
struct Section<'r, 'p> {
    rows: &'r mut Rows<'p>,
    noun: &'static Noun,
    table: String,
    prefix: &'static str,
}

impl Section<'_, '_> {
    fn row(&mut self, key: &str, value: impl ToString) {
        // A key without an effect does not exist: the tests of this module see to that.
        let Some(effect) = effect_of(self.noun, key) else {
            return;
        };
        let key = format!("{}{key}", self.prefix);
        self.rows.rows.push(Setting {
            written: self.rows.written.has(&self.table, &key),
            table: self.table.clone(),
            key,
            value: value.to_string(),
            effect: effect.where_sessions_move(self.rows.policy.reload.sessions),
        });
    }

    fn duration(&mut self, key: &str, value: Duration) {
        self.row(key, unit::format_duration(value));
    }

    fn size(&mut self, key: &str, bytes: usize) {
        self.row(key, unit::format_size(bytes as u64));
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        self.row(key, value.unwrap_or(NONE));
    }

    fn list<T: ToString>(&mut self, key: &str, items: impl IntoIterator<Item = T>) {
        let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
        match items.is_empty() {
            true => self.row(key, NONE),
            false => self.row(key, items.join(", ")),
        }
    }

    /// Where it comes from, never what it is.
    fn secret(&mut self, key: &str, secret: Option<&Secret>) {
        self.row(key, secret.map_or(NONE, Secret::reference));
    }

    /// A file that is part of the policy, by its hash.
    fn file(&mut self, key: &str, bytes: Option<&[u8]>) {
        let hash = bytes.map(|bytes| format!("sha256 {}", sha256_hex(bytes)));
        self.text(key, hash.as_deref());
    }

    fn limits(&mut self, limits: &Limits) {
        self.row("fuel", limits.fuel);
        self.size("memory", limits.memory_bytes_max);
        self.duration("deadline", limits.deadline);
        self.size("max_input", limits.input_bytes_max);
        self.size("max_output", limits.output_bytes_max);
        self.row("max_host_calls", limits.host_calls_max);
    }

    fn breaker(&mut self, rule: BreakerRule) {
        let BreakerRule {
            failures,
            within,
            retry_after,
        } = rule;
        let mut inner = self.within(&BREAKER, "breaker.");
        inner.row("failures", failures);
        inner.duration("within", within);
        inner.duration("retry_after", retry_after);
    }
}

impl<'p> Section<'_, 'p> {
    fn within(&mut self, noun: &'static Noun, prefix: &'static str) -> Section<'_, 'p> {
        Section {
            rows: self.rows,
            noun,
            table: self.table.clone(),
            prefix,
        }
    }
}

/// The last word that means the value: where there are two, the better one comes last.
fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    let mut words = words.iter().rev();
    let found = words.find(|(_, meaning)| *meaning == value);
    found.map_or(NONE, |(word, _)| word)
}

fn address(bind: &Bind) -> String {
    match bind {
        Bind::Tcp(address) => address.to_string(),
        Bind::Unix(path) => format!("unix:{}", path.display()),
    }
}

impl<'p> Rows<'p> {
    fn named(&mut self, noun: &'static Noun, name: &str) -> Section<'_, 'p> {
        self.section(noun, format!("{}.{name}", noun.name))
    }

    fn single(&mut self, noun: &'static Noun) -> Section<'_, 'p> {
        self.section(noun, noun.name.to_owned())
    }

    fn section(&mut self, noun: &'static Noun, table: String) -> Section<'_, 'p> {
        Section {
            rows: self,
            noun,
            table,
            prefix: "",
        }
    }

    fn listener(&mut self, listener: &'p Listener) {
        let Listener {
            name,
            bind,
            pipeline,
            tls,
            max_connections,
            login_timeout,
            idle_timeout,
            place: _,
        } = listener;
        let pipeline = self.policy.pipelines.get(*pipeline);
        let mut section = self.named(&LISTENER, name);
        section.list("bind", bind.iter().map(address));
        section.text("pipeline", pipeline.map(|pipeline| &*pipeline.name));
        section.row("max_connections", max_connections);
        section.duration("login_timeout", *login_timeout);
        let idle_timeout = idle_timeout.map(unit::format_duration);
        section.text("idle_timeout", idle_timeout.as_deref());
        let ListenerTls {
            mode,
            min,
            cert,
            key,
        } = tls;
        let mut section = section.within(&LISTENER_TLS, "tls.");
        section.row("mode", word(&listener::MODES, *mode));
        section.row("min", word(&listener::VERSIONS, *min));
        section.file("cert", cert.as_deref());
        section.secret("key", key.as_ref());
    }

    fn node(&mut self, node: &'p Node) {
        let Node {
            name,
            role,
            address,
            tls: NodeTls { mode, ca },
            connect_timeout,
            weight,
            max_lag,
            place: _,
        } = node;
        let (host, port) = match address {
            NodeAddress::Tcp { host, port } => (host.to_string(), port),
            NodeAddress::Unix(folder, port) => (folder.display().to_string(), port),
        };
        let mut section = self.named(&NODE, name);
        section.row("role", word(&node::ROLES, *role));
        section.row("host", host);
        section.row("port", port);
        section.duration("connect_timeout", *connect_timeout);
        section.row("weight", weight);
        let max_lag = max_lag.map(unit::format_duration);
        section.text("max_lag", max_lag.as_deref());
        let mut section = section.within(&NODE_TLS, "tls.");
        section.row("mode", word(&node::MODES, *mode));
        section.file("ca", ca.as_deref());
    }

    fn names_of(&self, nodes: &[usize]) -> Vec<&'p str> {
        let nodes = nodes.iter();
        let nodes = nodes.filter_map(|id| self.policy.nodes.get(*id));
        nodes.map(|node| &*node.name).collect()
    }

    fn branch(&mut self, branch: &'p Branch) {
        let Branch {
            name,
            nodes,
            database,
        } = branch;
        let nodes = self.names_of(nodes);
        let mut section = self.named(&BRANCH, name);
        let key = match section.rows.written.has(&section.table, "node") {
            true => "node",
            false => "nodes",
        };
        section.list(key, nodes);
        section.text("database", database.as_deref());
    }

    fn pool(&mut self, pool: &'p Pool) {
        let Pool {
            name,
            database,
            nodes,
            mode,
            size,
            wait,
            login,
            reset,
            idle_timeout,
            lifetime,
            max_prepared_statements,
            session_state,
        } = pool;
        let nodes = self.names_of(nodes);
        let mut section = self.named(&POOL, name);
        section.row("database", database);
        section.list("nodes", nodes);
        section.row("mode", word(&pool::MODES, *mode));
        section.row("size", size);
        section.duration("wait", *wait);
        section.row("reset", reset);
        section.duration("idle_timeout", *idle_timeout);
        section.duration("lifetime", *lifetime);
        section.row("max_prepared_statements", max_prepared_statements);
        section.row("session_state", word(&pool::STATES, *session_state));
        match login {
            None => section.row("login", NONE),
            Some(Login { user, password }) => {
                let mut section = section.within(&LOGIN, "login.");
                section.row("user", user);
                section.secret("password", password.as_ref());
            }
        }
    }

    fn user(&mut self, user: &'p User) {
        let User {
            name,
            credential,
            credential_reference,
            roles,
            pool,
            attributes,
            expires,
        } = user;
        let pool = pool.and_then(|id| self.policy.pools.get(id));
        let mut section = self.named(&USER, name);
        match credential {
            Credential::Trust => section.row("trust", true),
            other => section.row(other.method(), credential_reference),
        }
        section.list("roles", roles);
        section.text("pool", pool.map(|pool| &*pool.name));
        let attributes = attributes.iter();
        let attributes = attributes.map(|(name, value)| format!("{name}={value}"));
        section.list("attributes", attributes);
        let expires = expires.map(|second| u64::try_from(second).unwrap_or_default());
        let expires = expires.map(|second| unit::format_utc(Duration::from_secs(second)));
        section.text("expires", expires.as_deref());
    }

    fn plugin(&mut self, plugin: &'p Plugin) {
        let mut section = self.named(&PLUGIN, &plugin.name);
        section.row("path", plugin.path.display());
        section.row("sha256", &plugin.sha256);
        section.text("signed_by", plugin.signed_by.as_deref());
        section.row("abi", plugin.abi.name());
        let config = plugin.config_written().map(|config| config.to_string());
        section.text("config", config.as_deref());
        section.row("state", word(&plugin::STATES, plugin.state));
        section.limits(&plugin.limits);
        section.breaker(plugin.breaker);
    }

    fn sandbox(&mut self) {
        let ceilings = self.policy.ceilings;
        let mut section = self.single(&SANDBOX);
        section.limits(&ceilings.limits);
        let on_failure = word(&OnFailure::NAMES, ceilings.on_failure);
        section.row("on_failure", on_failure);
        section.size("max_module", ceilings.limits.module_bytes_max);
        section.row("max_log_lines", ceilings.limits.log_lines_max);
        section.breaker(ceilings.breaker);
    }

    fn sql(&mut self, rules: SqlRules) {
        let SqlRules {
            on_unparsed,
            max_statements,
            max_bytes,
            written: _,
        } = rules;
        let mut section = self.single(&SQL);
        section.row("on_unparsed", word(&settings::UNPARSED, on_unparsed));
        section.row("max_statements", max_statements);
        section.size("max_bytes", max_bytes);
    }

    fn admin(&mut self, admin: &'p Admin) {
        let Admin {
            users,
            roles,
            metrics,
            socket,
        } = admin;
        let mut section = self.single(&ADMIN);
        section.list("users", users);
        section.list("roles", roles);
        section.list("metrics", metrics.iter().map(address));
        let socket = socket.as_ref().map(|path| path.display().to_string());
        section.text("socket", socket.as_deref());
    }

    fn reload(&mut self, rules: ReloadRules) {
        let ReloadRules {
            watch,
            gate,
            sessions,
            keep,
        } = rules;
        let mut section = self.single(&RELOAD);
        section.row("watch", watch);
        section.row("gate", word(&settings::GATES, gate));
        section.row("sessions", word(&settings::SESSIONS, sessions));
        section.row("keep", keep);
    }

    fn decisions(&mut self, decisions: &'p Decisions) {
        let Decisions {
            sink: _,
            written,
            sample: Sample { deny, allow },
            sql,
            full,
            place: _,
        } = decisions;
        let mut section = self.single(&DECISIONS);
        section.row("sink", written);
        section.row("sql", word(&decisions::SQL, *sql));
        section.row("full", word(&decisions::FULL, *full));
        let mut section = section.within(&SAMPLE, "sample.");
        section.row("deny", deny);
        section.row("allow", allow);
    }
}
