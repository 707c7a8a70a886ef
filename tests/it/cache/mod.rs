//! Answers that a stage keeps: given to whom they may be, on every path, and ended by writes, age, room and reloads. What is
//! kept is told from what a node says by changing rows behind the proxy.

mod ends;
mod paths;
mod whose;

use crate::support::cluster::Cluster;
use crate::support::message::Row;
use crate::support::policy::PolicyText;
use crate::support::proxy::Proxy;
use crate::support::wire::Wire;

/// A proxy whose stage `kept` keeps what is read of one table, which is this test's own.
struct Kept {
    proxy: Proxy,
    policy: PolicyText,
    /// Past the proxy.
    direct: Wire,
    select: String,
    table: &'static str,
}

/// The stage: every read of the table.
fn stage(policy: PolicyText, table: &str, keys: &str) -> PolicyText {
    let stage = format!("when = {{ tables = [\"{table}\"] }}\ncache = {{ {keys} }}");
    policy.stage("cache_get", "kept", &stage)
}

/// One row: `id` 1, `note` `first`, `at` a date.
fn make(table: &str, port: u16) -> Wire {
    let mut direct = Wire::login(port, "app", "app");
    direct.works(&format!("DROP TABLE IF EXISTS {table} CASCADE"));
    direct.works(&format!(
        "CREATE TABLE {table} (id int, note text, at date DEFAULT '2026-03-04', owner text DEFAULT current_user)"
    ));
    direct.works(&format!("INSERT INTO {table} VALUES (1, 'first')"));
    direct
}

impl Kept {
    /// In transaction mode, for a minute unless `keys` say otherwise.
    fn start(table: &'static str, keys: &str) -> Self {
        Self::over(PolicyText::of(Cluster::shared()), table, keys)
    }

    fn over(policy: PolicyText, table: &'static str, keys: &str) -> Self {
        let direct = make(table, Cluster::shared().primary.port);
        let keys = if keys.contains("ttl") {
            keys.to_owned()
        } else {
            format!(
                "ttl = \"1h\"{}{keys}",
                if keys.is_empty() { "" } else { ", " }
            )
        };
        let policy = stage(policy, table, &keys);
        let proxy = Proxy::start(&policy);
        Self {
            proxy,
            policy,
            direct,
            select: format!("SELECT note FROM {table} WHERE id = 1"),
            table,
        }
    }

    fn login(&self, user: &str) -> Wire {
        self.proxy.login(user)
    }

    /// Changes the row, and no cache hears of it.
    fn change_behind(&mut self, note: &str) {
        let table = self.table;
        self.direct
            .works(&format!("UPDATE {table} SET note = '{note}' WHERE id = 1"));
    }

    /// Reads once, so that it is kept, and changes the row behind the proxy: whoever reads `first` now was given what was kept.
    fn fill(&mut self, wire: &mut Wire) {
        self.direct.works(&format!(
            "UPDATE {} SET note = 'first' WHERE id = 1",
            self.table
        ));
        assert_eq!(wire.value(&self.select), "first");
        self.change_behind("second");
        assert_eq!(wire.value(&self.select), "first", "it is kept");
    }

    /// The line of the stage in `SHOW CACHES`.
    fn figures(&self) -> Row {
        let mut rows = self.proxy.admin().table("SHOW CACHES");
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.swap_remove(0)
    }

    fn figure(&self, name: &str) -> u64 {
        self.figures()[name].parse().expect("a number")
    }
}
