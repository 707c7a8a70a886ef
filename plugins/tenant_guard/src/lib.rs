//! Keeps tenants apart: every table `tenant_*` that a statement names must be `tenant_` followed by the user's own tenant.
//!
//! ```toml
//! [plugin.tenant_guard]
//! path = "plugins/tenant_guard.wasm"
//! ```

#![cfg_attr(target_arch = "wasm32", no_std)]

use pgwarden_guest::Context;
use pgwarden_guest::Deny;
use pgwarden_guest::Verdict;

pgwarden_guest::manifest!(include_str!("../manifest.json"));
pgwarden_guest::export!(pre_query => decide, authorize => decide);

const PREFIX: &str = "tenant_";

fn decide(context: &Context<'_>) -> Verdict {
    if context.has_kind("unparsed") {
        return Deny::new(&["the statement's tables cannot be told"])
            .code("42501")
            .into();
    }
    let own = context.tenant();
    for table in context.tables() {
        let Some(tenant) = table.name.strip_prefix(PREFIX) else {
            continue;
        };
        if own != Some(tenant) {
            return Deny::new(&[table.name, " belongs to another tenant"])
                .code("42501")
                .into();
        }
    }
    Verdict::next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgwarden_guest::Field;
    use pgwarden_guest::testing::Input;

    fn ask(tenant: Option<&str>, tables: &[&str]) -> Verdict {
        let names: Vec<Option<&str>> = tables
            .iter()
            .flat_map(|table| [None, Some(*table)])
            .collect();
        let input = Input::new()
            .items(Field::Kinds, &[Some("select")])
            .items(Field::Tables, &names);
        match tenant {
            Some(tenant) => input.text(Field::UserTenant, tenant).ask(decide),
            None => input.ask(decide),
        }
    }

    #[test]
    fn a_tenant_reaches_its_own_tables_and_common_ones() {
        assert_eq!(ask(Some("7"), &["tenant_7", "products"]), Verdict::next());
        assert_eq!(ask(None, &["products"]), Verdict::next());
    }

    #[test]
    fn one_foreign_table_among_others_is_enough() {
        let (code, message) = ask(Some("7"), &["products", "tenant_7", "tenant_8"])
            .refusal()
            .expect("a refusal");
        assert_eq!(
            (&*code, &*message),
            ("42501", "tenant_8 belongs to another tenant")
        );
        for (tenant, table) in [
            (None, "tenant_7"),
            (Some(""), "tenant_7"),
            (Some("7"), "tenant_77"),
            (Some("77"), "tenant_7"),
        ] {
            assert!(
                ask(tenant, &[table]).refusal().is_some(),
                "{tenant:?} {table}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let input = Input::new()
            .items(Field::Kinds, &[Some("unparsed")])
            .text(Field::UserTenant, "7");
        assert!(input.ask(decide).refusal().is_some());
    }
}
