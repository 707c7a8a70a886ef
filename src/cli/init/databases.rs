//! `[databases]` as nodes and pools. Owns which entry becomes which pool.

use super::accounts::secret_file;
use super::convert::Ini;
use super::convert::absolute;
use super::ini;
use super::ini::Setting;
use super::lost;
use super::lost::Fate;
use crate::policy::toml_text;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use zeroize::Zeroizing;

const PORT: &str = "5432";
const SOCKET_FOLDER: &str = "/tmp";

/// The pools of the policy.
pub(super) struct Databases {
    /// The tables of nodes and pools.
    pub(super) text: String,
    /// The first database that is named.
    pub(super) first: Option<String>,
}

/// What all pools share.
struct Shared {
    /// Users stand in the policy, so that server connections can be shared.
    has_users: bool,
    mode: String,
    /// Keys that are the same in every pool.
    keys: String,
    size: Option<u32>,
    lifetime: Option<String>,
}

struct Making<'m> {
    ini: &'m mut Ini,
    shared: Shared,
    /// Host and port of each node.
    nodes: Vec<(String, String)>,
    /// Databases that have a pool.
    served: BTreeSet<String>,
    passwords: &'m BTreeMap<String, String>,
    secrets: &'m mut Vec<(String, Zeroizing<String>)>,
    pools: String,
}

pub(super) fn read(
    ini: &mut Ini,
    path: &Path,
    has_users: bool,
    passwords: &BTreeMap<String, String>,
    secrets: &mut Vec<(String, Zeroizing<String>)>,
) -> Databases {
    let shared = shared(ini, has_users);
    let tls = tls(ini, path);
    let entries: Vec<Setting> = ini.section("databases").cloned().collect();
    if entries.is_empty() {
        ini.note_at(
            None,
            "[databases]",
            "no database; this pool is a placeholder",
        );
    }
    let mut making = Making {
        ini,
        shared,
        nodes: Vec::new(),
        served: BTreeSet::new(),
        passwords,
        secrets,
        pools: String::new(),
    };
    for entry in &entries {
        making.entry(entry);
    }
    if entries.is_empty() {
        making.pool("*", "127.0.0.1", PORT, "");
    }
    let first = making.served.iter().find(|name| *name != "*").cloned();
    let mut text = String::new();
    for (at, (host, port)) in making.nodes.iter().enumerate() {
        let tls = match host.starts_with('/') {
            true => "",
            false => &tls,
        };
        let name = node_name(at);
        text.push_str(&format!(
            "[node.{name}]\nrole = \"primary\"\nhost = {}\nport = {port}\n{tls}\n",
            toml_text(host)
        ));
    }
    text.push_str(&making.pools);
    Databases { text, first }
}

fn node_name(at: usize) -> String {
    format!("pg{}", at + 1)
}

fn shared(ini: &mut Ini, has_users: bool) -> Shared {
    let mut keys = String::new();
    for (key, ours) in [
        ("query_wait_timeout", "wait"),
        ("server_idle_timeout", "idle_timeout"),
    ] {
        if let Some(time) = ini.seconds(key) {
            keys.push_str(&format!("{ours} = \"{time}\"\n"));
        } else if ini.value(key).is_some_and(is_zero) {
            ini.note(key, "0 is for ever in PgBouncer; a day is written");
            keys.push_str(&format!("{ours} = \"1d\"\n"));
        }
    }
    if let Some(reset) = ini.get("server_reset_query") {
        keys.push_str(&format!("reset = {}\n", toml_text(&reset.value)));
    }
    if let Some(count) = ini.count("max_prepared_statements") {
        keys.push_str(&format!("max_prepared_statements = {count}\n"));
    }
    Shared {
        has_users,
        mode: ini.word("pool_mode").unwrap_or("session".to_owned()),
        keys,
        size: ini.count("default_pool_size").filter(|size| *size != 0),
        lifetime: ini.seconds("server_lifetime"),
    }
}

/// TLS towards nodes; `connect_timeout` as well, which is theirs too.
fn tls(ini: &mut Ini, path: &Path) -> String {
    let mut text = String::new();
    if let Some(time) = ini.seconds("server_connect_timeout") {
        text.push_str(&format!("connect_timeout = \"{time}\"\n"));
    }
    let mode = ini.word("server_tls_sslmode");
    let mode = mode.as_deref().unwrap_or("prefer");
    match mode {
        "disable" => (),
        "require" => text.push_str("tls = \"require\"\n"),
        "verify-ca" | "verify-full" => {
            if mode == "verify-ca" {
                let why = "the certificate must also be valid for `host`";
                ini.note("server_tls_sslmode", why);
            }
            let ca = ini.value("server_tls_ca_file");
            let ca = ca.map(|ca| format!(", ca = {}", toml_text(&absolute(path, ca))));
            let ca = ca.unwrap_or_default();
            text.push_str(&format!("tls = {{ mode = \"verify-full\"{ca} }}\n"));
        }
        "prefer" | "allow" => ini.note(
            "server_tls_sslmode",
            "TLS is used or it is not: none is written; write tls = \"require\" where the node speaks it",
        ),
        _ => {
            let why = "no mode that is known here; TLS is required";
            ini.note("server_tls_sslmode", why);
            text.push_str("tls = \"require\"\n");
        }
    }
    text
}

impl Making<'_> {
    fn entry(&mut self, entry: &Setting) {
        let about = format!("[databases] {}", entry.key);
        let spot = Some(&entry.spot);
        let Some(pairs) = ini::connection(&entry.value) else {
            return self.ini.note_at(spot, &about, "not `key=value ..`");
        };
        let (mut values, mut keys): (BTreeMap<&str, &str>, _) = (BTreeMap::new(), String::new());
        for (key, value) in &pairs {
            values.insert(key, value);
        }
        let database = self.database(entry, values.get("dbname").copied());
        let Some(database) = database else { return };
        let mut mode = self.shared.mode.clone();
        let (mut size, mut lifetime) = (self.shared.size, self.shared.lifetime.clone());
        for (key, value) in &pairs {
            match &**key {
                "host" | "port" | "dbname" | "user" | "password" => (),
                "pool_mode" => mode = value.to_ascii_lowercase(),
                "pool_size" if is_count(value) => size = value.parse().ok(),
                "server_lifetime" if is_count(value) => lifetime = Some(format!("{value}s")),
                key => {
                    let why = match lost::fate_of_database(key, value) {
                        Fate::Lost(why) => why,
                        Fate::Unknown => "no setting, or no value, that is known here",
                        Fate::Carried | Fate::Needless => continue,
                    };
                    self.ini.note_at(spot, &format!("{about} {key}"), why);
                }
            }
        }
        keys.push_str(&self.mode(entry, &about, &mode));
        keys.push_str(
            &size
                .map(|size| format!("size = {size}\n"))
                .unwrap_or_default(),
        );
        if let Some(lifetime) = lifetime {
            keys.push_str(&format!("lifetime = \"{lifetime}\"\n"));
        }
        keys.push_str(&self.login(entry, &about, &values));
        let host = self.host(entry, &about, values.get("host").copied());
        let mut port = values.get("port").copied().unwrap_or(PORT);
        if port.parse::<u16>().is_err() {
            self.ini.note_at(spot, &about, "the port is no number");
            port = PORT;
        }
        self.pool(&database, &host, port, &keys);
    }

    /// The database that clients ask for, which is the node's as well.
    fn database(&mut self, entry: &Setting, dbname: Option<&str>) -> Option<String> {
        let about = format!("[databases] {}", entry.key);
        let mut database = &*entry.key;
        if let Some(dbname) = dbname.filter(|dbname| *dbname != entry.key) {
            database = dbname;
            let why = format!("databases keep their names: clients must ask for `{dbname}`");
            self.ini.note_at(Some(&entry.spot), &about, &why);
        }
        let is_fallback = database == "*" && entry.key == "*";
        if !is_fallback && database.contains(['*', '?']) {
            let why = "`*` and `?` in a name would be a pattern; it has no pool";
            self.ini.note_at(Some(&entry.spot), &about, why);
            return None;
        }
        if !self.served.insert(database.to_owned()) {
            let why = format!("`{database}` has a pool already; this one has none");
            self.ini.note_at(Some(&entry.spot), &about, &why);
            return None;
        }
        Some(database.to_owned())
    }

    fn mode(&mut self, entry: &Setting, about: &str, mode: &str) -> String {
        let mut note = |why: &str| self.ini.note_at(Some(&entry.spot), about, why);
        match mode {
            "session" => String::new(),
            "transaction" | "statement" if !self.shared.has_users => {
                note("without users in the policy the pool is in session mode");
                String::new()
            }
            "transaction" | "statement" => {
                if mode == "statement" {
                    note(
                        "there is no statement mode; the pool is in transaction mode, and transactions are allowed",
                    );
                }
                // What PgBouncer does; `pin` would hold server connections that it shares.
                "mode = \"transaction\"\nsession_state = \"ignore\" # as PgBouncer; \"pin\" keeps what a session sets from others\n".to_owned()
            }
            _ => {
                note("no pool_mode that is known here; the pool is in session mode");
                String::new()
            }
        }
    }

    fn login(&mut self, entry: &Setting, about: &str, values: &BTreeMap<&str, &str>) -> String {
        let Some(user) = values.get("user") else {
            if values.contains_key("password") {
                let why = "a password without a user; clients log in to the node as themselves";
                self.ini.note_at(Some(&entry.spot), about, why);
            }
            return String::new();
        };
        if !self.shared.has_users {
            let why = "without users in the policy clients log in to the node as themselves, and `user` is not used";
            self.ini.note_at(Some(&entry.spot), about, why);
            return String::new();
        }
        let file = match values.get("password") {
            Some(password) => {
                let file = secret_file("database", &entry.key, self.secrets.len());
                let content = Zeroizing::new(format!("{password}\n"));
                self.secrets.push((file.clone(), content));
                Some(file)
            }
            None => self.passwords.get(*user).cloned(),
        };
        let password = file.map(|file| format!(", password = {{ file = {} }}", toml_text(&file)));
        if password.is_none() {
            let why =
                format!("there is no password of `{user}` for the node; it must not ask for one");
            self.ini.note_at(Some(&entry.spot), about, &why);
        }
        format!(
            "login = {{ user = {}{} }}\n",
            toml_text(user),
            password.unwrap_or_default()
        )
    }

    fn host(&mut self, entry: &Setting, about: &str, host: Option<&str>) -> String {
        let Some(host) = host.filter(|host| !host.is_empty()) else {
            let folder = self.ini.value("unix_socket_dir");
            let folder = folder.unwrap_or(SOCKET_FOLDER).to_owned();
            let why = format!("no host: the node's Unix socket is looked for in `{folder}`");
            self.ini.note_at(Some(&entry.spot), about, &why);
            return folder;
        };
        let (first, others) = host.split_once(',').unwrap_or((host, ""));
        if !others.is_empty() {
            let why = "of several hosts the first is carried over; write the others as nodes with their roles";
            self.ini.note_at(Some(&entry.spot), about, why);
        }
        first.trim().to_owned()
    }

    fn pool(&mut self, database: &str, host: &str, port: &str, keys: &str) {
        let node = (host.to_owned(), port.to_owned());
        let at = match self.nodes.iter().position(|known| *known == node) {
            Some(at) => at,
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        let name = pool_name(database, self.served.len());
        self.pools.push_str(&format!(
            "[pool.{name}]\ndatabase = {}\nnodes = [\"{}\"]\n{keys}{}\n",
            toml_text(database),
            node_name(at),
            self.shared.keys
        ));
    }
}

fn is_zero(value: &str) -> bool {
    value.parse::<f64>().is_ok_and(|value| value == 0.0)
}

/// A number of connections or seconds; 0 means something else in PgBouncer.
fn is_count(value: &str) -> bool {
    value.parse::<u32>().is_ok_and(|count| count != 0)
}

/// The database's name where it may be a pool's, and is not one that a made-up name could be.
fn pool_name(database: &str, number: usize) -> String {
    const NAME_BYTES_MAX: usize = 63;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match database {
        "*" => "all-others".to_owned(),
        name if !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && name.bytes().all(plain)
            && !name.starts_with("all-others")
            && !name.starts_with("pool-") =>
        {
            name.to_owned()
        }
        _ => format!("pool-{number}"),
    }
}
