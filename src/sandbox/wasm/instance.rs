//! One instance of a module, and one question to it: fuel in slices, the clock between them, the answer read back.
//! Owns no pool; who keeps an instance is `wasm`'s decision.

use super::super::Fault;
use super::super::limits::FUEL_PER_SLICE;
use super::super::turn::Turn;
use super::super::turn::too_long;
use super::link::HostFault;
use super::link::HostWait;
use crate::hook::Answer;
use crate::hook::Hook;
use crate::hook::abi::Word;
use crate::hook::abi::WrongAnswer;
use crate::hook::abi::decode_answer;
use crate::hook::abi::decode_word;
use wasmi::Error;
use wasmi::Linker;
use wasmi::Memory;
use wasmi::Module;
use wasmi::Store;
use wasmi::StoreLimits;
use wasmi::StoreLimitsBuilder;
use wasmi::TrapCode;
use wasmi::TypedFunc;
use wasmi::TypedResumableCall;
use wasmi::TypedResumableCallHostTrap;
use wasmi::Val;
use wasmi::WasmParams;
use wasmi::WasmResults;

/// Tables of a module. Compilers make one.
const TABLES_MAX: usize = 4;

/// The name of the exported memory.
pub(super) const MEMORY: &str = "memory";
/// The name of the export that gives room for an input frame.
pub(super) const ALLOC: &str = "pgw_alloc";

/// The name of the export that is called when nobody will ask any more.
pub(super) const ON_UNLOAD: &str = "on_unload";

/// What wasmi keeps beside an instance.
pub(super) struct Data {
    pub(super) turn: Box<Turn>,
    pub(super) memory: Option<Memory>,
    limits: StoreLimits,
}

type HookFunction = TypedFunc<(i32, i32), i64>;

pub(super) struct Instance {
    store: Store<Data>,
    memory: Memory,
    alloc: TypedFunc<i32, i32>,
    hooks: Vec<(Hook, HookFunction)>,
    exports: wasmi::Instance,
    /// What `pgw_alloc` gave: pointer and length. Asked for again only when a frame is longer.
    room: (usize, usize),
    /// The call that waits for rows.
    stopped: Option<TypedResumableCallHostTrap<i64>>,
}

/// What asking came to.
pub(super) enum Step {
    Answer(Answer),
    /// The turn says what the guest waits for.
    Waits,
}

impl Instance {
    /// A new instance; its start function runs under one slice of the turn's fuel, outside of any call.
    pub(super) fn new(
        module: &Module,
        linker: &Linker<Data>,
        turn: Box<Turn>,
    ) -> Result<Self, (Fault, u64)> {
        let Started {
            store,
            instance,
            memory,
        } = open(module, linker, turn)?;
        let used = store.data().turn.meter.used();
        let missing = |()| (GONE, used);
        let alloc = instance
            .get_typed_func(&store, ALLOC)
            .map_err(|_| missing(()))?;
        let hooks = store.data().turn.profile().hooks.clone();
        let hooks = hooks.into_iter().map(|hook| {
            let function = instance
                .get_typed_func(&store, hook.export_name())
                .map_err(|_| missing(()))?;
            Ok((hook, function))
        });
        let hooks = hooks.collect::<Result<Vec<_>, (Fault, u64)>>()?;
        Ok(Self {
            store,
            memory,
            alloc,
            hooks,
            exports: instance,
            room: (0, 0),
            stopped: None,
        })
    }

    pub(super) fn turn(&mut self) -> &mut Turn {
        &mut self.store.data_mut().turn
    }

    pub(super) fn into_turn(self) -> Box<Turn> {
        self.store.into_data().turn
    }

    /// Asks the open turn's question.
    pub(super) fn ask(&mut self) -> Result<Step, Fault> {
        let turn = &self.store.data().turn;
        let (hook, len) = (turn.hook, turn.frame.bytes().len());
        let Some(function) = self
            .hooks
            .iter()
            .find(|(of, _)| *of == hook)
            .map(|(_, function)| *function)
        else {
            return Err(Fault::Internal("asked at a hook it was not loaded for"));
        };
        let frame_len = i32::try_from(len).map_err(|_| Fault::Internal("a frame over 2 GiB"))?;
        if self.room.1 < len {
            let pointer = metered(&mut self.store, self.alloc, frame_len)?;
            if pointer == 0 {
                return Err(Fault::trap("`pgw_alloc` gave no room"));
            }
            self.room = (pointer.cast_unsigned() as usize, len);
        }
        let start = self.room.0;
        let (memory, data) = self.memory.data_and_store_mut(&mut self.store);
        place(memory, start, len)
            .ok_or(Fault::trap(
                "`pgw_alloc` gave a place outside of the memory",
            ))?
            .copy_from_slice(data.turn.frame.bytes());
        data.turn.meter.charge_call(len)?;
        let pointer = u32::try_from(start).map_err(|_| Fault::Internal("a pointer over 4 GiB"))?;
        let met = waiting(
            &mut self.store,
            function,
            (pointer.cast_signed(), frame_len),
        )?;
        self.step(met)
    }

    /// Goes on after a wait; `result` is what `query` gives.
    pub(super) fn go_on(&mut self, result: i32) -> Result<Step, Fault> {
        let Some(stopped) = self.stopped.take() else {
            return Err(Fault::Internal("nothing waits"));
        };
        lend(&mut self.store, FUEL_PER_SLICE)?;
        let call = stopped.resume(&mut self.store, &[Val::I32(result)]);
        let met = follow(&mut self.store, call)?;
        self.step(met)
    }

    fn step(&mut self, met: Met<i64>) -> Result<Step, Fault> {
        match met {
            Met::Finished(word) => {
                let answer = self.read(word)?;
                self.store.data().turn.accept(answer).map(Step::Answer)
            }
            Met::Waits(stopped) => {
                self.stopped = Some(stopped);
                Ok(Step::Waits)
            }
        }
    }

    /// Tells the guest that it goes. The turn is open.
    pub(super) fn unload(&mut self) -> Result<(), Fault> {
        let function = self
            .exports
            .get_typed_func::<(), ()>(&self.store, ON_UNLOAD);
        metered(&mut self.store, function.map_err(|_| GONE)?, ())
    }

    fn read(&mut self, word: i64) -> Result<Answer, Fault> {
        let wrong = |wrong: WrongAnswer| Fault::bad_answer(wrong.to_string());
        let (pointer, len) = match decode_word(word).map_err(wrong)? {
            Word::Answer(answer) => return Ok(answer),
            Word::Frame { pointer, len } => (pointer as usize, len as usize),
        };
        let frame = answered(&mut self.store, self.memory, pointer, len)?;
        decode_answer(frame).map_err(wrong)
    }
}

/// What `check` has found in the module.
pub(super) const GONE: Fault = Fault::Internal("an export that was there at load");

/// A module with its memory, started and not yet asked anything.
pub(super) struct Started {
    pub(super) store: Store<Data>,
    pub(super) instance: wasmi::Instance,
    pub(super) memory: Memory,
}

/// Starts a module within the limits of the turn, whatever its ABI. With a fault comes the fuel it cost.
pub(super) fn open(
    module: &Module,
    linker: &Linker<Data>,
    turn: Box<Turn>,
) -> Result<Started, (Fault, u64)> {
    let limits = &turn.profile().limits;
    let limits = StoreLimitsBuilder::new()
        .memory_size(limits.memory_bytes_max)
        .table_elements(limits.table_entries_max)
        .memories(1)
        .instances(1)
        .tables(TABLES_MAX)
        .trap_on_grow_failure(true)
        .build();
    let mut store = Store::new(
        linker.engine(),
        Data {
            turn,
            memory: None,
            limits,
        },
    );
    store.limiter(|data| &mut data.limits);
    let started = start(&mut store, module, linker);
    let used = store.data().turn.meter.used();
    let instance = started.map_err(|fault| (fault, used))?;
    let memory = instance.get_memory(&store, MEMORY).ok_or((GONE, used))?;
    store.data_mut().memory = Some(memory);
    Ok(Started {
        store,
        instance,
        memory,
    })
}

/// Room that the guest gave; `None` where it is not all within the memory.
pub(super) fn place(memory: &mut [u8], start: usize, len: usize) -> Option<&mut [u8]> {
    memory.get_mut(start..start.checked_add(len)?)
}

/// The bytes of an answer, once they are within the limits and paid for.
pub(super) fn answered(
    store: &mut Store<Data>,
    memory: Memory,
    pointer: usize,
    len: usize,
) -> Result<&[u8], Fault> {
    let (memory, data) = memory.data_and_store_mut(store);
    let limits = &data.turn.profile().limits;
    if limits.output_bytes_max < len {
        return Err(too_long(len, limits));
    }
    let bytes = pointer
        .checked_add(len)
        .and_then(|end| memory.get(pointer..end));
    let bytes = bytes.ok_or(Fault::bad_answer("the answer lies outside of the memory"))?;
    data.turn.meter.charge_call(len)?;
    Ok(bytes)
}

fn start(
    store: &mut Store<Data>,
    module: &Module,
    linker: &Linker<Data>,
) -> Result<wasmi::Instance, Fault> {
    lend(store, FUEL_PER_SLICE)?;
    let started = linker.instantiate_and_start(&mut *store, module);
    settle(store)?;
    started.map_err(|error| fault_of(&error))
}

/// How far a function of the guest came.
enum Met<R> {
    Finished(R),
    Waits(TypedResumableCallHostTrap<R>),
}

/// Calls a function of the guest with the turn's fuel, slice by slice, and looks at the clock between two slices. A function
/// that is not a hook's has nobody to wait for it.
pub(super) fn metered<P: WasmParams, R: WasmResults>(
    store: &mut Store<Data>,
    function: TypedFunc<P, R>,
    params: P,
) -> Result<R, Fault> {
    match waiting(store, function, params)? {
        Met::Finished(result) => Ok(result),
        Met::Waits(_) => Err(Fault::CallRefused("query outside of a hook")),
    }
}

/// The same for a function that may ask for rows.
fn waiting<P: WasmParams, R: WasmResults>(
    store: &mut Store<Data>,
    function: TypedFunc<P, R>,
    params: P,
) -> Result<Met<R>, Fault> {
    lend(store, FUEL_PER_SLICE)?;
    let call = function.call_resumable(&mut *store, params);
    follow(store, call)
}

fn lend(store: &mut Store<Data>, fuel: u64) -> Result<(), Fault> {
    let lent = store.data_mut().turn.meter.lend(fuel);
    store.set_fuel(lent).map_err(|error| fault_of(&error))
}

/// Follows a call that runs on one slice of fuel to its end, or to where it waits.
fn follow<R: WasmResults>(
    store: &mut Store<Data>,
    mut call: Result<TypedResumableCall<R>, Error>,
) -> Result<Met<R>, Fault> {
    loop {
        settle(store)?;
        let waiting = match call {
            Ok(TypedResumableCall::Finished(result)) => return Ok(Met::Finished(result)),
            Ok(TypedResumableCall::HostTrap(stopped)) => {
                if stopped.host_error().downcast_ref::<HostWait>().is_some() {
                    return Ok(Met::Waits(stopped));
                }
                return Err(fault_of(stopped.host_error()));
            }
            Ok(TypedResumableCall::OutOfFuel(waiting)) => waiting,
            Err(error) => return Err(fault_of(&error)),
        };
        let turn = &mut store.data_mut().turn;
        turn.look_at_clock()?;
        let needed = waiting.required_fuel();
        if turn.meter.left() < needed.max(1) {
            let left = turn.meter.left();
            turn.meter.charge(left)?;
            return Err(Fault::OutOfFuel);
        }
        lend(store, FUEL_PER_SLICE.max(needed))?;
        call = waiting.resume(&mut *store);
    }
}

/// Takes the fuel that the engine did not use back into the meter.
fn settle(store: &mut Store<Data>) -> Result<(), Fault> {
    let rest = store.get_fuel().map_err(|error| fault_of(&error))?;
    store.set_fuel(0).map_err(|error| fault_of(&error))?;
    store.data_mut().turn.meter.give_back(rest);
    Ok(())
}

fn fault_of(error: &Error) -> Fault {
    if let Some(HostFault(fault)) = error.downcast_ref::<HostFault>() {
        return fault.clone();
    }
    match error.as_trap_code() {
        Some(TrapCode::OutOfFuel) => Fault::OutOfFuel,
        Some(TrapCode::StackOverflow) => Fault::StackOverflow,
        Some(TrapCode::GrowthOperationLimited | TrapCode::OutOfSystemMemory) => Fault::OutOfMemory,
        _ => Fault::trap(error.to_string()),
    }
}
