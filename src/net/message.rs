//! Whole messages read exactly, one at a time, for logins on either side: nothing that follows is taken from the socket.
//! Not for statements, whose messages pass in batches and without being understood.

use crate::wire::frame;
use crate::wire::frame::FrameError;
use std::io;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

/// One message. Its body is wiped when it is dropped: it may hold a password.
pub struct Message {
    /// What it is.
    pub tag: u8,
    /// All after the header.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why there was no message.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The other side closed the connection between two messages, or it broke.
    #[error("the connection was closed")]
    Closed,
    /// Bytes that are no message.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The connection was closed inside a message, or reading failed.
    #[error("reading failed")]
    Io(#[source] io::Error),
}

/// Reads one message whose body has `body_bytes_max` bytes at most. Not cancel safe: a part may have been read.
///
/// # Errors
/// When there is none, or it is too long. The length is checked before a byte is reserved for it.
pub async fn read_message<S>(stream: &mut S, body_bytes_max: usize) -> Result<Message, ReadError>
where
    S: AsyncRead + Unpin,
{
    let mut head = [0; frame::HEADER_BYTES];
    let mut have = 0;
    let header = loop {
        have += match stream.read(&mut head[have..]).await {
            Ok(0) if have == 0 => return Err(ReadError::Closed),
            Ok(0) => return Err(ReadError::Io(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => read,
            Err(error) if have == 0 && is_gone(&error) => return Err(ReadError::Closed),
            Err(error) => return Err(ReadError::Io(error)),
        };
        if let Some(header) = frame::header(&head[..have])? {
            break header;
        }
    };
    let (tag, body_bytes) = (header.tag, header.body_bytes);
    if body_bytes_max < body_bytes {
        let length = u32::try_from(body_bytes.saturating_add(4)).unwrap_or(u32::MAX);
        return Err(ReadError::Frame(FrameError::Long {
            tag,
            length,
            max: body_bytes_max,
        }));
    }
    let mut body = Zeroizing::new(vec![0; body_bytes]);
    stream.read_exact(&mut body).await.map_err(ReadError::Io)?;
    Ok(Message { tag, body })
}

/// Whether an error only says that the other side has gone, as a TCP probe does.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::BrokenPipe;
    use io::ErrorKind::ConnectionAborted;
    use io::ErrorKind::ConnectionReset;
    use io::ErrorKind::UnexpectedEof;
    matches!(
        error.kind(),
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_message_is_taken_and_no_more() {
        let mut bytes = &b"p\0\0\0\x07abcQ"[..];
        let message = read_message(&mut bytes, 3).await.unwrap();
        assert_eq!(
            (message.tag, message.body.as_slice(), bytes),
            (b'p', &b"abc"[..], &b"Q"[..])
        );
    }

    #[tokio::test]
    async fn what_is_no_message_is_told_apart() {
        assert!(matches!(
            read_message(&mut &b""[..], 9).await,
            Err(ReadError::Closed)
        ));
        assert!(matches!(
            read_message(&mut &b"p\0"[..], 9).await,
            Err(ReadError::Io(_))
        ));
        assert!(matches!(
            read_message(&mut &b"p\0\0\0\x06a"[..], 9).await,
            Err(ReadError::Io(_))
        ));
        for long in [
            &b"p\0\0\0\x0e"[..],
            b"p\xff\xff\xff\xff",
            b"p\x3f\xff\xff\xff",
            b"p\0\0\0\x03",
        ] {
            assert!(matches!(
                read_message(&mut &*long, 9).await,
                Err(ReadError::Frame(_))
            ));
        }
    }
}
