//! Keeps data in its region: an attribute of the user leads to a branch or node, and where a region is only a copy, what may
//! write is refused. A user of no known region goes nowhere, unless the configuration says otherwise.
//!
//! ```toml
//! [plugin.residency_router]
//! path   = "plugins/residency_router.wasm"
//! config = { regions = { eu = { to = "branch:eu" }, us = { to = "branch:us", writes = false } } }
//! ```

#![cfg_attr(target_arch = "wasm32", no_std)]

use pgwarden_guest::Context;
use pgwarden_guest::Deny;
use pgwarden_guest::Field;
use pgwarden_guest::Text;
use pgwarden_guest::Verdict;
use pgwarden_guest::host;

pgwarden_guest::manifest!(include_str!("../manifest.json"));
pgwarden_guest::export!(route => decide);

/// Bytes of a setting; four for each character that the manifest allows.
const SETTING_BYTES_MAX: usize = 512;
const PATH_BYTES_MAX: usize = 512;

fn decide(context: &Context<'_>) -> Verdict {
    let mut attribute = [0; SETTING_BYTES_MAX];
    let attribute = host::config("attribute", &mut attribute).unwrap_or("region");
    let region = context.pair(Field::UserAttributes, attribute);
    let mut to = [0; SETTING_BYTES_MAX];
    let found = region.and_then(|region| Some((region, setting(region, "to", &mut to)?)));
    let Some((region, to)) = found else {
        return unknown(context, attribute);
    };
    let mut writes = [0; SETTING_BYTES_MAX];
    if setting(region, "writes", &mut writes) == Some("false") && !context.changes_nothing() {
        return Deny::new(&["nothing is written in the region ", region])
            .code("25006")
            .hint(&["write in the region where the data lives"])
            .into();
    }
    match to.split_once(':') {
        Some(("branch", name)) if !name.is_empty() => Verdict::route_branch(name),
        Some(("node", name)) if !name.is_empty() => Verdict::route_node(name),
        None if to == "primary" => Verdict::route_primary(),
        None if to == "standby" => Verdict::route_standby(),
        None if to == "default" => Verdict::route_default(),
        _ => Deny::new(&["the policy leads the region ", region, " nowhere"])
            .code("58000")
            .into(),
    }
}

fn unknown(context: &Context<'_>, attribute: &str) -> Verdict {
    let mut buffer = [0; SETTING_BYTES_MAX];
    if host::config("unknown", &mut buffer) == Some("default") {
        return Verdict::route_default();
    }
    Deny::new(&["no place is known for ", context.user()])
        .code("42501")
        .hint(&[
            "the attribute ",
            attribute,
            " of the user must name one of the policy's regions",
        ])
        .into()
}

/// A setting of a region.
fn setting<'a>(
    region: &str,
    name: &str,
    buffer: &'a mut [u8; SETTING_BYTES_MAX],
) -> Option<&'a str> {
    // A dot would lead elsewhere in the configuration, and nothing to the table of all regions.
    if region.is_empty() || region.contains('.') {
        return None;
    }
    let path = Text::<PATH_BYTES_MAX>::of(&["regions.", region, ".", name]);
    host::config(path.whole()?, buffer)
}

#[cfg(test)]
mod tests;
