//! `[listener.NAME]`: where clients connect.

use super::canonical::Canonical;
use super::code;
use super::keys::LISTENER;
use super::keys::LISTENER_TLS;
use super::keys::PIPELINE;
use super::reading::Spot;
use super::reading::Table;
use super::report::Diagnostic;
use super::report::Place;
use super::scope::Scope;
use super::secret::Secret;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const MAX_CONNECTIONS: usize = 1_000;
const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);

/// An address to listen on.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Bind {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket, by its path.
    Unix(PathBuf),
}

/// Addresses on which clients are accepted.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The name in the policy.
    pub name: Arc<str>,
    /// The addresses; never empty.
    pub bind: Vec<Bind>,
    /// The pipeline of its sessions, an index of `Policy::pipelines`.
    pub pipeline: usize,
    /// TLS towards clients.
    pub tls: ListenerTls,
    /// Clients at a time.
    pub max_connections: usize,
    /// From accept to logged in.
    pub login_timeout: Duration,
    /// How long a client may be silent outside a transaction; `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// Where it is written; what is wrong with its TLS is told there.
    pub place: Place,
}

/// Whether clients may, must or cannot use TLS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ListenerTlsMode {
    /// They cannot.
    Disable,
    /// They may.
    Allow,
    /// They must.
    Require,
}

/// The lowest version of TLS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum TlsVersion {
    /// 1.2.
    V1_2,
    /// 1.3.
    V1_3,
}

/// TLS towards clients. With a mode other than `Disable`, certificate and key are there.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// Whether they may.
    pub mode: ListenerTlsMode,
    /// The lowest version.
    pub min: TlsVersion,
    /// The certificate chain, PEM.
    pub cert: Option<Arc<[u8]>>,
    /// The private key, PEM.
    pub key: Option<Secret>,
}

pub(super) const MODES: [(&str, ListenerTlsMode); 3] = [
    ("disable", ListenerTlsMode::Disable),
    ("allow", ListenerTlsMode::Allow),
    ("require", ListenerTlsMode::Require),
];
pub(super) const VERSIONS: [(&str, TlsVersion); 2] =
    [("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];

pub(super) fn read(scope: Scope<'_, '_>) -> Vec<Listener> {
    let listeners = scope.each(&LISTENER, listener);
    if scope.words.names(&LISTENER).next().is_none() {
        let found = Diagnostic::error(code::MISSING_KEY, scope.root(), "there is no listener");
        scope
            .reading
            .add(found.help("write [listener.main] with bind = [\"127.0.0.1:6432\"]"));
    }
    listeners
}

fn listener(scope: Scope<'_, '_>, name: &str, table: &Table<'_, '_>) -> Option<Listener> {
    let mut bind = Vec::new();
    for spot in table.texts("bind") {
        match address(scope, &spot) {
            Some(address) if bind.contains(&address) => scope.listed_twice(&spot),
            Some(address) => bind.push(address),
            None => (),
        }
    }
    let max_connections = table.count("max_connections", 1..=1_000_000);
    let login_timeout = table.timeout("login_timeout");
    let idle_timeout = table.timeout("idle_timeout");
    let tls = tls(table);
    Some(Listener {
        name: name.into(),
        bind,
        pipeline: pipeline(scope, table)?,
        tls,
        max_connections: max_connections.unwrap_or(MAX_CONNECTIONS),
        login_timeout: login_timeout.unwrap_or(LOGIN_TIMEOUT),
        idle_timeout,
        place: scope.reading.place(table.at),
    })
}

pub(super) fn address(scope: Scope<'_, '_>, spot: &Spot<String>) -> Option<Bind> {
    if let Some(path) = spot.value.strip_prefix("unix:") {
        if let Some(path) = unix_path(path) {
            return Some(Bind::Unix(path));
        }
    } else if let Ok(address) = spot.value.parse() {
        return Some(Bind::Tcp(address));
    }
    let found = Diagnostic::error(
        code::BAD_ADDRESS,
        spot.at,
        format!("`{}` is not an address to listen on", spot.value),
    );
    let cure = match spot.value.rsplit_once(':') {
        Some(("localhost", port)) => format!("write \"127.0.0.1:{port}\""),
        Some(("*" | "", port)) => format!("write \"0.0.0.0:{port}\" and \"[::]:{port}\""),
        _ => "expected `ADDRESS:PORT`, `[ADDRESS]:PORT` or `unix:/PATH`".to_owned(),
    };
    scope.reading.add(found.label(cure));
    None
}

/// A path that a Unix socket can have.
pub(super) fn unix_path(path: &str) -> Option<PathBuf> {
    // The kernel's sun_path has 108 bytes, one of them for the end.
    const PATH_BYTES_MAX: usize = 107;
    (path.starts_with('/') && path.len() <= PATH_BYTES_MAX).then(|| PathBuf::from(path))
}

/// The pipeline that is named, or `default`, or the only one.
fn pipeline(scope: Scope<'_, '_>, table: &Table<'_, '_>) -> Option<usize> {
    if table.has("pipeline") {
        return scope.one(table, "pipeline", &PIPELINE);
    }
    let names: Vec<&str> = scope.words.names(&PIPELINE).collect();
    if let Some(id) = names.iter().position(|name| *name == "default") {
        return Some(id);
    }
    if names.len() != 1 {
        let found = Diagnostic::error(
            code::MISSING_KEY,
            table.at,
            format!("{} does not say which pipeline", table.title()),
        );
        scope
            .reading
            .add(found.help("write pipeline = \"NAME\", or call one pipeline `default`"));
        return None;
    }
    Some(0)
}

fn tls(table: &Table<'_, '_>) -> ListenerTls {
    let none = ListenerTls {
        mode: ListenerTlsMode::Disable,
        min: TlsVersion::V1_2,
        cert: None,
        key: None,
    };
    if matches!(table.word("tls").as_deref(), Some(word) if word.entries().is_empty()) {
        let mode = table
            .choice("tls", &MODES)
            .unwrap_or(ListenerTlsMode::Disable);
        if mode != ListenerTlsMode::Disable {
            let found = Diagnostic::error(
                code::MISSING_KEY,
                table.value_at("tls"),
                "TLS needs a certificate and a key",
            );
            table
                .reading
                .add(found.label("write tls = { mode, cert, key }"));
        }
        return none;
    }
    let Some(inner) = table.table("tls", &LISTENER_TLS) else {
        return none;
    };
    let cert = inner.file("cert").map(|(_, bytes)| bytes);
    let key = inner.secret("key");
    let by_default = if inner.has("cert") {
        ListenerTlsMode::Allow
    } else {
        ListenerTlsMode::Disable
    };
    let mode = inner.choice("mode", &MODES).unwrap_or(by_default);
    let min = inner.choice("min", &VERSIONS).unwrap_or(TlsVersion::V1_2);
    if mode != ListenerTlsMode::Disable && !(inner.has("cert") && inner.has("key")) {
        let found = Diagnostic::error(code::MISSING_KEY, inner.at, "TLS needs `cert` and `key`");
        table.reading.add(found);
    }
    let cert = cert.filter(|bytes| pem(&inner, "cert", bytes, "CERTIFICATE"));
    let key = key.filter(|secret| pem(&inner, "key", secret.expose(), "PRIVATE KEY"));
    inner.finish();
    ListenerTls {
        mode,
        min,
        cert,
        key,
    }
}

/// A file that is not even PEM is better told here than by a handshake.
pub(super) fn pem(table: &Table<'_, '_>, key: &'static str, bytes: &[u8], what: &str) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let is_pem = text
        .lines()
        .any(|line| line.starts_with("-----BEGIN ") && line.contains(what));
    if !is_pem {
        let message = format!("`{key}` has no PEM block `{what}`");
        table
            .reading
            .error(code::BAD_CREDENTIAL, table.value_at(key), message);
    }
    is_pem
}

impl Listener {
    pub(super) fn write(&self, canonical: &mut Canonical, pipelines: &[&str]) {
        let Self {
            name,
            bind,
            pipeline,
            tls,
            max_connections,
            login_timeout,
            idle_timeout,
            place: _,
        } = self;
        let ListenerTls {
            mode,
            min,
            cert,
            key,
        } = tls;
        let mut section = canonical.section("listener", name);
        let mut bind: Vec<String> = bind.iter().map(|bind| format!("{bind:?}")).collect();
        bind.sort();
        section.list("bind", &bind);
        section.text(
            "pipeline",
            pipelines.get(*pipeline).copied().unwrap_or_default(),
        );
        section.debug("tls.mode", mode);
        section.debug("tls.min", min);
        section.bytes("tls.cert", cert.as_deref());
        section.reference("tls.key", key.as_ref());
        section.debug("max_connections", max_connections);
        section.duration("login_timeout", Some(*login_timeout));
        section.duration("idle_timeout", *idle_timeout);
    }
}
