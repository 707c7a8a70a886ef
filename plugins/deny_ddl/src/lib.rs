//! Refuses schema changes and grants, unless the user has one of the roles that the configuration lists.
//!
//! ```toml
//! [plugin.deny_ddl]
//! path   = "plugins/deny_ddl.wasm"
//! config = { roles = ["dba"] }
//! ```

#![cfg_attr(target_arch = "wasm32", no_std)]

use pgwarden_guest::Context;
use pgwarden_guest::Deny;
use pgwarden_guest::Verdict;
use pgwarden_guest::host;

pgwarden_guest::manifest!(include_str!("../manifest.json"));
pgwarden_guest::export!(pre_query => decide, authorize => decide);

/// What counts as a change to the schema or to who may do what. A statement that cannot be read may be one.
const KINDS: [&str; 3] = ["ddl", "grant", "unparsed"];
/// Roles the configuration may list.
const ROLES_MAX: usize = 64;
/// Bytes of a role's name.
const ROLE_BYTES_MAX: usize = 128;

fn decide(context: &Context<'_>) -> Verdict {
    let Some(kind) = KINDS.into_iter().find(|kind| context.has_kind(kind)) else {
        return Verdict::next();
    };
    if is_exempt(context) {
        return Verdict::next();
    }
    Deny::new(&["schema changes (", kind, ") go through migrations"])
        .code("42501")
        .hint(&["ask someone with a role that may"])
        .into()
}

fn is_exempt(context: &Context<'_>) -> bool {
    let mut path = *b"roles.00";
    let mut buffer = [0; ROLE_BYTES_MAX];
    for index in 0..ROLES_MAX {
        let path = numbered(&mut path, index);
        match host::config(path, &mut buffer) {
            Some(role) if context.has_role(role) => return true,
            Some(_) => {}
            None => return false,
        }
    }
    false
}

/// `roles.7`, `roles.12`.
fn numbered(path: &mut [u8; 8], index: usize) -> &str {
    let (tens, ones) = ((index / 10) as u8, (index % 10) as u8);
    let digits = if tens == 0 { 1 } else { 2 };
    path[6] = b'0' + if tens == 0 { ones } else { tens };
    path[7] = b'0' + ones;
    core::str::from_utf8(&path[..6 + digits]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgwarden_guest::Field;
    use pgwarden_guest::testing::Input;
    use pgwarden_guest::testing::host;

    fn ask(role: &str, kinds: &[Option<&str>]) -> Verdict {
        host(|host| {
            host.config.insert("roles.0".to_owned(), "dba".to_owned());
            host.config.insert("roles.1".to_owned(), "owner".to_owned());
        });
        Input::new()
            .items(Field::UserRoles, &[Some(role)])
            .items(Field::Kinds, kinds)
            .ask(decide)
    }

    #[test]
    fn schema_changes_need_a_listed_role() {
        for kind in ["ddl", "grant", "unparsed"] {
            let (code, message) = ask("app", &[Some("select"), Some(kind)])
                .refusal()
                .expect("a refusal");
            assert_eq!(code, "42501");
            assert!(message.contains(kind), "{message}");
            assert_eq!(ask("dba", &[Some(kind)]), Verdict::next());
            assert_eq!(ask("owner", &[Some(kind)]), Verdict::next());
        }
    }

    #[test]
    fn everything_else_is_not_its_business() {
        assert_eq!(ask("app", &[Some("select")]), Verdict::next());
        assert_eq!(ask("app", &[]), Verdict::next());
    }

    #[test]
    fn paths_are_counted_in_decimal() {
        let mut path = *b"roles.00";
        for (index, written) in [
            (0, "roles.0"),
            (9, "roles.9"),
            (10, "roles.10"),
            (63, "roles.63"),
        ] {
            assert_eq!(numbered(&mut path, index), written);
        }
    }
}
