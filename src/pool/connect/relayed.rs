//! A login that the node itself checks: its requests go to the client and the client's answers to it, until it is satisfied.
//! For policies without users. The proxy learns nothing that would let it log in a second time.

use super::ConnectError;
use super::Connected;
use super::Target;
use super::become_ready;
use super::login::is_safe_for_cleartext;
use super::login::receive_request;
use super::open;
use super::send;
use super::start;
use crate::net::Stream;
use crate::net::message::ReadError;
use crate::net::message::read_message;
use crate::wire::authentication;
use crate::wire::authentication::Mechanisms;
use crate::wire::authentication::Request;
use crate::wire::scram;
use crate::wire::startup::Parameters;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// The longest answer taken from a client that is not logged in.
const ANSWER_BYTES_MAX: usize = 2 * 1024;

/// Requests of one login. SCRAM has four.
const REQUESTS_MAX: usize = 8;

/// Connects as the client and lets the node authenticate it. AuthenticationOk is not sent to the client; what the node
/// refuses is an error, for the caller to show.
///
/// SCRAM-SHA-256-PLUS is not offered, since a client binds to our certificate and the node checks for its own. Where both
/// connections use TLS, a client that could have used it says so, the node takes that for an attack, and the client has to
/// connect with `channel_binding=disable`. Cleartext requests pass only when nobody can read either connection.
///
/// Not cancel safe: the client may be in the middle of its login.
///
/// # Errors
/// When either side fails or `deadline` passes.
pub async fn connect_relayed(
    target: &Target,
    parameters: &Parameters,
    client: &mut Stream,
    deadline: Instant,
) -> Result<Connected, ConnectError> {
    let reach_by = deadline.min(Instant::now() + target.connect_timeout);
    let work = async {
        let mut node = open(target, reach_by).await?;
        start(&mut node, startup_parameters(parameters)).await?;
        relay(&mut node, client).await?;
        become_ready(node).await
    };
    match tokio::time::timeout_at(deadline, work).await {
        Ok(Err(ConnectError::Refused(node))) => Err(ConnectError::RefusedClient(node)),
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectError::TimedOut {
            address: target.address.clone(),
        }),
    }
}

fn startup_parameters(parameters: &Parameters) -> impl Iterator<Item = (&str, &str)> + Clone {
    let fixed = [
        ("user", parameters.user.as_str()),
        ("database", parameters.database.as_str()),
        ("application_name", parameters.application_name.as_str()),
    ];
    let settings = parameters
        .settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    fixed.into_iter().chain(settings)
}

async fn relay(node: &mut Stream, client: &mut Stream) -> Result<(), ConnectError> {
    for _ in 0..REQUESTS_MAX {
        let body = receive_request(node).await?;
        let mut out = Vec::new();
        let offered = match authentication::request(&body)? {
            Request::Ok => return Ok(()),
            Request::Cleartext if !client.is_private() || !is_safe_for_cleartext(node) => {
                return Err(ConnectError::Cleartext);
            }
            Request::Cleartext => {
                authentication::cleartext(&mut out);
                None
            }
            Request::Md5 { salt } => {
                authentication::md5(&mut out, salt);
                None
            }
            Request::Sasl(mechanisms) if mechanisms.offer(scram::SCRAM_SHA_256) => {
                authentication::sasl(&mut out, &[scram::SCRAM_SHA_256]);
                Some(mechanisms)
            }
            Request::Sasl(_) => {
                return Err(ConnectError::Protocol(
                    "SASL mechanisms of which none can be relayed",
                ));
            }
            Request::SaslContinue(data) => {
                authentication::sasl_continue(&mut out, data);
                None
            }
            Request::SaslFinal(data) => {
                authentication::sasl_final(&mut out, data);
                to_client(client, &out).await?;
                continue; // wants no answer
            }
            Request::Unsupported(method) => return Err(ConnectError::Method(method)),
        };
        to_client(client, &out).await?;
        let answer = from_client(client, offered).await?;
        send(node, &answer).await?;
    }
    Err(ConnectError::Protocol("too many authentication requests"))
}

async fn to_client(client: &mut Stream, message: &[u8]) -> Result<(), ConnectError> {
    let sent = async {
        client.write_all(message).await?;
        client.flush().await
    };
    sent.await.map_err(|_| ConnectError::ClientGone)
}

/// The client's answer, as a whole message. `offered` is what the node offered, when it was an offer.
async fn from_client(
    client: &mut Stream,
    offered: Option<Mechanisms<'_>>,
) -> Result<Zeroizing<Vec<u8>>, ConnectError> {
    let message = match read_message(client, ANSWER_BYTES_MAX).await {
        Ok(message) if message.tag == authentication::ANSWER_TAG => message,
        Ok(message) if message.tag == b'X' => return Err(ConnectError::ClientGone),
        Ok(_) | Err(ReadError::Frame(_)) => return Err(ConnectError::ClientProtocol),
        Err(ReadError::Closed | ReadError::Io(_)) => return Err(ConnectError::ClientGone),
    };
    if let Some(offered) = offered {
        let (mechanism, first) = authentication::sasl_initial_answer(&message.body)
            .map_err(|_| ConnectError::ClientProtocol)?;
        if mechanism != scram::SCRAM_SHA_256.as_bytes() {
            return Err(ConnectError::ClientProtocol);
        }
        if first.starts_with(b"y") && offered.offer(scram::SCRAM_SHA_256_PLUS) {
            return Err(ConnectError::Binding);
        }
    }
    let mut whole = Zeroizing::new(Vec::with_capacity(message.body.len() + 5));
    authentication::sasl_response(&mut whole, &message.body); // tag, length and these bytes, whatever they are
    Ok(whole)
}
