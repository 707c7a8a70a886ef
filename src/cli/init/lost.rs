//! Settings of PgBouncer that a policy does not carry: what is missing then, or why nothing is. Owns the list, and no value.

/// What becomes of a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It is carried over.
    Carried,
    /// Nothing is missing without it.
    Needless,
    /// This is missing.
    Lost(&'static str),
    /// Nobody knows it.
    Unknown,
}

/// What `convert` reads of `[pgbouncer]`.
const CARRIED: [&str; 25] = [
    "listen_addr",
    "listen_port",
    "unix_socket_dir",
    "auth_type",
    "auth_file",
    "pool_mode",
    "max_client_conn",
    "default_pool_size",
    "query_wait_timeout",
    "server_idle_timeout",
    "server_lifetime",
    "server_connect_timeout",
    "server_reset_query",
    "client_login_timeout",
    "client_idle_timeout",
    "max_prepared_statements",
    "admin_users",
    "client_tls_sslmode",
    "client_tls_cert_file",
    "client_tls_key_file",
    "client_tls_protocols",
    "server_tls_sslmode",
    "server_tls_ca_file",
    "ignore_startup_parameters",
    "track_extra_parameters",
];

/// The log goes to standard error, the process is its service's, and what is measured is at `[admin] metrics`. Every startup
/// parameter and setting of a session is taken and kept as it is.
const NEEDLESS: [&str; 40] = [
    "logfile",
    "pidfile",
    "syslog",
    "syslog_ident",
    "syslog_facility",
    "log_connections",
    "log_disconnections",
    "log_pooler_errors",
    "log_stats",
    "stats_period",
    "verbose",
    "user",
    "job_name",
    "service_name",
    "conffile",
    "so_reuseport",
    "listen_backlog",
    "tcp_defer_accept",
    "tcp_socket_buffer",
    "tcp_keepalive",
    "tcp_keepcnt",
    "tcp_keepidle",
    "tcp_keepintvl",
    "tcp_user_timeout",
    "pkt_buf",
    "sbuf_loopcnt",
    "max_packet_size",
    "autodb_idle_timeout",
    "cancel_wait_timeout",
    "suspend_timeout",
    "server_login_retry",
    "server_fast_close",
    "server_check_delay",
    "server_check_query",
    "dns_max_ttl",
    "dns_nxdomain_ttl",
    "dns_zone_check_period",
    "resolv_conf",
    "scram_iterations",
    "query_wait_notify",
];

const LIMITS: &str = "there is no such limit; `size` bounds a pool, `max_connections` a listener";
const TIMES: &str = "there is no such limit; write `rewrite = { statement_timeout }` in a stage, or ALTER ROLE .. SET";
const LOOKUP: &str = "users are not looked up in the database; they stand in the policy";
const CERTIFICATES: &str = "certificates of clients are not asked for";
const OWN_CERTIFICATE: &str = "nodes are shown no certificate";
const CIPHERS: &str = "TLS 1.2 and 1.3 with safe ciphers, which cannot be chosen";

const LOST: &[(&str, &str)] = &[
    (
        "min_pool_size",
        "server connections are opened when they are needed",
    ),
    ("reserve_pool_size", "there is no reserve; raise `size`"),
    ("reserve_pool_timeout", "there is no reserve"),
    ("max_db_connections", LIMITS),
    ("max_db_client_connections", LIMITS),
    ("max_user_connections", LIMITS),
    ("max_user_client_connections", LIMITS),
    (
        "server_round_robin",
        "the server connection used last is used first",
    ),
    (
        "server_reset_query_always",
        "in transaction mode a server connection is reset when a session leaves something behind",
    ),
    ("query_timeout", TIMES),
    (
        "idle_transaction_timeout",
        "there is no such limit; write ALTER ROLE .. SET idle_in_transaction_session_timeout",
    ),
    (
        "transaction_timeout",
        "there is no such limit; write ALTER ROLE .. SET transaction_timeout",
    ),
    (
        "application_name_add_host",
        "`application_name` stays as the client set it",
    ),
    (
        "stats_users",
        "the console has no users who may only look; `[admin] metrics` serves figures to anybody who connects",
    ),
    ("auth_user", LOOKUP),
    ("auth_query", LOOKUP),
    ("auth_dbname", LOOKUP),
    (
        "auth_hba_file",
        "there are no rules per address; write a stage at `on_connect` with `client`",
    ),
    ("auth_ident_file", "names are not mapped"),
    ("auth_ldap_options", "there is no LDAP"),
    (
        "disable_pqexec",
        "a Query message may hold several statements; `[sql] max_statements = 1` refuses that",
    ),
    (
        "unix_socket_mode",
        "the socket has the rights of its folder and the umask",
    ),
    (
        "unix_socket_group",
        "the socket has the group of the process",
    ),
    ("client_tls_ca_file", CERTIFICATES),
    ("client_tls_ciphers", CIPHERS),
    ("client_tls13_ciphers", CIPHERS),
    ("client_tls_dheparams", CIPHERS),
    ("client_tls_ecdhcurve", CIPHERS),
    ("server_tls_ciphers", CIPHERS),
    ("server_tls13_ciphers", CIPHERS),
    (
        "server_tls_protocols",
        "TLS 1.2 and 1.3 are spoken to nodes",
    ),
    ("server_tls_key_file", OWN_CERTIFICATE),
    ("server_tls_cert_file", OWN_CERTIFICATE),
    (
        "peer_id",
        "several processes do not know of one another; a cancel must reach the one that has the session",
    ),
];

/// Of values in `[databases]`, what has no counterpart.
const LOST_OF_DATABASE: &[(&str, &str)] = &[
    (
        "connect_query",
        "nothing is sent on a new server connection; write ALTER ROLE or ALTER DATABASE .. SET",
    ),
    (
        "client_encoding",
        "clients set it themselves; write ALTER DATABASE .. SET",
    ),
    (
        "datestyle",
        "clients set it themselves; write ALTER DATABASE .. SET",
    ),
    (
        "timezone",
        "clients set it themselves; write ALTER DATABASE .. SET",
    ),
    ("application_name", "clients set it themselves"),
    (
        "min_pool_size",
        "server connections are opened when they are needed",
    ),
    ("reserve_pool", "there is no reserve; raise `size`"),
    ("reserve_pool_size", "there is no reserve; raise `size`"),
    ("max_db_connections", LIMITS),
    ("max_db_client_connections", LIMITS),
    ("auth_user", LOOKUP),
    ("auth_query", LOOKUP),
    ("auth_dbname", LOOKUP),
    ("load_balance_hosts", "one host is carried over"),
];

/// What becomes of a setting in `[pgbouncer]`. One that is switched off is missed by nobody.
pub(super) fn fate(key: &str, value: &str) -> Fate {
    if CARRIED.contains(&key) {
        return Fate::Carried;
    }
    if NEEDLESS.contains(&key) {
        return Fate::Needless;
    }
    known(LOST, key, value)
}

/// The same of a value in `[databases]`; `None` for what is carried.
pub(super) fn fate_of_database(key: &str, value: &str) -> Fate {
    known(LOST_OF_DATABASE, key, value)
}

fn known(list: &[(&str, &'static str)], key: &str, value: &str) -> Fate {
    match list.iter().find(|(known, _)| *known == key) {
        None => Fate::Unknown,
        Some(_) if is_off(value) => Fate::Needless,
        Some((_, why)) => Fate::Lost(why),
    }
}

fn is_off(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    matches!(&*value, "" | "off" | "no" | "false") || value.parse::<f64>().is_ok_and(|n| n == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_has_one_fate() {
        let lost = LOST.iter().map(|(key, _)| *key);
        let mut all: Vec<&str> = CARRIED.into_iter().chain(NEEDLESS).chain(lost).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(fate("pool_mode", "session"), Fate::Carried);
        assert_eq!(fate("logfile", "x"), Fate::Needless);
        assert_eq!(fate("auth_query", "select"), Fate::Lost(LOOKUP));
        assert_eq!(fate("query_timeout", "0.0"), Fate::Needless);
        assert_eq!(fate("pool_mod", "x"), Fate::Unknown);
        assert_eq!(
            fate_of_database("timezone", "UTC"),
            Fate::Lost(LOST_OF_DATABASE[3].1)
        );
    }
}
