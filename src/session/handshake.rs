//! From an accepted socket to a StartupMessage, a cancel request, or nothing: TLS, version negotiation, and everything a
//! client may ask before it says who it is. Owns no login and writes no errors; a failure hands the stream back for that.

mod error;
#[cfg(test)]
mod tests;

pub(super) use error::HandshakeError;

use crate::net::ListenerTls;
use crate::net::ServerTls;
use crate::net::Stream;
use crate::net::message::is_gone;
use crate::net::stream::Alpn;
use crate::net::stream::TlsFacts;
use crate::wire::startup;
use crate::wire::startup::Announce;
use crate::wire::startup::CancelKey;
use crate::wire::startup::FirstPacket;
use crate::wire::startup::Parameters;
use crate::wire::startup::Replication;
use crate::wire::startup::StartupMessage;
use std::io;
use std::task::Poll;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The content type of a TLS handshake record; no packet of PostgreSQL's starts with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a client came for.
#[derive(Debug)]
pub(super) enum Greeting {
    /// A session.
    Startup(Box<Startup>),
    /// To cancel what another session does.
    Cancel(CancelKey),
    /// Nothing: a probe of the port, gone before it said anything.
    Closed,
}

/// A client that wants a session, not logged in yet. No byte after its StartupMessage has been read.
#[derive(Debug)]
pub(super) struct Startup {
    /// The connection.
    pub stream: Stream,
    /// Who wants what, with which settings.
    pub parameters: Parameters,
    /// The minor version of protocol 3 that is spoken.
    pub minor: u16,
    /// The TLS, if there is any.
    pub tls: Option<TlsFacts>,
}

/// A handshake that came to nothing.
#[derive(Debug)]
pub(super) struct Failure {
    /// Why.
    pub error: HandshakeError,
    /// The connection, when the client can still be told.
    pub stream: Option<Stream>,
}

impl Failure {
    fn silent(error: HandshakeError) -> Self {
        Self {
            error,
            stream: None,
        }
    }

    fn telling(stream: Stream, error: impl Into<HandshakeError>) -> Self {
        Self {
            error: error.into(),
            stream: Some(stream),
        }
    }
}

/// Talks to a client until it has said what it came for. All of it, TLS included, must be done by `deadline`, which counts
/// from the accept.
///
/// A cancel request is taken without TLS even where TLS is required: older clients send it so, and its key is all it proves.
/// Not cancel safe.
///
/// # Errors
/// With the stream, when the client can be told why.
pub(super) async fn handshake(
    stream: Stream,
    tls: &ListenerTls,
    deadline: Instant,
) -> Result<Greeting, Failure> {
    match tokio::time::timeout_at(deadline, greet(stream, tls)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::silent(HandshakeError::DeadlinePassed)),
    }
}

async fn greet(stream: Stream, tls: &ListenerTls) -> Result<Greeting, Failure> {
    let Some(mut stream) = accept_direct_tls(stream, tls).await? else {
        return Ok(Greeting::Closed);
    };
    // Each may be asked once, and neither inside TLS.
    let mut may_ask_ssl = stream.tls_facts().is_none();
    let mut may_ask_gss = may_ask_ssl;
    loop {
        let packet = match read_packet(&mut stream).await {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(Greeting::Closed),
            Err(error) => return Err(Failure::telling(stream, error)),
        };
        match startup::parse(&packet) {
            Ok(FirstPacket::SslRequest) if may_ask_ssl => {
                may_ask_ssl = false;
                stream = answer_ssl_request(stream, tls).await?;
                may_ask_gss &= stream.tls_facts().is_none();
            }
            Ok(FirstPacket::GssEncRequest) if may_ask_gss => {
                may_ask_gss = false;
                stream = answer(stream, b"N").await?;
            }
            Ok(FirstPacket::SslRequest | FirstPacket::GssEncRequest) => {
                return Err(Failure::telling(stream, HandshakeError::AskedAgain));
            }
            Ok(FirstPacket::Cancel(key)) => return Ok(Greeting::Cancel(key)),
            Ok(FirstPacket::Startup(message)) => return start(stream, tls, message).await,
            Err(error) => return Err(Failure::telling(stream, error)),
        }
    }
}

/// TLS from the first byte (`sslnegotiation=direct`), if that is what the client does. `None` when it has gone.
async fn accept_direct_tls(stream: Stream, tls: &ListenerTls) -> Result<Option<Stream>, Failure> {
    let Stream::Tcp(tcp) = stream else {
        return Ok(Some(stream));
    };
    let mut first = [0];
    match tcp.peek(&mut first).await {
        Ok(0) => return Ok(None),
        Ok(_) if first == [TLS_HANDSHAKE] => (),
        Ok(_) => return Ok(Some(Stream::Tcp(tcp))),
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(Failure::silent(HandshakeError::Io(error))),
    }
    let (ListenerTls::Allow(server) | ListenerTls::Require(server)) = tls else {
        return Err(Failure::silent(HandshakeError::NoTlsHere)); // a client that speaks TLS would not understand us
    };
    let stream = accept_tls(tcp, server).await?;
    match stream.tls_facts().map(|facts| facts.alpn) {
        Some(Alpn::Postgresql) => Ok(Some(stream)),
        // Without it another protocol's client could be led here (the attack is called ALPACA).
        Some(Alpn::Absent) | None => Err(Failure::telling(stream, HandshakeError::NoAlpn)),
    }
}

async fn answer_ssl_request(stream: Stream, tls: &ListenerTls) -> Result<Stream, Failure> {
    let (Stream::Tcp(_), ListenerTls::Allow(server) | ListenerTls::Require(server)) =
        (&stream, tls)
    else {
        return answer(stream, b"N").await; // Unix sockets have no TLS, as PostgreSQL's
    };
    match answer(stream, b"S").await? {
        Stream::Tcp(tcp) => accept_tls(tcp, server).await,
        other => Ok(other),
    }
}

/// Sends the one byte that answers an encryption request. A client waits for it; bytes that are already there were sent by
/// somebody who wants them taken for what comes out of the encryption (CVE-2021-23214, CVE-2021-3935).
async fn answer(mut stream: Stream, byte: &[u8; 1]) -> Result<Stream, Failure> {
    if let Some(tcp) = stream.tcp()
        && has_more(tcp).await
    {
        return Err(Failure::telling(stream, HandshakeError::TooEarly));
    }
    match stream.write_all(byte).await {
        Ok(()) => Ok(stream),
        Err(error) => Err(Failure::silent(HandshakeError::Io(error))),
    }
}

/// Whether bytes wait in the socket at this moment.
async fn has_more(tcp: &TcpStream) -> bool {
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    std::future::poll_fn(|context| {
        let peeked = tcp.poll_peek(context, &mut buffer);
        Poll::Ready(matches!(peeked, Poll::Ready(Ok(1..))))
    })
    .await
}

async fn accept_tls(tcp: TcpStream, server: &ServerTls) -> Result<Stream, Failure> {
    match server.accept(tcp).await {
        Ok(stream) => Ok(stream),
        Err(error) => Err(Failure::silent(HandshakeError::Tls(error))),
    }
}

/// One first packet without its length, and not a byte more; `None` when the client left before the first byte.
async fn read_packet(stream: &mut Stream) -> Result<Option<Vec<u8>>, HandshakeError> {
    let mut length = [0; startup::LENGTH_BYTES];
    match stream.read(&mut length).await {
        Ok(0) => return Ok(None),
        Ok(have) => {
            stream
                .read_exact(&mut length[have..])
                .await
                .map_err(HandshakeError::broken)?;
        }
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(HandshakeError::Io(error)),
    }
    let rest = startup::length(length)? - startup::LENGTH_BYTES;
    let mut packet = vec![0; rest];
    stream
        .read_exact(&mut packet)
        .await
        .map_err(HandshakeError::broken)?;
    Ok(Some(packet))
}

async fn start(
    mut stream: Stream,
    tls: &ListenerTls,
    message: StartupMessage,
) -> Result<Greeting, Failure> {
    if matches!(tls, ListenerTls::Require(_)) && !stream.is_private() {
        return Err(Failure::telling(stream, HandshakeError::TlsRequired));
    }
    let negotiated = message.negotiate();
    if negotiated.announce == Announce::Version {
        let mut out = Vec::new();
        startup::negotiate_protocol_version(&mut out, negotiated.minor, &message.extensions);
        if let Err(error) = send(&mut stream, &out).await {
            return Err(Failure::silent(HandshakeError::Io(error)));
        }
    }
    if message.parameters.replication != Replication::Off {
        return Err(Failure::telling(stream, HandshakeError::Replication));
    }
    let tls = stream.tls_facts();
    let parameters = message.parameters;
    let startup = Startup {
        stream,
        parameters,
        minor: negotiated.minor,
        tls,
    };
    Ok(Greeting::Startup(Box::new(startup)))
}

async fn send(stream: &mut Stream, message: &[u8]) -> io::Result<()> {
    stream.write_all(message).await?;
    stream.flush().await
}
