//! Plugins made for heliosdb-proxy, unmodified (`abi = "helios-1"`): JSON in, JSON out, one fresh instance a call.
//! Owns the calling; `input` writes what a plugin is told, `answer` reads what it says, `link` and `check` are its four imports.

mod answer;
mod check;
mod input;
mod link;

#[cfg(test)]
mod tests;

use super::super::Attribute;
use super::super::Called;
use super::super::Failed;
use super::super::Fault;
use super::super::Guest;
use super::super::GuestSpec;
use super::super::LoadError;
use super::super::Reply;
use super::super::Services;
use super::super::guest::code;
use super::super::turn::Pool;
use super::super::turn::Profile;
use super::super::turn::Turn;
use super::instance::Data;
use super::instance::GONE;
use super::instance::Started;
use super::instance::answered;
use super::instance::metered;
use super::instance::open;
use super::instance::place;
use super::start_failed;
use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::Input;
use crate::statement::Needs;
use std::sync::Arc;
use wasmi::Engine;
use wasmi::Linker;
use wasmi::Module;
use wasmi::TypedFunc;

pub(super) use link::function;

/// The export that gives room for the input.
pub(super) const ALLOC: &str = "alloc";
/// The export that takes room back. It is never called: the whole memory goes after each call.
const DEALLOC: &str = "dealloc";

/// A loaded module.
struct HeliosGuest {
    profile: Arc<Profile>,
    attributes: Vec<Attribute>,
    module: Module,
    linker: Linker<Data>,
    /// The buffers around a call; nothing of the guest's.
    idle: Pool<(Box<Turn>, Vec<u8>)>,
}

/// Compares a compiled module with its grants and hooks, and starts it once.
pub(super) fn load(
    engine: &Engine,
    module: Module,
    spec: GuestSpec,
) -> Result<Box<dyn Guest>, Vec<LoadError>> {
    let errors = check::errors(&module, &spec);
    if !errors.is_empty() {
        return Err(errors);
    }
    let linker = link::linker(engine, &module, &spec.grants)
        .map_err(|error| vec![LoadError::new(code::INVALID_MODULE, error.to_string())])?;
    let attributes = spec.attributes.clone();
    let idle = Pool::new(spec.limits.instances_kept_max);
    let mut profile = Profile::new(spec);
    profile.fields = profile.fields.and(input::fields(&attributes));
    let profile = Arc::new(profile);
    open(&module, &linker, Turn::new(&profile)).map_err(|(fault, _)| vec![start_failed(&fault)])?;
    Ok(Box::new(HeliosGuest {
        profile,
        attributes,
        module,
        linker,
        idle,
    }))
}

impl HeliosGuest {
    /// Writes what the plugin is told. What it may not see is not in the frame this is written from.
    fn tell(&self, turn: &Turn, json: &mut Vec<u8>) -> Result<(), Fault> {
        input::write(json, turn.hook, &turn.frame, &self.attributes)?;
        let (bytes, max) = (json.len(), self.profile.limits.input_bytes_max);
        if max < bytes {
            return Err(Fault::InputTooLarge { bytes, max });
        }
        Ok(())
    }

    /// Asks, in an instance of its own. Gives the turn back with the answer.
    fn ask(
        &self,
        turn: Box<Turn>,
        json: &[u8],
    ) -> Result<(Result<Answer, Fault>, Box<Turn>), Failed> {
        let mut started = open(&self.module, &self.linker, turn)
            .map_err(|(fault, fuel)| Failed { fault, fuel })?;
        let result = question(&mut started, json);
        Ok((result, started.store.into_data().turn))
    }
}

impl Guest for HeliosGuest {
    fn needs(&self) -> Needs {
        self.profile.needs()
    }

    fn call<'g>(&'g self, input: &Input<'_>, services: &Arc<dyn Services>) -> Called<'g> {
        Called::Done(self.called(input, services))
    }
}

impl HeliosGuest {
    fn called(&self, input: &Input<'_>, services: &Arc<dyn Services>) -> Result<Reply, Failed> {
        let (mut turn, mut json) = self
            .idle
            .take()
            .unwrap_or_else(|| (Turn::new(&self.profile), Vec::new()));
        let told = turn
            .begin(input, services)
            .and_then(|()| self.tell(&turn, &mut json));
        let asked = match told {
            Ok(()) => self.ask(turn, &json),
            Err(fault) => Ok((Err(fault), turn)),
        };
        // A password, too, is gone when the call is.
        json.fill(0);
        json.clear();
        let (result, mut turn) = asked?;
        let ended = turn.conclude(result);
        self.idle.put((turn, json));
        ended
    }
}

/// A hook's function: its result says where the answer lies, or it has none.
enum Function {
    Answering(TypedFunc<(i32, i32), i64>),
    Silent(TypedFunc<(i32, i32), ()>),
}

impl Function {
    fn of(started: &Started, hook: Hook) -> Result<Self, Fault> {
        let (instance, store, name) = (&started.instance, &started.store, hook.export_name());
        if let Ok(function) = instance.get_typed_func(store, name) {
            return Ok(Self::Answering(function));
        }
        let silent = instance.get_typed_func(store, name);
        silent.map(Self::Silent).map_err(|_| GONE)
    }
}

fn question(started: &mut Started, json: &[u8]) -> Result<Answer, Fault> {
    let hook = started.store.data().turn.hook;
    let function = Function::of(started, hook)?;
    let alloc: TypedFunc<i32, i32> = started
        .instance
        .get_typed_func(&started.store, ALLOC)
        .map_err(|_| GONE)?;
    let (store, memory) = (&mut started.store, started.memory);
    let len = i32::try_from(json.len()).map_err(|_| Fault::Internal("an input over 2 GiB"))?;
    let pointer = metered(store, alloc, len)?;
    if pointer == 0 {
        return Err(Fault::trap("`alloc` gave no room"));
    }
    let start = pointer.cast_unsigned() as usize;
    let (bytes, data) = memory.data_and_store_mut(&mut *store);
    place(bytes, start, json.len())
        .ok_or(Fault::trap("`alloc` gave a place outside of the memory"))?
        .copy_from_slice(json);
    data.turn.meter.charge_call(json.len())?;
    let word = match function {
        Function::Answering(function) => metered(store, function, (pointer, len))?,
        Function::Silent(function) => {
            metered(store, function, (pointer, len))?;
            0
        }
    };
    let [a, b, c, d, e, f, g, h] = word.to_be_bytes();
    let start = u32::from_be_bytes([a, b, c, d]) as usize;
    let len = u32::from_be_bytes([e, f, g, h]) as usize;
    let answer = match len {
        0 => answer::silence(hook),
        _ => answer::decode(hook, answered(store, memory, start, len)?)?,
    };
    store.data().turn.accept(answer)
}
