//! `[role.NAME]` and `[user.NAME]`: who may log in, how, and as what.

use super::canonical::Canonical;
use super::code;
use super::document::Value;
use super::keys::POOL;
use super::keys::ROLE;
use super::keys::USER;
use super::pool::Pool;
use super::reading::Spot;
use super::reading::Table;
use super::report::Diagnostic;
use super::scope::Scope;
use super::secret::Secret;
use crate::digest::sha256_hex;
use crate::wire::password::Md5Password;
use crate::wire::scram::Verifier;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Someone who may log in.
#[derive(Clone, Debug)]
pub struct User {
    /// The name in the policy and in the startup message.
    pub name: Arc<str>,
    /// How it proves that it is.
    pub credential: Credential,
    /// Where the proof came from, as in `{ file = ".." }`; no secret.
    pub credential_reference: Arc<str>,
    /// Its roles.
    pub roles: Vec<Arc<str>>,
    /// Its pool, an index of `Policy::pools`; `None`: by the database's name.
    pub pool: Option<usize>,
    /// What stages may know of it.
    pub attributes: BTreeMap<Arc<str>, Arc<str>>,
    /// From this second since 1970 on it may not log in.
    pub expires: Option<i64>,
}

/// How a user proves who it is.
#[derive(Clone)]
pub enum Credential {
    /// No proof; only over loopback or a Unix socket.
    Trust,
    /// SCRAM, with the verifier alone.
    Verifier(Verifier),
    /// SCRAM, with the password itself.
    Password(Secret),
    /// The md5 method, with what PostgreSQL stores: `md5` and 32 hexadecimal digits.
    Md5(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method())
    }
}

impl Credential {
    /// The key in the policy.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Verifier(_) => "verifier",
            Self::Password(_) => "password",
            Self::Md5(_) => "md5",
        }
    }
}

const METHODS: [&str; 4] = ["verifier", "password", "md5", "trust"];

/// Roles have no settings yet; reading them reports what is written nevertheless.
pub(super) fn roles(scope: Scope<'_, '_>) -> Vec<Arc<str>> {
    scope.each(&ROLE, |_, name, _| Some(Arc::from(name)))
}

pub(super) fn read(scope: Scope<'_, '_>) -> BTreeMap<Arc<str>, User> {
    scope
        .each(&USER, user)
        .into_iter()
        .map(|user| (Arc::clone(&user.name), user))
        .collect()
}

fn user(scope: Scope<'_, '_>, name: &str, table: &Table<'_, '_>) -> Option<User> {
    let roles = scope.roles(table, "roles");
    let pool = scope.one(table, "pool", &POOL);
    let attributes = attributes(table);
    let expires = table.date("expires");
    let (credential, credential_reference) = credential(table)?;
    Some(User {
        name: name.into(),
        credential,
        credential_reference,
        roles,
        pool,
        attributes,
        expires,
    })
}

fn credential(table: &Table<'_, '_>) -> Option<(Credential, Arc<str>)> {
    let written: Vec<&str> = METHODS
        .into_iter()
        .filter(|method| table.has(method))
        .collect();
    let verifier = table.entry("verifier").and_then(|_| verifier(table));
    let password = table
        .entry("password")
        .and_then(|_| table.secret("password"));
    let md5 = table.entry("md5").and_then(|_| md5(table));
    let trust = table.boolean("trust");
    let [_] = written[..] else {
        let message = match written.len() {
            0 => format!("{} has no credential", table.title()),
            _ => format!("{} has several credentials", table.title()),
        };
        let found = Diagnostic::error(code::EXACTLY_ONE, table.at, message);
        table
            .reading
            .add(found.label("write exactly one of `verifier`, `password`, `md5`, `trust`"));
        return None;
    };
    if let Some((verifier, reference)) = verifier {
        return Some((Credential::Verifier(verifier), reference));
    }
    if let Some(secret) = password {
        if secret.expose_text().is_none_or(str::is_empty) {
            table.reading.error(
                code::BAD_CREDENTIAL,
                table.value_at("password"),
                "the password is empty or not UTF-8",
            );
        }
        let reference = secret.reference().into();
        return Some((Credential::Password(secret), reference));
    }
    if let Some((stored, reference)) = md5 {
        return Some((Credential::Md5(stored), reference));
    }
    match trust? {
        true => Some((Credential::Trust, "".into())),
        false => {
            table.reading.error(
                code::NO_EFFECT,
                table.value_at("trust"),
                "`trust = false` says nothing; write a credential",
            );
            None
        }
    }
}

fn verifier(table: &Table<'_, '_>) -> Option<(Verifier, Arc<str>)> {
    let secret = table.referable("verifier")?;
    table.holds_secret("verifier");
    let parsed = secret
        .value
        .expose_text()
        .and_then(|text| Verifier::parse(text.trim()));
    if parsed.is_none() {
        let message = "this is not a SCRAM-SHA-256 verifier";
        let found = Diagnostic::error(code::BAD_CREDENTIAL, secret.at, message).conceal();
        table.reading.add(found.label("expected SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY; a password does not belong here"));
    }
    Some((parsed?, shown(&secret)))
}

fn md5(table: &Table<'_, '_>) -> Option<(String, Arc<str>)> {
    let secret = table.referable("md5")?;
    table.holds_secret("md5");
    let text = secret.value.expose_text().unwrap_or_default().trim();
    if Md5Password::parse(text).is_none() {
        let found = Diagnostic::error(
            code::BAD_CREDENTIAL,
            secret.at,
            "this is not an md5 hash of PostgreSQL",
        )
        .conceal();
        table
            .reading
            .add(found.label("expected `md5` and 32 hexadecimal digits"));
        return None;
    }
    Some((text.to_owned(), secret.value.reference().into()))
}

/// What the revision says about a verifier: where it is, or, written in the policy, its hash. A verifier is salted and
/// stretched, so its hash helps nobody to guess; an md5 hash is neither, and its revision says only that there is one.
fn shown(secret: &Spot<Secret>) -> Arc<str> {
    match secret.value.is_written() {
        true => sha256_hex(secret.value.expose()).into(),
        false => secret.value.reference().into(),
    }
}

fn attributes(table: &Table<'_, '_>) -> BTreeMap<Arc<str>, Arc<str>> {
    let Some(entry) = table.entry("attributes") else {
        return BTreeMap::new();
    };
    let Value::Table(entries) = &entry.word.value else {
        table
            .reading
            .wrong_type(&entry.word, "a table such as { tenant = \"acme\" }");
        return BTreeMap::new();
    };
    let pairs = entries.iter().filter_map(|entry| {
        let value = table.reading.text(&entry.word)?.value;
        Some((Arc::from(entry.key.as_str()), Arc::from(value)))
    });
    pairs.collect()
}

impl User {
    pub(super) fn write(&self, canonical: &mut Canonical, pools: &[Pool]) {
        let Self {
            name,
            credential,
            credential_reference,
            roles,
            pool,
            attributes,
            expires,
        } = self;
        let mut section = canonical.section("user", name);
        section.text("credential", credential.method());
        section.text("credential.reference", credential_reference);
        let mut roles: Vec<&str> = roles.iter().map(|role| &**role).collect();
        roles.sort_unstable();
        section.list("roles", &roles);
        section.debug(
            "pool",
            &pool.and_then(|id| pools.get(id)).map(|pool| &pool.name),
        );
        section.debug("attributes", attributes);
        section.debug("expires", expires);
    }
}
