//! Listening sockets: bound before a policy is in force, closed after it no longer is. Each accepted connection becomes one
//! task that owns it. The addresses of figures are opened and closed the same way, and outlast the others while the process drains.

use super::figures::Figures;
use super::http;
use crate::hook::ClientAddress;
use crate::net::Stream;
use crate::net::address::tune;
use crate::policy::Bind;
use crate::policy::Policy;
use crate::session;
use crate::session::Accepted;
use crate::session::Console;
use crate::session::Shared;
use crate::sqlstate::SqlState;
use crate::wire::error_response::ErrorFields;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Connections the system holds ready for us to accept.
const BACKLOG: i32 = 1024;

/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Requests for figures that are answered at a time.
const SCRAPES_MAX: usize = 16;

/// A socket that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub(super) struct BindError {
    address: String,
    source: io::Error,
}

pub(super) enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// All listening sockets of the process.
pub(super) struct Listeners {
    shared: Arc<Shared>,
    console: Arc<dyn Console>,
    open: HashMap<Bind, JoinHandle<()>>,
    figures: Arc<Figures>,
    scraped: HashMap<Bind, JoinHandle<()>>,
}

impl Listeners {
    pub(super) fn new(
        shared: Arc<Shared>,
        console: Arc<dyn Console>,
        figures: Arc<Figures>,
    ) -> Self {
        Self {
            shared,
            console,
            open: HashMap::new(),
            figures,
            scraped: HashMap::new(),
        }
    }

    /// Opens the sockets that `policy` names and that are not open yet. Nothing is accepted from them before `adopt`.
    pub(super) fn bind_new(&self, policy: &Policy) -> Result<Vec<(Bind, Bound)>, BindError> {
        let wanted = policy.listeners.iter().flat_map(|listener| &listener.bind);
        let new = wanted.filter(|bind| !self.open.contains_key(bind));
        let scraped = policy.admin.metrics.iter();
        let scraped = scraped.filter(|bind| !self.scraped.contains_key(bind));
        new.chain(scraped)
            .map(|bind| {
                let bound = open(bind).map_err(|source| BindError {
                    address: address_of(bind),
                    source,
                })?;
                Ok((bind.clone(), bound))
            })
            .collect()
    }

    /// Accepts from the new sockets, and closes those that `policy` does not name any more.
    pub(super) fn adopt(&mut self, new: Vec<(Bind, Bound)>, policy: &Policy) {
        for (bind, bound) in new {
            tracing::info!(address = address_of(&bind), "listening");
            if policy.admin.metrics.contains(&bind) {
                let task = tokio::spawn(serve_figures(bound, Arc::clone(&self.figures)));
                self.scraped.insert(bind, task);
                continue;
            }
            let acceptor = Acceptor {
                shared: Arc::clone(&self.shared),
                console: Arc::clone(&self.console),
                bind: bind.clone(),
            };
            self.open.insert(bind, tokio::spawn(acceptor.run(bound)));
        }
        self.open.retain(|bind, task| {
            let wanted = policy
                .listeners
                .iter()
                .any(|listener| listener.bind.contains(bind));
            if !wanted {
                close(bind, task);
            }
            wanted
        });
        self.scraped.retain(|bind, task| {
            let wanted = policy.admin.metrics.contains(bind);
            if !wanted {
                close(bind, task);
            }
            wanted
        });
    }

    /// Closes those of clients.
    pub(super) fn close(&mut self) {
        for (bind, task) in self.open.drain() {
            close(&bind, &task);
        }
    }

    /// Closes those of figures, which are read to the end.
    pub(super) fn close_figures(&mut self) {
        for (bind, task) in self.scraped.drain() {
            close(&bind, &task);
        }
    }
}

fn address_of(bind: &Bind) -> String {
    match bind {
        Bind::Tcp(address) => address.to_string(),
        Bind::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn close(bind: &Bind, task: &JoinHandle<()>) {
    task.abort();
    if let Bind::Unix(path) = bind
        && let Err(error) = std::fs::remove_file(path)
    {
        tracing::warn!(%error, "socket file stays behind");
    }
    tracing::info!(address = address_of(bind), "closed");
}

fn open(bind: &Bind) -> io::Result<Bound> {
    match bind {
        Bind::Tcp(address) => open_tcp(*address).map(Bound::Tcp),
        Bind::Unix(path) => {
            remove_stale(path)?;
            UnixListener::bind(path).map(Bound::Unix)
        }
    }
}

fn open_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A socket file that nobody listens on was left by a process that is gone.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => {
            match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another process listens there",
                )),
                Err(_) => std::fs::remove_file(path),
            }
        }
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "exists and is not a socket",
        )),
        Err(_) => Ok(()),
    }
}

/// Answers requests for figures, a few at a time.
async fn serve_figures(bound: Bound, figures: Arc<Figures>) {
    let places = Arc::new(Semaphore::new(SCRAPES_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let stream = match &bound {
            Bound::Tcp(listener) => listener.accept().await.map(|(tcp, _)| Stream::Tcp(tcp)),
            Bound::Unix(listener) => listener.accept().await.map(|(unix, _)| Stream::Unix(unix)),
        };
        match stream {
            Ok(stream) => {
                let figures = Arc::clone(&figures);
                tokio::spawn(async move {
                    let answered = http::exchange(stream, |path| figures.answer(path)).await;
                    if let Err(error) = answered {
                        tracing::debug!(%error, "request for figures");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Accepts from one socket.
struct Acceptor {
    shared: Arc<Shared>,
    console: Arc<dyn Console>,
    bind: Bind,
}

impl Acceptor {
    async fn run(self, bound: Bound) {
        loop {
            let accepted = match &bound {
                Bound::Tcp(listener) => listener.accept().await.map(|(tcp, peer)| {
                    if let Err(error) = tune(&tcp) {
                        tracing::debug!(%error, "socket options");
                    }
                    (Stream::Tcp(tcp), ClientAddress::Ip(peer.ip(), peer.port()))
                }),
                Bound::Unix(listener) => listener
                    .accept()
                    .await
                    .map(|(unix, _)| (Stream::Unix(unix), ClientAddress::Unix)),
            };
            match accepted {
                Ok((stream, peer)) => self.serve(stream, peer),
                Err(error) => {
                    tracing::warn!(%error, address = address_of(&self.bind), "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, mut stream: Stream, peer: ClientAddress) {
        let world = self.shared.live.load();
        let Some(listener) = world
            .policy
            .listeners
            .iter()
            .find(|known| known.bind.contains(&self.bind))
        else {
            return;
        };
        let Some(open) = self
            .shared
            .clients
            .open(&listener.name, listener.max_connections)
        else {
            tracing::warn!(listener = %listener.name, max = listener.max_connections, "too many clients");
            tokio::spawn(async move {
                let mut out = Vec::new();
                let message = "sorry, too many clients already";
                ErrorFields::fatal(SqlState::TOO_MANY_CONNECTIONS, message).encode(&mut out);
                if let Err(error) = stream.write_all(&out).await {
                    tracing::debug!(%error, "the client had gone before it was told");
                }
            });
            return;
        };
        let accepted = Accepted {
            stream,
            peer,
            listener: Arc::clone(&listener.name),
            at: Instant::now(),
            open,
        };
        let (shared, console) = (Arc::clone(&self.shared), Arc::clone(&self.console));
        tokio::spawn(session::serve(shared, accepted, console));
    }
}
