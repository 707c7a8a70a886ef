//! The plugin jwt_auth: logins with tokens over TLS, and what a token makes of its owner.

use crate::support::cluster::Cluster;
use crate::support::frames::VERSION_3_0;
use crate::support::frames::password;
use crate::support::frames::startup;
use crate::support::message::Problem;
use crate::support::message::only_problem;
use crate::support::message::shape;
use crate::support::plugins;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wire::Wire;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Sha256;

const SHARED: &str = "a shared key of 32 bytes or more!";
/// RFC 8037, A.2. The two tokens were signed with the private key of A.1.
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// Of ana, until 2100.
const EDDSA: &str = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIiwiYXVkIjoid2FyZWhvdXNlIiwic3ViIjoiYW5hIiwiZXhwIjo0MTAyNDQ0ODAwLCJyb2xlcyI6WyJwZy1hbmFseXN0IiwiYWRtaW4iXSwib3JnIjoiYWNtZSIsImVtYWlsIjoiYW5hQGV4YW1wbGUuY29tIn0.MOR5dFHt3wDHS3Hu-xY5pryB4O-9rvGOS5gmmhQkslE8Gepmqfq2TBOp2ymzLlg4IL4bnBF0rNYRfHn4RVKzAA";
/// The same, until 2011.
const EXPIRED: &str = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIiwiYXVkIjoid2FyZWhvdXNlIiwic3ViIjoiYW5hIiwiZXhwIjoxMzAwODE5MzgwLCJyb2xlcyI6WyJwZy1hbmFseXN0IiwiYWRtaW4iXSwib3JnIjoiYWNtZSIsImVtYWlsIjoiYW5hQGV4YW1wbGUuY29tIn0.muhFLBWTyHN9m-5wXMzT_gKQdXFz4xbsAMH8UTExm9ExWs5lVy8gNVj098CiXy8XDL2HPQbe0bk-a_frJ1LgDQ";

fn hs256(header: &str, payload: &str) -> String {
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!(
        "{}.{}",
        encode(header.as_bytes()),
        encode(payload.as_bytes())
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(SHARED.as_bytes()).expect("any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", encode(&mac.finalize().into_bytes()))
}

/// A proxy whose only way in is a token, and that says at `SELECT * FROM by_script` who one is.
fn proxy(algorithm: &str, key: &str, sandbox: &str) -> Proxy {
    let plugin = plugins::example("jwt_auth");
    let config = format!(
        "[plugin.jwt_auth.config]\nalgorithm = \"{algorithm}\"\nkey = {{ file = \"key\" }}\n\
        issuer = \"https://id.example.com\"\naudience = \"warehouse\"\nroles = {{ \"pg-*\" = \"*\" }}\n\
        tenant_claim = \"org\"\nclaims = [\"email\"]"
    );
    let who = "when = { tables = [\"by_script\"] }\nscript = '''\n\
        deny(`${user.name} ${user.roles} ${user.tenant} ${user.claims.email}`)\n'''";
    let policy = PolicyText::of(Cluster::shared())
        .users("[role.analyst]\n[role.admin]\n[user.someone]\npassword = { file = \"key\" }\n")
        .pool_key("login = { user = \"app\" }")
        .otherwise("authorize = \"deny\", route = \"primary\"")
        .extra(sandbox)
        .extra(&plugins::table("jwt_auth", &plugin))
        .extra(&config)
        .extra("[permissions.tokens]\nsee = [\"identity\", \"auth.password\"]\ncall = [\"sha256\", \"time\"]")
        .stage("authenticate", "jwt", "plugin = \"jwt_auth\"\npermissions = \"tokens\"")
        .stage("pre_query", "who", who)
        .stage("authorize", "admins", "when = { role = \"admin\", tables = [\"products\"] }\nallow = true")
        .stage("authorize", "analysts", "when = { role = \"analyst\", tables = [\"orders\"] }\nallow = true");
    let files = [("jwt_auth.wasm", &*plugin), ("key", key.as_bytes())];
    Proxy::start_with(&policy, &files, &[])
}

fn log_in(proxy: &Proxy, user: &str, token: &str) -> Result<Wire, Problem> {
    let mut wire = Wire::connect_tls(proxy.port);
    wire.send(&startup(
        VERSION_3_0,
        &[("user", user), ("database", "app")],
    ));
    assert_eq!(
        wire.message().body,
        [0, 0, 0, 3],
        "AuthenticationCleartextPassword"
    );
    wire.send(&password(token));
    let end = wire.until_ready();
    if shape(&end).ends_with("ZI") {
        return Ok(wire);
    }
    Err(only_problem(&end))
}

/// A token gives a name, roles, a tenant and claims, and no more than the policy maps: `admin` is no role here.
#[track_caller]
fn is_ana(proxy: &Proxy, token: &str) {
    let mut wire = log_in(proxy, "ana", token).expect("a login");
    assert_eq!(
        wire.value("SELECT count(*) FROM orders WHERE id <= 100"),
        "100"
    );
    assert_eq!(wire.fails("SELECT * FROM products").code, "42501");
    let said = wire.fails("SELECT * FROM by_script").message;
    assert_eq!(said, "ana [\"analyst\"] acme ana@example.com");
}

/// Each is told what everybody is told, and the log says why, and nothing of the token.
#[track_caller]
fn are_denied(proxy: &Proxy, key: &str, cases: &[(&str, String, &str)]) {
    for (user, token, reason) in cases {
        let problem = log_in(proxy, user, token).err().expect("no login");
        let told = format!("password authentication failed for user \"{user}\"");
        assert_eq!((problem.code.as_str(), problem.message), ("28P01", told));
        proxy.event(reason, |event| event.to_string().contains(reason));
        let log = proxy.log();
        let signature = token.rsplit('.').next().unwrap_or_default();
        assert!(signature.is_empty() || !log.contains(signature), "{log}");
        assert!(!log.contains(key), "{log}");
    }
}

const PAYLOAD: &str = r#"{"iss":"https://id.example.com","aud":["warehouse","shop"],"sub":"ana","exp":4102444800,"roles":["pg-analyst","admin"],"org":"acme","email":"ana@example.com"}"#;
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

#[test]
fn a_token_of_hs256_is_a_login_under_the_default_limits() {
    let proxy = proxy("HS256", SHARED, "[sandbox]\ndeadline = \"5s\"");
    let good = hs256(HS256, PAYLOAD);
    is_ana(&proxy, &good);
    let with = |old: &str, new: &str| hs256(HS256, &PAYLOAD.replace(old, new));
    let tampered = good.replacen('.', ".e", 1);
    let none = hs256(r#"{"alg":"none"}"#, PAYLOAD);
    let unsigned = format!("{}.", none.rsplit_once('.').expect("three parts").0);
    are_denied(
        &proxy,
        SHARED,
        &[
            ("ana", tampered, "the signature does not fit"),
            ("ana", unsigned, "the token's algorithm is not the policy's"),
            (
                "ana",
                EDDSA.to_owned(),
                "the token's algorithm is not the policy's",
            ),
            ("ana", "sesame".to_owned(), "the password is no token"),
            ("bob", good, "the token is another user's"),
            (
                "ana",
                with("4102444800", "1300819380"),
                "the token has expired",
            ),
            (
                "ana",
                with("4102444800", "4102444800,\"nbf\":4102444000"),
                "the token is not good yet",
            ),
            (
                "ana",
                with("id.example.com", "id.example.net"),
                "the token is of another issuer",
            ),
            (
                "ana",
                with("warehouse", "elsewhere"),
                "the token is for another audience",
            ),
            ("ana", with("\"acme\"", "7"), "the token names no tenant"),
        ],
    );
}

#[test]
fn a_token_of_eddsa_is_a_login_under_eight_million_fuel() {
    let proxy = proxy(
        "EdDSA",
        PUBLIC,
        "[sandbox]\nfuel = 8_000_000\ndeadline = \"5s\"",
    );
    is_ana(&proxy, EDDSA);
    let forged = hs256(r#"{"alg":"EdDSA"}"#, PAYLOAD);
    are_denied(
        &proxy,
        PUBLIC,
        &[
            ("ana", EXPIRED.to_owned(), "the token has expired"),
            (
                "ana",
                EDDSA.replacen("MOR5", "MOR6", 1),
                "the signature does not fit",
            ),
            (
                "ana",
                hs256(HS256, PAYLOAD),
                "the token's algorithm is not the policy's",
            ),
            ("ana", forged, "the signature does not fit"),
        ],
    );
}
