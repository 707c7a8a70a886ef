//! The keys of the tables that say where: listeners, nodes, branches, pools.

use super::Kind;
use super::Noun;
use super::key;
use super::later;

const TEXT: Kind = Kind::Text;
const NAME: Kind = Kind::Name;

/// `[listener.NAME]`.
pub(in crate::policy) static LISTENER: Noun = Noun {
    name: "listener",
    about: "Addresses on which clients are accepted.",
    keys: &[
        key(
            "bind",
            Kind::Several(&TEXT),
            "Addresses: `127.0.0.1:6432`, `[::]:6432`, `unix:PATH`.",
        )
        .required()
        .also(&["listen_addr", "address", "listen"]),
        key(
            "pipeline",
            NAME,
            "The pipeline of its sessions. Default: `default`, or the only one.",
        ),
        key(
            "tls",
            Kind::Short(&LISTENER_TLS),
            "TLS towards clients. Default: `disable`.",
        ),
        key(
            "max_connections",
            Kind::Integer,
            "Clients at a time. Default: 1000.",
        )
        .also(&["max_client_conn"]),
        key(
            "login_timeout",
            Kind::Duration,
            "From accept to logged in, TLS included. Default: 60s.",
        )
        .also(&["client_login_timeout", "authentication_timeout"]),
        key(
            "idle_timeout",
            Kind::Duration,
            "How long a client may be silent outside a transaction. Default: for ever.",
        )
        .also(&["client_idle_timeout"]),
        later(
            "proxy_protocol",
            "The sources PROXY protocol headers are believed from.",
        ),
    ],
};

/// `tls` of a listener.
pub(in crate::policy) static LISTENER_TLS: Noun = Noun {
    name: "tls",
    about: "TLS towards clients.",
    keys: &[
        key(
            "mode",
            Kind::OneOf(|| vec!["disable", "allow", "require"]),
            "Default: `allow` with a certificate.",
        )
        .also(&["sslmode", "client_tls_sslmode"]),
        key(
            "min",
            Kind::OneOf(|| vec!["1.2", "1.3"]),
            "The lowest version. Default: 1.2.",
        ),
        key("cert", Kind::Path, "The certificate chain, PEM.").also(&["client_tls_cert_file"]),
        key("key", Kind::Secret, "The private key, PEM.").also(&["client_tls_key_file"]),
        later("client_ca", "The authority of client certificates."),
    ],
};

/// `[node.NAME]`.
pub(in crate::policy) static NODE: Noun = Noun {
    name: "node",
    about: "One PostgreSQL server.",
    keys: &[
        key(
            "role",
            Kind::OneOf(|| vec!["primary", "standby"]),
            "What it is.",
        )
        .required(),
        key(
            "host",
            TEXT,
            "Host name, address, or the folder of its Unix socket.",
        )
        .required(),
        key("port", Kind::Integer, "Default: 5432."),
        key(
            "tls",
            Kind::Short(&NODE_TLS),
            "TLS towards the node. Default: `disable`.",
        )
        .also(&["sslmode"]),
        key(
            "connect_timeout",
            Kind::Duration,
            "How long connecting and logging in may take. Default: 15s.",
        )
        .also(&["server_connect_timeout"]),
        key(
            "weight",
            Kind::Integer,
            "Its share of what goes to several nodes in turn, from 1 to 1000. Default: 1.",
        ),
        key(
            "max_lag",
            Kind::Duration,
            "A standby that is further behind takes no statements. Default: it takes them however far it is.",
        ),
    ],
};

/// `tls` of a node.
pub(in crate::policy) static NODE_TLS: Noun = Noun {
    name: "tls",
    about: "TLS towards a node.",
    keys: &[
        key(
            "mode",
            Kind::OneOf(|| vec!["disable", "require", "verify-full"]),
            "Whether, and how sure.",
        )
        .required(),
        key(
            "ca",
            Kind::Path,
            "The authority, PEM. Default: the system's.",
        )
        .also(&["sslrootcert"]),
    ],
};

/// `[branch.NAME]`.
pub(in crate::policy) static BRANCH: Noun = Noun {
    name: "branch",
    about: "A set of nodes and a database that a statement can be routed to.",
    keys: &[
        key("node", NAME, "The node."),
        key(
            "nodes",
            Kind::Several(&NAME),
            "The nodes, where there are several.",
        ),
        key(
            "database",
            TEXT,
            "The database there. Default: the session's.",
        )
        .also(&["dbname"]),
    ],
};

/// `[pool.NAME]`.
pub(in crate::policy) static POOL: Noun = Noun {
    name: "pool",
    about: "Server connections to some nodes, for some databases.",
    keys: &[
        key("database", TEXT, "A name, a glob, or `*` for all.")
            .required()
            .also(&["dbname"]),
        key("nodes", Kind::Several(&NAME), "The nodes.")
            .required()
            .also(&["node", "host", "servers"]),
        key(
            "mode",
            Kind::OneOf(|| vec!["session", "transaction"]),
            "When a server connection returns. Default: `session`.",
        )
        .also(&["pool_mode"]),
        key(
            "size",
            Kind::Integer,
            "Server connections to a node, for a user and database. Default: 20.",
        )
        .also(&["pool_size", "default_pool_size", "max_size"]),
        key(
            "wait",
            Kind::Duration,
            "How long a statement waits for a server connection. Default: 120s.",
        )
        .also(&["query_wait_timeout", "checkout_timeout"]),
        key(
            "login",
            Kind::Table(&LOGIN),
            "Who the proxy is to the node. Default: the client's own user.",
        ),
        key(
            "reset",
            TEXT,
            "Sent before another client gets a server connection. Default: `DISCARD ALL`.",
        )
        .also(&["server_reset_query"]),
        key(
            "idle_timeout",
            Kind::Duration,
            "An unused server connection is closed after this. Default: 10m.",
        )
        .also(&["server_idle_timeout"]),
        key(
            "lifetime",
            Kind::Duration,
            "A server connection is replaced after this. Default: 1h.",
        )
        .also(&["server_lifetime"]),
        key(
            "max_prepared_statements",
            Kind::Integer,
            "Prepared statements kept on a server connection. Default: 200.",
        ),
        key(
            "session_state",
            Kind::OneOf(|| vec!["pin", "refuse", "ignore"]),
            "What a statement that changes the session does in transaction mode. Default: `pin`.",
        ),
        later("min_size", "Server connections that are always open."),
        later("reserve_size", "Server connections for the impatient."),
        later("query_timeout", "How long a statement may run."),
        later(
            "idle_transaction_timeout",
            "How long a transaction may do nothing.",
        ),
        later("connect_query", "Sent on a new server connection."),
    ],
};

/// `login` of a pool.
pub(in crate::policy) static LOGIN: Noun = Noun {
    name: "login",
    about: "Who the proxy is to the node.",
    keys: &[
        key("user", TEXT, "The name.").required(),
        key(
            "password",
            Kind::Secret,
            "The password, where the node asks for one.",
        ),
    ],
};
