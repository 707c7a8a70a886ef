//! Policy texts for the tests: one listener in front of one cluster, and what a test adds. Owns the text only;
//! `proxy` writes it to a file and runs it.

use super::certificate;
use super::cluster::Cluster;
use super::free_port;
use std::fmt::Write;

/// Users that the proxy trusts on loopback, all of the same names on the node.
const TRUSTED: &[&str] = &["app", "other", "postgres"];

/// A policy under construction. Every key has a default that suits most tests.
#[derive(Clone)]
pub(crate) struct PolicyText {
    /// Where the listener is.
    pub(crate) port: u16,
    nodes: Vec<(String, &'static str, u16)>,
    mode: &'static str,
    size: usize,
    tls: &'static str,
    pool_keys: String,
    standby_keys: String,
    users: String,
    listener_keys: String,
    admin_keys: String,
    otherwise: String,
    hooks: Vec<(String, Vec<String>)>,
    extra: String,
}

impl PolicyText {
    /// In front of a cluster: transaction mode, ten server connections, the trusted users, no stage.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let mut nodes = vec![("pg1".to_owned(), "primary", cluster.primary.port)];
        for (number, standby) in cluster.standbys.iter().enumerate() {
            nodes.push((format!("pg{}", number + 2), "standby", standby.port));
        }
        let mut users = String::new();
        for user in TRUSTED {
            writeln!(users, "[user.{user}]\ntrust = true").expect("a string grows");
        }
        Self {
            port: free_port(),
            nodes,
            mode: "transaction",
            size: 10,
            tls: "allow",
            pool_keys: String::new(),
            standby_keys: String::new(),
            users,
            listener_keys: String::new(),
            admin_keys: String::new(),
            otherwise: "authorize = \"allow\", route = \"primary\"".to_owned(),
            hooks: Vec::new(),
            extra: String::new(),
        }
    }

    pub(crate) fn mode(mut self, mode: &'static str) -> Self {
        self.mode = mode;
        self
    }

    pub(crate) fn size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// `disable`, `allow` or `require`, on the listener.
    pub(crate) fn tls(mut self, mode: &'static str) -> Self {
        self.tls = mode;
        self
    }

    /// A key of the pool: `wait = "1s"`.
    pub(crate) fn pool_key(mut self, line: &str) -> Self {
        self.pool_keys.push_str(line);
        self.pool_keys.push('\n');
        self
    }

    /// A key of every standby: `max_lag = "1s"`.
    pub(crate) fn standby_key(mut self, line: &str) -> Self {
        self.standby_keys.push_str(line);
        self.standby_keys.push('\n');
        self
    }

    /// A key of the listener: `login_timeout = "1s"`.
    pub(crate) fn listener_key(mut self, line: &str) -> Self {
        self.listener_keys.push_str(line);
        self.listener_keys.push('\n');
        self
    }

    /// A key of `[admin]`: `metrics = ".."`.
    pub(crate) fn admin_key(mut self, line: &str) -> Self {
        self.admin_keys.push_str(line);
        self.admin_keys.push('\n');
        self
    }

    /// Replaces the trusted users.
    pub(crate) fn users(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.users);
        self
    }

    /// Replaces `otherwise` of the pipeline.
    pub(crate) fn otherwise(mut self, keys: &str) -> Self {
        keys.clone_into(&mut self.otherwise);
        self
    }

    /// A stage with its keys, added at the end of a hook's list.
    pub(crate) fn stage(mut self, hook: &str, name: &str, keys: &str) -> Self {
        write!(self.extra, "\n[stage.{name}]\nhook = \"{hook}\"\n{keys}\n")
            .expect("a string grows");
        self.listed(hook, name)
    }

    /// A name in the pipeline's list: a stage, or a built-in login method.
    pub(crate) fn listed(mut self, hook: &str, name: &str) -> Self {
        match self.hooks.iter_mut().find(|(other, _)| other == hook) {
            Some((_, names)) => names.push(name.to_owned()),
            None => self.hooks.push((hook.to_owned(), vec![name.to_owned()])),
        }
        self
    }

    /// Any tables.
    pub(crate) fn extra(mut self, toml: &str) -> Self {
        self.extra.push_str(toml);
        self.extra.push('\n');
        self
    }

    /// Files that stand beside the policy.
    pub(crate) fn files() -> [(&'static str, &'static str); 3] {
        let made = certificate::localhost();
        [
            ("server.crt", &made.certificate),
            ("server.key", &made.key),
            ("ca.crt", &made.authority),
        ]
    }

    /// The text.
    pub(crate) fn text(&self) -> String {
        let mut text = "policy = 1\nname = \"it\"\n\n".to_owned();
        let tls = match self.tls {
            "disable" => "tls = { mode = \"disable\" }".to_owned(),
            mode => format!(
                "tls = {{ mode = \"{mode}\", cert = \"server.crt\", key = {{ file = \"server.key\" }} }}"
            ),
        };
        let Self {
            port,
            listener_keys,
            mode,
            size,
            pool_keys,
            ..
        } = self;
        let mut add = |part: String| text.push_str(&part);
        add(format!(
            "[listener.main]\nbind = [\"127.0.0.1:{port}\"]\npipeline = \"default\"\n{tls}\n{listener_keys}\n"
        ));
        for (name, role, port) in &self.nodes {
            let keys = match *role {
                "standby" => &*self.standby_keys,
                _ => "",
            };
            add(format!(
                "[node.{name}]\nrole = \"{role}\"\nhost = \"127.0.0.1\"\nport = {port}\n{keys}\n"
            ));
        }
        let names: Vec<String> = self
            .nodes
            .iter()
            .map(|(name, ..)| format!("\"{name}\""))
            .collect();
        let nodes = names.join(", ");
        add(format!(
            "[pool.main]\ndatabase = \"*\"\nnodes = [{nodes}]\nmode = \"{mode}\"\nsize = {size}\n{pool_keys}\n"
        ));
        if self.users.contains("[user.postgres]") {
            let keys = &self.admin_keys;
            add(format!("[admin]\nusers = [\"postgres\"]\n{keys}\n"));
        }
        add(format!(
            "{}\n{}\n[pipeline.default]\n",
            self.users, self.extra
        ));
        for (hook, names) in &self.hooks {
            add(format!("{hook} = {names:?}\n"));
        }
        add(format!("otherwise = {{ {} }}\n", self.otherwise));
        text
    }
}
