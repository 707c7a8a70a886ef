//! The messages of the authentication exchange: what a server asks for (B, tag `R`) and what a client answers (F, tag `p`).
//! Owns framing only; what is inside belongs to `scram` and `password`. Names the secrets that can answer.
//! Source: PostgreSQL manual, "Message Formats".

use super::encode;
use super::frame;
use super::frontend::Malformed;
use super::password::Md5Password;
use super::scram;
use zeroize::Zeroizing;

/// The tag of every Authentication message.
pub const REQUEST_TAG: u8 = b'R';

/// The tag of every answer.
pub const ANSWER_TAG: u8 = b'p';

/// What proves a user to a server.
#[derive(Clone)]
pub enum Secret {
    /// The password: answers every request.
    Password(Zeroizing<String>),
    /// The keys of a SCRAM login elsewhere: answers SCRAM of a server that holds the same verifier.
    ScramKeys(scram::Keys),
    /// The stored md5 form: answers md5.
    Md5(Md5Password),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a server asks for or says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request<'a> {
    /// The login has succeeded.
    Ok,
    /// The password as it is.
    Cleartext,
    /// The md5 answer to a salt.
    Md5 {
        /// The salt.
        salt: [u8; 4],
    },
    /// SASL, with one of these mechanisms.
    Sasl(Mechanisms<'a>),
    /// A server's SASL message that wants an answer.
    SaslContinue(&'a [u8]),
    /// A server's last SASL message.
    SaslFinal(&'a [u8]),
    /// A method not spoken here: Kerberos, GSSAPI, SSPI, or one of the future.
    Unsupported(u32),
}

/// The names of an AuthenticationSASL message, zero-terminated one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mechanisms<'a> {
    names: &'a [u8],
}

impl Mechanisms<'_> {
    /// Whether `mechanism` is among them.
    #[must_use]
    pub fn offer(&self, mechanism: &str) -> bool {
        self.names
            .split(|&byte| byte == 0)
            .any(|name| name == mechanism.as_bytes())
    }
}

/// Reads the body of an Authentication message.
///
/// # Errors
/// When it is too short for what it says it is.
pub fn request(body: &[u8]) -> Result<Request<'_>, Malformed> {
    const WRONG: Malformed = Malformed("Authentication");
    let (code, rest) = body.split_first_chunk::<4>().ok_or(WRONG)?;
    Ok(match u32::from_be_bytes(*code) {
        0 => Request::Ok,
        3 => Request::Cleartext,
        5 => Request::Md5 {
            salt: rest.try_into().map_err(|_| WRONG)?,
        },
        10 => Request::Sasl(Mechanisms {
            names: rest.strip_suffix(b"\0\0").ok_or(WRONG)?,
        }),
        11 => Request::SaslContinue(rest),
        12 => Request::SaslFinal(rest),
        other => Request::Unsupported(other),
    })
}

/// AuthenticationCleartextPassword (B).
pub fn cleartext(out: &mut Vec<u8>) {
    ask(out, 3, &[]);
}

/// AuthenticationMD5Password (B).
pub fn md5(out: &mut Vec<u8>, salt: [u8; 4]) {
    ask(out, 5, &salt);
}

/// AuthenticationSASL (B).
pub fn sasl(out: &mut Vec<u8>, mechanisms: &[&str]) {
    let mut names = Vec::new();
    for mechanism in mechanisms {
        encode::cstr(&mut names, mechanism.as_bytes());
    }
    names.push(0);
    ask(out, 10, &names);
}

/// AuthenticationSASLContinue (B).
pub fn sasl_continue(out: &mut Vec<u8>, data: &[u8]) {
    ask(out, 11, data);
}

/// AuthenticationSASLFinal (B).
pub fn sasl_final(out: &mut Vec<u8>, data: &[u8]) {
    ask(out, 12, data);
}

fn ask(out: &mut Vec<u8>, code: u32, rest: &[u8]) {
    encode::message(out, REQUEST_TAG, |out| {
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(rest);
    });
}

/// Reads a PasswordMessage body: the text without its zero.
///
/// # Errors
/// When the text's zero does not end the body.
pub fn password_answer(body: &[u8]) -> Result<&[u8], Malformed> {
    match frame::cstr(body) {
        Some((text, [])) => Ok(text),
        _ => Err(Malformed("PasswordMessage")),
    }
}

/// Reads a SASLInitialResponse body: the mechanism and the client's first message.
///
/// # Errors
/// When its parts do not fill the body, or there is no first message (SCRAM always has one).
pub fn sasl_initial_answer(body: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    const WRONG: Malformed = Malformed("SASLInitialResponse");
    let (mechanism, rest) = frame::cstr(body).ok_or(WRONG)?;
    let (length, data) = rest.split_first_chunk::<4>().ok_or(WRONG)?;
    if usize::try_from(u32::from_be_bytes(*length)) != Ok(data.len()) {
        return Err(WRONG);
    }
    Ok((mechanism, data))
}

/// PasswordMessage (F).
pub fn password_message(out: &mut Vec<u8>, text: &[u8]) {
    encode::message(out, ANSWER_TAG, |out| encode::cstr(out, text));
}

/// SASLInitialResponse (F).
pub fn sasl_initial_response(out: &mut Vec<u8>, mechanism: &str, data: &[u8]) {
    encode::message(out, ANSWER_TAG, |out| {
        encode::cstr(out, mechanism.as_bytes());
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(data);
    });
}

/// SASLResponse (F).
pub fn sasl_response(out: &mut Vec<u8>, data: &[u8]) {
    encode::message(out, ANSWER_TAG, |out| out.extend_from_slice(data));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::any;
    use proptest::prelude::prop;
    use proptest::proptest;
    use std::hint::black_box;

    const BODY: usize = frame::HEADER_BYTES;

    #[test]
    fn requests_survive_the_round_trip() {
        let mut out = Vec::new();
        encode::authentication_ok(&mut out);
        assert_eq!(request(&out[BODY..]), Ok(Request::Ok));
        out.clear();
        cleartext(&mut out);
        assert_eq!(request(&out[BODY..]), Ok(Request::Cleartext));
        out.clear();
        md5(&mut out, [1, 2, 3, 4]);
        assert_eq!(
            request(&out[BODY..]),
            Ok(Request::Md5 { salt: [1, 2, 3, 4] })
        );
        out.clear();
        sasl(&mut out, &["A", "BC"]);
        let Ok(Request::Sasl(mechanisms)) = request(&out[BODY..]) else {
            panic!("not SASL");
        };
        assert!(mechanisms.offer("A") && mechanisms.offer("BC") && !mechanisms.offer("B"));
        out.clear();
        sasl_continue(&mut out, b"x");
        assert_eq!(request(&out[BODY..]), Ok(Request::SaslContinue(b"x")));
        out.clear();
        sasl_final(&mut out, b"y");
        assert_eq!(request(&out[BODY..]), Ok(Request::SaslFinal(b"y")));
        assert_eq!(request(&[0, 0, 0, 7]), Ok(Request::Unsupported(7)));
        for wrong in [
            &b""[..],
            b"\0\0\0",
            b"\0\0\0\x05abc",
            b"\0\0\0\x05abcde",
            b"\0\0\0\x0aA\0",
        ] {
            assert!(request(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn answers_survive_the_round_trip() {
        let mut out = Vec::new();
        password_message(&mut out, b"secret");
        assert_eq!(password_answer(&out[BODY..]), Ok(&b"secret"[..]));
        out.clear();
        sasl_initial_response(&mut out, "A", b"n,,");
        assert_eq!(
            sasl_initial_answer(&out[BODY..]),
            Ok((&b"A"[..], &b"n,,"[..]))
        );
        out.clear();
        sasl_response(&mut out, b"c=");
        assert_eq!(out, b"p\0\0\0\x06c=");
        for wrong in [
            &b""[..],
            b"A\0",
            b"A\0\0\0\0\x02x",
            b"A\0\xff\xff\xff\xff",
            b"A\0\0\0\0\x01xy",
        ] {
            assert!(sasl_initial_answer(wrong).is_err(), "{wrong:?}");
        }
        assert!(password_answer(b"a\0b\0").is_err() && password_answer(b"a").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_crash_a_parser(body in prop::collection::vec(any::<u8>(), 0..60), code in 0_u8..14) {
            black_box(password_answer(&body).is_ok() | sasl_initial_answer(&body).is_ok() | request(&body).is_ok());
            let coded: Vec<u8> = [0, 0, 0, code].into_iter().chain(body).collect();
            if let Ok(Request::Sasl(mechanisms)) = request(&coded) {
                black_box(mechanisms.offer("A"));
            }
        }
    }
}
