//! Tests of `wire/scram`: the vector of RFC 7677, both sides against each other, and nonsense.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::proptest;
use std::hint::black_box;
use std::sync::Arc;

const CLIENT_NONCE: &[u8; NONCE_BYTES] = b"eighteen bytes her";
const SERVER_NONCE: &[u8; NONCE_BYTES] = b"eighteen bytes too";

fn verifier() -> Verifier {
    Verifier::from_password("pencil", b"a salt of bytes!", 64)
}

fn password(text: &str) -> Secret {
    Secret::Password(Zeroizing::new(text.to_owned()))
}

/// A whole login; the outcome on the server's side and on the client's.
fn exchange(
    verifier: Verifier,
    end_point: Option<&[u8]>,
    secret: Secret,
    binding: &Binding,
) -> Result<Keys, ScramError> {
    let server = Server::new(verifier, end_point.map(Arc::from));
    let (client, first) = Client::new(secret, binding, CLIENT_NONCE);
    let (server, reply) = server.first(client.mechanism(), &first, SERVER_NONCE)?;
    let (client, last) = client.first(&reply)?;
    let verified = server.last(&last)?;
    client.last(&verified.reply)?;
    Ok(verified.keys)
}

#[test]
fn the_vector_of_rfc_7677_holds() {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let server_first =
        format!("r=rOprNGfwEbeRWgbNEkqO{server_nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    let signed = format!("c=biws,r=rOprNGfwEbeRWgbNEkqO{server_nonce}");
    let client_final = format!("{signed},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");

    let server = ServerFinal {
        verifier: Verifier::from_password("pencil", &salt, 4096),
        client_first_bare: "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned(),
        server_first: server_first.clone(),
        nonce: format!("rOprNGfwEbeRWgbNEkqO{server_nonce}"),
        channel: "biws".to_owned(),
    };
    let verified = server.last(client_final.as_bytes()).unwrap();
    assert_eq!(
        verified.reply,
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    );

    let client = Client {
        secret: password("pencil"),
        first_bare: "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned(),
        nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
        channel: "biws".to_owned(),
        mechanism: SCRAM_SHA_256,
    };
    let (client, last) = client.first(server_first.as_bytes()).unwrap();
    assert_eq!(last, client_final.as_bytes());
    assert_eq!(client.last(&verified.reply), Ok(()));
}

#[test]
fn a_verifier_of_postgresql_is_read_and_written() {
    // The password and salt of RFC 7677, as `pg_authid.rolpassword` would hold them.
    let stored = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    let verifier = Verifier::parse(stored).unwrap();
    assert_eq!(verifier.to_text().as_str(), stored);
    assert!(verifier.verify("pencil") && !verifier.verify("pencils"));
    assert!(verifier.keys_of("pencil").is_some() && verifier.keys_of("").is_none());
    let text = format!("{verifier:?}");
    assert!(!text.contains("WG5d"), "{text}");
    for wrong in [
        "",
        "md5abc",
        "SCRAM-SHA-256",
        "SCRAM-SHA-256$0:c2FsdA==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$+1:c2FsdA==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4294967295:c2FsdA==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:c2FsdA==$WG5d:wfPL",
    ] {
        assert!(Verifier::parse(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn both_sides_agree_and_the_keys_log_in_elsewhere() {
    let end_point = [7_u8; 32];
    for (offered, binding) in [
        (None, Binding::Unsupported),
        (None, Binding::NotOffered),
        (Some(&end_point[..]), Binding::Unsupported),
        (Some(&end_point[..]), Binding::EndPoint(end_point.to_vec())),
    ] {
        let keys = exchange(verifier(), offered, password("pencil"), &binding).unwrap();
        assert!(exchange(verifier(), offered, Secret::Keys(keys), &binding).is_ok());
        let wrong = exchange(verifier(), offered, password("penci"), &binding);
        assert_eq!(wrong.unwrap_err(), ScramError::WrongPassword);
    }
}

#[test]
fn a_binding_that_does_not_fit_is_refused() {
    let other = Binding::EndPoint(vec![8; 32]);
    for (offered, binding) in [
        (Some(&[7_u8; 32][..]), Binding::NotOffered), // the offer was removed on the way
        (Some(&[7; 32]), other.clone()),              // another certificate
        (None, other),                                // not offered at all
    ] {
        let outcome = exchange(verifier(), offered, password("pencil"), &binding);
        assert!(
            matches!(
                outcome,
                Err(ScramError::ChannelBinding(_) | ScramError::Malformed(_))
            ),
            "{binding:?}: {outcome:?}"
        );
    }
}

#[test]
fn a_user_that_does_not_exist_looks_like_one_that_does() {
    let key = MockKey::new([3; 32]);
    let mock = Verifier::mock("nobody", &key);
    assert_eq!(mock, Verifier::mock("nobody", &key));
    assert_ne!(mock.salt, Verifier::mock("somebody", &key).salt);
    assert_eq!((mock.iterations, mock.salt.len()), (ITERATIONS, SALT_BYTES));
    let real = Verifier::from_password("x", &key.salt("nobody"), ITERATIONS);
    assert_eq!(real.salt, mock.salt);
    let outcome = exchange(mock, None, password("x"), &Binding::Unsupported);
    assert_eq!(outcome.unwrap_err(), ScramError::WrongPassword);
}

#[test]
fn a_server_that_does_not_know_the_password_is_found_out() {
    let (client, _) = Client::new(password("pencil"), &Binding::Unsupported, CLIENT_NONCE);
    let nonce = STANDARD.encode(CLIENT_NONCE);
    let (last, _) = client
        .first(format!("r={nonce}x,s=c2FsdA==,i=1").as_bytes())
        .unwrap();
    let signature = STANDARD.encode([0_u8; 32]);
    assert_eq!(
        last.last(format!("v={signature}").as_bytes()),
        Err(ScramError::WrongServer)
    );
    for (server_final, error) in [
        ("e=invalid-proof", ScramError::Refused),
        ("v=", ScramError::WrongServer),
        ("v=AA==", ScramError::WrongServer),
        ("", ScramError::Malformed("no signature")),
    ] {
        let last = ClientFinal {
            signature: Key::default(),
        };
        assert_eq!(
            last.last(server_final.as_bytes()),
            Err(error),
            "{server_final}"
        );
    }
}

#[test]
fn a_client_believes_no_absurd_server() {
    let nonce = STANDARD.encode(CLIENT_NONCE);
    let long = "x".repeat(5000);
    for wrong in [
        String::new(),
        format!("r={nonce},s=c2FsdA==,i=4096"), // nothing of its own
        "r=other,s=c2FsdA==,i=4096".to_owned(),
        format!("r={nonce}{long},s=c2FsdA==,i=4096"),
        format!("r={nonce}x,s=c2FsdA==,i=0"),
        format!("r={nonce}x,s=c2FsdA==,i=99999999999"),
        format!("r={nonce}x,s=c2FsdA==,i=4294967295"),
        format!("r={nonce}x,s=!,i=4096"),
        format!("r={nonce}x\u{7f},s=c2FsdA==,i=4096"),
        format!("m=x,r={nonce}x,s=c2FsdA==,i=4096"),
        format!("r={nonce}x,s=c2FsdA==,i=4096,"),
    ] {
        let (client, _) = Client::new(password("p"), &Binding::Unsupported, CLIENT_NONCE);
        assert!(client.first(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn a_server_believes_no_absurd_client() {
    for wrong in [
        "",
        "n",
        "n,",
        "n,,",
        "n,,r=x",
        "n,a=root,n=,r=x",
        "n,,n=,r=",
        "n,,m=1,n=,r=x",
        "x,,n=,r=x",
        "n,,n=,r=a b",
    ] {
        let server = Server::new(verifier(), None);
        assert!(
            server
                .first(SCRAM_SHA_256, wrong.as_bytes(), SERVER_NONCE)
                .is_err(),
            "{wrong}"
        );
    }
    let server = || {
        Server::new(verifier(), None)
            .first(SCRAM_SHA_256, b"n,,n=,r=x", SERVER_NONCE)
            .unwrap()
            .0
    };
    let nonce = server().nonce;
    let zeros = STANDARD.encode([0_u8; 32]);
    for (wrong, error) in [
        (String::new(), ScramError::Malformed("no proof")),
        (
            format!("c=biws,r={nonce}"),
            ScramError::Malformed("no proof"),
        ),
        (
            format!("c=biws,r={nonce},p=AA=="),
            ScramError::Malformed("proof has the wrong length"),
        ),
        (
            format!("c=biws,r={nonce}y,p={zeros}"),
            ScramError::Malformed("nonce does not match"),
        ),
        (
            format!("c=eSws,r={nonce},p={zeros}"),
            ScramError::ChannelBinding("it is not this connection's"),
        ),
        (
            format!("r={nonce},c=biws,p={zeros}"),
            ScramError::Malformed("no channel binding"),
        ),
        (
            format!("c=biws,r={nonce},x=1,p={zeros}"),
            ScramError::WrongPassword,
        ),
    ] {
        assert_eq!(
            server().last(wrong.as_bytes()).unwrap_err(),
            error,
            "{wrong}"
        );
    }
    assert!(
        Server::new(verifier(), None)
            .first("SCRAM-SHA-1", b"n,,n=,r=x", SERVER_NONCE)
            .is_err()
    );
}

proptest! {
    #[test]
    fn nonsense_crashes_nobody(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[nyp=,rsiv0-9a-c]{0,60}") {
        for message in [bytes.as_slice(), text.as_bytes()] {
            drop(Server::new(verifier(), None).first(SCRAM_SHA_256, message, SERVER_NONCE));
            let (client, _) = Client::new(Secret::Keys(Keys { client: Key::default(), server: Key::default() }), &Binding::Unsupported, CLIENT_NONCE);
            drop(client.first(message));
            black_box(ClientFinal { signature: Key::default() }.last(message)).ok();
            let server = Server::new(verifier(), None).first(SCRAM_SHA_256, b"n,,n=,r=x", SERVER_NONCE);
            drop(server.unwrap().0.last(message));
        }
        black_box(Verifier::parse(&text));
    }
}
