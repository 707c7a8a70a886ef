//! Messages to a server, byte by byte. Owns no connection and no order.

/// Protocol version 3.0.
pub(crate) const VERSION_3_0: i32 = 196_608;

/// A message with a tag.
pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(&length(body.len()));
    bytes.extend_from_slice(body);
    bytes
}

fn length(body: usize) -> [u8; 4] {
    u32::try_from(body + 4).expect("short enough").to_be_bytes()
}

/// SSLRequest.
pub(crate) fn ssl_request() -> Vec<u8> {
    untagged(&80_877_103_i32.to_be_bytes())
}

/// GSSENCRequest.
pub(crate) fn gssenc_request() -> Vec<u8> {
    untagged(&80_877_104_i32.to_be_bytes())
}

/// CancelRequest with the body of a BackendKeyData.
pub(crate) fn cancel_request(key: &[u8]) -> Vec<u8> {
    untagged(&[&80_877_102_i32.to_be_bytes(), key].concat())
}

/// A startup message.
pub(crate) fn startup(version: i32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    untagged(&body)
}

/// A message of the startup phase, which has no tag.
pub(crate) fn untagged(body: &[u8]) -> Vec<u8> {
    [&length(body.len())[..], body].concat()
}

pub(crate) fn password(text: &str) -> Vec<u8> {
    message(b'p', format!("{text}\0").as_bytes())
}

pub(crate) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

pub(crate) fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

/// Bind with text parameters and text results.
pub(crate) fn bind(portal: &str, statement: &str, values: &[&str]) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0\0\0").into_bytes();
    body.extend_from_slice(&u16::try_from(values.len()).expect("few").to_be_bytes());
    for value in values {
        body.extend_from_slice(&u32::try_from(value.len()).expect("short").to_be_bytes());
        body.extend_from_slice(value.as_bytes());
    }
    body.extend_from_slice(&[0, 0]);
    message(b'B', &body)
}

pub(crate) fn describe_statement(name: &str) -> Vec<u8> {
    message(b'D', format!("S{name}\0").as_bytes())
}

pub(crate) fn describe_portal(name: &str) -> Vec<u8> {
    message(b'D', format!("P{name}\0").as_bytes())
}

pub(crate) fn execute(portal: &str) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), &[0, 0, 0, 0, 0]].concat())
}

pub(crate) fn close_statement(name: &str) -> Vec<u8> {
    message(b'C', format!("S{name}\0").as_bytes())
}

pub(crate) fn sync() -> Vec<u8> {
    message(b'S', &[])
}

pub(crate) fn flush() -> Vec<u8> {
    message(b'H', &[])
}

pub(crate) fn copy_data(bytes: &[u8]) -> Vec<u8> {
    message(b'd', bytes)
}

pub(crate) fn copy_done() -> Vec<u8> {
    message(b'c', &[])
}

pub(crate) fn copy_fail(why: &str) -> Vec<u8> {
    message(b'f', format!("{why}\0").as_bytes())
}

pub(crate) fn terminate() -> Vec<u8> {
    message(b'X', &[])
}

/// Parse, Bind, Describe, Execute, Sync of an unnamed statement.
pub(crate) fn extended(sql: &str) -> Vec<u8> {
    [unsynced(sql), sync()].concat()
}

/// Parse, Bind, Describe, Execute of an unnamed statement.
pub(crate) fn unsynced(sql: &str) -> Vec<u8> {
    [
        parse("", sql),
        bind("", "", &[]),
        describe_portal(""),
        execute(""),
    ]
    .concat()
}

/// FunctionCall of a function by its oid, with text arguments and a text result.
pub(crate) fn function_call(oid: u32, arguments: &[&str]) -> Vec<u8> {
    let mut body = oid.to_be_bytes().to_vec();
    body.extend_from_slice(&[0, 0]);
    body.extend_from_slice(&u16::try_from(arguments.len()).expect("few").to_be_bytes());
    for argument in arguments {
        body.extend_from_slice(&u32::try_from(argument.len()).expect("short").to_be_bytes());
        body.extend_from_slice(argument.as_bytes());
    }
    body.extend_from_slice(&[0, 0]);
    message(b'F', &body)
}
