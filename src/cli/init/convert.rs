//! A policy that does what a `pgbouncer.ini` says, as far as one can, and a note about everything that one cannot. Owns what PgBouncer
//! does where nothing is said. Reads no file but `auth_file`, writes none.

use super::accounts;
use super::accounts::Accounts;
use super::databases;
use super::databases::Databases;
use super::ini;
use super::ini::Setting;
use super::ini::Spot;
use super::lost;
use super::lost::Fate;
use crate::policy::toml_text;
use std::net::IpAddr;
use std::path::Path;
use zeroize::Zeroizing;

/// PgBouncer's own.
const PORT: &str = "6432";
const SOCKET_FOLDER: &str = "/tmp";
const CLIENTS: &str = "100";

/// Times of which 0 is none, for which there is an own word or the same default.
const FOR_EVER: [&str; 3] = [
    "client_idle_timeout",
    "query_wait_timeout",
    "server_idle_timeout",
];

/// The kernel's sun_path has 108 bytes, one of them for the end.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What was made.
pub(super) struct Converted {
    pub(super) policy: String,
    /// Passwords: the name of a file beside the policy, and what belongs in it.
    pub(super) secrets: Vec<(String, Zeroizing<String>)>,
    pub(super) notes: Vec<Note>,
}

/// Something that is not as it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Note(pub(super) String);

/// The settings, and what is said about them.
pub(super) struct Ini {
    settings: Vec<Setting>,
    pub(super) notes: Vec<Note>,
}

impl Ini {
    /// A setting of `[pgbouncer]`.
    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        let mut all = self.section("pgbouncer");
        all.find(|setting| setting.key == key)
    }

    /// Its value, if something is written.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.get(key)
            .map(|setting| &*setting.value)
            .filter(|value| !value.is_empty())
    }

    /// A word of a closed list, which PgBouncer takes in any case.
    pub(super) fn word(&self, key: &str) -> Option<String> {
        self.value(key).map(str::to_ascii_lowercase)
    }

    pub(super) fn section(&self, name: &'static str) -> impl Iterator<Item = &Setting> {
        let settings = self.settings.iter();
        settings.filter(move |setting| setting.section == name)
    }

    /// Says what became of a setting, wherever it stands or does not stand.
    pub(super) fn note(&mut self, key: &str, why: &str) {
        let spot = self.get(key).map(|setting| setting.spot.clone());
        self.note_at(spot.as_ref(), key, why);
    }

    pub(super) fn note_at(&mut self, spot: Option<&Spot>, about: &str, why: &str) {
        let at = spot.map_or("not set".to_owned(), Spot::to_string);
        // One line of a comment, whatever a name holds.
        let note = format!("{at}: {about}: {why}").escape_debug().to_string();
        self.notes
            .push(Note(note.replace("\\\"", "\"").replace("\\'", "'")));
    }

    /// Seconds, as a duration of a policy. `None` for 0, which mostly is never in PgBouncer.
    pub(super) fn seconds(&mut self, key: &str) -> Option<String> {
        let text = self.value(key)?.to_owned();
        match text.parse::<f64>() {
            Ok(seconds) if seconds > 0.0 && seconds < 1e9 => {
                let milliseconds = (seconds * 1e3).round();
                Some(match milliseconds % 1e3 == 0.0 {
                    true => format!("{}s", milliseconds / 1e3),
                    false => format!("{milliseconds}ms"),
                })
            }
            Ok(0.0) => {
                if !FOR_EVER.contains(&key) {
                    self.note(
                        key,
                        "0 says something that has no counterpart; the default holds",
                    );
                }
                None
            }
            _ => {
                self.note(key, "not a number of seconds");
                None
            }
        }
    }

    /// A count as it is written.
    pub(super) fn count(&mut self, key: &str) -> Option<u32> {
        let text = self.value(key)?.to_owned();
        let count = text.parse().ok();
        if count.is_none() {
            self.note(key, "not a number");
        }
        count
    }
}

/// Reads a `pgbouncer.ini` and makes a policy of it.
///
/// # Errors
/// Where a file cannot be read.
pub(super) fn convert(path: &Path) -> Result<Converted, String> {
    let mut ini = Ini {
        settings: ini::read(path)?,
        notes: Vec::new(),
    };
    fates(&mut ini);
    let listener = listener(&mut ini, path);
    let Accounts {
        text: users,
        names,
        mut secrets,
        passwords,
    } = accounts::read(&mut ini, path)?;
    let Databases {
        text: databases,
        first,
    } = databases::read(&mut ini, path, !names.is_empty(), &passwords, &mut secrets);
    let mut given = vec!["sql = \"SELECT 1\"".to_owned()];
    given.extend(first.map(|database| format!("database = {}", toml_text(&database))));
    let user = names.first().map_or("anybody", |name| &**name);
    given.push(format!("user = {}", toml_text(user)));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut policy = format!(
        "#:schema ./policy.schema.json\n# Made from {} by `pgwarden init`.\n",
        name.escape_debug()
    );
    if !ini.notes.is_empty() {
        policy.push_str("#\n# Not carried over, or not as it was:\n");
        for Note(note) in &ini.notes {
            policy.push_str(&format!("# - {note}\n"));
        }
    }
    policy.push_str(&format!(
        "policy = 1\nname = \"pgbouncer\"\n\n{listener}\n{databases}\n{users}\n\
         # PgBouncer lets every statement through. What is to be refused is written as [stage.NAME].\n\
         [pipeline.default]\notherwise = {{ authorize = \"allow\" }}\n\n\
         [[test]]\nname = \"statements pass\"\ngiven = {{ {} }}\nexpect = {{ verdict = \"allow\" }}\n",
        given.join(", ")
    ));
    Ok(Converted {
        policy,
        secrets,
        notes: ini.notes,
    })
}

/// Notes about all that nothing else reads.
fn fates(ini: &mut Ini) {
    let mut notes = Vec::new();
    for setting in &ini.settings {
        let (about, why) = match &*setting.section {
            "pgbouncer" => match lost::fate(&setting.key, &setting.value) {
                Fate::Lost(why) => (setting.key.clone(), why),
                Fate::Unknown => (setting.key.clone(), "no setting that is known here"),
                Fate::Carried | Fate::Needless => continue,
            },
            "databases" => continue,
            "users" => (
                format!("[users] {}", setting.key),
                "pools and limits are not per user; a `[user.NAME]` may name a `pool`",
            ),
            "peers" => (
                format!("[peers] {}", setting.key),
                "several processes do not know of one another",
            ),
            section => (
                format!("[{section}] {}", setting.key),
                "no section that is known here",
            ),
        };
        notes.push((setting.spot.clone(), about, why));
    }
    for (spot, about, why) in notes {
        ini.note_at(Some(&spot), &about, why);
    }
}

fn listener(ini: &mut Ini, path: &Path) -> String {
    let mut text = "[listener.main]\n".to_owned();
    let bind: Vec<String> = bind(ini).iter().map(|bind| toml_text(bind)).collect();
    text.push_str(&format!("bind = [{}]\n", bind.join(", ")));
    text.push_str(&tls(ini, path));
    let clients = ini.value("max_client_conn").unwrap_or(CLIENTS).to_owned();
    match clients.parse::<u32>() {
        Ok(clients) => text.push_str(&format!("max_connections = {clients}\n")),
        Err(_) => ini.note("max_client_conn", "not a number"),
    }
    for (key, ours) in [
        ("client_login_timeout", "login_timeout"),
        ("client_idle_timeout", "idle_timeout"),
    ] {
        if let Some(time) = ini.seconds(key) {
            text.push_str(&format!("{ours} = \"{time}\"\n"));
        }
    }
    text
}

/// Addresses and the Unix socket.
fn bind(ini: &mut Ini) -> Vec<String> {
    let port = ini.value("listen_port").unwrap_or(PORT).to_owned();
    let mut bind = Vec::new();
    let addresses = ini.value("listen_addr").unwrap_or("").to_owned();
    for address in addresses.split(',').map(str::trim) {
        match (address, address.parse::<IpAddr>()) {
            ("", _) => (),
            ("*", _) => bind.extend([format!("0.0.0.0:{port}"), format!("[::]:{port}")]),
            ("localhost", _) => bind.push(format!("127.0.0.1:{port}")),
            (_, Ok(IpAddr::V4(address))) => bind.push(format!("{address}:{port}")),
            (_, Ok(IpAddr::V6(address))) => bind.push(format!("[{address}]:{port}")),
            _ => ini.note(
                "listen_addr",
                &format!("`{address}` is a name; write its addresses in `bind`"),
            ),
        }
    }
    let folder = match ini.get("unix_socket_dir") {
        Some(setting) => setting.value.clone(),
        None => SOCKET_FOLDER.to_owned(),
    };
    if !folder.is_empty() {
        let socket = format!("{}/.s.PGSQL.{port}", folder.trim_end_matches('/'));
        match folder.starts_with('/') && socket.len() <= SOCKET_PATH_BYTES_MAX {
            true => bind.push(format!("unix:{socket}")),
            false => ini.note("unix_socket_dir", "not a path that a socket may have"),
        }
    }
    if bind.is_empty() {
        ini.note(
            "listen_addr",
            "no address is left; this one is a placeholder",
        );
        bind.push(format!("127.0.0.1:{port}"));
    }
    bind
}

fn tls(ini: &mut Ini, path: &Path) -> String {
    let mode = ini.word("client_tls_sslmode");
    let ours = match mode.as_deref().unwrap_or("disable") {
        "disable" => return String::new(),
        "allow" | "prefer" => "allow",
        "require" => "require",
        "verify-ca" | "verify-full" => {
            ini.note(
                "client_tls_sslmode",
                "TLS is required, but certificates of clients are not asked for",
            );
            "require"
        }
        _ => {
            let why = "no mode that is known here; TLS is required";
            ini.note("client_tls_sslmode", why);
            "require"
        }
    };
    let mut file = |key: &str| {
        let named = ini.value(key).map(|named| absolute(path, named));
        if named.is_none() {
            ini.note(key, "TLS needs it");
        }
        named
    };
    let (Some(cert), Some(key)) = (file("client_tls_cert_file"), file("client_tls_key_file"))
    else {
        // Without them the policy is refused, and nobody's password goes in the clear meanwhile.
        return format!("tls = \"{ours}\"\n");
    };
    let min = match ini.word("client_tls_protocols").as_deref() {
        Some("tlsv1.3") => ", min = \"1.3\"",
        _ => "",
    };
    format!(
        "tls = {{ mode = \"{ours}\"{min}, cert = {}, key = {{ file = {} }} }}\n",
        toml_text(&cert),
        toml_text(&key)
    )
}

/// The whole path of a file that the ini names: the policy may lie elsewhere.
pub(super) fn absolute(ini: &Path, named: &str) -> String {
    let found = ini::beside(ini, named);
    let whole = std::path::absolute(&found).unwrap_or(found);
    whole.to_string_lossy().into_owned()
}
