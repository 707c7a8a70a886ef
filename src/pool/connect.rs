//! Makes one server connection: socket, TLS, startup, login, up to the first ReadyForQuery; and sends cancel requests.
//! Owns no pool and no retry: every failure is the caller's to weigh.

mod error;
mod login;
mod relayed;
#[cfg(test)]
mod tests;

pub use crate::wire::startup::CancelKey as BackendKey;
pub use error::ConnectError;
use error::NodeError;
pub use relayed::connect_relayed;

use crate::net::Address;
use crate::net::ClientTls;
use crate::net::Stream;
use crate::net::message::Message;
use crate::net::message::read_message;
use crate::policy;
use crate::wire::authentication::Secret;
use crate::wire::error_response;
use crate::wire::frame;
use crate::wire::startup;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// The longest message taken from a node before it is ready. A longer one is not PostgreSQL's.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Messages taken from a node before it is ready. PostgreSQL 15 sends about sixteen.
const MESSAGES_MAX: usize = 512;

/// A node, and how to get there.
#[derive(Debug)]
pub struct Target {
    /// Where it listens.
    pub address: Address,
    /// TLS, if it is wanted. Unix sockets go without, as with libpq.
    pub tls: Option<Arc<ClientTls>>,
    /// Time for all that [`connect`] does.
    pub connect_timeout: Duration,
}

/// Who we are to the node.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user.
    pub user: Arc<str>,
    /// What proves it; `None` where the node trusts us.
    pub secret: Option<Secret>,
    /// Settings for the start of the session, `application_name` among them.
    pub settings: Vec<(String, String)>,
}

impl Login {
    /// As a policy has it, with settings for the start of the session.
    #[must_use]
    pub fn of(login: &policy::Login, settings: Vec<(String, String)>) -> Self {
        let password = login.password.as_ref();
        let text = password.and_then(policy::Secret::expose_text);
        Self {
            user: Arc::clone(&login.user),
            secret: text.map(|text| Secret::Password(Zeroizing::new(text.to_owned()))),
            settings,
        }
    }
}

/// A server connection that is ready for its first statement. No byte beyond ReadyForQuery has been read.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub stream: Stream,
    /// What the node reported of its settings, each once, in its order. A value that is not UTF-8 is left out.
    pub parameters: Vec<(String, String)>,
    /// What cancels it.
    pub backend_key: BackendKey,
}

/// Connects and logs in, within the target's time.
///
/// A cleartext password is sent over TLS, a Unix socket or the loopback interface only. Cancel safe: a dropped future
/// closes the connection.
///
/// # Errors
/// When any step fails; the connection is gone then.
pub async fn connect(
    target: &Target,
    login: &Login,
    database: &str,
) -> Result<Connected, ConnectError> {
    let deadline = Instant::now() + target.connect_timeout;
    let work = async {
        let parameters = [("user", &*login.user), ("database", database)];
        let settings = login
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let mut stream = open(target, deadline).await?;
        start(&mut stream, parameters.into_iter().chain(settings)).await?;
        login::log_in(&mut stream, login).await?;
        become_ready(stream).await
    };
    match tokio::time::timeout_at(deadline, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectError::TimedOut {
            address: target.address.clone(),
        }),
    }
}

/// Asks the node to cancel what runs on the connection that `key` belongs to, over TLS if the node uses it. Returns when the
/// node has closed the connection, which it does after it has sent the signal.
///
/// # Errors
/// When the request may not have arrived.
pub(super) async fn send_cancel(target: &Target, key: &BackendKey) -> Result<(), ConnectError> {
    let deadline = Instant::now() + target.connect_timeout;
    let work = async {
        let mut stream = open(target, deadline).await?;
        let mut request = Vec::new();
        startup::cancel_request(&mut request, key);
        send(&mut stream, &request).await?;
        // The node answers nothing. Any end will do, a reset too: it had the request before it closed.
        let mut ignored = [0; 64];
        while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
        Ok(())
    };
    match tokio::time::timeout_at(deadline, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectError::TimedOut {
            address: target.address.clone(),
        }),
    }
}

/// The socket, and TLS over it.
async fn open(target: &Target, deadline: Instant) -> Result<Stream, ConnectError> {
    let stream = target.address.reach(deadline).await?;
    let (mut tcp, tls, host) = match (stream, &target.tls, &target.address) {
        (Stream::Tcp(tcp), Some(tls), Address::Tcp { host, .. }) => (tcp, tls, host),
        (stream, ..) => return Ok(stream),
    };
    let mut request = Vec::new();
    startup::ssl_request(&mut request);
    tcp.write_all(&request).await.map_err(ConnectError::Io)?;
    // One byte exactly: whatever an attacker sends behind it ends up in the handshake, not in the session.
    let mut answer = [0];
    tcp.read_exact(&mut answer)
        .await
        .map_err(ConnectError::Io)?;
    match answer {
        [b'S'] => tls.connect(tcp, host).await.map_err(ConnectError::Tls),
        [b'N'] => Err(ConnectError::TlsRefused),
        // An error here is not authenticated by anything, so its text is nobody's to believe (CVE-2024-10977).
        _ => Err(ConnectError::Protocol(
            "an answer to SSLRequest that is neither S nor N",
        )),
    }
}

async fn start<'a>(
    stream: &mut Stream,
    parameters: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> Result<(), ConnectError> {
    if parameters
        .clone()
        .any(|(name, value)| name.contains('\0') || value.contains('\0'))
    {
        return Err(ConnectError::Name);
    }
    let mut message = Vec::new();
    startup::startup_message(&mut message, parameters);
    if startup::STARTUP_BYTES_MAX < message.len() {
        return Err(ConnectError::Name);
    }
    send(stream, &message).await
}

async fn send(stream: &mut Stream, message: &[u8]) -> Result<(), ConnectError> {
    stream.write_all(message).await.map_err(ConnectError::Io)?;
    stream.flush().await.map_err(ConnectError::Io)
}

/// The next message that is no notice. A node's error is an error here.
async fn receive(stream: &mut Stream) -> Result<Message, ConnectError> {
    for _ in 0..MESSAGES_MAX {
        let message = read_message(stream, BODY_BYTES_MAX).await?;
        match message.tag {
            b'N' => (),
            b'E' => {
                let (code, message) = error_response::parse_error(&message.body);
                return Err(ConnectError::Refused(NodeError { code, message }));
            }
            _ => return Ok(message),
        }
    }
    Err(ConnectError::Protocol("too many messages"))
}

/// From AuthenticationOk to ReadyForQuery.
async fn become_ready(mut stream: Stream) -> Result<Connected, ConnectError> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    let mut backend_key = None;
    for _ in 0..MESSAGES_MAX {
        let message = receive(&mut stream).await?;
        match (message.tag, message.body.as_slice()) {
            (b'S', body) => {
                let (name, value) = parameter_status(body)
                    .ok_or(ConnectError::Protocol("a malformed ParameterStatus"))?;
                if let (Ok(name), Ok(value)) =
                    (std::str::from_utf8(name), std::str::from_utf8(value))
                {
                    parameters.retain(|(known, _)| known != name);
                    parameters.push((name.to_owned(), value.to_owned()));
                }
            }
            (b'K', body) => {
                let key = body.split_first_chunk::<4>();
                backend_key =
                    key.and_then(|(pid, secret)| BackendKey::new(i32::from_be_bytes(*pid), secret));
            }
            (b'Z', [b'I']) => {
                let backend_key =
                    backend_key.ok_or(ConnectError::Protocol("no usable BackendKeyData"))?;
                return Ok(Connected {
                    stream,
                    parameters,
                    backend_key,
                });
            }
            _ => {
                return Err(ConnectError::Protocol(
                    "a message that does not belong to a login",
                ));
            }
        }
    }
    Err(ConnectError::Protocol("too many messages"))
}

fn parameter_status(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = frame::cstr(body)?;
    let (value, rest) = frame::cstr(rest)?;
    rest.is_empty().then_some((name, value))
}
