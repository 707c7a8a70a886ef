//! The least of HTTP/1.1 that a scraper needs (RFC 9112): one GET or HEAD a connection, answered and closed. Owns no content.

use std::io;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

/// Request line and headers.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// A whole exchange takes no longer than this.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);

/// What is answered.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: Status,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

/// The statuses there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

impl Response {
    /// A line of text.
    pub(super) fn text(status: Status, line: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: format!("{line}\n"),
        }
    }
}

/// What is asked for.
#[derive(PartialEq, Eq, Debug)]
struct Request<'a> {
    path: &'a str,
    wants_body: bool,
}

/// Reads one request, answers it with what `answer` gives for its path, and closes. Not cancel safe.
///
/// # Errors
/// When the peer goes away, or takes too long.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(&str) -> Response,
) -> io::Result<()> {
    exchange_within(EXCHANGE_MAX, stream, answer).await
}

async fn exchange_within(
    limit: Duration,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl Fn(&str) -> Response,
) -> io::Result<()> {
    let whole = async {
        let mut head = Vec::with_capacity(1024);
        let complete = read_head(&mut stream, &mut head).await?;
        let (response, wants_body) = if complete {
            match parse(&head) {
                Ok(request) => (answer(request.path), request.wants_body),
                Err(status) => (Response::text(status, status.line()), true),
            }
        } else {
            let status = Status::HeadTooLarge;
            (Response::text(status, status.line()), true)
        };
        stream.write_all(&encode(&response, wants_body)).await?;
        stream.shutdown().await
    };
    timeout(limit, whole).await?
}

/// Reads up to the empty line; false where that lies too far off.
async fn read_head(stream: &mut (impl AsyncRead + Unpin), head: &mut Vec<u8>) -> io::Result<bool> {
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if HEAD_BYTES_MAX <= head.len() {
            return Ok(false);
        }
        if stream.read_buf(head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(true)
}

fn parse(head: &[u8]) -> Result<Request<'_>, Status> {
    let head = std::str::from_utf8(head).map_err(|_| Status::BadRequest)?;
    let (head, _) = head.split_once("\r\n\r\n").ok_or(Status::BadRequest)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Status::BadRequest);
    };
    let mut hosts = 0;
    for line in lines {
        // A line that goes on with the one before (obs-fold), or a name with a space, is how requests are smuggled.
        let (name, _) = line.split_once(':').ok_or(Status::BadRequest)?;
        if name.is_empty() || name.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(Status::BadRequest);
        }
        hosts += usize::from(name.eq_ignore_ascii_case("host"));
    }
    let is_known = match version {
        "HTTP/1.1" => hosts == 1,
        "HTTP/1.0" => hosts <= 1,
        _ => false,
    };
    if !is_known || !target.starts_with('/') {
        return Err(Status::BadRequest);
    }
    let wants_body = match method {
        "GET" => true,
        "HEAD" => false,
        _ => return Err(Status::MethodNotAllowed),
    };
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    Ok(Request { path, wants_body })
}

fn encode(response: &Response, wants_body: bool) -> Vec<u8> {
    let allow = match response.status {
        Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
        _ => "",
    };
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{allow}Connection: close\r\n\r\n",
        response.status.line(),
        response.content_type,
        response.body.len(),
    );
    let mut out = head.into_bytes();
    if wants_body {
        out.extend_from_slice(response.body.as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to these bytes; the handler says the path it got.
    async fn ask(request: &[u8]) -> String {
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        near.write_all(request).await.unwrap();
        let answer = |path: &str| Response::text(Status::Ok, path);
        exchange(far, answer).await.unwrap();
        let mut out = String::new();
        near.read_to_string(&mut out).await.unwrap();
        out
    }

    #[tokio::test]
    async fn a_get_is_answered_and_closed() {
        let answer = ask(b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("Content-Length: 9\r\n"), "{answer}");
        assert!(
            answer.ends_with("Connection: close\r\n\r\n/metrics\n"),
            "{answer}"
        );
        let answer = ask(b"GET / HTTP/1.0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_head_gets_the_head() {
        let answer = ask(b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.contains("Content-Length: 9\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let cases: [(&[u8], &str); 10] = [
            (b"POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
            (b"GET /metrics HTTP/1.1\r\n\r\n", "400"),
            (
                b"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                "400",
            ),
            (b"GET /metrics HTTP/2.0\r\nHost: a\r\n\r\n", "400"),
            (b"GET  /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
            (b"GET metrics HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
            (b"\x00\x00\x00\x08\x04\xd2\x16\x2f\r\n\r\n", "400"),
            (b"\xff\r\n\r\n", "400"),
        ];
        for (request, expected) in cases {
            let answer = ask(request).await;
            let status = answer.split(' ').nth(1).unwrap();
            assert_eq!(status, expected, "{}", request.escape_ascii());
        }
        let long = [b"GET / HTTP/1.1\r\nHost: ".as_slice(), &[b'a'; 9000]].concat();
        assert!(ask(&long).await.starts_with("HTTP/1.1 431 "));
    }

    #[tokio::test]
    async fn a_peer_that_says_nothing_is_left() {
        let (_near, far) = tokio::io::duplex(64);
        let answer = |_: &str| Response::text(Status::Ok, "");
        let limit = Duration::from_millis(10);
        let error = exchange_within(limit, far, answer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
