//! One line of the log, read. Owns the fields that are used; which there are is in `schemas/decision.schema.json`.

use super::lines::Line;
use crate::hook::AuthMethod;
use crate::hook::ClientAddress;
use crate::hook::Protocol;
use crate::unit;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The version of the format that is read.
const VERSION: u64 = 1;

/// What decides before any stage, about a text that nobody has read.
const UNREAD: [&str; 3] = ["max_bytes", "max_statements", "unreadable"];

/// What a pool refuses by.
const SESSION_STATE: &str = "session_state";

/// One decision.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct Record {
    version: u64,
    #[serde(default)]
    pub(in crate::cli) time: String,
    #[serde(default)]
    pub(in crate::cli) id: String,
    #[serde(default)]
    pub(in crate::cli) policy: String,
    #[serde(default)]
    pub(in crate::cli) revision: String,
    #[serde(default)]
    pub(in crate::cli) session: String,
    pub(in crate::cli) user: Arc<str>,
    #[serde(default)]
    pub(in crate::cli) roles: Vec<Arc<str>>,
    pub(in crate::cli) tenant: Option<Arc<str>>,
    pub(in crate::cli) database: Arc<str>,
    pub(in crate::cli) client: String,
    pub(in crate::cli) app: Arc<str>,
    pub(in crate::cli) listener: Arc<str>,
    pub(in crate::cli) tls: bool,
    auth_method: String,
    pub(in crate::cli) attributes: Option<BTreeMap<Arc<str>, Arc<str>>>,
    protocol: String,
    pub(in crate::cli) in_transaction: bool,
    pub(in crate::cli) tx_writes: bool,
    pub(in crate::cli) statement_count: u32,
    #[serde(flatten)]
    pub(in crate::cli) known: Known,
    pub(in crate::cli) text: Option<String>,
    pub(in crate::cli) runs: Option<Arc<str>>,
    #[serde(default)]
    pub(in crate::cli) rewritten: bool,
    #[serde(default)]
    pub(in crate::cli) masked: Vec<Arc<str>>,
    pub(in crate::cli) sent: Option<String>,
    came: Option<Known>,
    pub(in crate::cli) verdict: String,
    pub(in crate::cli) by: Arc<str>,
    pub(in crate::cli) code: Option<Arc<str>>,
    pub(in crate::cli) message: Option<String>,
    pub(in crate::cli) route: Option<Arc<str>>,
    pub(in crate::cli) routed_by: Option<String>,
    #[serde(default)]
    pub(in crate::cli) fuel: u64,
    #[serde(default)]
    pub(in crate::cli) stages: Vec<Part>,
}

/// What is known of a statement.
#[derive(Clone, Debug, Default, Deserialize)]
pub(in crate::cli) struct Known {
    #[serde(default)]
    pub(in crate::cli) kinds: Vec<String>,
    pub(in crate::cli) read_only: Option<bool>,
    pub(in crate::cli) param_count: Option<u16>,
    pub(in crate::cli) bytes: Option<usize>,
    pub(in crate::cli) has_where: Option<bool>,
    pub(in crate::cli) has_limit: Option<bool>,
    pub(in crate::cli) has_cte: Option<bool>,
    pub(in crate::cli) fingerprint: Option<Arc<str>>,
    pub(in crate::cli) tables: Option<Vec<String>>,
    pub(in crate::cli) functions: Option<Vec<String>>,
    pub(in crate::cli) normalized: Option<Arc<str>>,
}

/// One stage's part.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct Part {
    pub(in crate::cli) hook: String,
    pub(in crate::cli) stage: String,
    pub(in crate::cli) result: String,
    #[serde(default)]
    pub(in crate::cli) observed: bool,
    pub(in crate::cli) fault: Option<String>,
    pub(in crate::cli) fuel: Option<u64>,
}

impl Record {
    /// Reads a line.
    ///
    /// # Errors
    /// Why it is no decision.
    pub(in crate::cli) fn read(line: &Line) -> Result<Self, String> {
        let Some(bytes) = &line.bytes else {
            return Err("it is too long".to_owned());
        };
        let record: Self = serde_json::from_slice(bytes).map_err(|error| match error.is_eof() {
            true => "it ends in the middle".to_owned(),
            false => error.to_string(),
        })?;
        if record.version != VERSION {
            return Err(format!(
                "it is of version {}, and this program reads {VERSION}",
                record.version
            ));
        }
        for (what, word, is_known) in [
            ("protocol", &record.protocol, record.protocol().is_some()),
            (
                "auth_method",
                &record.auth_method,
                record.auth_method().is_some(),
            ),
            (
                "verdict",
                &record.verdict,
                ["allow", "deny", "reply"].contains(&&*record.verdict),
            ),
        ] {
            if !is_known {
                return Err(format!("there is no {what} `{}`", word.escape_debug()));
            }
        }
        Ok(record)
    }

    /// How it arrived.
    pub(in crate::cli) fn protocol(&self) -> Option<Protocol> {
        let all = [Protocol::Simple, Protocol::Extended, Protocol::FunctionCall];
        all.into_iter().find(|known| known.name() == self.protocol)
    }

    /// How the client logged in.
    pub(in crate::cli) fn auth_method(&self) -> Option<AuthMethod> {
        let mut all = AuthMethod::ALL.into_iter();
        all.find(|known| known.name() == self.auth_method)
    }

    /// Where the client came from; what is no address is a Unix socket.
    pub(in crate::cli) fn client(&self) -> ClientAddress {
        let address = self.client.parse();
        address.map_or(ClientAddress::Unix, |address| ClientAddress::Ip(address, 0))
    }

    /// When it was decided, since 1970.
    pub(in crate::cli) fn time(&self) -> Option<Duration> {
        unit::parse_utc_micros(&self.time)
    }

    /// Its id.
    pub(in crate::cli) fn id(&self) -> Uuid {
        Uuid::parse_str(&self.id).unwrap_or_default()
    }

    /// What is known of the statement as it came.
    pub(in crate::cli) fn came(&self) -> &Known {
        self.came.as_ref().unwrap_or(&self.known)
    }

    /// Whether the stages let it pass and `session_state` of the pool did not.
    pub(in crate::cli) fn is_refused_by_pool(&self) -> bool {
        let by_stage = self.stages.iter().any(|part| *part.stage == *self.by);
        *self.by == *SESSION_STATE && self.verdict == "deny" && !by_stage
    }

    /// The rule of `[sql]` that refused it unread.
    pub(in crate::cli) fn unread_by(&self) -> Option<&str> {
        let is_unread = self.stages.is_empty() && UNREAD.contains(&&*self.by);
        is_unread.then_some(&*self.by)
    }
}
