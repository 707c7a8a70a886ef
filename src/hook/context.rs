//! What a stage is told: the session, the statement, the outcome. Built once per statement and borrowed by every stage.
//! Owns no permission: what of it a guest may see is decided in `sandbox/permission`.

use super::answer::Rows;
use super::kind::Hook;
use crate::sqlstate::SqlState;
use crate::statement::Facts;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Who the client is, after `authenticate`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// The name everything is decided by.
    pub user: Arc<str>,
    /// An id of the identity provider's, where a stage gave one.
    pub user_id: Option<Arc<str>>,
    /// Role names, as the policy spells them.
    pub roles: Vec<Arc<str>>,
    /// The tenant, where a stage gave one or the user has an attribute `tenant`.
    pub tenant: Option<Arc<str>>,
    /// Claims an `authenticate` stage gave.
    pub claims: BTreeMap<String, String>,
}

impl Identity {
    /// Bytes of the texts in it.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.user_id, &self.tenant].into_iter().flatten();
        let texts = texts.chain([&self.user]).chain(&self.roles);
        let claims = self.claims.iter().flat_map(|(name, value)| [name, value]);
        texts.map(|text| text.len()).sum::<usize>() + claims.map(String::len).sum::<usize>()
    }
}

/// Where the client came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClientAddress {
    /// Over TCP.
    Ip(IpAddr, u16),
    /// Over a Unix socket.
    Unix,
}

impl ClientAddress {
    /// The address without its port, as policies write it.
    #[must_use]
    pub fn host(self) -> String {
        match self {
            Self::Ip(address, _) => address.to_string(),
            Self::Unix => "unix".to_owned(),
        }
    }
}

/// How the client proved who it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AuthMethod {
    /// Nothing is proven yet.
    None,
    /// `trust = true` in the policy.
    Trust,
    /// SCRAM-SHA-256.
    Scram,
    /// The md5 method.
    Md5,
    /// An `authenticate` stage.
    Stage,
    /// The node's own exchange, relayed.
    Node,
}

impl AuthMethod {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Trust,
        Self::Scram,
        Self::Md5,
        Self::Stage,
        Self::Node,
    ];

    /// The name in policies and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Trust => "trust",
            Self::Scram => "scram",
            Self::Md5 => "md5",
            Self::Stage => "stage",
            Self::Node => "node",
        }
    }
}

/// What is true of a session as long as it lives (or until it authenticates).
#[derive(Clone, Debug)]
pub struct SessionContext {
    /// One id per session; `client_id` of the seed.
    pub client_id: Uuid,
    /// Who it is.
    pub identity: Identity,
    /// The database the client asked for.
    pub database: Arc<str>,
    /// The branch its statements go to, where one is set.
    pub branch: Option<Arc<str>>,
    /// `application_name`.
    pub app: Arc<str>,
    /// The listener's name in the policy.
    pub listener: Arc<str>,
    /// Where it came from.
    pub client: ClientAddress,
    /// Whether the client's connection is TLS.
    pub tls: bool,
    /// How it logged in.
    pub auth_method: AuthMethod,
    /// Attributes of the user, from the policy.
    pub attributes: BTreeMap<Arc<str>, Arc<str>>,
    /// Attributes that stages have set. They never replace one of the policy's.
    pub learned: BTreeMap<Arc<str>, Arc<str>>,
}

impl SessionContext {
    /// An attribute: the policy's, or one that a stage has set.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Arc<str>> {
        self.attributes.get(name).or_else(|| self.learned.get(name))
    }
}

/// How a statement arrived.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protocol {
    /// A Query message.
    Simple,
    /// Parse, Bind, Execute.
    Extended,
    /// A FunctionCall message.
    FunctionCall,
}

impl Protocol {
    /// The name in policies and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Extended => "extended",
            Self::FunctionCall => "function_call",
        }
    }
}

/// One statement, as every stage of it sees it.
#[derive(Clone, Debug)]
pub struct StatementContext<'a> {
    /// What was found out about the text; after a rewrite, about the new text.
    pub facts: &'a Facts,
    /// The text that would be sent.
    pub text: &'a str,
    /// How it arrived.
    pub protocol: Protocol,
    /// Whether a transaction block is open.
    pub in_transaction: bool,
    /// Whether the open transaction block may have written.
    pub tx_writes: bool,
    /// How many statements the message held.
    pub statement_count: u32,
}

/// How a statement ended, the same on every protocol path.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// Whether it ended without an error.
    pub success: bool,
    /// The node that answered; `None` when no node was asked.
    pub node: Option<Arc<str>>,
    /// From the statement's arrival to the last byte of its answer.
    pub elapsed: Duration,
    /// Rows sent or changed.
    pub rows: u64,
    /// Bytes of the answer.
    pub bytes_out: u64,
    /// The error's SQLSTATE.
    pub code: Option<SqlState>,
    /// The error's message.
    pub error: Option<Arc<str>>,
    /// Whether the answer came from a stage instead of a node.
    pub cached: bool,
    /// How far behind the node was that answered, where guards ask for it; nothing of a primary, `None`: not known.
    pub lag: Option<Duration>,
}

/// What an `authenticate` stage is asked.
#[derive(Clone, Default)]
pub struct AuthRequest<'a> {
    /// The startup parameters, and `tls`, as name and value.
    pub headers: &'a [(String, String)],
    /// The name the client gave.
    pub username: &'a str,
    /// The cleartext password, only where a stage may see it.
    pub password: Option<&'a str>,
}

impl std::fmt::Debug for AuthRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthRequest")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What a `custom` stage is called with.
#[derive(Clone, Copy, Debug)]
pub struct CustomCall<'a> {
    /// The event's name.
    pub name: &'a str,
    /// The event's payload, as the caller gave it.
    pub payload: &'a str,
}

/// Rows that were fetched for a stage before it is asked.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The name the stage gives them.
    pub name: Arc<str>,
    /// The rows.
    pub rows: Arc<Rows>,
    /// There can be one row at most: a script sees the value of a single column itself.
    pub single: bool,
}

/// Everything a stage can be told at one hook.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The moment.
    pub hook: Hook,
    /// One id for all hooks of a statement (uuid v7); the session's id where there is no statement.
    pub request_id: Uuid,
    /// The session.
    pub session: &'a SessionContext,
    /// The statement, where [`Hook::has_statement`].
    pub statement: Option<&'a StatementContext<'a>>,
    /// The outcome, where [`Hook::has_outcome`].
    pub outcome: Option<&'a Outcome>,
    /// The login, at `authenticate`.
    pub auth: Option<&'a AuthRequest<'a>>,
    /// The call, at `custom`.
    pub custom: Option<CustomCall<'a>>,
    /// What the stage has loaded.
    pub loaded: &'a [Loaded],
    /// Microseconds since 1970, where the guards of a stage ask for the time; the same for all stages of a moment.
    pub now: Option<u64>,
    /// At `route`, how far behind the nearest standby is, where guards ask for it; `None`: not known.
    pub lag: Option<Duration>,
}
