//! Rhai guests: loading, and one call. Owns no host function (`functions` converts for `host`) and no permission.

mod builtin;
mod check;
mod current;
mod functions;
mod lower;
mod memory;
mod place;
mod variables;
mod verdict;

use super::Called;
use super::Fault;
use super::Guest;
use super::GuestSpec;
use super::LoadError;
use super::See;
use super::Services;
use super::Uses;
use super::guest::code;
use super::turn::Pool;
use super::turn::Profile;
use super::turn::Turn;
use crate::hook::Answer;
use crate::hook::Input;
use crate::statement::Needs;
use lower::Lowered;
use rhai::AST;
use rhai::Dynamic;
use rhai::Engine;
use rhai::EvalAltResult;
use rhai::OptimizationLevel;
use rhai::Scope;
use rhai::packages::ArithmeticPackage;
use rhai::packages::BasicArrayPackage;
use rhai::packages::BasicIteratorPackage;
use rhai::packages::BasicMapPackage;
use rhai::packages::BasicMathPackage;
use rhai::packages::BasicStringPackage;
use rhai::packages::LogicPackage;
use rhai::packages::MoreStringPackage;
use rhai::packages::Package;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;

/// Symbols a script cannot use: they would make code out of data, or reach for files.
const DISABLED: [&str; 3] = ["eval", "import", "export"];

/// A loaded script. It keeps nothing: both states are the same to it.
struct ScriptGuest {
    profile: Arc<Profile>,
    engine: Engine,
    ast: AST,
    /// The same script in our own form, where it has one.
    lowered: Option<Lowered>,
    uses: Uses,
    turns: Pool<Box<Turn>>,
}

/// Loads a script: parses it, and compares what it names with what exists and what it is granted.
///
/// # Errors
/// Every reason at once, each with its place; of syntax errors the first.
pub fn load_script(text: &str, spec: GuestSpec) -> Result<Box<dyn Guest>, Vec<LoadError>> {
    load(text, spec).map(|guest| Box::new(guest) as Box<dyn Guest>)
}

/// For tests of the gate: a script that was read with what is granted first, and runs with what is granted then.
#[cfg(test)]
pub(super) fn load_and_restrict(
    text: &str,
    first: GuestSpec,
    then: GuestSpec,
) -> Result<Box<dyn Guest>, Vec<LoadError>> {
    let mut guest = load(text, first)?;
    guest.profile = Arc::new(Profile::new(then));
    Ok(Box::new(guest))
}

fn load(text: &str, spec: GuestSpec) -> Result<ScriptGuest, Vec<LoadError>> {
    if spec.limits.script_bytes_max < text.len() {
        let message = format!(
            "script of {} bytes, over the limit of {}",
            text.len(),
            spec.limits.script_bytes_max
        );
        return Err(vec![LoadError::new(code::TOO_LARGE, message)]);
    }
    let granted = spec.grants.fields();
    let mut engine = engine(&spec);
    variables::register(&mut engine, granted, &spec);
    verdict::register(&mut engine);
    functions::register(&mut engine, spec.limits.memory_bytes_max);
    // Unoptimized first: code that can never run is still code that is written wrongly.
    engine.set_optimization_level(OptimizationLevel::None);
    let ast = engine
        .compile(text)
        .map_err(|error| vec![place::syntax_error(text, &error)])?;
    let review = check::review(&ast, text, &spec);
    if !review.errors.is_empty() {
        return Err(review.errors);
    }
    variables::resolve(
        &mut engine,
        review.grows.then_some(spec.limits.memory_bytes_max),
    );
    engine.set_optimization_level(OptimizationLevel::Simple);
    let ast = engine
        .compile(text)
        .map_err(|error| vec![place::syntax_error(text, &error)])?;
    let uses = Uses {
        see: Some(review.named.iter().filter_map(See::needed_for).collect()),
        call: Some(review.called),
    };
    let kept_max = spec.limits.instances_kept_max;
    let mut profile = Profile::new(spec);
    profile.fields = granted.and(review.used);
    let lowered = Lowered::new(&ast, &profile.config);
    Ok(ScriptGuest {
        profile: Arc::new(profile),
        engine,
        ast,
        lowered,
        uses,
        turns: Pool::new(kept_max),
    })
}

fn engine(spec: &GuestSpec) -> Engine {
    let limits = &spec.limits;
    let mut engine = Engine::new_raw();
    for module in [
        ArithmeticPackage::new().as_shared_module(),
        LogicPackage::new().as_shared_module(),
        BasicMathPackage::new().as_shared_module(),
        BasicStringPackage::new().as_shared_module(),
        MoreStringPackage::new().as_shared_module(),
        BasicIteratorPackage::new().as_shared_module(),
        BasicArrayPackage::new().as_shared_module(),
        BasicMapPackage::new().as_shared_module(),
    ] {
        engine.register_global_module(module);
    }
    for symbol in DISABLED {
        engine.disable_symbol(symbol);
    }
    engine
        .set_max_call_levels(limits.script_call_depth_max)
        .set_max_expr_depths(limits.script_expr_depth_max, limits.script_expr_depth_max)
        .set_max_functions(limits.script_functions_max)
        .set_max_variables(limits.script_variables_max)
        .set_max_string_size(limits.script_string_bytes_max)
        .set_max_array_size(limits.script_array_items_max)
        .set_max_map_size(limits.script_map_items_max)
        .set_max_modules(0)
        .set_max_strings_interned(0)
        .set_fail_on_invalid_map_property(true);
    engine.on_progress(current::on_progress);
    engine
}

impl ScriptGuest {
    fn ask(&self, turn: Box<Turn>) -> (Box<Turn>, Result<Answer, Fault>) {
        memory::reset();
        let (turn, ended, fault) = current::run(turn, || {
            // Rhai has a few `unreachable!`s; one reached must not take the session with it.
            catch_unwind(AssertUnwindSafe(|| {
                self.engine
                    .eval_ast_with_scope::<Dynamic>(&mut Scope::new(), &self.ast)
                    .map_err(|error| fault_of(*error))
                    .and_then(verdict::answer)
            }))
        });
        let result = match (fault, ended) {
            (Some(fault), _) => Err(fault),
            (None, Ok(result)) => result.and_then(|answer| turn.accept(answer)),
            (None, Err(_)) => Err(Fault::Internal("the script engine panicked")),
        };
        (turn, result)
    }
}

impl Guest for ScriptGuest {
    fn needs(&self) -> Needs {
        self.profile.needs()
    }

    fn uses(&self) -> Uses {
        self.uses.clone()
    }

    fn call<'g>(&'g self, input: &Input<'_>, services: &Arc<dyn Services>) -> Called<'g> {
        let lowered = self.lowered.as_ref();
        if let Some(ended) = lowered.and_then(|it| it.call(&self.profile, input, services)) {
            return Called::Done(ended);
        }
        let mut turn = self
            .turns
            .take()
            .unwrap_or_else(|| Turn::new(&self.profile));
        if let Err(fault) = turn.begin(input, services) {
            let ended = turn.conclude(Err(fault));
            self.turns.put(turn);
            return Called::Done(ended);
        }
        let (mut turn, result) = self.ask(turn);
        let ended = turn.conclude(result);
        self.turns.put(turn);
        Called::Done(ended)
    }
}

/// The fault an error that nothing caught amounts to.
fn fault_of(error: EvalAltResult) -> Fault {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _)
        | EvalAltResult::ErrorInModule(_, inner, _) => fault_of(*inner),
        EvalAltResult::ErrorTooManyOperations(_) => Fault::OutOfFuel,
        EvalAltResult::ErrorStackOverflow(_) => Fault::StackOverflow,
        EvalAltResult::ErrorDataTooLarge(..) | EvalAltResult::ErrorTooManyVariables(_) => {
            Fault::OutOfMemory
        }
        other => Fault::trap(other.to_string()),
    }
}
