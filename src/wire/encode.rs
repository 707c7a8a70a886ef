//! Messages this proxy writes itself, both directions. Appends to a buffer; knows no socket.

/// Appends one message: tag, length, and the body that `body` writes.
pub fn message(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a string and its terminating zero. A zero inside ends the string early, as PostgreSQL would read it.
pub fn cstr(out: &mut Vec<u8>, text: &[u8]) {
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    out.extend_from_slice(&text[..end]);
    out.push(0);
}

/// AuthenticationOk (B).
pub fn authentication_ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"R\0\0\0\x08\0\0\0\0");
}

/// ReadyForQuery (B); `status` is `I`, `T` or `E`.
pub fn ready_for_query(out: &mut Vec<u8>, status: u8) {
    out.extend_from_slice(&[b'Z', 0, 0, 0, 5, status]);
}

/// ParameterStatus (B).
pub fn parameter_status(out: &mut Vec<u8>, name: &str, value: &str) {
    message(out, b'S', |out| {
        cstr(out, name.as_bytes());
        cstr(out, value.as_bytes());
    });
}

/// BackendKeyData (B).
pub fn backend_key_data(out: &mut Vec<u8>, pid: i32, secret: &[u8]) {
    message(out, b'K', |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(secret);
    });
}

/// CommandComplete (B).
pub fn command_complete(out: &mut Vec<u8>, tag: &str) {
    message(out, b'C', |out| cstr(out, tag.as_bytes()));
}

/// PortalSuspended (B).
pub fn portal_suspended(out: &mut Vec<u8>) {
    out.extend_from_slice(b"s\0\0\0\x04");
}

/// RowDescription (B) of `text` columns, in text or binary format (the bytes of `text` are the same in both).
pub fn row_description<'a>(
    out: &mut Vec<u8>,
    columns: impl ExactSizeIterator<Item = &'a str>,
    binary: bool,
) {
    const TEXT_OID: u32 = 25;
    message(out, b'T', |out| {
        out.extend_from_slice(
            &u16::try_from(columns.len())
                .unwrap_or(u16::MAX)
                .to_be_bytes(),
        );
        for column in columns {
            cstr(out, column.as_bytes());
            out.extend_from_slice(&[0; 6]); // no table, no column number
            out.extend_from_slice(&TEXT_OID.to_be_bytes());
            out.extend_from_slice(&(-1_i16).to_be_bytes()); // variable length
            out.extend_from_slice(&(-1_i32).to_be_bytes()); // no type modifier
            out.extend_from_slice(&u16::from(binary).to_be_bytes());
        }
    });
}

/// DataRow (B).
pub fn data_row<'a>(out: &mut Vec<u8>, values: impl ExactSizeIterator<Item = Option<&'a [u8]>>) {
    message(out, b'D', |out| {
        out.extend_from_slice(
            &u16::try_from(values.len())
                .unwrap_or(u16::MAX)
                .to_be_bytes(),
        );
        for value in values {
            match value {
                Some(bytes) => {
                    out.extend_from_slice(
                        &u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes(),
                    );
                    out.extend_from_slice(bytes);
                }
                None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            }
        }
    });
}

/// ParseComplete (B).
pub fn parse_complete(out: &mut Vec<u8>) {
    out.extend_from_slice(b"1\0\0\0\x04");
}

/// BindComplete (B).
pub fn bind_complete(out: &mut Vec<u8>) {
    out.extend_from_slice(b"2\0\0\0\x04");
}

/// CloseComplete (B).
pub fn close_complete(out: &mut Vec<u8>) {
    out.extend_from_slice(b"3\0\0\0\x04");
}

/// Query (F).
pub fn query(out: &mut Vec<u8>, sql: &str) {
    message(out, b'Q', |out| cstr(out, sql.as_bytes()));
}

/// Parse (F); `types` is the count and the oids as the client sent them.
pub fn parse(out: &mut Vec<u8>, name: &[u8], sql: &[u8], types: &[u8]) {
    message(out, b'P', |out| {
        cstr(out, name);
        cstr(out, sql);
        out.extend_from_slice(types);
    });
}

/// Bind (F) of the unnamed statement to the unnamed portal, every argument and every column as text.
pub fn bind_texts<'a>(out: &mut Vec<u8>, args: impl ExactSizeIterator<Item = Option<&'a str>>) {
    message(out, b'B', |out| {
        out.extend_from_slice(b"\0\0\0\0"); // no portal's name, no statement's, no formats
        let count = u16::try_from(args.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for arg in args {
            let Some(text) = arg else {
                out.extend_from_slice(&(-1_i32).to_be_bytes());
                continue;
            };
            let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(&[0; 2]);
    });
}

/// Describe (F) of the unnamed portal.
pub fn describe_portal(out: &mut Vec<u8>) {
    describe(out, b"");
}

/// Describe (F) of a portal.
pub fn describe(out: &mut Vec<u8>, portal: &[u8]) {
    message(out, b'D', |out| {
        out.push(b'P');
        cstr(out, portal);
    });
}

/// Execute (F) of the unnamed portal.
pub fn execute(out: &mut Vec<u8>, rows_max: u32) {
    message(out, b'E', |out| {
        out.push(0);
        out.extend_from_slice(&rows_max.to_be_bytes());
    });
}

/// Close (F) of a prepared statement.
pub fn close_statement(out: &mut Vec<u8>, name: &[u8]) {
    message(out, b'C', |out| {
        out.push(b'S');
        cstr(out, name);
    });
}

/// Sync (F).
pub fn sync(out: &mut Vec<u8>) {
    out.extend_from_slice(b"S\0\0\0\x04");
}

/// Terminate (F).
pub fn terminate(out: &mut Vec<u8>) {
    out.extend_from_slice(b"X\0\0\0\x04");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame;

    #[test]
    fn the_length_counts_itself_and_the_body() {
        let mut out = Vec::new();
        query(&mut out, "select 1");
        assert_eq!(out, b"Q\0\0\0\x0dselect 1\0");
        parameter_status(&mut out, "a", "b");
        let rest = &out[14..];
        assert_eq!(
            frame::header(rest),
            Ok(Some(frame::Header {
                tag: b'S',
                body_bytes: 4
            }))
        );
    }

    #[test]
    fn a_zero_inside_a_string_cannot_start_another_field() {
        let mut out = Vec::new();
        parameter_status(&mut out, "a\0b", "c");
        assert_eq!(&out[5..], b"a\0c\0");
    }
}
