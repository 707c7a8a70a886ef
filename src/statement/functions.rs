//! Which functions of `pg_catalog` are known to change nothing, and which change the session.
//! Owns the lists; where a statement calls a function is found in `classify`.
//!
//! A name without a schema is taken for PostgreSQL's own. A user function with such a name is called instead only when
//! its schema stands before `pg_catalog` in `search_path`, or its argument types fit better: that cannot be seen here.

use super::kind::SessionEffect;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Whether calling a function can change anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Volatility {
    /// No overload of the name is volatile.
    Stable,
    /// An overload of the name is.
    Volatile,
}

static BUILTIN: LazyLock<HashMap<&'static str, Volatility, foldhash::fast::FixedState>> =
    LazyLock::new(|| {
        let mut known =
            HashMap::with_capacity_and_hasher(4096, foldhash::fast::FixedState::default());
        let mut volatility = Volatility::Volatile;
        for line in include_str!("builtin_functions.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            match line {
                "stable:" => volatility = Volatility::Stable,
                "volatile:" => volatility = Volatility::Volatile,
                names => known.extend(
                    names
                        .split(' ')
                        .filter(|name| !name.is_empty())
                        .map(|name| (name, volatility)),
                ),
            }
        }
        known
    });

/// What is known of PostgreSQL's function of that name, folded as the server folds it.
pub(crate) fn volatility(name: &str) -> Option<Volatility> {
    BUILTIN.get(name).copied()
}

/// What calling a function does to the session, as far as its name tells.
pub(crate) fn effect(name: &str) -> SessionEffect {
    match name {
        "set_config" | "setseed" | "pg_backup_start" | "pg_start_backup" => SessionEffect::Session,
        "pg_create_logical_replication_slot" | "pg_create_physical_replication_slot" => {
            SessionEffect::Session
        }
        _ if name.starts_with("pg_advisory_xact_lock")
            || name.starts_with("pg_try_advisory_xact_lock") =>
        {
            SessionEffect::Transaction
        }
        _ if name.starts_with("pg_advisory_")
            || name.starts_with("pg_try_advisory_")
            || name.starts_with("pg_replication_origin_session_") =>
        {
            SessionEffect::Session
        }
        _ => SessionEffect::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_read_whole() {
        for name in [
            "abs",
            "count",
            "now",
            "xpath_exists",
            "left",
            "generate_series",
            "pg_get_viewdef",
        ] {
            assert_eq!(volatility(name), Some(Volatility::Stable), "{name}");
        }
        for name in [
            "nextval",
            "random",
            "txid_current",
            "unique_key_recheck",
            "RI_FKey_cascade_del",
            "ts_rewrite",
        ] {
            assert_eq!(volatility(name), Some(Volatility::Volatile), "{name}");
        }
        for name in ["NEXTVAL", "dblink", "stable:", "#", ""] {
            assert_eq!(volatility(name), None, "{name}");
        }
        assert!(BUILTIN.len() > 2600);
    }

    #[test]
    fn session_locks_and_settings_are_known() {
        assert_eq!(
            effect("pg_try_advisory_lock_shared"),
            SessionEffect::Session
        );
        assert_eq!(
            effect("pg_try_advisory_xact_lock_shared"),
            SessionEffect::Transaction
        );
        assert_eq!(effect("set_config"), SessionEffect::Session);
        assert_eq!(effect("lower"), SessionEffect::None);
    }
}
