//! The first packet of a connection: StartupMessage, SSLRequest, GSSENCRequest or CancelRequest, read and written, and
//! the negotiation of the protocol version. Owns no decision about what a client may do and no socket.
//! Source: PostgreSQL manual, "Message Formats"; `ProcessStartupPacket` in `src/backend/tcop/backend_startup.c`.

mod error;
mod options;
#[cfg(test)]
mod tests;

pub use error::StartupError;

use super::encode;
use super::frame;
use std::collections::HashMap;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The largest first packet, its length field included (PostgreSQL's `MAX_STARTUP_PACKET_LENGTH`).
pub const STARTUP_BYTES_MAX: usize = 10_000;

/// The largest cancel secret protocol 3.2 allows.
pub const CANCEL_SECRET_BYTES_MAX: usize = 256;

/// Bytes of the length field that every first packet starts with.
pub const LENGTH_BYTES: usize = 4;

/// The newest minor version of protocol 3 spoken here.
pub const MINOR_NEWEST: u16 = 2;

const CANCEL_CODE: u32 = 80_877_102;
const SSL_CODE: u32 = 80_877_103;
const GSSENC_CODE: u32 = 80_877_104;
const MAJOR: u16 = 3;
const EXTENSION_PREFIX: &str = "_pq_.";

/// What a client opens its connection with.
#[derive(Clone, Debug)]
pub enum FirstPacket {
    /// The client asks for TLS.
    SslRequest,
    /// The client asks for GSSAPI encryption.
    GssEncRequest,
    /// The client asks to cancel what another connection is doing.
    Cancel(CancelKey),
    /// The client wants a session.
    Startup(StartupMessage),
}

/// A StartupMessage as meant: `options` is taken apart and repeated settings are merged.
#[derive(Clone, Debug)]
pub struct StartupMessage {
    /// The minor version the client asked for; libpq's "grease" asks for 9999.
    pub minor_asked: u16,
    /// Protocol extensions (`_pq_.name`) the client asked for. None is known here.
    pub extensions: Vec<String>,
    /// Who wants what.
    pub parameters: Parameters,
}

/// Who connects to what, and with which settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameters {
    /// The user.
    pub user: String,
    /// The database; the user's name when the client named none.
    pub database: String,
    /// `application_name`, empty when the client gave none.
    pub application_name: String,
    /// Every other setting, lower-case names, each once, in the order PostgreSQL would apply them.
    pub settings: Vec<(String, String)>,
    /// Whether the client wants the replication protocol.
    pub replication: Replication,
}

/// The `replication` startup parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replication {
    /// An ordinary session.
    Off,
    /// Physical replication (`true`).
    Physical,
    /// Logical replication, tied to a database (`database`).
    Logical,
}

/// The outcome of version negotiation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Negotiated {
    /// The minor version both sides speak from now on.
    pub minor: u16,
    /// Whether a NegotiateProtocolVersion must tell the client.
    pub announce: Announce,
}

/// Whether a NegotiateProtocolVersion message is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Announce {
    /// The client got what it asked for.
    Nothing,
    /// The client asked for a newer version or for extensions.
    Version,
}

/// A process id and the secret that goes with it: what a CancelRequest proves itself by.
#[derive(Clone)]
pub struct CancelKey {
    /// The process id of BackendKeyData.
    pub process_id: i32,
    secret: Zeroizing<Vec<u8>>,
}

impl CancelKey {
    /// A key; `None` unless the secret has 4 to 256 bytes.
    #[must_use]
    pub fn new(process_id: i32, secret: &[u8]) -> Option<Self> {
        if secret.len() < 4 || CANCEL_SECRET_BYTES_MAX < secret.len() {
            return None;
        }
        let secret = Zeroizing::new(secret.to_vec());
        Some(Self { process_id, secret })
    }

    /// The secret.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Whether `secret` is this key's, in a time that tells nothing about it.
    #[must_use]
    pub fn matches(&self, secret: &[u8]) -> bool {
        self.secret.as_slice().ct_eq(secret).into()
    }
}

impl std::fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CancelKey")
            .field("process_id", &self.process_id)
            .finish_non_exhaustive()
    }
}

impl StartupMessage {
    /// What both sides will speak. The difference of 3.2 to 3.0 is only that cancel secrets may be longer than 4 bytes.
    #[must_use]
    pub fn negotiate(&self) -> Negotiated {
        let announce = if MINOR_NEWEST < self.minor_asked || !self.extensions.is_empty() {
            Announce::Version
        } else {
            Announce::Nothing
        };
        let minor = self.minor_asked.min(MINOR_NEWEST);
        Negotiated { minor, announce }
    }
}

/// The packet's length from its first four bytes, the length field included. To be believed before a byte is reserved.
///
/// # Errors
/// When no first packet can have that length.
pub fn length(field: [u8; LENGTH_BYTES]) -> Result<usize, StartupError> {
    let length = u32::from_be_bytes(field);
    match usize::try_from(length) {
        Ok(bytes) if (LENGTH_BYTES + 4..=STARTUP_BYTES_MAX).contains(&bytes) => Ok(bytes),
        _ => Err(StartupError::Length { length }),
    }
}

/// Reads a first packet: everything that follows its length field.
///
/// # Errors
/// When it is none of the four packets, or a StartupMessage that PostgreSQL would refuse too.
pub fn parse(packet: &[u8]) -> Result<FirstPacket, StartupError> {
    let Some((code, rest)) = packet.split_first_chunk::<4>() else {
        return Err(StartupError::Layout);
    };
    match (u32::from_be_bytes(*code), rest) {
        (SSL_CODE, []) => Ok(FirstPacket::SslRequest),
        (GSSENC_CODE, []) => Ok(FirstPacket::GssEncRequest),
        (SSL_CODE | GSSENC_CODE, _) => Err(StartupError::Layout),
        (CANCEL_CODE, rest) => parse_cancel(rest).map(FirstPacket::Cancel),
        _ => {
            let [a, b, c, d] = *code;
            let (major, minor) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            if major != MAJOR {
                return Err(StartupError::Version { major, minor });
            }
            parse_startup(minor, rest).map(FirstPacket::Startup)
        }
    }
}

fn parse_cancel(rest: &[u8]) -> Result<CancelKey, StartupError> {
    rest.split_first_chunk::<4>()
        .and_then(|(process_id, secret)| CancelKey::new(i32::from_be_bytes(*process_id), secret))
        .ok_or(StartupError::Cancel)
}

fn parse_startup(minor_asked: u16, mut rest: &[u8]) -> Result<StartupMessage, StartupError> {
    let mut user = String::new();
    let mut database = String::new();
    let mut replication = Replication::Off;
    let mut command_line = String::new();
    let mut extensions = Vec::new();
    let mut named = Vec::new();
    loop {
        let (name, after) = text(rest)?;
        if name.is_empty() {
            if !after.is_empty() {
                return Err(StartupError::Layout);
            }
            break;
        }
        let (value, after) = text(after)?;
        match name {
            "user" => value.clone_into(&mut user),
            "database" => value.clone_into(&mut database),
            "options" => value.clone_into(&mut command_line),
            "replication" => replication = parse_replication(value)?,
            _ if name.starts_with(EXTENSION_PREFIX) => extensions.push(name.to_owned()),
            _ => named.push((name.to_owned(), value.to_owned())),
        }
        rest = after;
    }
    if user.is_empty() {
        return Err(StartupError::NoUser);
    }
    if database.is_empty() {
        database.clone_from(&user);
    }
    // PostgreSQL applies the command line first and the packet's own settings over it.
    let mut settings = merge(options::parse(&command_line)?.into_iter().chain(named))?;
    let application_name = settings
        .iter()
        .position(|(name, _)| name == "application_name")
        .map(|at| settings.remove(at).1)
        .unwrap_or_default();
    Ok(StartupMessage {
        minor_asked,
        extensions,
        parameters: Parameters {
            user,
            database,
            application_name,
            settings,
            replication,
        },
    })
}

/// The string at the front, and what follows it. Names are UTF-8 here, whatever the database's encoding.
fn text(bytes: &[u8]) -> Result<(&str, &[u8]), StartupError> {
    let (text, rest) = frame::cstr(bytes).ok_or(StartupError::Layout)?;
    let text = std::str::from_utf8(text).map_err(|_| StartupError::NotUtf8)?;
    Ok((text, rest))
}

/// Each setting once, the last value winning. Names are case-insensitive to PostgreSQL.
fn merge(
    all: impl Iterator<Item = (String, String)>,
) -> Result<Vec<(String, String)>, StartupError> {
    let mut merged: Vec<(String, String)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (mut name, value) in all {
        if !is_setting_name(&name) {
            return Err(StartupError::SettingName { name });
        }
        name.make_ascii_lowercase();
        if let Some(setting) = places.get(&name).and_then(|&place| merged.get_mut(place)) {
            setting.1 = value;
        } else {
            places.insert(name.clone(), merged.len());
            merged.push((name, value));
        }
    }
    Ok(merged)
}

/// Letters, digits, `_`, `$`, separated by dots; each part starts with a letter or `_` (`valid_custom_variable_name`).
fn is_setting_name(name: &str) -> bool {
    name.split('.').all(|part| {
        let mut chars = part.chars();
        chars
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == '_' || !first.is_ascii())
            && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii())
    })
}

/// `database`, or one of PostgreSQL's ways to write a Boolean (`parse_bool`: any prefix that is not ambiguous).
fn parse_replication(value: &str) -> Result<Replication, StartupError> {
    let value = value.to_ascii_lowercase();
    let abbreviates = |word: &str, least: usize| least <= value.len() && word.starts_with(&value);
    if value == "database" {
        Ok(Replication::Logical)
    } else if abbreviates("true", 1) || abbreviates("yes", 1) || value == "on" || value == "1" {
        Ok(Replication::Physical)
    } else if abbreviates("false", 1)
        || abbreviates("no", 1)
        || abbreviates("off", 2)
        || value == "0"
    {
        Ok(Replication::Off)
    } else {
        Err(StartupError::Replication)
    }
}

/// NegotiateProtocolVersion (B): the newest version spoken here and the extensions that are not.
///
/// The manual says "minor version"; PostgreSQL and libpq exchange the whole number, major version included.
pub fn negotiate_protocol_version(out: &mut Vec<u8>, minor: u16, extensions: &[String]) {
    encode::message(out, b'v', |out| {
        out.extend_from_slice(&MAJOR.to_be_bytes());
        out.extend_from_slice(&minor.to_be_bytes());
        let count = u32::try_from(extensions.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for extension in extensions {
            encode::cstr(out, extension.as_bytes());
        }
    });
}

/// StartupMessage (F) of protocol 3.0, which every supported PostgreSQL accepts without negotiation.
pub fn startup_message<'a>(
    out: &mut Vec<u8>,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    packet(out, u32::from(MAJOR) << 16, |out| {
        for (name, value) in parameters {
            encode::cstr(out, name.as_bytes());
            encode::cstr(out, value.as_bytes());
        }
        out.push(0);
    });
}

/// SSLRequest (F).
pub fn ssl_request(out: &mut Vec<u8>) {
    packet(out, SSL_CODE, |_| ());
}

/// CancelRequest (F).
pub fn cancel_request(out: &mut Vec<u8>, key: &CancelKey) {
    packet(out, CANCEL_CODE, |out| {
        out.extend_from_slice(&key.process_id.to_be_bytes());
        out.extend_from_slice(key.secret());
    });
}

fn packet(out: &mut Vec<u8>, code: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    out.extend_from_slice(&code.to_be_bytes());
    body(out);
    let length = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    out[at..at + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
}
