//! WASM guests on wasmi: loading, instances, one call. Owns no host function (`link` converts for `host`) and no permission.

mod check;
mod helios;
mod inspect;
mod instance;
mod link;

pub use inspect::Imported;
pub use inspect::Inspected;
pub use inspect::inspect_wasm;

use super::Abi;
use super::Called;
use super::Failed;
use super::Fault;
use super::Guest;
use super::GuestSpec;
use super::HostFunction;
use super::Limits;
use super::LoadError;
use super::Query;
use super::QueryResult;
use super::Reply;
use super::Services;
use super::State;
use super::Suspended;
use super::Uses;
use super::guest::code;
use super::turn::Pool;
use super::turn::Profile;
use super::turn::Turn;
use crate::hook::Answer;
use crate::hook::Input;
use crate::statement::Needs;
use instance::Data;
use instance::Instance;
use instance::ON_UNLOAD;
use instance::Step;
use std::sync::Arc;
use wasmi::CompilationMode;
use wasmi::Config;
use wasmi::EnforcedLimits;
use wasmi::Engine;
use wasmi::Linker;
use wasmi::Module;

/// Idle value stacks wasmi keeps for a guest.
const STACKS_KEPT_MAX: usize = 8;
/// The value stack a call starts with; it grows up to `stack_bytes_max`.
const STACK_BYTES_MIN: usize = 4 << 10;

/// A loaded module.
struct WasmGuest {
    profile: Arc<Profile>,
    module: Module,
    linker: Linker<Data>,
    instances: Instances,
    /// Whether it imports `query`.
    may_wait: bool,
    uses: Uses,
}

enum Instances {
    /// A new instance for each call; only the buffers around it are kept.
    Fresh(Pool<Box<Turn>>),
    Kept(Pool<Box<Instance>>),
}

/// Loads a module: compiles it, compares what it imports and exports with what it is granted and will be asked for, and
/// runs its start function once.
///
/// # Errors
/// Every reason at once.
pub fn load_wasm(bytes: &[u8], spec: GuestSpec) -> Result<Box<dyn Guest>, Vec<LoadError>> {
    let (engine, module) = compiled(bytes, &spec)?;
    match spec.abi {
        Abi::Pgwarden1 => Ok(Box::new(load_own(&engine, module, spec)?)),
        Abi::Helios1 => helios::load(&engine, module, spec),
    }
}

/// For tests of the gate: a module that was compared and linked with what is granted first, and runs with what is granted then.
#[cfg(test)]
pub(super) fn load_and_restrict(
    bytes: &[u8],
    first: GuestSpec,
    then: GuestSpec,
) -> Result<Box<dyn Guest>, Vec<LoadError>> {
    let (engine, module) = compiled(bytes, &first)?;
    let mut guest = load_own(&engine, module, first)?;
    guest.profile = Arc::new(Profile::new(then));
    Ok(Box::new(guest))
}

fn compiled(bytes: &[u8], spec: &GuestSpec) -> Result<(Engine, Module), Vec<LoadError>> {
    if spec.limits.module_bytes_max < bytes.len() {
        let message = format!(
            "module of {} bytes, over the limit of {}",
            bytes.len(),
            spec.limits.module_bytes_max
        );
        return Err(vec![LoadError::new(code::TOO_LARGE, message)]);
    }
    let engine = engine(&spec.limits);
    let module = Module::new(&engine, bytes).map_err(|error| {
        vec![LoadError::new(
            code::INVALID_MODULE,
            format!("not a module that can be loaded: {error}"),
        )]
    })?;
    Ok((engine, module))
}

fn load_own(engine: &Engine, module: Module, spec: GuestSpec) -> Result<WasmGuest, Vec<LoadError>> {
    let errors = check::errors(&module, &spec);
    if !errors.is_empty() {
        return Err(errors);
    }
    let linker = link::linker(engine, &spec.grants)
        .map_err(|error| vec![LoadError::new(code::INVALID_MODULE, error.to_string())])?;
    let may_wait = module
        .imports()
        .any(|import| import.name() == HostFunction::Query.import_name());
    let uses = check::uses(&module, spec.manifest.as_deref());
    let kept_max = spec.limits.instances_kept_max;
    let state = spec.state;
    let profile = Arc::new(Profile::new(spec));
    let first = Instance::new(&module, &linker, Turn::new(&profile))
        .map_err(|(fault, _)| vec![start_failed(&fault)])?;
    let instances = match state {
        State::Fresh => Instances::Fresh(Pool::new(kept_max)),
        State::Kept => {
            let pool = Pool::new(kept_max);
            pool.put(Box::new(first));
            Instances::Kept(pool)
        }
    };
    Ok(WasmGuest {
        profile,
        module,
        linker,
        instances,
        may_wait,
        uses,
    })
}

fn start_failed(fault: &Fault) -> LoadError {
    LoadError::new(
        code::START_FAILED,
        format!("the module cannot be started: {fault}"),
    )
}

fn engine(limits: &Limits) -> Engine {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        .compilation_mode(CompilationMode::Eager)
        .enforced_limits(EnforcedLimits::strict())
        .set_max_recursion_depth(limits.call_depth_max)
        .set_min_stack_height(STACK_BYTES_MIN.min(limits.stack_bytes_max))
        .set_max_stack_height(limits.stack_bytes_max)
        .set_max_cached_stacks(STACKS_KEPT_MAX)
        .wasm_multi_memory(false)
        .wasm_custom_page_sizes(false);
    Engine::new(&config)
}

impl WasmGuest {
    fn instance(&self, turn: Box<Turn>) -> Result<Instance, Failed> {
        Instance::new(&self.module, &self.linker, turn)
            .map_err(|(fault, fuel)| Failed { fault, fuel })
    }

    fn call_fresh(
        &self,
        pool: &Pool<Box<Turn>>,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
    ) -> Result<Called<'_>, Failed> {
        let mut turn = pool.take().unwrap_or_else(|| Turn::new(&self.profile));
        if let Err(fault) = turn.begin(input, services) {
            return Ok(Called::Done(turn.conclude(Err(fault))));
        }
        let mut instance = self.instance(turn)?;
        let result = match instance.ask() {
            Ok(Step::Waits) => return self.wait(Box::new(instance)),
            Ok(Step::Answer(answer)) => Ok(answer),
            Err(fault) => Err(fault),
        };
        Ok(Called::Done(end_fresh(pool, instance, result)))
    }

    fn call_kept(
        &self,
        pool: &Pool<Box<Instance>>,
        input: &Input<'_>,
        services: &Arc<dyn Services>,
    ) -> Result<Called<'_>, Failed> {
        let mut instance = match pool.take() {
            Some(instance) => instance,
            None => Box::new(self.instance(Turn::new(&self.profile))?),
        };
        if let Err(fault) = instance.turn().begin(input, services) {
            return Ok(Called::Done(instance.turn().conclude(Err(fault))));
        }
        let result = match instance.ask() {
            Ok(Step::Waits) => return self.wait(instance),
            Ok(Step::Answer(answer)) => Ok(answer),
            Err(fault) => Err(fault),
        };
        Ok(Called::Done(end_kept(pool, instance, result)))
    }

    fn wait(&self, mut instance: Box<Instance>) -> Result<Called<'_>, Failed> {
        let Some(query) = instance.turn().waits_for().map(Arc::clone) else {
            return Err(Failed {
                fault: Fault::Internal("a wait for nothing"),
                fuel: instance.turn().meter.used(),
            });
        };
        Ok(Called::Waiting(Box::new(Stopped {
            guest: self,
            instance,
            query,
        })))
    }

    fn go_on(&self, mut instance: Box<Instance>, rows: QueryResult) -> Result<Called<'_>, Failed> {
        let status = instance.turn().answered(rows);
        let result = match status.and_then(|status| instance.go_on(status)) {
            Ok(Step::Waits) => return self.wait(instance),
            Ok(Step::Answer(answer)) => Ok(answer),
            Err(fault) => Err(fault),
        };
        Ok(Called::Done(match &self.instances {
            Instances::Fresh(pool) => end_fresh(pool, *instance, result),
            Instances::Kept(pool) => end_kept(pool, instance, result),
        }))
    }
}

fn end_fresh(
    pool: &Pool<Box<Turn>>,
    instance: Instance,
    result: Result<Answer, Fault>,
) -> Result<Reply, Failed> {
    let mut turn = instance.into_turn();
    let ended = turn.conclude(result);
    pool.put(turn);
    ended
}

fn end_kept(
    pool: &Pool<Box<Instance>>,
    mut instance: Box<Instance>,
    result: Result<Answer, Fault>,
) -> Result<Reply, Failed> {
    let ended = instance.turn().conclude(result);
    if ended.is_ok() {
        // After a fault the guest's own stack pointer is wherever the fault found it.
        pool.put(instance);
    }
    ended
}

/// A call in the middle of which the guest waits for rows.
struct Stopped<'g> {
    guest: &'g WasmGuest,
    instance: Box<Instance>,
    query: Arc<Query>,
}

impl<'g> Suspended<'g> for Stopped<'g> {
    fn query(&self) -> &Arc<Query> {
        &self.query
    }

    fn resume(self: Box<Self>, rows: QueryResult) -> Called<'g> {
        let Self {
            guest, instance, ..
        } = *self;
        guest
            .go_on(instance, rows)
            .unwrap_or_else(|failed| Called::Done(Err(failed)))
    }
}

impl Guest for WasmGuest {
    fn needs(&self) -> Needs {
        self.profile.needs()
    }

    fn uses(&self) -> Uses {
        self.uses.clone()
    }

    fn may_wait(&self) -> bool {
        self.may_wait
    }

    fn call<'g>(&'g self, input: &Input<'_>, services: &Arc<dyn Services>) -> Called<'g> {
        match &self.instances {
            Instances::Fresh(pool) => self.call_fresh(pool, input, services),
            Instances::Kept(pool) => self.call_kept(pool, input, services),
        }
        .unwrap_or_else(|failed| Called::Done(Err(failed)))
    }

    fn unload(&self, services: &Arc<dyn Services>) -> Result<(), Fault> {
        if self.module.get_export(ON_UNLOAD).is_none() {
            return Ok(());
        }
        let kept = match &self.instances {
            Instances::Fresh(_) => None,
            Instances::Kept(pool) => pool.take(),
        };
        let mut instance = match kept {
            Some(instance) => instance,
            None => {
                let made = self.instance(Turn::new(&self.profile));
                Box::new(made.map_err(|failed| failed.fault)?)
            }
        };
        instance.turn().begin_unload(services);
        let result = instance.unload();
        instance.turn().end();
        result
    }
}
