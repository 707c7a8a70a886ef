//! Who may log in: `auth_type`, `auth_file` and `admin_users` as `[user.NAME]` and `[admin]`. Owns which kind of secret lets whom in.

use super::convert::Ini;
use super::ini;
use super::ini::Listed;
use crate::policy::toml_key;
use crate::policy::toml_text;
use crate::wire::password::Md5Password;
use crate::wire::scram::Verifier;
use std::collections::BTreeMap;
use std::path::Path;
use zeroize::Zeroizing;

/// Longer names are none in PostgreSQL.
const NAME_BYTES_MAX: usize = 63;

/// The users of the policy.
#[derive(Default)]
pub(super) struct Accounts {
    /// Their tables, and `[admin]`.
    pub(super) text: String,
    pub(super) names: Vec<String>,
    /// Passwords and the files they go to.
    pub(super) secrets: Vec<(String, Zeroizing<String>)>,
    /// The files of passwords, by user.
    pub(super) passwords: BTreeMap<String, String>,
}

pub(super) fn read(ini: &mut Ini, path: &Path) -> Result<Accounts, String> {
    let mut accounts = Accounts::default();
    let method = ini.word("auth_type").unwrap_or("md5".to_owned());
    let list = match ini.value("auth_file") {
        Some(named) => ini::users(&ini::beside(path, named))?,
        None => (Vec::new(), Vec::new()),
    };
    let (listed, others) = list;
    for spot in others {
        ini.note_at(Some(&spot), "auth_file", "the line is no user");
    }
    if allows(ini, &method) {
        for user in &listed {
            account(ini, &mut accounts, user, &method);
        }
    }
    if accounts.names.is_empty() {
        ini.note(
            "auth_file",
            "no user is carried over: the node itself asks who logs in, and pools are in session mode",
        );
    }
    admin(ini, &mut accounts);
    Ok(accounts)
}

/// Whether users of the file may log in by a method that a policy has, and what is said where that is another.
fn allows(ini: &mut Ini, method: &str) -> bool {
    let why = match method {
        "md5" | "scram-sha-256" => return true,
        "plain" => "clients are asked for SCRAM or md5 instead of a password in clear text",
        "trust" => {
            "`trust` holds over loopback and Unix sockets only; nodes are given no password of a user"
        }
        "any" => "users keep their own names; a pool with `login` is one user on the node",
        "hba" => "there are no rules per address; every user is asked for its password",
        "cert" => "certificates of clients are not asked for; no user is carried over",
        "pam" | "ldap" => "there is no such method; no user is carried over",
        _ => "no method that is known here; no user is carried over",
    };
    ini.note("auth_type", why);
    matches!(method, "plain" | "trust" | "any" | "hba")
}

fn account(ini: &mut Ini, accounts: &mut Accounts, user: &Listed, method: &str) {
    let Listed { name, secret, spot } = user;
    let about = format!("user `{name}`");
    let mut lost = |why: &str| ini.note_at(Some(spot), &about, why);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return lost("not a name for a user");
    }
    let is_verifier = secret.starts_with("SCRAM-SHA-256$");
    let is_md5 = Md5Password::parse(secret).is_some();
    let credential = if matches!(method, "trust" | "any") {
        "trust = true".to_owned()
    } else if secret.is_empty() {
        return lost("it has no password, and cannot log in");
    } else if is_verifier && Verifier::parse(secret).is_none() {
        return lost("the verifier is malformed, or has more rounds than are allowed");
    } else if is_verifier {
        format!("verifier = {}", toml_text(secret))
    } else if is_md5 && method == "scram-sha-256" {
        return lost("an md5 hash, with which nobody can log in by SCRAM");
    } else if is_md5 {
        format!("md5 = {}", toml_text(secret))
    } else {
        let file = secret_file("user", name, accounts.secrets.len());
        format!("password = {{ file = {} }}", toml_text(&file))
    };
    if !is_verifier && !is_md5 && !secret.is_empty() {
        // Also where clients are trusted: a pool may log in as this user.
        let file = secret_file("user", name, accounts.secrets.len());
        accounts.passwords.insert(name.clone(), file.clone());
        accounts
            .secrets
            .push((file, Zeroizing::new(format!("{secret}\n"))));
    }
    accounts.names.push(name.clone());
    let table = format!("[user.{}]\n{credential}\n\n", toml_key(name));
    accounts.text.push_str(&table);
}

/// `secrets/user-alice`; a number where the name is no name for a file.
pub(super) fn secret_file(kind: &str, name: &str, number: usize) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match name.bytes().all(plain) {
        true => format!("secrets/{kind}-{name}"),
        false => format!("secrets/{kind}.{number}"),
    }
}

fn admin(ini: &mut Ini, accounts: &mut Accounts) {
    let written = ini.value("admin_users").unwrap_or("").to_owned();
    let wanted = written.split(',').map(str::trim);
    let mut users = Vec::new();
    for name in wanted.filter(|name| !name.is_empty()) {
        match accounts.names.iter().any(|known| known == name) {
            true => users.push(toml_text(name)),
            false => ini.note("admin_users", &format!("`{name}` is no user of the policy")),
        }
    }
    if !users.is_empty() {
        ini.note("admin_users", "the console is the database `pgwarden`");
        let table = format!("[admin]\nusers = [{}]\n", users.join(", "));
        accounts.text.push_str(&table);
    }
}
