//! Where a node listens, and how to reach it: names resolved, every address tried, sockets tuned. Owns no TLS and no protocol.

use super::stream::Stream;
use socket2::SockRef;
use socket2::TcpKeepalive;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::time::Instant;

/// Silence after which the system asks whether the other side still lives, and the pause between two such questions.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Where a node listens.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// A host name or IP address, and a port.
    Tcp {
        /// The host.
        host: Arc<str>,
        /// The port.
        port: u16,
    },
    /// The folder of a Unix socket, and the port that names the socket in it.
    Unix {
        /// The folder.
        folder: PathBuf,
        /// The port.
        port: u16,
    },
}

/// Why an address could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The name does not resolve.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: Arc<str>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The name resolves to nothing.
    #[error("{host} has no address")]
    NoAddress {
        /// The name.
        host: Arc<str>,
    },
    /// The last address tried said no.
    #[error("cannot connect to {address}")]
    Connect {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing answered in time.
    #[error("{address} does not answer")]
    Silent {
        /// The address.
        address: String,
    },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { .. } => write!(f, "unix:{}", self.socket_path().display()),
        }
    }
}

impl Address {
    /// The file of a Unix socket; empty for TCP.
    fn socket_path(&self) -> PathBuf {
        match self {
            Self::Tcp { .. } => PathBuf::new(),
            Self::Unix { folder, port } => folder.join(format!(".s.PGSQL.{port}")),
        }
    }

    /// Connects, trying every address of the name in turn; each gets its share of the time that is left.
    ///
    /// Cancel safe: a dropped future leaves nothing behind.
    ///
    /// # Errors
    /// When no address answers before `deadline`; the last address's error.
    pub async fn reach(&self, deadline: Instant) -> Result<Stream, ReachError> {
        match self {
            Self::Tcp { host, port } => reach_tcp(host, *port, deadline).await.map(Stream::Tcp),
            Self::Unix { .. } => {
                let path = self.socket_path();
                match tokio::time::timeout_at(deadline, UnixStream::connect(&path)).await {
                    Ok(Ok(unix)) => Ok(Stream::Unix(unix)),
                    Ok(Err(source)) => Err(ReachError::Connect {
                        address: self.to_string(),
                        source,
                    }),
                    Err(_) => Err(ReachError::Silent {
                        address: self.to_string(),
                    }),
                }
            }
        }
    }
}

async fn reach_tcp(host: &Arc<str>, port: u16, deadline: Instant) -> Result<TcpStream, ReachError> {
    let resolving = tokio::net::lookup_host((&**host, port));
    let addresses: Vec<SocketAddr> = match tokio::time::timeout_at(deadline, resolving).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(source)) => {
            return Err(ReachError::Resolve {
                host: Arc::clone(host),
                source,
            });
        }
        Err(_) => {
            return Err(ReachError::Silent {
                address: host.to_string(),
            });
        }
    };
    let mut failed = ReachError::NoAddress {
        host: Arc::clone(host),
    };
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let address_text = || format!("{host} ({address})");
        failed = match tokio::time::timeout(left / others, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => match tune(&tcp) {
                Ok(()) => return Ok(tcp),
                Err(source) => ReachError::Connect {
                    address: address_text(),
                    source,
                },
            },
            Ok(Err(source)) => ReachError::Connect {
                address: address_text(),
                source,
            },
            Err(_) => ReachError::Silent {
                address: address_text(),
            },
        };
    }
    Err(failed)
}

/// What every TCP socket here wants, accepted or connected: no delay for small messages, and word of a dead peer.
///
/// # Errors
/// When the system refuses, which it does only for a socket that is gone.
pub fn tune(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn addresses_are_shown_as_one_would_write_them() {
        let tcp = |host: &str| {
            Address::Tcp {
                host: host.into(),
                port: 5432,
            }
            .to_string()
        };
        assert_eq!(tcp("db.example"), "db.example:5432");
        assert_eq!(tcp("::1"), "[::1]:5432");
        let unix = Address::Unix {
            folder: "/run/postgresql".into(),
            port: 5433,
        };
        assert_eq!(unix.to_string(), "unix:/run/postgresql/.s.PGSQL.5433");
    }

    #[tokio::test]
    async fn a_listener_is_reached_by_name_and_a_missing_one_is_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Address::Tcp {
            host: "localhost".into(),
            port,
        };
        assert!(matches!(address.reach(soon()).await, Ok(Stream::Tcp(_))));
        drop(listener);
        assert!(matches!(
            address.reach(soon()).await,
            Err(ReachError::Connect { .. })
        ));
        let unix = Address::Unix {
            folder: "/nonexistent".into(),
            port: 1,
        };
        assert!(matches!(
            unix.reach(soon()).await,
            Err(ReachError::Connect { .. })
        ));
    }
}
