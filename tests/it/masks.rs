//! The action `mask` in front of real tables. Two schemas, `twin_a` and `twin_b`, differ in nothing but the values of the masked
//! columns: whatever a client sends, its answers must not tell it which of them it is in.

mod attempts;
mod clients;
mod paths;

use crate::support::cluster::Cluster;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wire::Wire;
use std::sync::OnceLock;

const TWINS: &str = include_str!("masks/twins.sql");

/// The third is for tests that change rows.
const TWINS_AND_BIRDS: [(&str, &str); 3] = [
    ("twin_a", "kolibri"),
    ("twin_b", "nachtigall"),
    ("apart", "kolibri"),
];

const MASK: &str =
    "unless = { role = \"dba\" }\nmask = { columns = [\"users.email\", \"users.ssn\"] }";

fn base() -> PolicyText {
    static TABLES: OnceLock<()> = OnceLock::new();
    let cluster = Cluster::shared();
    TABLES.get_or_init(|| {
        let mut wire = Wire::login(cluster.primary.port, "app", "app");
        for (twin, bird) in TWINS_AND_BIRDS {
            wire.works(&TWINS.replace("TWIN", twin).replace("BIRD", bird));
        }
    });
    PolicyText::of(cluster).users(
        "[role.dba]\n[user.postgres]\ntrust = true\n[user.app]\ntrust = true\n[user.other]\ntrust = true\nroles = [\"dba\"]",
    )
}

fn proxy() -> Proxy {
    Proxy::start(&base().stage("authorize", "masks", MASK))
}

fn login(proxy: &Proxy, user: &str, twin: &str) -> Wire {
    let mut wire = proxy.login(user);
    wire.works(&format!("SET search_path = {twin}"));
    wire
}
