//! What a plugin is told in one of its tests. Owns the defaults, which are those of somebody called ada at a shop.

use super::arcs;
use super::pairs;
use super::sqlstate;
use crate::hook::AuthMethod;
use crate::hook::ClientAddress;
use crate::hook::Identity;
use crate::hook::Outcome;
use crate::hook::Protocol;
use crate::hook::SessionContext;
use crate::policy::keys::Kind;
use crate::policy::keys::Noun;
use crate::policy::reading::Table;
use crate::policy::test::client;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// 2026-01-01T00:00:00Z.
const TIME: i64 = 1_767_225_600;

const PROTOCOLS: [(&str, Protocol); 3] = [
    ("simple", Protocol::Simple),
    ("extended", Protocol::Extended),
    ("function_call", Protocol::FunctionCall),
];

/// What a plugin is told.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The statement.
    pub sql: Arc<str>,
    /// The session.
    pub session: SessionContext,
    /// How the statement arrived.
    pub protocol: Protocol,
    /// Whether a transaction block is open.
    pub in_transaction: bool,
    /// Whether it may have written.
    pub tx_writes: bool,
    /// Statements in the message.
    pub statement_count: u32,
    /// How the statement ended.
    pub outcome: Outcome,
    /// The name the client gave, where it is not the user's.
    pub username: Option<Arc<str>>,
    /// The password the client gave.
    pub password: Option<Arc<str>>,
    /// The startup parameters.
    pub headers: Vec<(String, String)>,
    /// Name and payload of the event.
    pub event: (Arc<str>, Arc<str>),
    /// The time of day, in seconds since 1970.
    pub time: i64,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            sql: "SELECT 1".into(),
            session: SessionContext {
                client_id: Uuid::nil(),
                identity: Identity {
                    user: "ada".into(),
                    ..Identity::default()
                },
                database: "shop".into(),
                branch: None,
                app: "".into(),
                listener: "main".into(),
                client: ClientAddress::Ip(Ipv4Addr::LOCALHOST.into(), 0),
                tls: false,
                auth_method: AuthMethod::None,
                attributes: BTreeMap::new(),
                learned: BTreeMap::new(),
            },
            protocol: Protocol::Simple,
            in_transaction: false,
            tx_writes: false,
            statement_count: 1,
            outcome: Outcome {
                success: true,
                ..Outcome::default()
            },
            username: None,
            password: None,
            headers: Vec::new(),
            event: ("".into(), "".into()),
            time: TIME,
        }
    }
}

pub(super) fn asked(table: Table<'_, '_>) -> Asked {
    let mut asked = Asked::default();
    if let Some(sql) = table.arc("sql") {
        asked.sql = sql;
    }
    if let Some(user) = inner(&table, "user") {
        asked.session.identity = identity(&user);
        asked.session.attributes = pairs(&user, "attributes").into_iter().collect();
        user.finish();
    }
    if let Some(table) = inner(&table, "session") {
        session(&table, &mut asked);
        table.finish();
    }
    if let Some(table) = inner(&table, "result") {
        asked.outcome = outcome(&table);
        table.finish();
    }
    if let Some(auth) = inner(&table, "auth") {
        asked.username = auth.arc("username");
        asked.password = auth.arc("password");
        let headers = pairs(&auth, "headers").into_iter();
        asked.headers = headers
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        auth.finish();
    }
    if let Some(event) = inner(&table, "event") {
        let payload = event.arc("payload").unwrap_or_default();
        asked.event = (event.arc("name").unwrap_or_default(), payload);
        event.finish();
    }
    if let Some(time) = table.date("time") {
        asked.time = time;
    }
    table.finish();
    asked
}

/// The table under a key, as the table of the language describes it.
fn inner<'r, 'a>(table: &Table<'r, 'a>, key: &'static str) -> Option<Table<'r, 'a>> {
    let noun: Option<&'static Noun> = match crate::policy::keys::ASKED.key(key)?.kind {
        Kind::Table(noun) => Some(noun),
        _ => None,
    };
    table.table(key, noun?)
}

fn identity(table: &Table<'_, '_>) -> Identity {
    let claims = pairs(table, "claims").into_iter();
    Identity {
        user: table.arc("name").unwrap_or_else(|| "ada".into()),
        user_id: table.arc("id"),
        roles: arcs(table, "roles"),
        tenant: table.arc("tenant"),
        claims: claims
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
    }
}

fn session(table: &Table<'_, '_>, asked: &mut Asked) {
    let session = &mut asked.session;
    if let Some(database) = table.arc("database") {
        session.database = database;
    }
    session.branch = table.arc("branch");
    session.app = table.arc("app").unwrap_or_default();
    session.client = client(table);
    session.tls = table.boolean("tls").unwrap_or(false);
    if let Some(listener) = table.arc("listener") {
        session.listener = listener;
    }
    let methods = AuthMethod::ALL.map(|method| (method.name(), method));
    session.auth_method = table
        .choice("auth_method", &methods)
        .unwrap_or(AuthMethod::None);
    session.learned = pairs(table, "attributes").into_iter().collect();
    asked.in_transaction = table.boolean("in_transaction").unwrap_or(false);
    asked.tx_writes = table.boolean("tx_writes").unwrap_or(false);
    asked.protocol = table
        .choice("protocol", &PROTOCOLS)
        .unwrap_or(Protocol::Simple);
    let count = table.integer("statement_count", 1..=u64::from(u32::MAX));
    asked.statement_count = count
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(1);
}

fn outcome(table: &Table<'_, '_>) -> Outcome {
    let code = sqlstate(table);
    let number = |key| table.integer(key, 0..=u64::MAX).unwrap_or(0);
    Outcome {
        success: code.is_none(),
        node: table.arc("node"),
        elapsed: table.duration("elapsed").unwrap_or(Duration::ZERO),
        rows: number("rows"),
        bytes_out: number("bytes"),
        error: table.arc("error"),
        cached: table.boolean("cached").unwrap_or(false),
        lag: None,
        code,
    }
}
