//! Message framing: a tag, a length, a body. Reads headers only; bodies are somebody else's to understand or to pass on.

use std::ops::Range;

/// Tag and length of every message after startup.
pub const HEADER_BYTES: usize = 5;

/// The length field counts itself.
const LENGTH_BYTES: usize = 4;

/// The largest body believed: PostgreSQL's own limit for one message is 1 GiB less one.
pub const BODY_BYTES_MAX: usize = 0x3fff_ffff;

/// The first five bytes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What the message is.
    pub tag: u8,
    /// Bytes that follow the header.
    pub body_bytes: usize,
}

impl Header {
    /// Header and body together.
    #[must_use]
    pub const fn message_bytes(self) -> usize {
        HEADER_BYTES + self.body_bytes
    }
}

/// Bytes that cannot be a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The length does not even count itself.
    #[error("message `{tag}` has the impossible length {length}", tag = tag.escape_ascii())]
    Short {
        /// The message's tag.
        tag: u8,
        /// The length field.
        length: u32,
    },
    /// Longer than the protocol or our limit allows.
    #[error("message `{tag}` of {length} bytes is longer than {max}", tag = tag.escape_ascii())]
    Long {
        /// The message's tag.
        tag: u8,
        /// The length field.
        length: u32,
        /// The limit in bytes.
        max: usize,
    },
}

/// Reads the header at the front of `buffer`, or `None` until five bytes are there.
///
/// # Errors
/// When the length field cannot be true.
#[inline]
pub fn header(buffer: &[u8]) -> Result<Option<Header>, FrameError> {
    let Some(&[tag, a, b, c, d]) = buffer.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    let Some(body_bytes) = usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_sub(LENGTH_BYTES))
    else {
        return Err(FrameError::Short { tag, length });
    };
    if BODY_BYTES_MAX < body_bytes {
        return Err(FrameError::Long {
            tag,
            length,
            max: BODY_BYTES_MAX,
        });
    }
    Ok(Some(Header { tag, body_bytes }))
}

/// The zero-terminated string at the front of `bytes`, without its zero, and what follows it.
#[must_use]
pub fn cstr(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Where the zero-terminated string that starts at `from` lies, without its zero.
#[must_use]
pub fn cstr_range(bytes: &[u8], from: usize) -> Option<Range<usize>> {
    let length = memchr::memchr(0, bytes.get(from..)?)?;
    Some(from..from + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_there_or_not_yet_or_never() {
        assert_eq!(header(b""), Ok(None));
        assert_eq!(header(b"Q\0\0\0"), Ok(None));
        assert_eq!(
            header(b"Z\0\0\0\x05I"),
            Ok(Some(Header {
                tag: b'Z',
                body_bytes: 1
            }))
        );
        assert_eq!(
            header(b"S\0\0\0\x04"),
            Ok(Some(Header {
                tag: b'S',
                body_bytes: 0
            }))
        );
        assert_eq!(
            header(b"S\0\0\0\x03"),
            Err(FrameError::Short {
                tag: b'S',
                length: 3
            })
        );
        assert!(matches!(
            header(b"G\xff\xff\xff\xff"),
            Err(FrameError::Long { tag: b'G', .. })
        ));
    }

    #[test]
    fn strings_end_at_their_zero() {
        assert_eq!(cstr(b"ab\0cd"), Some((&b"ab"[..], &b"cd"[..])));
        assert_eq!(cstr(b"ab"), None);
        assert_eq!(cstr_range(b"ab\0cd\0", 3), Some(3..5));
        assert_eq!(cstr_range(b"ab\0", 9), None);
    }
}
