//! Which functions of `pg_catalog` are known to change nothing, which of those depend on nothing but their arguments and the
//! session's settings, and which change the session.
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
    /// Every overload of the name depends on its arguments alone.
    Immutable,
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
                "immutable:" => volatility = Volatility::Immutable,
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

/// Functions that PostgreSQL calls stable because they look at settings or at how a type is defined, and at nothing else: not
/// at the time, the user, the catalog, or tables that no text names. Sorted.
const STEADY: [&str; 55] = [
    "array_to_json",
    "array_to_string",
    "concat",
    "concat_ws",
    "convert",
    "convert_from",
    "convert_to",
    "date",
    "date_part",
    "date_trunc",
    "enum_first",
    "enum_last",
    "enum_range",
    "extract",
    "format",
    "generate_series",
    "json_agg",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "json_populate_record",
    "json_populate_recordset",
    "json_to_record",
    "json_to_recordset",
    "json_to_tsvector",
    "jsonb_agg",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_populate_record",
    "jsonb_populate_recordset",
    "jsonb_to_record",
    "jsonb_to_recordset",
    "jsonb_to_tsvector",
    "length",
    "make_timestamptz",
    "money",
    "numeric",
    "overlaps",
    "phraseto_tsquery",
    "plainto_tsquery",
    "quote_literal",
    "quote_nullable",
    "row_to_json",
    "time",
    "timestamp",
    "timestamptz",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "to_tsquery",
    "to_tsvector",
    "websearch_to_tsquery",
];

/// Words of the grammar that look like calls and come to what is in their parentheses.
const SYNTAX: [&str; 20] = [
    "all",
    "any",
    "array",
    "cast",
    "coalesce",
    "exists",
    "extract",
    "greatest",
    "grouping",
    "least",
    "normalize",
    "not",
    "nullif",
    "overlay",
    "position",
    "row",
    "some",
    "substring",
    "trim",
    "values",
];

/// Volatile functions that change no table: sequences, chance, time, locks and messages.
const WRITES_NO_TABLE: [&str; 15] = [
    "clock_timestamp",
    "currval",
    "gen_random_uuid",
    "lastval",
    "nextval",
    "pg_current_xact_id",
    "pg_notify",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "random",
    "setseed",
    "setval",
    "timeofday",
    "txid_current",
];

/// Whether what PostgreSQL's function of that name gives follows from its arguments and the session's settings alone.
pub(crate) fn is_steady(name: &str) -> bool {
    SYNTAX.contains(&name)
        || STEADY.binary_search(&name).is_ok()
        || volatility(name) == Some(Volatility::Immutable)
}

/// Whether PostgreSQL has a function of that name, or the grammar a word that looks like one.
pub(crate) fn is_known(name: &str) -> bool {
    SYNTAX.contains(&name) || volatility(name).is_some()
}

/// Whether PostgreSQL's function of that name surely changes no table.
pub(crate) fn writes_no_table(name: &str) -> bool {
    let harmless = match volatility(name) {
        Some(Volatility::Immutable | Volatility::Stable) => true,
        Some(Volatility::Volatile) => {
            WRITES_NO_TABLE.contains(&name)
                || name.starts_with("pg_advisory_")
                || name.starts_with("pg_try_advisory_")
        }
        None => false,
    };
    harmless || SYNTAX.contains(&name)
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
        for name in ["abs", "count", "xpath_exists", "left"] {
            assert_eq!(volatility(name), Some(Volatility::Immutable), "{name}");
        }
        for name in [
            "now",
            "age",
            "generate_series",
            "pg_get_viewdef",
            "xml_send",
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
    fn what_is_steady_is_known_and_not_volatile() {
        assert!(STEADY.is_sorted());
        for name in STEADY {
            assert_eq!(volatility(name), Some(Volatility::Stable), "{name}");
            assert!(is_steady(name));
        }
        for name in WRITES_NO_TABLE {
            assert_eq!(volatility(name), Some(Volatility::Volatile), "{name}");
            assert!(writes_no_table(name) && !is_steady(name), "{name}");
        }
        for name in [
            "now",
            "age",
            "current_setting",
            "table_to_xml",
            "to_regclass",
            "mine",
        ] {
            assert!(!is_steady(name), "{name}");
        }
        for name in ["mine", "lo_put", "query_to_xml", "ts_rewrite", ""] {
            assert!(!writes_no_table(name), "{name}");
        }
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
