//! One connection, whatever it is made of: TCP, a Unix socket, or TLS over TCP in either role. Reads and writes pass
//! straight through, without buffers or allocations of its own. Owns no message.

use std::fmt;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio_rustls::client;
use tokio_rustls::server;

/// A connection to a client or to a node.
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS with a client of ours.
    TlsServer(Box<Secured<server::TlsStream<TcpStream>>>),
    /// TLS with a node.
    TlsClient(Box<Secured<client::TlsStream<TcpStream>>>),
}

/// A TLS stream, and the hash of the certificate it was secured with: the server's, which a reload may replace meanwhile.
pub struct Secured<S> {
    pub(super) tls: S,
    pub(super) end_point: Option<Arc<[u8]>>,
}

/// What is known of a TLS connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFacts {
    /// `TLSv1.3` or `TLSv1.2`, as PostgreSQL names them in `pg_stat_ssl`.
    pub version: &'static str,
    /// The cipher suite.
    pub cipher: String,
    /// The host name the client asked for.
    pub server_name: Option<String>,
    /// Whether the client agreed to the protocol `postgresql`.
    pub alpn: Alpn,
}

/// Whether both sides agreed to the application protocol `postgresql`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alpn {
    /// They did.
    Postgresql,
    /// The other side did not speak of it.
    Absent,
}

impl Stream {
    /// Whether nobody can listen in: TLS, or a socket of this machine.
    #[must_use]
    pub const fn is_private(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// The hash for SCRAM's channel binding `tls-server-end-point`; `None` without TLS, or for a certificate whose
    /// signature names no hash.
    #[must_use]
    pub const fn end_point(&self) -> Option<&Arc<[u8]>> {
        match self {
            Self::TlsServer(secured) => secured.end_point.as_ref(),
            Self::TlsClient(secured) => secured.end_point.as_ref(),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    /// What is known of the TLS; `None` without.
    #[must_use]
    pub fn tls_facts(&self) -> Option<TlsFacts> {
        match self {
            Self::TlsServer(secured) => {
                let connection = secured.tls.get_ref().1;
                Some(facts(
                    connection,
                    connection.server_name().map(str::to_owned),
                ))
            }
            Self::TlsClient(secured) => Some(facts(secured.tls.get_ref().1, None)),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    /// The TCP socket beneath; `None` for a Unix socket.
    #[must_use]
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::Unix(_) => None,
            Self::TlsServer(secured) => Some(secured.tls.get_ref().0),
            Self::TlsClient(secured) => Some(secured.tls.get_ref().0),
        }
    }
}

fn facts(connection: &rustls::CommonState, server_name: Option<String>) -> TlsFacts {
    TlsFacts {
        version: match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2", // nothing older is built in
        },
        cipher: connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or_default()
            .replace("TLS13_", "TLS_"), // the registered name
        server_name,
        alpn: match connection.alpn_protocol() {
            Some(super::tls::ALPN) => Alpn::Postgresql,
            _ => Alpn::Absent,
        },
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Unix(_) => "Unix",
            Self::TlsServer(_) => "TlsServer",
            Self::TlsClient(_) => "TlsClient",
        })
    }
}

/// Calls the same method of whichever stream it is.
macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            Stream::Unix($inner) => $call,
            Stream::TlsServer(secured) => {
                let $inner = &mut secured.tls;
                $call
            }
            Stream::TlsClient(secured) => {
                let $inner = &mut secured.tls;
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_write(cx, buf))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true // all four are
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), inner => Pin::new(inner).poll_shutdown(cx))
    }
}
