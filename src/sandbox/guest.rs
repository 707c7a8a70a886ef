//! The one face of a loaded guest, whatever its engine, and what loading one needs and says.
//! Owns no engine; the pipeline knows only this.

use super::Call;
use super::Fault;
use super::Grants;
use super::Limits;
use super::Manifest;
use super::Query;
use super::QueryResult;
use super::See;
use super::Services;
use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::Input;
use crate::hook::abi::Field;
use crate::statement::Needs;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// What of one call the next one may find.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum State {
    /// Nothing.
    #[default]
    Fresh,
    /// Whatever the instance kept; which instance is asked is not said.
    Kept,
}

/// How a module is called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Abi {
    /// Ours.
    #[default]
    Pgwarden1,
    /// That of plugins made for heliosdb-proxy: JSON in, JSON out.
    Helios1,
}

impl Abi {
    /// The names in policies and manifests.
    pub const NAMES: [(&'static str, Self); 2] =
        [("pgwarden-1", Self::Pgwarden1), ("helios-1", Self::Helios1)];

    /// The name in policies and manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pgwarden1 => "pgwarden-1",
            Self::Helios1 => "helios-1",
        }
    }
}

/// One of the attributes a plugin of another system is told: a value of the input under a name of the policy's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// The name the plugin knows it by.
    pub name: Arc<str>,
    /// The field.
    pub field: Field,
    /// Of fields that are pairs: which one.
    pub key: Option<Arc<str>>,
}

/// A guest's answer and what it cost.
#[derive(Clone, PartialEq, Debug)]
pub struct Reply {
    /// The answer; legal at the hook it was asked for.
    pub answer: Answer,
    /// Fuel used.
    pub fuel: u64,
    /// What it wants to have happen.
    pub effects: Option<Box<Effects>>,
}

/// What a guest wants to have happen besides its answer. A call that faults has none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Effects {
    /// Attributes that later stages see: of the same statement, or of the session where it is set at login.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
    /// Events, name and payload, for the `custom` chain.
    pub events: Vec<(Box<str>, Box<str>)>,
}

/// A guest's failure and what it cost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// How it failed.
    pub fault: Fault,
    /// Fuel used.
    pub fuel: u64,
}

/// What of its permissions a guest can use, as far as that is known without running it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Uses {
    /// What it looks at; `None`: not known.
    pub see: Option<BTreeSet<See>>,
    /// What it calls; `None`: not known.
    pub call: Option<BTreeSet<Call>>,
}

/// One loaded guest.
pub trait Guest: Send + Sync {
    /// What has to be found out about a statement before this guest is asked: facts that were not looked for read as empty.
    fn needs(&self) -> Needs;

    /// What of its permissions it can use.
    fn uses(&self) -> Uses {
        Uses::default()
    }

    /// Whether a call may wait for rows; one of a guest that may not is always done.
    fn may_wait(&self) -> bool {
        false
    }

    /// Asks it once, within its limits. The answer has been checked against [`Hook::accepts`]. Where the guest did something
    /// wrong, see [`Fault`], its instance is gone.
    fn call<'g>(&'g self, input: &Input<'_>, services: &Arc<dyn Services>) -> Called<'g>;

    /// Tells it that nobody will ask it again, where it wants to know. Within its limits, and with its permissions.
    ///
    /// # Errors
    /// Whatever the guest did wrong.
    fn unload(&self, _services: &Arc<dyn Services>) -> Result<(), Fault> {
        Ok(())
    }
}

/// What asking a guest came to.
#[must_use]
pub enum Called<'g> {
    /// It answered or failed.
    Done(Result<Reply, Failed>),
    /// It waits for rows. Dropped, the call is over and its instance gone.
    Waiting(Box<dyn Suspended<'g> + 'g>),
}

impl Called<'_> {
    /// The answer of a guest that waits for nothing.
    ///
    /// # Errors
    /// Whatever the guest did wrong; for a guest that waits, a fault of ours.
    pub fn done(self) -> Result<Reply, Failed> {
        match self {
            Self::Done(result) => result,
            Self::Waiting(_) => Err(Failed {
                fault: Fault::Internal("a guest waits where nothing waits for it"),
                fuel: 0,
            }),
        }
    }
}

/// A call in the middle of which the guest asks for rows.
pub trait Suspended<'g>: Send {
    /// What it asks.
    fn query(&self) -> &Arc<Query>;

    /// Goes on with the answer. The guest's deadline did not run meanwhile.
    fn resume(self: Box<Self>, rows: QueryResult) -> Called<'g>;
}

/// What the policy says about a guest.
#[derive(Clone, Debug)]
pub struct GuestSpec {
    /// The stage's name.
    pub stage: Arc<str>,
    /// The hooks it will be asked at.
    pub hooks: Vec<Hook>,
    /// What it may see and call.
    pub grants: Grants,
    /// What it may use.
    pub limits: Limits,
    /// What it keeps.
    pub state: State,
    /// Its configuration.
    pub config: Option<serde_json::Value>,
    /// What it says about itself.
    pub manifest: Option<Arc<Manifest>>,
    /// How it is called; scripts have no choice.
    pub abi: Abi,
    /// What a module of another system is told beside the fields of its ABI.
    pub attributes: Vec<Attribute>,
    /// The names of what is loaded before it is asked.
    pub loads: Vec<Arc<str>>,
}

/// One reason why a guest cannot be loaded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// The diagnostic's code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where, in bytes of the script's text.
    pub span: Option<Range<usize>>,
}

impl LoadError {
    /// The key of the permission set, `see` or `call`, that does not grant what the guest wants.
    #[must_use]
    pub fn not_granted_by(&self) -> Option<&'static str> {
        match self.code {
            code::FIELD_NOT_GRANTED => Some("see"),
            code::CALL_NOT_GRANTED => Some("call"),
            _ => None,
        }
    }

    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            help: None,
            span: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }
}

/// Codes of load errors. A code never changes its meaning.
pub(crate) mod code {
    /// The script cannot be parsed.
    pub(crate) const SYNTAX: &str = "P0401";
    /// No such function.
    pub(crate) const UNKNOWN_FUNCTION: &str = "P0402";
    /// No such variable.
    pub(crate) const UNKNOWN_VARIABLE: &str = "P0403";
    /// No such field.
    pub(crate) const UNKNOWN_FIELD: &str = "P0404";
    /// The field exists, but `see` does not grant it.
    pub(crate) const FIELD_NOT_GRANTED: &str = "P0405";
    /// A name of ours is defined again.
    pub(crate) const RESERVED_NAME: &str = "P0406";
    /// The verdict is legal at none of the stage's hooks.
    pub(crate) const ILLEGAL_VERDICT: &str = "P0407";
    /// The field does not exist at any of the stage's hooks.
    pub(crate) const FIELD_NOT_HERE: &str = "P0408";
    /// The call exists, but `call` does not grant it.
    pub(crate) const CALL_NOT_GRANTED: &str = "P0412";
    /// Not a module, or not one that may be loaded.
    pub(crate) const INVALID_MODULE: &str = "P0420";
    /// Module or script text too large.
    pub(crate) const TOO_LARGE: &str = "P0421";
    /// The module declares more memory or table entries than it may have.
    pub(crate) const MEMORY_ABOVE_LIMIT: &str = "P0422";
    /// An export that the ABI or a hook needs is missing.
    pub(crate) const MISSING_EXPORT: &str = "P0423";
    /// An import or export has another type than the ABI says.
    pub(crate) const WRONG_SIGNATURE: &str = "P0424";
    /// No such host function.
    pub(crate) const UNKNOWN_IMPORT: &str = "P0425";
    /// The module's start function fails.
    pub(crate) const START_FAILED: &str = "P0426";
    /// The manifest does not list a hook the policy uses.
    pub(crate) const HOOK_NOT_OFFERED: &str = "P0428";
}
