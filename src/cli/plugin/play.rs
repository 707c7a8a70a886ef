//! Asks a plugin what one of its tests asks, and compares what comes of it. Owns the stage that a plugin stands in when there is no
//! policy: what its manifest asks for is granted, the limits are the usual ones, the clock stands still.

use super::file::PluginFile;
use crate::cli::scenario::StillServices;
use crate::hook::Answer;
use crate::hook::AuthRequest;
use crate::hook::CustomCall;
use crate::hook::Hook;
use crate::hook::Input;
use crate::hook::RouteAnswer;
use crate::hook::StatementContext;
use crate::policy::Answered;
use crate::policy::PluginCase;
use crate::policy::PluginCases;
use crate::sandbox::Abi;
use crate::sandbox::Artefact;
use crate::sandbox::Call;
use crate::sandbox::Effects;
use crate::sandbox::Failed;
use crate::sandbox::Grants;
use crate::sandbox::Guest;
use crate::sandbox::GuestSpec;
use crate::sandbox::KvGrant;
use crate::sandbox::Limits;
use crate::sandbox::Manifest;
use crate::sandbox::Permission;
use crate::sandbox::Quota;
use crate::sandbox::Reply;
use crate::sandbox::Services;
use crate::sandbox::State;
use crate::sandbox::inspect_wasm;
use crate::sandbox::load_wasm;
use crate::statement::analyze;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// The namespace of stored values where the tests name none.
const NAMESPACE: &str = "test";
/// The same of the cache; no name of `kv` has a colon.
const CACHE: &str = "cache:test";
const QUOTA: Quota = Quota {
    keys_max: 100_000,
    bytes_max: 64 << 20,
};

/// A plugin and its tests.
pub(super) struct Player<'a> {
    pub(super) plugin: &'a PluginFile,
    pub(super) cases: &'a PluginCases,
}

/// What came of a case.
pub(super) struct Played {
    pub(super) result: Result<Reply, Failed>,
    pub(super) services: Arc<StillServices>,
    namespace: Arc<str>,
}

impl Played {
    pub(super) fn fuel(&self) -> u64 {
        match &self.result {
            Ok(reply) => reply.fuel,
            Err(failed) => failed.fuel,
        }
    }
}

/// What a manifest asks for; the standard permissions where there is none.
pub(super) fn grants(manifest: Option<&Manifest>) -> Grants {
    let Some(manifest) = manifest.filter(|manifest| manifest.abi_minor.is_some()) else {
        return Grants::standard();
    };
    let mut grants = Grants {
        name: "of its manifest".into(),
        see: BTreeSet::new(),
        call: BTreeSet::new(),
        ..Grants::standard()
    };
    for permission in manifest.needs.iter().chain(&manifest.wants) {
        match permission {
            Permission::See(see) => drop(grants.see.insert(*see)),
            Permission::Call(call) => drop(grants.call.insert(*call)),
        }
    }
    let place = |namespace: &str, calls: &[Call]| {
        let is_used = calls.iter().any(|call| grants.call.contains(call));
        is_used.then(|| KvGrant {
            namespace: namespace.into(),
            max_keys: 1_000,
            max_bytes: 1 << 20,
        })
    };
    grants.kv = place(NAMESPACE, &[Call::KvRead, Call::KvWrite]);
    grants.cache = place(CACHE, &[Call::Cache]);
    grants
}

/// The terms of a plugin that no policy names.
pub(super) fn spec(
    artefact: &Artefact,
    hooks: Vec<Hook>,
    grants: Grants,
    config: Option<serde_json::Value>,
) -> GuestSpec {
    GuestSpec {
        stage: "plugin".into(),
        hooks,
        grants,
        limits: Limits::default(),
        state: State::Fresh,
        config,
        manifest: artefact.manifest.clone(),
        abi: inspect_wasm(&artefact.module).map_or(Abi::Pgwarden1, |module| module.abi),
        attributes: Vec::new(),
        loads: Vec::new(),
    }
}

impl Player<'_> {
    /// The plugin, loaded for one case. `Err` says why it cannot be, a line each.
    pub(super) fn guest(
        &self,
        case: &PluginCase,
        state: State,
    ) -> Result<Box<dyn Guest>, Vec<String>> {
        let artefact = &self.plugin.artefact;
        let mut config = case.config.clone();
        let manifest = artefact.manifest.as_deref();
        if let Some(schema) = manifest.and_then(|manifest| manifest.config.as_ref()) {
            let mut filled = config.unwrap_or_else(crate::sandbox::ConfigSchema::empty);
            let errors = schema.apply(&mut filled);
            if !errors.is_empty() {
                let lines = errors.into_iter();
                return Err(lines
                    .map(|error| format!("config: {}", error.message))
                    .collect());
            }
            config = Some(filled);
        }
        let grants = self.grants();
        let mut spec = spec(artefact, vec![case.hook], grants, config);
        spec.state = state;
        load_wasm(&artefact.module, spec).map_err(|errors| {
            let lines = errors.into_iter();
            lines
                .map(|error| match error.help {
                    Some(help) => format!("{}; {help}", error.message),
                    None => error.message,
                })
                .collect()
        })
    }

    fn grants(&self) -> Grants {
        let manifest = self.plugin.artefact.manifest.as_deref();
        match &self.cases.grants {
            Some(grants) => grants.clone(),
            None => grants(manifest),
        }
    }

    /// The outside of one case, with what is stored before.
    pub(super) fn services(&self, case: &PluginCase) -> Result<Arc<StillServices>, Vec<String>> {
        let seconds = u64::try_from(case.given.time).unwrap_or(0);
        let services = Arc::new(StillServices::new(seconds.saturating_mul(1_000_000)));
        let namespace = self.namespace();
        let now = services.unix_micros();
        for (key, value) in &case.kv {
            let (key, value) = (key.as_bytes(), value.as_bytes());
            services
                .store()
                .set(&namespace, QUOTA, key, value, None, now)
                .map_err(|error| vec![format!("kv: {error}")])?;
        }
        Ok(services)
    }

    fn namespace(&self) -> Arc<str> {
        self.grants()
            .kv
            .map_or_else(|| NAMESPACE.into(), |kv| kv.namespace)
    }

    /// Asks it as often as the case says.
    pub(super) fn play(&self, case: &PluginCase) -> Result<Played, Vec<String>> {
        let guest = self.guest(case, State::Fresh)?;
        let services = self.services(case)?;
        let shared: Arc<dyn Services> = Arc::<StillServices>::clone(&services);
        let result = told(case, &*guest, |input| {
            let mut result = guest.call(input, &shared).done();
            for _ in 1..case.repeat {
                result = guest.call(input, &shared).done();
            }
            result
        });
        Ok(Played {
            result,
            services,
            namespace: self.namespace(),
        })
    }
}

/// Runs `ask` with what a case tells at its hook; what the guest does not look for is not found out.
pub(super) fn told<T>(
    case: &PluginCase,
    guest: &dyn Guest,
    ask: impl FnOnce(&Input<'_>) -> T,
) -> T {
    let given = &case.given;
    let hook = case.hook;
    let facts = analyze(&given.sql, guest.needs());
    let statement = StatementContext {
        facts: &facts,
        text: &given.sql,
        protocol: given.protocol,
        in_transaction: given.in_transaction,
        tx_writes: given.tx_writes,
        statement_count: given.statement_count,
    };
    let auth = AuthRequest {
        headers: &given.headers,
        username: given
            .username
            .as_deref()
            .unwrap_or(&given.session.identity.user),
        password: given.password.as_deref(),
    };
    ask(&Input {
        hook,
        request_id: Uuid::nil(),
        session: &given.session,
        statement: hook.has_statement().then_some(&statement),
        outcome: hook.has_outcome().then_some(&given.outcome),
        auth: (hook == Hook::Authenticate).then_some(&auth),
        custom: (hook == Hook::Custom).then_some(CustomCall {
            name: &given.event.0,
            payload: &given.event.1,
        }),
        loaded: &[],
        now: None,
        lag: None,
    })
}

/// What is not as expected, a line each.
pub(super) fn differences(expect: &Answered, played: &Played) -> Vec<String> {
    let mut lines = Vec::new();
    let mut differ = |what: &str, expected: String, got: String| {
        if expected != got {
            lines.push(format!("expected {what} = {expected}      got {got}"));
        }
    };
    let answer = played.result.as_ref().ok().map(|reply| &reply.answer);
    let came = outcome(&played.result);
    if let Some(kind) = expect.answer {
        differ("answer", kind.name().to_owned(), came.clone());
    }
    if let Some(fault) = &expect.fault {
        let got = match &played.result {
            Ok(_) => came,
            Err(failed) => failed.fault.kind().to_owned(),
        };
        differ("fault", fault.to_string(), got);
    }
    if let Some(code) = expect.code {
        let got = match answer {
            Some(Answer::Block(refusal)) => refusal.code.to_string(),
            _ => "none".to_owned(),
        };
        differ("code", code.to_string(), got);
    }
    for (key, text) in &expect.texts {
        let got = answer.and_then(|answer| single(answer, key));
        differ(key, format!("{text:?}"), shown(got.as_deref()));
    }
    for (key, texts) in &expect.lists {
        let got = answer.and_then(|answer| several(answer, key));
        let got = got.map_or("none".to_owned(), |got| format!("{got:?}"));
        differ(key, format!("{texts:?}"), got);
    }
    if let Some(rows) = expect.rows {
        let got = match answer {
            Some(Answer::Cached(given)) => given.rows.len().to_string(),
            _ => "none".to_owned(),
        };
        differ("rows", rows.to_string(), got);
    }
    lines.extend(missing_values(expect, played));
    lines.extend(missing_effects(expect, &played.result));
    let log = played.services.lines();
    for text in &expect.log {
        if !log.iter().any(|line| line.contains(&**text)) {
            lines.push(format!(
                "expected log = {text:?}      got {} lines without it",
                log.len()
            ));
        }
    }
    let fuel = played.fuel();
    if let Some(limit) = expect.fuel_below.filter(|limit| *limit <= fuel) {
        lines.push(format!("expected fuel below {limit}      got {fuel}"));
    }
    lines
}

/// Stored values that are not there, or are others.
fn missing_values(expect: &Answered, played: &Played) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, value) in &expect.kv {
        let services = &played.services;
        let stored =
            services
                .store()
                .get(&played.namespace, key.as_bytes(), services.unix_micros());
        let stored = stored.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let (expected, got) = (format!("{value:?}"), shown(stored.as_deref()));
        if expected != got {
            lines.push(format!("expected kv {key} = {expected}      got {got}"));
        }
    }
    lines
}

/// Attributes and events that did not come.
fn missing_effects(expect: &Answered, result: &Result<Reply, Failed>) -> Vec<String> {
    let none = Effects::default();
    let effects = result
        .as_ref()
        .ok()
        .and_then(|reply| reply.effects.as_deref());
    let effects = effects.unwrap_or(&none);
    let line = |what: &str, (name, value): &(Arc<str>, Arc<str>)| {
        format!("expected {what} {name} = {value:?}      it did not come")
    };
    let attributes = expect
        .attributes
        .iter()
        .filter(|wanted| !effects.attributes.contains(wanted))
        .map(|wanted| line("attribute", wanted));
    let came = |wanted: &(Arc<str>, Arc<str>)| {
        let mut events = effects.events.iter();
        events.any(|(name, payload)| (&**name, &**payload) == (&*wanted.0, &*wanted.1))
    };
    let events = expect
        .events
        .iter()
        .filter(|wanted| !came(wanted))
        .map(|wanted| line("event", wanted));
    attributes.chain(events).collect()
}

/// How it ended, in a word or two.
pub(super) fn outcome(result: &Result<Reply, Failed>) -> String {
    match result {
        Ok(reply) => reply.answer.kind().name().to_owned(),
        Err(failed) => format!("the fault {} ({})", failed.fault.kind(), failed.fault),
    }
}

fn shown(text: Option<&str>) -> String {
    text.map_or("none".to_owned(), |text| format!("{text:?}"))
}

/// The text that an answer has under a key of `expect`.
fn single(answer: &Answer, key: &str) -> Option<String> {
    match (answer, key) {
        (Answer::Block(refusal), "message") => Some(refusal.message.to_string()),
        (Answer::Block(refusal), "hint") => refusal.hint.as_deref().map(str::to_owned),
        (Answer::Block(refusal), "detail") => refusal.detail.as_deref().map(str::to_owned),
        (Answer::Rewrite(sql), "sql") => Some(sql.clone()),
        (Answer::Route(to), "route") => Some(match to {
            RouteAnswer::Default => "default".to_owned(),
            RouteAnswer::Primary => "primary".to_owned(),
            RouteAnswer::Standby => "standby".to_owned(),
            RouteAnswer::Node(name) => name.clone(),
            RouteAnswer::Branch(name) => format!("branch:{name}"),
        }),
        (Answer::Success(identity), "user") => Some(identity.user.to_string()),
        (Answer::Success(identity), "tenant") => identity.tenant.as_deref().map(str::to_owned),
        (Answer::Denied(reason), "reason") => Some(reason.clone()),
        _ => None,
    }
}

/// The texts that an answer has under a key of `expect`.
fn several(answer: &Answer, key: &str) -> Option<Vec<String>> {
    match (answer, key) {
        (Answer::Cached(rows), "columns") => Some(rows.columns.clone()),
        (Answer::Success(identity), "roles") => {
            Some(identity.roles.iter().map(ToString::to_string).collect())
        }
        _ => None,
    }
}
