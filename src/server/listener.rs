//! Listening sockets: bound before a policy is in force, closed after it no longer is. Each accepted connection becomes one
//! task that owns it. The addresses of figures and the admin socket are opened and closed the same
//! way, and outlast the others while the process drains.

use super::control::Desk;
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
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;
use std::collections::HashMap;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::fs::PermissionsExt as _;
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

/// Requests of operators that are answered at a time.
const CONTROLS_MAX: usize = 8;

/// Of the admin socket: its owner alone.
const PRIVATE_MODE: u32 = 0o600;

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

/// Who is expected at a socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Purpose {
    Clients,
    Figures,
    Control,
}

/// A socket and what it is for.
pub(super) type Door = (Purpose, Bind);

/// All listening sockets of the process.
pub(super) struct Listeners {
    shared: Arc<Shared>,
    console: Arc<dyn Console>,
    figures: Arc<Figures>,
    desk: Arc<Desk>,
    open: HashMap<Door, JoinHandle<()>>,
}

/// Those that `policy` names.
fn wanted(policy: &Policy) -> Vec<Door> {
    let clients = policy.listeners.iter().flat_map(|listener| &listener.bind);
    let clients = clients.map(|bind| (Purpose::Clients, bind.clone()));
    let figures = policy.admin.metrics.iter();
    let figures = figures.map(|bind| (Purpose::Figures, bind.clone()));
    let control = policy.admin.socket.iter();
    let control = control.map(|path| (Purpose::Control, Bind::Unix(path.clone())));
    clients.chain(figures).chain(control).collect()
}

impl Listeners {
    pub(super) fn new(
        shared: Arc<Shared>,
        console: Arc<dyn Console>,
        figures: Arc<Figures>,
        desk: Arc<Desk>,
    ) -> Self {
        Self {
            shared,
            console,
            figures,
            desk,
            open: HashMap::new(),
        }
    }

    /// Opens the sockets that `policy` names and that are not open yet. Nothing is accepted from them before `adopt`.
    pub(super) fn bind_new(&self, policy: &Policy) -> Result<Vec<(Door, Bound)>, BindError> {
        let new = wanted(policy).into_iter();
        new.filter(|door| !self.open.contains_key(door))
            .map(|door| match open(&door) {
                Ok(bound) => Ok((door, bound)),
                Err(source) => Err(BindError {
                    address: address_of(&door.1),
                    source,
                }),
            })
            .collect()
    }

    /// Accepts from the new sockets, and closes those that `policy` does not name any more.
    pub(super) fn adopt(&mut self, new: Vec<(Door, Bound)>, policy: &Policy) {
        for (door, bound) in new {
            tracing::info!(address = address_of(&door.1), "listening");
            let task = match door.0 {
                Purpose::Clients => {
                    let acceptor = Acceptor {
                        shared: Arc::clone(&self.shared),
                        console: Arc::clone(&self.console),
                        bind: door.1.clone(),
                    };
                    tokio::spawn(acceptor.run(bound))
                }
                Purpose::Figures => tokio::spawn(serve_figures(bound, Arc::clone(&self.figures))),
                Purpose::Control => tokio::spawn(serve_control(bound, Arc::clone(&self.desk))),
            };
            self.open.insert(door, task);
        }
        let wanted = wanted(policy);
        self.close_where(|door| !wanted.contains(door));
    }

    /// Closes those of clients.
    pub(super) fn close(&mut self) {
        self.close_where(|(purpose, _)| *purpose == Purpose::Clients);
    }

    /// Closes all others, which are of use to the end.
    pub(super) fn close_rest(&mut self) {
        self.close_where(|_| true);
    }

    fn close_where(&mut self, unwanted: impl Fn(&Door) -> bool) {
        for (door, task) in self.open.extract_if(|door, _| unwanted(door)) {
            close(&door.1, &task);
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

fn open((purpose, bind): &Door) -> io::Result<Bound> {
    match bind {
        Bind::Tcp(address) => open_tcp(*address).map(Bound::Tcp),
        Bind::Unix(path) => {
            remove_stale(path)?;
            match purpose {
                Purpose::Control => open_private(path).map(Bound::Unix),
                Purpose::Clients | Purpose::Figures => UnixListener::bind(path).map(Bound::Unix),
            }
        }
    }
}

/// For the process's own user. It listens only once the file's mode says so.
fn open_private(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, Permissions::from_mode(PRIVATE_MODE))?;
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    UnixListener::from_std(OwnedFd::from(socket).into())
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
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)
                }
                Err(error) => Err(error),
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

/// Answers operators, a few at a time.
async fn serve_control(bound: Bound, desk: Arc<Desk>) {
    let Bound::Unix(listener) = bound else {
        return;
    };
    let places = Arc::new(Semaphore::new(CONTROLS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    if let Err(error) = desk.serve(stream).await {
                        tracing::debug!(%error, "admin socket");
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
