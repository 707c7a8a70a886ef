//! One call of one guest as the host sees it: what it was told, what it may do, what it has left.
//! Owns no engine; both engines keep a `Turn` beside their instance and hand it to the gate in `host`.

use super::Effects;
use super::Failed;
use super::Fault;
use super::Grants;
use super::GuestSpec;
use super::KvGrant;
use super::Level;
use super::Limits;
use super::Query;
use super::QueryResult;
use super::Quota;
use super::Reply;
use super::Services;
use super::host::printable;
use super::meter::Meter;
use super::permission::Call;
use super::query;
use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::Input;
use crate::hook::Loaded;
use crate::hook::Rows;
use crate::hook::abi::Field;
use crate::hook::abi::Fields;
use crate::hook::abi::Frame;
use crate::statement::Needs;
use serde_json::Value;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// What all calls of one guest have in common.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) stage: Arc<str>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) grants: Grants,
    pub(crate) limits: Limits,
    /// The fields it is told: those granted, and of a script those it uses.
    pub(crate) fields: Fields,
    pub(crate) config: Value,
}

impl Profile {
    pub(crate) fn new(spec: GuestSpec) -> Self {
        let granted = spec.grants.fields();
        let reads = spec.manifest.as_ref().and_then(|manifest| manifest.reads);
        let fields = reads.map_or(granted, |reads| granted.and(reads));
        Self {
            stage: spec.stage,
            hooks: spec.hooks,
            grants: spec.grants,
            limits: spec.limits,
            fields,
            config: spec.config.unwrap_or(Value::Null),
        }
    }

    /// What the fields it is told have to be made from.
    pub(crate) fn needs(&self) -> Needs {
        let needs = self.fields.iter().map(Field::needs);
        needs.fold(Needs::default(), Needs::union)
    }
}

/// One call. Boxed wherever it is kept: it goes from idle to a call and back for every call.
pub(crate) struct Turn {
    profile: Arc<Profile>,
    pub(crate) frame: Frame,
    pub(crate) meter: Meter,
    pub(crate) hook: Hook,
    /// Kept from call to call, so that a call does not touch a counter that all workers share.
    services: Option<Arc<dyn Services>>,
    open: bool,
    log_lines: u32,
    calls: u32,
    effects: Option<Box<Effects>>,
    /// What was loaded for this call.
    loaded: Vec<Loaded>,
    /// Calls of `query` so far, what the guest waits for and since when, and the rows of the last one that succeeded.
    queries: u32,
    waiting: Option<(Arc<Query>, Duration)>,
    rows: Option<Arc<Rows>>,
    /// Rows as a module reads them, made when they are first asked for.
    encoded: Option<(Arc<Rows>, Vec<u8>)>,
}

impl Turn {
    pub(crate) fn new(profile: &Arc<Profile>) -> Box<Self> {
        Box::new(Self {
            profile: Arc::clone(profile),
            frame: Frame::default(),
            meter: Meter::new(profile.limits.fuel, profile.limits.deadline),
            hook: Hook::Custom,
            services: None,
            open: false,
            log_lines: 0,
            calls: 0,
            effects: None,
            loaded: Vec::new(),
            queries: 0,
            waiting: None,
            rows: None,
            encoded: None,
        })
    }

    /// Opens the turn: encodes the input, fills the meter.
    pub(crate) fn begin(
        &mut self,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
    ) -> Result<(), Fault> {
        self.refill(services);
        self.hook = input.hook;
        self.frame.encode(input, self.profile.fields);
        self.loaded.extend_from_slice(input.loaded);
        let (bytes, max) = (
            self.frame.total_bytes(),
            self.profile.limits.input_bytes_max,
        );
        if max < bytes {
            return Err(Fault::InputTooLarge { bytes, max });
        }
        self.open = true;
        Ok(())
    }

    /// Opens a turn that asks nothing: there is a clock, a log and a store, and no input.
    pub(crate) fn begin_unload(&mut self, services: &Arc<dyn Services>) {
        self.refill(services);
        self.frame.clear();
        self.open = true;
    }

    /// A new turn has all that a guest may use, whatever the last one left.
    fn refill(&mut self, services: &Arc<dyn Services>) {
        let limits = &self.profile.limits;
        self.meter = Meter::new(limits.fuel, limits.deadline);
        self.log_lines = 0;
        self.calls = 0;
        self.effects = None;
        self.queries = 0;
        if !self
            .services
            .as_ref()
            .is_some_and(|kept| Arc::ptr_eq(kept, services))
        {
            self.services = Some(Arc::clone(services));
        }
    }

    /// Closes the turn: nothing of it can be read or called any more.
    pub(crate) fn end(&mut self) {
        self.open = false;
        self.frame.clear();
        self.loaded.clear();
        self.waiting = None;
        self.rows = None;
        self.encoded = None;
    }

    /// Closes the turn and says what it came to. Effects go with an answer only.
    pub(crate) fn conclude(&mut self, result: Result<Answer, Fault>) -> Result<Reply, Failed> {
        let (fuel, effects) = (self.meter.used(), self.effects.take());
        self.end();
        match result {
            Ok(answer) => Ok(Reply {
                answer,
                fuel,
                effects,
            }),
            Err(fault) => Err(Failed { fault, fuel }),
        }
    }

    /// Whether a call is going on. A module's start function runs outside of any.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    pub(crate) fn stage(&self) -> Arc<str> {
        Arc::clone(&self.profile.stage)
    }

    pub(crate) fn may_call(&self, call: Call) -> bool {
        self.profile.grants.may_call(call)
    }

    pub(crate) fn services(&self) -> Result<&Arc<dyn Services>, Fault> {
        self.services
            .as_ref()
            .ok_or(Fault::Internal("a turn without services"))
    }

    /// Looks at the clock.
    pub(crate) fn look_at_clock(&mut self) -> Result<(), Fault> {
        let now = self.services()?.monotonic();
        self.meter.look(now)
    }

    /// What the guest wants to have happen if its answer counts.
    pub(crate) fn effects(&mut self) -> &mut Effects {
        self.effects.get_or_insert_default()
    }

    /// Counts a call of a host function.
    pub(crate) fn count_call(&mut self) -> Result<(), Fault> {
        if self.calls == self.profile.limits.host_calls_max {
            return Err(Fault::TooManyCalls);
        }
        self.calls += 1;
        Ok(())
    }

    pub(crate) fn pattern(&self, name: &str) -> Option<&regex_lite::Regex> {
        self.profile.grants.patterns.get(name)
    }

    /// The cache's namespace. Its name cannot be one of `kv`: those have no colon.
    pub(crate) fn cache(&self) -> Result<(Arc<str>, Quota), Fault> {
        granted(self.profile.grants.cache.as_ref(), "cache")
    }

    /// The namespace of `kv`.
    pub(crate) fn namespace(&self) -> Result<(Arc<str>, Quota), Fault> {
        granted(self.profile.grants.kv.as_ref(), "kv")
    }

    /// What was loaded under that name.
    pub(crate) fn loaded(&self, name: &str) -> Option<&Loaded> {
        self.loaded.iter().find(|loaded| &*loaded.name == name)
    }

    /// The rows of the last `query` that succeeded.
    pub(crate) fn rows(&self) -> Option<&Arc<Rows>> {
        self.rows.as_ref()
    }

    /// Rows as a module reads them. Making them so is charged, and the last ones made are kept.
    pub(crate) fn encoded(&mut self, rows: &Arc<Rows>) -> Result<&[u8], Fault> {
        let made = |(of, _): &(Arc<Rows>, Vec<u8>)| Arc::ptr_eq(of, rows);
        let encoded = match self.encoded.take().filter(made) {
            Some(encoded) => encoded,
            None => {
                let bytes = query::encode(rows);
                self.meter.charge_call(bytes.len())?;
                (Arc::clone(rows), bytes)
            }
        };
        Ok(&self.encoded.insert(encoded).1)
    }

    /// Notes what the guest waits for from now on.
    pub(crate) fn wait(&mut self, name: &str, args: Vec<Option<String>>) -> Result<(), Fault> {
        let grant = self.profile.grants.load.as_ref();
        let grant = grant.ok_or(Fault::CallRefused("query"))?;
        let Some(statement) = grant.statement(name) else {
            return Err(Fault::trap("`query` names no declared statement"));
        };
        if statement.params != args.len() {
            return Err(Fault::trap(format!(
                "`{name}` takes {} arguments, and gets {}",
                statement.params,
                args.len()
            )));
        }
        if self.queries == grant.max_queries {
            return Err(Fault::CallRefused("query, more often than `max_queries`"));
        }
        self.queries += 1;
        let query = Arc::new(Query {
            statement: Arc::clone(statement),
            args,
            load: None,
            cache: None,
        });
        self.waiting = Some((query, self.services()?.monotonic()));
        Ok(())
    }

    /// What the guest waits for.
    pub(crate) fn waits_for(&self) -> Option<&Arc<Query>> {
        self.waiting.as_ref().map(|(query, _)| query)
    }

    /// The wait is over: the length of the rows as a module reads them, or a status below zero.
    pub(crate) fn answered(&mut self, result: QueryResult) -> Result<i32, Fault> {
        let now = self.services()?.monotonic();
        if let Some((_, since)) = self.waiting.take() {
            self.meter.pause(now.saturating_sub(since));
        }
        self.rows = None;
        let rows = match result {
            Ok(rows) => rows,
            Err(error) => return Ok(error.status()),
        };
        let bytes = self.encoded(&rows)?.len();
        self.rows = Some(rows);
        i32::try_from(bytes).map_err(|_| Fault::Internal("rows over 2 GiB"))
    }

    pub(crate) fn log(&mut self, level: Level, message: &[u8]) {
        if self.log_lines == self.profile.limits.log_lines_max {
            return;
        }
        self.log_lines += 1;
        if let Some(services) = &self.services {
            let line = printable(message, self.profile.limits.log_line_bytes_max);
            services.log(&self.profile.stage, level, &line);
        }
    }

    /// The value at a dotted path of the configuration: texts as they are, anything else as JSON.
    pub(crate) fn config(&self, path: &str) -> Option<String> {
        let mut value = &self.profile.config;
        for step in path.split('.').filter(|step| !step.is_empty()) {
            value = match value {
                Value::Object(map) => map.get(step)?,
                Value::Array(list) => list.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The last gate: an answer counts only where it is legal.
    pub(crate) fn accept(&self, answer: Answer) -> Result<Answer, Fault> {
        accepted(self.hook, &self.profile.limits, answer)
    }
}

fn granted(grant: Option<&KvGrant>, call: &'static str) -> Result<(Arc<str>, Quota), Fault> {
    let grant = grant.ok_or(Fault::CallRefused(call))?;
    let quota = Quota {
        keys_max: grant.max_keys,
        bytes_max: grant.max_bytes,
    };
    Ok((Arc::clone(&grant.namespace), quota))
}

/// An answer, where it is legal at that hook and not too long.
pub(crate) fn accepted(hook: Hook, limits: &Limits, answer: Answer) -> Result<Answer, Fault> {
    if !hook.accepts(answer.kind()) {
        return Err(Fault::bad_answer(format!(
            "`{}` is no answer at {hook}",
            answer.kind().name()
        )));
    }
    let bytes = answer.bytes();
    if limits.output_bytes_max < bytes {
        return Err(too_long(bytes, limits));
    }
    Ok(answer)
}

/// The fault of an answer that is longer than it may be.
#[cold]
pub(crate) fn too_long(bytes: usize, limits: &Limits) -> Fault {
    let max = limits.output_bytes_max;
    Fault::bad_answer(format!(
        "an answer of {bytes} bytes, over the limit of {max}"
    ))
}

/// Idle instances of one guest. The lock is held for a push or a pop.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    idle: Mutex<Vec<T>>,
    max: usize,
}

impl<T> Pool<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            idle: Mutex::new(Vec::new()),
            max,
        }
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    pub(crate) fn put(&self, instance: T) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.max {
            idle.push(instance);
        }
    }
}
