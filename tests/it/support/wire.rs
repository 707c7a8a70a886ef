//! A PostgreSQL client that sends and reads single messages, for tests of exact sequences. Blocking, with a deadline
//! on every read. Owns no expectations; it decodes only what tests look at.

use super::DEADLINE;
use super::frames::VERSION_3_0;
use super::frames::extended;
use super::frames::query;
use super::frames::ssl_request;
use super::frames::startup;
use super::message::Message;
use super::message::Problem;
use super::message::Row;
use super::message::only_problem;
use super::message::shape;
use super::tls;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A stream of either kind, encrypted or not.
pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One client connection.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    /// The socket under the stream, where it is TCP and not encrypted.
    socket: Option<TcpStream>,
    /// The process id and secret of BackendKeyData.
    pub(crate) key: Vec<u8>,
    /// ParameterStatus as last reported.
    pub(crate) parameters: Vec<(String, String)>,
}

impl Wire {
    /// Connects, and says nothing.
    pub(crate) fn connect(port: u16) -> Self {
        Self::over_tcp(tcp(port).expect("the port accepts"))
    }

    /// Connects to a Unix socket, and says nothing.
    pub(crate) fn connect_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the socket accepts");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a timeout above zero");
        Self::over(Box::new(stream))
    }

    /// Asks for TLS by SSLRequest, as libpq does.
    pub(crate) fn connect_tls(port: u16) -> Self {
        let mut stream = tcp(port).expect("the port accepts");
        stream.write_all(&ssl_request()).expect("written");
        let mut answer = [0];
        stream.read_exact(&mut answer).expect("one byte");
        assert_eq!(answer, *b"S", "TLS is offered");
        Self::over(Box::new(tls::client(stream)))
    }

    /// Begins TLS with the first byte, as libpq 17's `sslnegotiation=direct`.
    pub(crate) fn connect_direct_tls(port: u16) -> Self {
        Self::over(Box::new(tls::client(tcp(port).expect("the port accepts"))))
    }

    fn over(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            socket: None,
            key: Vec::new(),
            parameters: Vec::new(),
        }
    }

    fn over_tcp(stream: TcpStream) -> Self {
        let socket = stream.try_clone().ok();
        Self {
            socket,
            ..Self::over(Box::new(stream))
        }
    }

    /// A second handle to write with, while another thread reads.
    pub(crate) fn writer(&self) -> TcpStream {
        let socket = self.socket.as_ref().expect("plain TCP");
        socket.try_clone().expect("a second handle")
    }

    /// Connects and logs in as a trusted user.
    #[track_caller]
    pub(crate) fn login(port: u16, user: &str, database: &str) -> Self {
        let mut wire = Self::connect(port);
        wire.log_in(user, database);
        wire
    }

    /// Sends the startup message and reads up to the first ReadyForQuery; panics with the error if there is one.
    #[track_caller]
    pub(crate) fn log_in(&mut self, user: &str, database: &str) {
        self.send(&startup(
            VERSION_3_0,
            &[("user", user), ("database", database)],
        ));
        let messages = self.until_ready();
        let end = messages.last().expect("at least one message");
        assert_eq!(
            shape(std::slice::from_ref(end)),
            "ZI",
            "login of {user}: {end:?}"
        );
    }

    /// Connects and logs in, or `None` when that does not work now.
    pub(crate) fn try_login(port: u16, user: &str, database: &str) -> Option<Self> {
        let mut wire = Self::over_tcp(tcp(port).ok()?);
        wire.stream
            .write_all(&startup(
                VERSION_3_0,
                &[("user", user), ("database", database)],
            ))
            .ok()?;
        loop {
            let message = wire.read().ok()?;
            match message.tag {
                'Z' => return Some(wire),
                'E' => return None,
                _ => (),
            }
        }
    }

    /// Whether nothing has come that was not read yet. Over plain TCP only.
    #[track_caller]
    pub(crate) fn is_silent(&self) -> bool {
        let socket = self.socket.as_ref().expect("plain TCP");
        socket.set_nonblocking(true).expect("a socket");
        let found = socket.peek(&mut [0]);
        socket.set_nonblocking(false).expect("a socket");
        found.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .expect("the connection is open");
        self.stream.flush().expect("the connection is open");
    }

    /// Reads one byte that is no message: the answer to SSLRequest and GSSENCRequest.
    #[track_caller]
    pub(crate) fn byte(&mut self) -> char {
        let mut byte = [0];
        self.stream
            .read_exact(&mut byte)
            .expect("one byte before the deadline");
        char::from(byte[0])
    }

    /// Reads one message; an error is the end of the stream or the deadline.
    pub(crate) fn read(&mut self) -> io::Result<Message> {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header)?;
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
        let mut body = vec![
            0;
            usize::try_from(length)
                .expect("a length")
                .checked_sub(4)
                .expect("four at least")
        ];
        self.stream.read_exact(&mut body)?;
        let message = Message {
            tag: char::from(header[0]),
            body,
        };
        self.note(&message);
        Ok(message)
    }

    fn note(&mut self, message: &Message) {
        match message.tag {
            'K' => self.key.clone_from(&message.body),
            'S' => {
                let mut words = message.body.split(|byte| *byte == 0);
                let mut word =
                    || String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned();
                let (name, value) = (word(), word());
                self.parameters.retain(|(other, _)| *other != name);
                self.parameters.push((name, value));
            }
            _ => (),
        }
    }

    /// Reads one message.
    #[track_caller]
    pub(crate) fn message(&mut self) -> Message {
        self.read()
            .unwrap_or_else(|error| panic!("no message: {error}"))
    }

    /// Reads up to and with ReadyForQuery, or up to a FATAL error. ParameterStatus is left out.
    #[track_caller]
    pub(crate) fn until_ready(&mut self) -> Vec<Message> {
        self.until(|message| {
            message.tag == 'Z' || (message.tag == 'E' && message.problem().severity != "ERROR")
        })
    }

    /// Reads up to and with the first message that fits. ParameterStatus is left out.
    #[track_caller]
    pub(crate) fn until(&mut self, fits: impl Fn(&Message) -> bool) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.message();
            let last = fits(&message);
            if message.tag != 'S' {
                messages.push(message);
            }
            if last {
                return messages;
            }
        }
    }

    /// Reads up to ReadyForQuery and keeps nothing: the bytes of all messages, and the shape without copied data.
    #[track_caller]
    pub(crate) fn count_until_ready(&mut self) -> (usize, String) {
        let (mut bytes, mut kept) = (0, Vec::new());
        let mut piece = vec![0; 64 * 1024];
        loop {
            let mut header = [0; 5];
            self.stream
                .read_exact(&mut header)
                .expect("a message before the deadline");
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
            let body = usize::try_from(length).expect("a length") - 4;
            let mut first = 0;
            let mut rest = body;
            while rest > 0 {
                let part = rest.min(piece.len());
                self.stream
                    .read_exact(&mut piece[..part])
                    .expect("a message before the deadline");
                first = if rest == body { piece[0] } else { first };
                rest -= part;
            }
            bytes += body + header.len();
            let tag = char::from(header[0]);
            if !"dHcS".contains(tag) {
                kept.push(Message {
                    tag,
                    body: vec![first],
                });
            }
            if tag == 'Z' {
                return (bytes, shape(&kept));
            }
        }
    }

    /// Reads until the server closes, and gives what it said.
    #[track_caller]
    pub(crate) fn until_closed(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            match self.read() {
                Ok(message) => messages.push(message),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("still open after {messages:?}")
                }
                Err(_) => return messages,
            }
        }
    }

    /// Reads bytes until the server closes.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("still open after {bytes:?}")
            }
            // A reset is a close too.
            _ => bytes,
        }
    }

    /// Sends a Query and reads its answer.
    #[track_caller]
    pub(crate) fn query(&mut self, sql: &str) -> Vec<Message> {
        self.send(&query(sql));
        self.until_ready()
    }

    /// Sends a Query that must work, and gives its answer's shape.
    #[track_caller]
    pub(crate) fn works(&mut self, sql: &str) -> String {
        let messages = self.query(sql);
        assert!(
            messages.iter().all(|message| message.tag != 'E'),
            "{sql}: {messages:?}"
        );
        shape(&messages)
    }

    /// Sends a Query that must fail, and gives the error.
    #[track_caller]
    pub(crate) fn fails(&mut self, sql: &str) -> Problem {
        only_problem(&self.query(sql))
    }

    /// Sends a Query and gives the first value of its first row.
    #[track_caller]
    pub(crate) fn value(&mut self, sql: &str) -> String {
        let messages = self.query(sql);
        let row = messages.iter().find(|message| message.tag == 'D');
        row.unwrap_or_else(|| panic!("{sql}: {messages:?}"))
            .first_value()
    }

    /// Sends a Query and gives its rows by the names of their columns.
    #[track_caller]
    pub(crate) fn table(&mut self, sql: &str) -> Vec<Row> {
        let messages = self.query(sql);
        let head = messages.iter().find(|message| message.tag == 'T');
        let columns = head
            .unwrap_or_else(|| panic!("{sql}: {messages:?}"))
            .columns();
        let rows = messages.iter().filter(|message| message.tag == 'D');
        let named = |row: &Message| {
            columns
                .iter()
                .cloned()
                .zip(row.values())
                .filter_map(|(c, v)| Some((c, v?)))
                .collect()
        };
        rows.map(named).collect()
    }

    /// Prepares, binds and executes in one pipeline, and reads up to ReadyForQuery.
    #[track_caller]
    pub(crate) fn extended(&mut self, sql: &str) -> Vec<Message> {
        self.send(&extended(sql));
        self.until_ready()
    }
}

fn tcp(port: u16) -> io::Result<TcpStream> {
    let stream =
        TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(5))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
