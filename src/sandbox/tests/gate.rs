//! The gate, asked by both engines: random calls of every function give the same arguments, results, faults and charges, and a
//! call that is not granted is refused at run time as well, whatever let the guest in.

use super::*;
use crate::hook::abi::Field;
use crate::sandbox::HostFunction;
use crate::sandbox::host::Param;
use crate::sandbox::host::witness;
use crate::sandbox::host::witness::Seen;
use crate::sandbox::script;
use crate::sandbox::wasm as module;
use proptest::collection::vec;
use proptest::prelude::BoxedStrategy;
use proptest::prelude::Just;
use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prelude::prop;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use std::fmt::Write as _;

/// An argument, before either language has it.
#[derive(Clone, PartialEq, Debug)]
enum Given {
    Level(Level),
    Field(Field),
    Text(String),
    NoText,
    Integer(i64),
    Float(f64),
    /// Milliseconds; a script may leave them out.
    Ttl(Option<i64>),
    /// A place for a result, which only modules give.
    Out(Param),
    /// Where in a field to begin.
    Offset,
}

/// One call of one function.
#[derive(Clone, Debug)]
struct Called {
    function: HostFunction,
    given: Vec<Given>,
}

/// Where a module's results go, how much room there is, and where its texts begin.
const RESULTS: usize = 256;
const ROOM: usize = 8_192;
const TEXTS: usize = 65_536;

fn functions_of_scripts() -> impl Iterator<Item = HostFunction> {
    HostFunction::all().filter(|function| function.script_name().is_some())
}

impl Called {
    fn script(&self) -> String {
        let name = self.function.script_name().expect("a function of scripts");
        let mut name = name;
        let mut arguments = Vec::new();
        for given in &self.given {
            match given {
                Given::Level(level) => name = format!("log::{}", level.script_name()),
                Given::Field(field) => {
                    let row = field.row();
                    arguments.push(format!("\"{}.{}\"", row.variable, row.name));
                }
                // Made when it runs: a name that stands in the script is looked up before.
                Given::Text(text) => arguments.push(format!("`${{\"\"}}{text}`")),
                Given::NoText => arguments.push("()".to_owned()),
                Given::Integer(number) | Given::Ttl(Some(number)) => {
                    arguments.push(number.to_string());
                }
                Given::Float(number) => arguments.push(format!("{number:?}")),
                Given::Ttl(None) | Given::Out(_) | Given::Offset => {}
            }
        }
        // What a module gets as a status is an error here that can be caught; a fault cannot.
        format!(
            "try {{ {name}({}); }} catch (e) {{ }}",
            arguments.join(", ")
        )
    }

    /// The call in a module; its texts are put behind each other from `at` on.
    fn module(&self, data: &mut String, at: &mut usize) -> String {
        let mut call = format!("(call ${}", self.function.import_name());
        for given in &self.given {
            let operands = match given {
                Given::Level(level) => format!("(i32.const {})", *level as i32),
                Given::Field(field) => format!("(i32.const {})", field.row().id),
                Given::Text(text) => {
                    let bytes: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
                    write!(data, "(data (i32.const {at}) \"{bytes}\")").unwrap();
                    let operands = format!("(i32.const {at}) (i32.const {})", text.len());
                    *at += text.len();
                    operands
                }
                Given::NoText => "(i32.const 0) (i32.const -1)".to_owned(),
                Given::Integer(number) => format!("(i64.const {number})"),
                Given::Ttl(ttl) => format!("(i64.const {})", ttl.unwrap_or(0)),
                Given::Float(number) => format!("(f64.const {number})"),
                Given::Out(Param::Into) => format!("(i32.const {RESULTS}) (i32.const {ROOM})"),
                Given::Out(_) => format!("(i32.const {RESULTS})"),
                Given::Offset => "(i32.const 0)".to_owned(),
            };
            call.push(' ');
            call.push_str(&operands);
        }
        call.push(')');
        match self.function.row().import_result() {
            Some(_) => format!("(drop {call})"),
            None => call,
        }
    }
}

/// A module that makes these calls.
fn module_text(calls: &[Called]) -> String {
    let mut imports = String::new();
    for function in HostFunction::all() {
        if calls.iter().any(|call| call.function == function) {
            let wat = |value| match value {
                crate::sandbox::host::Value::I32 => "i32",
                crate::sandbox::host::Value::I64 => "i64",
                crate::sandbox::host::Value::F64 => "f64",
            };
            let row = function.row();
            let params: Vec<&str> = row.import_params().map(wat).collect();
            let result = row
                .import_result()
                .map_or(String::new(), |value| format!("(result {})", wat(value)));
            write!(
                imports,
                "(import \"pgwarden1\" \"{0}\" (func ${0} (param {1}) {result}))",
                row.import,
                params.join(" ")
            )
            .unwrap();
        }
    }
    let (mut data, mut at) = (String::new(), TEXTS);
    let body: String = calls
        .iter()
        .map(|call| call.module(&mut data, &mut at))
        .collect();
    format!(
        "(module {imports} (memory (export \"memory\") 32) {data}
         (func (export \"pgw_alloc\") (param i32) (result i32) i32.const 16384)
         (func (export \"authorize\") (param i32 i32) (result i64) {body} (i64.const 0)))"
    )
}

/// A script that does.
fn script_text(calls: &[Called]) -> String {
    let calls: String = calls.iter().map(Called::script).collect();
    format!("{calls} next()")
}

/// What may be called, with room for the longest arguments and the dearest calls.
fn roomy() -> GuestSpec {
    let mut spec = trusted();
    spec.limits.fuel = 1_000_000_000;
    spec.limits.script_bytes_max = 4 << 20;
    spec.limits.script_string_bytes_max = 1 << 20;
    spec.limits.memory_bytes_max = 8 << 20;
    spec.limits.script_expr_depth_max = 64;
    spec
}

/// Log lines, metrics, and what the namespace and the cache hold: keys and bytes.
type Left = (Vec<String>, Vec<String>, (usize, usize), (usize, usize));

/// Calls through one engine: what the gate saw, what came of it, and what is left in the services.
#[derive(PartialEq, Debug)]
struct Came {
    seen: Vec<Seen>,
    fault: Option<&'static str>,
    effects: Option<Box<crate::sandbox::Effects>>,
    left: Left,
}

fn came(guest: &dyn Guest) -> Came {
    let services = stub();
    witness::take();
    let asked = ask(
        guest,
        "SELECT a FROM t WHERE b = '4111111111111111'",
        &services,
    );
    let (fault, effects) = match asked {
        Ok(reply) => (None, reply.effects),
        Err(failed) => (Some(failed.fault.kind()), None),
    };
    Came {
        seen: witness::take(),
        fault,
        effects,
        left: (
            services.log.lock().unwrap().clone(),
            services.metrics.lock().unwrap().clone(),
            services.store.usage("n"),
            services.store.usage("cache:n"),
        ),
    }
}

fn through_both(calls: &[Called]) -> [Came; 2] {
    both(&module_text(calls), &script_text(calls), &roomy()).map(|guest| came(&*guest))
}

/// Texts that mean something to some function, and others.
fn texts(name: &'static str) -> BoxedStrategy<String> {
    match name {
        "key" => prop_oneof![
            8 => "[ab]",
            1 => "[a-z\u{e9} .]{0,20}",
            1 => (255_usize..258).prop_map(|len| "k".repeat(len)),
        ]
        .boxed(),
        "pattern" => prop_oneof![9 => Just("pan".to_owned()), 1 => "[a-z]{0,4}"].boxed(),
        "name" => prop_oneof![
            8 => "[a-z][a-z_0-9]{0,8}",
            1 => "[A-Z -]{0,3}",
            1 => (63_usize..66).prop_map(|len| "n".repeat(len)),
        ]
        .boxed(),
        "old" | "new" | "value" => prop_oneof![
            "[0-9]{1,3}",
            "[a-z ]{0,40}",
            (1_000_usize..5_000).prop_map(|len| "v".repeat(len)),
        ]
        .boxed(),
        _ => prop_oneof![
            "[a-zA-Z0-9\u{e9}\u{2603} ;']{0,60}",
            "SELECT [a-z]{1,5} FROM [a-z]{1,5}\\.[a-z]{1,5}, [a-z]{1,5} WHERE [a-z] = '[a-z]{0,9}'",
            "(INSERT INTO|DELETE FROM|TABLE) [a-z]{1,7}",
            (0_usize..3_000).prop_map(|len| "t".repeat(len)),
        ]
        .boxed(),
    }
}

fn given(param: Param) -> BoxedStrategy<Given> {
    let levels = [Level::Debug, Level::Info, Level::Warn, Level::Error];
    match param {
        Param::Level => prop::sample::select(levels.to_vec())
            .prop_map(Given::Level)
            .boxed(),
        // Fields that have a value here: without one, a script stops where a module gets a status.
        Param::Field => prop::sample::select(vec![Field::Text, Field::UserName, Field::Normalized])
            .prop_map(Given::Field)
            .boxed(),
        Param::Offset => Just(Given::Offset).boxed(),
        Param::Bytes(name) => texts(name).prop_map(Given::Text).boxed(),
        Param::OrNone(name) => {
            prop_oneof![texts(name).prop_map(Given::Text), Just(Given::NoText)].boxed()
        }
        Param::Into | Param::Place(_) => Just(Given::Out(param)).boxed(),
        Param::Integer(_) => prop_oneof![-5_i64..100, Just(i64::MAX)]
            .prop_map(Given::Integer)
            .boxed(),
        Param::Ttl => prop_oneof![
            4 => Just(None),
            4 => (0_i64..5_000).prop_map(Some),
            1 => Just(Some(-1)),
        ]
        .prop_map(Given::Ttl)
        .boxed(),
        Param::Float(_) => prop_oneof![8 => 0.0_f64..1e9, 1 => Just(-1.5), 1 => Just(2.0)]
            .prop_map(Given::Float)
            .boxed(),
    }
}

fn call_of(function: HostFunction) -> BoxedStrategy<Called> {
    let params: Vec<BoxedStrategy<Given>> = function
        .row()
        .params
        .iter()
        .map(|param| given(*param))
        .collect();
    params
        .prop_map(move |given| Called { function, given })
        .boxed()
}

fn calls() -> impl Strategy<Value = Vec<Called>> {
    let functions: Vec<HostFunction> = functions_of_scripts().collect();
    vec(prop::sample::select(functions).prop_flat_map(call_of), 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_engines_ask_the_gate_the_same_and_hear_the_same(calls in calls()) {
        let [wasm, script] = through_both(&calls);
        prop_assert!(!wasm.seen.is_empty());
        prop_assert_eq!(wasm, script);
    }
}

/// Each function with arguments it takes.
fn legal(function: HostFunction) -> Called {
    let text = |name| match name {
        "key" => "a",
        "pattern" => "pan",
        "name" => "name",
        "delta" => "1",
        _ => "text",
    };
    let given = function.row().params.iter().map(|param| match *param {
        Param::Level => Given::Level(Level::Info),
        Param::Field => Given::Field(Field::UserName),
        Param::Offset => Given::Offset,
        Param::Bytes(name) | Param::OrNone(name) => Given::Text(text(name).to_owned()),
        Param::Into | Param::Place(_) => Given::Out(*param),
        Param::Integer(_) => Given::Integer(1),
        Param::Ttl => Given::Ttl(None),
        Param::Float(_) => Given::Float(1.5),
    });
    Called {
        function,
        given: given.collect(),
    }
}

#[test]
fn every_function_is_reached_with_and_without_what_may_be_left_out() {
    for function in functions_of_scripts() {
        let called = legal(function);
        let mut timed = called.clone();
        for given in &mut timed.given {
            if matches!(given, Given::Ttl(_)) {
                *given = Given::Ttl(Some(5));
            }
        }
        for called in [called, timed] {
            let [wasm, script] = through_both(std::slice::from_ref(&called));
            assert_eq!(wasm.fault, None, "{function:?} {wasm:?}");
            assert_eq!(wasm.seen.len(), 1, "{function:?}");
            assert_eq!(wasm.seen[0].function, function);
            assert!(32 <= wasm.seen[0].fuel, "{function:?} costs something");
            assert_eq!(wasm, script, "{function:?}");
        }
    }
}

#[test]
fn what_is_not_granted_is_refused_at_run_time_as_well() {
    let (mut let_through, mut asked) = (Vec::new(), 0);
    for function in HostFunction::all() {
        let Some(needed) = function.needs() else {
            continue;
        };
        let calls = [legal(function)];
        let bytes = ::wat::parse_str(module_text(&calls)).expect("a module");
        let mut then = roomy();
        then.grants.call.remove(&needed);
        let module = module::load_and_restrict(&bytes, roomy(), then.clone());
        let mut guests = vec![("wasm", module)];
        if function.script_name().is_some() {
            let script = script_text(&calls);
            guests.push(("script", script::load_and_restrict(&script, roomy(), then)));
        }
        for (engine, guest) in guests {
            let guest = guest.unwrap_or_else(|errors| panic!("{function:?} {errors:?}"));
            let came = came(&*guest);
            let expected = Came {
                seen: vec![Seen {
                    result: Err(Fault::CallRefused(function.import_name())),
                    fuel: 0,
                    ..came.seen[0].clone()
                }],
                fault: Some("call_refused"),
                effects: None,
                left: Left::default(),
            };
            if came != expected {
                let_through.push(format!("{engine} {function:?}"));
            }
            asked += 1;
        }
    }
    assert_eq!(let_through, Vec::<String>::new());
    assert!(
        30 <= asked,
        "both engines, every function that needs something"
    );
}

#[test]
fn what_is_too_large_is_the_same_fault_and_costs_no_byte() {
    for function in functions_of_scripts() {
        let row = function.row();
        let mut called = legal(function);
        let Some(text) = called.given.iter_mut().rev().find_map(|given| match given {
            Given::Text(text) => Some(text),
            _ => None,
        }) else {
            continue;
        };
        *text = "x".repeat(row.cost.bytes_max + 1);
        let [wasm, script] = through_both(&[called]);
        assert_eq!(wasm.fault, Some("trap"), "{function:?}");
        let message = format!(
            "`{}` takes at most {} bytes",
            row.import, row.cost.bytes_max
        );
        assert_eq!(wasm.seen[0].result, Err(Fault::trap(message)));
        assert_eq!(wasm.seen[0].fuel, 0, "{function:?}");
        assert_eq!(wasm, script, "{function:?}");
    }
}

#[test]
fn a_byte_costs_what_the_table_says() {
    // A script's patterns are compared with those that are declared before it runs.
    let functions = functions_of_scripts().filter(|function| *function != HostFunction::Matches);
    for function in functions {
        let row = function.row();
        // Arguments of two lengths differ by their bytes only.
        let charge = |bytes: usize| {
            let mut called = legal(function);
            let texts = called.given.iter_mut().filter_map(|given| match given {
                Given::Text(text) => Some(text),
                _ => None,
            });
            let text = texts.last()?;
            *text = "x".repeat(bytes);
            let [wasm, script] = through_both(&[called]);
            assert_eq!(wasm, script, "{function:?}");
            // A fault of the call itself comes after the charge.
            Some(wasm.seen[0].fuel)
        };
        if let (Some(short), Some(long)) = (charge(8), charge(8 + 1_024)) {
            let given = 1_024 * row.cost.eighths as u64 / 8;
            // `normalize` gives its argument back, which is charged too.
            let back = if function == HostFunction::Normalize {
                1_024 / 8
            } else {
                0
            };
            assert_eq!(long - short, given + back, "{function:?}");
        }
    }
}

#[test]
fn a_metric_that_is_not_declared_or_of_another_kind_is_a_fault() {
    let mut declared = trusted();
    let metric = crate::sandbox::MetricGrant {
        op: MetricOp::Add,
        help: "what it counts".into(),
    };
    declared.grants.metrics.insert("name".into(), metric);
    for (function, fault) in [
        (HostFunction::MetricAdd, None),
        (HostFunction::MetricSet, Some("trap")),
        (HostFunction::MetricObserve, Some("trap")),
    ] {
        let calls = [legal(function)];
        let bytes = ::wat::parse_str(module_text(&calls)).expect("a module");
        let guests = [
            module::load_and_restrict(&bytes, trusted(), declared.clone()),
            script::load_and_restrict(&script_text(&calls), trusted(), declared.clone()),
        ];
        for guest in guests {
            let guest = guest.unwrap_or_else(|errors| panic!("{errors:?}"));
            assert_eq!(came(&*guest).fault, fault, "{function:?}");
        }
    }
    for (text, message) in [
        (
            "metric::add(\"nam\", 1)",
            "the permissions declare no metric `nam`",
        ),
        ("metric::set(\"name\", 1)", "the metric `name` is a counter"),
        ("metric::add(\"name\")", "takes 2 arguments, and gets 1"),
        ("statement::tables()", "takes 1 arguments, and gets 0"),
    ] {
        let errors = load_script(text, declared.clone()).map(|_| ()).unwrap_err();
        assert!(errors[0].message.contains(message), "{errors:?}");
        assert!(errors[0].span.is_some());
    }
}
